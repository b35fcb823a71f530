import type { Ends, Scanner } from '../../core/blocks.ts'

const newline = 10

/** Finds the ends of CSV records: line ends outside of quotes. */
export class CsvScanner implements Scanner {
  readonly #quote: number
  readonly #escape: number
  readonly #separator: number
  #inQuotes = false
  /** A quote here opens a quoted field. */
  #atFieldStart = true
  #escaped = false
  /** What a comment starts with, and how much of that a line that has just begun has so far; -1 within a line. */
  readonly #comment: Buffer
  #commentBytes = 0
  #inComment = false

  constructor(settings: { quote: string; escape: string; sep: string; comment: string }) {
    const { quote, escape: escapeBy, sep, comment } = settings
    this.#comment = Buffer.from(comment)
    this.#quote = quote === '' ? -1 : quote.charCodeAt(0)
    this.#escape = escapeBy === '' ? -1 : escapeBy.charCodeAt(0)
    this.#separator = sep.charCodeAt(sep.length - 1)
  }

  /** @param found given the start and end of each record that ends among these bytes; it must have begun there */
  scan(bytes: Buffer, found?: (start: number, end: number) => void): Ends | undefined {
    if (!found && !this.#inQuotes && !this.#escaped && (this.#quote < 0 || !bytes.includes(this.#quote))) {
      const last = bytes.lastIndexOf(newline) + 1
      this.#atFieldStart = last === bytes.length || bytes.at(-1) === this.#separator
      return last === 0 ? undefined : { first: bytes.indexOf(newline) + 1, last }
    }
    let [first, last] = [-1, 0]
    for (let at = 0; at < bytes.length; at++) {
      const byte = bytes[at]!
      if (this.#comment.length > 0 && !this.#inQuotes && this.#isComment(byte)) continue
      if (this.#inQuotes) {
        if (this.#escaped) this.#escaped = false
        else if (byte === this.#escape && this.#escape !== this.#quote) this.#escaped = true
        // A doubled quote closes and opens again at once.
        else if (byte === this.#quote) this.#inQuotes = false
        if (!this.#inQuotes) this.#atFieldStart = this.#escape === this.#quote
        continue
      }
      if (byte === newline) {
        found?.(last, at + 1)
        if (first < 0) first = at + 1
        last = at + 1
        this.#atFieldStart = true
        this.#commentBytes = 0
      } else if (byte === this.#quote && this.#atFieldStart) {
        this.#inQuotes = true
      } else this.#atFieldStart = byte === this.#separator
    }
    return first < 0 ? undefined : { first, last }
  }

  /** Whether a byte belongs to a comment, in which quotes mean nothing. */
  #isComment(byte: number): boolean {
    if (this.#inComment) {
      this.#inComment = byte !== newline
      return this.#inComment
    }
    if (this.#commentBytes < 0) return false
    const isLike = byte === this.#comment[this.#commentBytes]
    this.#commentBytes = isLike ? this.#commentBytes + 1 : -1
    this.#inComment = this.#commentBytes === this.#comment.length
    return this.#inComment
  }
}
