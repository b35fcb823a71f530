import { RefusedRow } from '../core/errors.ts'
import { describe, isRow, serialize } from '../core/json.ts'
import type { SinkProtocol } from '../core/sink-protocol.ts'
import { formatSeconds, fromDate, parseInstant, ticksPerSecond } from '../core/time.ts'
import type { SplunkSettings } from './options.ts'

type Row = Record<string, unknown>

/** How a row's metadata is told: by fixed options, and by columns of the row. */
const metadataNames = ['host', 'source', 'sourcetype', 'index'] as const

/** The last second of year 9999. A larger number is no time in seconds; most likely it counts milliseconds. */
const lastSecond = 253_402_300_799

/**
 * How rows become HEC events. Only the seven envelope keys that Splunk knows are ever written: of an object with another
 * key at the top, and all after it, Splunk says 200 and keeps nothing.
 * https://docs.splunk.com/Documentation/Splunk/latest/Data/FormateventsforHTTPEventCollector
 */
export function eventEncoder(settings: SplunkSettings): SinkProtocol['encode'] {
  return settings.mode === 'raw' ? rawEncoder(settings) : envelopeEncoder(settings)
}

function envelopeEncoder(settings: SplunkSettings): SinkProtocol['encode'] {
  const { single_event_column, time_column, indexed_fields, remove_indexed_fields } = settings
  const metadataOf = metadataReader(settings)
  const perRow = metadataNames.some((name) => settings[`${name}_column`] !== undefined)
  const constant = perRow ? undefined : written(metadataOf({}))
  const indexed = indexed_fields ?? []
  const removed = new Set(remove_indexed_fields ? indexed : [])
  // Rows of the same millisecond begin alike: what is before the event is put together once for them.
  let head = ''
  let headTime: string | undefined
  let headMetadata: string | undefined
  return (row, at) => {
    const time = time_column === undefined ? secondsOf(at) : eventTime(cell(row, time_column), time_column)
    const metadata = constant ?? written(metadataOf(row))
    const event =
      single_event_column === undefined
        ? serialize(withoutColumns(row, removed))
        : serialize(soleEvent(row, single_event_column), single_event_column)
    if (time !== headTime || metadata !== headMetadata) {
      head = `{"time":${time}${metadata},"event":`
      headTime = time
      headMetadata = metadata
    }
    let tail = '}'
    if (indexed.length > 0) {
      const fields = flatFields(row, indexed)
      if (Object.keys(fields).length > 0) tail = `,"fields":${serialize(fields)}}`
    }
    return { wire: head + event + tail }
  }
}

let lastMilliseconds = 0
let lastText = '0'

/** A time as HEC's `time`. Many rows have the same. */
function secondsOf(milliseconds: number): string {
  if (milliseconds !== lastMilliseconds) {
    lastMilliseconds = milliseconds
    lastText = String(milliseconds / 1000)
  }
  return lastText
}

function written(metadata: Iterable<[name: string, value: string]>): string {
  return [...metadata].map(([name, value]) => `,"${name}":${JSON.stringify(value)}`).join('')
}

function rawEncoder(settings: SplunkSettings): SinkProtocol['encode'] {
  const metadata = metadataReader(settings)
  return (row) => {
    const column = settings.single_event_column!
    const event = soleEvent(row, column)
    if (typeof event !== 'string') throw new RefusedRow(`${column}: expected a text, got ${describe(event)}`)
    const group = new URLSearchParams([...metadata(row)]).toString()
    return { wire: event, group }
  }
}

/** Gives a row's metadata: the column's value where there is one, else the option's. */
function metadataReader(settings: SplunkSettings): (row: Row) => Iterable<[name: string, value: string]> {
  const text = settings.single_event_column === undefined ? '_json' : 'text'
  const fixed = { ...settings, sourcetype: settings.sourcetype ?? text }
  const constant = metadataNames.flatMap((name): [string, string][] =>
    fixed[name] ? [[name, fixed[name]]] : [],
  )
  const columns = metadataNames.filter((name) => settings[`${name}_column`] !== undefined)
  if (columns.length === 0) return () => constant
  return (row) => {
    const values = new Map(constant)
    for (const name of columns) {
      const column = settings[`${name}_column`]!
      const value = cell(row, column)
      if (value === null || value === undefined) continue
      if (typeof value !== 'string')
        throw new RefusedRow(`${column}: expected a text for ${name}, got ${describe(value)}`)
      values.set(name, value)
    }
    return values
  }
}

/** The value of a column. What every object inherits (`constructor`) is no column. */
function cell(row: Row, column: string): unknown {
  return Object.hasOwn(row, column) ? row[column] : undefined
}

function soleEvent(row: Row, column: string): unknown {
  const event = cell(row, column)
  if (event === null || event === undefined || (typeof event === 'string' && event.trim() === '')) {
    throw new RefusedRow(`${column}: is blank, and HEC takes no blank event`)
  }
  return event
}

function withoutColumns(row: Row, removed: ReadonlySet<string>): Row {
  if (removed.size === 0) return row
  return Object.fromEntries(Object.entries(row).filter(([column]) => !removed.has(column)))
}

/** HEC's `time`: seconds since the epoch, as a plain decimal number. */
function eventTime(value: unknown, column: string): string {
  if (value instanceof Date && !Number.isNaN(value.getTime())) return formatSeconds(fromDate(value))
  if (typeof value === 'string') {
    // Logs may come with nanoseconds; ticks are of 100.
    const instant = parseInstant(value.replace(/([.,]\d{7})\d+/, '$1'))
    if (instant !== undefined) return formatSeconds(instant)
  }
  if ((typeof value === 'number' && Number.isFinite(value)) || typeof value === 'bigint') {
    if (Math.abs(Number(value)) <= lastSecond)
      return typeof value === 'number' ? plainDecimal(value) : value.toString()
    throw new RefusedRow(`${column}: ${value} is no time in seconds since the epoch (milliseconds?)`)
  }
  const got = typeof value === 'string' ? JSON.stringify(value.slice(0, 100)) : describe(value)
  throw new RefusedRow(`${column}: expected a Date, an ISO 8601 text or seconds since the epoch, got ${got}`)
}

/** Never in the form 1e-7, which not every reader of `time` takes. */
function plainDecimal(value: number): string {
  const text = String(value)
  return text.includes('e') ? formatSeconds(BigInt(Math.round(value * Number(ticksPerSecond)))) : text
}

/** HEC refuses nested `fields` (code 15), so what is nested gets a dotted name. */
function flatFields(row: Row, columns: readonly string[]): Row {
  const fields: Row = {}
  const put = (name: string, given: unknown, depth: number) => {
    const value = plainValue(given)
    if (value === null || value === undefined) return
    if (Array.isArray(value)) define(fields, name, plainMembers(value, name))
    else if (!isRow(value)) define(fields, name, value)
    else if (depth > 32) throw new RefusedRow(`${name}: is nested too deep for an indexed field`)
    else for (const [key, member] of Object.entries(value)) put(`${name}.${key}`, member, depth + 1)
  }
  for (const column of columns) put(column, cell(row, column), 0)
  return fields
}

/** What a value stands for in JSON: a text for a Date, say. */
function plainValue(value: unknown): unknown {
  const { toJSON } = (value ?? {}) as { toJSON?: unknown }
  return typeof toJSON === 'function' && !(value instanceof Date) ? toJSON.call(value) : value
}

function plainMembers(values: readonly unknown[], name: string): unknown[] {
  return values.map(plainValue).map((value) => {
    if (Array.isArray(value) || isRow(value))
      throw new RefusedRow(`${name}: an indexed field can't hold objects or arrays inside an array`)
    return value
  })
}

/** Assignment would set the prototype for the name `__proto__`. */
function define(target: Row, name: string, value: unknown): void {
  Object.defineProperty(target, name, { value, enumerable: true, configurable: true, writable: true })
}
