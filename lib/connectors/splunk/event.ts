import { isDate } from 'node:util/types'
import { RefusedRow } from '../../core/errors.ts'
import { describe, isBytes, isRow, JsonText, serialize, setColumn } from '../../core/json.ts'
import { formatSeconds, parseInstant, type Ticks, ticksPerSecond, toDate } from '../../core/time.ts'
import type { SinkProtocol } from '../../sink/protocol.ts'
import type { SplunkSettings } from './options.ts'

type Row = Record<string, unknown>

/** Sources of a row's metadata: fixed options, and columns of the row. */
const metadataNames = ['host', 'source', 'sourcetype', 'index'] as const

/**
 * How rows become HEC events. Only the seven envelope keys that Splunk knows are ever written: of an object with another
 * key at the top, and all after it, Splunk says 200 and keeps nothing.
 * https://docs.splunk.com/Documentation/Splunk/latest/Data/FormateventsforHTTPEventCollector
 */
export function eventEncoder(settings: SplunkSettings): EventEncoder {
  return settings.mode === 'raw' ? rawEncoder(settings) : envelopeEncoder(settings)
}

/** Rows to the wire: those that are objects, and those that are kept as text. */
export type EventEncoder = Required<Pick<SinkProtocol, 'encode' | 'encodeText'>>

function envelopeEncoder(settings: SplunkSettings): EventEncoder {
  const { single_event_column, time_column, indexed_fields, remove_indexed_fields } = settings
  const metadataOf = metadataReader(settings)
  const perRow = metadataNames.some((name) => settings[`${name}_column`] !== undefined)
  const constant = perRow ? undefined : written(metadataOf({}))
  const indexed = indexed_fields ?? []
  const removed = remove_indexed_fields ? indexed : []
  // Rows of the same millisecond begin alike: what is before the event is put together once for them.
  let head = ''
  let headTime: string | undefined
  let headMetadata: string | undefined
  const timeOf = (row: Row | JsonText, at: number): string => {
    if (settings.auto_extract_timestamp) return ''
    return time_column === undefined ? secondsOf(at) : eventTime(cell(row, time_column), time_column)
  }
  const headOf = (row: Row | JsonText, at: number): string => {
    const time = timeOf(row, at)
    const metadata = constant ?? written(metadataOf(row))
    if (time !== headTime || metadata !== headMetadata) {
      // Without a time the comma before the first of the others has to go.
      const before = time === '' ? metadata.slice(1) : `"time":${time}${metadata}`
      head = `{${before}${before === '' ? '' : ','}"event":`
      headTime = time
      headMetadata = metadata
    }
    return head
  }
  const tailOf = (row: Row): string => {
    const fields = flatFields(row, indexed)
    return Object.keys(fields).length > 0 ? `,"fields":${serialize(fields)}}` : '}'
  }
  return {
    encode(row, at) {
      const start = headOf(row, at)
      const event =
        single_event_column === undefined
          ? serialize(withoutColumns(row, removed))
          : serialize(soleEvent(row, single_event_column), single_event_column)
      return { wire: start + event + (indexed.length > 0 ? tailOf(row) : '}') }
    },
    encodeText(row, at) {
      if (removed.length > 0 && single_event_column === undefined) return undefined
      const start = headOf(row, at)
      const after = indexed.length > 0 ? tailOf(row.value) : '}'
      if (single_event_column === undefined) return { wire: start, raw: row, after }
      soleEvent(row, single_event_column)
      return { wire: `${start}${row.memberText(single_event_column)}${after}` }
    },
  }
}

function written(metadata: Iterable<[name: string, value: string]>): string {
  return [...metadata].map(([name, value]) => `,"${name}":${JSON.stringify(value)}`).join('')
}

function rawEncoder(settings: SplunkSettings): EventEncoder {
  const metadata = metadataReader(settings)
  const encode = (row: Row | JsonText) => {
    const column = settings.single_event_column!
    const event = soleEvent(row, column)
    if (typeof event !== 'string')
      throw new RefusedRow(`${column}: expected a string, got ${describe(event)}`)
    const group = new URLSearchParams([...metadata(row)]).toString()
    return { wire: event, group }
  }
  return { encode, encodeText: encode }
}

/** A row's metadata: the column's value if there is one, else the option's. */
function metadataReader(
  settings: SplunkSettings,
): (row: Row | JsonText) => Iterable<[name: string, value: string]> {
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
        throw new RefusedRow(`${column}: expected a string for ${name}, got ${describe(value)}`)
      values.set(name, value)
    }
    return values
  }
}

/** The value of a column. What every object inherits (`constructor`) is no column. */
function cell(row: Row | JsonText, column: string): unknown {
  if (row instanceof JsonText) return row.member(column)
  return Object.hasOwn(row, column) ? row[column] : undefined
}

function soleEvent(row: Row | JsonText, column: string): unknown {
  const event = cell(row, column)
  if (event === null || event === undefined || (typeof event === 'string' && event.trim() === '')) {
    throw new RefusedRow(`${column}: is blank, and HEC refuses a blank event`)
  }
  return event
}

/** A copy of a row without these columns, or nested values where the name is a path. */
function withoutColumns(row: Row, removed: readonly string[]): Row {
  let rest = row
  for (const name of removed) rest = without(rest, Object.hasOwn(row, name) ? [name] : name.split('.'))
  return rest
}

function without(row: Row, [name = '', ...path]: readonly string[]): Row {
  if (!Object.hasOwn(row, name)) return row
  const value = row[name]
  const members = Object.entries(row).flatMap(([key, member]): [string, unknown][] => {
    if (key !== name) return [[key, member]]
    return path.length > 0 ? [[key, isRow(value) ? without(value, path) : value]] : []
  })
  return Object.fromEntries(members)
}

/** HEC refuses nested `fields` (code 15), so what is nested gets a dotted name. */
function flatFields(row: Row, columns: readonly string[]): Row {
  const fields: Row = {}
  const put = (name: string, given: unknown, depth: number) => {
    const value = plainValue(given)
    if (value === null || value === undefined) return
    if (Array.isArray(value)) add(fields, name, plainMembers(value, name))
    else if (!isRow(value)) add(fields, name, value)
    else if (depth > 32) throw new RefusedRow(`${name}: is nested too deep for an indexed field`)
    else for (const [key, member] of Object.entries(value)) put(`${name}.${key}`, member, depth + 1)
  }
  for (const column of columns) put(column, valueAt(row, column), 0)
  return fields
}

/** The value of a column, or of the nested value that a dotted name leads to. */
function valueAt(row: Row, name: string): unknown {
  if (Object.hasOwn(row, name) || !name.includes('.')) return cell(row, name)
  let value: unknown = row
  for (const key of name.split('.')) {
    value = plainValue(value)
    if (!isRow(value)) return undefined
    value = cell(value, key)
  }
  return value
}

/** Two columns may lead to one dotted name (`a.b`, and `b` in `a`): the field has both values then. */
function add(fields: Row, name: string, value: unknown): void {
  const members = Object.hasOwn(fields, name) ? [...new Set([fields[name], value].flat())] : [value]
  setColumn(fields, name, members.length === 1 ? members[0] : members)
}

/** The JSON form of a value, such as a string for a Date. */
function plainValue(value: unknown): unknown {
  const { toJSON } = (value ?? {}) as { toJSON?: unknown }
  const isPlain = isDate(value) || isBytes(value)
  return typeof toJSON === 'function' && !isPlain ? toJSON.call(value) : value
}

function plainMembers(values: readonly unknown[], name: string): unknown[] {
  return values.map(plainValue).map((value) => {
    if (Array.isArray(value) || isRow(value))
      throw new RefusedRow(`${name}: an indexed field can't hold objects or arrays inside an array`)
    return value
  })
}

/** The last second of year 9999. A larger number is no time in seconds; most likely it counts milliseconds. */
const lastSecond = 253_402_300_799

/** Seconds as text. Up to eight digits could be a date or a year, more than twelve milliseconds. */
const secondsForm = /^[1-9]\d{8,11}(\.\d{1,9})?$/

/** HEC's `time`: seconds since the epoch, as a plain decimal number. @throws RefusedRow for what is no time */
function eventTime(value: unknown, column: string): string {
  if (typeof value === 'string') {
    const text = value.trim()
    const quick = quickTime(text)
    if (quick !== undefined) return quick
    const instant = parseLogTime(text)
    if (instant !== undefined) return formatSeconds(instant)
    if (secondsForm.test(text) && Number(text) <= lastSecond) return text
  }
  if (isDate(value) && !Number.isNaN(value.getTime())) return secondsOf(value.getTime())
  if ((typeof value === 'number' && Number.isFinite(value)) || typeof value === 'bigint') {
    if (Math.abs(Number(value)) <= lastSecond)
      return typeof value === 'number' ? plainDecimal(value) : value.toString()
    throw new RefusedRow(`${column}: ${value} is no time in seconds since the epoch (milliseconds?)`)
  }
  const got = typeof value === 'string' ? JSON.stringify(value.slice(0, 100)) : describe(value)
  throw new RefusedRow(`${column}: expected a Date, an ISO 8601 text or seconds since the epoch, got ${got}`)
}

/** The day of the last instant in the usual form, `2026-12-01T`, and its first second since the epoch. */
let lastDay = ''
let lastDaySeconds = 0

/**
 * Seconds of an instant such as `2026-12-01T00:00:00.123456Z`, by its digits: most rows share their day with the row before.
 * @returns undefined for any other form, and for what needs a closer look
 */
function quickTime(text: string): string | undefined {
  const { length } = text
  // Ticks have seven digits of a second.
  if (length < 20 || length === 21 || length > 28 || text.charCodeAt(length - 1) !== 0x5a) return undefined
  if (text.charCodeAt(13) !== 0x3a || text.charCodeAt(16) !== 0x3a) return undefined
  const hour = twoDigits(text, 11)
  const minute = twoDigits(text, 14)
  const second = twoDigits(text, 17)
  if (!(hour < 24 && minute < 60 && second < 60)) return undefined
  let end = length - 1
  if (end > 19) {
    if (text.charCodeAt(19) !== 0x2e) return undefined
    for (let at = 20; at < end; at++) {
      const digit = text.charCodeAt(at) - 0x30
      if (digit < 0 || digit > 9) return undefined
    }
    while (end > 20 && text.charCodeAt(end - 1) === 0x30) end--
  }
  if (lastDay === '' || !text.startsWith(lastDay)) {
    const instant = parseInstant(`${text.slice(0, 11)}00:00:00Z`)
    // Before 1970 the fraction counts the other way.
    if (instant === undefined || instant < 0n) return undefined
    lastDay = text.slice(0, 11)
    lastDaySeconds = Number(instant / ticksPerSecond)
  }
  const seconds = String(lastDaySeconds + hour * 3600 + minute * 60 + second)
  return end > 20 ? seconds + text.slice(19, end) : seconds
}

/** A number of two digits in a string; NaN if there is none. */
function twoDigits(text: string, at: number): number {
  const tens = text.charCodeAt(at) - 0x30
  const ones = text.charCodeAt(at + 1) - 0x30
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? tens * 10 + ones : Number.NaN
}

let lastMilliseconds = 0
let lastText = '0'

/** Milliseconds since the epoch as HEC's `time`. Many rows have the same. */
function secondsOf(milliseconds: number): string {
  if (milliseconds !== lastMilliseconds) {
    lastMilliseconds = milliseconds
    lastText = String(milliseconds / 1000)
  }
  return lastText
}

/** An ISO 8601 instant as logs have it: with nanoseconds, in the basic form `20231114T221320Z`, with a leap second. */
function parseLogTime(text: string): Ticks | undefined {
  const plain = text
    // Ticks are of 100 ns.
    .replace(/([.,]\d{7})\d+/, '$1')
    .replace(/^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(?:(\d{2}))?(?!\d)/i, basicToExtended)
  const instant = parseInstant(plain)
  if (instant !== undefined || !leapForm.test(plain)) return instant
  // As in POSIX it is the second after it, which begins a month (https://www.rfc-editor.org/rfc/rfc3339#section-5.7).
  const before = parseInstant(plain.replace(leapForm, '$1:59'))
  if (before === undefined) return undefined
  const leap = before + ticksPerSecond
  const date = toDate(leap)
  return date.getUTCDate() === 1 && date.getTime() % 86_400_000 < 1000 ? leap : undefined
}

const leapForm = /(T\d{2}:59):60/i

function basicToExtended(
  _: string,
  year: string,
  month: string,
  day: string,
  hour: string,
  minute: string,
  second = '00',
): string {
  return `${year}-${month}-${day}T${hour}:${minute}:${second}`
}

/** Never in the form 1e-7, which not every reader of `time` takes. */
function plainDecimal(value: number): string {
  const text = String(value)
  return text.includes('e') ? formatSeconds(BigInt(Math.round(value * Number(ticksPerSecond)))) : text
}
