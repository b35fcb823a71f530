import { inspect } from 'node:util'
import t from 'tap'
import { checkManagedIdentity, ManagedIdentity } from '../../fixtures/managed-identity.ts'

t.test('the managed identity of App Service and of Functions', async (t) => {
  const identity = await ManagedIdentity.start(t)
  const { trial, planned, asked, source } = identity
  const secret = 'secret-of-the-host'
  const variables = {
    IDENTITY_ENDPOINT: `${identity.url}/msi/token`,
    IDENTITY_HEADER: secret,
    AZURE_TOKEN_CREDENTIALS: 'ManagedIdentityCredential',
  }
  t.intercept(process, 'env', { value: { ...process.env, ...variables } })
  await checkManagedIdentity(
    t,
    identity,
    /^\/msi\/token\?api-version=.*resource=https%3A%2F%2Fapi.loganalytics/,
  )
  t.equal(asked[0]!.headers['x-identity-header'], secret)
  planned.push({ status: 401, body: `{"error":"unauthorized","error_description":"no: ${secret}"}` })
  const { error } = await trial.failure(source)
  t.match(error, { code: 'ERR_AUTH', status: 401, attempts: 1 })
  t.notMatch(inspect(error, { depth: 9 }), secret)
})
