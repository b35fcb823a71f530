import { mock } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { type Lease, openLeased } from '../../lib/checkpoint/lease.ts'
import { TransientError } from '../../lib/checkpoint/store.ts'

const duration = 10_000

/** A session of 10 s whose clock the test moves, and whose renewals the test answers. */
async function session(t: Test) {
  let now = 0
  t.intercept(performance, 'now', { value: () => now })
  mock.timers.enable({ apis: ['setInterval'] })
  t.teardown(() => mock.timers.reset())
  const renewals: { resolve(): void; reject(error: Error): void }[] = []
  const written: string[] = []
  const lease: Lease = {
    text: undefined,
    location: 'here',
    renew: () => new Promise<void>((resolve, reject) => renewals.push({ resolve, reject })),
    write: async (text) => void written.push(text),
    release: async () => {},
  }
  const opened = await openLeased(async () => lease, duration)
  const pass = async (milliseconds: number) => {
    for (let left = milliseconds; left > 0; left -= 100) {
      now += 100
      mock.timers.tick(100)
      await turn()
    }
  }
  return { opened, renewals, written, pass }
}

t.test('a holder whose renewals fail stops at nine tenths of its lease', async (t) => {
  const { opened, renewals, written, pass } = await session(t)
  await pass(2400)
  t.equal(renewals.length, 0)
  await pass(600)
  t.equal(renewals.length, 1, 'a quarter of the lease is over')
  renewals[0]!.reject(new TransientError('the server is away'))
  await pass(5900)
  t.notOk(opened.lost.aborted, '8.9 s')
  await opened.write('a')
  await pass(100)
  t.match(opened.lost.reason, { code: 'ERR_CHECKPOINT', message: /its lease could not be renewed in time/ })
  await t.rejects(opened.write('b'), { code: 'ERR_CHECKPOINT' })
  t.same(written, ['a'])
})

t.test('a renewal counts from when it was asked for, not from its answer', async (t) => {
  const { opened, renewals, pass } = await session(t)
  await pass(3000)
  t.equal(renewals.length, 1)
  await pass(5000)
  renewals[0]!.resolve()
  await pass(500)
  t.equal(renewals.length, 2, 'it is asked for again at once')
  // The first was asked for between 2.5 s and 3 s: it holds until 11.5 s at least and 12 s at most.
  await pass(2900)
  t.notOk(opened.lost.aborted, '11.4 s')
  await pass(600)
  t.ok(opened.lost.aborted, '12 s')
})

t.test('a holder that was frozen past its lease writes no more, before any timer runs', async (t) => {
  const { opened, written } = await session(t)
  t.intercept(performance, 'now', { value: () => 9000 })
  await t.rejects(opened.write('a'), { code: 'ERR_CHECKPOINT', message: /could not be renewed in time/ })
  t.same(written, [])
})
