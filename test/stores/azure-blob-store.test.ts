import { inspect } from 'node:util'
import t from 'tap'
import { openStore } from '../../lib/stores/open-store.ts'
import { storeConformance } from '../fixtures/store-conformance.ts'
import { azuriteMissing, azuriteToken, startAzurite } from '../services/azurite.ts'

t.test('checkpoints in Azure Blob Storage', { skip: azuriteMissing }, async (t) => {
  const service = await startAzurite()
  t.teardown(() => service.stop())
  const place = (name: string) => `${service.url}/checkpoints/deep/${encodeURIComponent(name)}`
  const options = { ca: service.ca }

  await t.test('a refused token is a final error without it', async (t) => {
    const token = `${azuriteToken().split('.')[0]}.e30.wrong-signature`
    let asked = 0
    const credential = {
      getToken: async () => {
        asked++
        return { token, expiresOnTimestamp: Date.now() + 3_600_000 }
      },
    }
    const error = await openStore(place('x'), { ...options, credential })
      .open('')
      .catch((error) => error)
    t.match(error, { code: 'ERR_CHECKPOINT', message: /Azure Blob Storage: / })
    t.ok(asked >= 1)
    t.notOk(inspect(error, { depth: 9, showHidden: true }).includes(token))
  })

  await storeConformance(t, { place, options, token: azuriteToken(), shortest: 15, longest: 60 })
})
