// `auto` against fixed numbers of requests in flight, while the destination changes.
import { startServer, trial } from './harness.mjs'
import { goal, megabytes, table } from './report.mjs'

const shapes = [
  [50, 10, 'refuse'],
  [400, 40, 'refuse'],
  [400, 2, 'refuse'],
  [20, 2, 'queue'],
  [100, 20, 'queue'],
  [20, 5, 'queue'],
]

function phasesOf(seconds) {
  const phases = shapes.map(([latency, capacity, excess]) => ({ seconds, latency, capacity, excess }))
  phases.splice(2, 0, { seconds: 5, latency: 1, capacity: 1, excess: 'refuse', closed: true })
  return phases
}

const nameOf = ({ latency, capacity, excess, closed }) =>
  closed
    ? 'nothing but 429'
    : `${latency} ms, ${capacity} at once, more ${excess === 'refuse' ? 'get 429' : 'wait'}`

export async function auto({ quick }) {
  const phases = phasesOf(quick ? 15 : 100)
  const total = phases.reduce((sum, { seconds }) => sum + seconds, 0)
  const settings = ['auto', 1, 2, 4, 10, 20, 40]
  const server = await startServer('changing', { phases })
  let peak
  let counts
  try {
    // All at once, each with a destination of its own: most of the time is waiting.
    const results = await Promise.all(
      settings.map((max_in_flight) =>
        trial('auto', 'sender', {
          url: `${server.url}/own-${max_in_flight}/${max_in_flight}`,
          seconds: total,
          max_in_flight,
        }),
      ),
    )
    peak = results[0].peak
    counts = await server.count()
  } finally {
    await server.close()
  }
  const lines = []
  const shares = []
  const throttled = []
  for (const [at, phase] of phases.entries()) {
    const served = (setting) => counts[at][setting]?.served ?? 0
    const fixed = settings.slice(1)
    const best = fixed.reduce((one, other) => (served(other) > served(one) ? other : one))
    const { lateServed = 0, lateRefused = 0 } = counts[at].auto ?? {}
    const refused = lateRefused / Math.max(1, lateServed + lateRefused)
    if (!phase.closed) {
      shares.push(served('auto') / served(best))
      throttled.push(refused)
    }
    lines.push([nameOf(phase), served('auto'), phase.closed ? '–' : `${served(best)} (${best})`, phase.closed ? '–' : (served('auto') / served(best)).toFixed(2), phase.closed ? '–' : served(4), phase.closed ? '–' : `${(refused * 100).toFixed(2)} %`]) // biome-ignore format: a line
  }

  const together = [{ seconds: quick ? 15 : 60, latency: 50, capacity: 20, excess: 'queue' }]
  const shared = await startServer('changing', { phases: together })
  const clients = ['a', 'b', 'c', 'd']
  let parts
  try {
    await Promise.all(
      clients.map(
        (client) =>
        trial('auto', 'sender', { url: `${shared.url}/one/${client}`, seconds: together[0].seconds, max_in_flight: 'auto' }), // biome-ignore format: a line
      ),
    )
    const [count] = await shared.count()
    parts = clients.map((client) => count[client]?.lateServed ?? 0)
  } finally {
    await shared.close()
  }
  const fair = parts.reduce((sum, part) => sum + part, 0) / parts.length
  const unfair = Math.max(...parts.map((part) => Math.abs(part / fair - 1)))
  return `### Automatic requests in flight

\`max_in_flight: 'auto'\` against fixed numbers, 50 rows a request. The destination's latency and capacity change every ${phases[0].seconds} s. The figures are requests served in each phase; the throttled share is of a phase's second half.

${table(['the destination', 'auto', 'best fixed (which)', 'auto to it', 'the default, 4', 'throttled'], lines)}

${goal('lowest share of the best fixed number', Math.min(...shares), 0.9)}
${goal('highest throttled share, %', Math.max(...throttled) * 100, 1, { most: true })}

Peak memory of the sender with auto: ${megabytes(peak)}.

Four senders in four processes on one destination (${together[0].latency} ms, ${together[0].capacity} at once, more wait), the second half of ${together[0].seconds} s: ${parts.join(', ')} requests.

${goal('largest difference from an equal share, %', unfair * 100, 20, { most: true })}`
}
