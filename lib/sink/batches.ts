import type { EncodedRow, Framing } from './protocol.ts'

/** Bytes left before each row and after the last, for what goes between rows and around them. */
const gap = 1

/** Above this many UTF-16 units, counting the bytes of a string before allocating is cheaper. */
const longText = 4096

/** Maximum groups filled at the same time. Each has a timer and a buffer. */
export const mostOpen = 64

/** Rows, one behind the other. */
export interface JoinedRows {
  readonly bytes: Buffer
  /** Call once, when nothing reads the bytes any more: the buffer is then reused. */
  release(): void
}

/**
 * The rows of one batch as bytes, one behind the other: they spare V8's collector from copying strings while they wait, and
 * become the body without being copied.
 */
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

  /** Whether nothing reads its bytes any more. Once its rows are settled, the buffer can be reused. */
  get free(): boolean {
    return this.#readers === 0
  }

  /** Forgets its rows. None of them may be sent any more. */
  clear(): void {
    this.#used = gap
  }

  /** Writes a row behind those that are kept. @returns its bytes */
  write({ wire, raw, after = '' }: EncodedRow): number {
    // A UTF-16 unit has at most 3 bytes in UTF-8.
    const most = wire.length > longText ? Buffer.byteLength(wire) : wire.length * 3
    this.#provide(this.#used + most + (raw === undefined ? 0 : raw.length + after.length * 3) + gap)
    const bytes = this.#bytes.write(wire, this.#used)
    if (raw === undefined) return bytes
    raw.copy(this.#bytes, this.#used + bytes)
    const end = bytes + raw.length
    return after === '}' ? this.#close(end) : end + this.#bytes.write(after, this.#used + end)
  }

  /** Writes the brace that most rows end with: for one byte a call of the system takes long. */
  #close(end: number): number {
    this.#bytes[this.#used + end] = 0x7d
    return end + 1
  }

  /** Keeps the row written last, with its size in bytes. @param place its number among all rows of the sink */
  keep(row: unknown, group: string | undefined, bytes: number, place: number): Entry {
    const start = this.#used
    this.#used = start + bytes + gap
    return new Entry(row, group, bytes, place, this, start)
  }

  text(start: number, end: number): string {
    return this.#bytes.toString('utf8', start, end)
  }

  /**
   * The bytes of rows in their framing, the store's own.
   * @returns undefined if the rows do not follow each other, or if a part of the framing has more than one byte
   */
  join(rows: readonly Entry[], { open, separator, close }: Framing): JoinedRows | undefined {
    if (Math.max(...[open, separator, close].map((part) => Buffer.byteLength(part))) > gap) return undefined
    const bytes = this.#bytes
    const between = separator.charCodeAt(0)
    let end = -1
    for (const row of rows) {
      if (row.store !== this) return undefined
      if (end >= 0) {
        if (row.start !== end + separator.length) return undefined
        bytes[end] = between
      }
      end = row.end
    }
    const { start } = rows[0]!
    if (open !== '') bytes[start - 1] = open.charCodeAt(0)
    if (close !== '') bytes[end] = close.charCodeAt(0)
    this.#readers++
    return {
      bytes: bytes.subarray(start - open.length, end + close.length),
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

/** A row that has a place in a batch. */
export class Entry {
  readonly row: unknown
  readonly group: string | undefined
  /** Its length as it goes over the wire, in bytes. */
  readonly bytes: number
  /** Its number among all rows of the sink, in order of writing. */
  readonly place: number
  /** Acknowledged by the destination, or accepted by the dead letter. Set by Delivery alone. */
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

  /** The row as it goes over the wire. */
  get wire(): string {
    return this.store.text(this.start, this.end)
  }
}

/** A batch that is being filled: rows of one group. */
export interface OpenBatch {
  readonly group: string | undefined
  readonly store: RowStore
  readonly entries: Entry[]
  /** Bytes of the body so far. */
  bytes: number
  /** Makes it due when it has waited long enough for more rows. */
  linger: NodeJS.Timeout | undefined
}

/** The batches that are being filled, one a group, the oldest first. */
export class OpenBatches implements Iterable<OpenBatch> {
  readonly #batches = new Map<string | undefined, OpenBatch>()
  /** Most rows go where the one before went. */
  #last: OpenBatch | undefined
  /** Those that are to leave as soon as they can, full or not. */
  readonly #due = new Set<OpenBatch>()
  #bytes = 0

  /** How many there are. */
  get size(): number {
    return this.#batches.size
  }

  /** Bytes of all of them. */
  get bytes(): number {
    return this.#bytes
  }

  /** The one that has to leave first; undefined if none is due. */
  get due(): OpenBatch | undefined {
    for (const batch of this.#due) return batch
    return undefined
  }

  /** The batch with the most bytes, the oldest of several: it is sent when the memory limit leaves no space for another row. */
  get fullest(): OpenBatch | undefined {
    let fullest: OpenBatch | undefined
    for (const batch of this.#batches.values()) if (!fullest || batch.bytes > fullest.bytes) fullest = batch
    return fullest
  }

  of(group: string | undefined): OpenBatch | undefined {
    if (this.#last?.group === group) return this.#last
    return this.#batches.get(group)
  }

  open(group: string | undefined, store: RowStore): OpenBatch {
    const batch: OpenBatch = { group, store, entries: [], bytes: 0, linger: undefined }
    this.#batches.set(group, batch)
    return batch
  }

  /** @param bytes those of the row and of what stands before it */
  add(batch: OpenBatch, entry: Entry, bytes: number): void {
    batch.entries.push(entry)
    batch.bytes += bytes
    this.#bytes += bytes
    this.#last = batch
  }

  makeDue(batch: OpenBatch): void {
    this.#due.add(batch)
  }

  /** Takes one out, to be sent. */
  remove(batch: OpenBatch): void {
    clearTimeout(batch.linger)
    this.#batches.delete(batch.group)
    this.#due.delete(batch)
    if (this.#last === batch) this.#last = undefined
    this.#bytes -= batch.bytes
  }

  clear(): void {
    for (const batch of this.#batches.values()) this.remove(batch)
  }

  [Symbol.iterator](): Iterator<OpenBatch> {
    return this.#batches.values()
  }
}
