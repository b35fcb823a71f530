import type { RowStore, StoredEntry } from './row-store.ts'

/** A batch that is being filled: rows of one group. */
export interface OpenBatch {
  readonly group: string | undefined
  readonly store: RowStore
  readonly entries: StoredEntry[]
  /** Bytes of the body so far. */
  bytes: number
  /** Makes it due when it has waited long enough for more rows. */
  linger: NodeJS.Timeout | undefined
}

/** Groups that are filled at once. Each has a timer, and room for its rows. */
export const mostOpen = 64

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

  /** The one that has to leave first; undefined where none is due. */
  get due(): OpenBatch | undefined {
    for (const batch of this.#due) return batch
    return undefined
  }

  /** The one with the most bytes, the oldest of several: it leaves when there is no room for another row. */
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
  add(batch: OpenBatch, entry: StoredEntry, bytes: number): void {
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
