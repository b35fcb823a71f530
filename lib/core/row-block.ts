/**
 * Rows that go through streams as one chunk, where nothing between source and sink looks at a single one: the steps of
 * Node's streams then cost once a block. The command writes them, and every sink of this package accepts them.
 */
export class RowBlock {
  readonly rows: readonly unknown[]

  constructor(rows: readonly unknown[]) {
    this.rows = rows
  }
}

/** The rows of a stream's chunk. */
export function rowsOfChunk(chunk: unknown): readonly unknown[] {
  return chunk instanceof RowBlock ? chunk.rows : [chunk]
}
