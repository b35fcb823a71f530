import type { Readable } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import { blocksOf, joined, type Scanner } from '../../core/blocks.ts'
import { ConnectorError } from '../../core/errors.ts'
import { parseElements } from '../../core/json-bytes.ts'
import { JsonOutline, JsonScanner, MalformedJson, type OutlineForm } from '../../core/json-scanner.ts'
import { onAbort } from '../../core/on-abort.ts'
import { longestTimer } from '../../core/retry.ts'
import { HeldBody } from '../../source/held-body.ts'
import { connectorName } from './options.ts'

/** A table of an answer. */
export interface AnswerTable {
  readonly name: string
  readonly columns: readonly { readonly name: string; readonly type: string }[]
  /** Positions of its rows in the answer's text. */
  readonly start: number
  readonly end: number
  /** Undefined if not counted: there are fewer than the limit. */
  readonly rows: number | undefined
}

/** The service went silent in the middle of a body. */
export class StalledBody extends Error {
  override name = 'TimeoutError'
  readonly code = 'ETIMEDOUT'
  constructor(seconds: number) {
    super(`no byte of the answer came for ${seconds} s`)
  }
}

/** Above the size of any row: at most 500 columns, and 64 KiB a string cell. */
const longestRow = 64_000_000

/** Far above the service's limit of 100 MiB: stops an answer that never ends. */
const longestAnswer = 1_000_000_000

/** Minimum bytes of rows parsed at once: about a millisecond of work. */
const batchBytes = 32_768

/** Maximum distance to a guessed end of a row, in bytes; beyond it the exact scanner takes over. */
const longestGuess = 4 * batchBytes

/** `{"tables":[{"name":…,"columns":[{"name":…,"type":…}],"rows":[[…],[…]]}],…,"error":{…}}` */
const form: OutlineForm = { path: ['tables', '*', 'rows'], elements: 'arrays', limit: longestRow }

export interface ReceiveSettings {
  /** Maximum pause within the answer, in seconds. */
  readonly stall_timeout: number
  /** Maximum bytes held in memory; see {@link HeldBody}. */
  readonly held_bytes: number
  /** Number of rows from which an exact count is needed. */
  readonly rowLimit?: number
}

/** A complete answer of status 200: its bytes as received (best compressed), and where its rows are. */
export class WholeAnswer {
  readonly tables: readonly AnswerTable[]
  /** The service's error at the end of an incomplete result. */
  readonly error: unknown
  readonly #held: HeldBody

  private constructor(held: HeldBody, { tables, error }: Contents) {
    this.#held = held
    this.tables = tables
    this.error = error
  }

  /** For an answer without data. */
  static get empty(): WholeAnswer {
    return new WholeAnswer(new HeldBody({ memory: 0 }), { tables: [], error: undefined })
  }

  /**
   * Receives a whole body. On failure it closes the connection and holds nothing.
   * @throws StalledBody, MalformedJson, Error with the code of a connection fault or of zlib; AbortError
   */
  static async receive(
    { body, gzip }: { readonly body: Readable; readonly gzip: boolean },
    { stall_timeout, held_bytes, rowLimit = Number.POSITIVE_INFINITY }: ReceiveSettings,
    signal: AbortSignal,
  ): Promise<WholeAnswer> {
    const held = new HeldBody({ memory: held_bytes })
    const ignore = onAbort(signal, () => body.destroy(signal.reason))
    try {
      const look = new QuickLook(rowLimit)
      for await (const text of held.receive(watched(body, stall_timeout), { isPacked: gzip }))
        look.write(text)
      const found = look.end() ?? (await contentsOf(held.text()))
      return new WholeAnswer(held, found)
    } catch (error) {
      held.release()
      signal.throwIfAborted()
      throw error
    } finally {
      ignore()
      body.destroy()
    }
  }

  /** Bytes on the wire. */
  get bytes(): number {
    return this.#held.bytes
  }

  /** Rows of all tables; undefined if they were not counted. */
  get rowCount(): number | undefined {
    let sum: number | undefined = 0
    for (const { rows } of this.tables) sum = rows === undefined || sum === undefined ? undefined : sum + rows
    return sum
  }

  /**
   * The rows of one of its tables, as arrays of cells, some hundred at a time.
   *
   * Fast path: cuts where a row seems to end. A wrong guess fails to parse; from there a JSON scanner finds the ends.
   * @throws ConnectorError with ERR_RESULT if they are not JSON
   */
  async *rows({ start, end }: AnswerTable): AsyncGenerator<unknown[][]> {
    let from = start
    let cause: unknown
    for (const [scanner, limit] of [
      [rowEnds, longestGuess],
      [new JsonScanner(true), longestRow],
    ] as const) {
      try {
        const blocks = blocksOf(this.#held.text(from, end), scanner, from, limit)
        for await (const block of joined(blocks, batchBytes)) {
          const rows = parsedRows(block)
          from = block.offset + block.bytes.length
          if (rows.length > 0) yield rows
          // A long answer must not keep everything else in the process waiting.
          await turn()
        }
        return
      } catch (error) {
        if (!(error instanceof SyntaxError)) throw error
        cause = error
      }
    }
    const message = `${connectorName}: the rows of the answer are not JSON`
    throw new ConnectorError('ERR_RESULT', message, { connector: connectorName, cause })
  }

  /** Frees what is held. */
  release(): void {
    this.#held.release()
  }
}

/** The bytes of a body. Destroys it with an error if none comes for some seconds. */
async function* watched(body: Readable, seconds: number): AsyncGenerator<Buffer> {
  const timer = setTimeout(
    () => body.destroy(new StalledBody(seconds)),
    Math.min(seconds * 1000, longestTimer),
  )
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      timer.refresh()
      yield chunk
    }
  } finally {
    clearTimeout(timer)
  }
}

/** Separates two rows, and hardly ever occurs within one. */
const betweenRows = Buffer.from('],[')

/** Guesses where rows end: several times as fast as reading every byte. */
const rowEnds: Scanner = {
  scan(bytes) {
    const last = bytes.lastIndexOf(betweenRows)
    return last < 0 ? undefined : { first: bytes.indexOf(betweenRows) + 2, last: last + 2 }
  },
}

/** The one place where rows are parsed. @throws SyntaxError */
function parsedRows({ bytes, isTooLong }: { bytes: Buffer; isTooLong: boolean }): unknown[][] {
  if (isTooLong) throw new SyntaxError('a row is too long')
  const rows = parseElements(bytes)
  if (!rows.every(Array.isArray)) throw new SyntaxError('a row is not an array')
  return rows as unknown[][]
}

interface Contents {
  readonly tables: readonly AnswerTable[]
  readonly error: unknown
}

/** @throws MalformedJson */
async function contentsOf(text: AsyncIterable<Buffer>): Promise<Contents> {
  const outline = new JsonOutline(form)
  for await (const chunk of text) {
    outline.write(chunk)
    await turn()
  }
  return described(outline)
}

/** @throws MalformedJson */
function described(outline: JsonOutline): Contents {
  const { document, arrays } = outline.end()
  const { tables = [], error = null } = document
  if (!Array.isArray(tables)) throw new MalformedJson('the tables of the answer are not a list')
  let next = 0
  const found = tables.map((table: unknown): AnswerTable => {
    const { name, columns, rows } = (table ?? {}) as Record<string, unknown>
    if (!Array.isArray(columns) || !columns.every(isColumn)) {
      throw new MalformedJson('a table of the answer has no columns with names and types')
    }
    const { start, end, count } = Array.isArray(rows) ? arrays[next++]! : { start: 0, end: 0, count: 0 }
    return { name: typeof name === 'string' ? name : '', columns, start, end, rows: count }
  })
  return { tables: found, error: error ?? undefined }
}

function isColumn(column: unknown): column is { name: string; type: string } {
  if (typeof column !== 'object' || column === null) return false
  const { name, type } = column as Record<string, unknown>
  return typeof name === 'string' && typeof type === 'string'
}

const [closeBracket, comma, quote] = [0x5d, 0x2c, 0x22]

/** The end of an answer with one table and nothing after its rows; and the part of it after the last row. */
const plainEnd = ']]}]}'
const behindRows = Buffer.from(plainEnd.slice(1))

/**
 * Fast check of an answer as it comes. Nearly all answers are one table with nothing after its rows; such an answer is
 * complete and reports no error. Looking only at closing brackets takes a tenth of the time of reading every byte.
 */
class QuickLook {
  /** Reads what is before the rows. */
  readonly #head = new JsonOutline(form)
  readonly #rowLimit: number
  #offset = 0
  /** Position of the first row. */
  #start = -1
  /** Brackets that may end a row: an upper bound of the rows. */
  #brackets = 0
  /** Bytes since the last one, about. */
  #sinceBracket = 0
  /** Something after the rows may be neither a row nor the end. */
  #isOdd = false
  /** The last bytes, whose brackets are not counted yet. */
  #last: Buffer = Buffer.alloc(0)

  constructor(rowLimit: number) {
    this.#rowLimit = rowLimit
  }

  /** @throws MalformedJson */
  write(chunk: Buffer): void {
    let from = 0
    if (this.#start < 0) {
      from = this.#head.head(chunk, 0)
      if (this.#head.isInside) this.#start = this.#offset + from
    }
    this.#offset += chunk.length
    this.#sinceBracket += chunk.length
    if (this.#offset > longestAnswer || (this.#start >= 0 && this.#sinceBracket > longestRow))
      throw new MalformedJson('the answer, or a row of it, is too long')
    if (this.#start >= 0 && !this.#isOdd) this.#look(chunk.subarray(from))
  }

  /** The contents; undefined if they need a read of every byte. @throws MalformedJson */
  end(): Contents | undefined {
    const isPlain = !this.#isOdd && this.#last.toString('latin1') === plainEnd
    if (!isPlain || this.#brackets + plainEnd.length >= this.#rowLimit) return undefined
    this.#head.write(behindRows)
    const { tables, error } = described(this.#head)
    const [table] = tables
    if (tables.length !== 1 || !table) return undefined
    const { name, columns } = table
    const end = this.#offset - behindRows.length
    return { tables: [{ name, columns, start: this.#start, end, rows: undefined }], error }
  }

  /** Leaves out the last few bytes: counting needs the bytes after a bracket. */
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
      this.#sinceBracket = 0
      // No name follows a row, so this is another table or other members.
      if (bytes[at + 1] === comma && bytes[at + 2] === quote) this.#isOdd = true
    }
  }
}
