import { parseExactly } from '../../core/exact-json.ts'
import { JsonBytes } from '../../core/json-bytes.ts'

/** Rows that lie next to each other in a response, so many that parsing them takes a millisecond or so. */
export interface RowSpan {
  /** Bytes from the start of the response. A span begins with the `[` of a row and ends behind the `]` of one. */
  readonly start: number
  readonly end: number
  readonly rows: number
}

export interface IndexedTable {
  readonly name: string
  readonly columns: readonly { readonly name: string; readonly type: string }[]
  /** Where its rows are; undefined where that is found out as they are parsed. */
  readonly spans: readonly RowSpan[] | undefined
  /** How many there are; undefined where they are not counted, being few enough. */
  readonly rows: number | undefined
}

/** Where everything is in a response. */
export interface ResponseIndex {
  readonly tables: readonly IndexedTable[]
  /** Of all tables; undefined where they are not counted. */
  readonly rows: number | undefined
  /** What the service reports at the end of a result that is not whole. */
  readonly error: unknown
}

/** The response is not what the query API gives. */
export class MalformedResponse extends Error {
  override name = 'MalformedResponse'
  /** Whether it only ends too early, so that another try is worth it. */
  readonly cut: boolean
  constructor(message: string, { cut = false, cause }: { cut?: boolean; cause?: unknown } = {}) {
    super(message, { cause })
    this.cut = cut
  }
}

const [quote, backslash, colon, comma] = [0x22, 0x5c, 0x3a, 0x2c]
const [openBracket, closeBracket, openBrace, closeBrace] = [0x5b, 0x5d, 0x7b, 0x7d]
export const spanBytes = 32_768
/** Bytes of the longest key that is told apart, `tables`, and one more. */
const keyBytes = 8

/**
 * Reads a response's bytes as they come and finds its rows without parsing them. What is not a row (names, columns,
 * the error at the end) is little: it is kept and parsed at the end. The form of a response:
 * `{"tables":[{"name":…,"columns":[{"name":…,"type":…}],"rows":[[…],…]}],…,"error":{…}}`
 */
export class ResponseIndexer {
  /** The response without its rows. */
  readonly #outline: Buffer[] = []
  readonly #tables: RowSpan[][] = []
  #offset = 0
  #inString = false
  #escaped = false
  #depth = 0
  #ended = false
  // Outside of rows: the last string, and the keys of the root and of a table that we are in.
  #text = ''
  #rootKey = ''
  #tableKey = ''
  // Within rows: depth below the array of rows, and the span that is being filled.
  #inRows = false
  #rowDepth = 0
  #spanStart = -1
  #spanRows = 0
  /** Where a span is to begin, whatever the length of the one before. */
  readonly #cutAt: number | undefined

  /** @param cutAt where a row begins with which a span is to begin */
  constructor(cutAt?: number) {
    this.#cutAt = cutAt
  }

  /** Whether the rows of a table have begun, and not ended. */
  get inRows(): boolean {
    return this.#inRows
  }

  write(chunk: Uint8Array): void {
    let at = 0
    while (at < chunk.length) at = this.#inRows ? this.#skipRows(chunk, at) : this.readOutline(chunk, at)
    this.#offset += chunk.length
  }

  /** @throws MalformedResponse */
  end(): ResponseIndex {
    if (!this.#ended) {
      const start = (this.#outline[0] ?? '{').toString().trimStart()
      if (start !== '' && !start.startsWith('{')) throw new MalformedResponse('the response is not JSON')
      throw new MalformedResponse('the response ends early', { cut: true })
    }
    let outline: unknown
    try {
      outline = parseExactly(Buffer.concat(this.#outline).toString())
    } catch (error) {
      throw new MalformedResponse(`the response is not JSON: ${(error as Error).message}`)
    }
    return describe(outline, this.#tables)
  }

  /** Up to the array of rows or the end of the chunk. Returns where to go on. */
  readOutline(chunk: Uint8Array, from: number): number {
    for (let at = from; at < chunk.length; at++) {
      const byte = chunk[at]!
      if (this.#inString) {
        if (this.#escaped) this.#escaped = false
        else if (byte === backslash) this.#escaped = true
        else if (byte === quote) this.#inString = false
        else if (this.#text.length < keyBytes) this.#text += String.fromCharCode(byte)
      } else if (byte === quote) {
        this.#inString = true
        this.#text = ''
      } else if (byte === colon) {
        if (this.#depth === 1) this.#rootKey = this.#text
        else if (this.#depth === 3) this.#tableKey = this.#text
      } else if (byte === openBracket || byte === openBrace) {
        const isRows =
          byte === openBracket && this.#depth === 3 && this.#rootKey === 'tables' && this.#tableKey === 'rows'
        this.#depth++
        if (isRows) {
          this.#outline.push(Buffer.from(chunk.subarray(from, at + 1)))
          this.#tables.push([])
          this.#inRows = true
          return at + 1
        }
      } else if ((byte === closeBracket || byte === closeBrace) && --this.#depth === 0) this.#ended = true
    }
    this.#outline.push(Buffer.from(chunk.subarray(from)))
    return chunk.length
  }

  /** Up to the end of the rows or of the chunk. The state is kept in locals: this loop sees every byte. */
  #skipRows(chunk: Uint8Array, from: number): number {
    const length = chunk.length
    let inString = this.#inString
    let escaped = this.#escaped
    let depth = this.#rowDepth
    let at = from
    for (; at < length; at++) {
      let byte = chunk[at]!
      if (inString) {
        if (escaped) {
          escaped = false
          continue
        }
        while (byte !== quote && byte !== backslash) {
          if (++at >= length) break
          byte = chunk[at]!
        }
        if (at >= length) break
        if (byte === quote) inString = false
        else escaped = true
        continue
      }
      if (byte === quote) inString = true
      else if (byte === openBracket || byte === openBrace) {
        if (depth === 0) {
          if (byte !== openBracket) throw new MalformedResponse('a row of the response is not an array')
          if (this.#spanStart < 0) this.#spanStart = this.#offset + at
        }
        depth++
        continue
      } else if (byte === closeBracket || byte === closeBrace) {
        if (--depth === 0) this.#endRow(this.#offset + at + 1)
        else if (depth < 0) {
          this.#endRows()
          return at
        }
        continue
      }
      if (depth === 0 && byte > 0x20 && byte !== comma) {
        throw new MalformedResponse('a row of the response is not an array')
      }
    }
    this.#inString = inString
    this.#escaped = escaped
    this.#rowDepth = depth
    return length
  }

  #endRow(end: number): void {
    this.#spanRows++
    if (end - this.#spanStart >= spanBytes || end + 1 === this.#cutAt) this.#closeSpan(end)
    else this.#lastRowEnd = end
  }

  #lastRowEnd = 0

  #closeSpan(end: number): void {
    this.#tables.at(-1)!.push({ start: this.#spanStart, end, rows: this.#spanRows })
    this.#spanStart = -1
    this.#spanRows = 0
  }

  #endRows(): void {
    if (this.#spanRows > 0) this.#closeSpan(this.#lastRowEnd)
    this.#inRows = false
    this.#inString = false
    this.#escaped = false
    this.#rowDepth = 0
  }
}

function describe(outline: unknown, spans: readonly RowSpan[][]): ResponseIndex {
  if (typeof outline !== 'object' || outline === null || Array.isArray(outline)) {
    throw new MalformedResponse('the response is not an object')
  }
  const { tables: given = [], error } = outline as { tables?: unknown; error?: unknown }
  if (!Array.isArray(given)) throw new MalformedResponse('the tables of the response are not a list')
  let next = 0
  let sum = 0
  const tables = given.map((table: unknown): IndexedTable => {
    const { name, columns, rows } = (table ?? {}) as Record<string, unknown>
    if (!Array.isArray(columns) || !columns.every(isColumn)) {
      throw new MalformedResponse('a table of the response has no columns with names and types')
    }
    const own = Array.isArray(rows) ? (spans[next++] ?? []) : []
    const count = own.reduce((count, span) => count + span.rows, 0)
    sum += count
    return { name: typeof name === 'string' ? name : '', columns, spans: own, rows: count }
  })
  return { tables, rows: sum, error: error ?? undefined }
}

function isColumn(column: unknown): column is { name: string; type: string } {
  if (typeof column !== 'object' || column === null) return false
  const { name, type } = column as Record<string, unknown>
  return typeof name === 'string' && typeof type === 'string'
}

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

/**
 * The one place where rows are parsed.
 * @param bytes a JSON array of rows
 * @throws MalformedResponse
 */
export function parseRows(bytes: Buffer): unknown[][] {
  try {
    const json = new JsonBytes(bytes)
    const text = json.text(0, bytes.length)
    const rows = (json.hasLongInteger ? parseExactly(text) : JSON.parse(text)) as unknown[]
    if (!rows.every(Array.isArray)) throw new TypeError('a row is not an array')
    return rows as unknown[][]
  } catch (cause) {
    throw new MalformedResponse('the rows of the answer are not JSON', { cause })
  }
}
