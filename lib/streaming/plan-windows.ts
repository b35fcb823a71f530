import { declareOptions, type OptionSpec, otherSpelling, Refusal } from '../core/options.ts'
import type { OptionsOf } from '../core/spelling.ts'
import { formatInstant, secondsToTicks } from '../core/time.ts'
import { type PlainWindow, sliceWindow, splitWindow, toPlainWindow } from '../core/window.ts'
import { rangeSpecs, requestedWindow } from '../source/options.ts'

/** The most windows in one plan. */
const mostWindows = 1_000_000

const { timespan, start_time, end_time, window, num_partitions, partition_duration } = rangeSpecs

const planSpecs = {
  timespan,
  start_time,
  end_time,
  window: {
    ...window,
    parse: () => {
      throw new Refusal('is what this function gives; give timespan or start_time')
    },
  } as OptionSpec<undefined>,
  num_partitions: { ...num_partitions, default: undefined } as OptionSpec<number | undefined>,
  partition_duration,
}

/** Options of `planWindows`; those of a source are ignored, so that one object serves both. */
export type PlanWindowsOptions = OptionsOf<Omit<typeof rangeSpecs, 'window'>> & {
  [other: string]: unknown
}

const names = new Set(Object.keys(planSpecs).flatMap((name) => [name, otherSpelling(name)]))

const declaration = declareOptions('planWindows', planSpecs, (values, report, given) => {
  const starts = ['timespan', 'start_time'].filter((name) => given.has(name))
  if (starts.length !== 1) report('give either timespan or start_time')
  if (given.has('end_time') && !given.has('start_time')) report('end_time: needs start_time')
  if (given.has('num_partitions') && given.has('partition_duration')) {
    report('num_partitions and partition_duration exclude each other')
  }
  const { start_time, end_time } = values
  if (start_time !== undefined && end_time !== undefined && end_time <= start_time) {
    report(`end_time: ${formatInstant(end_time)} is not after start_time ${formatInstant(start_time)}`)
  }
})

/** Those of the options that are about the plan; the others are the source's, which checks them. */
function ofThePlan(options: PlanWindowsOptions): Record<string, unknown> {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) return options
  return Object.fromEntries(Object.entries(options).filter(([name]) => names.has(name)))
}

/**
 * Splits a time range into windows that abut, as plain JSON: for a queue or scheduler that spreads them over workers,
 * which deliver each by `runWindow`. `openBacklog` and `cyber-connectors/bullmq` keep account of which are done.
 *
 * @throws OptionError that lists every wrong option
 */
export function planWindows(options: PlanWindowsOptions): PlainWindow[] {
  const values = declaration.resolve(ofThePlan(options))
  const whole = requestedWindow(values)
  if (whole.end <= whole.start) return []
  const { num_partitions, partition_duration = 3600 } = values
  if (num_partitions !== undefined) return splitWindow(whole, num_partitions).map(toPlainWindow)
  const longest = secondsToTicks(partition_duration)
  const count = longest > 0n ? (whole.end - whole.start) / longest : BigInt(mostWindows)
  if (count >= BigInt(mostWindows)) {
    throw new RangeError(`partition_duration: ${partition_duration} s gives more than ${mostWindows} windows`)
  }
  return sliceWindow(whole, longest).map(toPlainWindow)
}
