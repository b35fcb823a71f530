import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { Transform, Writable } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { Checkpoint } from '../../lib/checkpoint/checkpoint.ts'
import { ConnectorError } from '../../lib/core/errors.ts'
import { windowCourse } from '../../lib/source/windows.ts'
import type { QueryProgress } from '../../lib/streaming/query-events.ts'
import { type StreamingQuery, streamingQuery } from '../../lib/streaming/streaming-query.ts'
import { MemorySource } from '../fixtures/memory-source.ts'
import { AlertReadable } from '../fixtures/page-source.ts'

/** Makes sinks that keep what they take, and fail as they are told. */
function memorySink() {
  const taken: { at: number }[] = []
  const failures: (Error | undefined)[] = []
  let made = 0
  const sink = () => {
    made++
    const failure = failures.shift()
    return new Writable({
      objectMode: true,
      write(row, _encoding, callback) {
        taken.push(row)
        callback()
      },
      final(callback) {
        callback(failure)
      },
    })
  }
  return { sink, taken, failures, made: () => made, ats: () => taken.map(({ at }) => at) }
}

const seconds = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => from + index)
const at = (second: number) => new Date(Date.parse('2024-05-01T00:00:00Z') + second * 1000).toISOString()
const quick = { initial_backoff: 0.001 }

t.test('all that is there goes through window by window, and the next run goes on after it', async (t) => {
  const checkpointLocation = t.testdir()
  const source = new MemorySource(35)
  const { sink, ats, made } = memorySink()
  const query = streamingQuery({ source, sink, checkpointLocation })
  t.equal(query.offset, undefined)
  const progress: QueryProgress[] = []
  for await (const one of query) progress.push(one)
  await query.done
  t.same(ats(), seconds(0, 35))
  t.equal(made(), 4, 'a sink for each window')
  t.same(
    progress.map(({ window, rowsIn, rowsOut, attempts, retries }) => [
      window.start,
      rowsIn,
      rowsOut,
      attempts,
      retries,
    ]),
    [
      [at(0), 10, 10, 1, 0],
      [at(10), 10, 10, 1, 0],
      [at(20), 10, 10, 1, 0],
      [at(30), 5, 5, 1, 0],
    ],
  )
  t.same(query.offset, { timestamp: at(35) })
  t.match(progress.at(-1), { offset: { timestamp: at(35) }, lag: Number, duration: Number })
  t.ok(Math.abs(progress.at(-1)!.lag! - (Date.now() - Date.parse(at(35)))) < 60_000)

  source.start = 7
  source.rows.push({ at: 36 })
  source.now = 40
  await streamingQuery({ source, sink, checkpointLocation }).done
  t.same(ats(), [...seconds(0, 35), 36])
  await streamingQuery({ source, sink, checkpointLocation }).done
  t.equal(source.asked.length, 5, 'nothing new, nothing asked')
  t.equal((await readdir(checkpointLocation)).length, 2, 'no lock is left')
})

t.test('a transform may drop, add and change rows', async (t) => {
  const run = async (transform: Parameters<typeof streamingQuery>[0]['transform'], expected: unknown[]) => {
    const { sink, taken } = memorySink()
    const query = streamingQuery({
      source: new MemorySource(12),
      transform,
      sink,
      checkpointLocation: t.testdir(),
    })
    const progress: QueryProgress[] = []
    query.on('progress', (one) => progress.push(one))
    await query.done
    t.same(taken, expected)
    t.equal(
      progress.reduce((sum, one) => sum + one.rowsIn, 0),
      12,
    )
    t.equal(
      progress.reduce((sum, one) => sum + one.rowsOut, 0),
      expected.length,
    )
  }
  const even = () =>
    new Transform({
      objectMode: true,
      transform(row, _encoding, callback) {
        callback(null, row.at % 2 === 0 ? row : undefined)
      },
    })
  await run(
    () =>
      async function* (rows) {
        for await (const row of rows)
          if (row['at'] === 3)
            yield* [
              { first: true, ...row },
              { second: true, ...row },
            ]
      },
    [
      { first: true, at: 3 },
      { second: true, at: 3 },
    ],
  )
  await run(
    even,
    [0, 2, 4, 6, 8, 10].map((second) => ({ at: second })),
  )
  await run(
    (window) => [
      even(),
      async function* (rows) {
        for await (const row of rows) yield { ...row, window: window.start }
      },
    ],
    [0, 2, 4, 6, 8, 10].map((second) => ({ at: second, window: at(second < 10 ? 0 : 10) })),
  )
  await run(() => async function* () {}, [])
})

t.test('a transform that returns early drops the rest of the window', async (t) => {
  const { sink, ats } = memorySink()
  const transform = () => [
    async function* (rows: AsyncIterable<Record<string, unknown>>) {
      let left = 2
      for await (const row of rows) {
        yield row
        if (--left === 0) return
      }
    },
    async function* (rows: AsyncIterable<Record<string, unknown>>) {
      for await (const row of rows) {
        yield row
        break
      }
    },
  ]
  const source = new MemorySource(30)
  const query = streamingQuery({ source, transform, sink, checkpointLocation: t.testdir() })
  for await (const { rowsIn, rowsOut } of query) t.same([rowsIn, rowsOut], [10, 1])
  t.same(ats(), [0, 10, 20])
})

t.test('a transform that fails ends the query with the window uncommitted', async (t) => {
  for (const [how, transform] of Object.entries({
    generator: () =>
      async function* (rows: AsyncIterable<Record<string, unknown>>) {
        for await (const row of rows) {
          if (row['at'] === 15) throw new Error('no fifteens')
          yield row
        }
      },
    stream: () =>
      new Transform({
        objectMode: true,
        transform: (row, _encoding, callback) =>
          callback(row.at === 15 ? new Error('no fifteens') : null, row),
      }),
    'making it': (window: unknown) => {
      if ((window as { start: string }).start === at(10)) throw new Error('no fifteens')
      return []
    },
  })) {
    const checkpointLocation = t.testdir()
    const { sink, made } = memorySink()
    const query = streamingQuery({
      source: new MemorySource(30),
      transform,
      sink,
      checkpointLocation,
      ...quick,
    })
    await t.rejects(
      query.done,
      {
        name: 'StreamingError',
        code: 'ERR_TRANSFORM',
        part: 'transform',
        message: new RegExp(
          `the transform failed in the window ${at(10)}/${at(20)}; the query stands at ${at(10)}: no`,
        ),
        offset: { timestamp: at(10) },
        window: { start: at(10), end: at(20) },
        attempts: 1,
        cause: { message: 'no fifteens' },
      },
      how,
    )
    t.ok(made() <= 2)
    t.same(query.offset, { timestamp: at(10) })
    const left = await Checkpoint.open(checkpointLocation, { connector: 'memory', query: 'T' }, windowCourse)
    t.equal(left.planned[0]?.start, left.offset?.timestamp)
    await left.close()
  }
})

t.test('a sink that fails', async (t) => {
  await t.test('gets the window again, whole, until it is through', async (t) => {
    const source = new MemorySource(20)
    const { sink, ats, failures } = memorySink()
    failures.push(undefined, new Error('down'), new ConnectorError('ERR_DELIVERY', 'still down'))
    const query = streamingQuery({ source, sink, checkpointLocation: t.testdir(), ...quick })
    const retries: unknown[] = []
    query.on('retry', ({ window, part, error, attempts, wait }) =>
      retries.push([window.start, part, error.message, attempts, wait <= attempts]),
    )
    const progress: QueryProgress[] = []
    for await (const one of query) progress.push(one)
    t.same(retries, [
      [at(10), 'sink', 'down', 1, true],
      [at(10), 'sink', 'still down', 2, true],
    ])
    t.same(
      progress.map(({ attempts }) => attempts),
      [1, 3],
    )
    t.same(ats(), [...seconds(0, 10), ...seconds(10, 20), ...seconds(10, 20), ...seconds(10, 20)])
  })

  await t.test('is told from a transform before it, also where it only closes', async (t) => {
    const { sink, failures, ats } = memorySink()
    const transform = () =>
      async function* (rows: AsyncIterable<Record<string, unknown>>) {
        yield* rows
      }
    for (const fail of [undefined, new Error('down')]) {
      let first = true
      const query = streamingQuery({
        source: new MemorySource(20),
        transform,
        checkpointLocation: t.testdir(),
        sink() {
          if (!first) return sink()
          first = false
          if (fail) failures.push(fail)
          if (fail) return sink()
          const closing = new Writable({
            objectMode: true,
            write() {
              closing.destroy()
            },
          })
          return closing
        },
        ...quick,
      })
      const parts: string[] = []
      query.on('retry', ({ part }) => parts.push(part))
      await query.done
      t.same(parts, ['sink'])
      t.same([...new Set(ats())], seconds(0, 20))
    }
    const source = new MemorySource(20)
    source.failures.push(new ConnectorError('ERR_QUERY', 'throttled', { status: 429 }))
    const query = streamingQuery({ source, transform, sink, checkpointLocation: t.testdir(), ...quick })
    const parts: string[] = []
    query.on('retry', ({ part }) => parts.push(part))
    await query.done
    t.same(parts, ['source'])
  })

  await t.test('ends the query when attempts run out', async (t) => {
    const { sink, failures, made } = memorySink()
    failures.push(...Array(9).fill(new ConnectorError('ERR_DELIVERY', 'down', { connector: 'splunk' })))
    const query = streamingQuery({
      source: new MemorySource(20),
      sink,
      checkpointLocation: t.testdir(),
      max_retries: '2',
      ...quick,
    })
    await t.rejects(query.done, {
      code: 'ERR_DELIVERY',
      connector: 'splunk',
      part: 'sink',
      attempts: 3,
      offset: { timestamp: at(0) },
      message: /after 3 attempts; the query stands at/,
    })
    t.equal(made(), 3)
  })

  await t.test('for good ends it at once', async (t) => {
    for (const code of ['ERR_REJECTED', 'ERR_AUTH', 'ERR_OPTION'] as const) {
      const { sink, failures, made } = memorySink()
      failures.push(new ConnectorError(code, 'no'))
      const query = streamingQuery({ source: new MemorySource(5), sink, checkpointLocation: t.testdir() })
      await t.rejects(query.done, { code, attempts: 1 })
      t.equal(made(), 1)
    }
  })

  await t.test('by being made wrong is told clearly', async (t) => {
    const { sink } = memorySink()
    const only = sink()
    for (const [make, message] of [
      [() => only, /make a new Writable for each window/],
      [() => 'x', /expected it to make a Writable/],
      [
        () => {
          throw new TypeError('no such index')
        },
        /no such index/,
      ],
    ] as const) {
      const query = streamingQuery({
        source: new MemorySource(20),
        sink: make as unknown as typeof sink,
        checkpointLocation: t.testdir(),
        max_retries: 0,
      })
      await t.rejects(query.done, { message, part: 'sink' })
    }
    for (const wrong of [() => [{}], () => [only]]) {
      const query = streamingQuery({
        source: new MemorySource(20),
        sink,
        transform: wrong as unknown as () => [],
        checkpointLocation: t.testdir(),
      })
      await t.rejects(query.done, { code: 'ERR_OPTION', part: 'transform' })
    }
  })
})

t.test('a source that fails', async (t) => {
  const source = new MemorySource(30)
  const { sink, ats } = memorySink()
  source.failures.push(new ConnectorError('ERR_QUERY', 'throttled', { status: 429 }))
  source.failures.push(Object.assign(new Error('reset'), { code: 'ECONNRESET' }))
  await streamingQuery({ source, sink, checkpointLocation: t.testdir(), ...quick }).done
  t.same([...new Set(ats())], seconds(0, 30))

  for (const error of [
    new ConnectorError('ERR_QUERY', 'no such table', { status: 400 }),
    new ConnectorError('ERR_RESULT_TOO_LARGE', 'too large'),
  ]) {
    const wrong = new MemorySource(30)
    wrong.failures.push(error)
    const query = streamingQuery({ source: wrong, sink, checkpointLocation: t.testdir(), ...quick })
    await t.rejects(query.done, { code: error.code, part: 'source', attempts: 1 })
  }
})

t.test('windows are read ahead, a bounded number of them, and commits stay in order', async (t) => {
  const source = new MemorySource(100)
  let ahead = 0
  const sink = () =>
    new Writable({
      objectMode: true,
      write: (_row, _encoding, callback) => callback(),
      final(callback) {
        const delivered = query.offset ? (Date.parse(query.offset.timestamp) - Date.parse(at(0))) / 10_000 : 0
        const enough = async () => {
          while (source.asked.length < Math.min(10, delivered + 4)) await turn()
          ahead = Math.max(ahead, source.asked.length - delivered)
        }
        enough().then(() => callback(), callback)
      },
    })
  const query: StreamingQuery = streamingQuery({
    source,
    sink,
    checkpointLocation: t.testdir(),
    read_ahead: 3,
  })
  const committed: string[] = []
  query.on('progress', ({ window, offset }) => {
    committed.push(window.start)
    t.equal(offset.timestamp, window.end)
  })
  await query.done
  t.same(committed, [...committed].sort())
  t.equal(committed.length, 10)
  t.equal(ahead, 4)
})

t.test('triggers', async (t) => {
  await t.test('once: one window, then the end', async (t) => {
    const checkpointLocation = t.testdir()
    const source = new MemorySource(25)
    const { sink, ats } = memorySink()
    for (const upTo of [10, 20, 25, 25]) {
      await streamingQuery({ source, sink, checkpointLocation, trigger: 'once' }).done
      t.same(ats(), seconds(0, upTo))
    }
    t.equal(source.asked.length, 3)
  })

  await t.test('an interval: what is new, again and again, until it is stopped', async (t) => {
    const source = new MemorySource(25)
    const { sink, ats } = memorySink()
    const query = streamingQuery({
      source,
      sink,
      checkpointLocation: t.testdir(),
      trigger: { interval_seconds: 0.01 },
    })
    const [{ wait }] = (await once(query, 'idle')) as [{ wait: number }]
    t.ok(wait >= 0 && wait <= 10)
    t.same(ats(), seconds(0, 25))
    source.rows.push({ at: 28 })
    source.now = 30
    await once(query, 'progress')
    source.now = 20
    await once(query, 'idle')
    await once(query, 'idle')
    await query.stop()
    t.same(ats(), [...seconds(0, 25), 28])
  })

  await t.test('none: as the source says', async (t) => {
    const source = new MemorySource(5)
    source.availableNow = false
    source.pollInterval = 1e9
    source.checkpointLocation = t.testdir()
    const { sink, ats } = memorySink()
    const query = streamingQuery({ source, sink })
    await once(query, 'idle')
    t.same(ats(), seconds(0, 5))
    await query.stop()
  })
})

t.test('the end', async (t) => {
  /** A sink whose first row is held until it is let go. */
  function heldSink() {
    const taken: unknown[] = []
    let letGo = () => {}
    let held: (value: unknown) => void
    const reached = new Promise((resolve) => {
      held = resolve
    })
    const sink = () =>
      new Writable({
        objectMode: true,
        write(row, _encoding, callback) {
          taken.push(row)
          if (taken.length > 1) return callback()
          letGo = callback
          held(undefined)
        },
      })
    return { sink, taken, reached, letGo: () => letGo() }
  }

  await t.test('stop() finishes the window under way and leaves those read ahead', async (t) => {
    const checkpointLocation = t.testdir()
    const source = new MemorySource(50)
    const { sink, taken, reached, letGo } = heldSink()
    const query = streamingQuery({ source, sink, checkpointLocation, read_ahead: 2 })
    await reached
    const stopped = query.stop()
    letGo()
    await stopped
    t.equal(taken.length, 10)
    t.same(query.offset, { timestamp: at(10) })
    await turn()
    t.ok(
      source.streams.every((stream) => stream.destroyed),
      'nothing is left open',
    )
    const rest = memorySink()
    await streamingQuery({ source, sink: rest.sink, checkpointLocation }).done
    t.same(rest.ats(), seconds(10, 50))
  })

  await t.test('a signal ends it at once, and the window comes again', async (t) => {
    const checkpointLocation = t.testdir()
    const source = new MemorySource(20)
    const { sink, reached } = heldSink()
    const controller = new AbortController()
    const query = streamingQuery({ source, sink, checkpointLocation, signal: controller.signal })
    await reached
    controller.abort(new Error('enough'))
    await t.rejects(query.done, { name: 'AbortError', code: 'ABORT_ERR', cause: { message: 'enough' } })
    const rest = memorySink()
    await streamingQuery({ source, sink: rest.sink, checkpointLocation }).done
    t.same(rest.ats(), seconds(0, 20))
    const late = streamingQuery({ source, sink, checkpointLocation, signal: controller.signal })
    await t.rejects(late.done, { name: 'AbortError' }, 'aborted before it began')
    await (await Checkpoint.open(checkpointLocation, source.identity, windowCourse)).close()
  })

  await t.test('await using reports a failure once, with its code', async (t) => {
    const refuse = () =>
      new Writable({
        objectMode: true,
        write: (_row, _encoding, callback) => callback(new ConnectorError('ERR_REJECTED', 'no')),
      })
    const make = () =>
      streamingQuery({ source: new MemorySource(5), sink: refuse, checkpointLocation: t.testdir() })
    const ways: Record<string, () => Promise<void>> = {
      async done() {
        await using query = make()
        await query.done
      },
      async iterating() {
        await using query = make()
        for await (const _ of query);
      },
    }
    for (const [how, run] of Object.entries(ways))
      await t.rejects(run(), { name: 'StreamingError', code: 'ERR_REJECTED' }, how)

    const source = new AlertReadable({
      url: 'http://127.0.0.1:9/',
      token: 'x',
      start_time: 'earliest',
      max_retries: 0,
    })
    const reading = async () => {
      await using rows = source
      for await (const _ of rows);
    }
    await t.rejects(reading(), { name: 'QueryError', code: 'ERR_QUERY' }, 'a source')
  })

  await t.test('await using stops it', async (t) => {
    const source = new MemorySource(20)
    source.availableNow = false
    const { sink } = memorySink()
    let query: StreamingQuery
    {
      await using inside = streamingQuery({ source, sink, checkpointLocation: t.testdir() })
      query = inside
      await once(query, 'idle')
    }
    t.same(query.offset, { timestamp: at(20) })
    await query.done
  })

  await t.test('stop() while a sink is down does not wait for its next attempt', async (t) => {
    const { sink, failures } = memorySink()
    failures.push(new Error('down'))
    const query = streamingQuery({
      source: new MemorySource(20),
      sink,
      checkpointLocation: t.testdir(),
      initial_backoff: 1e6,
      max_backoff: 1e6,
    })
    await once(query, 'retry')
    await t.rejects(query.stop(), { code: 'ERR_DELIVERY', message: /down/ })
  })

  await t.test('who iterates sees the error', async (t) => {
    const { sink, failures } = memorySink()
    failures.push(undefined, new ConnectorError('ERR_REJECTED', 'bad row'))
    const query = streamingQuery({ source: new MemorySource(20), sink, checkpointLocation: t.testdir() })
    let windows = 0
    await t.rejects(
      (async () => {
        for await (const _ of query) windows++
      })(),
      { code: 'ERR_REJECTED' },
    )
    t.equal(windows, 1)
  })

  await t.test('who stops iterating leaves the query running', async (t) => {
    const { sink, ats } = memorySink()
    const query = streamingQuery({ source: new MemorySource(20), sink, checkpointLocation: t.testdir() })
    for await (const _ of query) break
    await query.done
    t.same(ats(), seconds(0, 20))
    t.equal(query.listenerCount('progress'), 0)
  })

  await t.test('who stops iterating has not silenced what fails later', async (t) => {
    const failing = () => {
      const { sink, failures } = memorySink()
      failures.push(undefined, new ConnectorError('ERR_REJECTED', 'bad row'))
      return streamingQuery({ source: new MemorySource(20), sink, checkpointLocation: t.testdir() })
    }
    const asked = failing()
    for await (const _ of asked) break
    await t.rejects(asked.done, { code: 'ERR_REJECTED' }, 'who has done hears of it')

    const shared = failing()
    const other = (async () => {
      for await (const _ of shared);
    })()
    for await (const _ of shared) break
    await t.rejects(other, { code: 'ERR_REJECTED' }, 'who still iterates hears of it')

    const failed = failing()
    const left = (async () => {
      for await (const _ of failed) {
        await failed.done.catch(() => {})
        break
      }
    })()
    await t.rejects(left, { code: 'ERR_REJECTED' }, 'who leaves a query that has failed hears of it')

    const program = `
      import { Readable, Writable } from 'node:stream'
      import { streamingQuery } from ${JSON.stringify(new URL('../../dist/index.js', import.meta.url))}
      const offset = (second) => ({ timestamp: new Date(second * 1000).toISOString() })
      const query = streamingQuery({
        source: {
          connector: 'own', identity: {}, pollInterval: 60, availableNow: true,
          initialOffset: async () => offset(0),
          planner: {
            latestOffset: async () => offset(20),
            *slices(from, until) {
              for (let at = Date.parse(from.timestamp) / 1000; at * 1000 < Date.parse(until.timestamp); at += 10) {
                const [start, end] = [offset(at).timestamp, offset(at + 10).timestamp]
                yield { id: start + '/' + end, start, end }
              }
            },
            advance: (from, { end }) => ({ timestamp: end }),
          },
          readSlice: ({ start }) => Readable.from([{ start }]),
        },
        transform: ({ start }) => start === offset(0).timestamp ? [] : async function* () { throw new Error('no tens') },
        sink: () => new Writable({ objectMode: true, write: (row, encoding, callback) => callback() }),
        checkpointLocation: ${JSON.stringify(t.testdir())},
      })
      for await (const { rowsOut } of query) { console.log(rowsOut); break }`
    const { status, stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
      encoding: 'utf8',
    })
    t.match({ status, stdout }, { status: 1, stdout: '1\n' }, 'nobody: the process ends with it')
    t.match(stderr, /StreamingError: the transform failed .*no tens/)
  })
})

t.test('a checkpoint that is held or belongs to another query', async (t) => {
  const checkpointLocation = t.testdir()
  const source = new MemorySource(20)
  const { sink, made } = memorySink()
  const holder = await Checkpoint.open(checkpointLocation, source.identity, windowCourse)
  await t.rejects(streamingQuery({ source, sink, checkpointLocation }).done, {
    code: 'ERR_CHECKPOINT',
    message: /held by process/,
  })
  await holder.begin({ timestamp: at(0) })
  await holder.close()
  const other = Object.assign(new MemorySource(20), { identity: { connector: 'memory', query: 'U' } })
  await t.rejects(streamingQuery({ source: other, sink, checkpointLocation }).done, {
    message: /another query/,
  })
  t.equal(made(), 0)
})

t.test('a checkpoint that fails on the way ends the query', async (t) => {
  const checkpointLocation = t.testdir()
  const { sink } = memorySink()
  const query = streamingQuery({ source: new MemorySource(100), sink, checkpointLocation })
  query.once('progress', () => rmSync(checkpointLocation, { recursive: true }))
  await t.rejects(query.done, { code: 'ERR_CHECKPOINT', message: /lock .* is gone/ })
})

t.test('wrong options', async (t) => {
  t.throws(
    () =>
      streamingQuery({
        source: {},
        sink: 1,
        transform: async function* () {},
        trigger: 'twice',
        read_ahead: -1,
        cores: 4,
      } as never),
    {
      code: 'ERR_OPTION',
      problems: [
        /source: expected a source/,
        /sink: expected a function/,
        /transform: .*put "\(\) =>"/,
        /trigger/,
        /read_ahead/,
        /"cores"/,
      ],
    },
  )
  const { sink } = memorySink()
  const source = new MemorySource()
  t.throws(() => streamingQuery({ source, sink }), { message: /checkpointLocation: is required/ })
  source.checkpointLocation = '/one'
  t.throws(() => streamingQuery({ source, sink, checkpointLocation: '/two' }), { message: /differs/ })
  for (const trigger of [{ interval_seconds: 0 }, { seconds: 1 }, {}, 'x', 7] as never[]) {
    t.throws(() => streamingQuery({ source, sink, trigger }), { message: /trigger|interval_seconds/ })
  }
})
