import { channel } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { appendFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import t, { type Test } from 'tap'
import { startEmulators } from '../../lib/emulators/index.ts'
import {
  FilesStreamReadable,
  planWindows,
  type RejectedEvent,
  RestWritable,
  runWindow,
  streamingQuery,
} from '../../lib/index.ts'
import { type MetricsOptions, type MetricsServer, serveMetrics } from '../../lib/metrics/index.ts'
import { reportQuery } from '../../lib/streaming/query-events.ts'
import { inEachRow, WatchedQuery } from '../fixtures/watched-query.ts'

async function serve(t: Test, options: MetricsOptions = {}): Promise<MetricsServer> {
  const metrics = await serveMetrics({ listen: 0, ...options })
  t.teardown(() => metrics.close())
  return metrics
}

/** The samples of our metrics, by name and labels as they are told. */
async function scrape({ url }: MetricsServer): Promise<Record<string, number>> {
  const response = await fetch(`${url}/metrics`)
  const lines = (await response.text()).split('\n').filter((line) => line.startsWith('cyber_connectors_'))
  return Object.fromEntries(
    lines.map((line) => [line.slice(17, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]),
  )
}

async function ask({ url }: MetricsServer, path: string) {
  const response = await fetch(url + path)
  return { status: response.status, body: (await response.json()) as { status: string; reasons: string[] } }
}

/** The states that a page is sent, until it has enough. */
async function* states({ url }: MetricsServer) {
  const response = await fetch(`${url}/events`)
  let text = ''
  for await (const chunk of response.body!) {
    text += Buffer.from(chunk).toString()
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      yield JSON.parse(text.slice('data: '.length, end))
      text = text.slice(end + 2)
    }
  }
}

t.test('a query from its start to its end, for Prometheus', async (t) => {
  const watched = await WatchedQuery.start(t)
  const { hec } = watched
  const metrics = await serve(t)
  hec.fail({ status: 503, times: 2 }, { status: 429, retryAfter: 0 })
  hec.failRow(3, 6)
  watched.trial.service.fail({ status: 503 })
  const query = watched.run({ batch_size: 10, max_in_flight: 1 })
  await watched.idle(query)
  const told = await scrape(metrics)
  t.match(told, {
    'rows_read_total{connector="azure-monitor"}': 600,
    'rows_delivered_total{connector="splunk"}': 599,
    'rows_rejected_total{connector="splunk"}': 1,
    'rows_rejected_by_reason_total{connector="splunk",reason="400, code 6"}': 1,
    'retries_total{connector="splunk",side="sink"}': 3,
    'retries_by_reason_total{connector="splunk",side="sink",reason="503"}': 2,
    'retries_by_reason_total{connector="splunk",side="sink",reason="429"}': 1,
    'retries_by_reason_total{connector="azure-monitor",side="source",reason="503"}': 1,
    'windows_total{connector="azure-monitor",outcome="done"}': 60,
    'windows_total{connector="azure-monitor",outcome="failed"}': 0,
    'state{connector="azure-monitor",state="caught up"}': 1,
    'state{connector="azure-monitor",state="failed"}': 0,
    'window_duration_seconds_count{connector="azure-monitor"}': 60,
    'in_flight{connector="splunk"}': 0,
  })
  t.ok(told['bytes_delivered_total{connector="splunk"}']! > 599 * 30)
  t.ok(told['lag_seconds{connector="azure-monitor"}']! > 1_000_000, 'it lies years back')
  t.equal(told['batch_duration_seconds_count{connector="splunk"}'], told['batches_total{connector="splunk"}'])
  t.match(await (await fetch(`${metrics.url}/metrics`)).text(), /^process_cpu_seconds_total /m)

  for await (const state of states(metrics)) {
    t.match(state, { first: true, totals: { rowsIn: 600, rowsOut: 599, rejected: 1, retries: 4 } })
    t.match(state.queries, [{ source: 'azure-monitor', state: 'caught up', windows: 60 }])
    t.equal(state.windows.length, 60)
    t.match(state.windows[0], { state: 'done', rowsIn: 10, window: /^2024-05-01T00:00:00.000Z to / })
    t.strictSame(state.refusals, [{ connector: 'splunk', reason: '400, code 6', rows: 1 }])
    t.notMatch(JSON.stringify(state), inEachRow, 'no row content')
    const { entra, hec } = watched.trial.emulators
    for (const secret of [entra.client_secret, hec.token]) t.notMatch(JSON.stringify(state), secret)
    break
  }
  await query.stop()
  t.match(await ask(metrics, '/health'), { status: 200, body: { status: 'ok', reasons: [] } })
})

t.test('a page is sent what is new, once', async (t) => {
  const watched = await WatchedQuery.start(t)
  const metrics = await serve(t)
  const query = watched.run()
  const windows: string[] = []
  let told = 0
  for await (const state of states(metrics)) {
    t.equal(state.first, told++ === 0)
    windows.push(...state.windows.map(({ window }: { window: string }) => window))
    if (windows.length >= 60 && told > 1) break
  }
  t.equal(windows.length, 60)
  t.equal(new Set(windows).size, 60)
  await query.stop()
})

t.test('health and readiness say why not', async (t) => {
  const watched = await WatchedQuery.start(t)
  const metrics = await serve(t)
  t.match(await ask(metrics, '/ready'), { status: 200 }, 'nothing runs, nothing is wrong')
  const query = watched.run()
  t.match(await ask(metrics, '/ready'), {
    status: 503,
    body: { reasons: ['the query of azure-monitor waits for its checkpoint'] },
  })
  await watched.idle(query)
  t.match(await ask(metrics, '/ready'), { status: 200 })
  await query.stop()

  const other = await WatchedQuery.start(t)
  const failing = other.run({ token: '00000000-0000-0000-0000-00000000dead' })
  await t.rejects(failing.done, { code: 'ERR_AUTH' })
  const { status, body } = await ask(metrics, '/health')
  t.equal(status, 503)
  t.match(body.reasons, [/^the query of azure-monitor has failed: .*token/i])
  t.notMatch(JSON.stringify(body), 'dead')
  t.match(await ask(metrics, '/ready'), { status: 503 })
  for await (const state of states(metrics)) {
    t.match(state.queries.at(-1), { state: 'failed', error: /token/i })
    t.match(state.troubles, [{ kind: 'error', connector: 'azure-monitor' }])
    break
  }
})

t.test('streams without a query count too', async (t) => {
  const { trial } = await WatchedQuery.start(t)
  const metrics = await serve(t)
  const { rest, ca } = trial.emulators
  const source = trial.source({ num_partitions: 4 })
  await pipeline(source, new RestWritable({ url: rest.url, ca, batch_size: 100 }))
  await pipeline(Readable.from([{ a: 1 }]), new RestWritable({ url: rest.url, ca }))
  t.match(await scrape(metrics), {
    'rows_read_total{connector="azure-monitor"}': 600,
    'rows_delivered_total{connector="rest"}': 601,
    'batches_total{connector="rest"}': 7,
  })
})

t.test('how deep a queue is', async (t) => {
  let asked = 0
  const status = async () => ({
    waiting: 5,
    active: 2,
    delayed: 1,
    completed: 10,
    failed: ++asked,
    total: 19,
  })
  const metrics = await serve(t, { queue: { status } })
  const expected = {
    'queue_windows{state="waiting"}': 5,
    'queue_windows{state="active"}': 2,
    'queue_windows{state="delayed"}': 1,
    'queue_windows{state="completed"}': 10,
    'queue_windows{state="failed"}': 1,
  }
  t.match(await scrape(metrics), expected)
  t.match(await scrape(metrics), expected, 'a queue is not asked at each scrape')
  for await (const state of states(metrics)) {
    t.match(state.queue, { waiting: 5, failed: 1 })
    break
  }
})

t.test('what is served, and how', async (t) => {
  const metrics = await serve(t)
  const page = await fetch(`${metrics.url}/`)
  t.match(page.headers.get('content-security-policy'), /^default-src 'none'/)
  t.match(page.headers.get('content-type'), /^text\/html/)
  for (const path of ['/page.js', '/page.css', '/uplot.js', '/uplot.css'])
    t.equal((await fetch(metrics.url + path)).status, 200, path)
  for (const path of ['/nothing', '/../package.json', '/constructor', '/page.html'])
    t.equal((await fetch(metrics.url + path)).status, 404, path)
  t.equal((await fetch(metrics.url, { method: 'POST' })).status, 405)
  const { port } = new URL(metrics.url)
  const raw = connect(Number(port), '127.0.0.1')
  raw.end('GET /metrics?x=1 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n')
  t.match(String((await once(raw, 'data'))[0]), /^HTTP\/1.1 200/)

  await t.rejects(serveMetrics({ listen: Number(port) }), {
    code: 'ERR_LISTEN',
    message: `metrics: listen: can't listen on 127.0.0.1:${port} (EADDRINUSE)`,
  })
  for (const listen of ['', 'x', '127.0.0.1', '1:2:3', '70000', 'http://127.0.0.1:1'])
    await t.rejects(serveMetrics({ listen }), {
      message: /^metrics: listen: expected an address such as 127.0.0.1:9187, or a port, got /,
    })
  await t.rejects(serveMetrics({ queue: {} as never }), { message: /queue: expected a queue/ })

  const six = await serveMetrics({ listen: '[::1]:0' })
  t.match(six.url, /^http:\/\/\[::1\]:\d+$/)
  t.equal((await fetch(`${six.url}/health`)).status, 200)
  await six.close()
  await six.close()
})

t.test('closing ends the pages that are open', async (t) => {
  const metrics = await serve(t)
  const { body } = await fetch(`${metrics.url}/events`)
  const reader = body!.getReader()
  await reader.read()
  await metrics.close()
  await t.rejects(async () => {
    while (!(await reader.read()).done);
  })
})

t.test('series start at zero, and name the job', async (t) => {
  const metrics = await serve(t, { job: 'zeek', source: 'files', sink: 'splunk' })
  const job = 'job_name="zeek"'
  t.match(await scrape(metrics), {
    [`rows_read_total{connector="files",${job}}`]: 0,
    [`windows_total{connector="files",outcome="failed",${job}}`]: 0,
    [`rows_delivered_total{connector="splunk",${job}}`]: 0,
    [`rows_rejected_total{connector="splunk",${job}}`]: 0,
    [`retries_total{connector="splunk",side="sink",${job}}`]: 0,
  })
  t.match(
    await (await fetch(`${metrics.url}/metrics`)).text(),
    /^cyber_connectors_build_info\{version="\d[^"]*",node="v\d[^"]*",source="files",sink="splunk",job_name="zeek"\} 1$/m,
  )
})

t.test('a source of files lags only while something is left to deliver', async (t) => {
  const folder = t.testdir({ 'a.ndjson': '{"n":1}\n{"n":2}\n' })
  const metrics = await serve(t)
  await using emulators = await startEmulators()
  const { rest, ca } = emulators
  const query = streamingQuery({
    source: new FilesStreamReadable({ path: folder, poll_interval_seconds: 0.05 }),
    sink: () => new RestWritable({ url: rest.url, ca, max_retry_seconds: 60, initial_backoff: 0.01 }),
    checkpointLocation: join(folder, '.offsets'),
  })
  const lag = async () => (await scrape(metrics))['lag_seconds{connector="files"}']
  await once(query, 'idle')
  t.equal(await lag(), 0)
  for await (const { queries, standing } of states(metrics)) {
    t.match(queries, [{ state: 'caught up', lag: 0, offset: 'a.ndjson: 16 B of 16 B' }])
    t.match(standing, { state: 'caught up', text: 'waiting for new rows', unready: [] })
    break
  }
  rest.fail({ status: 503, body: 'in maintenance', retryAfter: 2 })
  appendFileSync(join(folder, 'a.ndjson'), '{"n":3}\n')
  for await (const { queries, standing } of states(metrics)) {
    if (queries[0].state === 'caught up') continue
    t.match(queries, [{ state: 'retrying' }])
    t.match(standing, { state: 'retrying', text: /rest: 503: .*in maintenance/ })
    break
  }
  t.ok((await lag())! > 0)
  await once(query, 'idle')
  t.equal(await lag(), 0)
  await query.stop()
})

t.test('the time of day is set on and back: durations do not follow it', async (t) => {
  const { now } = Date
  let shift = 0
  Date.now = () => now() + shift
  t.teardown(() => {
    Date.now = now
  })
  const metrics = await serve(t)
  await using emulators = await startEmulators()
  const { rest, ca } = emulators
  const folder = t.testdir({ 'a.ndjson': '{"n":1}\n' })
  const query = streamingQuery({
    source: new FilesStreamReadable({ path: folder, poll_interval_seconds: 0.05 }),
    sink: () => new RestWritable({ url: rest.url, ca, max_retry_seconds: 60, initial_backoff: 0.01 }),
    checkpointLocation: join(folder, '.offsets'),
  })
  await once(query, 'idle')
  rest.fail({ status: 503, retryAfter: 1 })
  appendFileSync(join(folder, 'a.ndjson'), '{"n":2}\n')
  for await (const { standing } of states(metrics)) if (standing.state === 'retrying') break
  for (const hours of [5, -5]) {
    shift = hours * 3_600_000
    t.match(await ask(metrics, '/ready'), { status: 200 }, `${hours} h`)
    const lag = (await scrape(metrics))['lag_seconds{connector="files"}']!
    t.ok(lag > 0 && lag < 3600, `${hours} h: a lag of ${lag} s`)
  }
  await once(query, 'idle')
  await query.stop()
})

t.test('a window that a function reads counts once', async (t) => {
  const { trial } = await WatchedQuery.start(t)
  const metrics = await serve(t)
  const [window] = planWindows({ start_time: '2024-05-01T00:00:00Z', end_time: '2024-05-01T00:10:00Z' })
  const query = {}
  const source = trial.source({ window: window!, start_time: undefined, end_time: undefined })
  const { rowsIn, rowsOut } = await runWindow(window!, {
    source: () => source,
    sink: () => new Writable({ objectMode: true, write: (_row, _encoding, done) => done() }),
  })
  t.equal(rowsIn, 100)
  // As a worker reports it.
  reportQuery(query, undefined, 'progress', { window: window!, rowsIn, rowsOut, duration: 1, retries: 0 })
  const read = Object.entries(await scrape(metrics)).filter(([name]) => name.startsWith('rows_read_total'))
  t.equal(
    read.reduce((sum, [, rows]) => sum + rows, 0),
    100,
  )
})

t.test('codes of a server make few series, and short ones', async (t) => {
  const metrics = await serve(t)
  const rejected = channel('cyber-connectors:rejected')
  for (let code = 0; code < 1000; code++) {
    const message = {
      connector: 'rest',
      row: {},
      status: 400,
      code: `${code}${'x'.repeat(20_000)}`,
      text: '',
    }
    rejected.publish(message satisfies RejectedEvent)
  }
  const text = await (await fetch(`${metrics.url}/metrics`)).text()
  t.ok(text.length < 50_000, `${text.length} bytes`)
  const series = await scrape(metrics)
  t.equal(Object.keys(series).filter((name) => name.startsWith('rows_rejected_by_reason')).length, 51)
  t.match(series, {
    'rows_rejected_total{connector="rest"}': 1000,
    'rows_rejected_by_reason_total{connector="rest",reason="other"}': 950,
  })
  for await (const state of states(metrics)) {
    t.ok(JSON.stringify(state).length < 50_000)
    break
  }
})

t.test('on the loopback address it answers its own names only', async (t) => {
  const metrics = await serve(t)
  const { port } = new URL(metrics.url)
  const answer = async (text: string) => {
    const socket = connect(Number(port), '127.0.0.1')
    socket.write(text)
    const [head] = await once(socket, 'data')
    socket.destroy()
    return String(head).split('\r\n')[0]
  }
  for (const host of ['localhost', '127.0.0.1', `localhost:${port}`, `127.0.0.1:${port}`, `[::1]:${port}`])
    t.equal(await answer(`GET /health HTTP/1.1\r\nhost: ${host}\r\n\r\n`), 'HTTP/1.1 200 OK', host)
  for (const host of ['evil.example', `evil.example:${port}`, 'localhost.evil.example', ''])
    t.equal(
      await answer(`GET /health HTTP/1.1\r\nhost: ${host}\r\n\r\n`),
      'HTTP/1.1 421 Misdirected Request',
      host,
    )
})

t.test('pages have places, and one socket takes one of them', async (t) => {
  const metrics = await serve(t)
  const { port } = new URL(metrics.url)
  t.equal((await fetch(`${metrics.url}/events`, { method: 'HEAD' })).status, 405)
  const greedy = connect(Number(port), '127.0.0.1')
  t.teardown(() => greedy.destroy())
  greedy.write('GET /events HTTP/1.1\r\nhost: localhost\r\n\r\n'.repeat(30))
  await once(greedy, 'data')
  const pages = await Promise.all(Array.from({ length: 19 }, () => fetch(`${metrics.url}/events`)))
  t.strictSame([...new Set(pages.map(({ status }) => status))], [200], '19 places are left')
  t.equal((await fetch(`${metrics.url}/events`)).status, 503)
  await Promise.all(pages.map(({ body }) => body!.cancel()))
})
