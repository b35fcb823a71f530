import { LostError } from './checkpoint-error.ts'

/** What a store makes of the write of a number. */
export type Outcome =
  /** It holds the write now. */
  | 'done'
  /** It holds a write of this number already. */
  | 'repeated'
  /** Another process has the lease, or nobody. */
  | 'lost'
  /** It does not hold the write before this one. */
  | 'behind'

export type NumberedWrite = (text: string, number: number) => Promise<Outcome>

/**
 * Numbers the writes of a lease. A write may be repeated, because its answer was lost; and a connection that broke may
 * still bring an old one. By the number the store does each of them once and in order.
 */
export class NumberedWrites {
  readonly #location: string
  #last: number
  /** The text of a write of which it is open whether it was done. */
  #open: string | undefined

  /** @param last the number of the last write that the store holds */
  constructor(location: string, last: number) {
    this.#location = location
    this.#last = last
  }

  /** @throws LostError */
  async put(text: string, write: NumberedWrite): Promise<void> {
    const mayBeThere = this.#open === text
    this.#open ??= text
    const outcome = await write(text, this.#last + 1)
    if (outcome === 'lost') {
      throw new LostError(this.#location, 'another process has taken it over, or its lease ran out')
    }
    if (outcome === 'behind' || (outcome === 'repeated' && !mayBeThere)) {
      throw new LostError(
        this.#location,
        'the store does not hold what was written last. It was restored, or a replica without it took over',
      )
    }
    this.#last++
    this.#open = undefined
  }
}
