import t from 'tap'
import { crashTrial } from '../../fixtures/queue-crash.ts'
import { servers } from '../../services/queue-servers.ts'

for (const { server, missing, start } of servers) {
  t.test(`200 windows, 4 workers, a kill about each second, on ${server}`, { skip: missing }, async (t) => {
    const service = await start()
    t.teardown(() => service.stop())
    await crashTrial(t, service, {
      windows: 200,
      workers: 4,
      kills: 25,
      pace: 1000,
      lockSeconds: 4,
      timed: true,
    })
  })
}
