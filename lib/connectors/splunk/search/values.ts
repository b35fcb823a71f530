import { formatInstant, parseInstant, type Ticks, ticksPerSecond, toDate } from '../../../core/time.ts'
import { type CellReader, cellCaster, type ValueForms } from '../../../source/column-values.ts'
import type { ColumnType } from '../../../source/row-schema.ts'

/** Casts the values of a field to a type. Splunk writes missing values as empty strings. */
export function fieldReader(type: ColumnType, forms: ValueForms): CellReader {
  if (type === 'string') return oneText
  const read = type === 'datetime' ? instantReader(forms) : cellCaster(type, forms)
  // A string of digits stays a string, as it was logged.
  if (type === 'dynamic') return (given) => (isContainer(given) ? read(given) : given)
  return (given) => (given === '' ? null : read(given))
}

export function instantReader({ datetime }: Pick<ValueForms, 'datetime'>): CellReader {
  return datetime === 'string' ? instantText : instantDate
}

/** A string, also from a number or boolean; undefined for several values. */
function oneText(given: unknown): string | undefined {
  if (typeof given === 'string') return given
  return typeof given === 'object' ? undefined : String(given)
}

function isContainer(given: unknown): boolean {
  return typeof given === 'string' && /^\s*[[{]/.test(given)
}

const epochForm = /^(-?)(\d{1,12})(?:\.(\d{1,18}))?$/

/**
 * Zones that mean UTC; other abbreviations, such as CST or IST, are ambiguous. It looks once at a run of spaces, not from
 * each of them.
 */
const universal = /(?<!\s)\s+(?:GMT|UTC|Z)$/i

/** The instant as seconds since the epoch (`1791467314.123456`), ISO 8601, or in the form of exports in GMT. */
export function instantTicks(given: unknown): Ticks | undefined {
  const text = typeof given === 'number' ? String(given) : given
  if (typeof text !== 'string') return undefined
  const epoch = epochForm.exec(text)
  if (!epoch) return parseInstant(text.replace(universal, 'Z'))
  const [, sign, seconds, fraction = ''] = epoch
  const ticks = BigInt(seconds!) * ticksPerSecond + BigInt(fraction.slice(0, 7).padEnd(7, '0'))
  if (sign === '') return ticks
  // Rounds towards the past, so that an instant is never later than the given one.
  return -ticks - (/[1-9]/.test(fraction.slice(7)) ? 1n : 0n)
}

/**
 * Milliseconds since the epoch from a string of seconds; NaN for any other string. Fast path for millions of values: it
 * cuts the digits after the third one.
 */
export function epochMilliseconds(text: string): number {
  const point = text.indexOf('.')
  const length = text.length
  const whole = point < 0 ? length : point
  if (whole === 0 || whole > 12) return Number.NaN
  let value = 0
  for (let at = 0; at < whole; at++) {
    const digit = text.charCodeAt(at) - 48
    if (!(digit >= 0 && digit <= 9)) return Number.NaN
    value = value * 10 + digit
  }
  if (point === length - 1) return Number.NaN
  for (let at = point + 1, weight = 100; point >= 0 && at < length; at++) {
    const digit = text.charCodeAt(at) - 48
    if (!(digit >= 0 && digit <= 9)) return Number.NaN
    if (weight >= 1) {
      // Integer arithmetic: no rounding.
      value = weight === 100 ? value * 1000 + digit * 100 : value + digit * weight
      weight /= 10
    }
  }
  return point < 0 ? value * 1000 : value
}

export function instantDate(given: unknown): Date | undefined {
  if (typeof given === 'string') {
    const milliseconds = epochMilliseconds(given)
    if (!Number.isNaN(milliseconds)) return new Date(milliseconds)
  }
  const ticks = instantTicks(given)
  return ticks === undefined ? undefined : toDate(ticks)
}

/** ISO 8601 in UTC with all given digits of a second, at least three. */
export function instantText(given: unknown): string | undefined {
  const ticks = instantTicks(given)
  if (ticks === undefined) return undefined
  const text = formatInstant(ticks)
  const [, sign, , fraction = ''] = (typeof given === 'string' && epochForm.exec(given)) || []
  if (sign !== '' || fraction.length <= 3) return text
  return `${text.slice(0, 19)}.${fraction}Z`
}

/** Number of rows from which types are inferred. */
export const sampleRows = 1000

const integer = /^[+-]?\d{1,19}$/
const decimal = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?$/i
const leadingZero = /^[+-]?0\d/

/**
 * Infers types from a sample. Digits with leading zeros (a code, a phone number) stay strings: as numbers they would
 * change.
 */
export function inferTypes(rows: readonly Readonly<Record<string, unknown>>[]): Map<string, ColumnType> {
  const found = new Map<string, ColumnType | undefined>()
  for (const row of rows) {
    for (const [name, value] of Object.entries(row)) {
      const type = typeOf(value)
      const before = found.get(name)
      found.set(name, before === undefined ? type : type === undefined ? before : both(before, type))
    }
  }
  const types = new Map<string, ColumnType>()
  for (const [name, type] of found) types.set(name, builtIn.get(name) ?? type ?? 'string')
  return types
}

/** Fields of a fixed type. */
const builtIn: ReadonlyMap<string, ColumnType> = new Map([
  ['_time', 'datetime'],
  ['_indextime', 'datetime'],
  ['_raw', 'string'],
])

function typeOf(value: unknown): ColumnType | undefined {
  if (value === null || value === undefined || value === '') return undefined
  if (Array.isArray(value)) return 'strings'
  if (typeof value === 'boolean') return 'bool'
  const text = typeof value === 'string' ? value : String(value)
  if (/^(true|false)$/i.test(text)) return 'bool'
  if (leadingZero.test(text)) return 'string'
  if (integer.test(text)) return 'long'
  return decimal.test(text) ? 'double' : 'string'
}

function both(one: ColumnType, other: ColumnType): ColumnType {
  if (one === other) return one
  if (one === 'strings' || other === 'strings') return 'strings'
  const numbers: readonly ColumnType[] = ['long', 'double']
  return numbers.includes(one) && numbers.includes(other) ? 'double' : 'string'
}
