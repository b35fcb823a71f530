import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { type PlainWindow, StreamReadable, type WindowOffset, WindowPlanner } from 'cyber-connectors/kit'
import t, { type Test } from 'tap'
import ts from 'typescript'
import { AlertReadable } from '../fixtures/page-source.ts'

const file = new URL('../fixtures/page-source.ts', import.meta.url)
const day = Date.parse('2026-01-01T00:00:00Z')
/** Rows a minute apart, so that many lie right on the end of a window. */
const alerts = Array.from({ length: 600 }, (_, id) => ({
  id,
  time: new Date(day + id * 60_000).toISOString(),
}))

/** A service that gives its alerts in pages of 7, and fails as it is told. */
async function service(t: Test, fault: (url: URL, requests: number) => number | 'reset' | undefined) {
  const seen = { requests: 0, underWay: 0, most: 0 }
  const server = createServer((request, response) => {
    const url = new URL(request.url!, 'http://x')
    const failure = fault(url, ++seen.requests)
    seen.most = Math.max(seen.most, ++seen.underWay)
    response.once('close', () => seen.underWay--)
    if (failure === 'reset') return void request.socket.destroy()
    if (failure !== undefined)
      return void response.writeHead(failure, { 'retry-after': '0.001' }).end(`no: ${failure}`)
    if (request.headers.authorization !== 'Bearer s3cret')
      return void response.writeHead(401).end('who is s3cret?')
    const page = Number(url.searchParams.get('page'))
    const [from, to] = ['from', 'to'].map((name) => url.searchParams.get(name)!)
    const found = alerts.filter(({ time }) => time >= (from ?? '') && time < (to ?? '~'))
    const rows = found.slice(page * 7, page * 7 + 7)
    response.end(JSON.stringify({ rows, ...(found.length > page * 7 + 7 && { next: page + 1 }) }))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.closeAllConnections())
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}/alerts`, seen }
}

const options = {
  token: 's3cret',
  start_time: '2026-01-01T00:00:00Z',
  partition_duration: 3600,
  available_now: true,
  initial_backoff: 0.001,
}

const range = { partition_duration: 3600, min_partition_seconds: 60 }
const settings = {
  max_in_flight: 1,
  poll_interval_seconds: 60,
  available_now: true,
  checkpointLocation: undefined,
  checkpoint: undefined,
  max_retry_seconds: 1,
  initial_backoff: 1,
  max_backoff: 1,
  highWaterMark: undefined,
  signal: undefined,
  emitClose: undefined,
  captureRejections: undefined,
}

t.test('the guide’s source is at most 70 lines', async (t) => {
  t.ok(readFileSync(file, 'utf8').trimEnd().split('\n').length <= 70)
})

t.test('pages, retries, halves and boundaries are the engine’s', async (t) => {
  const { url, seen } = await service(t, ({ searchParams }, requests) => {
    if (requests % 5 === 0) return 503
    if (requests % 7 === 0) return 'reset'
    // An hour is too much.
    const length = Date.parse(searchParams.get('to')!) - Date.parse(searchParams.get('from')!)
    return length > 1_800_000 ? 413 : undefined
  })
  // The clock has gone on since: a year of empty windows would only take time.
  const source = new AlertReadable({
    url,
    ...options,
    partition_duration: 36_000,
    poll_interval_seconds: 3600,
  })
  const ids: number[] = []
  source.on('window', ({ rows }) => rows > 0 && source.stop())
  for await (const row of source) ids.push((row as { id: number }).id)
  t.same(
    ids,
    alerts.map(({ id }) => id),
  )
  t.ok(source.stats.splits > 0)
  t.ok(source.stats.retries > 0)
  t.ok(seen.most <= 2, 'max_in_flight')
})

t.test('it starts at the first row there is', async (t) => {
  const { url } = await service(t, (_url, requests) => (requests === 1 ? 503 : undefined))
  const source = new AlertReadable({ url, ...options, start_time: 'earliest', partition_duration: 1e7 })
  source.once('data', () => source.stop())
  t.equal((await source.toArray()).length, alerts.length)
  t.same(await new AlertReadable({ url, ...options, start_time: 'earliest' }).initialOffset(), {
    timestamp: alerts[0]!.time,
  })
  class Unknowing extends StreamReadable<PlainWindow, WindowOffset> {
    constructor() {
      const plan = { ...range, start_time: 'earliest' as const, safety_lag_seconds: 0 }
      const protocol = () => ({
        connector: 'own',
        ask: () => Promise.reject(new Error('not asked')),
        close() {},
      })
      super({ connector: 'own', identity: {}, protocol, planner: new WindowPlanner(plan) }, settings)
    }
  }
  await t.rejects(new Unknowing().toArray(), {
    code: 'ERR_QUERY',
    message: /^own: start_time: .* give an instant in place of "earliest"$/,
  })
})

t.test('a window is committed before the stream is read, and while it opens', async (t) => {
  const { url } = await service(t, () => undefined)
  const given = { url, ...options, checkpointLocation: t.testdir({}) }
  const first = new AlertReadable(given)
  const windows: string[] = []
  first.on('window', ({ id }) => windows.push(id))
  for await (const row of first) if (row['id'] === 200) break
  t.ok(windows.length >= 2)

  const second = new AlertReadable(given)
  const offset = await second.commit(windows[0])
  t.same(offset, { timestamp: windows[0]!.split('/')[1] })
  await t.rejects(second.commit('nonsense'), { code: 'ERR_CHECKPOINT', message: /has no nonsense in flight/ })
  const reading = second.take(1).toArray()
  t.same(await second.commit(windows[1]), { timestamp: windows[1]!.split('/')[1] })
  const [row] = await reading
  t.ok((row as { id: number }).id >= 60, 'what was committed before it started does not come again')
})

t.test(
  'the offset moves over windows that an earlier stream left only once all of them are out',
  async (t) => {
    const { url } = await service(t, () => undefined)
    const given = { url, ...options, checkpointLocation: t.testdir({}), max_in_flight: 4 }
    for await (const row of new AlertReadable(given)) if (row['id'] === 70) break
    const second = new AlertReadable(given)
    const seen: unknown[] = []
    second.on('window', () => seen.push(second.offset?.timestamp))
    for await (const _ of second) if (seen.length === 6) break
    const hour = (number: number) => new Date(day + number * 3_600_000).toISOString()
    const left = seen.filter((at) => at === hour(0)).length
    t.ok(left >= 1, 'those before the last of them leave it where it was')
    t.same(
      seen.slice(left),
      [left + 1, left + 2, left + 3, left + 4, left + 5, left + 6].slice(0, 6 - left).map(hour),
    )
  },
)

t.test('a retry names its connector once', async (t) => {
  const { url } = await service(t, (_url, requests) => (requests === 1 ? 503 : undefined))
  const source = new AlertReadable({ url, ...options })
  const texts: string[] = []
  source.on('retry', ({ connector, text }) => texts.push(`${connector}: ${text}`))
  for await (const _ of source) break
  t.same(texts, ['alerts: no: 503'])
})

t.test('an error is the service’s own, without the token', async (t) => {
  const { url } = await service(t, () => undefined)
  const source = new AlertReadable({ url, ...options, token: 's3cre' })
  await t.rejects(source.toArray(), { code: 'ERR_QUERY', message: 'alerts: 401 who is [redacted]t?' })
  t.throws(() => new AlertReadable({ url: 'nowhere', ...options }), { code: 'ERR_OPTION' })
})

t.test('killed and started again, it goes on where it was committed', async (t) => {
  const { url } = await service(t, (_url, requests) => (requests % 11 === 0 ? 503 : undefined))
  const folder = t.testdir({})
  const { outputText } = ts.transpileModule(readFileSync(file, 'utf8'), {
    compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext },
  })
  // Commits each window once its rows are printed.
  const program = `${outputText}
    const source = new AlertReadable(JSON.parse(process.argv[2]))
    const windows = []
    source.on('window', ({ id }) => windows.push(id))
    for await (const row of source) {
      for (const id of windows.splice(0)) await source.commit(id)
      process.stdout.write(row.id + '\\n')
    }`
  writeFileSync(join(folder, 'program.mjs'), program)
  const given = JSON.stringify({ url, ...options, checkpointLocation: join(folder, 'offsets') })
  const seen: number[] = []
  let kills = 0
  let again = 0
  while (new Set(seen).size < alerts.length) {
    const child = spawn(process.execPath, [join(folder, 'program.mjs'), given], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const exit = once(child, 'exit')
    let lines = 0
    for await (const line of createInterface({ input: child.stdout! })) {
      if (seen.includes(Number(line))) again++
      seen.push(Number(line))
      if (++lines === 150 + kills || new Set(seen).size === alerts.length) child.kill('SIGKILL')
    }
    const [code] = await exit
    // It came to its end, so it believes that all is read.
    if (code !== null) break
    kills++
  }
  t.equal(new Set(seen).size, alerts.length, 'none is missing')
  t.ok(kills >= 3)
  t.ok(again <= kills * 4 * 60, 'twice only what was not committed at a kill: windows of 60 rows')
})
