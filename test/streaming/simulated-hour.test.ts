import { once } from 'node:events'
import { syncBuiltinESMExports } from 'node:module'
import { Writable } from 'node:stream'
import { mock } from 'node:test'
import t from 'tap'
import { DirectoryStore } from '../../lib/checkpoint/directory-store.ts'
import { AzureMonitorStreamReadable } from '../../lib/connectors/azure-monitor/azure-monitor-stream-readable.ts'
import { formatInstant, fromDate } from '../../lib/core/time.ts'
import { createCertificateAuthority, LogAnalyticsEmulator } from '../../lib/emulators/index.ts'
import { type StreamingQuery, streamingQuery } from '../../lib/streaming/streaming-query.ts'

const minute = 60_000
const lag = 300_000

t.test('an hour, and the half hour after it, with rows that arrive late', async (t) => {
  const authority = await createCertificateAuthority()
  const logs = new LogAnalyticsEmulator({ tls: await authority.issue() })
  await logs.start()
  const start = Date.now()
  mock.timers.enable({ apis: ['setTimeout', 'Date'], now: start })
  syncBuiltinESMExports()
  // The monotonic clock goes with the simulated one: the waits between two looks are its.
  t.intercept(performance, 'now', { value: () => Date.now() })
  t.teardown(() => {
    mock.timers.reset()
    syncBuiltinESMExports()
  })

  // Every five seconds a row: one in ten comes some minutes late, still within the lag, one in fifty later than that.
  const rows = Array.from({ length: 720 }, (_, id) => {
    const generated = start + id * 5000 + (id % 7)
    const delay = id % 50 === 0 ? lag + minute + Math.random() * 20 * minute : id % 10 === 0 ? Math.random() * (lag - 1000) : Math.random() * 5000 // biome-ignore format: a choice
    return { id, generated, arrived: Math.floor(generated + delay) }
  })
  logs.addTable(
    'T',
    [
      { name: 'TimeGenerated', type: 'datetime' },
      { name: 'Id', type: 'long' },
    ],
    rows.map(({ id, generated }) => [formatInstant(fromDate(generated)), id]),
    { ingestedAt: (_row, index) => formatInstant(fromDate(rows[index]!.arrived)) },
  )

  const directory = t.testdir()
  const credential = { getToken: async () => ({ token: 'any', expiresOnTimestamp: Date.now() + minute }) }
  /** A query that is stopped and started anew again and again, and what it delivered. */
  function reader(window_by: 'timestamp_column' | 'ingestion_time', pollSeconds: number) {
    const ids: number[] = []
    const lags: number[] = []
    const begin = () => {
      const source = new AzureMonitorStreamReadable({
        workspace_id: 'w',
        query: 'T',
        endpoint: logs.url,
        ca: authority.ca,
        credential,
        window_by,
        start_time: new Date(start).toISOString(),
        partition_duration: 240,
        poll_interval_seconds: pollSeconds,
        safety_lag_seconds: lag / 1000,
        // Its clock is the simulated one too, which jumps from look to look: the lease outlasts all of a query.
        checkpoint: new DirectoryStore(`${directory}/${window_by}`, { lease_seconds: 3600 }),
      })
      const query = streamingQuery({
        source,
        sink: () =>
          new Writable({
            objectMode: true,
            write(row, _encoding, callback) {
              ids.push(Number(row.Id))
              callback()
            },
          }),
      })
      query.on('progress', (progress) => lags.push(progress.lag!))
      return query
    }
    return { ids, lags, begin }
  }
  const byTime = reader('timestamp_column', 60)
  const byArrival = reader('ingestion_time', 45)

  const idle = async (query: StreamingQuery) => {
    const [{ wait }] = (await once(query, 'idle')) as [{ wait: number }]
    return wait
  }
  let queries = [byTime.begin(), byArrival.begin()]
  let waits = await Promise.all(queries.map(idle))
  for (let restart = start + 17 * minute; Date.now() < start + 92 * minute; ) {
    // To the next look of the one that looks first.
    const next = Math.ceil(Math.min(...waits)) + 1
    const due = queries.map((query, index) => (waits[index]! <= next ? idle(query) : undefined))
    waits = waits.map((wait) => wait - next)
    mock.timers.tick(next)
    waits = await Promise.all(waits.map((wait, index) => due[index] ?? wait))
    if (Date.now() < restart) continue
    restart += 17 * minute
    await Promise.all(queries.map((query) => query.stop()))
    queries = [byTime.begin(), byArrival.begin()]
    waits = await Promise.all(queries.map(idle))
  }
  await Promise.all(queries.map((query) => query.stop()))
  await logs.close()

  t.same(
    byArrival.ids.toSorted((a, b) => a - b),
    rows.map(({ id }) => id),
    'by arrival: every row, once',
  )
  const inTime = rows.filter(({ generated, arrived }) => arrived - generated < lag).map(({ id }) => id)
  const kept = new Set(byTime.ids)
  t.equal(kept.size, byTime.ids.length, 'by time: no row twice')
  t.same(
    inTime.filter((id) => !kept.has(id)),
    [],
    'by time: every row that came within the lag',
  )
  t.ok(kept.size < rows.length, 'and rows that came later than the lag are missed, as documented')
  for (const { lags } of [byTime, byArrival]) {
    t.ok(lags.length > 80, `${lags.length} windows`)
    t.ok(
      lags.every((one) => one >= lag),
      'no window ended nearer to now than the lag',
    )
  }
})
