import { setTimeout as sleep } from 'node:timers/promises'
import { OptionError } from '../core/errors.ts'
import { formatInstant, secondsToTicks, type Ticks, ticksPerSecond } from '../core/time.ts'
import {
  type Counted,
  counterOf,
  instantOf,
  type Key,
  type Range,
  type VerifyEnd,
} from './interval-counts.ts'

export type { VerifyEnd }

export interface VerifyOptions {
  /** First event time, ISO 8601. */
  readonly start_time: string | Date
  /** End of the event times, itself not included. */
  readonly end_time: string | Date
  /** Length of an interval in seconds: a divisor of a day. Default: 3600. */
  readonly by?: number | undefined
  /**
   * Columns that name a row, such as `['uid']`; `source=destination` if the two ends call one differently. With it an
   * interval agrees only if it has as many different keys at both ends, and those that differ list their keys.
   */
  readonly key?: string | readonly string[] | undefined
  /** Most seconds to wait for the destination to have what the source has. Default: 0. */
  readonly settle?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/** A key that is not as often in the destination as in the source. */
export interface DifferentKey {
  readonly key: Key
  readonly source: number
  readonly destination: number
}

/** What one interval of event time has at both ends. */
export interface VerifiedInterval {
  readonly start: string
  readonly end: string
  readonly source: number
  readonly destination: number
  /** Rows of the destination less those of the source. */
  readonly difference: number
  /** Whether rows, and different keys if there is a key, are as many at both ends. */
  readonly agrees: boolean
  /** Keys that are there less often in the destination. Empty without a key. */
  readonly missing: readonly DifferentKey[]
  /** Keys that are there more often in the destination. Empty without a key. */
  readonly doubled: readonly DifferentKey[]
}

const day = 86_400
/** Seconds between two counts of a destination that is waited for. */
const settlePoll = 10

/**
 * Counts source and destination by intervals of event time, each where its rows are, and yields every interval in which
 * one of them has rows, in order of time. Nothing is written at either end.
 *
 *     for await (const interval of verify(
 *       { connector: 'splunk', options: { splunkd_url, splunkd_token, index: 'main' } },
 *       { connector: 'azure-monitor', options: { workspace_id, query: 'Splunk_CL', azure_default_credential: true }, time_column: 'EventTime' },
 *       { start_time: '2026-01-01', end_time: '2026-02-01', by: 3600, key: 'uid' },
 *     )) if (!interval.agrees) console.log(interval.start, interval.difference)
 *
 * @throws OptionError for wrong options; the errors of the sources that count
 */
export async function* verify(
  source: VerifyEnd,
  destination: VerifyEnd,
  options: VerifyOptions,
): AsyncGenerator<VerifiedInterval> {
  const { range, by, key, settle, signal } = resolve(options)
  const wantedBy = counterOf(
    source,
    by,
    key.map(([name]) => name),
  )
  const foundBy = counterOf(
    destination,
    by,
    key.map(([, name]) => name),
  )
  const wanted = await wantedBy.counts(range, signal)
  let found = await foundBy.counts(range, signal)
  const until = performance.now() + settle * 1000
  for (;;) {
    const left = until - performance.now()
    if (left <= 0 || startsOf(wanted, found).every((start) => same(wanted.get(start), found.get(start))))
      break
    await sleep(Math.min(left, settlePoll * 1000), undefined, signal && { signal })
    found = await foundBy.counts(range, signal)
  }
  for (const start of startsOf(wanted, found)) {
    const interval: Range = {
      start: start < range.start ? range.start : start,
      end: start + by > range.end ? range.end : start + by,
    }
    const [rows, others] = [wanted.get(start)?.rows ?? 0, found.get(start)?.rows ?? 0]
    const agrees = same(wanted.get(start), found.get(start))
    const differing =
      agrees || key.length === 0
        ? []
        : differences(await wantedBy.keys(interval, signal), await foundBy.keys(interval, signal))
    yield {
      start: formatInstant(interval.start),
      end: formatInstant(interval.end),
      source: rows,
      destination: others,
      difference: others - rows,
      agrees,
      missing: differing.filter(({ source, destination }) => destination < source),
      doubled: differing.filter(({ source, destination }) => destination > source),
    }
  }
}

function startsOf(wanted: ReadonlyMap<Ticks, Counted>, found: ReadonlyMap<Ticks, Counted>): Ticks[] {
  return [...new Set([...wanted.keys(), ...found.keys()])].sort((a, b) => (a < b ? -1 : 1))
}

function same(one: Counted | undefined, other: Counted | undefined): boolean {
  return one?.rows === other?.rows && one?.keys === other?.keys
}

function differences(
  wanted: ReadonlyMap<string, number>,
  found: ReadonlyMap<string, number>,
): DifferentKey[] {
  return [...new Set([...wanted.keys(), ...found.keys()])]
    .map((key) => ({
      key: JSON.parse(key) as Key,
      source: wanted.get(key) ?? 0,
      destination: found.get(key) ?? 0,
    }))
    .filter(({ source, destination }) => source !== destination)
}

function resolve({ start_time, end_time, by = 3600, key = [], settle = 0, signal }: VerifyOptions) {
  const problems: string[] = []
  const [start, end] = [instantOf(start_time), instantOf(end_time)]
  if (start === undefined) problems.push('start_time: expected a Date or ISO 8601 text')
  if (end === undefined) problems.push('end_time: expected a Date or ISO 8601 text')
  if (start !== undefined && end !== undefined && end <= start)
    problems.push('end_time: is not after start_time')
  if (!Number.isInteger(by) || by < 1 || by > day || day % by !== 0) {
    problems.push('by: expected a number of seconds that divides a day, such as 60, 3600 or 86400')
  }
  if (!(settle >= 0)) problems.push('settle: expected a number of seconds of 0 or more')
  const names = typeof key === 'string' ? key.split(',') : key
  const pairs = names.map((name): [source: string, destination: string] => {
    const [first = '', second = first] = name.split('=').map((part) => part.trim())
    if (first === '' || second === '') problems.push('key: expected names of columns, or source=destination')
    return [first, second]
  })
  if (problems.length > 0) throw new OptionError('verify', problems)
  return {
    range: { start: start!, end: end! },
    by: secondsToTicks(by) - (secondsToTicks(by) % ticksPerSecond),
    key: pairs,
    settle,
    signal,
  }
}
