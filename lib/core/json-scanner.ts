import type { Ends, Scanner } from './blocks.ts'
import { parseExactly } from './exact-json.ts'

const [quote, backslash, comma, colon, space] = [0x22, 0x5c, 0x2c, 0x3a, 0x20]
const [openArray, closeArray, openObject, closeObject] = [0x5b, 0x5d, 0x7b, 0x7d]

/** Bytes that change the depth or start a string; all others within an object or array are skipped. */
const marks = new Uint8Array(256)
for (const byte of [quote, openArray, closeArray, openObject, closeObject]) marks[byte] = 1

/** Bytes that JSON has outside of strings. */
const structure = new Uint8Array(256)
for (const byte of Buffer.from('{}[]:,"+-.0123456789eE \t\r\ntruefalsn')) structure[byte] = 1

/** The bytes are not the JSON that was expected. */
export class MalformedJson extends Error {
  override name = 'MalformedJson'
  /** The input ends too early: a retry may get all of it. */
  readonly isCut: boolean
  constructor(message: string, { isCut = false, cause }: { isCut?: boolean; cause?: unknown } = {}) {
    super(message, { cause })
    this.isCut = isCut
  }
}

/** Position of a scanner in a document. */
type State = 'before' | 'between' | 'element' | 'after'

/** @param lacksComma the element follows another one without a comma */
export type FoundElement = (start: number, end: number, lacksComma: boolean) => void

/**
 * Finds where the elements of one JSON document end, without parsing them: the elements of an array, or the document
 * itself if it is no array.
 */
export class JsonScanner implements Scanner {
  /** Elements that ended so far. */
  count = 0
  #state: State
  #isArray: boolean
  /** Brackets open within the element. */
  #depth = 0
  #inString = false
  #isEscaped = false
  #needsComma = false
  #lacksComma = false

  /** @param isInside the bytes start in an array, before an element or a comma */
  constructor(isInside = false) {
    this.#state = isInside ? 'between' : 'before'
    this.#isArray = isInside
  }

  /** Whether the document has ended. */
  get isDone(): boolean {
    return this.#state === 'after'
  }

  /** Whether the document has begun. */
  get hasBegun(): boolean {
    return this.#state !== 'before'
  }

  /** @param found called with each element that ends among these bytes; it must have started there */
  scan(bytes: Uint8Array, found?: FoundElement): Ends | undefined {
    let [first, last, start] = [-1, -1, 0]
    const end = (at: number) => {
      if (first < 0) first = at
      last = at
    }
    for (let at = 0; at < bytes.length; ) {
      if (this.#state === 'element') {
        at = this.#element(bytes, at)
        // The call may have ended it.
        if ((this.#state as State) === 'element') break
        found?.(start, at, this.#lacksComma)
        end(at)
        continue
      }
      const byte = bytes[at]!
      if (byte <= space) {
        if (this.#state === 'after') last = at + 1
        at++
      } else if (this.#state === 'before' && at === 0 && byte === 0xef) {
        // The byte order mark of UTF-8.
        at += 3
      } else if (this.#state === 'before' && byte === openArray) {
        this.#state = 'between'
        this.#isArray = true
        at++
      } else if (this.#state === 'between' && byte === closeArray) {
        this.#state = 'after'
        end(++at)
      } else if (this.#state === 'between' && byte === comma) {
        this.#needsComma = false
        end(++at)
      } else {
        // Anything after a whole document is one faulty record.
        start = at
        this.#lacksComma = this.#needsComma
        this.#state = 'element'
      }
    }
    return last < 0 ? undefined : { first: first < 0 ? last : first, last }
  }

  /**
   * Skips elements that are all arrays, or all objects, up to the bracket that closes the array in which they are.
   * @param opens the bracket that each element starts with
   * @returns the offset it reached: after that bracket if {@link isDone}, else the end of the bytes
   * @throws MalformedJson
   */
  skip(bytes: Uint8Array, from: number, opens: number): number {
    let at = from
    while (at < bytes.length) {
      if (this.#state === 'element') at = this.#element(bytes, at)
      else {
        const byte = bytes[at]!
        if (byte === opens) this.#state = 'element'
        else if (byte <= space || byte === comma) at++
        else if (byte === closeArray) {
          this.#state = 'after'
          return at + 1
        } else throw new MalformedJson(`an element does not start with ${String.fromCharCode(opens)}`)
      }
    }
    return at
  }

  /** Returns the offset after the element, or the end of the bytes. State is in locals: this loop reads every byte. */
  #element(bytes: Uint8Array, from: number): number {
    const length = bytes.length
    let depth = this.#depth
    let inString = this.#inString
    let at = from
    while (at < length) {
      if (inString) {
        if (this.#isEscaped) {
          this.#isEscaped = false
          at++
        }
        let byte = 0
        while (at < length) {
          byte = bytes[at]!
          if (byte === quote || byte === backslash) break
          at++
        }
        if (at >= length) break
        at++
        inString = byte !== quote
        this.#isEscaped = inString
        if (inString || depth > 0) continue
        return this.#close(at)
      }
      if (depth > 0) {
        while (at < length && marks[bytes[at]!] === 0) at++
        if (at >= length) break
      }
      const byte = bytes[at++]!
      if (byte === quote) inString = true
      else if (byte === openObject || byte === openArray) depth++
      else if ((byte === closeObject || byte === closeArray) && depth > 0) {
        if (--depth === 0) return this.#close(at)
      } else if (depth === 0 && this.#isArray && (byte === comma || byte === closeArray)) {
        // A number or word has no end of its own.
        return this.#close(at - 1)
      }
    }
    this.#depth = depth
    this.#inString = inString
    return length
  }

  #close(at: number): number {
    this.#depth = 0
    this.#inString = false
    this.#state = this.#isArray ? 'between' : 'after'
    this.#needsComma = this.#isArray
    this.count++
    return at
  }
}

/** Positions of the elements of an array in a document. */
export interface ArrayRange {
  /** First byte behind the opening bracket. */
  readonly start: number
  /** The closing bracket. */
  readonly end: number
  readonly count: number
}

/** Which arrays are set aside, and their limits. */
export interface OutlineForm {
  /** Names of members from the root inwards; `*` is each element of an array: `['tables', '*', 'rows']`. */
  readonly path: readonly string[]
  /** What each element is. */
  readonly elements: 'arrays' | 'objects'
  /** Maximum size of an element, and of the rest of the document, in bytes. */
  readonly limit: number
}

/**
 * Reads the bytes of a JSON object as they come, and sets aside the arrays at one path: it records their ranges and
 * counts their elements, without keeping or parsing them. It keeps the rest of the document, and parses it at the end.
 */
export class JsonOutline {
  readonly #path: readonly string[]
  readonly #opens: number
  readonly #limit: number
  readonly #arrays: ArrayRange[] = []
  /** The document without the elements of such arrays. */
  readonly #kept: Buffer[] = []
  #keptBytes = 0
  /** Bytes of the document before the chunk at hand. */
  #offset = 0
  #depth = 0
  #inString = false
  #isEscaped = false
  #isDone = false
  /** The last string, cut at the length of the path's names; and the last name by depth. */
  #text = ''
  readonly #textBytes: number
  readonly #names: string[] = []
  /** The array that is skipped at the moment. */
  #elements: JsonScanner | undefined
  #start = 0
  /** Bytes since the last end of an element. */
  #elementBytes = 0

  constructor({ path, elements, limit }: OutlineForm) {
    this.#path = path
    this.#opens = elements === 'arrays' ? openArray : openObject
    this.#limit = limit
    this.#textBytes = 1 + Math.max(...path.map((name) => name.length))
  }

  /** Whether the bytes so far end within an array that is set aside. */
  get isInside(): boolean {
    return this.#elements !== undefined
  }

  /** @throws MalformedJson at the first byte that can't be part of such a document, and beyond the limit */
  write(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length; ) at = this.#elements ? this.#skip(chunk, at) : this.head(chunk, at)
    this.#offset += chunk.length
  }

  /** Reads up to the first element of an array that is set aside, or to the chunk's end. @returns that offset */
  head(chunk: Uint8Array, from: number): number {
    for (let at = from; at < chunk.length; at++) {
      const byte = chunk[at]!
      if (this.#inString) {
        if (this.#isEscaped) this.#isEscaped = false
        else if (byte === backslash) this.#isEscaped = true
        else if (byte === quote) this.#inString = false
        else if (this.#text.length < this.#textBytes) this.#text += String.fromCharCode(byte)
      } else if (byte === quote) {
        this.#inString = true
        this.#text = ''
      } else if (byte === colon) this.#names[this.#depth] = this.#text
      else if (byte === openArray || byte === openObject) {
        this.#depth++
        if (byte === openArray && this.#depth === this.#path.length + 1 && this.#isAtPath()) {
          this.#keep(chunk.subarray(from, at + 1))
          this.#elements = new JsonScanner(true)
          this.#start = this.#offset + at + 1
          this.#elementBytes = 0
          return at + 1
        }
      } else if (byte === closeArray || byte === closeObject) {
        if (--this.#depth <= 0) this.#isDone = true
      }
      if (structure[byte] === 0 && !this.#inString) throw new MalformedJson('the answer is not JSON')
      if (this.#depth === 0 && !this.#isDone && byte > space)
        throw new MalformedJson('the answer is no object')
    }
    this.#keep(chunk.subarray(from))
    return chunk.length
  }

  /** @throws MalformedJson */
  end(): { readonly document: Record<string, unknown>; readonly arrays: readonly ArrayRange[] } {
    if (!this.#isDone) throw new MalformedJson('the answer ends early', { isCut: true })
    let document: unknown
    try {
      document = parseExactly(Buffer.concat(this.#kept).toString())
    } catch (cause) {
      throw new MalformedJson('the answer is not JSON', { cause })
    }
    if (typeof document !== 'object' || document === null || Array.isArray(document))
      throw new MalformedJson('the answer is no object')
    return { document: document as Record<string, unknown>, arrays: this.#arrays }
  }

  #isAtPath(): boolean {
    return this.#path.every((name, at) => name === '*' || this.#names[at + 1] === name)
  }

  #skip(chunk: Uint8Array, from: number): number {
    const elements = this.#elements!
    const before = elements.count
    const at = elements.skip(chunk, from, this.#opens)
    this.#elementBytes = elements.count === before ? this.#elementBytes + at - from : at - from
    if (this.#elementBytes > this.#limit + chunk.length) throw this.#tooLong('an element of the answer')
    if (!elements.isDone) return at
    this.#arrays.push({ start: this.#start, end: this.#offset + at - 1, count: elements.count })
    this.#elements = undefined
    // Its bracket is for the outline.
    return at - 1
  }

  #keep(bytes: Uint8Array): void {
    this.#keptBytes += bytes.length
    if (this.#keptBytes > this.#limit) throw this.#tooLong('the answer around its rows')
    this.#kept.push(Buffer.from(bytes))
  }

  #tooLong(what: string): MalformedJson {
    return new MalformedJson(`${what} is longer than ${this.#limit} bytes`)
  }
}
