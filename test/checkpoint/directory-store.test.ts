import { join } from 'node:path'
import t from 'tap'
import { storeConformance } from '../fixtures/store-conformance.ts'

t.test('checkpoints in a directory', async (t) => {
  const base = t.testdir()
  await storeConformance(t, { place: (name) => join(base, name), shortest: 2, longest: 600 })
})
