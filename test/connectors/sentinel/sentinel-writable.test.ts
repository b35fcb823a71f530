import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { promisify } from 'node:util'
import { LogsIngestionClient } from '@azure/monitor-ingestion'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { type SentinelOptions, SentinelWritable } from '../../../lib/connectors/sentinel/index.ts'
import type { Fault } from '../../../lib/emulators/index.ts'
import { type EmulatorsOptions, startEmulators } from '../../../lib/emulators/index.ts'
import { createWritable } from '../../../lib/registry.ts'
import { scaled } from '../../fixtures/scale.ts'
import {
  deliver,
  everythingOf,
  LetterBox,
  onChannels,
  runSchedule,
  schedules,
  soak,
  watch,
} from '../../fixtures/sink-trial.ts'

const dcr_id = 'dcr-00000000000000000000000000000001'
const dcs = 'Custom-Alerts_CL'
const quick = { initial_backoff: 0.001, max_backoff: 0.002, linger_ms: 20 }

async function azure(t: Test, options: EmulatorsOptions = {}) {
  const emulators = await startEmulators({
    ...options,
    ingestion: { rules: { [dcr_id]: [dcs] }, ...options.ingestion },
  })
  t.teardown(() => emulators.close())
  const { entra, ingestion } = emulators
  const target = { dce: ingestion.url, dcr_id, dcs, ca: emulators.ca }
  const principal = {
    tenant_id: entra.tenant_id,
    client_id: entra.client_id,
    client_secret: entra.client_secret,
    authority_host: entra.url,
  }
  const sink = (more: Partial<SentinelOptions> = {}) =>
    new SentinelWritable({ ...target, ...principal, ...quick, ...more } as SentinelOptions)
  return { ...emulators, target, principal, sink }
}

const rowsOf = (count: number) => Array.from({ length: count }, (_, id) => ({ id, Account: `user-${id}` }))

t.test('sends what the official client sends, and what that can not', async (t) => {
  const { ingestion, entra, sink, ca } = await azure(t)
  const rows = [
    { TimeGenerated: new Date(0), Account: 'Zürich', List: [1, { a: null }], Empty: undefined },
    ...rowsOf(100),
  ]
  const { token, expiresAt } = entra.issueToken('https://monitor.azure.com')
  const credential = { getToken: async () => ({ token, expiresOnTimestamp: expiresAt }) }
  const official = new LogsIngestionClient(ingestion.url, credential, { tlsOptions: { ca } })
  await official.upload(dcr_id, dcs, rows)
  const theirs = ingestion.requests.pop()!
  t.equal(await deliver(rows, sink({ batch_size: 1000 })), undefined)
  const ours = ingestion.requests.pop()!
  t.equal(ours.body.toString(), theirs.body.toString())
  t.equal(ours.path, theirs.path)
  t.equal(ours.query.toString(), theirs.query.toString())
  for (const header of ['content-type', 'content-encoding', 'accept']) {
    t.equal(ours.headers[header], theirs.headers[header], header)
  }
  t.match(ours.headers['user-agent'], /cyber-connectors\/\S+ .*azsdk-js-monitor-ingestion/)
  t.equal(ours.wireBytes, Number(ours.headers['content-length']))
  ingestion.rows.length = 0

  const exact = [{ n: 9223372036854775807n, 'a"b': 1, ['__proto__']: 2 }]
  t.equal(await deliver(exact, sink({ compression: 'none' })), undefined)
  t.strictSame(ingestion.rows, exact)
  t.equal(ingestion.requests.at(-1)?.headers['content-encoding'], undefined)
  t.equal(ingestion.requests.at(-1)?.body.toString(), '[{"n":9223372036854775807,"a\\"b":1,"__proto__":2}]')
})

t.test('each way to sign in, each cloud', async (t) => {
  const { ingestion, entra, databricks, principal, target, sink } = await azure(t)
  const set = (environment: Record<string, string>) => {
    const before = { ...process.env }
    Object.assign(process.env, environment)
    return () => {
      for (const name of Object.keys(environment)) delete process.env[name]
      Object.assign(process.env, before)
    }
  }
  const none = { tenant_id: undefined, client_id: undefined, client_secret: undefined }
  t.equal(await deliver(rowsOf(1), sink()), undefined, 'service principal')
  t.equal(entra.tokensIssued, 1)
  const credential = {
    getToken: async (scopes: string | string[]) => ({
      token: entra.issueToken(String(scopes).replace('/.default', '')).token,
      expiresOnTimestamp: Date.now() + 3_600_000,
    }),
  }
  t.equal(
    await deliver(rowsOf(1), sink({ ...none, credential } as Partial<SentinelOptions>)),
    undefined,
    'credential',
  )
  const unset = set({
    AZURE_TENANT_ID: principal.tenant_id,
    AZURE_CLIENT_ID: principal.client_id,
    AZURE_CLIENT_SECRET: principal.client_secret,
    AZURE_TOKEN_CREDENTIALS: 'EnvironmentCredential',
    DATABRICKS_HOST: databricks.url,
    DATABRICKS_TOKEN: databricks.token,
  })
  t.teardown(unset)
  const byDefault = { ...none, azure_default_credential: true } as Partial<SentinelOptions>
  t.equal(await deliver(rowsOf(1), sink(byDefault)), undefined, 'default')
  const byDatabricks = {
    ...none,
    databricks_credential: databricks.credential_name,
  } as Partial<SentinelOptions>
  t.equal(await deliver(rowsOf(1), sink(byDatabricks)), undefined, 'Unity Catalog')
  t.equal(ingestion.received, 4)
  unset()

  const asked: string[] = []
  const watching = {
    getToken: async (scopes: string | string[]) => {
      asked.push(String(scopes))
      return { token: 'x', expiresOnTimestamp: Date.now() + 3_600_000 }
    },
  }
  for (const azure_cloud of ['public', 'government', 'china'] as const) {
    const wrong = new SentinelWritable({ ...target, credential: watching, azure_cloud })
    t.match(await deliver(rowsOf(1), wrong), { code: 'ERR_AUTH', status: 401 })
  }
  const own = new SentinelWritable({
    ...target,
    credential: watching,
    audience: 'https://monitor.private.example',
  })
  t.match(await deliver(rowsOf(1), own), {
    code: 'ERR_AUTH',
    message: /the token was refused, .* it is for https:\/\/monitor\.private\.example/,
  })
  t.strictSame(
    [...new Set(asked)],
    ['com', 'us', 'cn', 'private.example'].map((end) =>
      end === 'private.example' ? `https://monitor.${end}/.default` : `https://monitor.azure.${end}/.default`,
    ),
  )
})

t.test('a token that is refused is renewed once, for all requests under way', async (t) => {
  const { ingestion, entra, sink } = await azure(t)
  const statuses = () => ingestion.requests.map(({ status }) => status)
  const one = sink({ batch_size: 1, max_in_flight: 1 })
  one.write({ id: 1 })
  await once(one, 'batch')
  entra.expireTokens()
  one.write({ id: 2 })
  one.end()
  await once(one, 'finish')
  t.strictSame(statuses(), [204, 401, 204])
  t.equal(entra.tokensIssued, 2)
  t.equal(one.stats.retries, 0)

  ingestion.requests.length = 0
  const many = sink({ batch_size: 5, max_in_flight: 4 })
  const { batches } = watch(many)
  many.write({ id: 0 })
  await once(many, 'batch')
  entra.expireTokens()
  for (const row of rowsOf(40)) many.write(row)
  many.end()
  await once(many, 'finish')
  t.equal(
    batches.reduce((sum, { rows }) => sum + rows, 0),
    41,
  )
  t.equal(entra.tokensIssued, 4, 'one new token for four requests')
  t.strictSame(
    ingestion.duplicates(({ id }) => id).length,
    2 + 1,
    'ids 0 to 2 were used before; no row came twice',
  )

  // Refused for good: two requests, no more.
  ingestion.requests.length = 0
  const wrong = await deliver(rowsOf(3), sink({ audience: 'https://wrong.example', azure_cloud: 'china' }))
  t.match(wrong, { code: 'ERR_AUTH', status: 401, serviceCode: 'InvalidAudience', connector: 'ms-sentinel' })
  t.strictSame(wrong?.rows, rowsOf(3))
  t.strictSame(statuses(), [401, 401])
})

t.test('no token', async (t) => {
  const { ingestion, entra, sink } = await azure(t)
  const wrong = await deliver(rowsOf(1), sink({ client_secret: 'wrong-secret' } as Partial<SentinelOptions>))
  t.match(wrong, { code: 'ERR_AUTH', connector: 'ms-sentinel', message: /AADSTS7000215/, rows: rowsOf(1) })
  entra.fail({ status: 503, match: 'token' })
  const later = sink()
  const { retries } = watch(later)
  t.equal(await deliver(rowsOf(1), later), undefined, 'a token service that fails for now is asked again')
  t.match(retries, [{ status: 503, text: /^no token: / }])
  t.equal(ingestion.received, 1)
})

t.test('what each status means', async (t) => {
  const { ingestion, sink } = await azure(t)
  type Expected = { requests: number; received: number; code?: string; dead?: number; retries?: number }
  const error = (code: string) => ({ error: { code, message: `said ${code}` } })
  const cases: [Fault, Expected, RegExp?][] = [
    ...[408, 429, 500, 502, 503, 504].map((status): (typeof cases)[number] => [
      { status, retryAfter: 0 },
      { requests: 2, received: 4, retries: 1 },
    ]),
    // The official client would give up on it.
    [{ status: 429 }, { requests: 2, received: 4, retries: 1 }],
    ...(['before', 'within', 'after'] as const).map((reset): (typeof cases)[number] => [
      { reset },
      // A 204 has no body that could be cut.
      reset === 'within'
        ? { requests: 2, received: 8, retries: 1 }
        : { requests: 2, received: reset === 'after' ? 8 : 4, retries: 1 },
    ]),
    [
      { status: 503, reset: 'within', body: 'x'.repeat(1000) },
      { requests: 2, received: 4, retries: 1 },
    ],
    [
      { status: 413, body: error('ContentLengthLimitExceeded') },
      { requests: 3, received: 4 },
    ],
    [
      { status: 413, body: '<html><body>Request Entity Too Large</body></html>' },
      { requests: 3, received: 4 },
    ],
    [
      { status: 400, body: error('InvalidRecord') },
      { requests: 3, received: 4 },
    ],
    [
      // A reason that need not be about rows, and none was ever accepted.
      { status: 400, times: Infinity },
      { requests: 7, received: 0, code: 'ERR_DELIVERY' },
      /the endpoint or an option is at fault/,
    ],
    [
      { status: 400, body: { error: { code: 'InvalidRecord', message: 'no' } }, times: Infinity },
      { requests: 7, received: 0, dead: 4 },
    ],
    [
      // What the metrics endpoint of a DCE says to a call with logs.
      { status: 400, body: { Error: { Code: 'InvalidApiVersion', Message: 'no' } } },
      { requests: 1, received: 0, code: 'ERR_DELIVERY' },
      /it must be the logs ingestion URL/,
    ],
    [
      { status: 400, body: '<html>Bad Request</html>' },
      { requests: 1, received: 0, code: 'ERR_DELIVERY' },
      /it must be the logs ingestion URL/,
    ],
    [
      // The second half goes row by row: what its size means is known by then.
      { status: 413, times: Infinity },
      { requests: 6, received: 0, dead: 4 },
    ],
    [
      { status: 503, times: Infinity, retryAfter: 0 },
      { requests: 3, received: 0, code: 'ERR_DELIVERY', retries: 2 },
      /gave up after 3 attempts: 503/,
    ],
    [
      { status: 403, body: error('OperationFailed') },
      { requests: 1, received: 0, code: 'ERR_AUTH' },
      /"Monitoring Metrics Publisher" on the rule.*said OperationFailed/,
    ],
    [
      { status: 403 },
      { requests: 1, received: 0, code: 'ERR_AUTH' },
      /rule dcr-0{31}1: give the identity the role/,
    ],
    [
      { status: 404 },
      { requests: 1, received: 0, code: 'ERR_DELIVERY' },
      /dcr-0{31}1 .* or its stream Custom-Alerts_CL is not known at https/,
    ],
    [
      { status: 400, body: error('InvalidStream') },
      { requests: 1, received: 0, code: 'ERR_DELIVERY' },
      /the stream Custom-Alerts_CL is not in the data collection rule dcr-/,
    ],
    [{ status: 405 }, { requests: 1, received: 0, code: 'ERR_DELIVERY' }, /the request was refused/],
    [{ status: 501 }, { requests: 1, received: 0, code: 'ERR_DELIVERY' }, /the service failed/],
    // Not the service: a portal in between, say. Only 204 says that rows are in.
    [
      { status: 200, body: '<html>Welcome</html>' },
      { requests: 1, received: 0, code: 'ERR_DELIVERY' },
      /does not answer as a data collection endpoint/,
    ],
    ...[302, 307, 308].map((status): (typeof cases)[number] => [
      { status, headers: { location: '/elsewhere' } },
      { requests: 1, received: 0, code: 'ERR_DELIVERY' },
      /redirects are not followed/,
    ]),
  ]
  for (const [fault, { dead = 0, retries = 0, ...counts }, message] of cases) {
    ingestion.clearFaults().fail(fault)
    ingestion.count = 0
    ingestion.received = 0
    const dead_letter = new LetterBox()
    const writable = sink({ batch_size: 4, max_retries: 2, dead_letter })
    const watched = watch(writable)
    const failure = await deliver(rowsOf(4), writable)
    const name = JSON.stringify(fault).slice(0, 100)
    t.strictSame(
      {
        requests: ingestion.count,
        received: ingestion.received,
        code: failure?.code,
        dead: dead_letter.letters.length,
        retries: watched.retries.length,
      },
      { code: undefined, ...counts, dead, retries },
      name,
    )
    if (message) t.match(failure, { message, connector: 'ms-sentinel', status: fault.status }, name)
    t.strictSame(failure?.rows ?? [], failure ? rowsOf(4) : [], name)
    t.equal(writable.stats.delivered, failure ? 0 : 4 - dead, name)
    if (fault.status === 400 && typeof fault.body === 'object' && failure)
      t.match(failure.serviceCode, /^Invalid(Stream|ApiVersion)$/)
  }
})

t.test('rule, stream and role by the service itself', async (t) => {
  const { ingestion, sink } = await azure(t)
  t.match(await deliver(rowsOf(1), sink({ dcr_id: 'dcr-other' })), {
    code: 'ERR_DELIVERY',
    status: 404,
    serviceCode: 'NotFound',
    message:
      /there is no data collection rule dcr-other \(`dcr_id` is its immutable id, not its name\) at https/,
  })
  t.match(await deliver(rowsOf(1), sink({ dcs: 'Custom-Other_CL' })), {
    serviceCode: 'InvalidStream',
    message: /the stream Custom-Other_CL is not in the data collection rule dcr-0/,
  })
  ingestion.roleMissing = true
  t.match(await deliver(rowsOf(1), sink()), { code: 'ERR_AUTH', status: 403, serviceCode: 'OperationFailed' })
})

t.test('sizes: a body stays under the limit, a row over it is refused by name', async (t) => {
  const { ingestion, sink } = await azure(t)
  const padded = (bytes: number) => ({ Text: 'x'.repeat(bytes - '{"Text":""}'.length) })
  const dead_letter = new LetterBox()
  const fits = padded(999_998)
  t.equal(
    await deliver([{ id: 1 }, fits, padded(999_999), { id: 2 }], sink({ dead_letter, max_in_flight: 1 })),
    undefined,
  )
  t.strictSame(
    ingestion.requests.map(({ body }) => body.length),
    [10, 1_000_000, 10],
  )
  t.match(dead_letter.letters, [
    {
      reason: {
        code: 'ERR_ROW',
        text: 'the row has 999999 bytes as JSON, the most that can be sent is 999998',
      },
    },
  ])
  const error = await deliver([{ id: 1 }, padded(2_000_000)], sink())
  t.match(error, { code: 'ERR_ROW', rows: [{}] })

  // Commas and brackets count, and bytes, not characters.
  ingestion.requests.length = 0
  const rows = Array.from({ length: scaled(120_000, 300_000) }, (_, id) => ({ a: id % 10, ü: '' }))
  ingestion.received = 0
  t.equal(await deliver(rows, sink({ batch_size: 1_000_000 })), undefined)
  t.equal(ingestion.received, rows.length)
  const sizes = ingestion.requests.map(({ body }) => body.length).sort((a, b) => b - a)
  t.ok(
    sizes.every((size) => size <= 1_000_000),
    `${sizes}`,
  )
  t.ok(
    sizes.slice(0, -1).every((size) => size > 999_900),
    `${sizes}`,
  )
  t.ok(
    ingestion.requests.every(({ wireBytes }) => wireBytes < 100_000),
    'gzip',
  )
})

t.test('what the service finds too large goes in halves, down to the row', async (t) => {
  const { ingestion, sink } = await azure(t, {
    ingestion: { rules: { [dcr_id]: [dcs] }, maxContentLength: 300 },
  })
  const rows = [...rowsOf(20), { id: 20, Text: 'y'.repeat(400) }, ...rowsOf(5)]
  const dead_letter = new LetterBox()
  t.equal(await deliver(rows, sink({ compression: 'none', dead_letter })), undefined)
  t.equal(ingestion.received, 25)
  t.match(dead_letter.letters, [
    { row: rows[20], reason: { status: 413, code: 'ContentLengthLimitExceeded' } },
  ])
})

t.test('rows at fault are found among those of a call', async (t) => {
  const { ingestion, sink } = await azure(t)
  ingestion.rejectRow(({ id }) => id === 13 || id === 14 || id === 77)
  const dead_letter = new LetterBox()
  t.equal(await deliver(rowsOf(100), sink({ batch_size: 100, dead_letter })), undefined)
  t.strictSame(
    dead_letter.letters.map(({ row }) => (row as { id: number }).id),
    [13, 14, 77],
  )
  t.match(dead_letter.letters[0], {
    connector: 'ms-sentinel',
    reason: { status: 400, code: 'InvalidRecord' },
  })
  t.strictSame(
    ingestion.rows.map(({ id }) => id),
    rowsOf(100)
      .map(({ id }) => id)
      .filter((id) => ![13, 14, 77].includes(id)),
  )
  t.ok(ingestion.count < 40, `${ingestion.count} requests`)
})

t.test('time-outs, throttling, the end', async (t) => {
  const { ingestion, sink } = await azure(t)
  ingestion.fail({ stall: 'before', times: 2 })
  const slow = sink({ request_timeout: 0.2, max_retries: 1 })
  const error = await deliver(rowsOf(2), slow)
  t.match(error, {
    code: 'ERR_DELIVERY',
    attempts: 2,
    serviceCode: 'ETIMEDOUT',
    message: /no answer within 0\.2 s/,
    rows: rowsOf(2),
  })

  ingestion.fail({ stall: 'before' })
  t.equal(await deliver(rowsOf(2), sink({ request_timeout: 0.6 })), undefined)

  // A throttle holds everybody, for as long as the service asks.
  ingestion.requests.length = 0
  const body = { error: { code: 'TooManyRequests', message: 'slow down' } }
  ingestion.clearFaults().fail({ status: 429, retryAfter: 1, body }, { delay: 200 })
  const throttled = sink({ batch_size: 1, max_in_flight: 2 })
  const { retries } = watch(throttled)
  t.equal(await deliver(rowsOf(6), throttled), undefined)
  t.match(retries, [{ wait: 1000, status: 429, code: 'TooManyRequests', text: 'slow down' }])
  const [first, , ...later] = ingestion.requests.map(({ at }) => at)
  t.equal(later.length, 5)
  t.ok(
    later.every((at) => at - first! >= 990),
    'the rows that follow wait too',
  )

  ingestion.fail({ stall: 'before' })
  const cut = sink()
  const delivery = deliver(rowsOf(3), cut)
  await once(ingestion, 'request')
  const aborted = once(ingestion, 'abort')
  cut.destroy()
  t.match(await delivery, { code: 'ERR_ABORTED', rows: rowsOf(3) })
  await aborted
})

t.test('connections are kept, and nothing is loaded before it is needed', async (t) => {
  const { ingestion, sink } = await azure(t)
  t.equal(await deliver(rowsOf(20), sink({ batch_size: 1, max_in_flight: 1 })), undefined)
  t.equal(ingestion.connectionCount, 1)
  const hook = `export async function resolve(name, context, next) {
    if (name.startsWith('@azure/')) throw new Error('loaded ' + name)
    return next(name, context)
  }`
  const register = `import { register } from 'node:module'; register(${JSON.stringify(`data:text/javascript,${encodeURIComponent(hook)}`)})`
  const program = `
    import { SentinelWritable } from ${JSON.stringify(new URL('../../../dist/connectors/sentinel/index.js', import.meta.url).href)}
    const sink = new SentinelWritable({ dce: 'https://x.example', dcr_id: 'dcr-1', dcs: 'Custom-A', azure_default_credential: true })
    sink.on('error', (error) => console.log(error.message))
    sink.end({ a: 1 })`
  const { stdout } = await promisify(execFile)(process.execPath, [
    '--import',
    `data:text/javascript,${encodeURIComponent(register)}`,
    '--input-type=module',
    '-e',
    program,
  ])
  t.match(stdout, /^ms-sentinel: .*loaded @azure\//, 'only the first request loads the SDK')
})

t.test('its registered names', async (t) => {
  const options = {
    dce: 'https://x.example',
    dcr_id: 'dcr-1',
    dcs: 'Custom-A',
    azure_default_credential: true,
  }
  for (const name of ['ms-sentinel', 'azure-monitor'] as const) {
    const sink = createWritable(name, options)
    t.ok(sink instanceof SentinelWritable, name)
    sink.destroy()
  }
})

t.test('options: all problems at once', async (t) => {
  const problems = (options: object) => {
    try {
      new SentinelWritable(options as SentinelOptions)
      return []
    } catch (error) {
      t.match(error, { name: 'OptionError', code: 'ERR_OPTION', connector: 'ms-sentinel' })
      return (error as { problems: string[] }).problems
    }
  }
  t.match(problems({}), [
    /^dce: is required/,
    /^dcr_id: is required/,
    /^dcs: is required/,
    /^no way to sign in is complete/,
  ])
  t.strictSame(
    problems({
      dce: 'http://plain.example',
      dcrId: '/subscriptions/1/resourceGroups/2/providers/Microsoft.Insights/dataCollectionRules/3',
      dcs: 'x',
      tenantId: 'a',
      batch_bytes: 'many',
      azure_cloud: 'moon',
    }),
    [
      'dce: expected an https URL, got "http://plain.example"',
      'dcr_id: expected the immutable id (dcr-…), not the resource id of the rule',
      'batch_bytes: expected an integer of 1 or more, got "many"',
      'azure_cloud: expected one of "public", "government", "china", got "moon"',
      'the service principal is incomplete: it lacks client_id and client_secret',
    ],
  )
})

t.test('nothing shows the client secret, a token or the password of a proxy', async (t) => {
  const { ingestion, entra, sink, target, ca } = await azure(t)
  const token = entra.issueToken('https://monitor.azure.com').token
  const secrets = [entra.client_secret, token, 'pr0xy-pass', 'wr0ng-secret']
  const seen: unknown[] = []
  let errors = 0
  const run = async (options: object) => {
    const writable = sink({ max_retries: 1, ...options })
    const watched = watch(writable)
    const error = await deliver(rowsOf(2), writable)
    if (error) errors++
    seen.push(writable, writable.stats, watched, error)
    return error
  }
  const credential = { getToken: async () => ({ token, expiresOnTimestamp: Date.now() + 3_600_000 }) }
  seen.push(
    await onChannels(async () => {
      for (const status of [400, 401, 403, 404, 413, 429, 500, 501, 302]) {
        const said = (secret: string) => ({ error: { code: 'X', message: `you sent ${secret}` } })
        ingestion.clearFaults().fail({ status, body: said(token), retryAfter: 0, times: Infinity })
        t.ok(await run({ credential }), `${status}`)
        ingestion
          .clearFaults()
          .fail({ status, body: said(entra.client_secret), retryAfter: 0, times: Infinity })
        t.ok(await run({}))
        await run({ dead_letter: new LetterBox() })
      }
      for (const fault of [{ reset: 'before' }, { reset: 'after' }, { stall: 'before' }] as const) {
        ingestion.clearFaults().fail({ ...fault, times: Infinity })
        t.ok(await run({ credential, request_timeout: 0.1 }))
      }
      ingestion.clearFaults()
      t.match(await run({ client_secret: 'wr0ng-secret' }), { code: 'ERR_AUTH' })
      entra.fail({ status: 400, body: `{"error":"${entra.client_secret}"}`, match: 'token' })
      t.match(await run({}), { code: 'ERR_AUTH' })
      t.ok(await run({ authority_host: 'https://127.0.0.1:1' }))
      t.ok(await run({ credential, dce: 'https://127.0.0.1:1' }))
      t.ok(await run({ credential, ca: undefined }), 'a certificate that is not trusted')
      t.ok(await run({ credential, proxy: 'http://user:pr0xy-pass@127.0.0.1:1' }))
      const failing = {
        getToken: async () => Promise.reject(new Error(`no: ${entra.client_secret} pr0xy-pass`)),
      }
      seen.push(
        await deliver(
          rowsOf(1),
          new SentinelWritable({
            ...target,
            ca,
            credential: failing,
            client_secret: entra.client_secret,
            proxy: 'http://user:pr0xy-pass@127.0.0.1:1',
          }),
        ),
      )
    }),
  )
  t.throws(() => {
    try {
      sink({ client_secret: '', dce: 'x', proxy: 'pr0xy-pass' } as Partial<SentinelOptions>)
    } catch (error) {
      seen.push(error)
      throw error
    }
  })
  t.ok(errors > 20)
  const text = everythingOf(...seen)
  for (const secret of secrets) t.notOk(text.includes(secret), `${secret.slice(0, 4)}… does not show`)
  t.ok(text.includes('[redacted]'), 'the search has seen texts that held them')
})

t.test(
  'whatever goes wrong: each row is settled or listed, and comes twice only where an answer was lost',
  async (t) => {
    const { ingestion, entra, target } = await azure(t)
    const credential = {
      getToken: async () => {
        const { token, expiresAt } = entra.issueToken('https://monitor.azure.com')
        return { token, expiresOnTimestamp: expiresAt }
      },
    }
    ingestion.rejectRow(({ refused }) => refused === true)
    const faults: fc.Arbitrary<Fault> = fc.oneof(
      {
        weight: 6,
        arbitrary: fc
          .constantFrom(408, 425, 429, 500, 502, 503, 504, 507, 520, 529, 599)
          .map((status) => ({ status, retryAfter: 0 })),
      },
      {
        weight: 4,
        arbitrary: fc
          .constantFrom('before' as const, 'within' as const, 'after' as const)
          .map((reset) => ({ reset })),
      },
      {
        weight: 1,
        arbitrary: fc.constantFrom('before' as const, 'after' as const).map((reset) => ({ reset, times: 4 })),
      },
      { weight: 2, arbitrary: fc.constantFrom(413, 400).map((status) => ({ status })) },
      { weight: 2, arbitrary: fc.constant({ status: 401 }) },
      { weight: 1, arbitrary: fc.constantFrom(403, 404, 302).map((status) => ({ status })) },
    )
    await fc.assert(
      fc.asyncProperty(schedules(faults), (schedule) =>
        runSchedule(schedule, ingestion, (dead_letter) => {
          const { batch_size, max_in_flight, max_retries } = schedule
          return new SentinelWritable({
            ...target,
            credential,
            ...quick,
            linger_ms: 1,
            batch_size,
            max_in_flight,
            max_retries,
            dead_letter,
          })
        }),
      ),
      { numRuns: scaled(20, 100) },
    )
    t.pass('all schedules')
  },
)

t.test('a long stream with faults does not grow in memory', async (t) => {
  const { ingestion, sink } = await azure(t, {
    ingestion: { rules: { [dcr_id]: [dcs] }, record: false, keepRows: false },
  })
  for (let after = 10; after < scaled(100, 400); after += scaled(5, 20)) {
    ingestion.fail({
      ...(after % scaled(10, 40)
        ? { reset: after % scaled(20, 80) === scaled(15, 10) ? 'after' : 'before' }
        : { status: 503, retryAfter: 0 }),
      after,
    })
  }
  const writable = sink({ batch_size: 500 })
  const count = scaled(50_000, 200_000)
  const grown = await soak(count, writable)
  t.ok(grown < 8_000_000, `grew by ${(grown / 1e6).toFixed(1)} MB`)
  t.ok(ingestion.received >= count)
  t.match(writable.stats, { written: count, delivered: count })
  t.ok(writable.stats.retries >= 10, `${writable.stats.retries} retries`)
})
