import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import t from 'tap'
import { FilesReadable } from '../../../lib/connectors/files/files-readable.ts'
import { ConnectorError } from '../../../lib/core/errors.ts'
import type { PlainWindow } from '../../../lib/core/window.ts'
import { windowOf } from '../../../lib/source/windows.ts'
import { openQueue, startWorker, type WorkerOptions } from '../../../lib/streaming/bullmq/index.ts'
import { planWindows } from '../../../lib/streaming/plan-windows.ts'
import { servers } from '../../services/queue-servers.ts'

const hours = (count: number) =>
  planWindows({
    start_time: '2024-05-01T00:00:00Z',
    end_time: new Date(Date.parse('2024-05-01T00:00:00Z') + count * 3_600_000),
  })
const identity = { connector: 'memory', query: 'T' }
const rows = (window: PlainWindow) => Readable.from([{ id: window.id, n: 1 }, { id: window.id, n: 2 }]) // biome-ignore format: short

/** A sink that keeps which windows came, and fails as it is told. */
function windowSink(fail: (window: PlainWindow) => Error | undefined = () => undefined) {
  const done: string[] = []
  const sink = (window: PlainWindow) =>
    new Writable({
      objectMode: true,
      write: (_row, _encoding, callback) => callback(),
      final(callback) {
        const error = fail(window)
        if (!error) done.push(window.start)
        callback(error)
      },
    })
  return { sink, done }
}

// Side by side: most of it is waiting.
t.jobs = servers.length + 1

for (const { server, missing, start } of servers) {
  t.test(server, { skip: missing, buffered: true }, async (t) => {
    const service = await start()
    t.teardown(() => service.stop())
    const { url } = service
    const fast = { initial_backoff: 0.05, max_backoff: 0.1 }
    let names = 0
    const open = async (more = {}) => {
      const queue = await openQueue({ url, name: `q${++names}`, identity, rate: 1000, ...more })
      t.teardown(() => queue.close())
      return queue
    }
    const work = (options: Pick<WorkerOptions, 'queue' | 'sink'> & Partial<WorkerOptions>) =>
      startWorker({ source: rows, available_now: true, ...fast, ...options })

    await t.test('windows are planned once and each is delivered', async (t) => {
      const queue = await open()
      t.same(await queue.plan(hours(24)), { planned: 24, added: 24 })
      t.same(await queue.plan(hours(30)), { planned: 30, added: 6 }, 'what is there stays as it is')
      t.match(await queue.status(), {
        total: 30,
        waiting: 30,
        active: 0,
        completed: 0,
        failed: 0,
        paused: false,
      })
      const { sink, done } = windowSink()
      const workers = [work({ queue, sink }), work({ queue, sink })]
      const progress: unknown[] = []
      for (const worker of workers) worker.on('progress', (one) => progress.push(one))
      await Promise.all(workers.map((worker) => worker.done))
      t.same(
        done.sort(),
        hours(30).map(({ start }) => start),
      )
      t.match(progress[0], { window: { id: String }, rowsIn: 2, rowsOut: 2, retries: 0 })
      t.match(await queue.status(), { total: 30, waiting: 0, completed: 30, rate: Number, secondsLeft: 0 })
      t.same(
        await queue.plan(hours(30)),
        { planned: 30, added: 0 },
        'completed windows are the plan of record',
      )
    })

    await t.test('rows of a bounded source are reported once, by the worker', async (t) => {
      const path = join(t.testdir({ 'a.ndjson': '{"n":1}\n{"n":2}\n' }), 'a.ndjson')
      const queue = await open()
      await queue.plan(hours(3))
      const published: unknown[] = []
      const take = (message: unknown) => (message as { id: string }).id === path && published.push(message)
      subscribe('cyber-connectors:source-window', take)
      t.teardown(() => unsubscribe('cyber-connectors:source-window', take))
      let reported = 0
      const worker = work({ queue, source: () => new FilesReadable({ path }), sink: windowSink().sink })
      worker.on('progress', ({ rowsIn }) => {
        reported += rowsIn
      })
      await worker.done
      t.equal(reported, 6)
      t.same(published, [])
      await new FilesReadable({ path }).toArray()
      t.match(published, [{ connector: 'files', rows: 2 }], 'a stream by itself reports its own')
    })

    await t.test('a queue belongs to one job', async (t) => {
      const queue = await open()
      await queue.plan(hours(1))
      const other = await openQueue({ url, name: queue.name, identity: { connector: 'memory', query: 'U' } })
      t.teardown(() => other.close())
      await t.rejects(other.plan(hours(1)), {
        code: 'ERR_CHECKPOINT',
        message: /has windows of another job: their query is "T", not "U"/,
      })
      const { sink, done } = windowSink()
      await t.rejects(work({ queue: other, sink }).done, { code: 'ERR_CHECKPOINT', message: /another job/ })
      const source = { readSlice: rows, identity: { connector: 'memory', query: 'V' } }
      await t.rejects(work({ queue, source, sink }).done, { code: 'ERR_CHECKPOINT' })
      t.same(done, [])
      t.match(await queue.status(), { waiting: 1, active: 0, failed: 0, paused: false }, 'it is given back')
    })

    await t.test('a malformed or forged job fails alone, and the worker goes on', async (t) => {
      const queue = await open()
      const [first, ...others] = hours(3)
      const payloads: unknown[] = [
        {},
        null,
        { window: null, identity },
        { window: { id: 7 }, identity },
        { window: first, identity: { query: 1 } },
        { window: first, identity: null },
        // Well formed, and none of the source's.
        { window: { id: 'x', start: 'a', end: 'b' }, identity },
      ]
      for (const data of payloads) await queue.bull.add('window', data)
      t.same(await queue.plan(others), { planned: 2, added: 2 }, 'they say nothing of whose queue it is')
      const source = {
        readSlice: rows,
        identity,
        planner: { check: (window: PlainWindow) => void windowOf(window) },
      }
      const { sink, done } = windowSink()
      const worker = work({ queue, source, sink })
      const failed: string[] = []
      worker.on('failed', ({ error }) => failed.push(error.message))
      await worker.done
      t.equal(done.length, 2)
      t.equal(failed.length, payloads.length)
      t.equal(failed.filter((text) => text.includes('holds no window')).length, payloads.length - 1)
      t.ok(failed.some((text) => text.includes('not a window')))
      t.match(await queue.status(), { completed: 2, failed: payloads.length, paused: false })
      t.equal((await queue.failed()).length, payloads.length, 'and they can be listed')
    })

    await t.test('the wait that is announced is the one that happens', async (t) => {
      const queue = await open()
      await queue.plan(hours(1))
      let tries = 0
      const { sink, done } = windowSink(() => (++tries < 3 ? new Error('own') : undefined))
      const worker = work({ queue, sink })
      const waits: { announced: number; since: number }[] = []
      worker.on('retry', ({ wait }) => waits.push({ announced: wait, since: performance.now() }))
      let last = 0
      worker.on('progress', () => {
        last = performance.now()
      })
      await worker.done
      t.equal(done.length, 1)
      t.same(waits.map(({ announced }) => announced), [1000, 2000]) // biome-ignore format: short
      t.ok(waits[1]!.since - waits[0]!.since >= 1000)
      t.ok(last - waits[1]!.since >= 2000)
    })

    await t.test('await using tells of a failure once', async (t) => {
      const fatal = () => new ConnectorError('ERR_AUTH', 'the token was refused')
      const failing = async () => {
        const queue = await open()
        await queue.plan(hours(1))
        return work({ queue, sink: windowSink(fatal).sink })
      }
      const reported = async () => {
        await using worker = await failing()
        await worker.done
      }
      await t.rejects(reported(), { name: 'WindowError', code: 'ERR_AUTH' }, 'by done, not by disposal again')
      const own = new Error('own')
      const both = async () => {
        await using worker = await failing()
        await worker.done.catch(() => {})
        throw own
      }
      t.equal(await both().catch((error) => error), own, 'nor is an error of the block hidden by it')
    })

    await t.test('what a plan was laid from is kept with it', async (t) => {
      const queue = await open()
      t.equal(await queue.plannedFrom(), undefined)
      await queue.plan(hours(2), { range: 'the last two hours' })
      t.same(await queue.plannedFrom(), { range: 'the last two hours' })
      const { sink } = windowSink()
      await work({ queue, sink }).done
      t.same(await queue.plannedFrom(), { range: 'the last two hours' }, 'also once all are done')
      await queue.clear()
      t.match(await queue.status(), { total: 0 })
      t.equal(await queue.plannedFrom(), undefined)
      t.same(await queue.plan(hours(1)), { planned: 1, added: 1 })
    })

    await t.test('a window that will never go through fails alone, and may be put back', async (t) => {
      const queue = await open()
      await queue.plan(hours(5))
      let refuse = true
      const { sink, done } = windowSink(({ start }) =>
        refuse && start.includes('T02') ? new ConnectorError('ERR_REJECTED', 'row 7 is refused') : undefined,
      )
      const worker = work({ queue, sink })
      const failed: string[] = []
      worker.on('failed', ({ window }) => failed.push(window.start))
      await worker.done
      t.equal(done.length, 4)
      t.same(failed, ['2024-05-01T02:00:00.000Z'])
      t.match(await queue.status(), { completed: 4, failed: 1, paused: false })
      t.match(await queue.failed(), [
        {
          window: { start: failed[0] },
          reason: /^ERR_REJECTED: the sink failed in the window .*row 7 is refused/,
        },
      ])
      refuse = false
      t.equal(await queue.retry(), 1)
      await work({ queue, sink }).done
      t.equal(done.length, 5)
      t.match(await queue.status(), { completed: 5, failed: 0 })
    })

    await t.test('a service that is away holds all workers, and no window fails', async (t) => {
      const queue = await open()
      await queue.plan(hours(6))
      let away = 30
      const { sink, done } = windowSink(() =>
        away-- > 0
          ? new ConnectorError('ERR_DELIVERY', 'gave up', { status: 503, retryAfter: 20 })
          : undefined,
      )
      const worker = work({ queue, sink })
      const returned: { wait: number; holdAll: boolean }[] = []
      worker.on('retry', (one) => returned.push(one))
      await worker.done
      t.equal(done.length, 6)
      t.equal(returned.length, 30)
      t.ok(returned.every(({ holdAll, wait }) => holdAll && wait >= 20))
      t.match(await queue.status(), { completed: 6, failed: 0 })
    })

    await t.test(
      'a fault of the connection in a sink of the user delays its window; others go on',
      async (t) => {
        const queue = await open()
        await queue.plan(hours(4))
        let resets = 12
        const { sink, done } = windowSink(({ start }) =>
          start.includes('T00') && resets-- > 0
            ? Object.assign(new Error('reset'), { code: 'ECONNRESET' })
            : undefined,
        )
        await work({ queue, sink }).done
        t.equal(done.length, 4)
        t.equal(
          done.at(-1),
          '2024-05-01T00:00:00.000Z',
          'more often than a window is tried for an unknown error',
        )
      },
    )

    await t.test('a wrong token: nothing fails, the queue is paused, the worker ends', async (t) => {
      const queue = await open()
      await queue.plan(hours(10))
      let right = false
      const { sink, done } = windowSink(() =>
        right ? undefined : new ConnectorError('ERR_AUTH', 'the token is refused', { status: 401 }),
      )
      const workers = [work({ queue, sink }), work({ queue, sink })]
      const ends = Promise.allSettled(workers.map(({ done }) => done))
      await Promise.any(workers.map(({ done }) => done.catch(() => {})))
      for (const worker of workers) worker.stop().catch(() => {})
      const refused = (await ends).filter(({ status }) => status === 'rejected')
      t.match(refused[0], { reason: { code: 'ERR_AUTH', verdict: 'fatal' } })
      t.match(await queue.status(), { waiting: 10, active: 0, completed: 0, failed: 0, paused: true })
      right = true
      await queue.resume()
      await work({ queue, sink }).done
      t.equal(done.length, 10)
      t.match(await queue.status(), { completed: 10, failed: 0, paused: false })
    })

    await t.test('a worker that is stopped hands its windows back at once', async (t) => {
      const queue = await open()
      await queue.plan(hours(3))
      let begun = () => {}
      const under = new Promise<void>((resolve) => {
        begun = resolve
      })
      const stuck = work({
        queue,
        source: () => {
          begun()
          return new Readable({ objectMode: true, read() {} })
        },
        sink: windowSink().sink,
      })
      await under
      await stuck.stop()
      t.match(await queue.status(), { waiting: 3, active: 0, delayed: 0, failed: 0 })
      const { sink, done } = windowSink()
      await work({ queue, sink }).done
      t.equal(done.length, 3)
    })

    await t.test('never more windows under way than the queue allows, over all workers', async (t) => {
      const queue = await open({ concurrency: 3 })
      await queue.plan(hours(24))
      let under = 0
      let most = 0
      const sink = () =>
        new Writable({
          objectMode: true,
          construct(callback) {
            most = Math.max(most, ++under)
            callback()
          },
          write: (_row, _encoding, callback) => setImmediate(callback),
          final(callback) {
            under--
            callback()
          },
        })
      await Promise.all([1, 2, 3, 4].map(() => work({ queue, sink, windows_in_flight: 5 }).done))
      t.ok(most <= 3, `${most} at once`)
      t.match(await queue.status(), { completed: 24 })
    })

    await t.test('the server is killed and started again: nothing is lost', async (t) => {
      const queue = await open()
      await queue.plan(hours(12))
      const { sink, done } = windowSink()
      const worker = work({ queue, sink, lock_seconds: 1 })
      await once(worker, 'progress')
      await service.kill()
      await service.start()
      await worker.done
      t.equal(new Set(done).size, 12)
      t.match(await queue.status(), { completed: 12, failed: 0 })
    })
  })
}

t.test('bad input', { buffered: true }, async (t) => {
  await t.rejects(openQueue({ url: 'http://secret@host', rate: 0, concurrency: 'x', name: 'a:b' } as never), {
    code: 'ERR_OPTION',
    problems: [
      /^url: expected a redis:\/\/, rediss:\/\/ or postgres:\/\/ URL, got a secret string$/,
      /^rate/,
      /^concurrency/,
      /^name: may not hold ":"/,
    ],
  })
  for (const url of ['postgres://u:secret-word@127.0.0.1:1/x', 'redis://u:secret-word@127.0.0.1:1']) {
    const error = await openQueue({ url }).catch((reason: Error) => reason as Error & { cause: Error })
    t.match(error, {
      code: 'ERR_CHECKPOINT',
      message: /the queue cyber-connectors can't be opened: .*ECONNREFUSED/,
    })
    t.notMatch(JSON.stringify(error) + (error as Error).stack + String((error as Error).cause), /secret-word/)
  }
  t.throws(() => startWorker({ queue: {}, source: {}, sink: 1, lock_seconds: 0 } as never), {
    code: 'ERR_OPTION',
    problems: [/^queue/, /^source/, /^sink/, /^lock_seconds/],
  })
})
