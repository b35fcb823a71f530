import { ClientSecretCredential } from '@azure/identity'
import { LogsQueryClient } from '@azure/monitor-query'
import t from 'tap'
import { EntraEmulator } from '../../lib/emulators/entra.ts'
import { createCertificateAuthority, entraUnavailable } from '../../lib/emulators/index.ts'
import { LogAnalyticsEmulator } from '../../lib/emulators/log-analytics/log-analytics.ts'

const audience = 'https://api.loganalytics.io'
const scope = `${audience}/.default`

t.test('gives the official credential a token', async (t) => {
  const entra = await new EntraEmulator({ tls: true, expiresIn: 1000 }).start()
  t.teardown(() => entra.close())
  const options = { authorityHost: entra.url, disableInstanceDiscovery: true, tlsOptions: { ca: entra.ca! } }
  const credential = (tenant = entra.tenant_id, client = entra.client_id, secret = entra.client_secret) =>
    new ClientSecretCredential(tenant, client, secret, options)

  const before = Date.now()
  const { token, expiresOnTimestamp } = await credential().getToken(scope)
  const life = [expiresOnTimestamp - before, expiresOnTimestamp - Date.now()] as const
  t.ok(life[0] >= 999_000 && life[1] <= 1_001_000, 'it lives as long as told, to the whole second')
  t.equal(entra.tokensIssued, 1)
  t.ok(entra.tokenValid(token))
  t.ok(entra.tokenValid(token, audience))
  t.notOk(entra.tokenValid(token, 'https://monitor.azure.com'), 'it is for one audience')
  t.notOk(entra.tokenValid('another'))
  const claims = JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString())
  t.match(claims, { aud: audience, tid: entra.tenant_id, appid: entra.client_id })

  entra.expireTokens()
  t.notOk(entra.tokenValid(token))
  t.notOk(entra.tokenValid(entra.issueToken(audience, 0).token), 'a token runs out')

  await t.rejects(credential(undefined, undefined, 'wrong').getToken(scope), { message: /AADSTS7000215/ })
  await t.rejects(credential(undefined, 'nobody').getToken(scope), { message: /AADSTS700016/ })
  await t.rejects(credential(undefined, undefined, undefined).getToken('https://graph'), {
    message: /AADSTS1002012/,
  })
  await t.rejects(credential('nowhere').getToken(scope), {
    message: /AADSTS90002|endpoints_resolution_error/,
  })

  // What the client asked for, by path.
  t.match(entra.requests[0]?.path, /openid-configuration$/)
  t.match(entra.requests[1]?.path, /oauth2\/v2\.0\/token$/)
})

t.test('requests that are none', async (t) => {
  const entra = await new EntraEmulator({ tenant_id: 'tenant' }).start()
  t.teardown(() => entra.close())
  t.equal((await fetch(`${entra.url}/tenant/elsewhere`)).status, 404)
  t.equal((await fetch(`${entra.url}/tenant/oauth2/v2.0/token`)).status, 404, 'the token endpoint takes POST')
  const discovery = await fetch(`${entra.url}/common/discovery/instance?api-version=1.1`)
  t.match(await discovery.json(), { tenant_discovery_endpoint: /^http.*openid-configuration$/ })
  const grant = await fetch(`${entra.url}/tenant/oauth2/v2.0/token`, {
    method: 'POST',
    body: new URLSearchParams({ grant_type: 'password' }),
  })
  t.equal(grant.status, 400)
  t.match(await grant.json(), { error: 'unsupported_grant_type', error_codes: [70003] })
})

t.test('a fault may have the body that Entra gives', async (t) => {
  const entra = await new EntraEmulator({ tenant_id: 'tenant' }).start()
  t.teardown(() => entra.close())
  for (const [fault, status] of [
    [entraUnavailable(), 503],
    [entraUnavailable(400), 400],
  ] as const) {
    entra.fail(fault)
    const response = await fetch(`${entra.url}/tenant/oauth2/v2.0/token`, { method: 'POST' })
    t.equal(response.status, status)
    t.match(await response.json(), {
      error: 'temporarily_unavailable',
      error_codes: [90033],
      error_description: /^AADSTS90033: .* Trace ID: /,
    })
  }
})

t.test('its tokens open the query API', async (t) => {
  const authority = await createCertificateAuthority()
  const entra = await new EntraEmulator({ tls: authority }).start()
  const logs = await new LogAnalyticsEmulator({ tls: authority, entra }).start()
  t.teardown(() => Promise.all([entra.close(), logs.close()]))
  logs.addTable('T', [{ name: 'A', type: 'long' }], [[1]])
  const tlsOptions = { ca: authority.ca }
  const credential = new ClientSecretCredential(entra.tenant_id, entra.client_id, entra.client_secret, {
    authorityHost: entra.url,
    disableInstanceDiscovery: true,
    tlsOptions,
  })
  const client = new LogsQueryClient(credential, { endpoint: logs.url, tlsOptions })
  const ask = (client: LogsQueryClient) => client.queryWorkspace('w', 'T', { duration: 'P1D' })
  t.match(await ask(client), { status: 'Success', tables: [{ rows: [[1]] }] })

  entra.expireTokens()
  await t.rejects(ask(client), { statusCode: 401, code: 'InvalidTokenError' })
  const other = new LogsQueryClient(credential, {
    endpoint: logs.url,
    audience: 'https://monitor.azure.com',
    tlsOptions,
  })
  await t.rejects(ask(other), { statusCode: 403, code: 'InvalidTokenError' })
  const bare = { getToken: async () => ({ token: 'x', expiresOnTimestamp: Date.now() + 3_600_000 }) }
  const forged = new LogsQueryClient(bare, { endpoint: logs.url, tlsOptions })
  await t.rejects(ask(forged), { code: 'InvalidTokenError' })
})
