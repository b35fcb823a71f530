import type { Slice } from '../core/slice.ts'

/** A slice that was begun. */
interface Planned<S extends Slice> {
  readonly slice: S
  /** It is done, while one before it is not. */
  committed: boolean
  next: Planned<S> | undefined
}

/** Slices begun, in order. Each call costs the same however many there are. */
export class PlannedSlices<S extends Slice> {
  readonly #byId = new Map<string, Planned<S>>()
  // A chain: a Map that is emptied from its front slows down the more entries it had.
  #first: Planned<S> | undefined
  #last: Planned<S> | undefined

  has(id: string): boolean {
    return this.#byId.has(id)
  }

  isCommitted(id: string): boolean {
    return this.#byId.get(id)?.committed ?? false
  }

  add(slice: S): void {
    const planned = { slice, committed: false, next: undefined }
    this.#byId.set(slice.id, planned)
    if (this.#last) this.#last.next = planned
    else this.#first = planned
    this.#last = planned
  }

  commit(id: string): void {
    this.#byId.get(id)!.committed = true
  }

  /** Takes the first slice away where it is committed. */
  shiftCommitted(): S | undefined {
    const first = this.#first
    if (!first?.committed) return undefined
    this.#byId.delete(first.slice.id)
    this.#first = first.next
    if (!this.#first) this.#last = undefined
    return first.slice
  }

  *[Symbol.iterator](): Generator<S, void> {
    for (let at = this.#first; at; at = at.next) yield at.slice
  }
}
