import type { Ends, Scanner } from './blocks.ts'

const [quote, backslash, comma] = [0x22, 0x5c, 0x2c]
const [openArray, closeArray, openObject, closeObject] = [0x5b, 0x5d, 0x7b, 0x7d]
const space = 0x20

/** Where a scanner is in a document. */
type State = 'before' | 'between' | 'element' | 'after'

/** @param lacksComma whether the element stands behind another one with no comma between */
export type FoundElement = (start: number, end: number, lacksComma: boolean) => void

/** Finds the elements of one JSON document: the members of an array, or the document itself where it is no array. */
export class JsonScanner implements Scanner {
  #state: State
  #isArray: boolean
  /** Brackets open within the element. */
  #depth = 0
  #inString = false
  #escaped = false
  #needsComma: boolean
  /** Whether the element stands behind another one with no comma between. */
  #lacksComma = false

  /** @param isInside whether it begins behind an element of an array */
  constructor(isInside = false) {
    this.#state = isInside ? 'between' : 'before'
    this.#isArray = isInside
    this.#needsComma = false
  }

  /** Whether the document has come to its end. */
  get isDone(): boolean {
    return this.#state === 'after'
  }

  /** Whether the document has begun. */
  get hasBegun(): boolean {
    return this.#state !== 'before'
  }

  /** @param found given each element that ends among these bytes; it must have begun there */
  scan(bytes: Buffer, found?: FoundElement): Ends | undefined {
    let [first, last, start] = [-1, -1, 0]
    const end = (at: number) => {
      if (first < 0) first = at
      last = at
    }
    for (let at = 0; at < bytes.length; at++) {
      const byte = bytes[at]!
      if (this.#inString) {
        if (this.#escaped) this.#escaped = false
        else if (byte === backslash) this.#escaped = true
        else if (byte === quote) {
          this.#inString = false
          if (this.#depth === 0) this.#close(at + 1, start, found, end)
        }
        continue
      }
      if (this.#state === 'element') {
        if (byte === quote) this.#inString = true
        else if (byte === openObject || byte === openArray) this.#depth++
        else if ((byte === closeObject || byte === closeArray) && this.#depth > 0) {
          this.#depth--
          if (this.#depth === 0) this.#close(at + 1, start, found, end)
        } else if (this.#depth === 0 && this.#isArray && (byte === comma || byte === closeArray)) {
          // A number or word has no end of its own.
          this.#close(at, start, found, end)
          at--
        }
        continue
      }
      if (byte <= space) {
        if (this.#state === 'after') last = at + 1
        continue
      }
      if (this.#state === 'before' && at === 0 && byte === 0xef) {
        // The byte order mark of UTF-8.
        at += 2
      } else if (this.#state === 'before' && byte === openArray) {
        this.#state = 'between'
        this.#isArray = true
      } else if (this.#state === 'between' && byte === closeArray) {
        this.#state = 'after'
        end(at + 1)
      } else if (this.#state === 'between' && byte === comma) {
        this.#needsComma = false
        end(at + 1)
      } else {
        start = at
        this.#lacksComma = this.#needsComma
        this.#state = 'element'
        // What follows a whole document is one faulty record.
        at--
      }
    }
    return last < 0 ? undefined : { first: first < 0 ? last : first, last }
  }

  #close(at: number, start: number, found: FoundElement | undefined, end: (at: number) => void): void {
    this.#state = this.#isArray ? 'between' : 'after'
    this.#needsComma = this.#isArray
    found?.(start, at, this.#lacksComma)
    end(at)
  }
}
