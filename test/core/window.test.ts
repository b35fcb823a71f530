import fc from 'fast-check'
import t from 'tap'
import { firstInstant, lastInstant, parseInstant } from '../../lib/core/time.ts'
import {
  fromPlainWindow,
  isWithin,
  nextWindow,
  sliceWindow,
  splitWindow,
  toPlainWindow,
  type Window,
} from '../../lib/core/window.ts'

const instant = fc.bigInt({ min: firstInstant, max: lastInstant })
const window = fc
  .tuple(instant, instant)
  .filter(([a, b]) => a !== b)
  .map(([a, b]): Window => (a < b ? { start: a, end: b } : { start: b, end: a }))

function abutAndCover(parts: readonly Window[], whole: Window): boolean {
  return (
    parts[0]?.start === whole.start &&
    parts.at(-1)?.end === whole.end &&
    parts.every(({ start, end }, i) => start < end && (i === 0 || parts[i - 1]!.end === start))
  )
}

t.test('parts abut, cover the whole and are equal to a tick', async () => {
  fc.assert(
    fc.property(window, fc.integer({ min: 1, max: 300 }), (whole, count) => {
      const parts = splitWindow(whole, count)
      const even = (whole.end - whole.start) / BigInt(parts.length)
      return (
        abutAndCover(parts, whole) &&
        parts.length <= count &&
        parts.every(({ start, end }) => end - start === even || end - start === even + 1n)
      )
    }),
  )
})

t.test('a window of fewer ticks than parts gives one a tick', async (t) => {
  t.same(splitWindow({ start: 5n, end: 7n }, 10), [
    { start: 5n, end: 6n },
    { start: 6n, end: 7n },
  ])
})

t.test('slices abut, cover the whole and are none longer than asked', async () => {
  fc.assert(
    fc.property(window, fc.integer({ min: 1, max: 200 }), (whole, count) => {
      const longest = (whole.end - whole.start) / BigInt(count) + 1n
      const slices = sliceWindow(whole, longest)
      return abutAndCover(slices, whole) && slices.every(({ start, end }) => end - start <= longest)
    }),
  )
})

t.test('every instant belongs to exactly one of the windows that abut', async () => {
  fc.assert(
    fc.property(window, fc.integer({ min: 2, max: 20 }), (whole, count) => {
      const parts = splitWindow(whole, count)
      const edges = parts.flatMap(({ start, end }) => [start - 1n, start, end - 1n, end])
      return edges.every(
        (at) => parts.filter((part) => isWithin(part, at)).length === (isWithin(whole, at) ? 1 : 0),
      )
    }),
  )
})

t.test('nothing follows where the clock stands still or jumped back', async (t) => {
  t.equal(nextWindow(10n, 10n, 5n), undefined)
  t.equal(nextWindow(10n, 9n, 5n), undefined)
  t.same(nextWindow(10n, 12n, 5n), { start: 10n, end: 12n })
  t.same(nextWindow(10n, 20n, 5n), { start: 10n, end: 15n })
})

t.test('the plain form is read back to the tick', async (t) => {
  fc.assert(
    fc.property(window, (one) => {
      const { start, end } = fromPlainWindow(JSON.parse(JSON.stringify(toPlainWindow(one))))!
      return start === one.start && end === one.end
    }),
  )
  const start = parseInstant('2024-05-01T00:00:00.1234567Z')!
  t.same(toPlainWindow({ start, end: start + 1n }), {
    id: '2024-05-01T00:00:00.1234567Z/2024-05-01T00:00:00.1234568Z',
    start: '2024-05-01T00:00:00.1234567Z',
    end: '2024-05-01T00:00:00.1234568Z',
  })
})

t.test('what is no window is not read', async (t) => {
  const [start, end] = ['2024-05-01T00:00:00Z', '2024-05-02T00:00:00Z']
  t.ok(fromPlainWindow({ start, end }))
  for (const wrong of [
    null,
    'x',
    {},
    { start },
    { start: 1, end: 2 },
    { start: end, end: start },
    { start, end: start },
    { start, end: 'tomorrow' },
    { id: 'another', start, end },
  ]) {
    t.equal(fromPlainWindow(wrong), undefined, JSON.stringify(wrong))
  }
})
