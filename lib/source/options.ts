import { isDate } from 'node:util/types'
import type { CheckpointStore } from '../checkpoint/store.ts'
import { type OptionSpecs, type OptionValues, option, Refusal, type Report } from '../core/options.ts'
import { retrySpecs } from '../core/retry.ts'
import {
  formatInstant,
  fromDate,
  parseDuration,
  parseInstant,
  secondsToTicks,
  type Ticks,
} from '../core/time.ts'
import {
  fromPlainWindow,
  type PlainWindow,
  sliceWindow,
  splitWindow,
  toPlainWindow,
  type Window,
} from '../core/window.ts'

/** An instant as an ISO 8601 string or a Date. */
export const instant = {
  form: 'an ISO 8601 instant, such as 2024-05-01T00:00:00Z',
  schema: { type: 'string', format: 'date-time' },
  parse(value: unknown): Ticks | undefined {
    if (isDate(value)) return Number.isNaN(value.getTime()) ? undefined : parseInstant(value.toISOString())
    return typeof value === 'string' ? parseInstant(value) : undefined
  },
}

/** A span of time as an ISO 8601 string. */
export const duration = {
  form: 'an ISO 8601 duration, such as P1D or PT30M',
  schema: { type: 'string', format: 'duration' },
  parse(value: unknown): Ticks | undefined {
    if (typeof value !== 'string') return undefined
    const ticks = parseDuration(value)
    if (ticks === undefined && /^P(\d+([.,]\d+)?[YMWD])*\d+([.,]\d+)?[YM]/i.test(value.trim())) {
      throw new Refusal(
        `years and months differ in length, so ${JSON.stringify(value)} is not an exact span: give it in weeks, days, hours, minutes or seconds`,
      )
    }
    return ticks === 0n ? undefined : ticks
  },
}

const requestSpecs = {
  /**
   * Maximum requests in flight, over all windows of the source; it reads or holds at most as many windows.
   * @default 4
   */
  max_in_flight: option.integer({ min: 1, default: 4 }),
} satisfies OptionSpecs

/** The options of every source. */
export const sourceSpecs: typeof requestSpecs & typeof retrySpecs = { ...requestSpecs, ...retrySpecs }

/** The options of every source that reads windows of time. */
export const windowSpecs = {
  /**
   * Shortest window, in seconds, down to which a window is halved when its result is too large.
   * @default 60
   */
  min_partition_seconds: option.amount({ default: 60 }),
} satisfies OptionSpecs

/** The range of a bounded read over windows of time. */
export const rangeSpecs = {
  /**
   * How far back from now to read: an ISO 8601 duration in weeks, days, hours, minutes and seconds (`P1D`, `PT1.5H`).
   * In place of `start_time`.
   */
  timespan: option.custom<Ticks, string>(duration),
  /**
   * First instant to read: ISO 8601 with any offset and up to 7 digits of a second, UTC without an offset. In place of
   * `timespan`.
   */
  start_time: option.custom<Ticks, string | Date>(instant),
  /**
   * End of the range, exclusive. Needs `start_time`.
   * @default now
   */
  end_time: option.custom<Ticks, string | Date>(instant),
  /**
   * One window of `planWindows`, in place of `timespan` and `start_time`. Other readers read the adjacent windows, so
   * each row needs its own time.
   */
  window: option.custom<Window, { readonly start: string; readonly end: string; readonly id?: string }>({
    form: 'a window { start, end } of ISO 8601 instants, its end after its start',
    schema: {
      type: 'object',
      properties: { id: { type: 'string' }, start: { type: 'string' }, end: { type: 'string' } },
      required: ['start', 'end'],
    },
    parse: fromPlainWindow,
  }),
  /**
   * Number of equal windows that the range is cut into, read in parallel (`max_in_flight` at once). Rows come in order.
   * @default 1
   */
  num_partitions: option.integer({ min: 1, default: 1 }),
  /** Length of the longest window, in seconds, in place of `num_partitions`. Windows are read in parallel. */
  partition_duration: option.amount(),
} satisfies OptionSpecs

export type RangeValues = OptionValues<typeof rangeSpecs>

/** The most windows that a range is cut into. */
const mostWindows = 1_000_000

/** Reports what is wrong with the options of a range together. */
export function checkRange(values: Partial<RangeValues>, report: Report, given: ReadonlySet<string>): void {
  const { start_time, end_time, partition_duration } = values
  const ranges = ['timespan', 'start_time', 'window'].filter((name) => given.has(name))
  if (ranges.length > 1) report(`${ranges.join(' and ')} exclude each other`)
  if (ranges.length === 0) report('the time range is missing: give timespan, or start_time, or a window')
  if (given.has('end_time') && !given.has('start_time')) report('end_time: needs start_time')
  if (start_time !== undefined && end_time !== undefined && end_time <= start_time) {
    report(`end_time: ${formatInstant(end_time)} is not after start_time ${formatInstant(start_time)}`)
  } else if (start_time !== undefined && !given.has('end_time') && start_time >= now()) {
    report(`start_time: ${formatInstant(start_time)} is not before now, and no end_time is given`)
  }
  if (partition_duration !== undefined && ranges.length === 1) {
    const { start, end } = requestedWindow(values)
    const longest = secondsToTicks(partition_duration)
    if (longest <= 0n || (end - start) / longest >= BigInt(mostWindows)) {
      report(`partition_duration: ${partition_duration} s gives more than ${mostWindows} windows`)
    }
  }
}

function now(): Ticks {
  return fromDate(Date.now())
}

/** The time range that the options ask for. */
export function requestedWindow({
  timespan,
  start_time,
  end_time,
  window,
}: Partial<Pick<RangeValues, 'timespan' | 'start_time' | 'end_time' | 'window'>>): Window {
  if (window) return window
  const end = end_time ?? now()
  return { start: start_time ?? end - (timespan ?? 0n), end }
}

/** The windows of a range, in order. */
export function rangeWindows(values: RangeValues): PlainWindow[] {
  const { num_partitions, partition_duration } = values
  const whole = requestedWindow(values)
  const windows =
    partition_duration === undefined
      ? splitWindow(whole, num_partitions)
      : sliceWindow(whole, secondsToTicks(partition_duration))
  return windows.map(toPlainWindow)
}

/** Start of a stream without a checkpoint. */
export type StartTime = Ticks | 'latest' | 'earliest'

/** The options of every streaming source. */
export const streamSpecs = {
  /**
   * Interval between two looks for new rows, in seconds, after the stream has caught up.
   * @default 60
   */
  poll_interval_seconds: option.amount({ default: 60 }),
  /**
   * Whether the stream ends after it has read all rows that are there at its start.
   * @default false
   */
  available_now: option.flag({ default: false }),
  /**
   * Directory of the offsets, from which a stream resumes after its last commit. Created if missing; one process at a
   * time.
   */
  checkpointLocation: option.text({ names: 'checkpoint' }),
  /** Store of the offsets, in place of `checkpointLocation`: for hosts without a disk of their own. */
  checkpoint: option.custom<CheckpointStore>({
    form: 'a CheckpointStore',
    parse: (value) =>
      typeof (value as CheckpointStore | null)?.open === 'function' ? (value as CheckpointStore) : undefined,
  }),
} satisfies OptionSpecs

/** Reports what is wrong with the options of a streaming source together. */
export function checkStream(_values: object, report: Report, given: ReadonlySet<string>): void {
  if (given.has('checkpointLocation') && given.has('checkpoint')) {
    report('checkpointLocation and checkpoint exclude each other')
  }
}

const followSpecs = {
  /**
   * Start of a stream without a checkpoint: an ISO 8601 instant, `latest` for now, or `earliest` for the first row, which
   * a query asks for. A checkpoint wins.
   * @default "latest"
   */
  start_time: option.custom<StartTime, 'latest' | 'earliest' | (string & {}) | Date>(
    {
      form: 'an ISO 8601 instant, "latest" or "earliest"',
      schema: { type: 'string' },
      parse(value) {
        const word = typeof value === 'string' ? value.trim().toLowerCase() : undefined
        return word === 'latest' || word === 'earliest' ? word : instant.parse(value)
      },
    },
    { default: 'latest' },
  ),
  /**
   * Length of the longest window of one query, in seconds.
   * @default 3600
   */
  partition_duration: option.amount({ default: 3600 }),
  /**
   * Minimum age of the end of a window, in seconds, for rows that arrive late. A row that arrives later is missed, unless
   * windows go by arrival.
   * @default 300
   */
  safety_lag_seconds: option.amount({ zero: true, default: 300 }),
} satisfies OptionSpecs

/** The options of every streaming source that reads windows of time. */
export const streamWindowSpecs: typeof followSpecs &
  typeof sourceSpecs &
  typeof windowSpecs &
  typeof streamSpecs = { ...sourceSpecs, ...windowSpecs, ...followSpecs, ...streamSpecs }
