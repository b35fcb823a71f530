import { isUtf8 } from 'node:buffer'
import { createReadStream } from 'node:fs'
import { type Readable, Writable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { formatLike } from '../connectors/files/line-formats.ts'
import { blocksOf, lineScanner } from '../core/blocks.ts'
import { DeliveryError } from '../core/errors.ts'
import { parseJson } from '../core/exact-json.ts'
import { serialize } from '../core/json.ts'
import { DeadLetterOffice } from '../sink/dead-letter.ts'
import { noStats, type SinkStats } from '../sink/events.ts'
import { writeOut } from './failures.ts'

/** A line that is no record. The message has its number and does not quote it. */
export class BadLine extends Error {
  override name = 'BadLine'
  /** Counts from 1. */
  readonly line: number
  readonly text: string
  constructor(line: number, text: string, problem: string) {
    super(`line ${line} ${problem}`)
    this.line = line
    this.text = text
  }
}

/** Parses NDJSON. Integers beyond 2^53 become bigint. Blank lines are skipped. A line of more than 64 MB is a bad line. */
export async function* readNdjson(
  bytes: AsyncIterable<Buffer>,
  onBadLine: (bad: BadLine) => void | Promise<void> = (bad) => {
    throw bad
  },
): AsyncGenerator<Record<string, unknown>> {
  let number = 0
  let isStart = true
  for await (const { bytes: line, isTooLong } of lines(bytes)) {
    number++
    if (isTooLong) {
      await onBadLine(new BadLine(number, line.toString(), `is longer than ${longestLine} bytes`))
      continue
    }
    // Programs on Windows write a byte order mark.
    const text = number === 1 ? line.toString().replace(/^\ufeff/, '') : line.toString()
    if (text.trim() === '') continue
    // Decoding would silently replace the invalid bytes.
    if (!isUtf8(line)) {
      await onBadLine(new BadLine(number, text, 'is not UTF-8'))
      continue
    }
    const isFirst = isStart
    isStart = false
    let record: unknown
    try {
      record = parseJson(text)
    } catch {
      await onBadLine(new BadLine(number, text, `is not JSON${isFirst ? otherFormat(text) : ''}`))
      continue
    }
    if (typeof record !== 'object' || record === null || Array.isArray(record)) {
      const other = isFirst ? otherFormat(text) : ''
      await onBadLine(new BadLine(number, text, `is JSON, but not an object${other}`))
      continue
    }
    yield record as Record<string, unknown>
  }
}

/** What the first line looks like, if it is another format, and how to read that: only files have formats. */
function otherFormat(line: string): string {
  const like = formatLike(line)
  if (!like) return ''
  const flags = Object.entries(like.options).map(
    ([name, value]) =>
      `--${name.replaceAll('_', '-')} ${/^\w+$/.test(value) ? value : `'${JSON.stringify(value).slice(1, -1)}'`}`,
  )
  return `: it looks like ${like.what}, and NDJSON is expected here. Save it as a file for copy --from FILE ${flags.join(' ')}`
}

const newline = 10

/** Bytes of the longest line: a stream without line feeds must not fill the memory. */
const longestLine = 64_000_000

interface Line {
  readonly bytes: Buffer
  /** It exceeds {@link longestLine}; these are only its first bytes. */
  readonly isTooLong: boolean
}

async function* lines(bytes: AsyncIterable<Buffer>): AsyncGenerator<Line> {
  for await (const block of blocksOf(bytes, lineScanner, 0, longestLine)) {
    if (block.isTooLong) yield block
    else
      for (let from = 0; from < block.bytes.length; ) {
        const end = block.bytes.indexOf(newline, from)
        const to = end < 0 ? block.bytes.length : end
        yield { bytes: block.bytes.subarray(from, to), isTooLong: false }
        from = to + 1
      }
  }
}

/** The bytes of a file; a name that ends in .gz is unzipped. */
export function openFile(path: string): Readable {
  const file = createReadStream(path)
  return path.endsWith('.gz') ? file.compose(createGunzip()) : file
}

/** A source of rows: any object-mode Readable, standard input, or a file. */
export interface RowSource extends AsyncIterable<unknown> {
  destroy(): unknown
}

/** A file of rows, one line of JSON each; `.gz` is unzipped. */
export interface InputFile {
  readonly path: string
  /** `dead-letter`: each line is an entry of a dead letter file, which contains the row. */
  readonly rows: 'plain' | 'dead-letter'
}

/** Rows from a file. */
export function fileInput(
  { path, rows }: InputFile,
  onBadLine?: (bad: BadLine) => void | Promise<void>,
): RowSource {
  const bytes = openFile(path)
  const records = readNdjson(bytes, onBadLine)
  const all = rows === 'plain' ? records : lettersOf(records)
  return { [Symbol.asyncIterator]: () => all, destroy: () => bytes.destroy() }
}

/** The rows of dead letters. The row of an unreadable line is a string, which the user may have fixed since. */
async function* lettersOf(letters: AsyncIterable<Record<string, unknown>>): AsyncGenerator<unknown> {
  let number = 0
  for await (const { row } of letters) {
    number++
    const value = typeof row === 'string' ? parsed(row) : row
    if (typeof value !== 'object' || value === null)
      throw new BadLine(number, '', 'is no dead letter with a row')
    yield value
  }
}

function parsed(text: string): unknown {
  try {
    return parseJson(text)
  } catch {
    return undefined
  }
}

/** Rows from standard input, NDJSON. */
export function standardInput(onBadLine?: (bad: BadLine) => void | Promise<void>): RowSource {
  const rows = readNdjson(process.stdin, onBadLine)
  return {
    [Symbol.asyncIterator]: () => rows,
    destroy: () => process.stdin.destroy(),
  }
}

/** The reader of standard output has closed it, as `head` does. The run ends without a failure. */
export class ReaderGone extends Error {
  override name = 'ReaderGone'
}

/** Writes rows to standard output, NDJSON. A row is delivered once the operating system has accepted it. */
export class StandardOutput extends Writable {
  readonly stats: SinkStats = noStats()
  readonly #deadLetter: DeadLetterOffice | undefined

  constructor({ dead_letter }: { dead_letter?: Writable | undefined } = {}) {
    super({ objectMode: true, highWaterMark: 500 })
    this.#deadLetter = dead_letter && new DeadLetterOffice(dead_letter)
  }

  override _write(row: unknown, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    this._writev([{ chunk: row }], callback)
  }

  override _writev(rows: { chunk: unknown }[], callback: (error?: Error | null) => void): void {
    this.#print(rows.map(({ chunk }) => chunk)).then(() => callback(), callback)
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#deadLetter?.close()
    callback(error)
  }

  async #print(rows: readonly unknown[]): Promise<void> {
    this.stats.written += rows.length
    let text = ''
    let count = 0
    for (const row of rows) {
      try {
        text += `${serialize(row)}\n`
        count++
      } catch (problem) {
        // Write the rows before it first: order holds, and none is lost with it.
        await this.#put(text, count)
        text = ''
        count = 0
        await this.#refuse(row, (problem as Error).message)
      }
    }
    await this.#put(text, count)
  }

  async #put(text: string, rows: number): Promise<void> {
    if (rows === 0) return
    await new Promise<void>((resolve, reject) => {
      // JSON leaves control characters above 0x7f as they are.
      writeOut(text, (error) => (error ? reject(error) : resolve()))
    }).catch((error: NodeJS.ErrnoException) => {
      const gone = error.code === 'EPIPE' || error.code === 'ERR_STREAM_DESTROYED'
      throw gone ? new ReaderGone('standard output is closed') : error
    })
    this.stats.delivered += rows
    this.stats.bytes += Buffer.byteLength(text)
  }

  async #refuse(row: unknown, problem: string): Promise<void> {
    const reason = { code: 'ERR_ROW', text: problem }
    if (!this.#deadLetter) {
      throw new DeliveryError('ERR_ROW', `a row can't be written: ${problem}`, { rows: [row] })
    }
    await this.#deadLetter.take({ row, connector: '-', reason, at: new Date().toISOString() })
    this.stats.rejected++
  }
}
