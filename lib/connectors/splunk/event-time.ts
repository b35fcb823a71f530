import { RefusedRow } from '../../core/errors.ts'
import { describe } from '../../core/json.ts'
import { formatSeconds, parseInstant, type Ticks, ticksPerSecond, toDate } from '../../core/time.ts'

/** The last second of year 9999. A larger number is no time in seconds; most likely it counts milliseconds. */
const lastSecond = 253_402_300_799

/** Seconds as text. Up to eight digits could be a date or a year, more than twelve milliseconds. */
const secondsForm = /^[1-9]\d{8,11}(\.\d{1,9})?$/

/** HEC's `time`: seconds since the epoch, as a plain decimal number. @throws RefusedRow for what is no time */
export function eventTime(value: unknown, column: string): string {
  if (value instanceof Date && !Number.isNaN(value.getTime())) return secondsOf(value.getTime())
  if (typeof value === 'string') {
    const text = value.trim()
    const instant = parseLogTime(text)
    if (instant !== undefined) return formatSeconds(instant)
    if (secondsForm.test(text) && Number(text) <= lastSecond) return text
  }
  if ((typeof value === 'number' && Number.isFinite(value)) || typeof value === 'bigint') {
    if (Math.abs(Number(value)) <= lastSecond)
      return typeof value === 'number' ? plainDecimal(value) : value.toString()
    throw new RefusedRow(`${column}: ${value} is no time in seconds since the epoch (milliseconds?)`)
  }
  const got = typeof value === 'string' ? JSON.stringify(value.slice(0, 100)) : describe(value)
  throw new RefusedRow(`${column}: expected a Date, an ISO 8601 text or seconds since the epoch, got ${got}`)
}

let lastMilliseconds = 0
let lastText = '0'

/** Milliseconds since the epoch as HEC's `time`. Many rows have the same. */
export function secondsOf(milliseconds: number): string {
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
