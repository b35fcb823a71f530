import t from 'tap'
import { crashTrial } from '../../fixtures/queue-crash.ts'
import { redisMissing, startRedis } from '../../services/redis.ts'

// On Postgres too, for longer: crash.soak.ts.
t.test('a worker is killed: nothing is lost', { skip: redisMissing }, async (t) => {
  const service = await startRedis()
  t.teardown(() => service.stop())
  await crashTrial(t, service, { windows: 15, workers: 2, kills: 1, pace: 300, lockSeconds: 2 })
})
