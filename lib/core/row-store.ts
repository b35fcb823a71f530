import type { EncodedRow, Entry } from './sink-protocol.ts'

/** Bytes left before each row and after the last, for what goes between rows and around them. */
const gap = 1

/** Above this many UTF-16 units it pays to count the bytes of a text before room is made for it. */
const longText = 4096

/**
 * The rows of one batch as bytes, one behind the other. As texts they would be copied again and again by V8's collector
 * while they wait to be sent, and once more to be sent.
 */
export class RowStore {
  #bytes: Buffer
  #used = gap

  /** @param size bytes that are likely to be needed */
  constructor(size: number) {
    this.#bytes = Buffer.allocUnsafe(size)
  }

  /** Bytes in use. */
  get size(): number {
    return this.#used
  }

  add(row: unknown, encoded: EncodedRow): StoredEntry {
    const { wire } = encoded
    const start = this.#used
    // A UTF-16 unit has no more than 3 bytes in UTF-8. What `encoded` says of its bytes is not relied on.
    const most = wire.length > longText ? Buffer.byteLength(wire) : wire.length * 3
    this.#provide(start + most + gap)
    const end = start + this.#bytes.write(wire, start)
    this.#used = end + gap
    return new StoredEntry(row, encoded, this, start, end)
  }

  text(start: number, end: number): string {
    return this.#bytes.toString('utf8', start, end)
  }

  /** The bytes of rows that follow each other, the store's own; undefined where they don't. Texts are one byte or none. */
  join(rows: readonly Entry[], before: string, between: string, after: string): Buffer | undefined {
    const bytes = this.#bytes
    const separator = between.charCodeAt(0)
    let end = -1
    for (const row of rows) {
      if (!(row instanceof StoredEntry) || row.store !== this) return undefined
      if (end >= 0) {
        if (row.start !== end + between.length) return undefined
        bytes[end] = separator
      }
      end = row.end
    }
    const { start } = rows[0] as StoredEntry
    if (before !== '') bytes[start - 1] = before.charCodeAt(0)
    if (after !== '') bytes[end] = after.charCodeAt(0)
    return bytes.subarray(start - before.length, end + after.length)
  }

  #provide(size: number): void {
    if (size <= this.#bytes.length) return
    const larger = Buffer.allocUnsafe(Math.max(size, this.#bytes.length * 2))
    this.#bytes.copy(larger, 0, 0, this.#used)
    this.#bytes = larger
  }
}

/** A row in a store. */
export class StoredEntry implements Entry {
  readonly row: unknown
  readonly bytes: number
  readonly group: string | undefined
  settled = false
  readonly store: RowStore
  readonly start: number
  readonly end: number

  constructor(row: unknown, { bytes, group }: EncodedRow, store: RowStore, start: number, end: number) {
    this.row = row
    this.bytes = bytes
    this.group = group
    this.store = store
    this.start = start
    this.end = end
  }

  get wire(): string {
    return this.store.text(this.start, this.end)
  }
}

/** Rows as the bytes of a body, with these texts before, between and after them, each one byte or none. */
export function joinRows(rows: readonly Entry[], before: string, between: string, after: string): Buffer {
  const [first] = rows
  const stored = first instanceof StoredEntry ? first.store.join(rows, before, between, after) : undefined
  return stored ?? Buffer.from(before + rows.map(({ wire }) => wire).join(between) + after)
}
