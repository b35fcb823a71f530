import { join } from 'node:path'
import t from 'tap'
import { standbyTrial } from '../fixtures/standby-trial.ts'

// On each store, each twice, frozen for a minute: standby.soak.ts. What a store is to do: its own test.
t.test('three processes with one query, the leader killed and frozen', async (t) => {
  await standbyTrial(t, {
    turns: ['killed', 'frozen'],
    frozenFor: 0,
    windows: 15,
    delay: 30,
    lease: 2,
    store: { place: join(t.testdir(), 'offsets') },
  })
})
