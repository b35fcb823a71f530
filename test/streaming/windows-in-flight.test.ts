import { once } from 'node:events'
import { Writable } from 'node:stream'
import t from 'tap'
import { DirectoryStore } from '../../lib/checkpoint/directory-store.ts'
import type { CheckpointStore } from '../../lib/checkpoint/store.ts'
import { AzureMonitorStreamReadable } from '../../lib/connectors/azure-monitor/azure-monitor-stream-readable.ts'
import type { PlainWindow } from '../../lib/core/window.ts'
import type { QueryProgress } from '../../lib/streaming/query-events.ts'
import { streamingQuery } from '../../lib/streaming/streaming-query.ts'
import { AzureTrial } from '../fixtures/azure-trial.ts'
import { MemorySource } from '../fixtures/memory-source.ts'

const second = (at: number) => new Date(Date.parse('2024-05-01T00:00:00Z') + at * 1000).toISOString()

/** Sinks that finish when they are told to, window by window. */
function heldSinks() {
  const held = new Map<string, { finish: () => void; fail: (error: Error) => void }>()
  const rows: number[] = []
  let most = 0
  let told = () => {}
  const sink = ({ start }: PlainWindow) =>
    new Writable({
      objectMode: true,
      write(row, _encoding, callback) {
        rows.push(row.at)
        callback()
      },
      final(callback) {
        held.set(start, {
          finish: () => {
            held.delete(start)
            callback()
          },
          fail: (error) => {
            held.delete(start)
            callback(error)
          },
        })
        most = Math.max(most, held.size)
        told()
      },
    })
  return {
    sink,
    rows,
    held,
    most: () => most,
    /** Waits until so many windows are held. */
    async reach(count: number) {
      while (held.size < count) await new Promise<void>((resolve) => { told = resolve }) // biome-ignore format: short
    },
  }
}

t.test('windows are delivered at a time and committed in any order', async (t) => {
  const checkpointLocation = t.testdir()
  const { sink, held, reach, most } = heldSinks()
  const query = streamingQuery({
    source: new MemorySource(60),
    sink,
    checkpointLocation,
    windows_in_flight: '3',
  })
  const progress: QueryProgress[] = []
  query.on('progress', (one) => progress.push(one))
  await reach(3)
  t.same([...held.keys()], [second(0), second(10), second(20)])
  held.get(second(20))!.finish()
  await once(query, 'progress')
  t.same(query.offset, { timestamp: second(0) }, 'a window before it is not done')
  await reach(3)
  held.get(second(0))!.finish()
  await once(query, 'progress')
  t.same(query.offset, { timestamp: second(10) }, 'the committed prefix ends at the window under way')
  await reach(3)
  held.get(second(10))!.finish()
  await once(query, 'progress')
  t.same(query.offset, { timestamp: second(30) }, 'the offset moves over all that is committed')
  await reach(3)
  for (const { finish } of [...held.values()]) finish()
  await query.done
  t.equal(progress.length, 6)
  t.equal(most(), 3)
  t.same(query.offset, { timestamp: second(60) })
})

t.test('no more windows are read than are delivered and read ahead', async (t) => {
  for (const [options, bound] of [
    [{ windows_in_flight: 2 }, 4],
    [{ windows_in_flight: 2, read_ahead: 0 }, 2],
    [{ windows_in_flight: 3, read_ahead: 1 }, 4],
    [{}, 2],
  ] as const) {
    const source = new MemorySource(100)
    const { sink, held, reach } = heldSinks()
    const query = streamingQuery({ source, sink, checkpointLocation: t.testdir(), ...options })
    let most = 0
    let done = 0
    const atOnce = Math.min('windows_in_flight' in options ? options.windows_in_flight : 1, 10)
    while (done < 10) {
      await reach(Math.min(atOnce, 10 - done))
      // What is asked for at all is asked for by then.
      await new Promise((resolve) => setImmediate(resolve))
      most = Math.max(most, source.asked.length - done)
      const [next] = held.values()
      const committed = once(query, 'progress')
      next!.finish()
      await committed
      done++
    }
    await query.done
    t.ok(most <= bound, `${JSON.stringify(options)}: ${most} of at most ${bound}`)
    t.ok(most >= atOnce)
  }
})

t.test('a window that fails ends the query after those under way, which are committed', async (t) => {
  const checkpointLocation = t.testdir()
  const { sink, held, reach } = heldSinks()
  const query = streamingQuery({
    source: new MemorySource(60),
    sink,
    checkpointLocation,
    windows_in_flight: 3,
    max_retries: 0,
  })
  query.done.catch(() => {})
  await reach(3)
  held.get(second(10))!.fail(new Error('no'))
  const committed: string[] = []
  query.on('progress', ({ window }) => committed.push(window.start))
  held.get(second(20))!.finish()
  held.get(second(0))!.finish()
  await t.rejects(query.done, {
    name: 'StreamingError',
    window: { start: second(10) },
    verdict: 'retry',
    part: 'sink',
  })
  t.same(committed.sort(), [second(0), second(20)])
  const source = new MemorySource(60)
  const rest = heldSinks()
  const again = streamingQuery({ source, sink: rest.sink, checkpointLocation, windows_in_flight: 9 })
  await rest.reach(4)
  for (const { finish } of [...rest.held.values()]) finish()
  await again.done
  t.notOk(
    source.asked.some((id) => id.startsWith(second(0)) || id.startsWith(second(20))),
    'not read again',
  )
  t.ok(source.asked.some((id) => id.startsWith(second(10))))
})

t.test('24 windows, four at a time, overlap queries and delivery', async (t) => {
  const trial = await AzureTrial.start(t)
  trial.service.addTable('T', [{ name: 'TimeGenerated', type: 'datetime' }, { name: 'n', type: 'long' }], []) // biome-ignore format: short
  // A delivery ends once four are under way, the first time: then it is seen, however fast this machine is.
  let queries = 0
  let mostQueries = 0
  trial.service.on('request', () => {
    queries++
    mostQueries = Math.max(mostQueries, queries)
  })
  trial.service.on('response', () => queries--)
  trial.service.fail({ delay: 50, times: Infinity })
  let deliveries = 0
  let mostDeliveries = 0
  let both = 0
  const waiting: (() => void)[] = []
  const end = Date.now() - 60_000
  const query = streamingQuery({
    source: new AzureMonitorStreamReadable({
      ...trial.target,
      query: 'T',
      start_time: new Date(end - 24 * 60_000).toISOString(),
      safety_lag_seconds: 60,
      partition_duration: 60,
      available_now: true,
    }),
    sink: () =>
      new Writable({
        objectMode: true,
        write: (_row, _encoding, callback) => callback(),
        final(callback) {
          mostDeliveries = Math.max(mostDeliveries, ++deliveries)
          both = Math.max(both, Math.min(queries, deliveries))
          waiting.push(() => {
            deliveries--
            callback()
          })
          if (mostDeliveries >= 4) for (const done of waiting.splice(0)) setTimeout(done, 50)
        },
      }),
    checkpointLocation: t.testdir(),
    windows_in_flight: 4,
  })
  let windows = 0
  for await (const _ of query) windows++
  t.ok(windows >= 24)
  t.equal(mostDeliveries, 4)
  t.equal(mostQueries, 4, 'the queries of the next four are under way at once')
  t.ok(both >= 1, 'queries and deliveries overlap')
})

t.test('a store in place of a directory', async (t) => {
  const folder = t.testdir()
  const checkpoint = new DirectoryStore(folder)
  const run = (count: number, more = {}) => {
    const source = new MemorySource(count)
    const sink = () => new Writable({ objectMode: true, write: (_row, _encoding, callback) => callback() })
    return { source, query: streamingQuery({ source, sink, checkpoint, ...more }) }
  }
  await run(20).query.done
  const { source, query } = run(30)
  await query.done
  t.equal(source.asked.length, 1, 'it goes on where it stood')
  const sink = () => new Writable()
  for (const [options, message] of [
    [
      { checkpoint: folder },
      /checkpoint: expected a CheckpointStore; a directory is given as checkpointLocation/,
    ],
    [{ checkpoint, checkpointLocation: folder }, /exclude each other/],
    [{}, /checkpointLocation: is required, here or in the source \(a directory\), or a checkpoint/],
    [{ checkpoint, windows_in_flight: 0 }, /windows_in_flight: expected an integer of 1 or more/],
    [{ checkpoint, standby: 'perhaps' }, /standby: expected true or false/],
  ] as const) {
    t.throws(() => streamingQuery({ source: new MemorySource(1), sink, ...(options as object) }), {
      code: 'ERR_OPTION',
      message,
    })
  }
})

t.test('a standby waits for the checkpoint; a leader that loses it stops at once', async (t) => {
  const lost = new AbortController()
  const store: CheckpointStore = {
    async open(_name, { wait, signal } = {}) {
      if (wait) {
        await new Promise((_, reject) => signal!.addEventListener('abort', () => reject(signal!.reason)))
      }
      return {
        text: undefined,
        location: 'here',
        write: async () => lost.signal.throwIfAborted(),
        lost: lost.signal,
        [Symbol.asyncDispose]: async () => {},
      }
    },
  }
  const { sink, reach } = heldSinks()
  const standby = streamingQuery({ source: new MemorySource(20), sink, checkpoint: store, standby: true })
  await standby.stop()
  t.equal(standby.offset, undefined, 'a standby can be stopped')

  const leader = streamingQuery({ source: new MemorySource(20), sink, checkpoint: store })
  await reach(1)
  const error = Object.assign(new Error('another process has it'), { code: 'ERR_CHECKPOINT' })
  lost.abort(error)
  await t.rejects(leader.done, { code: 'ERR_CHECKPOINT', message: 'another process has it' })
})
