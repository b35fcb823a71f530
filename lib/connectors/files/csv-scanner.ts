import type { Ends, Scanner } from '../../core/blocks.ts'

const newline = 10

/** Finds the ends of CSV records: line ends that stand in no quotes. */
export class CsvScanner implements Scanner {
  readonly #quote: number
  readonly #escape: number
  readonly #separator: number
  #inQuotes = false
  /** A quote here opens a quoted field. */
  #atFieldStart = true
  #escaped = false

  constructor({ quote, escape: escapeBy, sep }: { quote: string; escape: string; sep: string }) {
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
      } else if (byte === this.#quote && this.#atFieldStart) {
        this.#inQuotes = true
      } else this.#atFieldStart = byte === this.#separator
    }
    return first < 0 ? undefined : { first, last }
  }
}
