import { once } from 'node:events'
import { request as httpsRequest } from 'node:https'
import { json } from 'node:stream/consumers'
import { gzipSync } from 'node:zlib'
import { ClientSecretCredential } from '@azure/identity'
import { isAggregateLogsUploadError, LogsIngestionClient } from '@azure/monitor-ingestion'
import t from 'tap'
import { EntraEmulator } from '../../lib/emulators/entra.ts'
import {
  createCertificateAuthority,
  IngestionEmulator,
  type IngestionEmulatorOptions,
} from '../../lib/emulators/index.ts'

const authority = await createCertificateAuthority()
const RULE = 'dcr-1'
const STREAM = 'Custom-Events_CL'
const stub = { getToken: async () => ({ token: 'any', expiresOnTimestamp: Date.now() + 3_600_000 }) }
const tlsOptions = { ca: authority.ca }

async function start(
  t: { teardown(close: () => Promise<void>): void },
  options: IngestionEmulatorOptions = {},
) {
  const service = await new IngestionEmulator({ tls: authority, ...options }).start()
  t.teardown(() => service.close())
  return service
}

function clientOf(service: IngestionEmulator, maxRetries = 0) {
  return new LogsIngestionClient(service.url, stub, { tlsOptions, retryOptions: { maxRetries } })
}

/** Uploads with the official client; resolves with the error of the first body that failed. */
async function failure(
  client: LogsIngestionClient,
  rows: Record<string, unknown>[],
  rule = RULE,
  stream = STREAM,
) {
  try {
    await client.upload(rule, stream, rows)
  } catch (error) {
    if (!isAggregateLogsUploadError(error)) throw error
    const { cause } = error.errors[0]! as { cause: Error & { statusCode?: number; code?: string } }
    return { status: cause.statusCode, code: cause.code, message: cause.message }
  }
  throw new Error('the upload did not fail')
}

async function post(
  service: IngestionEmulator,
  body: string | Buffer,
  options: { path?: string; headers?: Record<string, string> } = {},
) {
  const path = options.path ?? `/dataCollectionRules/${RULE}/streams/${STREAM}?api-version=2023-01-01`
  const headers = { authorization: 'Bearer any', 'content-type': 'application/json', ...options.headers }
  const request = httpsRequest(service.url + path, { method: 'POST', ca: authority.ca, headers }).end(body)
  const [response] = await once(request, 'response')
  const error =
    response.statusCode === 204 ? undefined : ((await json(response)) as { error: { code: string } }).error
  response.resume()
  return {
    status: response.statusCode as number,
    code: error?.code,
    header: response.headers['x-ms-error-code'],
  }
}

t.test('takes rows from the official client, with a stub and with a real token', async (t) => {
  const service = await start(t, { rules: { [RULE]: [STREAM] } })
  const rows = [
    { TimeGenerated: new Date(Date.UTC(2024, 0, 1)), Text: 'Zürich', N: 1, Nested: { a: [1, null] } },
    { TimeGenerated: '2024-01-02T00:00:00.1234567Z', Text: '"' },
  ]
  await clientOf(service).upload(RULE, STREAM, rows)
  t.strictSame(service.rows, JSON.parse(JSON.stringify(rows)))
  t.equal(service.received, 2)
  const [request] = service.requests
  t.match(request, {
    method: 'POST',
    path: `/dataCollectionRules/${RULE}/streams/${STREAM}`,
    headers: { 'content-encoding': 'gzip' },
    status: 204,
    rows: service.rows,
  })
  t.equal(request?.query.get('api-version'), '2023-01-01')
  t.equal(service.bytes, request?.body.length)

  const entra = await new EntraEmulator({ tls: authority }).start()
  t.teardown(() => entra.close())
  const { tenant_id, client_id, client_secret } = entra
  const credential = new ClientSecretCredential(tenant_id, client_id, client_secret, {
    authorityHost: entra.url,
    disableInstanceDiscovery: true,
    tlsOptions,
  })
  const guarded = await start(t, { entra })
  const uploader = () =>
    new LogsIngestionClient(guarded.url, credential, { tlsOptions, retryOptions: { maxRetries: 0 } })
  await uploader().upload(RULE, STREAM, rows)
  t.equal(guarded.received, 2)
  t.match(
    await failure(clientOf(guarded), rows),
    { status: 401, code: 'InvalidToken' },
    'a token that nobody issued',
  )
  const government = new LogsIngestionClient(guarded.url, credential, {
    audience: 'https://monitor.azure.us',
    tlsOptions,
    retryOptions: { maxRetries: 0 },
  })
  t.match(await failure(government, rows), { status: 401, code: 'InvalidAudience' })
  entra.expireTokens()
  t.match(await failure(uploader(), rows), { status: 401, code: 'InvalidToken' })
  t.equal(guarded.received, 2)
})

t.test('refuses, as the service does', async (t) => {
  const service = await start(t, { rules: { [RULE]: [STREAM] }, maxPayloadSize: 3_000_000 })
  const client = clientOf(service)
  const rows = [{ a: 1 }, { a: 2 }]
  t.match(await failure(client, rows, 'dcr-2'), {
    status: 404,
    code: 'NotFound',
    message: /Data collection rule with immutable Id 'dcr-2' not found/,
  })
  t.match(await failure(client, rows, RULE, 'Custom-Other'), { status: 404, code: 'InvalidStream' })
  service.roleMissing = true
  t.match(await failure(client, rows), {
    status: 403,
    code: 'OperationFailed',
    message: /does not have access/,
  })
  service.roleMissing = false
  service.rejectRow((row) => row['a'] === 2)
  t.match(await failure(client, rows), { status: 400 })
  t.equal(service.received, 0, 'the whole body is lost')
  service.rejectRow(undefined)

  const random = () => Buffer.from(Array.from({ length: 1_100_000 }, () => 97 + Math.random() * 26))
  await client.upload(RULE, STREAM, [{ large: random().toString() }])
  t.equal(service.received, 1, 'gzip makes it fit')
  const large = JSON.stringify([{ large: random().toString() }])
  t.same(await post(service, large), {
    status: 413,
    code: 'ContentLengthLimitExceeded',
    header: 'ContentLengthLimitExceeded',
  })
  const packed = { headers: { 'content-encoding': 'gzip' } }
  t.match(await post(service, gzipSync(JSON.stringify([{ a: 'x'.repeat(3_000_000) }])), packed), {
    status: 413,
    code: 'PayloadSizeLimitExceeded',
  })
  service.rows.length = 0
  const bodies: [string | Buffer, number, Record<string, string>?][] = [
    ['[]', 204],
    ['[{"a":9223372036854775807}]', 204],
    [gzipSync('[{"a":2}]'), 204, { 'content-encoding': 'gzip' }],
    ['{"a":1}', 400],
    ['[1]', 400],
    ['[[]]', 400],
    ['[{"a":1}', 400],
    ['', 400],
    [gzipSync('[]').subarray(0, 12), 400, { 'content-encoding': 'gzip' }],
    ['[]', 415, { 'content-encoding': 'br' }],
    ['[]', 401, { authorization: 'Basic x' }],
  ]
  for (const [body, status, headers] of bodies) {
    t.equal(
      (await post(service, body, headers ? { headers } : {})).status,
      status,
      JSON.stringify(String(body)),
    )
  }
  t.strictSame(service.rows, [{ a: 9223372036854775807n }, { a: 2 }])
  t.match(await post(service, '[]', { path: `/dataCollectionRules/${RULE}/streams/${STREAM}` }), {
    status: 400,
    code: 'MissingApiVersionParameter',
  })
  t.equal(
    (
      await post(service, '[]', {
        path: `/base/dataCollectionRules/${RULE}/streams/${STREAM}?api%2Dversion=x`,
      })
    ).status,
    204,
  )
})

t.test('faults and duplicates', async (t) => {
  const service = await start(t)
  service.fail({ status: 429, retryAfter: 0 }, { reset: 'after' })
  await clientOf(service, 3).upload(RULE, STREAM, [{ id: 1 }, { id: 2 }])
  t.equal(service.count, 3)
  t.strictSame(service.duplicates(), [{ id: 1 }, { id: 2 }], 'an answer that got lost')
  service.fail({ status: 429, body: { error: { code: 'TooManyRequests', message: 'slow down' } } })
  t.match(await failure(clientOf(service), [{ id: 3 }]), { status: 429, code: 'TooManyRequests' })

  const counting = await start(t, { keepRows: false, record: false })
  await clientOf(counting).upload(RULE, STREAM, [{ id: 1 }, { id: 2 }])
  t.equal(counting.received, 2)
  t.strictSame([counting.rows, counting.requests], [[], []])
})
