import { setImmediate as turn } from 'node:timers/promises'
import { parseJson } from '../../../core/exact-json.ts'

/** Bytes that are parsed at a time: about a millisecond. */
const batchBytes = 65_536

const newline = 0x0a

interface ExportLine {
  readonly preview?: unknown
  readonly result?: Record<string, unknown> | null
}

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
  for await (const piece of wholeLines(chunks)) {
    const results: Record<string, unknown>[] = []
    for (const { preview, result } of parseLines(piece.toString())) {
      if (preview !== true && result !== undefined && result !== null) results.push(result)
    }
    yield results
    // A long answer must not keep everything else in the process waiting.
    await turn()
  }
}

/** Lines of JSON as values. Most pieces are parsed as one array, which is faster than line by line. */
function parseLines(text: string): ExportLine[] {
  try {
    return exact(`[${text.replaceAll('\n', ',')}]`) as ExportLine[]
  } catch {
    // There are empty lines among them.
    const lines = text.split('\n').filter((line) => line.trim() !== '')
    return lines.map((line) => exact(line) as ExportLine)
  }
}

/** Splunk writes numbers as texts. Where something else wrote one that a double can't hold, it is read exactly. */
function exact(text: string): unknown {
  return longNumber.test(text) ? parseJson(text) : JSON.parse(text)
}

const longNumber = /[:,[]\s*-?\d{16}/
