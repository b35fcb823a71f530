import fc from 'fast-check'
import t from 'tap'
import { formatInstant, parseInstant, secondsToTicks } from '../../lib/core/time.ts'
import { WindowPlanner, windowCourse } from '../../lib/source/windows.ts'

const plan = {
  start_time: 'latest',
  partition_duration: 10,
  safety_lag_seconds: 60,
  min_partition_seconds: 1,
} as const
const now = Date.parse('2026-01-01T00:01:00.123Z')
const offset = (ticks: bigint) => ({ timestamp: formatInstant(ticks) })

t.test('windows end exactly as far behind now as the lag says', async (t) => {
  t.intercept(Date, 'now', { value: () => now })
  const planner = new WindowPlanner(plan)
  t.same(await planner.latestOffset(), { timestamp: '2026-01-01T00:00:00.123Z' })
  t.same(await planner.initialOffset(async () => undefined), { timestamp: '2026-01-01T00:01:00.123Z' })
  const empty = new WindowPlanner({ ...plan, start_time: 'earliest' })
  t.same(await empty.initialOffset(async () => undefined), await planner.latestOffset())
})

t.test('windows abut and cover a range exactly, to 100 ns; so do their halves', async () => {
  const planner = new WindowPlanner(plan)
  const instant = fc
    .bigInt({ min: 0n, max: 10n ** 10n })
    .map((more) => parseInstant('2026-01-01T00:00:00Z')! + more)
  fc.assert(
    fc.property(instant, fc.bigInt({ min: -5n, max: 3n * 10n ** 9n }), (from, length) => {
      let at = offset(from)
      for (const window of planner.slices(at, offset(from + length))) {
        const [start, end] = [parseInstant(window.start)!, parseInstant(window.end)!]
        if (end - start > secondsToTicks(plan.partition_duration)) return false
        const halves = planner.halves(window)
        if (
          halves &&
          (halves[0].start !== window.start ||
            halves[0].end !== halves[1].start ||
            halves[1].end !== window.end)
        )
          return false
        at = windowCourse.advance(at, window)
        if (windowCourse.passed!(offset(end - 1n), window.id) || !windowCourse.passed!(at, window.id))
          return false
      }
      return at.timestamp === offset(length > 0n ? from + length : from).timestamp
    }),
  )
})

t.test('a window that overlaps the offset, or leaves a gap, moves nothing', (t) => {
  const window = {
    id: '2026-01-01T00:00:00.000Z/2026-01-01T00:00:10.000Z',
    start: '2026-01-01T00:00:00.000Z',
    end: '2026-01-01T00:00:10.000Z',
  }
  const start = parseInstant(window.start)!
  for (const at of [start - 1n, start + 1n])
    t.throws(() => windowCourse.advance(offset(at), window), {
      code: 'ERR_CHECKPOINT',
      message: /does not begin where/,
    })
  t.same(windowCourse.advance(offset(start), window), { timestamp: window.end })
  t.end()
})

t.test('a window is not halved below min_partition_seconds', (t) => {
  const planner = new WindowPlanner({ ...plan, min_partition_seconds: 5 })
  const window = (end: string) => ({
    id: `2026-01-01T00:00:00.000Z/${end}`,
    start: '2026-01-01T00:00:00.000Z',
    end,
  })
  t.ok(planner.halves(window('2026-01-01T00:00:10.000Z')))
  t.notOk(planner.halves(window('2026-01-01T00:00:09.9999999Z')))
  t.end()
})
