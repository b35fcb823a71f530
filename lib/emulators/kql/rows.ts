import type { Cell, Column } from '../log-analytics-cells.ts'

/** A row on its way through a query. */
export interface Row {
  readonly cells: readonly Cell[]
  /** When it was taken in, in ticks. */
  readonly ingested: bigint | null
  /** Of a row at rest: its JSON, once it was written. */
  json?: string | undefined
}

/** Columns, and rows that are worked out as they are asked for. */
export interface Result {
  columns: readonly Column[]
  rows: Iterable<Row>
}

/** Rows that can be asked for more than once, as a `let` table may be. */
export function lazily(rows: () => Iterable<Row>): Iterable<Row> {
  return { [Symbol.iterator]: () => rows()[Symbol.iterator]() }
}
