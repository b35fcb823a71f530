import t from 'tap'
import { EntraEmulator, IngestionEmulator, LogAnalyticsEmulator } from '../../lib/emulators/index.ts'

// What clients of other languages send, by hand: none of them is here.

interface Test {
  teardown(close: () => Promise<unknown>): void
}

async function services(t: Test) {
  const entra = await new EntraEmulator().start()
  const ingestion = await new IngestionEmulator({ entra }).start()
  const logs = await new LogAnalyticsEmulator({ entra }).start()
  t.teardown(() => Promise.all([entra.close(), ingestion.close(), logs.close()]))
  const signIn = async (scope: string) => {
    const response = await fetch(`${entra.url}/${entra.tenant_id}/oauth2/v2.0/token`, {
      method: 'POST',
      body: new URLSearchParams({
        grant_type: 'client_credentials',
        client_id: entra.client_id,
        client_secret: entra.client_secret,
        client_info: '1',
        scope,
      }),
    })
    return {
      status: response.status,
      body: (await response.json()) as { access_token?: string; error_codes?: number[] },
    }
  }
  return { entra, ingestion, logs, signIn }
}

t.test("Go's azidentity adds scopes; Go's ingestion client wants the audience with its slash", async (t) => {
  const { ingestion, signIn } = await services(t)
  const { status, body } = await signIn('https://monitor.azure.com//.default openid offline_access profile')
  t.equal(status, 200)
  const upload = await fetch(
    `${ingestion.url}/dataCollectionRules/dcr-1/streams/Custom-T?api-version=2023-01-01`,
    {
      method: 'POST',
      headers: {
        authorization: `Bearer ${body.access_token}`,
        'content-type': 'application/json',
        'x-ms-client-request-id': 'go',
      },
      body: '[{"A":1}]',
    },
  )
  t.equal(upload.status, 204)
  t.same(ingestion.rows, [{ A: 1 }])
  for (const scope of [
    'openid offline_access profile',
    'https://a/.default https://b/.default',
    'https://a',
    '',
  ]) {
    t.match(await signIn(scope), { status: 400, body: { error_codes: [1002012] } }, scope)
  }
})

t.test('an audience is not another one for its slash alone', async (t) => {
  const { entra } = await services(t)
  const { token } = entra.issueToken('https://monitor.azure.com/')
  t.ok(entra.tokenValid(token, 'https://monitor.azure.com'))
  t.ok(entra.tokenValid(token, 'https://monitor.azure.com/'))
  t.notOk(entra.tokenValid(token, 'https://monitor.azure.com.evil'))
})
