import { inspect } from 'node:util'
import { createHttpHeaders, createPipelineRequest, type HttpClient } from '@azure/core-rest-pipeline'
import fc from 'fast-check'
import t from 'tap'
import { TokenRequests } from '../../../lib/connectors/azure/tokens.ts'
import { isTransientStatus } from '../../../lib/core/retry.ts'
import type { Fault } from '../../../lib/emulators/index.ts'
import { Agents } from '../../../lib/http/agents.ts'
import { AzureTrial } from '../../fixtures/azure-trial.ts'
import { scaled } from '../../fixtures/scale.ts'

const columns = [
  { name: 'TimeGenerated', type: 'datetime' },
  { name: 'n', type: 'long' },
] as const

async function start(t: { teardown(fn: () => Promise<void>): void }): Promise<AzureTrial> {
  const trial = await AzureTrial.start(t)
  trial.service.addTable('T', columns, [['2024-05-01T12:00:00Z', 1]])
  return trial
}

const row = [{ TimeGenerated: new Date('2024-05-01T12:00:00Z'), n: 1 }]
const { signal } = new AbortController()

/** A body as Entra has it. */
function entraBody(error: string, code: number, text = 'Something.'): object {
  return {
    error,
    error_description: `AADSTS${code}: ${text} Trace ID: 1 Correlation ID: 2 Timestamp: 2024-05-01 12:00:00Z`,
    error_codes: [code],
    timestamp: '2024-05-01 12:00:00Z',
    trace_id: '1',
    correlation_id: '2',
  }
}

const passing: readonly Fault[] = [
  { status: 503, body: entraBody('temporarily_unavailable', 90033, 'A transient error has occurred.') },
  { status: 400, body: entraBody('temporarily_unavailable', 90033) },
  { status: 400, body: entraBody('invalid_request', 90033) },
  { status: 400, body: { error: 'invalid_request', error_description: 'AADSTS90033: A transient error' } },
  { status: 400, body: { error: 'temporarily_unavailable' } },
  { status: 400, body: { error: 'server_error' } },
  { status: 401, body: entraBody('invalid_client', 90055) },
  { status: 429, body: entraBody('temporarily_unavailable', 90055, 'Too many requests.') },
  { status: 429, body: entraBody('invalid_request', 50196), retryAfter: 0 },
  { status: 500, body: entraBody('server_error', 90006) },
  { status: 504, body: entraBody('server_error', 90012) },
  { status: 529, body: '<html>overloaded</html>' },
  { status: 200, body: '<html>a portal</html>' },
  { status: 200, body: '' },
  { truncate: true },
  { reset: 'before' },
  { reset: 'within' },
  { reset: 'after' },
]

t.test('what passes at the token service is tried again, in its own words or without', async (t) => {
  const trial = await start(t)
  const { entra } = trial.emulators
  for (const fault of passing) {
    for (const times of scaled([1], [1, 2])) {
      entra.fail({ ...fault, match: '/token', times })
      const before = entra.requests.filter(({ path }) => path.endsWith('/token')).length
      const source = trial.source()
      t.strictSame(await source.toArray(), row, JSON.stringify(fault))
      t.match(source.stats, { requests: 1, retries: times })
      const asked = entra.requests.filter(({ path }) => path.endsWith('/token')).length - before
      t.equal(asked, times + 1, 'the service is asked each time: MSAL does not answer for it')
    }
  }
  entra.fail({
    status: 503,
    body: entraBody('temporarily_unavailable', 90033),
    match: 'openid-configuration',
  })
  t.strictSame(await trial.read(), row, 'the configuration of the tenant')
  entra.fail({ status: 400, body: entraBody('temporarily_unavailable', 90033), match: '/token', times: 9 })
  t.match((await trial.failure({ max_retries: 2 })).error, {
    code: 'ERR_AUTH',
    attempts: 3,
    endedBy: 'max_retries',
    status: 400,
    serviceCode: 'temporarily_unavailable',
    message: /AADSTS90033: Something\. \(after 3 attempts, ended by max_retries: 2\)$/,
  })
})

t.test('which answers of the token service may pass: each status, with and without a body', async (t) => {
  const agents = new Agents({ verify_ssl: true })
  for (const body of ['', JSON.stringify(entraBody('invalid_request', 900144))]) {
    for (let status = 200; status < 600; status++) {
      const requests = new TokenRequests(agents)
      const client = TokenRequests.client(answering(status, body))
      const request = createPipelineRequest({ url: 'https://login.example/token' })
      await requests.during(signal, () => client.sendRequest(request))
      const [fault] = requests.faults
      // A status below 400 with a JSON body is for the credential to judge.
      if (status < 400 && body !== '') t.equal(fault, undefined, String(status))
      else t.match(fault, { status, transient: status < 400 || isTransientStatus(status) }, String(status))
    }
  }
  agents.close()

  const trial = await start(t)
  const { entra } = trial.emulators
  for (const status of [
    204, 302, 400, 403, 404, 408, 425, 429, 500, 501, 502, 505, 507, 520, 525, 530, 598,
  ]) {
    for (const body of ['', entraBody('invalid_request', 900144)]) {
      if (status < 400 && body !== '') continue
      entra.clearFaults()
      entra.fail({ status, body, match: '/token' })
      if (status < 400 || isTransientStatus(status)) t.strictSame(await trial.read(), row, String(status))
      else t.match((await trial.failure()).error, { code: 'ERR_AUTH', status, attempts: 1 }, String(status))
    }
  }
})

/** What sends, without sending. */
function answering(status: number, bodyAsText: string): HttpClient {
  return {
    sendRequest: async (request) => ({ request, status, bodyAsText, headers: createHttpHeaders() }),
  }
}

t.test('credentials of the user: by what their errors tell', async (t) => {
  const trial = await start(t)
  const { token, expiresAt } = trial.emulators.entra.issueToken('https://api.loganalytics.io')
  const coded = (properties: object, message = 'x') => Object.assign(new Error(message), properties)
  const throwing = (error: Error) => {
    let asked = 0
    return {
      credential: {
        async getToken() {
          if (asked++ === 0) throw error
          return { token, expiresOnTimestamp: expiresAt }
        },
      },
    }
  }
  for (const [error, passes] of [
    [coded({ code: 'ECONNRESET' }), true],
    [coded({ statusCode: 503 }), true],
    [coded({ statusCode: 529 }), true],
    [coded({ statusCode: 429 }), true],
    [new Error('outer', { cause: coded({ statusCode: 500 }) }), true],
    [coded({ errors: [new Error('login first'), new Error('no', { cause: coded({ code: 'EPIPE' }) })] }), true],
    [coded({ errorCode: 'network_error' }), true],
    [coded({ status: 500, errorCode: 'server_error' }), true],
    [coded({ name: 'AuthenticationRequiredError' }, 'temporarily_unavailable: AADSTS90033: A transient error'), true],
    [coded({}, 'AADSTS700016: Application not found'), false],
    [coded({ statusCode: 400 }), false],
    [coded({ statusCode: 501 }), false],
    [coded({ code: 'CERT_HAS_EXPIRED' }), false],
    [coded({ errors: [new Error('login first'), new Error('not installed')] }), false],
    [new Error('login first'), false],
  ] as const) {
    const options = { ...throwing(error), max_retries: 1 }
    if (passes) t.strictSame(await trial.read(options), row, inspect(error))
    else t.match((await trial.failure(options)).error, { code: 'ERR_AUTH', attempts: 1 }, inspect(error))
  } // biome-ignore format: a table
})

t.test('whatever passes at token service and query service: all rows, each once', async (t) => {
  const trial = await start(t)
  const { entra } = trial.emulators
  const service: readonly Fault[] = [{ status: 529 }, { status: 507, body: '' }, { status: 598, body: '<html>' }, { status: 503, retryAfter: '-5' }, { status: 429, retryAfter: '5, 10' }, { status: 503, retryAfter: 'Thu, 01 Jan 1970 00:00:00 GMT' }, { status: 401 }, { reset: 'within' }] // biome-ignore format: a list
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom(...passing), { maxLength: 4 }),
      fc.array(fc.constantFrom(...service), { maxLength: 4 }),
      fc.integer({ min: 1, max: 3 }),
      async (signIn, queries, num_partitions) => {
        entra.clearFaults()
        trial.service.clearFaults()
        entra.fail(...signIn.map((fault) => ({ ...fault, match: '/token' })))
        // Two refusals of a token one after the other are final.
        const first = queries.findIndex(({ status }) => status === 401)
        trial.service.fail(...queries.filter(({ status }, at) => status !== 401 || at === first))
        t.strictSame(await trial.read({ num_partitions }), row)
      },
    ),
    { numRuns: scaled(5, 15) },
  )
})
