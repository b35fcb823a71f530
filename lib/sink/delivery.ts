import { randomUUID } from 'node:crypto'
import { ConnectorError, DeliveryError } from '../core/errors.ts'
import { untilAborted } from '../core/on-abort.ts'
import { backoff, isTransientFault, pause, RetryBudget, type RetryPolicy } from '../core/retry.ts'
import type { Reason, SinkVerdict } from '../core/verdict.ts'
import type { BatchEvent, RetryEvent, SinkStats } from './observation.ts'
import type { Entry, SinkProtocol } from './protocol.ts'

/** What the deliveries of one sink share. */
export interface DeliverySettings extends RetryPolicy {
  /** Seconds for one attempt. */
  readonly request_timeout: number
  readonly max_in_flight: number | 'auto'
}

/** What became of rows that were sent together. */
type Sent =
  | { readonly kind: 'accepted' | 'refused' }
  /**
   * They go on in halves. `bounded`: they hold a row at fault, which is looked for by halves, and row by row if halves cost
   * more. `cut`: larger bodies may be cut on the way.
   */
  | {
      readonly kind: 'split'
      readonly reason: Reason
      readonly bounded?: boolean
      readonly cut?: boolean
    }

/** How a delivery tells the sink what happens. */
export interface DeliveryEvents {
  batch(event: BatchEvent): void
  retry(event: RetryEvent): void
  /** Resolves when an attempt may begin; undefined where that is at once. */
  turn(): Promise<void> | undefined
  /** An attempt begins. @returns to be called with what it gave */
  attempt(rows: number): (verdict: SinkVerdict) => void
  /** Settles a refused row, or throws where nobody takes it. */
  refuse(entry: Entry, reason: Reason): Promise<void>
}

/** Thrown inside a delivery that is to stop: what it had in hand stays unsettled. */
export class DeliveryStopped extends Error {}

/** As often in a row a connection has to be cut while the same rows are under way, before they go in halves. */
const cutsBeforeHalves = 3

/** How long bodies stay small after larger ones were cut, in milliseconds: it may have been an outage all the same. */
const cutMemory = 600_000

/** An error after which nothing more is to be sent, not even what other deliveries have in hand. */
export class FatalDelivery extends Error {
  readonly error: ConnectorError
  constructor(error: ConnectorError) {
    super(error.message)
    this.error = error
  }
}

/**
 * Sends batches until each of their rows is settled: waits and tries again, goes on after an accepted prefix, splits what
 * is too large, hands over what is refused. A wait that the server asks of all requests holds for all deliveries of the sink.
 */
export class Delivery {
  readonly #protocol: SinkProtocol
  readonly #settings: DeliverySettings
  readonly #events: DeliveryEvents
  readonly #stats: SinkStats
  /** Fires when requests under way are to be cut. */
  readonly #abort: AbortSignal
  /** Fires when no further request is to be made. */
  readonly #halt: AbortSignal
  #pausedUntil = 0
  /** When rows were delivered last. */
  #delivered = Date.now()
  #bodyBytes = Infinity
  /** As #bodyBytes, learned from connections that were cut; holds until #cutUntil. */
  #cutBytes = Infinity
  #cutUntil = 0

  constructor(
    protocol: SinkProtocol,
    settings: DeliverySettings,
    events: DeliveryEvents,
    stats: SinkStats,
    signals: { abort: AbortSignal; halt: AbortSignal },
  ) {
    this.#protocol = protocol
    this.#settings = settings
    this.#events = events
    this.#stats = stats
    this.#abort = signals.abort
    this.#halt = signals.halt
  }

  /** Bytes of the largest body that may be sent, as far as the destination's refusals of larger ones have told. */
  get bodyBytes(): number {
    if (this.#cutBytes < Infinity && Date.now() > this.#cutUntil) this.#cutBytes = Infinity
    return Math.min(this.#bodyBytes, this.#cutBytes)
  }

  /** @throws DeliveryStopped, FatalDelivery, or the DeliveryError that ends the stream */
  async deliver(batch: readonly Entry[]): Promise<void> {
    const parts: (readonly Entry[])[] = [batch]
    // Requests of the search for rows at fault, less the rows that it has settled: above the allowance it costs more than
    // to send each row by itself.
    let overspent = 0
    const allowance = 2 * Math.ceil(Math.log2(batch.length + 1))
    // Bytes of the halves of a body that was cut: once one of them passes, the others are kept as small.
    let cut: number | undefined
    for (let part = parts.shift(); part; part = parts.shift()) {
      // Put together before it was known how large a body may be.
      if (part.length > 1 && this.bodyBytes < Infinity && this.#bytesOf(part) > this.bodyBytes) {
        parts.unshift(...halvesOf(part))
        continue
      }
      const verdict = await this.#send(part)
      overspent++
      if (verdict.kind !== 'split') {
        overspent -= part.length
        if (cut !== undefined && verdict.kind === 'accepted') {
          this.#cutBytes = Math.min(this.bodyBytes, cut)
          this.#cutUntil = Date.now() + cutMemory
          cut = undefined
        }
        continue
      }
      // Some may be in already, or refused by name, before the rest was found to be too much.
      const rest = part.filter(({ settled }) => !settled)
      overspent -= part.length - rest.length
      if (rest.length === 1) await this.#events.refuse(rest[0]!, verdict.reason)
      else if (verdict.bounded && overspent > allowance) parts.unshift(...rest.map((entry) => [entry]))
      else {
        const halves = halvesOf(rest)
        const most = Math.max(...halves.map((half) => this.#bytesOf(half)))
        if (verdict.cut) cut = most
        // What is too much now would be the next time too.
        else if (!verdict.bounded) this.#bodyBytes = Math.min(this.#bodyBytes, most)
        parts.unshift(...halves)
      }
    }
  }

  #bytesOf(entries: readonly Entry[]): number {
    const { around, between } = this.#protocol.framing
    return entries.reduce((sum, { bytes }) => sum + between + bytes, around - between)
  }

  /** Sends entries until they are settled, or the verdict is to split what is left of them. */
  async #send(entries: readonly Entry[]): Promise<Sent> {
    const budget = new RetryBudget(this.#settings)
    let key = randomUUID()
    let since = Date.now()
    let cuts = 0
    let renewed = false
    for (;;) {
      await this.#turn()
      budget.begin()
      const { attempts } = budget
      const verdict = await this.#attempt(entries, key)
      switch (verdict.kind) {
        case 'accepted':
          if (verdict.slowDown) this.#holdAll(backoff(this.#settings, 0))
          this.#settle(entries, attempts, since, verdict.value)
          return verdict
        case 'refused':
          // Only what is refused alone is refused for good.
          if (entries.length > 1) return { kind: 'split', bounded: true, reason: verdict.reason }
          await this.#events.refuse(entries[0]!, verdict.reason)
          return verdict
        case 'split':
          return verdict
        case 'again':
          if (renewed) throw new FatalDelivery(verdict.error)
          renewed = true
          break
        case 'fatal':
          throw new FatalDelivery(verdict.error)
        case 'partial': {
          const { refusesNext } = verdict
          // A number that can't be read names no row.
          const isNumber = Number.isSafeInteger(verdict.accepted)
          if (!isNumber && refusesNext) return { kind: 'split', bounded: true, reason: verdict.reason }
          const accepted = isNumber ? Math.max(0, Math.min(verdict.accepted, entries.length)) : 0
          this.#settle(entries.slice(0, accepted), attempts, since, verdict.reason)
          const next = entries[accepted]
          if (refusesNext && next) await this.#events.refuse(next, verdict.reason)
          entries = entries.slice(refusesNext ? accepted + 1 : accepted)
          if (entries.length === 0) return { kind: 'accepted' }
          if (accepted > 0 || refusesNext) {
            key = randomUUID()
            since = Date.now()
            budget.progress()
          }
          if (!refusesNext) await this.#waitToRetry(entries, verdict, budget)
          break
        }
        case 'retry':
          await this.#waitToRetry(entries, verdict, budget)
          cuts = verdict.cut ? cuts + 1 : 0
          if (cuts >= cutsBeforeHalves && entries.length > 1)
            return { kind: 'split', cut: true, reason: verdict.reason }
      }
    }
  }

  /** Waits until this sink may send. */
  async #turn(): Promise<void> {
    for (;;) {
      if (this.#halt.aborted) throw new DeliveryStopped()
      const wait = this.#pausedUntil - Date.now()
      if (wait <= 0) break
      await this.#unlessHalted(pause(wait, this.#halt))
    }
    const turn = this.#events.turn()
    if (turn) await this.#unlessHalted(untilAborted(turn, this.#halt))
  }

  async #attempt(entries: readonly Entry[], key: string): Promise<SinkVerdict> {
    const ended = this.#events.attempt(entries.length)
    const verdict = await this.#request(entries, key)
    ended(verdict)
    return verdict
  }

  async #request(entries: readonly Entry[], key: string): Promise<SinkVerdict> {
    this.#stats.requests++
    try {
      const timeout = this.#settings.request_timeout * 1000
      return await this.#protocol.send(entries, { signal: this.#abort, timeout, key })
    } catch (error) {
      if (this.#abort.aborted) throw new DeliveryStopped()
      const { code, message } = error as NodeJS.ErrnoException
      if (isTransientFault(error))
        return {
          kind: 'retry',
          reason: { code, text: message },
          cause: error as Error,
          cut: cutCodes.has(code),
        }
      if (error instanceof ConnectorError) return { kind: 'fatal', error }
      const { connector } = this.#protocol
      const failure = new DeliveryError('ERR_DELIVERY', `${connector}: ${message}`, {
        connector,
        cause: error,
      })
      return { kind: 'fatal', error: failure }
    }
  }

  async #waitToRetry(
    entries: readonly Entry[],
    verdict: SinkVerdict & { kind: 'retry' | 'partial' },
    budget: RetryBudget,
  ): Promise<void> {
    if (this.#halt.aborted) throw new DeliveryStopped()
    const { connector } = this.#protocol
    const { status, code, text } = verdict.reason
    // Where the number of requests adapts, fewer are sent: to stand still is not needed, unless the server says so.
    const adapts = this.#settings.max_in_flight === 'auto' && verdict.holdAll && verdict.after === undefined
    const planned = budget.retryAfter(verdict.after)
    const wait = adapts && planned !== undefined ? Math.min(planned, this.#longestPause()) : planned
    const { endedBy, endedText } = budget
    // The answer that took a part of the rows may be the last one too.
    const attempts = Math.max(1, budget.attempts)
    if (wait === undefined) {
      const said = [status, code === undefined ? undefined : `code ${code}`, text].filter(
        (part) => part !== undefined,
      )
      throw new DeliveryError(
        'ERR_DELIVERY',
        `${connector}: gave up after ${attempts} ${attempts === 1 ? 'attempt' : 'attempts'}: ${said.join(' ')} (${endedText})`,
        {
          connector,
          status,
          serviceCode: code,
          serviceText: text,
          attempts,
          endedBy,
          retryAfter: verdict.after,
          cause: 'cause' in verdict ? verdict.cause : undefined,
        },
      )
    }
    if (verdict.holdAll && !adapts) this.#holdAll(wait)
    this.#stats.retries++
    this.#events.retry({
      connector,
      rows: entries.length,
      attempts: budget.attempts,
      wait,
      status,
      code,
      text,
    })
    await this.#unlessHalted(pause(wait, this.#halt))
  }

  /** Nobody waits for longer than nothing has been delivered, so that what was refused does not lie about once others pass. */
  #longestPause(): number {
    return Math.max(this.#settings.initial_backoff * 1000, Date.now() - this.#delivered)
  }

  #holdAll(wait: number): void {
    this.#pausedUntil = Math.max(this.#pausedUntil, Date.now() + wait)
  }

  /** @param waiting rejects once it is halted */
  async #unlessHalted(waiting: Promise<void>): Promise<void> {
    try {
      await waiting
    } catch {
      throw new DeliveryStopped()
    }
  }

  #settle(entries: readonly Entry[], attempts: number, since: number, reason: Reason): void {
    if (entries.length === 0) return
    this.#delivered = Date.now()
    let bytes = 0
    for (const entry of entries) {
      entry.settled = true
      bytes += entry.bytes
    }
    this.#stats.delivered += entries.length
    this.#stats.bytes += bytes
    this.#events.batch({
      connector: this.#protocol.connector,
      rows: entries.length,
      bytes,
      attempts,
      status: reason.status,
      duration: Date.now() - since,
    })
  }
}

/** Codes of a connection that ended in the middle. */
const cutCodes = new Set<string | undefined>(['ECONNRESET', 'EPIPE', 'ECONNABORTED'])

function halvesOf(entries: readonly Entry[]): (readonly Entry[])[] {
  const middle = Math.ceil(entries.length / 2)
  return [entries.slice(0, middle), entries.slice(middle)]
}
