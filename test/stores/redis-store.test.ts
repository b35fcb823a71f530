import { inspect } from 'node:util'
import t from 'tap'
import { openStore } from '../../lib/stores/open-store.ts'
import { storeAway, storeConformance } from '../fixtures/store-conformance.ts'
import { redisMissing, startRedis } from '../services/redis.ts'

t.test('checkpoints in Redis', { skip: redisMissing }, async (t) => {
  const service = await startRedis({ appendfsync: 'always' })
  t.teardown(() => service.stop())
  const place = (name: string) => `${service.url}/0?name=${encodeURIComponent(name)}`

  await t.test('a wrong password is a final error without it', async (t) => {
    const secret = 'hunter2-hunter2'
    const error = await openStore(place('x').replace('//', `//somebody:${secret}@`))
      .open('')
      .catch((error) => error)
    t.match(error, { code: 'ERR_CHECKPOINT', message: /WRONGPASS/ })
    t.notOk(inspect(error, { depth: 9, showHidden: true }).includes(secret))
    t.notOk(`${error.stack}${error.cause?.stack}`.includes(secret))
  })

  const kind = { place, shortest: 2, longest: 600, service }
  await storeConformance(t, kind)
  await storeAway(t, kind)
})
