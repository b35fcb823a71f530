import t from 'tap'
import { checkManagedIdentity, ManagedIdentity } from '../../fixtures/managed-identity.ts'

t.test('the managed identity of a virtual machine', async (t) => {
  const identity = await ManagedIdentity.start(t)
  const variables = {
    AZURE_POD_IDENTITY_AUTHORITY_HOST: identity.url,
    AZURE_TOKEN_CREDENTIALS: 'ManagedIdentityCredential',
  }
  t.intercept(process, 'env', { value: { ...process.env, ...variables } })
  await checkManagedIdentity(t, identity, /^\/metadata\/identity\/oauth2\/token\/?\?api-version=/)
})
