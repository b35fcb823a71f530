import { parseJson } from '../core/exact-json.ts'
import { serialize } from '../core/json.ts'
import { parseInstant, toDate } from '../core/time.ts'
import type { ColumnType } from './row-schema.ts'

/** Casts a value from JSON or text; never called with null. Returns undefined if it does not fit. */
export type CellReader = (cell: unknown) => unknown

/** What a `long` becomes: the option `long`. */
export type LongForm = 'number-or-bigint' | 'bigint' | 'string'

/** What a `datetime` becomes: the option `datetime`. */
export type DatetimeForm = 'date' | 'string'

/** What values of some types become. */
export interface ValueForms {
  readonly datetime: DatetimeForm
  readonly long: LongForm
}

/** How values are cast to a type that the option `schema` wants, whatever type they have. */
export function cellCaster(type: ColumnType, { datetime, long }: ValueForms): CellReader {
  switch (type) {
    case 'long':
      return (cell) => asLong(cell, long)
    case 'datetime':
      return datetime === 'string' ? asInstantText : asDate
    default:
      return casters[type]
  }
}

const guidForm = /^[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}$/i
const timespanForm = /^-?(\d+\.)?\d{1,2}:\d{2}:\d{2}(\.\d{1,7})?$/
const integerForm = /^\s*[+-]?\d+\s*$/
const decimalForm = /^\s*[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?\s*$/i

/** A longer string is no number: to read one takes time that grows with the square of its digits. */
const longestNumber = 400

const largestLong = 2n ** 63n - 1n
const specialReals = new Map([
  ['NaN', Number.NaN],
  ['Infinity', Number.POSITIVE_INFINITY],
  ['-Infinity', Number.NEGATIVE_INFINITY],
])
const booleans = new Map([
  ['true', true],
  ['1', true],
  ['false', false],
  ['0', false],
])

const casters: Readonly<Record<Exclude<ColumnType, 'long' | 'datetime'>, CellReader>> = {
  string: castText,
  bool: asBool,
  int: asInt,
  real: asReal,
  double: asReal,
  decimal: asDecimal,
  timespan: (cell) => matching(cell, timespanForm),
  guid: (cell) => matching(cell, guidForm),
  strings: asTexts,
  dynamic: asDynamic,
}

/** A string that is one already. */
export function asText(cell: unknown): string | undefined {
  return typeof cell === 'string' ? cell : undefined
}

function matching(cell: unknown, form: RegExp): string | undefined {
  return typeof cell === 'string' && form.test(cell) ? cell : undefined
}

function castText(cell: unknown): string {
  if (typeof cell === 'string') return cell
  return typeof cell === 'object' ? serialize(cell) : String(cell)
}

function asTexts(cell: unknown): readonly string[] {
  return (Array.isArray(cell) ? cell : [cell]).map(castText)
}

function asBool(cell: unknown): boolean | undefined {
  if (typeof cell === 'boolean') return cell
  if (cell === 1 || cell === 0) return cell === 1
  return typeof cell === 'string' ? booleans.get(cell.trim().toLowerCase()) : undefined
}

function asInt(cell: unknown): number | undefined {
  const value = asLong(cell, 'number-or-bigint')
  return typeof value === 'number' && value >= -(2 ** 31) && value < 2 ** 31 ? value : undefined
}

function asLong(cell: unknown, form: LongForm): number | bigint | string | undefined {
  const number = typeof cell === 'number' ? cell : wholeNumber(cell)
  if (number === undefined) return undefined
  if (Number.isSafeInteger(number)) {
    if (form === 'number-or-bigint') return number
    return form === 'bigint' ? BigInt(number) : String(number)
  }
  // A number beyond that lost digits before it came here.
  if (typeof cell === 'number' || !Number.isInteger(number)) return undefined
  const long = typeof cell === 'bigint' ? cell : BigInt((cell as string).trim())
  if (long > largestLong || long < -largestLong - 1n) return undefined
  return form === 'string' ? String(long) : long
}

/** An integer in another form, rounded if it is beyond 2^53. */
function wholeNumber(cell: unknown): number | undefined {
  if (typeof cell === 'boolean' || typeof cell === 'bigint') return Number(cell)
  return isNumberText(cell, integerForm) ? Number(cell) : undefined
}

function isNumberText(cell: unknown, form: RegExp): cell is string {
  return typeof cell === 'string' && cell.length <= longestNumber && form.test(cell)
}

function asReal(cell: unknown): number | undefined {
  if (typeof cell === 'number') return cell
  if (typeof cell === 'bigint') return Number(cell)
  if (typeof cell !== 'string') return undefined
  return specialReals.get(cell) ?? (isNumberText(cell, decimalForm) ? Number(cell) : undefined)
}

/** A double holds every decimal of 15 digits; of one with more it may lose some. */
function asDecimal(cell: unknown): number | string | undefined {
  if (typeof cell === 'number') return cell
  const text = typeof cell === 'bigint' ? String(cell) : cell
  if (!isNumberText(text, decimalForm)) return undefined
  const mantissa = text.trim().replace(/e.*$/i, '')
  const fraction = mantissa.includes('.') ? mantissa.replace(/0+$/, '') : mantissa
  const digits = fraction.replace(/[+.-]/g, '').replace(/^0+/, '')
  const number = Number(text)
  const held = digits.length <= 15 && Number.isFinite(number) && (number !== 0 || digits === '')
  return held ? number : text.trim()
}

function asDate(cell: unknown): Date | undefined {
  if (typeof cell !== 'string') return undefined
  const milliseconds = instantMilliseconds(cell)
  if (!Number.isNaN(milliseconds)) return new Date(milliseconds)
  const ticks = parseInstant(cell)
  return ticks === undefined ? undefined : toDate(ticks)
}

function asInstantText(cell: unknown): string | undefined {
  if (typeof cell !== 'string') return undefined
  return Number.isNaN(instantMilliseconds(cell)) && parseInstant(cell) === undefined ? undefined : cell
}

/** The service writes a dynamic as the text of its JSON. A text that is no JSON is a plain string. */
function asDynamic(cell: unknown): unknown {
  if (typeof cell !== 'string' || !mayBeJson(cell)) return cell
  try {
    return parseJson(cell)
  } catch {
    return cell
  }
}

/** The first letter identifies most plain strings: a failing parse costs a hundred times as much. */
function mayBeJson(text: string): boolean {
  return /^\s*(?:[[{"\d-]|true\s*$|false\s*$|null\s*$)/.test(text)
}

const [dash, letterT, letterZ, point, colon, zero] = [0x2d, 0x54, 0x5a, 0x2e, 0x3a, 0x30]

/** The last instant asked for: a row's is asked for by the filter of its window, and for its Date. */
let lastText = ''
let lastMilliseconds = Number.NaN

/**
 * Milliseconds of an instant in the service's own form, `2024-05-01T00:00:00.1234567Z`, the fraction of any length.
 * Several times as fast as a regular expression or Date, and there may be millions of them.
 * @returns NaN for any other form, and for the years before 100
 */
export function instantMilliseconds(text: string): number {
  if (text !== lastText) {
    lastText = text
    lastMilliseconds = toMilliseconds(text)
  }
  return lastMilliseconds
}

function toMilliseconds(text: string): number {
  const length = text.length
  if (
    length < 20 || text.charCodeAt(4) !== dash || text.charCodeAt(7) !== dash || text.charCodeAt(10) !== letterT ||
    text.charCodeAt(13) !== colon || text.charCodeAt(16) !== colon || text.charCodeAt(length - 1) !== letterZ // biome-ignore format: one form
  ) {
    return Number.NaN
  }
  const year = digits(text, 0) * 100 + digits(text, 2)
  const month = digits(text, 5)
  const day = digits(text, 8)
  const hour = digits(text, 11)
  const minute = digits(text, 14)
  const second = digits(text, 17)
  // Days beyond the 28th are left to a check that knows the months.
  if (!(year >= 100 && month >= 1 && month <= 12 && day >= 1 && hour < 24 && minute < 60 && second < 60))
    return Number.NaN
  if (day > 28 && day > daysOf(year, month)) return Number.NaN
  let milliseconds = 0
  if (length > 20) {
    if (text.charCodeAt(19) !== point || length === 21) return Number.NaN
    for (let at = 20, weight = 100; at < length - 1; at++, weight = weight > 1 ? weight / 10 : 0) {
      const digit = text.charCodeAt(at) - zero
      if (!(digit >= 0 && digit <= 9)) return Number.NaN
      milliseconds += digit * weight
    }
  }
  return startOfDay(year, month, day) + ((hour * 60 + minute) * 60 + second) * 1000 + milliseconds
}

let lastDay = 0
let lastStart = 0

/** Rows lie next to each other in time: the day is mostly that of the row before. */
function startOfDay(year: number, month: number, day: number): number {
  const number = (year * 100 + month) * 100 + day
  if (number !== lastDay) {
    lastDay = number
    lastStart = Date.UTC(year, month - 1, day)
  }
  return lastStart
}

function digits(text: string, at: number): number {
  const tens = text.charCodeAt(at) - zero
  const ones = text.charCodeAt(at + 1) - zero
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? tens * 10 + ones : Number.NaN
}

function daysOf(year: number, month: number): number {
  return new Date(Date.UTC(year, month, 0)).getUTCDate()
}
