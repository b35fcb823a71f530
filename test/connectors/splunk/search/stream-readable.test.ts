import { once } from 'node:events'
import { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import t from 'tap'
import { createStreamReadable, SplunkStreamReadable, streamingQuery } from '../../../../lib/index.ts'
import { addEvents, at, reach, startSplunk } from '../../../fixtures/splunk-events.ts'

const numbers = (rows: readonly Record<string, unknown>[]) => rows.map(({ n }) => Number(n))
const sorted = (rows: readonly Record<string, unknown>[]) => numbers(rows).sort((a, b) => a - b)
const upTo = (count: number) => Array.from({ length: count }, (_, n) => n)
/** A day that is long over, so that all windows may be read. */
const options = {
  start_time: at(0),
  partition_duration: 86_400,
  available_now: true,
  look_back_seconds: 'all',
} as const

t.test('events that arrive late are read, and once', async (t) => {
  const splunk = await startSplunk(t)
  const checkpointLocation = t.testdir()
  const make = () =>
    createStreamReadable('splunk', { ...reach(splunk), ...options, index: 'main', checkpointLocation })
  addEvents(
    splunk,
    upTo(10).map((n) => ({ time: n, n })),
  )
  const first = make()
  t.strictSame(sorted(await first.toArray()), upTo(10))
  await first.commit()
  const offset = new Date(String((first.offset as { timestamp: string }).timestamp)).getTime() / 1000
  // By their own time they lie in windows that are long read.
  const late = Date.parse(at(0)) / 1000
  addEvents(splunk, [
    { time: 3.5, indexed: offset - late + 1, n: 100 },
    { time: -1000, indexed: offset - late + 2, n: 101 },
  ])
  // The lag: they are due once it is over.
  const second = createStreamReadable('splunk', {
    ...reach(splunk),
    ...options,
    index: 'main',
    checkpointLocation,
    safety_lag_seconds: 0,
  })
  t.strictSame(sorted(await second.toArray()), [100, 101])
  await second.commit()
  const third = createStreamReadable('splunk', {
    ...reach(splunk),
    ...options,
    index: 'main',
    checkpointLocation,
    safety_lag_seconds: 0,
  })
  t.strictSame(await third.toArray(), [], 'what is committed does not come again')
})

t.test('without a commit the same window comes again, whole', async (t) => {
  const splunk = await startSplunk(t)
  const checkpointLocation = t.testdir()
  addEvents(
    splunk,
    upTo(10).map((n) => ({ time: n, n })),
  )
  const make = () =>
    new SplunkStreamReadable({ ...reach(splunk), ...options, index: 'main', checkpointLocation })
  t.strictSame(sorted(await make().toArray()), upTo(10))
  t.strictSame(sorted(await make().toArray()), upTo(10))
})

t.test('a checkpoint of another search is refused', async (t) => {
  const splunk = await startSplunk(t)
  const checkpointLocation = t.testdir()
  const make = (index: string) =>
    new SplunkStreamReadable({ ...reach(splunk), ...options, index, checkpointLocation })
  await make('main').toArray()
  await t.rejects(make('other').toArray(), { code: 'ERR_CHECKPOINT' })
})

t.test('windows abut at the second, by both readings of index_latest', async (t) => {
  for (const indexBounds of ['inclusive', 'exclusive'] as const) {
    const splunk = await startSplunk(t, { indexBounds })
    // Two events a second, by index time right on the ends of windows.
    addEvents(
      splunk,
      upTo(40).map((n) => ({ time: n / 3, indexed: Math.floor(n / 2), n })),
    )
    const now = Date.now() / 1000 - Date.parse(at(0)) / 1000
    const source = new SplunkStreamReadable({
      ...reach(splunk),
      index: 'main',
      start_time: at(0),
      available_now: true,
      partition_duration: 5,
      safety_lag_seconds: now - 30,
    })
    let windows = 0
    source.on('window', () => windows++)
    t.strictSame(sorted(await source.toArray()), upTo(40), indexBounds)
    t.ok(windows >= 5, `${windows} windows`)
  }
})

t.test('earliest begins at the first event that arrived', async (t) => {
  const splunk = await startSplunk(t)
  addEvents(
    splunk,
    upTo(10).map((n) => ({ time: 50 - n, indexed: 100 + n, n })),
  )
  const source = new SplunkStreamReadable({
    ...reach(splunk),
    ...options,
    index: 'main',
    start_time: 'earliest',
  })
  const offset = await source.initialOffset()
  t.strictSame(offset, { timestamp: at(100) })
  t.strictSame(sorted(await source.toArray()), upTo(10))
  const empty = new SplunkStreamReadable({
    ...reach(splunk),
    ...options,
    index: 'none',
    start_time: 'earliest',
  })
  t.strictSame(await empty.toArray(), [])
})

t.test('latest begins now', async (t) => {
  const splunk = await startSplunk(t)
  addEvents(
    splunk,
    upTo(10).map((n) => ({ time: n, n })),
  )
  const before = Date.now()
  const source = new SplunkStreamReadable({ ...reach(splunk), index: 'main', available_now: true })
  t.strictSame(await source.toArray(), [])
  const { timestamp } = (await source.initialOffset()) as { timestamp: string }
  t.ok(Date.parse(timestamp) >= before - 1)
  t.equal(splunk.searches.length, 0, 'with a lag there is no window yet')
})

t.test('events of the future and of long ago, as far as the options look', async (t) => {
  const splunk = await startSplunk(t)
  const month = 2_592_000
  addEvents(splunk, [
    { time: -month - 100, indexed: 1, n: 0 },
    { time: -month + 100, indexed: 1, n: 1 },
    { time: 172_900, indexed: 1, n: 2 },
    { time: 1000, indexed: 1, n: 3 },
  ])
  const read = {
    ...reach(splunk),
    ...options,
    look_back_seconds: 2_592_000,
    index: 'main',
    partition_duration: 60,
    safety_lag_seconds: Date.now() / 1000 - Date.parse(at(60)) / 1000,
  }
  t.strictSame(sorted(await new SplunkStreamReadable(read).toArray()), [1, 3])
  const all = { ...read, look_back_seconds: 'all', look_ahead_seconds: 'all' } as const
  t.strictSame(sorted(await new SplunkStreamReadable(all).toArray()), [0, 1, 2, 3])
})

t.test('a history that is loaded is older than the look-back: said once, with the number', async (t) => {
  const warnings: NodeJS.ErrnoException[] = []
  const warn = (warning: Error) => warnings.push(warning)
  process.on('warning', warn)
  t.teardown(() => process.off('warning', warn))
  const ours = async () => {
    // Warnings are emitted in the next turn.
    await new Promise((resolve) => setImmediate(resolve))
    const found = warnings.splice(0).filter(({ code }) => code === 'CYBER_CONNECTORS_OLD_EVENTS')
    return found.map(({ message }) => message)
  }
  const splunk = await startSplunk(t)
  const [month, hour] = [2_592_000, 3600]
  // Two months old, loaded over three hours; the first hour brings nothing at all.
  addEvents(
    splunk,
    upTo(1300).map((n) => ({ time: -2 * month + n, indexed: hour + n * 8, n })),
  )
  const { look_back_seconds: _, ...byDefault } = options
  const safety_lag_seconds = Date.now() / 1000 - Date.parse(at(5 * hour)) / 1000
  const read = { ...reach(splunk), ...byDefault, index: 'main', partition_duration: hour, safety_lag_seconds }
  t.same(await new SplunkStreamReadable(read).toArray(), [])
  t.same(await ours(), [
    'splunk: 1,300 events are older than 30 days at their arrival, and left out: look_back_seconds is 2592000; set look_back_seconds: all to read them',
  ])

  const whole = await new SplunkStreamReadable({ ...read, look_back_seconds: 'all' }).toArray()
  t.same([whole.length, await ours()], [1300, []], 'nothing is left out')
  const other = await new SplunkStreamReadable({ ...read, index: 'other' }).toArray()
  t.same([other, await ours()], [[], []], 'nothing is there')

  splunk.fail({
    match: ({ body }) => body.includes('stats+count+AS+events'),
    status: 400,
    body: '{"messages":[{"type":"FATAL","text":"Unknown search command"}]}',
  })
  t.same(await new SplunkStreamReadable(read).toArray(), [], 'that it can not be counted is no fault')
  t.same(await ours(), [])
  t.ok(
    splunk.requests.some(({ fault }) => fault?.status === 400),
    'it was tried',
  )
})

t.test('transforming searches are refused, unless they are allowed', async (t) => {
  const splunk = await startSplunk(t)
  addEvents(
    splunk,
    upTo(10).map((n) => ({ time: n, n })),
  )
  const read = { ...reach(splunk), ...options, query: 'search index=main | stats count by user' }
  for (const command of [
    'stats count',
    'timechart count',
    'dedup host',
    'head 5',
    'transaction user',
    'top user',
  ]) {
    t.throws(() => new SplunkStreamReadable({ ...read, query: `search index=main | ${command}` }), {
      code: 'ERR_OPTION',
      message: /allow_transforming_queries/,
    })
  }
  const rows = await new SplunkStreamReadable({
    ...read,
    allow_transforming_queries: true,
    safety_lag_seconds: 60,
  }).toArray()
  t.equal(
    rows.reduce((sum, { count }) => sum + Number(count), 0),
    10,
  )
  t.equal(splunk.searches[0]!.kind, 'job')
  t.equal(splunk.searches[0]!.indexEarliest, undefined)
  t.equal(splunk.jobCount, 0)
})

t.test('streamingQuery: window by window, each committed', async (t) => {
  const splunk = await startSplunk(t)
  const checkpointLocation = t.testdir()
  addEvents(
    splunk,
    upTo(30).map((n) => ({ time: n, n })),
  )
  const lag = Date.now() / 1000 - Date.parse(at(0)) / 1000 - 40
  const got: Record<string, unknown>[] = []
  const query = streamingQuery({
    source: new SplunkStreamReadable({
      ...reach(splunk),
      index: 'main',
      start_time: at(0),
      partition_duration: 10,
      safety_lag_seconds: lag,
    }),
    sink: () =>
      new Writable({
        objectMode: true,
        write(row, _encoding, callback) {
          got.push(row)
          callback()
        },
      }),
    checkpointLocation,
    trigger: 'available_now',
  })
  await query.done
  t.strictSame(sorted(got), upTo(30))
})

t.test('destroyed in mid-window: the search ends, nothing hangs', async (t) => {
  const splunk = await startSplunk(t)
  addEvents(
    splunk,
    upTo(5000).map((n) => ({ time: n / 1000, indexed: 5, n })),
  )
  const source = new SplunkStreamReadable({ ...reach(splunk), ...options, index: 'main' })
  await once(source, 'readable')
  source.destroy()
  await once(source, 'close')
  const failing = new SplunkStreamReadable({ ...reach(splunk), ...options, index: 'main' })
  const sink = new Writable({
    objectMode: true,
    write: (_row, _encoding, callback) => callback(new Error('full')),
  })
  await t.rejects(pipeline(failing, sink), { message: 'full' })
})
