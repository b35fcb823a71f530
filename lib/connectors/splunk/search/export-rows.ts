import { setImmediate as turn } from 'node:timers/promises'
import { JsonBytes } from '../../../core/json-bytes.ts'
import { ExportLine } from './export-line.ts'

/** Bytes that are parsed at a time: about a millisecond. */
const batchBytes = 65_536

const newline = 0x0a

/** Bytes in pieces that end with a line, or at the end of all. */
export async function* wholeLines(
  chunks: AsyncIterable<Buffer>,
  atLeast = batchBytes,
): AsyncGenerator<Buffer> {
  let parts: Buffer[] = []
  for await (const chunk of chunks) {
    let from = 0
    for (;;) {
      const end = chunk.indexOf(newline, from + (parts.length > 0 ? 0 : atLeast))
      if (end < 0) break
      const piece = chunk.subarray(from, end)
      yield parts.length === 0 ? piece : Buffer.concat([...parts, piece])
      parts = []
      from = end + 1
    }
    if (from < chunk.length) parts.push(chunk.subarray(from))
  }
  if (parts.length > 0) yield Buffer.concat(parts)
}

/**
 * The results of an export answer's lines, previews left out, some hundred at a time.
 * @throws SyntaxError where a line is not JSON
 */
export async function* exportedResults(
  chunks: AsyncIterable<Buffer>,
): AsyncGenerator<Record<string, unknown>[]> {
  const line = new ExportLine()
  for await (const piece of wholeLines(chunks)) {
    const json = new JsonBytes(piece)
    const results: Record<string, unknown>[] = []
    for (let start = 0; start < piece.length; ) {
      const found = piece.indexOf(newline, start)
      const end = found < 0 ? piece.length : found
      if (line.read(piece, start, end)) {
        if (!line.isPreview) results.push(json.parse(line.start, line.end) as Record<string, unknown>)
      } else {
        const result = parsedResult(json, start, end)
        if (result) results.push(result)
      }
      start = end + 1
    }
    yield results
    // A long answer must not keep everything else in the process waiting.
    await turn()
  }
}

/** The result of a line of any form, if it has one that counts. */
function parsedResult(json: JsonBytes, start: number, end: number): Record<string, unknown> | undefined {
  if (json.text(start, end).trim() === '') return undefined
  const { preview, result } = json.parse(start, end) as {
    readonly preview?: unknown
    readonly result?: Record<string, unknown> | null
  }
  return preview === true ? undefined : (result ?? undefined)
}
