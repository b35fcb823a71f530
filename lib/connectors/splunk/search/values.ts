import { parseJson } from '../../../core/exact-json.ts'
import { serialize } from '../../../core/json.ts'
import { formatInstant, parseInstant, type Ticks, ticksPerSecond, toDate } from '../../../core/time.ts'
import type { LongForm } from '../../../source/column-values.ts'
import type { DatetimeForm, SplunkType } from './schema.ts'

/** Makes a value of what Splunk gave; undefined where it does not fit. What is given is never null. */
export type ValueReader = (given: unknown) => unknown

const integerForm = /^\s*[+-]?\d+\s*$/
const decimalForm = /^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*$/i
const epochForm = /^(-?)(\d{1,12})(?:\.(\d{1,18}))?$/
const largestLong = 2n ** 63n - 1n

export function valueReader(type: SplunkType, datetime: DatetimeForm, long: LongForm): ValueReader {
  switch (type) {
    case 'string':
      return asText
    case 'bool':
      return asBool
    case 'int':
      return asInt
    case 'long':
      return (given) => asLong(given, long)
    case 'double':
      return asDouble
    case 'datetime':
      return datetime === 'string' ? instantText : instantDate
    case 'strings':
      return asTexts
    case 'dynamic':
      return asDynamic
  }
}

/** A text, also of a number or boolean. Several values are no one text. */
function asText(given: unknown): string | undefined {
  if (typeof given === 'string') return given
  return typeof given === 'object' ? undefined : String(given)
}

function asTexts(given: unknown): readonly string[] {
  const list = Array.isArray(given) ? given : [given]
  return list.map((value) => (typeof value === 'string' ? value : serialize(value)))
}

function asBool(given: unknown): boolean | undefined {
  if (typeof given === 'boolean') return given
  const text = asText(given)?.trim().toLowerCase()
  return { true: true, false: false, '1': true, '0': false }[text ?? '']
}

function asInt(given: unknown): number | undefined {
  const value = asLong(given, 'number-or-bigint')
  return typeof value === 'number' && value >= -(2 ** 31) && value < 2 ** 31 ? value : undefined
}

function asLong(given: unknown, form: LongForm): number | bigint | string | undefined {
  const text = asText(given)
  if (text === undefined || !integerForm.test(text)) return undefined
  const number = Number(text)
  if (form === 'number-or-bigint' && Number.isSafeInteger(number)) return number
  const exact = BigInt(text.trim())
  if (exact > largestLong || exact < -largestLong - 1n) return undefined
  return form === 'string' ? String(exact) : exact
}

function asDouble(given: unknown): number | undefined {
  if (typeof given === 'number') return given
  const text = asText(given)
  return text !== undefined && decimalForm.test(text) ? Number(text) : undefined
}

/** A text that is JSON as what it says; any other as it is. */
function asDynamic(given: unknown): unknown {
  if (typeof given !== 'string' || !/^\s*[[{]/.test(given)) return given
  try {
    return parseJson(given)
  } catch {
    return given
  }
}

/** Zones that mean UTC; other abbreviations, such as CST or IST, stand for several zones. */
const universal = /\s+(?:GMT|UTC|Z)$/i

/** The instant as seconds since the epoch (`1791467314.123456`), ISO 8601, or in the form of exports in GMT. */
export function instantTicks(given: unknown): Ticks | undefined {
  const text = typeof given === 'number' ? String(given) : given
  if (typeof text !== 'string') return undefined
  const epoch = epochForm.exec(text)
  if (!epoch) return parseInstant(text.replace(universal, 'Z'))
  const [, sign, seconds, fraction = ''] = epoch
  const ticks = BigInt(seconds!) * ticksPerSecond + BigInt(fraction.slice(0, 7).padEnd(7, '0'))
  if (sign === '') return ticks
  // Towards the past, so that an instant never lies after the one that was meant.
  return -ticks - (/[1-9]/.test(fraction.slice(7)) ? 1n : 0n)
}

/**
 * Milliseconds since the epoch of a text of seconds; NaN for any other text. There may be millions of them, so it takes
 * a short way: the digits behind the third one are cut off.
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
      // Kept whole: thousands are counted, not parts of one.
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

/** ISO 8601 in UTC with all the digits of a second that there are, three at least. */
export function instantText(given: unknown): string | undefined {
  const ticks = instantTicks(given)
  if (ticks === undefined) return undefined
  const text = formatInstant(ticks)
  const [, sign, , fraction = ''] = (typeof given === 'string' && epochForm.exec(given)) || []
  if (sign !== '' || fraction.length <= 3) return text
  return `${text.slice(0, 19)}.${fraction}Z`
}
