import { Readable, Writable } from 'node:stream'
import { finished, pipeline } from 'node:stream/promises'
import { setImmediate as turn } from 'node:timers/promises'
import { createGunzip, type Gunzip } from 'node:zlib'
import { ConnectorError } from '../../core/errors.ts'
import { longestTimer } from '../../core/retry.ts'
import { connectorName } from './options.ts'
import type { QueryAnswer } from './query-client.ts'
import {
  behindRows,
  type IndexedTable,
  MalformedResponse,
  parseRows,
  type ResponseIndex,
  ResponseIndexer,
  ResponseSurvey,
  type RowSpan,
  spanBytes,
} from './response-index.ts'

/** Bytes in pieces, that lie there or come. */
type Pieces = AsyncIterable<Buffer> | Iterable<Buffer>

/** With smaller ones more time goes into handing over than into unpacking. */
const gunzipOptions = { chunkSize: 262_144 }

/**
 * Packed bytes are kept in pieces of about so many: a few large ones are unpacked faster than many small ones. Larger
 * still, and the C library's allocator keeps more memory for itself the longer it runs.
 */
const pieceBytes = 131_072

/** What is between two rows, and hardly ever within one. */
const betweenRows = Buffer.from('],[')

const [open, close] = [Buffer.from('['), Buffer.from(']')]

/** Where so many bytes have nothing between two rows, rows are so long, or written so, that each end has to be found. */
const longestSearch = 16 * spanBytes

/** The service went silent in the middle of a body. */
export class StalledBody extends Error {
  override name = 'TimeoutError'
  readonly code = 'ETIMEDOUT'
  constructor(seconds: number) {
    super(`no byte of the answer came for ${seconds} s`)
  }
}

/** A response that came in whole: its bytes as they came on the wire, best compressed, and where its rows are. */
export class WholeResponse {
  readonly index: ResponseIndex
  /** Bytes held. */
  readonly bytes: number
  readonly #chunks: readonly Buffer[]
  readonly #gzip: boolean
  /** Where the rows begin of a table without spans. */
  readonly #start: number

  private constructor(chunks: readonly Buffer[], gzip: boolean, index: ResponseIndex, start = 0) {
    this.#chunks = chunks
    this.#gzip = gzip
    this.index = index
    this.#start = start
    this.bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0)
  }

  /** What a service without data answers. */
  static get empty(): WholeResponse {
    return new WholeResponse([], false, { tables: [], rows: 0, error: undefined })
  }

  /**
   * Takes in a whole body. Its connection is closed where that fails.
   * @param stallTimeout seconds without a byte after which it is given up
   * @param rowLimit how many rows are so many that they have to be counted
   * @throws StalledBody, MalformedResponse, Error with the code of a connection fault or of zlib; AbortError
   */
  static async receive(
    { body, gzip }: QueryAnswer,
    stallTimeout: number,
    signal: AbortSignal,
    rowLimit = Number.POSITIVE_INFINITY,
  ): Promise<WholeResponse> {
    const chunks: Buffer[] = []
    let piece: Buffer[] = []
    let size = 0
    const keepPiece = () => {
      chunks.push(piece.length === 1 ? piece[0]! : Buffer.concat(piece))
      piece = []
      size = 0
    }
    const survey = new ResponseSurvey(rowLimit)
    const timer = setTimeout(
      () => body!.destroy(new StalledBody(stallTimeout)),
      Math.min(stallTimeout * 1000, longestTimer),
    )
    body!.on('data', (chunk: Buffer) => {
      timer.refresh()
      piece.push(chunk)
      size += chunk.length
      if (!gzip) survey.write(chunk)
      if (!gzip || size >= pieceBytes) keepPiece()
    })
    try {
      if (gzip) await pipeline(body!, createGunzip(gunzipOptions), surveyor(survey), { signal })
      else await finished(body!, { signal })
    } finally {
      clearTimeout(timer)
      body!.destroy()
    }
    if (size > 0) keepPiece()
    const found = survey.end()
    if (found) return new WholeResponse(chunks, gzip, found.index, found.start)
    return new WholeResponse(chunks, gzip, await indexOf(unpacked(chunks, gzip)))
  }

  /**
   * The rows of one of its tables, as arrays of cells, some hundred at a time.
   * @param atLeast bytes that are parsed at a time
   * @throws ConnectorError with ERR_RESULT where they are not JSON
   */
  async *rows({ spans }: IndexedTable, atLeast = spanBytes): AsyncGenerator<unknown[][]> {
    try {
      if (spans) for await (const { array } of this.arrays(spans)) yield parseRows(array)
      else yield* this.#found(atLeast)
    } catch (error) {
      if (!(error instanceof MalformedResponse)) throw error
      const message = `${connectorName}: ${error.message}`
      throw new ConnectorError('ERR_RESULT', message, { connector: connectorName, cause: error })
    }
  }

  /**
   * Rows whose ends are guessed: a text that is cut anywhere else than behind a row can't be parsed, so that a wrong
   * guess is found out. Then the ends are looked for.
   */
  async *#found(atLeast: number): AsyncGenerator<unknown[][]> {
    let start = this.#start
    try {
      for await (const { array, next } of guessed(this.#plain(), start, atLeast)) {
        yield parseRows(array)
        start = next
      }
      return
    } catch (error) {
      if (!(error instanceof MalformedResponse)) throw error
    }
    const { tables, error } = await indexOf(this.#plain(), start)
    if (tables.length !== 1 || error !== undefined)
      throw new MalformedResponse('the answer has something behind its rows')
    const left = tables[0]!.spans!.filter((span) => span.start >= start)
    for await (const { array } of this.arrays(left)) yield parseRows(array)
  }

  /** The spans, one after the other, each as a JSON array of rows. */
  async *arrays(spans: readonly RowSpan[]): AsyncGenerator<{ span: RowSpan; array: Buffer }> {
    if (spans.length === 0) return
    yield* cut(this.#plain(), spans)
  }

  #plain(): Pieces {
    return unpacked(this.#chunks, this.#gzip)
  }
}

function unpacked(chunks: readonly Buffer[], gzip: boolean): Pieces {
  if (!gzip) return chunks
  const wire = Readable.from(chunks, { objectMode: true })
  const gunzip: Gunzip = createGunzip(gunzipOptions)
  gunzip.once('close', () => wire.destroy())
  return wire.pipe(gunzip)
}

function surveyor(survey: ResponseSurvey): Writable {
  return new Writable({
    write(chunk: Buffer, _encoding, callback) {
      survey.write(chunk)
      callback()
    },
  })
}

/** @throws MalformedResponse */
async function indexOf(source: Pieces, cutAt?: number): Promise<ResponseIndex> {
  const indexer = new ResponseIndexer(cutAt)
  for await (const chunk of source) {
    indexer.write(chunk)
    await turn()
  }
  return indexer.end()
}

/** JSON arrays of rows, cut where one seems to end, each with where the next row begins. */
async function* guessed(
  source: Pieces,
  start: number,
  atLeast: number,
): AsyncGenerator<{ array: Buffer; next: number }> {
  let offset = 0
  let parts: Buffer[] = []
  let size = 0
  for await (const chunk of source) {
    let from = Math.min(chunk.length, Math.max(0, start - offset))
    for (;;) {
      const end = chunk.indexOf(betweenRows, from + Math.max(0, atLeast - size))
      if (end < 0) break
      parts.push(chunk.subarray(from, end + 1))
      from = end + 2
      yield { array: arrayOf(parts), next: offset + from }
      parts = []
      size = 0
      await turn()
    }
    parts.push(chunk.subarray(from))
    size += chunk.length - from
    offset += chunk.length
    if (size > longestSearch) throw new MalformedResponse('no end of a row is found')
  }
  const rest = Buffer.concat(parts)
  yield { array: arrayOf([rest.subarray(0, -behindRows.length)]), next: offset }
  await turn()
}

async function* cut(
  source: Pieces,
  spans: readonly RowSpan[],
): AsyncGenerator<{ span: RowSpan; array: Buffer }> {
  let next = 0
  let offset = 0
  let parts: Buffer[] = []
  for await (const chunk of source) {
    while (next < spans.length) {
      const span = spans[next]!
      if (span.start >= offset + chunk.length) break
      parts.push(chunk.subarray(Math.max(0, span.start - offset), span.end - offset))
      if (span.end > offset + chunk.length) break
      yield { span, array: arrayOf(parts) }
      parts = []
      next++
      // A long answer must not keep everything else in the process waiting.
      await turn()
    }
    offset += chunk.length
    if (next >= spans.length) return
  }
}

function arrayOf(rows: readonly Buffer[]): Buffer {
  return Buffer.concat([open, ...rows, close])
}
