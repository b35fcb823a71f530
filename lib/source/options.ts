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

/** An instant as ISO 8601 text or a Date. */
export const instant = {
  form: 'an ISO 8601 instant, such as 2024-05-01T00:00:00Z',
  type: 'string | Date',
  schema: { type: 'string', format: 'date-time' },
  parse(value: unknown): Ticks | undefined {
    if (value instanceof Date)
      return Number.isNaN(value.getTime()) ? undefined : parseInstant(value.toISOString())
    return typeof value === 'string' ? parseInstant(value) : undefined
  },
}

/** A span of time as ISO 8601 text. */
export const duration = {
  form: 'an ISO 8601 duration, such as P1D or PT30M',
  type: 'string',
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

/** Options of every source. */
export function sourceSpecs(defaults: { max_in_flight: number }) {
  return {
    max_in_flight: option.integer({
      min: 1,
      default: defaults.max_in_flight,
      doc: 'Requests under way at once, over all windows of the source. At most as many windows are asked for or held in memory.',
    }),
    ...retrySpecs,
  } satisfies OptionSpecs
}

/** Options of every source that reads windows of time. */
export const windowSpecs = {
  min_partition_seconds: option.amount({
    default: 60,
    doc: 'A window whose result is too large is halved, and its halves again, but none gets shorter than this many seconds.',
  }),
} satisfies OptionSpecs

/** The range of a bounded read over windows of time. */
export const rangeSpecs = {
  timespan: option.custom<Ticks>(duration, {
    doc: 'How far back from now to read, as an ISO 8601 duration in weeks, days, hours, minutes and seconds (`P1D`, `PT1.5H`). In place of `start_time`.',
  }),
  start_time: option.custom<Ticks>(instant, {
    doc: 'First instant to read, ISO 8601 with any offset and up to 7 digits of a second; UTC without an offset. In place of `timespan`.',
  }),
  end_time: option.custom<Ticks>(instant, {
    defaultText: 'now',
    doc: 'End of the time to read, itself not included. Goes with `start_time`.',
  }),
  window: option.custom<Window>(
    {
      form: 'a window { start, end } of ISO 8601 instants, its end after its start',
      type: '{ readonly start: string; readonly end: string; readonly id?: string }',
      schema: {
        type: 'object',
        properties: { id: { type: 'string' }, start: { type: 'string' }, end: { type: 'string' } },
        required: ['start', 'end'],
      },
      parse: fromPlainWindow,
    },
    {
      doc: 'One window of `planWindows`, in place of `timespan` and `start_time`. Its neighbours are read elsewhere, so the rows need their own time.',
    },
  ),
  num_partitions: option.integer({
    min: 1,
    default: 1,
    doc: 'Equal windows of the time range, read in parallel (`max_in_flight` at once); their rows come out in order.',
  }),
  partition_duration: option.amount({
    doc: 'Seconds of the longest window, in place of `num_partitions`. Windows are read in parallel (`max_in_flight` at once).',
  }),
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
  if (given.has('num_partitions') && given.has('partition_duration')) {
    report('num_partitions and partition_duration exclude each other')
  }
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

/** Where a stream without a checkpoint begins. */
export type StartTime = Ticks | 'latest' | 'earliest'

/** Options of every streaming source. */
export const streamSpecs = {
  poll_interval_seconds: option.amount({
    default: 60,
    doc: 'Seconds from one look for new rows to the next, once caught up.',
  }),
  available_now: option.flag({
    default: false,
    doc: 'Reads what is there at the start, then ends.',
  }),
  checkpointLocation: option.text({
    names: 'checkpoint',
    doc: 'Directory where offsets are kept, so that the stream goes on where it was committed. Made where it is not there. One process at a time.',
  }),
  checkpoint: option.custom<CheckpointStore>(
    {
      form: 'a CheckpointStore',
      type: "import('../../checkpoint/store.ts').CheckpointStore",
      parse: (value) =>
        typeof (value as CheckpointStore | null)?.open === 'function'
          ? (value as CheckpointStore)
          : undefined,
    },
    {
      doc: 'Store where offsets are kept, for hosts without a disk of their own: in place of `checkpointLocation`.',
    },
  ),
} satisfies OptionSpecs

/** Reports what is wrong with the options of a streaming source together. */
export function checkStream(_values: object, report: Report, given: ReadonlySet<string>): void {
  if (given.has('checkpointLocation') && given.has('checkpoint')) {
    report('checkpointLocation and checkpoint exclude each other')
  }
}

/** Options of every streaming source that reads windows of time. */
export function streamWindowSpecs(defaults: { max_in_flight: number; safety_lag_seconds: number }) {
  return {
    ...sourceSpecs(defaults),
    ...windowSpecs,
    start_time: option.custom<StartTime, { readonly doc: string; readonly default: 'latest' }>(
      {
        form: 'an ISO 8601 instant, "latest" or "earliest"',
        type: "'latest' | 'earliest' | (string & {}) | Date",
        schema: { type: 'string' },
        parse(value) {
          const word = typeof value === 'string' ? value.trim().toLowerCase() : undefined
          return word === 'latest' || word === 'earliest' ? word : instant.parse(value)
        },
      },
      {
        default: 'latest',
        doc: 'Where a stream with no checkpoint begins: an ISO 8601 instant; `latest` for now; `earliest` for the first row there is, which is asked for by a query. With a checkpoint, the checkpoint counts.',
      },
    ),
    partition_duration: option.amount({
      default: 3600,
      doc: 'Seconds of the longest window that one query covers.',
    }),
    safety_lag_seconds: option.amount({
      zero: true,
      default: defaults.safety_lag_seconds,
      doc: 'How many seconds behind now a window may end, for rows that arrive late. A row that arrives later than that is missed, unless windows go by the time of arrival; with 0 that is any row not there the moment it is due.',
    }),
    ...streamSpecs,
  } satisfies OptionSpecs
}
