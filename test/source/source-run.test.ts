import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { Checkpoint } from '../../lib/checkpoint/checkpoint.ts'
import { type Ticks, ticksPerSecond } from '../../lib/core/time.ts'
import {
  fromPlainWindow,
  type PlainWindow,
  toPlainWindow,
  type Window,
  windowId,
} from '../../lib/core/window.ts'
import { SourceRun } from '../../lib/source/source-run.ts'
import { toOffset, type WindowOffset, windowCourse } from '../../lib/source/windows.ts'
import { MemorySource } from '../fixtures/memory-source.ts'
import { scaled } from '../fixtures/scale.ts'

type Source = ConstructorParameters<typeof SourceRun<PlainWindow, WindowOffset, PlainWindow>>[0]['source']

function runOf(source: Omit<Source, 'identity'>, directory: string, availableNow: boolean) {
  return new SourceRun<PlainWindow, WindowOffset, PlainWindow>({
    source: { ...source, identity: {} },
    place: directory,
    pollInterval: 0,
    availableNow,
    readAhead: 0,
    open: (slice) => slice,
    close() {},
  })
}

async function plannedIn(directory: string): Promise<string[]> {
  const checkpoint = await Checkpoint.open(directory, {}, windowCourse)
  await checkpoint.close()
  return checkpoint.planned.map(({ id }) => id)
}

/** One life of a process: what its clock shows at each look, and how many windows it commits before it is killed. */
interface Life {
  readonly clock: readonly bigint[]
  readonly lag: bigint
  readonly duration: number
  readonly commits: number
}

const life: fc.Arbitrary<Life> = fc.record({
  // Any way it likes, back and forth, in ticks.
  clock: fc.array(fc.bigInt({ min: 0n, max: 400n * ticksPerSecond }), { minLength: 1, maxLength: 6 }),
  lag: fc.bigInt({ min: 0n, max: 50n * ticksPerSecond }),
  duration: fc.integer({ min: 1, max: 1000 }).map((tenths) => tenths / 10),
  commits: fc.integer({ min: 0, max: 12 }),
})

t.test('whatever the clock does, the windows abut and cover exactly, over restarts', async (t) => {
  const base = t.testdir()
  await fc.assert(
    fc.asyncProperty(
      fc.array(life, { minLength: 1, maxLength: 5 }),
      fc.bigInt({ min: 0n, max: 100n * ticksPerSecond }),
      async (lives, start) => {
        const directory = await mkdtemp(join(base, 'run-'))
        const committed: Window[] = []
        let latest: Ticks | undefined
        for (const { clock, lag, duration, commits } of lives) {
          const looks = [...clock]
          const table = new MemorySource()
          table.partitionDuration = duration
          const planner = {
            slices: table.slices.bind(table),
            advance: table.advance,
            async latestOffset() {
              const now = looks.shift()
              if (looks.length === 0) run.stop()
              const until = (now ?? 0n) - lag
              latest = latest === undefined || until > latest ? until : latest
              return toOffset(until)
            },
          }
          const initialOffset = async () => toOffset(start)
          const run = runOf({ planner, initialOffset }, directory, false)
          const before = await plannedIn(directory)
          let given = 0
          for await (const { slice } of run.slices()) {
            const window = fromPlainWindow(slice)!
            // What was under way comes again first, with the same ends.
            if (given < before.length && before[given] !== windowId(window)) return false
            if (
              given >= before.length &&
              window.end - window.start > BigInt(duration * 10) * (ticksPerSecond / 10n)
            )
              return false
            if (given++ >= commits) break
            await run.commit(windowId(window))
            committed.push(window)
          }
          await run.close()
        }
        await rm(directory, { recursive: true })
        return (
          committed.every(
            ({ start: from, end }, i) => from < end && from === (committed[i - 1]?.end ?? start),
          ) &&
          (committed.length === 0 || committed.at(-1)!.end <= latest!)
        )
      },
    ),
    { numRuns: scaled(20, 60) },
  )
})

t.test('"latest" does not move on between two starts before the first window', async (t) => {
  const directory = t.testdir()
  let now = 100n
  const table = new MemorySource()
  const planner = {
    slices: table.slices.bind(table),
    advance: table.advance,
    latestOffset: async () => toOffset(now),
  }
  const initialOffset = async () => toOffset(now)
  const windows: PlainWindow[] = []
  for (now of [100n, 250n]) {
    const run = runOf({ planner, initialOffset }, directory, true)
    for await (const { slice } of run.slices()) windows.push(slice)
    await run.close()
  }
  t.same(windows, [toPlainWindow({ start: 100n, end: 250n })])
})

t.test('of windows that an earlier run left, only the last one moves the offset', async (t) => {
  const directory = t.testdir()
  const table = new MemorySource(30)
  const start = await table.initialOffset()
  const offsets: unknown[] = []
  for (const life of [1, 2]) {
    const run = runOf({ planner: table, initialOffset: async () => start }, directory, true)
    // Of the first ones it is not known which are done: going on from the end would miss the others.
    for await (const { after } of run.slices()) if (life === 2) offsets.push(after)
    await run.close()
  }
  t.same(offsets, [start, start, await table.latestOffset()])
})
