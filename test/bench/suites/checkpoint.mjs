// Commits of a checkpoint with many slices planned, one after the other.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { product } from '../product.mjs'

const slice = (at) => ({ id: `slice-${String(at).padStart(12, '0')}`, from: at, to: at + 1 })
const advance = (offset, { from, to }) => {
  if (from !== offset.at) throw new Error('it does not follow')
  offset.at = to
  return offset
}

export const contestants = {
  async 'cyber-connectors'({ planned, commits }) {
    const { Checkpoint } = await product('checkpoint/checkpoint')
    const folder = await mkdtemp(join(tmpdir(), 'checkpoint-'))
    const checkpoint = await Checkpoint.open(folder, { query: 'T' }, { advance })
    await checkpoint.begin({ at: 0 }, ...Array.from({ length: planned }, (_, at) => slice(at)))
    let next = planned
    let done = 0
    // As a stream does it: a slice is committed, another planned, so that there are always as many.
    const step = async () => {
      await checkpoint.commit(slice(done++).id)
      await checkpoint.plan(slice(next++))
    }
    return {
      async warmUp() {
        for (let count = 0; count < 50; count++) await step()
      },
      async run() {
        for (let count = 0; count < commits; count++) await step()
        return { rows: commits }
      },
      async close() {
        await checkpoint.close()
        await rm(folder, { recursive: true })
      },
    }
  },
}
