import { once } from 'node:events'
import { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setImmediate as turn } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import { SourceReadable } from '../../lib/source/source-readable.ts'
import { scaled } from '../fixtures/scale.ts'

interface WindowEvents {
  data: [row: number]
  window: [window: { number: number; last: number }]
}

/** Windows of batches of numbered rows. It tells each window's last row once the consumer is past it. */
class Windows extends SourceReadable<number, WindowEvents> {
  readonly #windows: readonly (readonly number[])[]

  constructor(windows: readonly (readonly number[])[], highWaterMark: number) {
    super({ highWaterMark })
    this.#windows = windows
  }

  protected override async *batches(): AsyncGenerator<readonly number[], void> {
    let row = 0
    for (const [number, sizes] of this.#windows.entries()) {
      for (const size of sizes) {
        if (size % 2 === 0) await turn()
        if (size > 0) yield Array.from({ length: size }, () => row++)
      }
      const last = row - 1
      this.whenPassed(() => this.emit('window', { number, last }))
    }
  }
}

/** Ways to take rows. Each calls `done` when it has finished its work on a row. */
const consumers: Record<string, (source: Windows, done: (row: number) => void) => Promise<unknown>> = {
  async 'for await'(source, done) {
    for await (const row of source) {
      await turn()
      done(row)
    }
  },
  async 'on data'(source, done) {
    source.on('data', done)
    await once(source, 'end')
  },
  async 'on data, with pauses'(source, done) {
    source.on('data', (row) => {
      done(row)
      if (row % 3 === 0) {
        source.pause()
        setImmediate(() => source.resume())
      }
    })
    await once(source, 'end')
  },
  async 'in batches'(source, done) {
    for await (const batch of source.inBatches()) {
      await turn()
      for (const row of batch) done(row as number)
    }
    if (!source.readableEnded) await once(source, 'end')
  },
  async 'on readable'(source, done) {
    source.on('readable', () => {
      for (let row = source.read(); row !== null; row = source.read()) done(row)
    })
    await once(source, 'end')
  },
  async pipeline(source, done) {
    const slow = new Writable({
      objectMode: true,
      highWaterMark: 1,
      write(row, _encoding, callback) {
        done(row)
        setImmediate(callback)
      },
    })
    await pipeline(source, slow)
  },
}

const windows = fc.array(fc.array(fc.nat(9), { maxLength: 4 }), { maxLength: 8 })

for (const [name, consumer] of Object.entries(consumers)) {
  t.test(`a window is told once the consumer is done with its rows: ${name}`, async () => {
    await fc.assert(
      fc.asyncProperty(windows, fc.integer({ min: 1, max: 8 }), async (windows, highWaterMark) => {
        const source = new Windows(windows, highWaterMark)
        const told: number[] = []
        let done = -1
        let early = 0
        source.on('window', ({ number, last }) => {
          told.push(number)
          if (last > done) early++
        })
        await consumer(source, (row) => {
          done = row
        })
        return early === 0 && told.join() === [...windows.keys()].join()
      }),
      { numRuns: scaled(20, 60) },
    )
  })
}

t.test('the iterator: several rows asked for at once come in order, and one end to all', async (t) => {
  const rows = new Windows([[3, 2]], 4)[Symbol.asyncIterator]()
  const asked = await Promise.all(Array.from({ length: 7 }, () => rows.next()))
  t.same(asked.map(({ value }) => value), [0, 1, 2, 3, 4, undefined, undefined]) // biome-ignore format: one list
  t.same(asked.map(({ done }) => done ?? false), [false, false, false, false, false, true, true]) // biome-ignore format: one list
})

t.test('the iterator: who leaves ends the stream', async (t) => {
  const left = new Windows([[9]], 4)
  for await (const row of left) if (row === 2) break
  t.ok(left.destroyed)

  const thrown = new Windows([[9]], 4)
  const reading = async () => {
    for await (const row of thrown) if (row === 3) throw new Error('the reader broke')
  }
  await t.rejects(reading(), /the reader broke/)
  t.ok(thrown.destroyed)
})

t.test('the iterator: rows before an error, and the error', async (t) => {
  class Broken extends SourceReadable<number> {
    protected override async *batches(): AsyncGenerator<readonly number[], void> {
      yield [0, 1, 2]
      await turn()
      throw new Error('the source broke')
    }
  }
  const seen: unknown[] = []
  const source = new Broken({})
  const reading = async () => {
    for await (const row of source) seen.push(row)
  }
  await t.rejects(reading(), /the source broke/)
  t.same(seen, [0, 1, 2])
})

t.test('batches: an error, a consumer that leaves, and one that destroys the stream', async (t) => {
  class Failing extends SourceReadable<number> {
    protected override async *batches(): AsyncGenerator<readonly number[], void> {
      yield [1, 2]
      throw new Error('gone')
    }
  }
  const failing = new Failing({})
  const rows: unknown[] = []
  await t.rejects(
    (async () => {
      for await (const batch of failing.inBatches()) rows.push(...batch)
    })(),
    { message: 'gone' },
  )
  t.same(rows, [1, 2])
  t.equal(failing.destroyed, true)
  const left = new Windows([[3], [3]], 16)
  for await (const batch of left.inBatches()) if (batch.length > 0) break
  t.equal(left.destroyed, true)
  const destroyed = new Windows([[3], [3]], 16)
  await t.rejects(async () => {
    for await (const _ of destroyed.inBatches()) destroyed.destroy()
  })
})
