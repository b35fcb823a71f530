import { ConnectorError } from './errors.ts'
import { parseJson } from './exact-json.ts'
import { JsonText } from './json.ts'

const [quote, backslash, comma, colon] = [0x22, 0x5c, 0x2c, 0x3a]
const [zero, nine, minus, plus, point, exponent] = [0x30, 0x39, 0x2d, 0x2b, 0x2e, 0x65]
const [openArray, closeArray, openObject, closeObject] = [0x5b, 0x5d, 0x7b, 0x7d]

/** Whether a byte is its own character in a string. */
const isPlain = Uint8Array.from({ length: 256 }, (_, byte) =>
  Number(byte >= 0x20 && byte !== quote && byte !== backslash),
)
/** Whether a byte is white space between values. */
const isBlank = Uint8Array.from({ length: 256 }, (_, byte) => Number([0x20, 0x09, 0x0a, 0x0d].includes(byte)))
/** Whether a byte is a hexadecimal digit. */
const isHexDigit = Uint8Array.from({ length: 256 }, (_, byte) =>
  Number(/[\da-fA-F]/.test(String.fromCharCode(byte))),
)
/** Whether a byte may stand behind a backslash; `u` has four digits behind it. */
const isEscape = Uint8Array.from({ length: 256 }, (_, byte) =>
  Number('"\\/bfnrtu'.includes(String.fromCharCode(byte))),
)

/** Objects and arrays within each other, at most. */
const mostDeep = 1000

/** Numbers of {@link MemberPlaces} for a member: where its name starts and ends, quotes included, and its value. */
const perMember = 4

/**
 * Positions of the members of rows, found while the rows were checked: looking for a member reads its name only, not the row
 * again. One serves all rows of a block.
 */
export class MemberPlaces {
  /** A name that has escapes in it ends at a negative number. */
  numbers: Int32Array
  used = 0

  /** @param size numbers that are likely to be needed */
  constructor(size = 16 * perMember) {
    this.numbers = new Int32Array(size)
  }

  /** Doubles its size. */
  grow(): void {
    const larger = new Int32Array(Math.max(16 * perMember, this.numbers.length * 2))
    larger.set(this.numbers)
    this.numbers = larger
  }
}

/** Whether the last string that {@link stringEnd} passed has a backslash in it. */
let hasEscape = false

/** The byte behind a string that starts at a quote; -1 if it is none. */
function stringEnd(bytes: Buffer, start: number, end: number): number {
  hasEscape = false
  for (let at = start + 1; at < end; ) {
    // It may run past the end, which is looked at once behind it and not for each byte.
    while (isPlain[bytes[at]!] === 1) at++
    if (at >= end) return -1
    const byte = bytes[at]!
    if (byte === quote) return at + 1
    if (byte !== backslash || at + 1 >= end) return -1
    hasEscape = true
    const next = bytes[at + 1]!
    if (isEscape[next] === 0) return -1
    at += 2
    if (next !== 0x75) continue
    if (at + 4 > end) return -1
    for (const last = at + 4; at < last; at++) if (isHexDigit[bytes[at]!] === 0) return -1
  }
  return -1
}

/** The byte behind digits; -1 if there is none. */
function digitsEnd(bytes: Buffer, start: number, end: number): number {
  let at = start
  while (at < end && bytes[at]! >= zero && bytes[at]! <= nine) at++
  return at === start ? -1 : at
}

/** The byte behind a number; -1 if it is none. */
function numberEnd(bytes: Buffer, start: number, end: number): number {
  let at = bytes[start] === minus ? start + 1 : start
  const first = at
  at = digitsEnd(bytes, at, end)
  if (at < 0 || (bytes[first] === zero && at > first + 1)) return -1
  if (at < end && bytes[at] === point) {
    at = digitsEnd(bytes, at + 1, end)
    if (at < 0) return -1
  }
  if (at < end && (bytes[at]! | 0x20) === exponent) {
    at++
    if (at < end && (bytes[at] === plus || bytes[at] === minus)) at++
    at = digitsEnd(bytes, at, end)
  }
  return at
}

const words = ['true', 'false', 'null'].map((word) => Buffer.from(word))

/** The byte behind a number or a word; -1 if it is none. What follows is checked by the caller. */
function scalarEnd(bytes: Buffer, start: number, end: number): number {
  const byte = bytes[start]!
  if (byte === minus || (byte >= zero && byte <= nine)) return numberEnd(bytes, start, end)
  for (const word of words) {
    if (word[0] !== byte) continue
    const last = start + word.length
    if (last > end) return -1
    for (let at = 1; at < word.length; at++) if (bytes[start + at] !== word[at]) return -1
    return last
  }
  return -1
}

const depthBits = new Uint8Array(mostDeep + 1)

/**
 * Whether bytes of UTF-8 are one JSON object, and nothing else but white space around it. It builds nothing.
 * @param places gets the members of the object; of bytes that are none, it may have got some
 */
export function isJsonObject(bytes: Buffer, start: number, end: number, places?: MemberPlaces): boolean {
  let at = start
  while (at < end && isBlank[bytes[at]!] === 1) at++
  if (at >= end || bytes[at] !== openObject) return false
  let depth = 0
  // What is expected: a value, or what follows one.
  let wantsValue = true
  // Whether the name of a member comes first.
  let wantsName = false
  while (at < end) {
    let byte = bytes[at]!
    if (isBlank[byte] === 1) {
      at++
      continue
    }
    if (wantsName) {
      const name = at
      if (byte !== quote) return false
      at = stringEnd(bytes, at, end)
      if (at < 0) return false
      const nameEnd = hasEscape ? -at : at
      while (at < end && isBlank[bytes[at]!] === 1) at++
      if (at >= end || bytes[at] !== colon) return false
      at++
      while (at < end && isBlank[bytes[at]!] === 1) at++
      if (at >= end) return false
      byte = bytes[at]!
      wantsName = false
      if (depth === 1 && places) {
        if (places.used + perMember > places.numbers.length) places.grow()
        const { numbers, used } = places
        numbers[used] = name
        numbers[used + 1] = nameEnd
        numbers[used + 2] = at
        places.used += perMember
      }
    }
    if (wantsValue) {
      if (byte === quote) at = stringEnd(bytes, at, end)
      else if (byte === openObject || byte === openArray) {
        if (++depth > mostDeep) return false
        depthBits[depth] = byte
        at++
        while (at < end && isBlank[bytes[at]!] === 1) at++
        if (at >= end) return false
        const isObject = byte === openObject
        if (bytes[at] !== (isObject ? closeObject : closeArray)) {
          wantsName = isObject
          continue
        }
        at++
        depth--
      } else at = scalarEnd(bytes, at, end)
      if (at < 0) return false
      wantsValue = false
    } else if (byte === comma) {
      at++
      wantsName = depthBits[depth] === openObject
      wantsValue = true
      continue
    } else if (byte === (depthBits[depth] === openObject ? closeObject : closeArray)) {
      at++
      depth--
    } else return false
    if (depth === 0) break
    // A value of the outermost object has just ended.
    if (depth === 1 && places && places.used > 0) places.numbers[places.used - 1] = at
  }
  if (depth !== 0 || wantsValue) return false
  while (at < end && isBlank[bytes[at]!] === 1) at++
  return at === end
}

/** The names that were looked up last, as JSON. */
const wantedNames = new Map<string, Buffer>()

function nameAsWritten(name: string): Buffer {
  let wanted = wantedNames.get(name)
  if (!wanted) {
    if (wantedNames.size > 100) wantedNames.clear()
    wanted = Buffer.from(JSON.stringify(name))
    wantedNames.set(name, wanted)
  }
  return wanted
}

/**
 * A row as the text of one JSON object, unchanged from its source. Sinks write the text unchanged: numbers such as
 * `2230.0` or 2^60 + 1, the order of members, members of one name arrive to the byte.
 */
export class JsonRow extends JsonText {
  /** The text is in it; other rows may be too. */
  readonly #block: Buffer
  readonly #start: number
  readonly #end: number
  /** Positions of the members: found at the first lookup, unless they came with the row. */
  #places: MemberPlaces | undefined
  #first: number
  #last: number
  #value: Record<string, unknown> | undefined

  /**
   * @param block UTF-8 that holds the text of one JSON object (see `isJsonObject`); it must not change any more
   * @param start its start
   * @param end its end
   * @param places its members are the last ones in it, from `first` on
   */
  constructor(block: Buffer, start = 0, end = block.length, places?: MemberPlaces, first = 0) {
    super()
    this.#block = block
    this.#start = start
    this.#end = end
    this.#places = places
    this.#first = first
    this.#last = places ? places.used : 0
  }

  /** @throws ConnectorError (ERR_ROW) unless the text is one JSON object */
  static of(text: string): JsonRow {
    const bytes = Buffer.from(text)
    if (isJsonObject(bytes, 0, bytes.length)) return new JsonRow(bytes)
    throw new ConnectorError('ERR_ROW', 'JsonRow: expected the text of one JSON object')
  }

  /** UTF-8 of the text. */
  override get bytes(): Buffer {
    return this.#block.subarray(this.#start, this.#end)
  }

  override get length(): number {
    return this.#end - this.#start
  }

  override copy(target: Buffer, at: number): void {
    this.#block.copy(target, at, this.#start, this.#end)
  }

  override get text(): string {
    return this.#block.toString('utf8', this.#start, this.#end)
  }

  /** The members, parsed when they are asked for first; integers beyond 2^53 are bigints. */
  override get value(): Record<string, unknown> {
    this.#value ??= parseJson(this.text) as Record<string, unknown>
    return this.#value
  }

  /** A member's value, without parsing the others; undefined if there is none. */
  override member(name: string): unknown {
    const text = this.memberText(name)
    if (text === undefined) return undefined
    const isPlainText = text.charCodeAt(0) === quote && !text.includes('\\')
    return isPlainText ? text.slice(1, -1) : parseJson(text)
  }

  /** A member's value as it stands. Of members with the same name the last one counts, as in JSON.parse. */
  override memberText(name: string): string | undefined {
    const wanted = nameAsWritten(name)
    const { numbers } = this.#members()
    const block = this.#block
    for (let member = this.#last - perMember; member >= this.#first; member -= perMember) {
      const start = numbers[member]!
      const end = numbers[member + 1]!
      if (end >= 0 ? isAt(block, start, end, wanted) : parsedName(block, start, -end) === name)
        return block.toString('utf8', numbers[member + 2]!, numbers[member + 3]!)
    }
    return undefined
  }

  override memberNames(): readonly string[] {
    const { numbers } = this.#members()
    const names: string[] = []
    for (let member = this.#first; member < this.#last; member += perMember) {
      const start = numbers[member]!
      const end = numbers[member + 1]!
      names.push(
        end >= 0
          ? this.#block.toString('utf8', start + 1, end - 1)
          : String(parsedName(this.#block, start, -end)),
      )
    }
    return names
  }

  override *memberTexts(): Generator<[name: string, text: string]> {
    const { numbers } = this.#members()
    const block = this.#block
    for (let member = this.#first; member < this.#last; member += perMember) {
      const nameEnd = Math.abs(numbers[member + 1]!)
      const name = block.toString('utf8', numbers[member]! + 1, nameEnd - 1)
      yield [name, block.toString('utf8', numbers[member + 2]!, numbers[member + 3]!)]
    }
  }

  override toString(): string {
    return this.text
  }

  toJSON(): Record<string, unknown> {
    return this.value
  }

  #members(): MemberPlaces {
    if (this.#places) return this.#places
    const places = new MemberPlaces()
    isJsonObject(this.#block, this.#start, this.#end, places)
    this.#places = places
    this.#last = places.used
    return places
  }
}

function isAt(bytes: Buffer, start: number, end: number, wanted: Buffer): boolean {
  const { length } = wanted
  if (end - start !== length) return false
  for (let at = 0; at < length; at++) if (bytes[start + at] !== wanted[at]) return false
  return true
}

function parsedName(bytes: Buffer, start: number, end: number): unknown {
  return JSON.parse(bytes.toString('utf8', start, end))
}
