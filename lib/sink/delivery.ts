import { type EventEmitter, setMaxListeners } from 'node:events'
import { ConnectorError, DeliveryError } from '../core/errors.ts'
import { untilAborted } from '../core/on-abort.ts'
import { backoff, isTransientFault, isUnresolved, pause, RetryBudget } from '../core/retry.ts'
import { warnOfRetry } from '../core/retry-warning.ts'
import { remove } from '../core/short-list.ts'
import type { Reason, SinkVerdict } from '../core/verdict.ts'
import type { Entry } from './batches.ts'
import { BodyMaker, framingBytes, type HeldBody } from './body.ts'
import { DeadLetterOffice } from './dead-letter.ts'
import { noStats, report, type SinkStats } from './events.ts'
import { Load } from './load.ts'
import type { SinkSettings } from './options.ts'
import type { Attempt, SinkProtocol } from './protocol.ts'

/** Why a sink has to end. `atOnce`: nothing more is to be sent, not even what other deliveries have in hand. */
export interface DeliveryFailure {
  readonly error: Error
  readonly atOnce: boolean
}

/** A row that was refused alone, by a reason that may speak of the endpoint. */
interface Suspect {
  readonly entry: Entry
  readonly reason: Reason
}

/** So many rows in a row that are refused alike speak of the endpoint. */
const suspectsAlike = 3

/** A firewall says these of one row, and a service of all. */
const authStatuses = new Set<number | undefined>([401, 403])

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
      readonly aboutRow?: boolean | undefined
      readonly bounded?: boolean
      readonly cut?: boolean
    }

/** Consecutive cut connections with the same rows in flight, after which the rows are halved. */
const cutsBeforeHalves = 3

/** How long bodies stay small after larger ones were cut, in milliseconds: it may have been an outage all the same. */
const cutMemory = 600_000

/** Close timeout: how long `abort` waits for requests that it has cut, in milliseconds. */
const closeTimeout = 2000

/** Thrown inside of a delivery that is to stop: the rows that it had in hand stay unsettled. */
class Stopped extends Error {}

/**
 * All that happens to a batch once it is full: sends it until each of its rows is settled. It waits and tries again, goes
 * on after an accepted prefix, splits what is too large, hands refused rows to the dead letter. A wait that the server asks
 * of all requests holds all deliveries of the sink.
 */
export class Delivery {
  readonly #protocol: SinkProtocol
  readonly #settings: SinkSettings
  /** Emits the events. */
  readonly #sink: EventEmitter
  readonly #load: Load
  readonly #bodies: BodyMaker
  readonly #framing: { readonly around: number; readonly between: number }
  readonly #deadLetter: DeadLetterOffice | undefined
  /** Cuts requests in flight. */
  readonly #abort = new AbortController()
  /** Keeps further requests from being made. */
  readonly #halt = new AbortController()
  /** Deliveries that are not done, and rows on their way to the dead letter. */
  readonly #pending: Promise<unknown>[] = []
  readonly #stats: SinkStats = noStats()
  /** A permanent failure of all requests. */
  #fatal: ConnectorError | undefined
  /** Times are those of performance.now(). */
  #pausedUntil = 0
  /** When rows were delivered last. */
  #delivered = performance.now()
  /** Whether a request was answered: its host name is right. */
  #reached = false
  /** Whether the destination accepted a row at any time. */
  #accepted = false
  /** Rows that are held back from the dead letter: as long as no row is accepted, the endpoint may be at fault. */
  readonly #suspects: Suspect[] = []
  #bodyBytes = Infinity
  /** As #bodyBytes, learned from connections that were cut; holds until #cutUntil. */
  #cutBytes = Infinity
  #cutUntil = 0

  /** @param sink emits the events of the deliveries */
  constructor(protocol: SinkProtocol, settings: SinkSettings, sink: EventEmitter) {
    this.#protocol = protocol
    this.#settings = settings
    this.#sink = sink
    this.#load = new Load(settings)
    this.#bodies = new BodyMaker(protocol)
    this.#framing = framingBytes(protocol.framing)
    this.#deadLetter = settings.dead_letter && new DeadLetterOffice(settings.dead_letter)
    setMaxListeners(0, this.#abort.signal, this.#halt.signal)
  }

  /** Counts so far; the object is live. */
  get stats(): Readonly<SinkStats> {
    return this.#stats
  }

  /** Node has handed over this many rows. */
  countWritten(rows: number): void {
    this.#stats.written += rows
  }

  /** Batches that may be in flight now. */
  get maxInFlight(): number {
    return this.#load.requests
  }

  /** Rows that a batch may have now. */
  get batchRows(): number {
    return this.#load.rows
  }

  /** Bytes of the largest body that may be sent, as far as the destination's refusals of larger ones show. */
  get bodyBytes(): number {
    if (this.#cutBytes < Infinity && performance.now() > this.#cutUntil) this.#cutBytes = Infinity
    return Math.min(this.#bodyBytes, this.#cutBytes)
  }

  /** Makes no further request. Those in flight are answered. */
  halt(): void {
    this.#halt.abort()
  }

  /** Cuts all requests. @returns what resolves when they are gone, or after the close timeout; undefined if there is none */
  abort(): Promise<void> | undefined {
    this.#halt.abort()
    this.#abort.abort()
    if (this.#pending.length === 0) return undefined
    let timer: NodeJS.Timeout | undefined
    const limit = new Promise((resolve) => {
      timer = setTimeout(resolve, closeTimeout)
    })
    return Promise.race([Promise.allSettled(this.#pending), limit]).then(() => clearTimeout(timer))
  }

  /** Lets go of the dead letter. */
  close(): void {
    this.#deadLetter?.close()
  }

  /** Delivers a batch. @returns what ends the sink; undefined if all rows are settled or wait, or if it ends already */
  deliver(batch: readonly Entry[]): Promise<DeliveryFailure | undefined> {
    return this.#guarded(async () => {
      await this.#deliver(batch)
      await this.#judgeSuspects()
    })
  }

  async #guarded(work: () => Promise<void>): Promise<DeliveryFailure | undefined> {
    this.#stats.inFlight++
    try {
      return await this.#failureOf(work())
    } finally {
      this.#stats.inFlight--
    }
  }

  /** Lets the protocol ask for what it needs before the first row. @returns what ends the sink */
  prepare(): Promise<DeliveryFailure | undefined> {
    return this.#failureOf(this.#prepare())
  }

  async #failureOf(work: Promise<void>): Promise<DeliveryFailure | undefined> {
    try {
      await this.#track(work)
      return undefined
    } catch (error) {
      if (error instanceof Stopped) return undefined
      return { error: error as Error, atOnce: error === this.#fatal }
    }
  }

  async #prepare(): Promise<void> {
    const budget = new RetryBudget(this.#settings)
    for (;;) {
      await this.#turn()
      budget.begin()
      const verdict = await this.#request((attempt) => this.#protocol.prepare!(attempt))
      if (verdict.kind === 'retry') await this.#waitToRetry([], verdict, budget)
      else if (verdict.kind === 'fatal') {
        this.#fatal = verdict.error
        throw verdict.error
      } else return
    }
  }

  /** Whether rows wait until more is known of why they were refused. */
  get hasSuspects(): boolean {
    return this.#suspects.length > 0
  }

  /** Decides on the rows that wait, since no more come for now. @returns what ends the sink */
  settleSuspects(): Promise<DeliveryFailure | undefined> {
    return this.#guarded(async () => {
      const [first] = this.#suspects
      if (authStatuses.has(first?.reason.status)) throw this.#endpointAtFault()
      await this.#refuseSuspects()
    })
  }

  /** Hands a refused row to the dead letter. @throws DeliveryError if there is none, or it fails */
  refuse(row: unknown, reason: Reason): Promise<void> {
    return this.#track(this.#refuse(row, reason))
  }

  async #track<T>(work: Promise<T>): Promise<T> {
    this.#pending.push(work)
    try {
      return await work
    } finally {
      remove(this.#pending, work)
    }
  }

  async #refuse(row: unknown, { status, code, text }: Reason): Promise<void> {
    const { connector } = this.#protocol
    report(this.#sink, 'rejected', { connector, row, status, code, text })
    const details = { connector, status, serviceCode: code, serviceText: text }
    if (!this.#deadLetter) {
      const kind = code === 'ERR_ROW' ? 'ERR_ROW' : 'ERR_REJECTED'
      throw new DeliveryError(kind, `${connector}: a row was refused: ${text}`, details)
    }
    try {
      const at = new Date().toISOString()
      await this.#deadLetter.take({ row, connector, reason: { status, code, text }, at })
    } catch (cause) {
      const why = cause instanceof Error ? `: ${cause.message}` : ''
      const message = `${connector}: the dead letter failed to take a row that was refused (${text})${why}`
      throw new DeliveryError('ERR_DEAD_LETTER', message, { ...details, cause })
    }
    this.#stats.rejected++
  }

  async #refuseEntry(entry: Entry, reason: Reason, aboutRow: boolean): Promise<void> {
    // Without a dead letter the first refused row ends the stream in any case.
    const waits = authStatuses.has(reason.status) || (!this.#accepted && this.#deadLetter !== undefined)
    if (!aboutRow && waits) {
      this.#suspects.push({ entry, reason })
      return
    }
    await this.#refuse(entry.row, reason)
    entry.settled = true
  }

  /** The destination accepts rows, so that what was refused is at fault itself. */
  async #refuseSuspects(): Promise<void> {
    for (const { entry, reason } of this.#suspects.splice(0)) await this.#refuseEntry(entry, reason, true)
  }

  /** Of a batch that is done: if all its rows were refused alike, and none was ever accepted, the endpoint is at fault. */
  async #judgeSuspects(): Promise<void> {
    const [first] = this.#suspects
    if (!first) return
    const { status, code } = first.reason
    const alike = this.#suspects.every(({ reason }) => reason.status === status && reason.code === code)
    if (!alike) await this.#refuseSuspects()
    else if (this.#suspects.length >= suspectsAlike) throw this.#endpointAtFault()
  }

  #endpointAtFault(): ConnectorError {
    const { connector } = this.#protocol
    const count = this.#suspects.length
    const { status, code, text } = this.#suspects[0]!.reason
    const isAuth = authStatuses.has(status)
    const said = `${status}: ${code === undefined ? '' : `${code}: `}${text}`
    const what = isAuth
      ? 'the credentials were refused'
      : `${count} rows in a row got the same refusal, and none was ever accepted: the endpoint or an option is at fault, not the rows`
    const details = { connector, status, serviceCode: code, serviceText: text }
    this.#fatal = new DeliveryError(
      isAuth ? 'ERR_AUTH' : 'ERR_DELIVERY',
      `${connector}: ${what} (${said})`,
      details,
    )
    return this.#fatal
  }

  /** @throws Stopped, or the error that ends the stream */
  async #deliver(batch: readonly Entry[]): Promise<void> {
    const parts: (readonly Entry[])[] = [batch]
    // Requests spent on bisection minus rows settled; above the allowance, row by row is cheaper.
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
      const sent = await this.#send(part)
      if (this.#suspects.length > 0 && sent.kind === 'accepted') await this.#refuseSuspects()
      overspent++
      if (sent.kind !== 'split') {
        overspent -= part.length
        if (cut !== undefined && sent.kind === 'accepted') {
          this.#cutBytes = Math.min(this.bodyBytes, cut)
          this.#cutUntil = performance.now() + cutMemory
          cut = undefined
        }
        continue
      }
      // Some may be in already, or refused by name, before the rest was found to be too much.
      const rest = part.filter(
        (entry) => !entry.settled && !this.#suspects.some((suspect) => suspect.entry === entry),
      )
      overspent -= part.length - rest.length
      if (rest.length === 1) await this.#refuseEntry(rest[0]!, sent.reason, sent.aboutRow ?? true)
      else if (sent.bounded && overspent > allowance) parts.unshift(...rest.map((entry) => [entry]))
      else {
        const halves = halvesOf(rest)
        const most = Math.max(...halves.map((half) => this.#bytesOf(half)))
        if (sent.cut) cut = most
        // What is too much now would be the next time too.
        else if (!sent.bounded) this.#bodyBytes = Math.min(this.#bodyBytes, most)
        parts.unshift(...halves)
      }
    }
  }

  #bytesOf(entries: readonly Entry[]): number {
    const { around, between } = this.#framing
    return entries.reduce((sum, { bytes }) => sum + between + bytes, around - between)
  }

  /** Sends entries until they are settled, or the unsettled ones must be split. */
  async #send(entries: readonly Entry[]): Promise<Sent> {
    const budget = new RetryBudget(this.#settings)
    let since = performance.now()
    let cuts = 0
    let renewed = false
    // One for all attempts at the same rows.
    let body: HeldBody | undefined
    try {
      for (;;) {
        await this.#turn()
        budget.begin()
        const { attempts } = budget
        body ??= await this.#bodies.make(entries)
        const given = await this.#attempt(body)
        const verdict = given.kind === 'again' && renewed ? { ...given, kind: 'fatal' as const } : given
        renewed = given.kind === 'again'
        switch (verdict.kind) {
          case 'accepted':
            if (verdict.slowDown) this.#holdAll(backoff(this.#settings, 0))
            this.#settle(entries, attempts, since, verdict.value)
            return verdict
          case 'refused':
            // Only a row that is refused alone is at fault.
            if (entries.length > 1)
              return { kind: 'split', bounded: true, reason: verdict.reason, aboutRow: verdict.aboutRow }
            await this.#refuseEntry(entries[0]!, verdict.reason, verdict.aboutRow ?? false)
            return verdict
          case 'split':
            return verdict
          case 'again':
            break
          case 'fatal':
            this.#fatal = verdict.error
            throw verdict.error
          case 'partial': {
            const { refusesNext } = verdict
            // A number that can't be read names no row.
            const isNumber = Number.isSafeInteger(verdict.accepted)
            if (!isNumber && refusesNext) return { kind: 'split', bounded: true, reason: verdict.reason }
            const accepted = isNumber ? Math.max(0, Math.min(verdict.accepted, entries.length)) : 0
            this.#settle(entries.slice(0, accepted), attempts, since, verdict.reason)
            const next = entries[accepted]
            if (refusesNext && next) await this.#refuseEntry(next, verdict.reason, verdict.aboutRow ?? true)
            entries = entries.slice(refusesNext ? accepted + 1 : accepted)
            if (entries.length === 0) return { kind: 'accepted' }
            if (accepted > 0 || refusesNext) {
              body.release()
              body = undefined
              since = performance.now()
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
    } finally {
      body?.release()
    }
  }

  /** Waits until this sink may send. */
  async #turn(): Promise<void> {
    for (;;) {
      if (this.#halt.signal.aborted) throw new Stopped()
      const wait = this.#pausedUntil - performance.now()
      if (wait <= 0) break
      await this.#unlessHalted(pause(wait, this.#halt.signal))
    }
    const turn = this.#load.turn()
    if (turn) await this.#unlessHalted(untilAborted(turn, this.#halt.signal))
  }

  async #attempt(body: HeldBody): Promise<SinkVerdict> {
    const ended = this.#load.attempt(body.rows, this.#stats.inFlight >= this.#load.requests)
    const verdict = await this.#request((attempt) => this.#protocol.send(body, attempt))
    ended(verdict)
    return verdict
  }

  async #request(send: (attempt: Attempt) => Promise<SinkVerdict>): Promise<SinkVerdict> {
    this.#stats.requests++
    const { signal } = this.#abort
    try {
      const verdict = await send({ signal, timeout: this.#settings.request_timeout * 1000 })
      this.#reached ||= verdict.kind !== 'retry' || verdict.reason.status !== undefined
      return verdict
    } catch (error) {
      if (signal.aborted) throw new Stopped()
      const { code, message } = error as NodeJS.ErrnoException
      if (isTransientFault(error)) {
        const reason = { code, text: message }
        return { kind: 'retry', reason, cause: error as Error, cut: cutCodes.has(code) }
      }
      if (error instanceof ConnectorError) return { kind: 'fatal', error }
      const { connector } = this.#protocol
      const details = { connector, cause: error }
      return {
        kind: 'fatal',
        error: new DeliveryError('ERR_DELIVERY', `${connector}: ${message}`, details),
      }
    }
  }

  async #waitToRetry(
    entries: readonly Entry[],
    verdict: SinkVerdict & { kind: 'retry' | 'partial' },
    budget: RetryBudget,
  ): Promise<void> {
    if (this.#halt.signal.aborted) throw new Stopped()
    const { connector } = this.#protocol
    const { status, code, text } = verdict.reason
    // If the number of requests adapts, fewer are sent: to stand still is not needed, unless the server says so.
    const adapts = this.#settings.max_in_flight === 'auto' && verdict.holdAll && verdict.after === undefined
    const planned = budget.retryAfter(verdict.after, !this.#reached && isUnresolved(verdict.cause))
    if (planned === undefined) throw gaveUp(connector, verdict, budget)
    const wait = adapts ? Math.min(planned, this.#longestPause()) : planned
    if (verdict.holdAll && !adapts) this.#holdAll(wait)
    const { attempts } = budget
    this.#stats.retries++
    warnOfRetry({ connector, host: this.#protocol.host, code: status ?? code, text, wait }, this.#settings)
    report(this.#sink, 'retry', { connector, rows: entries.length, attempts, wait, status, code, text })
    await this.#unlessHalted(pause(wait, this.#halt.signal))
  }

  /** Caps the wait at the time since the last successful delivery, so that what was refused does not lie about once others pass. */
  #longestPause(): number {
    return Math.max(this.#settings.initial_backoff * 1000, performance.now() - this.#delivered)
  }

  #holdAll(wait: number): void {
    this.#pausedUntil = Math.max(this.#pausedUntil, performance.now() + wait)
  }

  /** @param waiting rejects once it is halted */
  async #unlessHalted(waiting: Promise<void>): Promise<void> {
    try {
      await waiting
    } catch {
      throw new Stopped()
    }
  }

  #settle(entries: readonly Entry[], attempts: number, since: number, { status }: Reason): void {
    if (entries.length === 0) return
    this.#delivered = performance.now()
    this.#accepted = true
    let bytes = 0
    for (const entry of entries) {
      entry.settled = true
      bytes += entry.bytes
    }
    const { connector } = this.#protocol
    const duration = Math.round(this.#delivered - since)
    this.#stats.delivered += entries.length
    this.#stats.bytes += bytes
    report(this.#sink, 'batch', { connector, rows: entries.length, bytes, attempts, status, duration })
  }
}

/** The error of retries that have run out. */
function gaveUp(
  connector: string,
  verdict: SinkVerdict & { kind: 'retry' | 'partial' },
  { attempts: counted, endedBy, endedText }: RetryBudget,
): DeliveryError {
  const { status, code, text } = verdict.reason
  // The answer that accepted a part of the rows may be the last one too.
  const attempts = Math.max(1, counted)
  const said = [status, code === undefined ? undefined : `code ${code}`, text].filter(
    (part) => part !== undefined,
  )
  return new DeliveryError(
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
      cause: verdict.cause,
    },
  )
}

/** Codes of a connection that ended in the middle. */
const cutCodes = new Set<string | undefined>(['ECONNRESET', 'EPIPE', 'ECONNABORTED'])

function halvesOf(entries: readonly Entry[]): (readonly Entry[])[] {
  const middle = Math.ceil(entries.length / 2)
  return [entries.slice(0, middle), entries.slice(middle)]
}
