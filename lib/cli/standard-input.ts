import { type BadLine, readNdjson } from './ndjson.ts'
import type { RowSource } from './row-feed.ts'

/** Rows from standard input, NDJSON. */
export function standardInput(onBadLine?: (bad: BadLine) => void | Promise<void>): RowSource {
  const rows = readNdjson(process.stdin, onBadLine)
  return {
    [Symbol.asyncIterator]: () => rows,
    destroy: () => process.stdin.destroy(),
  }
}
