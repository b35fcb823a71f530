import { isDate } from 'node:util/types'
import { AzureMonitorReadable } from '../connectors/azure-monitor/azure-monitor-readable.ts'
import { pipedOn } from '../connectors/azure-monitor/query-windows.ts'
import { composedSearch } from '../connectors/splunk/search/spl.ts'
import { SplunkReadable } from '../connectors/splunk/splunk-readable.ts'
import { JsonText } from '../core/json.ts'
import {
  firstInstant,
  floorDivide,
  formatInstant,
  fromDate,
  lastInstant,
  parseInstant,
  type Ticks,
  ticksPerMillisecond,
  ticksPerSecond,
} from '../core/time.ts'

/** One end of what is compared: a search that is counted where its rows are, or rows that are read. */
export type VerifyEnd =
  | {
      /** Counted by `summarize count() by bin()` (azure-monitor, ms-sentinel) or `bin` and `stats count` (splunk). */
      readonly connector: 'azure-monitor' | 'ms-sentinel' | 'splunk'
      /** Options of the bounded source, without its time range. */
      readonly options: Readonly<Record<string, unknown>>
      /** Column with the time of an event, for KQL. Default: `TimeGenerated`. */
      readonly time_column?: string | undefined
    }
  | {
      /** Reads the rows of a time range, or more. */
      readonly rows: (range: {
        readonly start: Date
        readonly end: Date
      }) => AsyncIterable<object> | Iterable<object>
      /** Column with the time of an event: a Date, ISO 8601 text, or seconds or milliseconds since 1970. */
      readonly time_column: string
    }

export interface Range {
  readonly start: Ticks
  readonly end: Ticks
}

/** What an interval has. */
export interface Counted {
  readonly rows: number
  /** Different keys, if there is a key. */
  readonly keys: number
}

/** Values of the key columns, as text. */
export type Key = readonly string[]

/** Counts the rows of one end. */
export interface Counter {
  /** By the start of the interval, for those that have rows. */
  counts(range: Range, signal: AbortSignal | undefined): Promise<Map<Ticks, Counted>>
  /** How often each key is there, by its JSON. */
  keys(range: Range, signal: AbortSignal | undefined): Promise<Map<string, number>>
}

/** @param by ticks; a divisor of a day, so that every service has the same intervals @param key columns of this end */
export function counterOf(end: VerifyEnd, by: Ticks, key: Key): Counter {
  if ('rows' in end) return new ReadCounter(end, by, key)
  return end.connector === 'splunk'
    ? new SplunkCounter(end.options, by, key)
    : new KqlCounter(end.options, end.time_column ?? 'TimeGenerated', by, key)
}

/** Start of the interval that an instant is in. */
export function intervalOf(instant: Ticks, by: Ticks): Ticks {
  return instant - floorDivide(instant, by)[1]
}

class KqlCounter implements Counter {
  readonly #options: Readonly<Record<string, unknown>>
  readonly #time: string
  readonly #by: Ticks
  readonly #key: Key

  constructor(options: Readonly<Record<string, unknown>>, time: string, by: Ticks, key: Key) {
    this.#options = options
    this.#time = kqlName(time)
    this.#by = by
    this.#key = key.map(kqlName)
  }

  async counts(range: Range, signal: AbortSignal | undefined): Promise<Map<Ticks, Counted>> {
    const bin = `verify_time = bin(${this.#time}, ${Number(this.#by / ticksPerSecond)}s)`
    const summary =
      this.#key.length === 0
        ? `summarize verify_rows = count() by ${bin}`
        : `summarize verify_n = count() by ${[bin, ...this.#keys()].join(', ')}\n| summarize verify_rows = sum(verify_n), verify_keys = count() by verify_time`
    const counts = new Map<Ticks, Counted>()
    for await (const row of this.#read(range, summary, signal)) {
      const { verify_time: time, verify_rows: rows, verify_keys: keys = 0 } = row
      counts.set(parseInstant(String(time))!, { rows: Number(rows), keys: Number(keys) })
    }
    return counts
  }

  async keys(range: Range, signal: AbortSignal | undefined): Promise<Map<string, number>> {
    const keys = new Map<string, number>()
    const summary = `summarize verify_n = count() by ${this.#keys().join(', ')}`
    for await (const row of this.#read(range, summary, signal)) {
      const key = this.#key.map((_, at) => keyText(row[`verify_k${at}`]))
      keys.set(JSON.stringify(key), Number(row['verify_n']))
    }
    return keys
  }

  #keys(): string[] {
    return this.#key.map((name, at) => `verify_k${at} = ${name}`)
  }

  #read({ start, end }: Range, summary: string, signal: AbortSignal | undefined) {
    const [from, to] = [formatInstant(start), formatInstant(end)]
    const where = `where ${this.#time} >= datetime(${from}) and ${this.#time} < datetime(${to})`
    return new AzureMonitorReadable({
      ...this.#options,
      query: `${pipedOn(String(this.#options['query']))}\n| ${where}\n| ${summary}`,
      // The range of the request is about TimeGenerated, and so not about the time of an event.
      start_time: formatInstant(firstInstant),
      end_time: formatInstant(lastInstant),
      datetime: 'string',
      signal,
    } as never) as AsyncIterable<Record<string, unknown>>
  }
}

function kqlName(name: string): string {
  return `['${name.replace(/[\\']/g, '\\$&')}']`
}

class SplunkCounter implements Counter {
  readonly #options: Readonly<Record<string, unknown>>
  readonly #by: Ticks
  readonly #key: Key

  constructor(options: Readonly<Record<string, unknown>>, by: Ticks, key: Key) {
    this.#options = options
    this.#by = by
    this.#key = key.map((name) => `"${name.replace(/[\\"]/g, '\\$&')}"`)
  }

  async counts(range: Range, signal: AbortSignal | undefined): Promise<Map<Ticks, Counted>> {
    const bin = `bin _time span=${Number(this.#by / ticksPerSecond)}s`
    const commands =
      this.#key.length === 0
        ? `${bin}\n| stats count as verify_rows by _time`
        : `${this.#filled()}\n| ${bin}\n| stats count as verify_n by ${['_time', ...this.#key].join(', ')}\n| stats sum(verify_n) as verify_rows, count as verify_keys by _time`
    const counts = new Map<Ticks, Counted>()
    for await (const { _time: time, verify_rows: rows, verify_keys: keys = 0 } of this.#read(
      range,
      commands,
      signal,
    )) {
      const start = parseInstant(String(time))!
      counts.set(start, { rows: Number(rows), keys: Number(keys) })
    }
    return counts
  }

  async keys(range: Range, signal: AbortSignal | undefined): Promise<Map<string, number>> {
    const keys = new Map<string, number>()
    const names = this.#key.map((name) => JSON.parse(name) as string)
    const commands = `${this.#filled()}\n| stats count as verify_n by ${this.#key.join(', ')}`
    for await (const row of this.#read(range, commands, signal)) {
      keys.set(JSON.stringify(names.map((name) => keyText(row[name]))), Number(row['verify_n']))
    }
    return keys
  }

  /** Events without a key would be left out by `stats`. */
  #filled(): string {
    return `fillnull value="" ${this.#key.join(' ')}`
  }

  #read({ start, end }: Range, commands: string, signal: AbortSignal | undefined) {
    const { index, sourcetype, source, host, search_filter, query, ...options } = this.#options
    const parts = {
      index: typeof index === 'string' ? index.split(',') : index,
      sourcetype,
      source,
      host,
      search_filter,
    }
    const search = typeof query === 'string' ? query : composedSearch(parts as never)
    return new SplunkReadable({
      ...options,
      query: `${search}\n| ${commands}`,
      start_time: formatInstant(start),
      end_time: formatInstant(end),
      window_by: 'event_time',
      datetime: 'string',
      signal,
    } as never) as AsyncIterable<Record<string, unknown>>
  }
}

/** Reads the rows once, and keeps their counts: all keys of the range are in memory. */
class ReadCounter implements Counter {
  readonly #end: VerifyEnd & { readonly time_column: string; readonly rows: unknown }
  readonly #by: Ticks
  readonly #key: Key
  #intervals = new Map<Ticks, Map<string, number>>()

  constructor(end: Extract<VerifyEnd, { rows: unknown }>, by: Ticks, key: Key) {
    this.#end = end
    this.#by = by
    this.#key = key
  }

  async counts(range: Range, signal: AbortSignal | undefined): Promise<Map<Ticks, Counted>> {
    this.#intervals = new Map()
    const { rows, time_column } = this.#end as Extract<VerifyEnd, { rows: unknown }>
    const dates = { start: dateOf(range.start), end: dateOf(range.end) }
    for await (const given of rows(dates)) {
      const row = membersOf(given)
      signal?.throwIfAborted()
      const time = instantOf(row[time_column])
      if (time === undefined || time < range.start || time >= range.end) continue
      const start = intervalOf(time, this.#by)
      const keys = this.#intervals.get(start) ?? new Map<string, number>()
      this.#intervals.set(start, keys)
      const key = JSON.stringify(this.#key.map((name) => keyText(row[name])))
      keys.set(key, (keys.get(key) ?? 0) + 1)
    }
    return new Map(
      [...this.#intervals].map(([start, keys]) => {
        const total = [...keys.values()].reduce((sum, count) => sum + count, 0)
        return [start, { rows: total, keys: this.#key.length === 0 ? 0 : keys.size }]
      }),
    )
  }

  async keys({ start }: Range): Promise<Map<string, number>> {
    return this.#intervals.get(intervalOf(start, this.#by)) ?? new Map()
  }
}

function dateOf(ticks: Ticks): Date {
  return new Date(Number(floorDivide(ticks, ticksPerMillisecond)[0]))
}

/** The members of a row that may be kept as text. */
export function membersOf(row: object): Record<string, unknown> {
  return row instanceof JsonText ? row.value : (row as Record<string, unknown>)
}

/** The instant that a time column holds; undefined if it is none. */
export function instantOf(value: unknown): Ticks | undefined {
  if (isDate(value)) return Number.isNaN(value.getTime()) ? undefined : fromDate(value)
  if (typeof value === 'string') {
    const number = /^\d+(\.\d+)?$/.test(value) ? Number(value) : undefined
    return number === undefined ? parseInstant(value) : instantOf(number)
  }
  if (typeof value !== 'number' || !Number.isFinite(value)) return undefined
  const seconds = Math.abs(value) < 1e11 ? value : value / 1000
  return BigInt(Math.round(seconds * 1e6)) * 10n
}

/** A value of a key as text, alike for what a service and a file make of it. */
export function keyText(value: unknown): string {
  if (value === null || value === undefined) return ''
  if (isDate(value)) return value.toISOString()
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}
