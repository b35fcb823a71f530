import { inspect } from 'node:util'
import t from 'tap'
import { openStore } from '../../lib/stores/open-store.ts'
import { storeAway, storeConformance } from '../fixtures/store-conformance.ts'
import { postgresMissing, startPostgres } from '../services/postgres.ts'

t.test('checkpoints in Postgres', { skip: postgresMissing }, async (t) => {
  const service = await startPostgres()
  t.teardown(() => service.stop())
  const place = (name: string) => `${service.url}?name=${encodeURIComponent(name)}`

  await t.test('a wrong user is a final error without the password', async (t) => {
    const secret = 'hunter2-hunter2'
    const url = place('x').replace('postgres@', `nobody:${secret}@`)
    const error = await openStore(url)
      .open('')
      .catch((error) => error)
    t.match(error, { code: 'ERR_CHECKPOINT', message: /role "nobody" does not exist/ })
    t.notOk(inspect(error, { depth: 9, showHidden: true }).includes(secret))
    t.notOk(`${error.stack}${error.cause?.stack}`.includes(secret))
  })

  const kind = { place, shortest: 2, longest: 600, service }
  await storeConformance(t, kind)
  await storeAway(t, kind)
})
