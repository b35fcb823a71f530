import { CheckpointError } from '../core/errors.ts'
import { fromDate, secondsToTicks, type Ticks, ticksPerMillisecond } from '../core/time.ts'
import {
  fromPlainWindow,
  nextWindow,
  type PlainWindow,
  splitWindow,
  toPlainWindow,
  type Window,
} from '../core/window.ts'
import type { Divider, Planner } from './planner.ts'
import { advanceOverWindow, fromOffset, isPassed, toOffset, type WindowOffset } from './window-offset.ts'

/** The window that a slice is. @throws CheckpointError where it is none */
export function windowOf(slice: PlainWindow): Window {
  const window = fromPlainWindow(slice)
  if (window) return window
  throw new CheckpointError('ERR_CHECKPOINT', `not a window: ${JSON.stringify(slice)}`)
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

  constructor(plan: WindowPlan) {
    super(plan)
    this.#plan = plan
  }

  async initialOffset(earliest: () => Promise<WindowOffset | undefined>): Promise<WindowOffset> {
    const { start_time } = this.#plan
    if (start_time === 'latest') return toOffset(fromDate(Date.now()))
    if (start_time !== 'earliest') return toOffset(start_time)
    // Where there is no row yet, those to come are not older than the lag allows. The clock is read before the request.
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

  advance(offset: WindowOffset, slice: PlainWindow): WindowOffset {
    return advanceOverWindow(offset, slice)
  }

  passed(offset: WindowOffset, id: string): boolean {
    return isPassed(offset, id)
  }

  check(slice: PlainWindow): void {
    windowOf(slice)
  }

  lag(slice: PlainWindow): number {
    return Number((fromDate(Date.now()) - windowOf(slice).end) / ticksPerMillisecond)
  }

  #latest(): WindowOffset {
    return toOffset(fromDate(Date.now()) - secondsToTicks(this.#plan.safety_lag_seconds))
  }
}
