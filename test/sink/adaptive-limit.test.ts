import t from 'tap'
import { AdaptiveBatch, AdaptiveLimit } from '../../lib/sink/load.ts'
import { scaled } from '../fixtures/scale.ts'
import { phasesOf, runPhases, type VirtualTime } from '../fixtures/virtual-destination.ts'

const most = 64
const seconds = 100
const shapes = scaled(
  [[20, 10], [400, 20], [400, 2], [20, 2], [100, 10]] as const,
  [[2, 40], [400, 40], [400, 2], [2, 2], [50, 10], [100, 40], [2, 5], [400, 10]] as const,
) // biome-ignore format: a table
const limits = scaled([2, 10, 20], [1, 2, 4, 5, 10, 20, 40, most])
const adaptive = (time: VirtualTime) => new AdaptiveLimit(4, most, () => time.now)

t.test('one sender: near the best fixed limit of each phase, and few are refused', async (t) => {
  for (const excess of ['refuse', 'queue'] as const) {
    const phases = phasesOf(excess, seconds, shapes)
    const fixed = limits.map((limit) => runPhases(phases, () => ({ limit })))
    for (const [at, { phase, served, late }] of runPhases(phases, adaptive).entries()) {
      if (phase.closed) continue
      const best = Math.max(...fixed.map((outcomes) => outcomes[at]!.served))
      const ratio = served / best
      const refused = late[0]!.refused / (late[0]!.served + late[0]!.refused)
      t.ok(ratio >= 0.9, `${phase.name}: ${ratio.toFixed(2)} of the best`)
      t.ok(refused < 0.01, `${phase.name}: ${(refused * 100).toFixed(2)} % refused`)
      t.ok(late[0]!.most <= most)
    }
  }
})

t.test('four senders share a destination that lets requests wait', async (t) => {
  const phases = phasesOf('queue', seconds, shapes).filter(
    ({ latency, capacity, closed }) => latency <= 100 && capacity >= 4 && !closed,
  )
  for (const { phase, late } of runPhases(phases, adaptive, 4)) {
    const fair = late.reduce((sum, { served }) => sum + served, 0) / 4
    for (const { served } of late)
      t.ok(Math.abs(served / fair - 1) < 0.2, `${phase.name}: ${(served / fair).toFixed(2)} of a fair share`)
  }
})

t.test('one request at a time is the least, and nothing is known of more where fewer are sent', async (t) => {
  let now = 0
  const limit = new AdaptiveLimit(4, most, () => now)
  for (let times = 0; times < 500; times++) {
    const ticket = limit.begin(false)
    now += 10
    limit.end(ticket, 'served')
  }
  t.equal(limit.limit, 4)
  for (let times = 0; times < 50; times++) limit.end(limit.begin(true), 'overloaded')
  t.equal(limit.limit, 1)
  const tickets = Array.from({ length: 8 }, () => limit.begin(true))
  const another = new AdaptiveLimit(40, most, () => now)
  const old = tickets.map(() => another.begin(true))
  for (const ticket of old) another.end(ticket, 'overloaded')
  t.equal(another.limit, 36, 'requests that were under way together count once')
})

t.test(
  'a batch grows with each full one that is taken, and halves where the destination is overloaded',
  async (t) => {
    let now = 0
    const batch = new AdaptiveBatch(() => now)
    t.equal(batch.rows, 50)
    batch.end(20, now, 'served')
    t.equal(batch.rows, 50, 'one that was not full says nothing')
    for (let times = 0; times < 200; times++) batch.end(batch.rows, now, 'served')
    t.equal(batch.rows, 5000)
    const together = now
    now = 10
    for (let times = 0; times < 4; times++) batch.end(5000, together, 'overloaded')
    t.equal(batch.rows, 2500)
    for (let times = 0; times < 20; times++) batch.end(5000, ++now, 'overloaded')
    t.equal(batch.rows, 50)
  },
)
