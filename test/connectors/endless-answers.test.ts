import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { inspect } from 'node:util'
import { createGzip } from 'node:zlib'
import t, { type Test } from 'tap'
import { createCertificateAuthority } from '../../lib/emulators/certificates.ts'
import { startEmulators } from '../../lib/emulators/start.ts'
import { AzureMonitorReadable, SplunkReadable } from '../../lib/index.ts'

/** A body without an end: a start, then the same over and over. */
function* endless(start: string, more: string) {
  yield Buffer.from(start)
  const chunk = Buffer.alloc(1_000_000, more)
  for (;;) yield chunk
}

interface Body {
  readonly status?: number
  readonly start: string
  readonly more: string
}

/** A server that answers everything by a body without an end, packed. */
async function serve(t: Test, body: () => Body): Promise<{ url: string; ca: string }> {
  const authority = await createCertificateAuthority()
  const answer = (request: IncomingMessage, response: ServerResponse) => {
    request.resume()
    const { status = 200, start, more } = body()
    response.writeHead(status, { 'content-encoding': 'gzip', 'content-type': 'application/json' })
    const source = Readable.from(endless(start, more)).pipe(createGzip({ level: 1 }))
    source.pipe(response)
    response.on('close', () => source.destroy()).on('error', () => {})
  }
  const server = createServer(await authority.issue(), answer).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`, ca: authority.ca }
}

const range = { start_time: '2024-05-01T00:00:00Z', end_time: '2024-05-02T00:00:00Z' }
const fast = { max_retries: 0, ...range }

t.test('an answer of Azure Monitor without an end', async (t) => {
  let body: Body = { start: '', more: '' }
  const { url, ca } = await serve(t, () => body)
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
  const table = '{"tables":[{"name":"T","columns":[],"rows":['
  const bodies: [Body, object][] = [
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
  let body: Body = { start: '', more: '' }
  const { url, ca } = await serve(t, () => body)
  const options = { ...fast, splunkd_url: url, splunkd_token: 'any', ca, query: 'search index=main' }
  const bodies: [Body, object][] = [
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
  const { url, ca } = await serve(t, () => ({ start: '{"error":"', more: 'x' }))
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
