import {
  firstInstant,
  floorDivide,
  lastInstant,
  parseInstant,
  type Ticks,
  ticksPerMillisecond,
  toDate,
} from '../../core/time.ts'
import { isWithin, type Window } from '../../core/window.ts'
import { instantMilliseconds } from '../../source/column-values.ts'

/**
 * Which rows of an answer are kept:
 * - `exact`: those whose timestamp lies in the window, to a tick. For reads of more than one window, by one reader
 *   or several: no row on a boundary comes twice or not at all.
 * - `margin`: all but those in the margin that the request asks for beyond the window. For a read of one window: there
 *   may be timestamps that the query worked out, such as the start of a bin that began before the window.
 * - `all`: every row. The query itself keeps to the window.
 */
export type KeptRows = 'exact' | 'margin' | 'all'

/** Whether a row with this timestamp cell is kept. */
export type RowFilter = (timestamp: unknown) => boolean

const nowhere: RowFilter = () => false

/**
 * What is asked for so that no row of the window is missed, whatever the service makes of the ends of a timespan:
 * it takes whole milliseconds, and does not say whether a row right on an end is in it.
 */
export function askedWindow({ start, end }: Window, kept: KeptRows): Window {
  const margin = kept === 'exact' ? ticksPerMillisecond : 0n
  const [from, to] = [floorMillisecond(start) - margin, margin - floorMillisecond(-end)]
  // A text of the service's form has no years before 1 and after 9999.
  const last = floorMillisecond(lastInstant)
  return { start: from < firstInstant ? firstInstant : from, end: to > last ? last : to }
}

function floorMillisecond(ticks: Ticks): Ticks {
  return floorDivide(ticks, ticksPerMillisecond)[0] * ticksPerMillisecond
}

/** @returns undefined where every row is kept */
export function rowFilter(window: Window, kept: KeptRows): RowFilter | undefined {
  if (kept === 'all') return undefined
  if (kept === 'exact') return within(window)
  const asked = askedWindow(window, kept)
  const before = within({ start: asked.start, end: window.start })
  const after = within({ start: window.end, end: asked.end + 1n })
  return (timestamp) => !before(timestamp) && !after(timestamp)
}

/** Most rows are told apart by their milliseconds; only next to an end is every digit read. */
function within(window: Window): RowFilter {
  if (window.start >= window.end) return nowhere
  const first = toDate(window.start).getTime()
  const last = toDate(window.end).getTime()
  return (timestamp) => {
    if (typeof timestamp !== 'string') return false
    const milliseconds = instantMilliseconds(timestamp)
    if (milliseconds > first && milliseconds < last) return true
    if (milliseconds < first || milliseconds > last) return false
    const ticks = parseInstant(timestamp)
    return ticks !== undefined && isWithin(window, ticks)
  }
}

/** Whether a timestamp lies far outside: not even in the margin around the window. */
export function isFarOutside(timestamp: unknown, window: Window): boolean {
  const ticks = typeof timestamp === 'string' ? parseInstant(timestamp) : undefined
  if (ticks === undefined) return true
  const { start, end } = askedWindow(window, 'exact')
  return !isWithin({ start, end: end + 1n }, ticks)
}
