import { setImmediate as turn } from 'node:timers/promises'
import { type Block, blocksOf, joined, lineScanner } from '../../../core/blocks.ts'
import { jsonObject } from '../../../core/json.ts'
import { JsonBytes } from '../../../core/json-bytes.ts'
import { onAbort } from '../../../core/on-abort.ts'
import type { HttpStream } from '../../../http/client.ts'
import { headerOf } from '../../../http/response.ts'
import { HeldBody } from '../../../source/held-body.ts'
import { isGzip } from '../../../source/packed.ts'
import { messagesIn, type SplunkMessage } from './messages.ts'

/** Maximum size of one result, in bytes: a longer line is no answer of Splunk. */
export const longestResult = 64_000_000

/** Minimum bytes of results parsed at once: about a millisecond of work. */
export const batchBytes = 32_768

/** Summary of the lines of an export answer. */
export interface ExportSummary {
  /** Number of rows, without previews. */
  readonly rows: number
  /** Whether the last line, previews aside, is marked as the last one. */
  readonly ended: boolean
  /** Messages of all lines, without duplicates. */
  readonly messages: readonly SplunkMessage[]
  /** Start of the last line if it is incomplete: the answer was cut there. */
  readonly torn: string | undefined
  /** Start of a whole line that is not JSON. */
  readonly garbled: string | undefined
}

/** A line of an answer exceeds {@link longestResult}. */
export class LineTooLong extends Error {
  override name = 'LineTooLong'
  constructor() {
    super(`a line of the answer is longer than ${longestResult} bytes`)
  }
}

/** A received export answer: its bytes and a summary of its lines. */
export class ExportAnswer {
  readonly summary: ExportSummary
  readonly #held: HeldBody

  private constructor(held: HeldBody, summary: ExportSummary) {
    this.#held = held
    this.summary = summary
  }

  /**
   * Receives a body. On failure it closes the connection and holds nothing.
   * @param memory maximum bytes held in memory, see {@link HeldBody}
   * @throws LineTooLong, Error of the connection, of zlib or of the file system; AbortError
   */
  static async receive(response: HttpStream, memory: number, signal: AbortSignal): Promise<ExportAnswer> {
    const { body } = response
    const held = new HeldBody({ memory })
    const ignore = onAbort(signal, () => body.destroy(signal.reason))
    try {
      const isPacked = isGzip(headerOf(response, 'content-encoding'))
      return new ExportAnswer(held, await summaryOf(held.receive(body, { isPacked })))
    } catch (error) {
      held.release()
      signal.throwIfAborted()
      throw error
    } finally {
      ignore()
      body.destroy()
    }
  }

  get bytes(): number {
    return this.#held.bytes
  }

  /** Its results, previews left out. @throws SyntaxError */
  results(): AsyncGenerator<Record<string, unknown>[]> {
    return exportedResults(this.#held.text())
  }

  release(): void {
    this.#held.release()
  }
}

/** Blocks of whole lines. @throws LineTooLong */
async function* linesOf(text: AsyncIterable<Buffer>): AsyncGenerator<Block> {
  for await (const block of blocksOf(text, lineScanner, 0, longestResult)) {
    if (block.isTooLong) throw new LineTooLong()
    yield block
  }
}

/**
 * The results of an export answer's lines, previews left out, some hundred at a time.
 * @throws SyntaxError if a line is not JSON
 */
export async function* exportedResults(
  text: AsyncIterable<Buffer>,
): AsyncGenerator<Record<string, unknown>[]> {
  const line = new ExportLine()
  for await (const { bytes } of joined(linesOf(text), batchBytes)) {
    const json = new JsonBytes(bytes)
    const results: Record<string, unknown>[] = []
    for (let start = 0; start < bytes.length; ) {
      const end = lineEnd(bytes, start)
      if (line.read(bytes, start, end)) {
        if (!line.isPreview) results.push(json.parse(line.start, line.end) as Record<string, unknown>)
      } else {
        const result = parsedResult(json, start, end)
        if (result) results.push(result)
      }
      start = end + 1
    }
    if (results.length > 0) yield results
    // A long answer must not keep everything else in the process waiting.
    await turn()
  }
}

/** The result of a line of any form; undefined for previews and lines without one. */
function parsedResult(json: JsonBytes, start: number, end: number): Record<string, unknown> | undefined {
  if (json.text(start, end).trim() === '') return undefined
  const { preview, result } = json.parse(start, end) as {
    readonly preview?: unknown
    readonly result?: Record<string, unknown> | null
  }
  return preview === true ? undefined : (result ?? undefined)
}

function lineEnd(bytes: Buffer, start: number): number {
  const end = bytes.indexOf(newline, start)
  return end < 0 ? bytes.length : end
}

const [newline, carriageReturn, zero, nine, brace] = [0x0a, 0x0d, 0x30, 0x39, 0x7d]
const wholeStart = Buffer.from('{"preview":false,"offset":')
const previewStart = Buffer.from('{"preview":true,"offset":')
const last = Buffer.from(',"lastrow":true')
const result = Buffer.from(',"result":')
const resultStart = Buffer.from(',"result":{')

/**
 * A line of an export answer, recognised by its first and last bytes without parsing: nearly all lines are
 * `{"preview":false,"offset":7,"result":{…}}`, the last one with `"lastrow":true`. One object serves many lines.
 */
class ExportLine {
  isPreview = false
  isLast = false
  /** Position of its result. */
  start = 0
  end = 0

  /** @returns whether the line has that form; any other line must be parsed */
  read(bytes: Buffer, from: number, to: number): boolean {
    this.isPreview = !starts(bytes, from, to, wholeStart)
    if (this.isPreview && !starts(bytes, from, to, previewStart)) return false
    let at = from + (this.isPreview ? previewStart : wholeStart).length
    while (bytes[at]! >= zero && bytes[at]! <= nine) at++
    this.isLast = starts(bytes, at, to, last)
    if (this.isLast) at += last.length
    this.start = at + result.length
    this.end = to - 1
    return starts(bytes, at, to, resultStart) && bytes[to - 1] === brace && bytes[to - 2] === brace
  }
}

function starts(bytes: Buffer, start: number, end: number, head: Buffer): boolean {
  if (start + head.length > end) return false
  for (let at = 0; at < head.length; at++) if (bytes[start + at] !== head[at]) return false
  return true
}

/** Bytes of a line kept for an error: more than it shows, so that secrets are redacted before cutting. */
const longestQuote = 10_000

/** Maximum messages kept of one answer: a search over many peers may repeat them. */
const mostMessages = 100

/**
 * Reads the lines of an export answer as they come, to decide whether it is complete. Nearly all have the form of an
 * {@link ExportLine}; the others are parsed.
 * @throws LineTooLong
 */
export async function summaryOf(text: AsyncIterable<Buffer>): Promise<ExportSummary> {
  const line = new ExportLine()
  const messages = new Map<string, SplunkMessage>()
  let [rows, ended] = [0, false]
  let garbled: string | undefined
  let torn: string | undefined
  for await (const { bytes, isLast } of linesOf(text)) {
    for (let start = 0; start < bytes.length; ) {
      const found = lineEnd(bytes, start)
      const end = bytes[found - 1] === carriageReturn ? found - 1 : found
      if (line.read(bytes, start, end)) {
        if (!line.isPreview) {
          rows++
          ended = line.isLast
        }
      } else if (bytes.toString('utf8', start, end).trim() !== '') {
        const members = jsonObject(bytes.toString('utf8', start, end))
        if (!members) {
          const quote = bytes.toString('utf8', start, Math.min(end, start + longestQuote))
          if (isLast && found === bytes.length) torn = quote
          else garbled ??= quote
        }
        for (const message of messagesIn(members)) {
          if (messages.size < mostMessages) messages.set(`${message.type} ${message.text}`, message)
        }
        const { preview, lastrow, result } = members ?? {}
        const isRow = result !== undefined && result !== null
        if (preview !== true && isRow) rows++
        if (preview !== true && (isRow || lastrow === true)) ended = lastrow === true
      }
      start = found + 1
    }
  }
  return { rows, ended, messages: [...messages.values()], torn, garbled }
}
