import { isDate } from 'node:util/types'
import { serialize } from '../../core/json.ts'
import {
  firstInstant,
  floorDivide,
  fromDate,
  lastInstant,
  parseDuration,
  parseInstant,
  ticksPerMillisecond,
  ticksPerSecond,
} from '../../core/time.ts'

export type ColumnType =
  | 'bool'
  | 'int'
  | 'long'
  | 'real'
  | 'decimal'
  | 'datetime'
  | 'timespan'
  | 'string'
  | 'guid'
  | 'dynamic'

export interface Column {
  name: string
  type: ColumnType
  /**
   * Of a `datetime`: how many digits of a second are written. Default: as the service does, without closing zeros.
   */
  digits?: number
}

/**
 * A value at rest. `datetime` and `timespan` are ticks of 100 ns, `dynamic` is its JSON text, `decimal` its
 * text, a `long` is a bigint only outside the safe range.
 */
export type Cell = null | boolean | number | bigint | string

/** Text that goes into a `dynamic` column as it is, were it JSON or not. Any other string becomes a JSON string. */
export class DynamicText {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

/** Takes a JavaScript value into a column. @throws TypeError where it does not fit the type */
export function toCell(value: unknown, type: ColumnType): Cell {
  if (value === null || value === undefined) return null
  const cell = converters[type](value)
  if (cell === undefined) throw new TypeError(`${String(value)} is no ${type}`)
  return cell
}

const converters: Record<ColumnType, (value: unknown) => Cell | undefined> = {
  bool: (value) => (typeof value === 'boolean' ? value : undefined),
  int: (value) =>
    Number.isInteger(value) && Math.abs(value as number) <= 2 ** 31 ? (value as number) : undefined,
  long: (value) => {
    if (typeof value === 'bigint') return narrowLong(value)
    if (typeof value === 'string' && /^-?\d+$/.test(value)) return narrowLong(BigInt(value))
    return Number.isSafeInteger(value) ? (value as number) : undefined
  },
  real: (value) => {
    if (typeof value === 'number') return value
    return value === 'NaN' || value === 'Infinity' || value === '-Infinity' ? Number(value) : undefined
  },
  decimal: (value) => (/^-?\d+(\.\d+)?$/.test(String(value)) ? String(value) : undefined),
  datetime: (value) => {
    if (isDate(value)) {
      return !Number.isNaN(value.getTime()) && isInstant(fromDate(value)) ? fromDate(value) : undefined
    }
    if (typeof value === 'bigint') return isInstant(value) ? value : undefined
    return typeof value === 'string' ? parseInstant(value) : undefined
  },
  timespan: (value) => {
    if (typeof value === 'bigint') return value
    return typeof value === 'string' ? parseTimespan(value) : undefined
  },
  string: (value) => (typeof value === 'string' ? value : undefined),
  guid: (value) => (typeof value === 'string' ? value.toLowerCase() : undefined),
  dynamic: (value) => (value instanceof DynamicText ? value.text : serialize(value)),
}

/** Whether ticks lie in the years 0001 to 9999, as a `datetime` must. */
export function isInstant(ticks: bigint): boolean {
  return ticks >= firstInstant && ticks <= lastInstant
}

/** The least wide form of a 64-bit integer, or undefined outside 64 bits. */
export function narrowLong(value: bigint): number | bigint | undefined {
  if (BigInt.asIntN(64, value) !== value) return undefined
  const number = Number(value)
  return Number.isSafeInteger(number) ? number : value
}

/** A cell as the service writes it on the wire: a JSON value. */
export function encodeCell(cell: Cell, column: Column): string {
  if (cell === null) return 'null'
  switch (column.type) {
    case 'bool':
    case 'int':
    case 'long':
      return String(cell)
    case 'real':
      if (!Number.isFinite(cell)) return `"${String(cell)}"`
      return Object.is(cell, -0) ? '-0.0' : String(cell)
    case 'datetime':
      return `"${formatDatetime(cell as bigint, column.digits)}"`
    case 'timespan':
      return `"${formatTimespan(cell as bigint)}"`
    default:
      return JSON.stringify(cell)
  }
}

/** ISO 8601 in UTC with as many digits of a second as needed (as the service), or with a fixed number. */
export function formatDatetime(ticks: bigint, digits?: number): string {
  const [milliseconds, rest] = floorDivide(ticks, ticksPerMillisecond)
  const text = new Date(Number(milliseconds)).toISOString()
  const fraction = text.slice(20, 23) + rest.toString().padStart(4, '0')
  const shown = digits === undefined ? fraction.replace(/0+$/, '') : fraction.slice(0, digits)
  return `${text.slice(0, 19)}${shown && `.${shown}`}Z`
}

/** Such as `00:00:10` and `1.02:03:04.0000005`. */
export function formatTimespan(ticks: bigint): string {
  const size = ticks < 0n ? -ticks : ticks
  const [days, ofDay] = floorDivide(size, 86_400n * ticksPerSecond)
  const [seconds, rest] = floorDivide(ofDay, ticksPerSecond)
  const two = (value: bigint) => value.toString().padStart(2, '0')
  const clock = [seconds / 3600n, (seconds / 60n) % 60n, seconds % 60n].map(two).join(':')
  return `${ticks < 0n ? '-' : ''}${days ? `${days}.` : ''}${clock}${rest ? `.${rest.toString().padStart(7, '0')}` : ''}`
}

const clockForm = /^(-)?(?:(\d+)\.)?(\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,7}))?)?$/
const amountForm = /^(-)?(\d+)(?:\.(\d+))?\s*([a-z]*)$/i
const unitNames: [RegExp, bigint][] = [
  [/^(|d|days?)$/i, 86_400n * ticksPerSecond],
  [/^(h|hrs?|hours?)$/i, 3_600n * ticksPerSecond],
  [/^(m|min|minutes?)$/i, 60n * ticksPerSecond],
  [/^(s|sec|seconds?)$/i, ticksPerSecond],
  [/^(ms|milli(s|seconds?)?)$/i, ticksPerMillisecond],
  [/^(micro(s|seconds?)?)$/i, 10n],
  [/^(ticks?)$/i, 1n],
]

/** Reads `1d`, `1.5h`, `100ms`, `1.02:03:04.5` and ISO durations. */
export function parseTimespan(text: string): bigint | undefined {
  const clock = clockForm.exec(text.trim())
  if (clock) {
    const [, minus, days = '0', hours, minutes, seconds = '0', fraction = ''] = clock
    const whole = ((BigInt(days) * 24n + BigInt(hours!)) * 60n + BigInt(minutes!)) * 60n + BigInt(seconds)
    const ticks = whole * ticksPerSecond + BigInt(fraction.padEnd(7, '0'))
    return minus ? -ticks : ticks
  }
  const amount = amountForm.exec(text.trim())
  if (!amount) return parseDuration(text)
  const [, minus, whole, fraction = '', name] = amount
  const unit = unitNames.find(([form]) => form.test(name!))?.[1]
  if (unit === undefined) return undefined
  const ticks =
    BigInt(whole!) * unit + (fraction ? (BigInt(fraction) * unit) / 10n ** BigInt(fraction.length) : 0n)
  return minus ? -ticks : ticks
}

/** `tostring()` of a cell. */
export function cellText(cell: Cell, type: ColumnType): string {
  if (cell === null) return ''
  if (type === 'datetime') return formatDatetime(cell as bigint, 7)
  if (type === 'timespan') return formatTimespan(cell as bigint)
  if (type === 'dynamic') {
    // A dynamic that is a string is that string; everything else its JSON.
    const text = cell as string
    return text.startsWith('"') ? parsedText(text) : text
  }
  return String(cell)
}

function parsedText(json: string): string {
  try {
    return String(JSON.parse(json))
  } catch {
    return json
  }
}
