import { once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { inspect } from 'node:util'
import { LogsQueryClient } from '@azure/monitor-query'
import t from 'tap'
import type { Fault } from '../../../lib/emulators/fault.ts'
import type { SourceRetryEvent } from '../../../lib/source/events.ts'
import { AzureTrial, type Row } from '../../fixtures/azure-trial.ts'
import { scaled } from '../../fixtures/scale.ts'

const columns = [
  { name: 'TimeGenerated', type: 'datetime' },
  { name: 'n', type: 'long' },
] as const
const day = (rows: number) =>
  Array.from({ length: rows }, (_, n) => [new Date(Date.UTC(2024, 4, 1) + (n * 86_400_000) / rows), n])
const numbers = (rows: readonly Row[]) => rows.map((row) => row['n'] as number)
const all = (rows: number) => Array.from({ length: rows }, (_, n) => n)

async function start(t: { teardown(fn: () => Promise<void>): void }, rows = 500): Promise<AzureTrial> {
  const trial = await AzureTrial.start(t)
  trial.service.addTable('T', columns, day(rows))
  return trial
}

t.test('what passes is tried again, and no row comes twice', async (t) => {
  const trial = await start(t)
  const { service } = trial
  const date = new Date(Date.now() + 1000).toUTCString()
  const faults: (Fault & { name: string; code?: number; wait?: number })[] = [
    ...[408, 429, 500, 502, 503, 504].map((status) => ({ name: `status ${status}`, status, code: status })),
    { name: '504 of a gateway', status: 504, body: '<html>504 Gateway Time-out</html>', code: 504 },
    { name: 'Retry-After 0', status: 429, retryAfter: 0, code: 429, wait: 1 },
    { name: 'Retry-After in seconds', status: 503, retryAfter: 1, code: 503, wait: 1000 },
    { name: 'Retry-After as a date', status: 429, retryAfter: date, code: 429 },
    { name: 'reset before the answer', reset: 'before' },
    { name: 'reset instead of an answer', reset: 'after' },
    { name: 'reset in the body', reset: 'within' },
    { name: 'cut gzip', truncate: true },
    { name: 'cut gzip of an error', truncate: true, status: 500, body: 'x'.repeat(2000), code: 500 },
    { name: 'silence before the answer', stall: 'before' },
    { name: 'silence in the body', stall: 'within' },
    { name: 'an empty answer', body: '' },
    { name: 'JSON that is cut', body: '{"tables":[{"name":"T","columns":[],"rows":[["2024' },
  ]
  for (const { name, code, wait, ...fault } of faults) {
    service.fail({ match: '/query', ...fault })
    const source = trial.source(
      fault.stall ? { request_timeout: scaled(0.3, 1), stall_timeout: scaled(0.2, 0.8) } : {},
    )
    const retries: SourceRetryEvent[] = []
    source.on('retry', (event) => retries.push(event))
    t.strictSame(numbers((await source.toArray()) as Row[]), all(500), name)
    t.match(source.stats, { requests: 2, retries: 1, splits: 0 }, name)
    t.match(retries, [{ connector: 'azure-monitor', attempts: 1, ...(code && { status: code }) }], name)
    t.match(retries[0]!.window, { start: '2024-05-01T00:00:00.000Z' })
    if (wait !== undefined) t.equal(retries[0]!.wait, wait, name)
  }

  t.test('also without compression', async (t) => {
    const plain = await AzureTrial.start(t, { logAnalytics: { gzipFrom: Number.POSITIVE_INFINITY } })
    plain.service.addTable('T', columns, day(2000))
    for (const fault of [{ truncate: true }, { reset: 'within' }, { stall: 'within' }] as const) {
      plain.service.fail(fault)
      t.strictSame(numbers(await plain.read({ stall_timeout: scaled(0.2, 0.8) })), all(2000))
    }
  })
})

t.test('max_retries and initial_backoff mean what they say', async (t) => {
  const trial = await start(t)
  const { service } = trial
  const failing = async (options: Record<string, unknown>) => {
    service.requests.length = 0
    const waits: number[] = []
    const source = trial.source(options)
    source.on('retry', ({ wait }) => waits.push(wait))
    const error = await source.toArray().then(
      () => undefined,
      (error: unknown) => error,
    )
    return { error, waits, requests: service.requests.length }
  }
  service.fail({
    status: 500,
    body: { error: { code: 'InternalError', message: 'Broken.' } },
    times: Number.POSITIVE_INFINITY,
  })
  for (const max_retries of [0, 1, 3]) {
    const { error, waits, requests } = await failing({
      max_retries,
      initial_backoff: 0.01,
      max_backoff: 0.02,
    })
    t.match(error, {
      code: 'ERR_QUERY',
      status: 500,
      serviceCode: 'InternalError',
      serviceText: 'Broken.',
      attempts: max_retries + 1,
      window: { start: '2024-05-01T00:00:00.000Z', end: '2024-05-02T00:00:00.000Z' },
    })
    t.equal(requests, max_retries + 1)
    t.equal(waits.length, max_retries)
    t.ok(
      waits.every((wait, retry) => wait <= Math.min(20, 10 * 2 ** retry)),
      `${waits}`,
    )
  }
  service.clearFaults()

  t.test('a wait of days is not obeyed', async (t) => {
    service.fail({ status: 429, retryAfter: 86_400 * 30 })
    const source = trial.source()
    source.resume()
    const [{ wait }] = await once(source, 'retry')
    t.equal(wait, 300_000)
    source.destroy()
    await once(source, 'close')
  })

  t.test('what does not pass is not tried again', async (t) => {
    const cases = [
      {
        fault: { status: 400, body: { error: { code: 'BadArgumentError', message: 'No' } } },
        error: { code: 'ERR_QUERY', serviceCode: 'BadArgumentError' },
      },
      {
        fault: { status: 404, body: 'nothing here' },
        error: { code: 'ERR_QUERY', serviceText: 'nothing here' },
      },
      {
        fault: { status: 403, body: { error: { code: 'InsufficientAccessError', message: 'No role' } } },
        error: { code: 'ERR_AUTH', message: /status 403 InsufficientAccessError: No role/ },
      },
      {
        fault: { status: 302, headers: { location: 'https://example.com/' } },
        error: { code: 'ERR_QUERY', status: 302 },
      },
      { fault: { status: 501 }, error: { code: 'ERR_QUERY', status: 501 } },
      { fault: { body: '[1]' }, error: { code: 'ERR_QUERY', message: /can not be read/ } },
      { fault: { body: 'no JSON }' }, error: { code: 'ERR_QUERY' } },
    ]
    for (const { fault, error: expected } of cases) {
      service.fail(fault)
      const { error, requests } = await failing({ max_retries: 3 })
      t.match(error, expected)
      t.equal(requests, 1)
    }
  })

  t.test('a syntax error comes at once, with its place', async (t) => {
    const { error, requests } = await failing({ query: 'T\n| whre n > 1' })
    t.match(error, {
      code: 'ERR_QUERY',
      status: 400,
      serviceCode: 'BadArgumentError',
      attempts: 1,
      message: /could not be parsed.*line 2, position 2/,
    })
    t.equal(requests, 1)
    t.match((await failing({ query: 'Nowhere' })).error, { message: /Nowhere/ })
  })
})

t.test('a throttle holds for all requests of a source', async (t) => {
  const trial = await start(t)
  trial.service.fail({ status: 429, retryAfter: 1 })
  const source = trial.source({ num_partitions: 8 })
  let until = 0
  source.on('retry', ({ wait }) => {
    until = Date.now() + wait
  })
  t.strictSame(numbers((await source.toArray()) as Row[]), all(500))
  const late = trial.service.requests.filter(({ at }) => at >= until - 5)
  t.equal(trial.service.requests.length, 9)
  t.ok(late.length >= 5, `${late.length} of the 9 came after the wait: those that were not under way`)
})

t.test('tokens', async (t) => {
  const trial = await start(t)
  const { entra } = trial.emulators

  t.test('one that ran out while waiting is renewed', async (t) => {
    const issued = entra.tokensIssued
    trial.service.fail({ status: 503 })
    const source = trial.source()
    source.on('retry', () => entra.expireTokens())
    t.strictSame(numbers((await source.toArray()) as Row[]), all(500))
    t.equal(entra.tokensIssued - issued, 2)
    t.match(source.stats, { requests: 3, retries: 1 }, 'the 401 is no retry')
  })

  t.test('a token is asked for anew shortly before it runs out, and once for all', async (t) => {
    const lives = [60_000, 3_600_000]
    let asked = 0
    const credential = {
      getToken: async () => {
        const life = lives[Math.min(asked++, 1)]!
        const { token } = entra.issueToken('https://api.loganalytics.io')
        return { token, expiresOnTimestamp: Date.now() + life }
      },
    }
    t.strictSame(numbers(await trial.read({ credential, num_partitions: 4 })), all(500))
    t.equal(asked, 1, 'four requests at once, one token')
    t.strictSame(numbers(await trial.read({ credential, num_partitions: 12 })), all(500))
    t.equal(asked, 2)
  })

  t.test('one that is refused again is an error', async (t) => {
    const credential = {
      getToken: async () => ({ token: 'nobody-knows-it', expiresOnTimestamp: Date.now() + 1e7 }),
    }
    const { error } = await trial.failure({ credential })
    t.match(error, { code: 'ERR_AUTH', status: 401, attempts: 2 })
    t.notMatch(inspect(error, { depth: 9, showHidden: true }), /nobody-knows-it/)
    const wrong = {
      getToken: async () => ({
        ...entra.issueToken('https://example.com'),
        expiresOnTimestamp: Date.now() + 1e7,
      }),
    }
    t.match((await trial.failure({ credential: wrong })).error, {
      code: 'ERR_AUTH',
      status: 403,
      attempts: 1,
    })
  })

  t.test('claims that the service asks for go to the credential', async (t) => {
    const claims = Buffer.from('{"access_token":{"nbf":{"value":"1"}}}').toString('base64')
    trial.service.fail({
      status: 401,
      headers: { 'www-authenticate': `Bearer realm="", error="insufficient_claims", claims="${claims}"` },
    })
    const asked: unknown[] = []
    const credential = {
      getToken: async (_scopes: unknown, options: { claims?: string }) => {
        asked.push(options.claims)
        return { ...entra.issueToken('https://api.loganalytics.io'), expiresOnTimestamp: Date.now() + 1e7 }
      },
    }
    t.strictSame(numbers(await trial.read({ credential })), all(500))
    t.strictSame(asked, [undefined, '{"access_token":{"nbf":{"value":"1"}}}'])
  })
})

t.test('where the official client hangs for good, the source goes on', async (t) => {
  const trial = await start(t)
  const { ca } = trial.emulators
  const { credential } = trial.signedIn
  const client = new LogsQueryClient(credential, { endpoint: trial.service.url, tlsOptions: { ca } })
  trial.service.fail({ reset: 'within' })
  const cut = once(trial.service, 'abort')
  const theirs = client.queryWorkspace('w', 'T', { duration: 'P10000D' }).then(
    () => 'settled',
    () => 'settled',
  )
  await cut
  t.equal(await Promise.race([theirs, sleep(500, 'pending')]), 'pending')
  trial.service.fail({ reset: 'within' })
  t.strictSame(numbers(await trial.read()), all(500))
})

t.test('destroy ends it at once, wherever it is', async (t) => {
  const trial = await start(t)
  const { service } = trial
  const { entra } = trial.emulators

  for (const [where, emulator, fault] of [
    ['waiting for the answer', service, { stall: 'before' }],
    ['in the middle of the body', service, { stall: 'within' }],
    ['waiting for a token', entra, { stall: 'before', match: '/token' }],
  ] as const) {
    t.test(where, async (t) => {
      emulator.fail(fault)
      const struck = new Promise<void>((resolve) => {
        emulator.on('request', ({ fault }) => fault && resolve())
      })
      const source = trial.source()
      source.resume()
      await struck
      if ('stall' in fault && fault.stall === 'within') await sleep(50)
      const aborted = once(emulator, 'abort')
      source.destroy()
      await once(source, 'close')
      await aborted
      t.equal(source.errored, null)
      emulator.clearFaults()
    })
  }

  t.test('waiting for the next try', async (t) => {
    service.fail({ status: 503, retryAfter: 250 })
    const source = trial.source()
    source.resume()
    await once(source, 'retry')
    source.destroy(new Error('enough'))
    const [error] = await once(source, 'error')
    t.match(error, { message: 'enough' })
  })

  t.test('by a signal, also one that fired before', async (t) => {
    const controller = new AbortController()
    const requests = service.count
    controller.abort()
    await t.rejects(trial.source({ signal: controller.signal }).toArray(), { name: 'AbortError' })
    t.equal(service.count, requests, 'nothing was asked')
    const later = new AbortController()
    service.fail({ stall: 'within' })
    const asked = once(service, 'request')
    const reading = trial.source({ signal: later.signal }).toArray()
    await asked
    later.abort()
    await t.rejects(reading, { name: 'AbortError' })
    service.clearFaults()
  })

  t.test('by leaving a loop; and no connection is left', async (t) => {
    const source = trial.source({ num_partitions: 5, highWaterMark: 2 })
    let seen = 0
    for await (const _ of source) if (++seen === 3) break
    t.ok(source.destroyed)
    t.ok(source.stats.rows <= 3 + 3, `${source.stats.rows} rows were given out`)
    await trial.read()
    while (
      process
        .getActiveResourcesInfo()
        .some((resource) => resource === 'TLSSocketWrap' || resource === 'TLSWrap')
    ) {
      await sleep(1)
    }
    t.notOk(process.getActiveResourcesInfo().includes('Timeout'), 'nor a timer')
  })
})

t.test('a slow reader holds the source back', async (t) => {
  const trial = await start(t, 20_000)
  const source = trial.source({ num_partitions: 10, highWaterMark: 5 })
  const iterator = source[Symbol.asyncIterator]()
  for (let i = 0; i < 100; i++) await iterator.next()
  await sleep(20)
  t.ok(source.stats.rows <= 100 + 6, `${source.stats.rows} rows were given out`)
  t.equal(source.stats.requests, 4)
  let rows = 100
  while (!(await iterator.next()).done) rows++
  t.equal(rows, 20_000)
})

const megabytes = scaled(10, 50)
t.test(
  `an answer of ${megabytes} MB: its bytes are held as they came, its rows a few at a time`,
  async (t) => {
    const trial = await AzureTrial.start(t, { logAnalytics: { record: false } })
    const count = scaled(49_000, 240_000)
    const cells = (n: number) => JSON.stringify(['2024-05-01T12:00:00Z', n, `${n} `.repeat(30).slice(0, 180)])
    const body = Buffer.from(
      `{"tables":[{"name":"PrimaryResult","columns":[{"name":"TimeGenerated","type":"datetime"},` +
        `{"name":"n","type":"long"},{"name":"Text","type":"string"}],"rows":[${Array.from({ length: count }, (_, n) => cells(n)).join(',')}]}]}`,
    )
    t.ok(body.length > megabytes * 1e6, `${body.length} bytes`)
    trial.service.fail({ body })
    // The schema sees each row when it is parsed.
    let parsed = 0
    const schema = {
      '~standard': {
        version: 1,
        vendor: 'test',
        validate(value: unknown) {
          parsed++
          return { value }
        },
      },
    }
    const source = trial.source({ schema, highWaterMark: 10 })
    let rows = 0
    let most = 0
    for await (const row of source) {
      if ((row as Row)['n'] !== rows++) t.fail(`row ${rows}`)
      most = Math.max(most, parsed - rows)
      // A slow consumer.
      if (rows % 10_000 === 0) await sleep(1)
    }
    t.equal(rows, count)
    t.ok(most < 500, `${most} rows held besides the one in hand`)
    t.equal(source.stats.requests, 1)
    t.ok(source.stats.bytes < body.length / 3, `${source.stats.bytes} bytes held`)
  },
)

t.test('connections', async (t) => {
  const trial = await start(t)

  t.test('through a proxy, with its password kept secret', async (t) => {
    const tunnels: string[] = []
    const proxy = createServer()
    proxy.on('connect', (request, socket) => {
      tunnels.push(`${request.url} ${request.headers['proxy-authorization']}`)
      const [host, port] = request.url!.split(':')
      const upstream = connect(Number(port), host!, () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n')
        socket.pipe(upstream).pipe(socket)
      })
      for (const end of [socket, upstream]) end.on('error', () => {})
    })
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
    t.teardown(() => proxy.close())
    const url = `http://me:proxy-pass@127.0.0.1:${(proxy.address() as AddressInfo).port}`
    t.strictSame(numbers(await trial.read({ proxy: url })), all(500))
    const basic = `Basic ${Buffer.from('me:proxy-pass').toString('base64')}`
    t.ok(tunnels.includes(`${new URL(trial.service.url).host} ${basic}`))
    t.ok(tunnels.includes(`${new URL(trial.emulators.entra.url).host} ${basic}`))
    const { error } = await trial.failure({ proxy: 'http://me:proxy-pass@127.0.0.1:9', max_retries: 0 })
    t.match(error, { code: 'ERR_AUTH', message: /ECONNREFUSED/ })
    t.notMatch(inspect(error, { depth: 9, showHidden: true }), /proxy-pass/)
  })

  t.test('a server that is not trusted', async (t) => {
    t.match((await trial.failure({ ca: undefined, ...trial.signedIn })).error, {
      code: 'ERR_QUERY',
      attempts: 1,
      message: /certificate/,
    })
    t.strictSame(numbers(await trial.read({ ca: undefined, verify_ssl: false })), all(500))
    t.strictSame(numbers(await trial.read({ ca: trial.emulators.caFile })), all(500))
  })

  t.test('one connection serves many requests', async (t) => {
    const before = trial.service.connectionCount
    await trial.read({ num_partitions: 30, ...trial.signedIn })
    t.ok(trial.service.connectionCount - before <= 4)
  })
})
