import t from 'tap'
import { storeAway } from '../fixtures/store-conformance.ts'
import { azuriteMissing, azuriteToken, startAzurite } from '../services/azurite.ts'

t.test('Azure Blob Storage is away', { skip: azuriteMissing }, async (t) => {
  const service = await startAzurite()
  t.teardown(() => service.stop())
  await storeAway(t, {
    place: (name) => `${service.url}/checkpoints/${name}`,
    options: { ca: service.ca },
    token: azuriteToken(),
    shortest: 15,
    longest: 60,
    service,
  })
})
