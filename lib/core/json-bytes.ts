import { isAscii, transcode } from 'node:buffer'
import { parseJson } from './exact-json.ts'

const [zero, nine, minus, colon, comma, quote, backslash, space] = [
  0x30, 0x39, 0x2d, 0x3a, 0x2c, 0x22, 0x5c, 0x20,
]
const [openArray, closeArray, openObject, closeObject] = [0x5b, 0x5d, 0x7b, 0x7d]

/** Minimum digits of an integer beyond 2^53. */
const longDigits = 16

/** Minimum bytes for which `transcode` pays off. */
const longText = 4096

/**
 * JSON values in a buffer, one after the other, integers beyond 2^53 exact as bigint. It searches the bytes for such
 * integers: every 16th byte is enough to find a run of 16 digits, so that input without one costs almost nothing.
 */
export class JsonBytes {
  readonly #bytes: Buffer
  /** The whole buffer as a string if it is ASCII: slicing it is faster than decoding each part. */
  readonly #ascii: string | undefined
  /** Start of the next long run of digits, and its end. */
  #run: number
  #runEnd = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
    if (isAscii(bytes)) this.#ascii = bytes.toString('latin1')
    this.#run = this.#nextRun(0)
  }

  /** Whether an integer that is not parsed yet may be beyond 2^53. */
  get hasLongInteger(): boolean {
    return this.#run < this.#bytes.length
  }

  text(start: number, end: number): string {
    if (this.#ascii !== undefined) return this.#ascii.substring(start, end)
    const bytes = this.#bytes.subarray(start, end)
    // Several times faster than UTF-8, with the same result.
    return isAscii(bytes) ? bytes.toString('latin1') : utf8(bytes)
  }

  /** The value between two bytes. Call it in order. @throws SyntaxError if it is not JSON */
  parse(start: number, end: number): unknown {
    const value: unknown = JSON.parse(this.text(start, end))
    if (this.#run < end) this.#fix(value, start, end)
    return value
  }

  /** Replaces the integers that JSON.parse has damaged. */
  #fix(value: unknown, start: number, end: number): void {
    while (this.#run < end) {
      if (this.#run >= start) this.#fixOne(value, start)
      this.#run = this.#nextRun(this.#runEnd)
    }
  }

  #fixOne(value: unknown, start: number): void {
    const bytes = this.#bytes
    const digits = bytes[this.#run - 1] === minus ? this.#run - 1 : this.#run
    const written = bytes.toString('latin1', digits, this.#runEnd)
    const number = Number(written)
    if (Number.isSafeInteger(number)) return
    if (isFlat(value)) {
      const name = this.#nameBefore(digits, start)
      if (name !== undefined && Object.hasOwn(value, name) && value[name] === number) {
        value[name] = BigInt(written)
        return
      }
    }
    const path = pathTo(bytes, start, digits)
    const last = path?.pop()
    if (last === undefined) return
    let holder = value
    for (const step of path!) {
      if (typeof holder !== 'object' || holder === null || !Object.hasOwn(holder, step)) return
      holder = (holder as Record<string, unknown>)[step]
    }
    if (typeof holder !== 'object' || holder === null || !Object.hasOwn(holder, last)) return
    const members = holder as Record<string, unknown>
    // Of a duplicate name the last one counts, as in JSON.parse.
    if (members[last] === number || typeof members[last] === 'bigint') members[last] = BigInt(written)
  }

  /** The name before a number, if a short look back finds it. A number with a name is in no array. */
  #nameBefore(digits: number, start: number): string | undefined {
    const bytes = this.#bytes
    let at = digits - 1
    while (at > start && bytes[at] === space) at--
    if (bytes[at] !== colon || bytes[at - 1] !== quote || bytes[at - 2] === backslash) return undefined
    const from = bytes.lastIndexOf(quote, at - 2)
    if (from <= start || bytes[from - 1] === backslash) return undefined
    return bytes.toString('utf8', from + 1, at - 1)
  }

  /** The next run of digits that may be an integer beyond 2^53. */
  #nextRun(from: number): number {
    const bytes = this.#bytes
    const length = bytes.length
    for (let at = from + longDigits - 1; at < length; at += longDigits) {
      if (!isDigit(bytes[at]!)) continue
      let start = at
      while (start > from && isDigit(bytes[start - 1]!)) start--
      let end = at + 1
      while (end < length && isDigit(bytes[end]!)) end++
      if (end - start >= longDigits && this.#isInteger(start, end)) {
        this.#runEnd = end
        return start
      }
      // Continues at the first position that another run of that length would cover.
      at = end - 1
    }
    return length
  }

  /** Whether digits are a whole number, judged by the bytes around them. */
  #isInteger(start: number, end: number): boolean {
    const before = this.#bytes[start - 1]!
    // After a quote or letter they belong to a string, after a point to a fraction.
    const isStart =
      before === colon || before === comma || before === openArray || before === minus || before <= space
    if (!isStart) return false
    const after = this.#bytes[end]!
    return after === comma || after === closeObject || after === closeArray || after <= space
  }
}

/**
 * Parses elements of a JSON array, separated by commas; a cut of the array may also start or end with one.
 * @throws SyntaxError if they are not JSON
 */
export function parseElements(bytes: Buffer): unknown[] {
  let [start, end] = [0, bytes.length]
  while (start < end && isGap(bytes[start]!)) start++
  while (end > start && isGap(bytes[end - 1]!)) end--
  if (start === end) return []
  // Adding brackets to the string would copy it again, at two bytes a character for some input.
  const array = Buffer.allocUnsafe(end - start + 2)
  array[0] = openArray
  bytes.copy(array, 1, start, end)
  array[array.length - 1] = closeArray
  const json = new JsonBytes(array)
  const text = json.text(0, array.length)
  return (json.hasLongInteger ? parseJson(text) : JSON.parse(text)) as unknown[]
}

function isGap(byte: number): boolean {
  return byte <= space || byte === comma
}

/** As `toString`, which up to Node 22 takes four times as long for long input. */
function utf8(bytes: Buffer): string {
  if (bytes.length < longText) return bytes.toString()
  try {
    return transcode(bytes, 'utf8', 'utf16le').toString('utf16le')
  } catch {
    // `transcode` rejects bytes that are not UTF-8.
    return bytes.toString()
  }
}

function isDigit(byte: number): boolean {
  return byte >= zero && byte <= nine
}

/** Whether it is an object without nested objects, as most records: a number with a name is then a direct member. */
function isFlat(value: unknown): value is Record<string, unknown> {
  if (!isObject(value) || Array.isArray(value)) return false
  for (const name in value) {
    const member = value[name]
    if (isObject(member) && !(Array.isArray(member) && !member.some(isObject))) return false
  }
  return true
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

/** The names and indexes that lead to a value within JSON; undefined if it lies in a string. */
function pathTo(bytes: Buffer, start: number, to: number): (string | number)[] | undefined {
  // By depth: an index, or the positions of a name's quotes. Names are decoded only at the end.
  const indexes: number[] = []
  const quotes: number[] = []
  const endQuotes: number[] = []
  let depth = -1
  let [from, end] = [0, 0]
  for (let at = start; at < to; at++) {
    const byte = bytes[at]!
    if (byte === quote) {
      from = at++
      while (at < to && bytes[at] !== quote) at += bytes[at] === backslash ? 2 : 1
      if (at >= to) return undefined
      end = at
    } else if (byte === colon) {
      quotes[depth] = from
      endQuotes[depth] = end
    } else if (byte === comma) indexes[depth]!++
    else if (byte === openObject || byte === openArray) {
      indexes[++depth] = 0
      quotes[depth] = byte === openArray ? -1 : at
    } else if (byte === closeObject || byte === closeArray) depth--
  }
  return quotes
    .slice(0, depth + 1)
    .map((from, depth) =>
      from < 0
        ? indexes[depth]!
        : (JSON.parse(bytes.toString('utf8', from, endQuotes[depth]! + 1)) as string),
    )
}
