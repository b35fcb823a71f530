import { parseJson } from '../core/exact-json.ts'
import { BadLine, openFile, readNdjson } from './ndjson.ts'
import type { RowSource } from './row-feed.ts'

/** A file of rows, a line of JSON each (`.gz` too). */
export interface InputFile {
  readonly path: string
  /** `dead-letter`: each line is a letter that a dead letter took, and the row is in it. */
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

/** The rows of dead letters. A line that could not be read was kept as text: it may have been mended since. */
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
