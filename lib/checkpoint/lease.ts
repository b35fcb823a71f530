import { onAbort } from '../core/on-abort.ts'
import { type Numeric, option } from '../core/options.ts'
import { backoff, pause } from '../core/retry.ts'
import {
  asCheckpointError,
  type CheckpointSession,
  HeldError,
  LostError,
  type OpenOptions,
  TransientError,
} from './store.ts'

/** The option `lease_seconds`, within the bounds that a store can keep. */
export function leaseSpec(shortest: number, longest: number, standard = 15) {
  return option.custom<number, Numeric>(
    {
      form: `a number of seconds from ${shortest} to ${longest}`,
      schema: { type: ['number', 'string'] },
      parse(value) {
        const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value
        return typeof number === 'number' && number >= shortest && number <= longest ? number : undefined
      },
    },
    { default: standard },
  )
}

/**
 * What a store does for a lease. The store itself fences: it refuses what comes from a holder whose lease another has
 * taken, also where that holder was frozen and does not know. Each call may be repeated after a TransientError, which
 * leaves open whether the call was done.
 */
export interface Lease {
  readonly text: string | undefined
  readonly location: string
  readonly remedy?: string | undefined
  /** @throws LostError where another process has the lease, or may have it */
  renew(): Promise<void>
  /** @throws LostError where another process has the lease: what this one wrote does not count then */
  write(text: string): Promise<void>
  /** @throws LostError as `write` does */
  append?(text: string): Promise<void>
  release(): Promise<void>
}

/** Milliseconds from one attempt of a standby to the next, at most. */
const standbyInterval = 1000

/** Maximum milliseconds of a release: if the store does not answer, the lease expires anyway. */
const releaseLimit = 5000

/** Seconds. */
const retryPolicy = { initial_backoff: 0.1, max_backoff: 1 }

/**
 * Begins a session once `acquire` gives a lease. A store that is away is asked again for as long as a lease lasts, by a
 * standby until it is there.
 *
 * @param acquire one attempt; throws a HeldError where another process has the lease
 * @param duration milliseconds that a lease lasts without being renewed
 */
export async function openLeased(
  acquire: () => Promise<Lease>,
  duration: number,
  { wait = false, signal = new AbortController().signal, onWait }: OpenOptions = {},
): Promise<CheckpointSession> {
  const end = performance.now() + duration
  let reported: string | undefined
  for (let retry = 0; ; retry++) {
    signal.throwIfAborted()
    const begun = performance.now()
    try {
      return new LeasedSession(await acquire(), duration, begun)
    } catch (error) {
      const isAway = error instanceof TransientError
      if (wait && (isAway || error instanceof HeldError)) {
        if (reported !== error.message) onWait?.(error)
        reported = error.message
      } else if (!isAway || begun >= end) throw error
      const standby = Math.min(standbyInterval, duration / 5) * (0.5 + Math.random() / 2)
      await pause(isAway && !wait ? backoff(retryPolicy, retry) : standby, signal)
    }
  }
}

/** Renews a lease, and ends by the own clock before the store gives it to another. */
class LeasedSession implements CheckpointSession {
  readonly text: string | undefined
  readonly location: string
  readonly remedy: string | undefined
  readonly append?: (text: string) => Promise<void>
  readonly #lease: Lease
  readonly #duration: number
  readonly #lost = new AbortController()
  readonly #clock: NodeJS.Timeout
  /** When the last renewal that came through was asked for. */
  #renewed: number
  #renewing = false
  #failure: unknown
  #released: Promise<void> | undefined

  constructor(lease: Lease, duration: number, begun: number) {
    this.text = lease.text
    this.location = lease.location
    this.remedy = lease.remedy
    this.#lease = lease
    this.#duration = duration
    this.#renewed = begun
    if (lease.append) this.append = (text) => this.#put(() => lease.append!(text))
    this.#clock = setInterval(() => this.#tick(), duration / 20)
    this.#clock.unref()
  }

  get lost(): AbortSignal {
    return this.#lost.signal
  }

  async write(text: string): Promise<void> {
    await this.#put(() => this.#lease.write(text))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#released ??= this.#release()
    await this.#released
  }

  async #release(): Promise<void> {
    clearInterval(this.#clock)
    const ended = AbortSignal.timeout(releaseLimit)
    await orAborted(this.#lease.release(), ended).catch(() => {})
  }

  /** Repeats a change until the store has it, the lease is lost, or the store refuses it permanently. */
  async #put(change: () => Promise<void>): Promise<void> {
    for (let retry = 0; ; retry++) {
      this.#requireLease()
      try {
        return await orAborted(change(), this.lost)
      } catch (error) {
        if (error instanceof LostError) this.#lose(error)
        this.lost.throwIfAborted()
        this.#failure = error
        if (!(error instanceof TransientError)) {
          throw asCheckpointError(error, `the checkpoint in ${this.location} can't be written`)
        }
        await pause(backoff(retryPolicy, retry), this.lost).catch(() => {})
      }
    }
  }

  #requireLease(): void {
    if (!this.#released && performance.now() - this.#renewed >= this.#ownDuration) {
      this.#expire()
    }
    this.lost.throwIfAborted()
  }

  /** Shorter than the store's: the holder stops before another begins. */
  get #ownDuration(): number {
    return this.#duration * 0.9
  }

  #tick(): void {
    if (this.lost.aborted) return
    const since = performance.now() - this.#renewed
    if (since >= this.#ownDuration) this.#expire()
    else if (since >= this.#duration / 4 && !this.#renewing) void this.#renew()
  }

  async #renew(): Promise<void> {
    const begun = performance.now()
    this.#renewing = true
    try {
      await this.#lease.renew()
      this.#renewed = begun
      this.#failure = undefined
    } catch (error) {
      // Others are asked for again at the next tick, until the time is up.
      if (error instanceof LostError) this.#lose(error)
      else this.#failure = error
    } finally {
      this.#renewing = false
    }
  }

  #expire(): void {
    const cause = this.#failure
    const because = cause instanceof Error ? ` (${cause.message})` : ''
    this.#lose(new LostError(this.location, `its lease could not be renewed in time${because}`, cause))
  }

  #lose(error: LostError): void {
    if (this.#released) return
    clearInterval(this.#clock)
    this.#lost.abort(error)
  }
}

/** @throws the signal's reason if it fires first */
async function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const forget = onAbort(signal, reject)
    if (signal.aborted) reject(signal.reason)
    promise.then(resolve, reject).finally(forget)
  })
}

/** What a store makes of the write of a number. */
export type Outcome =
  /** It holds the write now. */
  | 'done'
  /** It holds a write of this number already. */
  | 'repeated'
  /** This process does not have the lease; another one may. */
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
