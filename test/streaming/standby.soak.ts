import { join } from 'node:path'
import t, { type Test } from 'tap'
import { standbyTrial } from '../fixtures/standby-trial.ts'
import { azuriteMissing, azuriteToken, startAzurite } from '../services/azurite.ts'
import { postgresMissing, startPostgres } from '../services/postgres.ts'
import { redisMissing, startRedis } from '../services/redis.ts'

const long = {
  turns: ['killed', 'frozen', 'killed'],
  frozenFor: 60_000,
  // They last for about twice as long as the turns.
  windows: 500,
  delay: 300,
} as const

/** Nobody waits longer for the next leader than the lease and 2 s. A dead process's directory is free at once. */
async function trial(t: Test, lease: number, store: { place: string; options?: object; token?: string }) {
  const times = await standbyTrial(t, { ...long, lease, store })
  for (const time of times) t.ok(time <= lease * 1000 + 2000, `${Math.round(time)} ms, lease ${lease} s`)
}

t.test(
  'three processes with one query, the leader killed, and frozen for a minute',
  { jobs: 4 },
  async (t) => {
    t.test('on a directory', { buffered: true }, async (t) => {
      await trial(t, 5, { place: join(t.testdir(), 'offsets') })
    })

    t.test('on Redis', { skip: redisMissing, buffered: true }, async (t) => {
      const service = await startRedis()
      t.teardown(() => service.stop())
      await trial(t, 5, { place: `${service.url}/0?name=query` })
    })

    t.test('on Postgres', { skip: postgresMissing, buffered: true }, async (t) => {
      const service = await startPostgres()
      t.teardown(() => service.stop())
      await trial(t, 5, { place: `${service.url}?name=query` })
    })

    t.test('on Azure Blob Storage', { skip: azuriteMissing, buffered: true }, async (t) => {
      const service = await startAzurite()
      t.teardown(() => service.stop())
      const store = {
        place: `${service.url}/checkpoints/query`,
        options: { ca: service.ca },
        token: azuriteToken(),
      }
      await trial(t, 15, store)
    })
  },
)
