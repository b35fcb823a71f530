import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import t from 'tap'
import { AzureMonitorStreamReadable } from '../../../lib/connectors/azure-monitor/azure-monitor-stream-readable.ts'
import { formatInstant, fromDate, parseInstant, ticksPerSecond } from '../../../lib/core/time.ts'
import { startEmulators } from '../../../lib/emulators/index.ts'
import type { QueryProgress } from '../../../lib/streaming/query-events.ts'
import { streamingQuery } from '../../../lib/streaming/streaming-query.ts'

const columns = [
  { name: 'TimeGenerated', type: 'datetime' },
  { name: 'Id', type: 'long' },
] as const
const begin = parseInstant('2024-05-01T00:00:00Z')!
const after = (seconds: number) => formatInstant(begin + BigInt(Math.round(seconds * 1e7)))
/** `count` rows, so many seconds apart. */
const rowsEvery = (seconds: number, count: number, first = 0) =>
  Array.from({ length: count }, (_, index) => [after((first + index) * seconds), first + index])

const services = await startEmulators()

/** Waits until a stream is closed, whatever it failed with. */
async function closed(stream: AzureMonitorStreamReadable): Promise<void> {
  if (!stream.closed) await new Promise((resolve) => stream.once('close', resolve))
}

let tables = 0
/** A table of its own for each test, and the options to read it. */
function table(rows: readonly unknown[][] = [], ingestedAt?: (row: unknown) => string) {
  const name = `T${++tables}`
  services.logAnalytics.addTable(name, columns, rows, ingestedAt && { ingestedAt })
  const { ca, entra, logAnalytics } = services
  const options = {
    workspace_id: 'w',
    query: name,
    start_time: after(0),
    available_now: true,
    tenant_id: entra.tenant_id,
    client_id: entra.client_id,
    client_secret: entra.client_secret,
    authority_host: entra.url,
    endpoint: logAnalytics.url,
    ca,
    initial_backoff: 0.001,
    partition_duration: 365 * 86_400,
  }
  const queries = () => logAnalytics.queries.filter(({ query }) => query.includes(name))
  return { name, options, queries }
}

const ids = (rows: unknown[]) => rows.map((row) => Number((row as { Id: number }).Id))
const upTo = (count: number, from = 0) => Array.from({ length: count - from }, (_, index) => from + index)

t.test('available_now: every row once, window by window, to the 100 ns', async (t) => {
  const { options, name, queries } = table([
    [after(0), 0],
    [after(9.9999999), 1],
    [after(10), 2],
    [after(10.0000001), 3],
    [after(29.9999999), 4],
    [after(30), 5],
  ])
  services.logAnalytics.append(name, [[formatInstant(fromDate(Date.now() + 60_000)), 99]])
  const stream = new AzureMonitorStreamReadable({
    ...options,
    partition_duration: 10,
    start_time: after(0),
    max_in_flight: 2,
  })
  t.equal(stream.offset, undefined)
  const windows: [string, number][] = []
  stream.on('window', ({ start, rows }) => windows.push([start, rows]))
  const schemas: unknown[] = []
  stream.on('schema', (schema) => schemas.push(schema))
  const rows: unknown[] = []
  for await (const row of stream) {
    rows.push(row)
    if (rows.length === 6) stream.stop()
  }
  t.same(ids(rows), upTo(6))
  t.same(windows, [
    [after(0), 2],
    [after(10), 2],
    [after(20), 1],
    [after(30), 1],
  ])
  t.same(schemas, [{ table: 'PrimaryResult', columns }], 'the columns are told once')
  t.same(stream.offset, { timestamp: after(40) })
  t.match(stream.stats, { rows: 6, retries: 0 })
  t.ok(queries().length <= 5, 'one window is read ahead')
  await t.rejects(stream.commit(), { code: 'ERR_CHECKPOINT', message: /checkpointLocation was not given/ })

  const rest = new AzureMonitorStreamReadable({ ...options, start_time: stream.offset!.timestamp })
  t.same(await rest.toArray(), [], 'an offset may be stored anywhere and begun from')
  const lag = Date.now() - Date.parse(rest.offset!.timestamp)
  t.ok(lag >= 300_000 && lag < 400_000, 'it ends where the lag says')
})

t.test('offsets', async (t) => {
  const { options, name } = table([
    [after(7.1234567), 0],
    [after(3.1234567), 1],
  ])
  const offsets = async (over: object) => {
    const stream = new AzureMonitorStreamReadable({ ...options, ...over })
    const both = [
      await stream.initialOffset(),
      await stream.planner.latestOffset(new AbortController().signal),
    ] as const
    stream.destroy()
    return both
  }
  t.same((await offsets({}))[0], { timestamp: after(0) })
  t.same((await offsets({ start_time: 'earliest', datetime: 'string' }))[0], { timestamp: after(3.1234567) })
  const [earliest] = await offsets({ start_time: 'Earliest' })
  t.ok(parseInstant(earliest.timestamp)! <= parseInstant(after(3.1234567))!, 'not later than the first row')
  const [latest, until] = await offsets({ start_time: 'latest', safety_lag_seconds: '120' })
  t.ok(Math.abs(Date.parse(latest.timestamp) - Date.now()) < 10_000)
  t.ok(Math.abs(Date.parse(until.timestamp) + 120_000 - Date.now()) < 10_000)
  const [none] = await offsets({ start_time: 'earliest', query: `${name} | where Id > 5` })
  t.ok(
    Math.abs(Date.parse(none.timestamp) + 300_000 - Date.now()) < 10_000,
    'no row yet: not older than the lag',
  )
  await t.rejects(offsets({ start_time: 'earliest', query: 'NoSuchTable' }), { code: 'ERR_QUERY' })
  const all = await new AzureMonitorStreamReadable({ ...options, start_time: 'earliest' }).toArray()
  t.equal(all.length, 2)
})

t.test('what was committed does not come again; what was not does', async (t) => {
  const checkpointLocation = t.testdir()
  const { options, name } = table(rowsEvery(1, 25))
  const make = (over = {}) => new AzureMonitorStreamReadable({ ...options, checkpointLocation, ...over })
  const taken: unknown[] = []
  const sink = () =>
    new Writable({
      objectMode: true,
      write(row, _encoding, callback) {
        taken.push(row)
        callback()
      },
    })

  const failing = make()
  const bad = new Writable({
    objectMode: true,
    write: (_row, _encoding, callback) => callback(),
    final: (callback) => callback(new Error('the sink is down')),
  })
  await t.rejects(pipeline(failing, bad), { message: 'the sink is down' })

  const first = make()
  await t.rejects(first.commit(), { code: 'ERR_CHECKPOINT', message: /not come to its end/ })
  await pipeline(first, sink())
  t.same(ids(taken.splice(0)), upTo(25), 'rows of a pipeline that failed come again')
  t.equal((await readdir(checkpointLocation)).length, 2, 'the lock is given back at the end')
  const offset = await first.commit()
  t.ok(Date.now() - Date.parse(offset.timestamp) < 400_000)
  t.same(await first.commit(), offset, 'twice does no harm')

  const second = make({ start_time: after(3) })
  await pipeline(second, sink())
  t.same(taken, [], 'the checkpoint counts, not start_time')
  const until = await second.commit()

  const recent = formatInstant(parseInstant(until.timestamp)! + 1n)
  services.logAnalytics.append(name, [[recent, 25]])
  const third = make({ safety_lag_seconds: 0 })
  await pipeline(third, sink())
  await third.commit()
  t.same(ids(taken), [25])
})

t.test('windows are committed by id while the stream goes on, and it can be stopped', async (t) => {
  const checkpointLocation = t.testdir()
  const { options, name } = table(rowsEvery(1, 5))
  const stream = new AzureMonitorStreamReadable({
    ...options,
    checkpointLocation,
    available_now: false,
    poll_interval_seconds: 0.05,
    safety_lag_seconds: 0,
  })
  const windows: string[] = []
  stream.on('window', ({ id }) => windows.push(id))
  const taken: unknown[] = []
  stream.on('data', (row) => taken.push(row))
  const [{ wait }] = (await once(stream, 'idle')) as [{ wait: number }]
  t.ok(wait >= 0 && wait <= 50)
  await new Promise<void>((resolve) => {
    const poll = () => {
      if (windows.length > 1) resolve()
      else stream.once('idle', poll)
    }
    poll()
  })
  await t.rejects(stream.commit('2999-01-01T00:00:00.000Z/2999-01-02T00:00:00.000Z'), {
    code: 'ERR_CHECKPOINT',
  })
  t.equal((await stream.commit(windows[0])).timestamp, windows[0]!.split('/')[1])
  services.logAnalytics.append(name, [[formatInstant(fromDate(Date.now() + 50)), 5]])
  while (taken.length < 6) await once(stream, 'window')
  const ended = once(stream, 'end')
  stream.stop()
  await ended
  t.same(ids(taken), upTo(6))
  t.same(await stream.commit(), stream.offset)
  const next = new AzureMonitorStreamReadable({ ...options, checkpointLocation })
  t.same(await next.toArray(), [])
})

t.test('rows that arrive hours late', async (t) => {
  const now = Date.now()
  const ago = (minutes: number) => formatInstant(fromDate(now - minutes * 60_000))
  // Generated over eight hours, each taken in a minute later.
  const rows = upTo(48).map((index) => [ago(480 - index * 10), index])
  const arrived = (row: unknown) => formatInstant(parseInstant((row as string[])[0]!)! + 60n * ticksPerSecond)
  const { options, name, queries } = table(rows, arrived)
  const common = { ...options, start_time: ago(600), safety_lag_seconds: 0, partition_duration: 3600 }
  const directory = t.testdir()
  const byArrival = {
    ...common,
    window_by: 'ingestion_time',
    checkpointLocation: `${directory}/arrival`,
  } as const
  const byTime = { ...common, checkpointLocation: `${directory}/time` }
  const run = async (over: ConstructorParameters<typeof AzureMonitorStreamReadable>[0]) => {
    const stream = new AzureMonitorStreamReadable(over)
    const rows = await stream.toArray()
    await stream.commit()
    return ids(rows)
  }
  t.same(
    (await run(byArrival)).sort((a, b) => a - b),
    upTo(48),
  )
  t.same(await run(byTime), upTo(48))
  t.match(queries()[0], {
    query: new RegExp(`^${name}\n\\| where ingestion_time\\(\\) >= datetime\\(`),
    from: fromDate(now - (600 * 60 + 3 * 86_400) * 1000),
  })

  services.logAnalytics.append(name, [
    [ago(300), 100],
    [ago(479), 101],
  ])
  t.same(await run(byArrival), [100, 101], 'each comes, once')
  t.same(await run(byArrival), [])
  t.same(await run(byTime), [], 'windows over TimeGenerated are past them')

  await t.test('through names that the query refers to', async (t) => {
    const query = `${name} | extend Arrived = ingestion_time() | where Arrived >= window_start and Arrived < window_end | project Id`
    t.same(
      (await run({ ...byArrival, query, checkpointLocation: t.testdir() })).sort((a, b) => a - b),
      [...upTo(48), 100, 101],
      'the result need not have the timestamp column',
    )
  })

  await t.test('in results too large, and from the first there is', async (t) => {
    services.logAnalytics.maxRows = 4
    t.teardown(() => {
      services.logAnalytics.maxRows = 500_000
    })
    const stream = new AzureMonitorStreamReadable({
      ...byArrival,
      start_time: 'earliest',
      partition_duration: 14_400,
      checkpointLocation: undefined,
    })
    t.same(
      ids(await stream.toArray()).sort((a, b) => a - b),
      [...upTo(48), 100, 101],
    )
    t.ok(stream.stats.splits > 5)
  })
})

t.test('options', async (t) => {
  const { options } = table()
  const make = (over: object) => () => new AzureMonitorStreamReadable({ ...options, ...over })
  t.throws(make({ window_by: 'ingestion_time', query: 'union A, B' }), {
    code: 'ERR_OPTION',
    message: /query: window_by "ingestion_time" needs a query that begins with a table's name.*window_start/,
  })
  t.throws(
    make({
      window_by: 'ingestion_time',
      start_time: 'earliest',
      query: 'union A, B | where ingestion_time() between (window_start .. window_end)',
    }),
    { message: /"earliest" needs a query that begins with a table's name/ },
  )
  const wrong = { start_time: 'soon', timespan: 'P1D', safety_lag_seconds: -1, poll_interval_seconds: 0 }
  t.throws(make(wrong), {
    code: 'ERR_OPTION',
    problems: [
      /start_time: .*"latest" or "earliest"/,
      /"timespan"/,
      /safety_lag_seconds/,
      /poll_interval_seconds/,
    ],
  })
  const stream = make({ checkpoint_location: '/x' })()
  t.match(stream, { checkpointLocation: '/x', pollInterval: 60, availableNow: true })
  t.match(stream.identity, { connector: 'azure-monitor', workspace_id: 'w', window_by: 'timestamp_column' })
  t.throws(() => stream.readSlice({ id: 'x', start: 'a', end: 'b' }), { code: 'ERR_CHECKPOINT' })
})

t.test('failure and destruction leave the checkpoint usable and free', async (t) => {
  const checkpointLocation = t.testdir()
  const { options, name } = table(rowsEvery(1, 3000))
  const make = (over = {}) => new AzureMonitorStreamReadable({ ...options, checkpointLocation, ...over })

  await t.test('destroyed while rows come', async (t) => {
    const stream = make()
    for await (const _ of stream) break
    t.ok(stream.destroyed)
    await closed(stream)
    t.notOk((await readdir(checkpointLocation)).some((file) => file.startsWith('lock')))
    await t.rejects(stream.commit(), { code: 'ERR_CHECKPOINT' })
  })

  await t.test('destroyed before and right after it was read', async (t) => {
    const unread = make()
    unread.destroy()
    await closed(unread)
    const opening = make()
    opening.read(0)
    opening.destroy()
    await closed(opening)
    const controller = new AbortController()
    const aborted = make({ signal: controller.signal })
    setImmediate(() => controller.abort())
    await t.rejects(aborted.toArray(), { name: 'AbortError' })
    await closed(aborted)
  })

  await t.test('destroyed while it waits', async (t) => {
    const stream = make({ available_now: false, poll_interval_seconds: 1e6, checkpointLocation: t.testdir() })
    stream.resume()
    await once(stream, 'idle')
    stream.destroy()
    await closed(stream)
  })

  await t.test('a second stream of the same process', async (t) => {
    const holder = make({ available_now: false, poll_interval_seconds: 1e6 })
    holder.resume()
    await once(holder, 'idle')
    await t.rejects(make().toArray(), { code: 'ERR_CHECKPOINT', message: /\(this one\)/ })
    holder.destroy()
    await closed(holder)
    await t.rejects(make({ query: `${name} | take 1` }).toArray(), {
      message: /belongs to another query.*give it as start_time/,
    })
  })

  await t.test('a failed query, then a good one', async (t) => {
    services.logAnalytics.fail({ status: 503, match: 'query', times: 99 })
    await t.rejects(make({ max_retries: 2 }).toArray(), { code: 'ERR_QUERY', status: 503 })
    services.logAnalytics.clearFaults()
    const stream = make()
    t.same(ids(await stream.toArray()), upTo(3000))
    await stream.commit()
    t.equal(stream.readableEnded, true)
  })
})

t.test('as the source of a streaming query', async (t) => {
  const { options } = table(rowsEvery(1, 25))
  const source = new AzureMonitorStreamReadable({
    ...options,
    partition_duration: 10,
    start_time: after(0),
    available_now: false,
    poll_interval_seconds: 1000,
    checkpointLocation: t.testdir(),
  })
  services.logAnalytics.fail({ status: 429, match: /query/, after: 1, times: 2 })
  const taken: unknown[] = []
  const query = streamingQuery({
    source,
    transform: () =>
      async function* (rows) {
        for await (const row of rows) if (Number(row['Id']) % 5 === 0) yield row
      },
    sink: () =>
      new Writable({
        objectMode: true,
        write(row, _encoding, callback) {
          taken.push(row)
          callback()
        },
      }),
  })
  const progress: QueryProgress[] = []
  for await (const one of query) {
    progress.push(one)
    if (progress.length === 3) query.stop().catch(() => {})
  }
  t.same(ids(taken), [0, 5, 10, 15, 20])
  t.same(
    progress.slice(0, 3).map(({ rowsIn, rowsOut }) => [rowsIn, rowsOut]),
    [
      [10, 2],
      [10, 2],
      [5, 1],
    ],
  )
  t.equal(
    progress.reduce((sum, { retries }) => sum + retries, 0),
    2,
    'repeated requests are counted with their window',
  )
  t.equal(source.stats.rows >= 25, true)
  t.equal(source.offset, undefined, 'the stream itself was not read')
})

t.test('a streaming query outlasts a service that is away, and not one that refuses', async (t) => {
  const { options } = table(rowsEvery(1, 5))
  const outcome = async (wrong: object) => {
    const query = streamingQuery({
      source: new AzureMonitorStreamReadable({ ...options, ...wrong, max_retries: 0 }),
      sink: () => new Writable({ objectMode: true }),
      checkpointLocation: t.testdir(),
      max_retries: 1,
      initial_backoff: 0.001,
    })
    return query.done.then(
      () => ({}),
      ({ code, part, attempts }) => ({ code, part, attempts }),
    )
  }
  const nowhere = 'https://127.0.0.1:9'
  t.same(await outcome({ endpoint: nowhere }), { code: 'ERR_QUERY', part: 'source', attempts: 2 })
  t.same(await outcome({ authority_host: nowhere }), { code: 'ERR_AUTH', part: 'source', attempts: 2 })
  services.entra.fail({ status: 503, match: '/token', times: 2 })
  t.same(await outcome({}), { code: 'ERR_AUTH', part: 'source', attempts: 2 })
  t.same(await outcome({ client_secret: 'wrong' }), { code: 'ERR_AUTH', part: 'source', attempts: 1 })
})

t.test('the services end', () => services.close())
