import type { Course } from '../checkpoint/checkpoint.ts'
import { CheckpointError } from '../core/errors.ts'
import {
  formatInstant,
  fromDate,
  parseInstant,
  secondsToTicks,
  type Ticks,
  ticksPerMillisecond,
} from '../core/time.ts'
import {
  fromPlainWindow,
  nextWindow,
  type PlainWindow,
  splitWindow,
  toPlainWindow,
  type Window,
} from '../core/window.ts'
import type { Divider, Planner } from './planner.ts'

/** The slice as a window. @throws CheckpointError if it is none */
export function windowOf(slice: PlainWindow): Window {
  const window = fromPlainWindow(slice)
  if (window) return window
  throw new CheckpointError('ERR_CHECKPOINT', `not a window: ${JSON.stringify(slice)}`)
}

/** Offset of a stream of windows: all rows before this instant (ISO 8601, up to 7 digits of a second) are out. */
export type WindowOffset = { readonly timestamp: string }

export function toOffset(ticks: Ticks): WindowOffset {
  return { timestamp: formatInstant(ticks) }
}

/** @throws CheckpointError if it is no offset */
export function fromOffset(offset: WindowOffset): Ticks {
  const ticks = typeof offset?.timestamp === 'string' ? parseInstant(offset.timestamp) : undefined
  if (ticks !== undefined) return ticks
  throw new CheckpointError('ERR_CHECKPOINT', 'an offset should be { timestamp: <ISO 8601> }')
}

/** How windows move the offset: each starts where the one before it ends. */
export const windowCourse: Course<PlainWindow, WindowOffset> = {
  advance(offset, slice) {
    const window = windowOf(slice)
    if (window.start === fromOffset(offset)) return toOffset(window.end)
    throw new CheckpointError(
      'ERR_CHECKPOINT',
      `the window ${slice.id} does not begin where the last one ends, ${offset.timestamp}`,
    )
  },

  passed(offset, id) {
    const end = parseInstant(id.slice(id.indexOf('/') + 1))
    return end !== undefined && end <= fromOffset(offset)
  },

  restart: (offset) =>
    offset
      ? 'to go on from there, give it as start_time to the new query'
      : 'set start_time to the time of the last rows that arrived',
}

/** Halves windows of time, down to the shortest. */
export class WindowDivider implements Divider<PlainWindow> {
  readonly #shortest: Ticks
  readonly indivisible: string

  constructor({ min_partition_seconds: shortest }: { readonly min_partition_seconds: number }) {
    this.#shortest = secondsToTicks(shortest)
    this.indivisible = `can not be halved: its halves would be shorter than min_partition_seconds (${shortest}). Let the query give fewer rows or columns, or set min_partition_seconds lower`
  }

  halves(slice: PlainWindow): readonly [PlainWindow, PlainWindow] | undefined {
    const window = windowOf(slice)
    if (window.end - window.start < 2n * this.#shortest) return undefined
    const [first, second] = splitWindow(window, 2)
    return second && [toPlainWindow(first!), toPlainWindow(second)]
  }

  ends({ start, end }: PlainWindow): { start: string; end: string } {
    return { start, end }
  }
}

export interface WindowPlan {
  readonly start_time: Ticks | 'latest' | 'earliest'
  readonly partition_duration: number
  readonly safety_lag_seconds: number
  readonly min_partition_seconds: number
}

/** Windows of time that abut, each at most `partition_duration` long, up to `safety_lag_seconds` ago. */
export class WindowPlanner extends WindowDivider implements Planner<PlainWindow, WindowOffset> {
  readonly #plan: WindowPlan
  /** Milliseconds that windows are held back by. */
  #clockAhead = 0

  constructor(plan: WindowPlan) {
    super(plan)
    this.#plan = plan
  }

  async initialOffset(earliest: () => Promise<WindowOffset | undefined>): Promise<WindowOffset> {
    const { start_time } = this.#plan
    if (start_time === 'latest') return toOffset(fromDate(Date.now()))
    if (start_time !== 'earliest') return toOffset(start_time)
    // If there is no row yet, later ones are not older than the lag allows. The clock is read before the request.
    const latest = this.#latest()
    return (await earliest()) ?? latest
  }

  async latestOffset(): Promise<WindowOffset> {
    return this.#latest()
  }

  *slices(from: WindowOffset, until: WindowOffset): Generator<PlainWindow, void> {
    const longest = secondsToTicks(this.#plan.partition_duration)
    const end = fromOffset(until)
    for (let at = fromOffset(from); ; ) {
      const window = nextWindow(at, end, longest)
      if (!window) return
      yield toPlainWindow(window)
      at = window.end
    }
  }

  readonly advance = windowCourse.advance

  readonly passed = windowCourse.passed!

  readonly restart = windowCourse.restart!

  check(slice: PlainWindow): void {
    windowOf(slice)
  }

  early(slice: PlainWindow, clockAhead: number): number {
    if (clockAhead === 0) {
      this.#clockAhead = 0
      return 0
    }
    const due = windowOf(slice).end + secondsToTicks(this.#plan.safety_lag_seconds)
    const wait =
      Number(due / ticksPerMillisecond) - Number(fromDate(Date.now() - clockAhead) / ticksPerMillisecond)
    // A slow answer has an old date as well; only a window that is not due shows that the clock is ahead.
    if (wait > 0) this.#clockAhead = clockAhead
    return Math.max(0, wait)
  }

  lag(slice: PlainWindow): number {
    return Number((fromDate(Date.now()) - windowOf(slice).end) / ticksPerMillisecond)
  }

  #latest(): WindowOffset {
    return toOffset(fromDate(Date.now() - this.#clockAhead) - secondsToTicks(this.#plan.safety_lag_seconds))
  }
}
