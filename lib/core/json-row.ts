import { ConnectorError } from './errors.ts'
import { parseJson } from './exact-json.ts'
import { JsonText } from './json.ts'

const [quote, backslash, comma, colon] = [0x22, 0x5c, 0x2c, 0x3a]
const [openArray, closeArray, openObject, closeObject] = [0x5b, 0x5d, 0x7b, 0x7d]

/** Whether a byte stands for itself in a string. */
const isPlain = Uint8Array.from({ length: 256 }, (_, byte) =>
  Number(byte >= 0x20 && byte !== quote && byte !== backslash),
)
/** Whether a byte is white space between values. */
const isBlank = Uint8Array.from({ length: 256 }, (_, byte) => Number([0x20, 0x09, 0x0a, 0x0d].includes(byte)))
/** Whether a byte may belong to a number or to a word such as `true`. */
const isOfScalar = Uint8Array.from({ length: 256 }, (_, byte) =>
  Number(/[\w.+-]/.test(String.fromCharCode(byte)) && byte < 0x80),
)
/** Whether a byte may stand behind a backslash; `u` has four digits behind it. */
const isEscape = Uint8Array.from({ length: 256 }, (_, byte) =>
  Number('"\\/bfnrtu'.includes(String.fromCharCode(byte))),
)

const scalar = /^(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)$/
const hexDigits = /^[\da-fA-F]{4}$/

/** Objects and arrays within each other, at most. */
const mostDeep = 1000

/** The byte behind a string that starts at a quote; -1 if it is none. */
function stringEnd(bytes: Buffer, start: number, end: number): number {
  for (let at = start + 1; at < end; ) {
    while (isPlain[bytes[at]!] === 1 && at < end) at++
    if (at >= end) return -1
    const byte = bytes[at]!
    if (byte === quote) return at + 1
    if (byte !== backslash || at + 1 >= end) return -1
    const next = bytes[at + 1]!
    if (isEscape[next] === 0) return -1
    at += 2
    if (next !== 0x75) continue
    if (at + 4 > end || !hexDigits.test(bytes.toString('latin1', at, at + 4))) return -1
    at += 4
  }
  return -1
}

/** The byte behind a number or a word; -1 if it is none. */
function scalarEnd(bytes: Buffer, start: number, end: number): number {
  let at = start
  let digits = 0
  while (at < end && isOfScalar[bytes[at]!] === 1) {
    if (bytes[at]! >= 0x30 && bytes[at]! <= 0x39) digits++
    at++
  }
  const length = at - start
  if (length === 0) return -1
  // Plain integers, without looking at them as a text.
  if (digits === length && (bytes[start] !== 0x30 || length === 1)) return at
  return scalar.test(bytes.toString('latin1', start, at)) ? at : -1
}

const depthBits = new Uint8Array(mostDeep + 1)

/** Whether bytes of UTF-8 are one JSON object, and nothing else but white space around it. It builds nothing. */
export function isJsonObject(bytes: Buffer, start: number, end: number): boolean {
  let at = start
  while (at < end && isBlank[bytes[at]!] === 1) at++
  if (bytes[at] !== openObject || at >= end) return false
  let depth = 0
  // What is expected: a value, or what follows one.
  let wantsValue = true
  while (at < end) {
    const byte = bytes[at]!
    if (isBlank[byte] === 1) {
      at++
    } else if (wantsValue) {
      if (byte === quote) at = stringEnd(bytes, at, end)
      else if (byte === openObject || byte === openArray) {
        if (++depth > mostDeep) return false
        depthBits[depth] = byte
        at++
        while (at < end && isBlank[bytes[at]!] === 1) at++
        if (at >= end) return false
        if (bytes[at] !== (byte === openObject ? closeObject : closeArray)) {
          if (byte === openObject) at = valueOfMember(bytes, at, end)
          if (at < 0) return false
          continue
        }
        at++
        depth--
      } else at = scalarEnd(bytes, at, end)
      if (at < 0) return false
      wantsValue = false
      if (depth === 0) break
    } else if (byte === comma) {
      at++
      if (depthBits[depth] === openObject) at = valueOfMember(bytes, at, end)
      if (at < 0) return false
      wantsValue = true
    } else if (byte === (depthBits[depth] === openObject ? closeObject : closeArray)) {
      at++
      if (--depth === 0) break
    } else return false
  }
  if (depth !== 0 || wantsValue) return false
  while (at < end && isBlank[bytes[at]!] === 1) at++
  return at === end
}

/** Where the value of a member starts, of which the name comes next; -1 if it is none. */
function valueOfMember(bytes: Buffer, start: number, end: number): number {
  let at = start
  while (at < end && isBlank[bytes[at]!] === 1) at++
  if (bytes[at] !== quote) return -1
  at = stringEnd(bytes, at, end)
  if (at < 0) return -1
  while (at < end && isBlank[bytes[at]!] === 1) at++
  return at < end && bytes[at] === colon ? at + 1 : -1
}

/** Where the next member starts, of a text that is JSON; -1 at the end of its object. */
function memberStart(bytes: Buffer, start: number): number {
  let at = start
  while (at < bytes.length && (isBlank[bytes[at]!] === 1 || bytes[at] === comma)) at++
  return bytes[at] === quote ? at : -1
}

/** Where the value of a member starts, of a text that is JSON. */
function valueStart(bytes: Buffer, nameEnd: number): number {
  let at = bytes.indexOf(colon, nameEnd) + 1
  while (isBlank[bytes[at]!] === 1) at++
  return at
}

/** The byte behind a value of a text that is JSON. */
function valueEnd(bytes: Buffer, start: number, end: number): number {
  let depth = 0
  for (let at = start; at < end; ) {
    const byte = bytes[at]!
    if (byte === quote) {
      at = stringEnd(bytes, at, end)
      if (depth === 0) return at
    } else if (byte === openObject || byte === openArray) {
      depth++
      at++
    } else if (byte === closeObject || byte === closeArray) {
      if (depth === 0) return at
      depth--
      at++
      if (depth === 0) return at
    } else if (depth === 0 && (byte === comma || isBlank[byte] === 1)) return at
    else at++
  }
  return end
}

/**
 * A row as the text of one JSON object, as it stood where it came from. Sinks write the text unchanged: numbers such as
 * `2230.0` or 2^60 + 1, the order of members, members of one name arrive to the byte.
 */
export class JsonRow extends JsonText {
  readonly #bytes: Buffer
  #value: Record<string, unknown> | undefined

  /** @param bytes UTF-8 of one JSON object ({@link isJsonObject}); they must not change any more */
  constructor(bytes: Buffer) {
    super()
    this.#bytes = bytes
  }

  /** @throws ConnectorError (ERR_ROW) unless the text is one JSON object */
  static of(text: string): JsonRow {
    const bytes = Buffer.from(text)
    if (isJsonObject(bytes, 0, bytes.length)) return new JsonRow(bytes)
    throw new ConnectorError('ERR_ROW', 'JsonRow: expected the text of one JSON object')
  }

  /** UTF-8 of the text. */
  override get bytes(): Buffer {
    return this.#bytes
  }

  override get text(): string {
    return this.#bytes.toString()
  }

  /** The members, parsed when they are asked for first; integers beyond 2^53 are bigints. */
  override get value(): Record<string, unknown> {
    this.#value ??= parseJson(this.text) as Record<string, unknown>
    return this.#value
  }

  /** A member's value, without parsing the others; undefined if there is none. */
  override member(name: string): unknown {
    const text = this.memberText(name)
    return text === undefined ? undefined : parseJson(text)
  }

  /** A member's value as it stands. Of members with the same name the last one counts, as in JSON.parse. */
  override memberText(name: string): string | undefined {
    const bytes = this.#bytes
    const wanted = Buffer.from(JSON.stringify(name))
    let found: string | undefined
    // A name may be written with escapes.
    const first = bytes.indexOf(wanted)
    const isEscaped = bytes.includes(backslash)
    if (first < 0 && !isEscaped) return undefined
    const isOnlyOne = !isEscaped && bytes.indexOf(wanted, first + 1) < 0
    const end = bytes.length
    for (let at = memberStart(bytes, bytes.indexOf(openObject) + 1); at >= 0; ) {
      const nameEnd = stringEnd(bytes, at, end)
      const isIt =
        isEscaped && bytes.subarray(at, nameEnd).includes(backslash)
          ? JSON.parse(bytes.toString('utf8', at, nameEnd)) === name
          : nameEnd - at === wanted.length && bytes.compare(wanted, 0, wanted.length, at, nameEnd) === 0
      at = valueStart(bytes, nameEnd)
      const last = valueEnd(bytes, at, end)
      if (isIt) {
        found = bytes.toString('utf8', at, last)
        if (isOnlyOne) return found
      }
      at = memberStart(bytes, last)
    }
    return found
  }

  /** Names and values of the members, each as it stands; a name is without its quotes. */
  *memberTexts(): Generator<[name: string, text: string]> {
    const bytes = this.#bytes
    const end = bytes.length
    for (let at = memberStart(bytes, bytes.indexOf(openObject) + 1); at >= 0; ) {
      const nameEnd = stringEnd(bytes, at, end)
      const start = valueStart(bytes, nameEnd)
      const last = valueEnd(bytes, start, end)
      yield [bytes.toString('utf8', at + 1, nameEnd - 1), bytes.toString('utf8', start, last)]
      at = memberStart(bytes, last)
    }
  }

  toJSON(): Record<string, unknown> {
    return this.value
  }
}
