import type { SinkVerdict } from '../core/verdict.ts'
import { AdaptiveBatch, AdaptiveLimit, type LoadSign } from './adaptive-limit.ts'
import type { SinkSettings } from './options.ts'

/** Requests under way at once where their number is found by trial: the first, and the most. */
const requests = { first: 4, most: 64 }

/** How much a sink may send at once: as its options say, or as is found by trial (`auto`). */
export class Load {
  readonly #settings: Pick<SinkSettings, 'batch_size' | 'max_in_flight'>
  readonly #limit: AdaptiveLimit | undefined
  readonly #batch: AdaptiveBatch | undefined
  /** Attempts under way, where their number adapts, and those that wait for it. */
  #underWay = 0
  readonly #waiting: (() => void)[] = []

  constructor(settings: Pick<SinkSettings, 'batch_size' | 'max_in_flight'>) {
    this.#settings = settings
    if (settings.max_in_flight === 'auto') this.#limit = new AdaptiveLimit(requests.first, requests.most)
    if (settings.batch_size === 'auto') this.#batch = new AdaptiveBatch()
  }

  /** Requests that may be under way now. */
  get requests(): number {
    return this.#limit?.limit ?? (this.#settings.max_in_flight as number)
  }

  /** Rows that a batch may have now. */
  get rows(): number {
    return this.#batch?.rows ?? (this.#settings.batch_size as number)
  }

  /**
   * Resolves when an attempt may begin, which is at once where the number is fixed. Where it has fallen, more batches are out
   * than it says, and all but so many of them wait here before they are sent again. To be called before {@link attempt}.
   */
  turn(): Promise<void> | undefined {
    if (!this.#limit) return undefined
    if (this.#underWay < this.requests) {
      this.#underWay++
      return undefined
    }
    return new Promise((go) => this.#waiting.push(go))
  }

  /** To be called as an attempt begins. @param full as many batches are out as may be @returns to be called as it ends */
  attempt(rows: number, full: boolean): (verdict: SinkVerdict) => void {
    const limit = this.#limit
    const batch = this.#batch
    if (!limit && !batch) return () => {}
    const began = performance.now()
    const ticket = limit?.begin(full)
    return (verdict) => {
      const sign = signOf(verdict)
      if (ticket) limit?.end(ticket, sign)
      batch?.end(rows, began, sign)
      this.#underWay--
      while (this.#waiting.length > 0 && this.#underWay < this.requests) {
        this.#underWay++
        this.#waiting.shift()!()
      }
    }
  }
}

/** Throttling, time-outs and lost connections speak of the destination's load, and so does that it asks all to wait. */
function signOf(verdict: SinkVerdict): LoadSign {
  if (verdict.kind !== 'retry' && verdict.kind !== 'partial') return 'served'
  const { holdAll, reason } = verdict
  const lost = verdict.kind === 'retry' && reason.status === undefined
  return holdAll || lost || reason.status === 408 || reason.status === 504 ? 'overloaded' : 'served'
}
