import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { inspect, promisify } from 'node:util'
import t from 'tap'
import { startEmulators } from '../../lib/emulators/start.ts'
import { AzureMonitorReadable, SplunkReadable } from '../../lib/index.ts'
import { type EndlessBody, serveEndless } from '../fixtures/endless-server.ts'

const program = fileURLToPath(new URL('../fixtures/meet-answers.mjs', import.meta.url))

/** A process with nothing to do takes 60 to 100 MB; what the attacks took before the bounds were there was over 2 GB. */
const mostMemory = 400_000_000

const table = '{"tables":[{"name":"T","columns":[],"rows":['
const attacks: [how: string, body: EndlessBody, start: string][] = [
  ['azure-monitor', { status: 400, start: 'no', more: ' more' }, 'ERR_QUERY'],
  ['azure-monitor', { start: '{"tables":', more: ' ' }, 'ERR_QUERY'],
  ['azure-monitor', { start: `${table}["`, more: 'x' }, 'ERR_QUERY'],
  ['token-service', { start: '{"error":"', more: 'x' }, 'ERR_AUTH'],
  ['splunk-export', { status: 400, start: '{"messages":[', more: '{},' }, 'ERR_QUERY'],
  ['splunk-export', { start: '{"preview":false,"offset":0,"result":{"_raw":"', more: 'x' }, 'ERR_QUERY'],
  ['splunk-job', { start: '{"sid":"', more: 'x' }, 'ERR_QUERY'],
  [
    'sentinel',
    { status: 400, start: '{"error":{"message":"', more: 'x' },
    'ERR_REJECTED: ms-sentinel: a row was refused: {"error":{"message":"xxx',
  ],
  [
    'sentinel',
    { status: 503, start: '', more: ' ' },
    'ERR_DELIVERY: ms-sentinel: gave up after 1 attempt: 503 HTTP status 503',
  ],
  ['hec', { status: 403, start: '{"text":"', more: 'x' }, 'ERR_AUTH'],
  ['rest', { status: 403, start: '<html>', more: '<b>' }, 'ERR_AUTH'],
  ['rest-body', { start: '[', more: '1,' }, 'ERR_REJECTED'],
]

t.test('memory stays small, whatever an answer unpacks to', async (t) => {
  let body: EndlessBody = { start: '', more: '' }
  const { url, ca } = await serveEndless(t, () => body)
  const caFile = join(t.testdir({ 'ca.pem': ca }), 'ca.pem')
  for (const [how, given, start] of attacks) {
    body = given
    const { stdout } = await promisify(execFile)(process.execPath, [program, how, url, caFile])
    const { said, peak } = JSON.parse(stdout)
    const name = `${how}: ${JSON.stringify(given)}`
    t.ok(said.startsWith(start), `${name}: ${said.slice(0, 100)}`)
    t.ok(peak < mostMemory, `${name}: ${Math.round(peak / 1e6)} MB`)
  }
})

const range = { start_time: '2024-05-01T00:00:00Z', end_time: '2024-05-02T00:00:00Z' }
const fast = { max_retries: 0, ...range }

t.test('an answer of Azure Monitor without an end', async (t) => {
  let body: EndlessBody = { start: '', more: '' }
  const { url, ca } = await serveEndless(t, () => body)
  const credential = { getToken: async () => ({ token: 'any', expiresOnTimestamp: Date.now() + 3_600_000 }) }
  const read = () =>
    new AzureMonitorReadable({
      ...fast,
      workspace_id: 'w',
      query: 'T',
      endpoint: url,
      ca,
      credential,
    }).toArray()
  const bodies: [EndlessBody, object][] = [
    [{ status: 400, start: 'no', more: ' more' }, { status: 400 }],
    [{ status: 503, start: '{"error":{"message":"', more: 'x' }, { status: 503 }],
    [{ start: '\0', more: '\0' }, { message: /is no object|not JSON/ }],
    [{ start: '{"tables":', more: ' ' }, { message: /longer than/ }],
    [{ start: `${table}["`, more: 'x' }, { message: /too long/ }],
  ]
  for (const [given, error] of bodies) {
    body = given
    await t.rejects(read(), { code: 'ERR_QUERY', ...error }, JSON.stringify(given))
  }
})

t.test('an answer of splunkd without an end', async (t) => {
  let body: EndlessBody = { start: '', more: '' }
  const { url, ca } = await serveEndless(t, () => body)
  const options = { ...fast, splunkd_url: url, splunkd_token: 'any', ca, query: 'search index=main' }
  const bodies: [EndlessBody, object][] = [
    [{ status: 400, start: '{"messages":[', more: '{},' }, { status: 400 }],
    [
      { start: '{"preview":false,"offset":0,"result":{"_raw":"', more: 'x' },
      { message: /a line of the answer is longer/ },
    ],
  ]
  for (const [given, error] of bodies) {
    body = given
    await t.rejects(new SplunkReadable(options).toArray(), { code: 'ERR_QUERY', ...error })
  }
  await t.rejects(new SplunkReadable({ ...options, search_mode: 'job' }).toArray(), {
    code: 'ERR_QUERY',
    message: /the answer can not be read/,
  })
})

t.test('an answer of a token service without an end', async (t) => {
  const { url, ca } = await serveEndless(t, () => ({ start: '{"error":"', more: 'x' }))
  const principal = { tenant_id: 'tenant', client_id: 'client', client_secret: 'secret', authority_host: url }
  await t.rejects(
    new AzureMonitorReadable({
      ...fast,
      ...principal,
      workspace_id: 'w',
      query: 'T',
      endpoint: url,
      ca,
    }).toArray(),
    { code: 'ERR_AUTH' },
  )
})

t.test('a token is redacted before a text is cut: no part of it shows', async (t) => {
  const token = `s3cret-${'k'.repeat(80)}`
  const trial = await startEmulators()
  t.teardown(() => trial.close())
  const { splunkSearch, logAnalytics, ca } = trial
  const splunk = {
    ...fast,
    splunkd_url: splunkSearch.url,
    splunkd_token: token,
    ca,
    query: 'search index=main',
  }
  const credential = { getToken: async () => ({ token, expiresOnTimestamp: Date.now() + 3_600_000 }) }
  const azure = { ...fast, workspace_id: 'w', query: 'T', endpoint: logAnalytics.url, ca, credential }
  for (const before of [150, 190, 199, 260, 290, 450, 490, 499]) {
    const text = `${'y'.repeat(before)}${token}`
    splunkSearch.fail({ status: 400, body: text })
    logAnalytics.fail({ status: 400, body: text })
    const failing = {
      getToken: async () => {
        await credential.getToken()
        throw new Error(text)
      },
    }
    const sources = [
      new SplunkReadable(splunk),
      new AzureMonitorReadable(azure),
      new AzureMonitorReadable({ ...azure, credential: failing, client_secret: token }),
    ]
    for (const source of sources) {
      const error = await source.toArray().then(
        () => undefined,
        (error: unknown) => error,
      )
      t.notMatch(inspect(error, { depth: 9 }), /s3cre|kkkk/, `${source.constructor.name}, ${before} before`)
    }
    splunkSearch.clearFaults()
    logAnalytics.clearFaults()
  }
})
