import { type ResponseIndex, ResponseIndexer } from './response-index.ts'

const [comma, quote, closeBracket] = [0x2c, 0x22, 0x5d]

/** How a response ends that has one table and nothing behind its rows. */
const plainEnd = ']]}]}'

/** Of that, what is behind the last row. */
export const behindRows = plainEnd.slice(1)

/**
 * A quick look at a response as it comes: is it what nearly all are, one table with nothing behind it? Then it is whole,
 * without an error, and where its rows are may be found out while they are parsed. Looking at its brackets alone takes a
 * tenth of the time of finding each row.
 */
export class ResponseSurvey {
  /** Reads what is before the rows. */
  readonly #head = new ResponseIndexer()
  readonly #rowLimit: number
  #offset = 0
  /** Where the rows begin. */
  #start = -1
  /** Brackets that may end a row: there are no more rows than these. */
  #brackets = 0
  /** There may be something behind the rows that is neither a row nor the end. */
  #odd = false
  /** The last bytes that came, whose brackets are not looked at yet. */
  #last: Buffer = Buffer.alloc(0)

  /** @param rowLimit how many rows are so many that they have to be counted */
  constructor(rowLimit: number) {
    this.#rowLimit = rowLimit
  }

  write(chunk: Buffer): void {
    let from = 0
    if (this.#start < 0) {
      from = this.#head.readOutline(chunk, 0)
      if (this.#head.inRows) this.#start = this.#offset + from
    }
    this.#offset += chunk.length
    if (this.#start >= 0 && !this.#odd) this.#look(chunk.subarray(from))
  }

  /** The index, and where the rows begin; undefined where only a ResponseIndexer can tell. */
  end(): { index: ResponseIndex; start: number } | undefined {
    const isPlain = !this.#odd && this.#last.toString('latin1') === plainEnd
    if (!isPlain || this.#brackets + plainEnd.length >= this.#rowLimit) return undefined
    this.#head.write(Buffer.from(behindRows))
    const { tables, error } = this.#head.end()
    const [table] = tables
    if (tables.length !== 1 || !table) return undefined
    const { name, columns } = table
    return {
      index: { tables: [{ name, columns, spans: undefined, rows: undefined }], rows: undefined, error },
      start: this.#start,
    }
  }

  /** Looks at all but the last few bytes: of a bracket must be seen what is behind it. */
  #look(chunk: Buffer): void {
    const keep = plainEnd.length
    if (this.#last.length > 0 || chunk.length < keep) {
      const seam = Buffer.concat([this.#last, chunk.subarray(0, keep)])
      this.#count(seam, seam.length - keep)
      this.#last = seam.subarray(Math.max(0, seam.length - keep))
    }
    if (chunk.length < keep) return
    this.#count(chunk, chunk.length - keep)
    this.#last = chunk.subarray(chunk.length - keep)
  }

  #count(bytes: Buffer, end: number): void {
    for (
      let at = bytes.indexOf(closeBracket);
      at >= 0 && at < end;
      at = bytes.indexOf(closeBracket, at + 1)
    ) {
      this.#brackets++
      // Behind a row there is no key. Another table has its columns before its rows, or rows before its columns.
      if (bytes[at + 1] === comma && bytes[at + 2] === quote) this.#odd = true
    }
  }
}
