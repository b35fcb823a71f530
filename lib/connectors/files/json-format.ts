import { isUtf8 } from 'node:buffer'
import { JsonBytes } from '../../core/json-bytes.ts'
import { JsonScanner } from '../../core/json-scanner.ts'
import { notUtf8, readObject, tooLong } from './line-formats.ts'
import { Fault, type Format, type Records } from './records.ts'

/** One JSON document: an array of objects, or one object. */
export class JsonFormat implements Format {
  readonly #limit: number
  readonly #scanner: JsonScanner
  /** The text ends within an element, which was reported. */
  #isCut = false

  /** @param isInside whether the text begins behind an element of an array */
  constructor({ max_line_bytes }: { readonly max_line_bytes: number }, isInside: boolean) {
    this.#limit = max_line_bytes
    this.#scanner = new JsonScanner(isInside)
  }

  read(bytes: Buffer, _offset: number, records: Records): void {
    const json = new JsonBytes(bytes)
    let behind = 0
    const take = (start: number, end: number, lacksComma = false) => {
      behind = end
      if (lacksComma) {
        const text = bytes.toString('utf8', start, end)
        records.addFault(new Fault(start, text, 0, 'is not JSON: expected "," before it'), start, end)
      } else if (end - start > this.#limit) records.addFault(tooLong(bytes, start, this.#limit), start, end)
      else if (!isUtf8(bytes.subarray(start, end))) records.addFault(notUtf8(bytes, start, end), start, end)
      else readObject(json, start, end, records)
    }
    this.#scanner.scan(bytes, take)
    // A last element without its end.
    const rest = this.#scanner.isDone ? bytes.length : this.#restFrom(bytes, behind)
    this.#isCut = rest < bytes.length
    if (this.#isCut) take(rest, bytes.length)
  }

  end(): string | undefined {
    return this.#isCut || this.#scanner.isDone || !this.#scanner.hasBegun
      ? undefined
      : 'the array does not end'
  }

  #restFrom(bytes: Buffer, behind: number): number {
    for (let at = behind; at < bytes.length; at++) {
      const isBetween = bytes[at]! <= 0x20 || bytes[at] === 0x2c || (behind === 0 && bytes[at] === 0x5b)
      if (!isBetween) return at
    }
    return bytes.length
  }
}
