import { LogsQueryClient } from '@azure/monitor-query'
import got, { type OptionsOfTextResponseBody } from 'got'
import t from 'tap'
import { DatabricksEmulator } from '../../lib/emulators/databricks.ts'
import { EntraEmulator } from '../../lib/emulators/entra.ts'
import { createCertificateAuthority } from '../../lib/emulators/index.ts'
import { LogAnalyticsEmulator } from '../../lib/emulators/log-analytics/log-analytics.ts'

t.test('lends Azure tokens to who is let in', async (t) => {
  const authority = await createCertificateAuthority()
  const entra = await new EntraEmulator({ tls: authority }).start()
  const databricks = await new DatabricksEmulator({ tls: authority, entra, expiresIn: 60 }).start()
  const logs = await new LogAnalyticsEmulator({ tls: authority, entra }).start()
  t.teardown(() => Promise.all([entra.close(), databricks.close(), logs.close()]))
  const client = got.extend({ https: { certificateAuthority: authority.ca }, throwHttpErrors: false })
  const post = async (path: string, options: OptionsOfTextResponseBody) => {
    const { statusCode, body } = await client.post(databricks.url + path, options)
    return { statusCode, body: JSON.parse(body) as unknown }
  }
  const borrow = (token: string | undefined, json: object) =>
    post('/api/2.1/unity-catalog/temporary-service-credentials', {
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
      json,
    })
  const scopes = { resources: ['https://api.loganalytics.io/.default'] }
  const good = { credential_name: databricks.credential_name, azure_options: scopes }

  const lent = await borrow(databricks.token, good)
  t.equal(lent.statusCode, 200)
  const { azure_aad, expiration_time } = lent.body as {
    azure_aad: { aad_token: string }
    expiration_time: number
  }
  t.ok(expiration_time > Date.now() && expiration_time <= Date.now() + 60_000, 'in milliseconds')
  t.ok(entra.tokenValid(azure_aad.aad_token, 'https://api.loganalytics.io'))
  t.equal(databricks.tokensLent, 1)
  logs.addTable('T', [{ name: 'A', type: 'long' }], [[1]])
  const credential = {
    getToken: async () => ({ token: azure_aad.aad_token, expiresOnTimestamp: expiration_time }),
  }
  const queries = new LogsQueryClient(credential, { endpoint: logs.url, tlsOptions: { ca: authority.ca } })
  t.match(await queries.queryWorkspace('w', 'T', { duration: 'P1D' }), { status: 'Success' })

  const login = (username: string, password: string, form = {}) =>
    post('/oidc/v1/token', {
      username,
      password,
      form: { grant_type: 'client_credentials', scope: 'all-apis', ...form },
    })
  const session = await login(databricks.client_id, databricks.client_secret)
  t.match(session, { statusCode: 200, body: { token_type: 'Bearer', expires_in: 3600 } })
  const { access_token } = session.body as { access_token: string }
  t.equal((await borrow(access_token, good)).statusCode, 200)
  databricks.expireSessions()
  t.match(await borrow(access_token, good), { statusCode: 403, body: { error_code: 'PERMISSION_DENIED' } })

  t.match(await login(databricks.client_id, 'wrong'), { statusCode: 401, body: { error: 'invalid_client' } })
  t.match(await login(databricks.client_id, databricks.client_secret, { grant_type: 'password' }), {
    body: { error: 'unsupported_grant_type' },
  })
  t.match(await login(databricks.client_id, databricks.client_secret, { scope: 'x' }), {
    body: { error: 'invalid_scope' },
  })
  t.match(await borrow(undefined, good), { statusCode: 401, body: { error_code: 'UNAUTHENTICATED' } })
  t.match(await borrow('wrong', good), { statusCode: 403 })
  t.match(await borrow(databricks.token, {}), { body: { error_code: 'INVALID_PARAMETER_VALUE' } })
  t.match(await borrow(databricks.token, { ...good, credential_name: 'other' }), {
    statusCode: 404,
    body: { error_code: 'RESOURCE_DOES_NOT_EXIST' },
  })
  t.match(await post('/api/2.0/clusters/list', {}), { body: { error_code: 'ENDPOINT_NOT_FOUND' } })
  const discovery = await client(`${databricks.url}/oidc/.well-known/oauth-authorization-server`).json()
  t.match(discovery, { token_endpoint: `${databricks.url}/oidc/v1/token` })
})
