import type { Entry } from './protocol.ts'

/** Bytes left before each row and after the last, for what goes between rows and around them. */
const gap = 1

/** Above this many UTF-16 units it pays to count the bytes of a text before room is made for it. */
const longText = 4096

/** Rows, one behind the other. */
export interface JoinedRows {
  readonly bytes: Buffer
  /** To be called once, when nobody reads the bytes any more: then they may hold other rows. */
  release(): void
}

/** The rows of one batch as bytes, one behind the other. Bytes spare V8's collector from copying strings while they wait. */
export class RowStore {
  #bytes: Buffer
  #used = gap
  #readers = 0

  /** @param size bytes that are likely to be needed */
  constructor(size: number) {
    this.#bytes = Buffer.allocUnsafe(size)
  }

  /** Bytes in use. */
  get size(): number {
    return this.#used
  }

  /** Whether nobody reads its bytes: once its rows are settled, it can hold others. */
  get free(): boolean {
    return this.#readers === 0
  }

  /** Forgets its rows. None of them may be sent any more. */
  clear(): void {
    this.#used = gap
  }

  /** Writes a row behind those that are kept. @returns its bytes */
  write(wire: string): number {
    // A UTF-16 unit has no more than 3 bytes in UTF-8.
    const most = wire.length > longText ? Buffer.byteLength(wire) : wire.length * 3
    this.#provide(this.#used + most + gap)
    return this.#bytes.write(wire, this.#used)
  }

  /** Keeps the row that was written last, of so many bytes. @param place its number among all rows of the sink */
  keep(row: unknown, group: string | undefined, bytes: number, place: number): StoredEntry {
    const start = this.#used
    this.#used = start + bytes + gap
    return new StoredEntry(row, group, bytes, place, this, start)
  }

  text(start: number, end: number): string {
    return this.#bytes.toString('utf8', start, end)
  }

  /** The bytes of rows that follow each other, the store's own; undefined where they don't. Texts are one byte or none. */
  join(rows: readonly Entry[], before: string, between: string, after: string): JoinedRows | undefined {
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
    this.#readers++
    return {
      bytes: bytes.subarray(start - before.length, end + after.length),
      release: () => {
        this.#readers--
      },
    }
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
  /** Its number among all rows of the sink, in order of writing. */
  readonly place: number
  settled = false
  readonly store: RowStore
  readonly start: number

  constructor(
    row: unknown,
    group: string | undefined,
    bytes: number,
    place: number,
    store: RowStore,
    start: number,
  ) {
    this.row = row
    this.group = group
    this.bytes = bytes
    this.place = place
    this.store = store
    this.start = start
  }

  get end(): number {
    return this.start + this.bytes
  }

  get wire(): string {
    return this.store.text(this.start, this.end)
  }
}

/** Rows as the bytes of a body, with these texts before, between and after them, each one byte or none. */
export function joinRows(rows: readonly Entry[], before: string, between: string, after: string): JoinedRows {
  const [first] = rows
  const stored = first instanceof StoredEntry ? first.store.join(rows, before, between, after) : undefined
  if (stored) return stored
  const bytes = Buffer.from(before + rows.map(({ wire }) => wire).join(between) + after)
  return { bytes, release() {} }
}
