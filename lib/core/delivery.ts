import { randomUUID } from 'node:crypto'
import { ConnectorError, DeliveryError } from './errors.ts'
import type { BatchEvent, RetryEvent, SinkStats } from './observation.ts'
import { backoff, isPassingFault, pause, type RetryPolicy } from './retry.ts'
import type { Entry, Reason, SinkProtocol, Verdict } from './sink-protocol.ts'

/** What the deliveries of one sink share. */
export interface DeliverySettings extends RetryPolicy {
  /** Seconds for one attempt. */
  readonly request_timeout: number
}

/** How a delivery tells the sink what happens. */
export interface DeliveryEvents {
  batch(event: BatchEvent): void
  retry(event: RetryEvent): void
  /** Settles a refused row, or throws where nobody takes it. */
  refuse(entry: Entry, reason: Reason): Promise<void>
}

/** Thrown inside a delivery that is to stop: what it had in hand stays unsettled. */
export class DeliveryStopped extends Error {}

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
 * is too large, hands over what is refused. A wait that the server asks of everybody holds for all deliveries of the sink.
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
  #bodyBytes = Infinity

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
    return this.#bodyBytes
  }

  /** @throws DeliveryStopped, FatalDelivery, or the DeliveryError that ends the stream */
  async deliver(batch: readonly Entry[]): Promise<void> {
    const parts: (readonly Entry[])[] = [batch]
    // Finding k rows at fault among n by halves takes about 2 k log2(n) requests.
    let searches = 16 * Math.ceil(Math.log2(batch.length + 1))
    for (let part = parts.shift(); part; part = parts.shift()) {
      // Put together before it was known how large a body may be.
      if (part.length > 1 && this.#bodyBytes < Infinity && this.#bytesOf(part) > this.#bodyBytes) {
        parts.unshift(...halvesOf(part))
        continue
      }
      const verdict = await this.#send(part)
      if (verdict.kind !== 'split') continue
      // Some may be in already, or refused by name, before the rest was found to be too much.
      const rest = part.filter(({ settled }) => !settled)
      if (rest.length === 1) await this.#refuse(rest, verdict.reason)
      else if (verdict.bounded && searches-- <= 0) {
        const text = `${verdict.reason.text} (of a request with ${rest.length} rows; which are at fault was not looked for any further)`
        await this.#refuse(rest, { ...verdict.reason, text })
      } else {
        const halves = halvesOf(rest)
        // What is too much now would be the next time too.
        if (!verdict.bounded)
          this.#bodyBytes = Math.min(this.#bodyBytes, Math.max(...halves.map((half) => this.#bytesOf(half))))
        parts.unshift(...halves)
      }
    }
  }

  #bytesOf(entries: readonly Entry[]): number {
    const { around, between } = this.#protocol.framing
    return entries.reduce((sum, { bytes }) => sum + between + bytes, around - between)
  }

  async #refuse(entries: readonly Entry[], reason: Reason): Promise<void> {
    for (const entry of entries) await this.#events.refuse(entry, reason)
  }

  /** Sends entries until they are settled, or the verdict is to split what is left of them. */
  async #send(entries: readonly Entry[]): Promise<Verdict & { kind: 'accepted' | 'refused' | 'split' }> {
    let retries = 0
    let attempts = 0
    let key = randomUUID()
    let since = Date.now()
    for (;;) {
      await this.#turn()
      attempts++
      const verdict = await this.#attempt(entries, key)
      switch (verdict.kind) {
        case 'accepted':
          if (verdict.slowDown) this.#holdEverybody(backoff(this.#settings, 0))
          this.#settle(entries, attempts, since, verdict.reason)
          return verdict
        case 'refused':
          await this.#refuse(entries, verdict.reason)
          return verdict
        case 'split':
          return verdict
        case 'fatal':
          throw new FatalDelivery(verdict.error)
        case 'partial': {
          const accepted = Math.max(0, Math.min(verdict.accepted, entries.length))
          this.#settle(entries.slice(0, accepted), attempts, since, verdict.reason)
          const next = entries[accepted]
          if (verdict.refusesNext && next) await this.#events.refuse(next, verdict.reason)
          entries = entries.slice(verdict.refusesNext ? accepted + 1 : accepted)
          if (entries.length === 0) return { kind: 'accepted', reason: verdict.reason }
          key = randomUUID()
          since = Date.now()
          if (accepted > 0 || verdict.refusesNext) {
            retries = 0
            attempts = 0
          }
          if (!verdict.refusesNext) await this.#waitToRetry(entries, verdict, retries++, attempts)
          break
        }
        case 'retry':
          await this.#waitToRetry(entries, verdict, retries++, attempts)
      }
    }
  }

  /** Waits until this sink may send. */
  async #turn(): Promise<void> {
    for (;;) {
      if (this.#halt.aborted) throw new DeliveryStopped()
      const wait = this.#pausedUntil - Date.now()
      if (wait <= 0) return
      await this.#wait(wait)
    }
  }

  async #attempt(entries: readonly Entry[], key: string): Promise<Verdict> {
    this.#stats.requests++
    try {
      const timeout = this.#settings.request_timeout * 1000
      return await this.#protocol.send(entries, { signal: this.#abort, timeout, key })
    } catch (error) {
      if (this.#abort.aborted) throw new DeliveryStopped()
      const { code, message } = error as NodeJS.ErrnoException
      if (isPassingFault(error))
        return { kind: 'retry', reason: { code, text: message }, cause: error as Error }
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
    verdict: Verdict & { kind: 'retry' | 'partial' },
    retries: number,
    attempts: number,
  ): Promise<void> {
    if (this.#halt.aborted) throw new DeliveryStopped()
    const { connector } = this.#protocol
    const { status, code, text } = verdict.reason
    if (retries >= this.#settings.max_retries) {
      const said = [status, code === undefined ? undefined : `code ${code}`, text].filter(
        (part) => part !== undefined,
      )
      throw new DeliveryError(
        'ERR_DELIVERY',
        `${connector}: gave up after ${attempts} ${attempts === 1 ? 'attempt' : 'attempts'}: ${said.join(' ')}`,
        {
          connector,
          status,
          serviceCode: code,
          serviceText: text,
          attempts,
          cause: 'cause' in verdict ? verdict.cause : undefined,
        },
      )
    }
    const wait = verdict.after ?? backoff(this.#settings, retries)
    if (verdict.everybody) this.#holdEverybody(wait)
    this.#stats.retries++
    this.#events.retry({ connector, rows: entries.length, attempts, wait, status, code, text })
    await this.#wait(wait)
  }

  #holdEverybody(wait: number): void {
    this.#pausedUntil = Math.max(this.#pausedUntil, Date.now() + wait)
  }

  async #wait(milliseconds: number): Promise<void> {
    try {
      await pause(milliseconds, this.#halt)
    } catch {
      throw new DeliveryStopped()
    }
  }

  #settle(entries: readonly Entry[], attempts: number, since: number, reason: Reason): void {
    if (entries.length === 0) return
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

function halvesOf(entries: readonly Entry[]): (readonly Entry[])[] {
  const middle = Math.ceil(entries.length / 2)
  return [entries.slice(0, middle), entries.slice(middle)]
}
