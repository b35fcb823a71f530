import type { SinkVerdict } from '../core/verdict.ts'
import type { SinkSettings } from './options.ts'

/** Requests in flight with `auto`: the initial number and the maximum. */
const requests = { first: 4, most: 64 }

/** Rows of the first batch. */
export function firstRows({ batch_size }: Pick<SinkSettings, 'batch_size'>): number {
  return batch_size === 'auto' ? rowsOfBatch.first : batch_size
}

/** How much a sink may send at once: as its options say, or as is found by trial (`auto`). */
export class Load {
  readonly #settings: Pick<SinkSettings, 'batch_size' | 'max_in_flight'>
  readonly #limit: AdaptiveLimit | undefined
  readonly #batch: AdaptiveBatch | undefined
  /** Attempts in flight while their number adapts, and those that wait. */
  #underWay = 0
  readonly #waiting: (() => void)[] = []

  constructor(settings: Pick<SinkSettings, 'batch_size' | 'max_in_flight'>) {
    this.#settings = settings
    if (settings.max_in_flight === 'auto') this.#limit = new AdaptiveLimit(requests.first, requests.most)
    if (settings.batch_size === 'auto') this.#batch = new AdaptiveBatch()
  }

  /** The current limit of requests in flight. */
  get requests(): number {
    return this.#limit?.limit ?? (this.#settings.max_in_flight as number)
  }

  /** Rows that a batch may have now. */
  get rows(): number {
    return this.#batch?.rows ?? (this.#settings.batch_size as number)
  }

  /**
   * Resolves when an attempt may begin: at once if the limit is fixed. If the limit has fallen below the number of open
   * batches, the excess batches wait here before they are resent. Call it before {@link attempt}.
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

/** How an attempt ended, as a measure of the destination's load. */
export type LoadSign = 'served' | 'overloaded'

/** What is remembered of an attempt in flight. */
export interface Ticket {
  readonly begun: number
  /** Which change of the limit came last before it. */
  readonly round: number
}

/** Answers that come later than usual by this factor mean that requests wait for each other. */
const late = 1.5

/** And by this one that many do. */
const veryLate = 3

/** Answers, and milliseconds, between two tries of a higher limit where the destination refuses what is too much: so few are
 * refused, and little time is lost by the waits after that. */
const patience = { answers: 150, time: 10_000 }

/** The same if it queues requests, in rounds of as many answers as the limit. */
const rounds = 4

/**
 * The limit of requests in flight, found by additive increase and multiplicative decrease, as TCP does it. It
 * doubles at first; it falls where the destination says that it is overloaded, or where answers come later than usual; else it
 * grows by one now and then, and by more as long as that goes well. Senders that share a destination see the same signs, and so
 * end up with the same share.
 *
 * Answers may come late for other reasons than our requests: where they do not come sooner after the limit has fallen, that is
 * usual from then on, and the limit is what it was.
 */
export class AdaptiveLimit {
  readonly #most: number
  readonly #now: () => number
  #limit: number
  /** Up to here it doubles. */
  #threshold = Number.POSITIVE_INFINITY
  #round = 0
  /** In this round: answers, and their milliseconds; whether the limit was reached. */
  #answers = 0
  #time = 0
  #reached = false
  /** Milliseconds of an answer where the destination was not pressed, as far as is known. */
  #usual = Number.POSITIVE_INFINITY
  /** What a fall because of late answers began with, and how many rounds it takes until others show what it gave. */
  #fall: { readonly limit: number; readonly delay: number; readonly hope: number; rounds: number } | undefined
  /** When it fell last. */
  #fell = 0
  /** Whether anything was served since then. */
  #served = true
  /** The last fall was because requests were refused. */
  #refuses = false
  /** Answers, or rounds, since the limit changed. */
  #quiet = 0
  /** How often it has grown without a fall. */
  #streak = 0

  /** @param now a clock in milliseconds that is never set back */
  constructor(first: number, most: number, now: () => number = () => performance.now()) {
    this.#limit = first
    this.#most = most
    this.#now = now
  }

  get limit(): number {
    return this.#limit
  }

  /** Call when an attempt begins. @param full whether those in flight or waiting to be resent reach the limit */
  begin(full: boolean): Ticket {
    if (full) this.#reached = true
    return { begun: this.#now(), round: this.#round }
  }

  /** To be called as it ends. */
  end({ begun, round }: Ticket, sign: LoadSign): void {
    if (sign === 'served') this.#served = true
    // What began before the last change says nothing of it.
    if (round !== this.#round) return
    if (sign === 'overloaded') {
      this.#refuses = true
      this.#fallTo(this.#limit - Math.max(1, Math.floor(this.#limit / 10)))
      this.#fall = undefined
      return
    }
    this.#answers++
    this.#time += this.#now() - begun
    if (this.#answers < Math.max(10, this.#limit)) return
    const delay = this.#time / this.#answers
    const answers = this.#answers
    const reached = this.#reached
    this.#answers = 0
    this.#time = 0
    this.#reached = false
    this.#judge(delay, answers, reached)
  }

  #judge(delay: number, answers: number, reached: boolean): void {
    const fall = this.#fall
    // What was sent before may be waiting in front of what is sent now.
    if (fall && fall.rounds-- > 0) return
    this.#fall = undefined
    if (fall && delay > fall.delay * fall.hope) {
      this.#usual = delay
      this.#change(fall.limit)
      return
    }
    this.#usual = this.#limit === 1 ? delay : Math.min(this.#usual, delay)
    if (delay >= this.#usual * late) {
      const share = delay > this.#usual * veryLate ? 0.5 : 0.8
      // At least half of what less could bring.
      this.#fall = { limit: this.#limit, delay, hope: (1 + share) / 2, rounds: 1 }
      this.#refuses = false
      this.#fallTo(Math.floor(this.#limit * share))
      return
    }
    // Where fewer are sent than may be, nothing is known of more.
    if (!reached) return
    if (this.#limit < this.#threshold) {
      this.#change(Math.min(this.#threshold, this.#limit * 2))
      return
    }
    this.#quiet += this.#refuses ? answers : 1
    const needed = this.#refuses ? patience.answers : rounds
    if (this.#quiet < needed / 2 ** Math.min(this.#streak, 4)) return
    if (this.#refuses && this.#streak === 0 && this.#now() - this.#fell < patience.time) return
    this.#change(this.#limit + 2 ** Math.min(Math.max(0, this.#streak - 1), 5))
    this.#streak++
  }

  #fallTo(limit: number): void {
    this.#change(limit)
    // While nothing is served, a fall says that the destination is away, and nothing of how much it takes.
    if (this.#served) this.#threshold = this.#limit
    this.#served = false
    this.#fell = this.#now()
    this.#streak = 0
  }

  #change(limit: number): void {
    this.#limit = Math.max(1, Math.min(this.#most, limit))
    this.#round++
    this.#answers = 0
    this.#time = 0
    this.#quiet = 0
    this.#reached = false
  }
}

/** Rows a batch with `auto`: the initial number, the maximum, and the increase for each full batch accepted. */
const rowsOfBatch = { first: 50, most: 5000, step: 50 }

/**
 * The limit of rows in a batch: it grows with each full batch that the destination accepts, and halves when it is
 * overloaded. `batch_bytes` limits the size separately.
 */
export class AdaptiveBatch {
  #rows = rowsOfBatch.first
  #last = 0
  readonly #now: () => number

  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  get rows(): number {
    return this.#rows
  }

  /** Call when an attempt with this many rows ends. @param began when it began */
  end(rows: number, began: number, sign: LoadSign): void {
    if (sign === 'served') {
      if (rows >= this.#rows) this.#rows = Math.min(rowsOfBatch.most, this.#rows + rowsOfBatch.step)
    } else if (began >= this.#last) {
      // Attempts that were in flight then report the same overload.
      this.#last = this.#now()
      this.#rows = Math.max(rowsOfBatch.first, this.#rows >> 1)
    }
  }
}
