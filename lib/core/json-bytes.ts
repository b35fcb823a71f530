import { isAscii, transcode } from 'node:buffer'
import { parseJson } from './exact-json.ts'

const [zero, nine, minus, colon, comma, quote, backslash, space] = [
  0x30, 0x39, 0x2d, 0x3a, 0x2c, 0x22, 0x5c, 0x20,
]
const [openArray, closeArray, openObject, closeObject] = [0x5b, 0x5d, 0x7b, 0x7d]

/** An integer beyond 2^53 has so many digits at least. */
const longDigits = 16

/** Bytes of a text for which it pays to call `transcode`. */
const longText = 4096

/**
 * JSON values that lie in a buffer one after the other, integers beyond 2^53 exact as bigint. Such integers are looked
 * for in the bytes: every 16th byte is enough to find a run of 16 digits, so that where there is none it costs next to
 * nothing beside JSON.parse.
 */
export class JsonBytes {
  readonly #bytes: Buffer
  /** All of the text, where it is ASCII: to cut it is quicker than to make a text of each part's bytes. */
  readonly #ascii: string | undefined
  /** Start of the next long run of digits, and where it ends. */
  #run: number
  #runEnd = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
    if (isAscii(bytes)) this.#ascii = bytes.toString('latin1')
    this.#run = this.#nextRun(0)
  }

  /** Whether there is an integer that may be beyond 2^53, of those that were not parsed yet. */
  get hasLongInteger(): boolean {
    return this.#run < this.#bytes.length
  }

  text(start: number, end: number): string {
    if (this.#ascii !== undefined) return this.#ascii.substring(start, end)
    const bytes = this.#bytes.subarray(start, end)
    // Several times as fast as UTF-8, where that is the same.
    return isAscii(bytes) ? bytes.toString('latin1') : utf8(bytes)
  }

  /** The value between two bytes. Values must be asked for in order. @throws SyntaxError where it is not JSON */
  parse(start: number, end: number): unknown {
    const value: unknown = JSON.parse(this.text(start, end))
    if (this.#run < end) this.#mend(value, start, end)
    return value
  }

  /** Puts in the integers that JSON.parse has damaged. */
  #mend(value: unknown, start: number, end: number): void {
    while (this.#run < end) {
      if (this.#run >= start) this.#mendOne(value, start)
      this.#run = this.#nextRun(this.#runEnd)
    }
  }

  #mendOne(value: unknown, start: number): void {
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
    // A name that comes twice: the last one counts, as in JSON.parse.
    if (members[last] === number || typeof members[last] === 'bigint') members[last] = BigInt(written)
  }

  /** The name before a number, where it can be told by a short look back. A number with a name is in no array. */
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
      // The loop goes on at the first place where another run of that length would be seen.
      at = end - 1
    }
    return length
  }

  /** Whether digits are a number of their own, as far as the bytes around them tell. */
  #isInteger(start: number, end: number): boolean {
    const before = this.#bytes[start - 1]!
    // Behind a quote or letter they are a part of a string, behind a point one of a fraction.
    const isStart =
      before === colon || before === comma || before === openArray || before === minus || before <= space
    if (!isStart) return false
    const after = this.#bytes[end]!
    return after === comma || after === closeObject || after === closeArray || after <= space
  }
}

/**
 * Elements of a JSON array as values, with commas between them, and perhaps around them, as a cut of the array has them.
 * @throws SyntaxError if they are not JSON
 */
export function parseElements(bytes: Buffer): unknown[] {
  let [start, end] = [0, bytes.length]
  while (start < end && isGap(bytes[start]!)) start++
  while (end > start && isGap(bytes[end - 1]!)) end--
  if (start === end) return []
  // Brackets around the text would be another copy of it, of two bytes a character at times.
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

/** As `toString`, which up to Node 22 takes four times as long for a long text. */
function utf8(bytes: Buffer): string {
  if (bytes.length < longText) return bytes.toString()
  try {
    return transcode(bytes, 'utf8', 'utf16le').toString('utf16le')
  } catch {
    // Bytes that are no UTF-8, which it refuses.
    return bytes.toString()
  }
}

function isDigit(byte: number): boolean {
  return byte >= zero && byte <= nine
}

/** Whether it is an object with none within, so that a number with a name has its name there, as in most records. */
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

/** The names and indexes that lead to a value within a text of JSON; undefined where it lies in a string. */
function pathTo(bytes: Buffer, start: number, to: number): (string | number)[] | undefined {
  // By depth: an index, or where the quotes of a name are. Texts are made of the names at the end only.
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
