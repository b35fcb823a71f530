import { setMaxListeners } from 'node:events'
import { addAbortSignal, type Readable, Writable } from 'node:stream'
import { finished } from 'node:stream/promises'
import { DeadLetterOffice } from './dead-letter.ts'
import { Delivery, DeliveryStopped, FatalDelivery } from './delivery.ts'
import { attachRows, DeliveryError } from './errors.ts'
import { describe, isRow } from './json.ts'
import { noStats, publish, type SinkEvents, type SinkStats } from './observation.ts'
import { type StreamOptionValues, streamOptions } from './options.ts'
import { longestTimer } from './retry.ts'
import { RowStore } from './row-store.ts'
import { remove } from './short-list.ts'
import type { SinkSettings } from './sink-options.ts'
import type { EncodedRow, Entry, Reason, SinkProtocol } from './sink-protocol.ts'

/** Rows that Node has handed over, and its callback, kept until each row has a place in a batch. */
interface Intake {
  readonly rows: readonly unknown[]
  /** When they were handed over, in milliseconds since the epoch. */
  readonly at: number
  readonly callback: (error?: Error | null) => void
  next: number
  /** The next row, encoded but not yet placed. */
  encoded: EncodedRow | undefined
  /** A refused row is on its way to the dead letter. */
  refusal: Promise<void> | undefined
}

/** Bytes by which a batch may be larger than the last one before its store has to grow. */
const spare = 2048

/** How long `destroy()` waits for requests that it has cut, in milliseconds. */
const grace = 2000

/**
 * What every sink is: an object-mode Writable that sends rows in batches and is finished when each row is settled, that
 * is, acknowledged by the destination or taken by the dead letter.
 *
 * At most `max_in_flight` requests are under way while one batch is filled; when that is full, `write()` has to wait. So
 * memory holds (`max_in_flight` + 1) batches and what the stream buffers, however slow the destination.
 *
 * The error of a sink that fails or is destroyed lists the rows that are not settled as `error.rows`, in order of writing.
 */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: adds the events to Node's own declarations, no member
export class BatchingWritable extends Writable {
  readonly #protocol: SinkProtocol
  readonly #settings: SinkSettings
  readonly #delivery: Delivery
  readonly #deadLetter: DeadLetterOffice | undefined
  readonly #abort = new AbortController()
  readonly #halt = new AbortController()
  readonly #stats: SinkStats = noStats()
  /** Batches that left and are not settled yet, oldest first. */
  readonly #batches: (readonly Entry[])[] = []
  readonly #flights: Promise<void>[] = []
  #intake: Intake | undefined
  #open: Entry[] = []
  /** The bytes of the open batch. */
  #store: RowStore | undefined
  /** Those of batches that are settled, for batches to come: `max_in_flight` and one at most. */
  readonly #stores: RowStore[] = []
  /** What a batch is likely to need: as much as the last one. */
  #storeSize = spare
  #openBytes = 0
  #linger: NodeJS.Timeout | undefined
  /** The open batch is to leave as soon as it can, full or not. */
  #due = false
  #final: ((error?: Error | null) => void) | undefined
  #failure: Error | undefined
  #lastWait: NodeJS.Timeout | undefined
  /** What Node still held when the stream was destroyed. */
  #dropped: readonly unknown[] | undefined
  #unsettled: readonly unknown[] | undefined

  constructor(protocol: SinkProtocol, settings: SinkSettings & StreamOptionValues) {
    super({ highWaterMark: settings.batch_size, ...streamOptions(settings), objectMode: true })
    this.#protocol = protocol
    this.#settings = settings
    this.#deadLetter = settings.dead_letter && new DeadLetterOffice(settings.dead_letter)
    const signals = { abort: this.#abort.signal, halt: this.#halt.signal }
    setMaxListeners(0, signals.abort, signals.halt)
    this.#delivery = new Delivery(
      protocol,
      settings,
      {
        batch: (event) => this.#tell('batch', event),
        retry: (event) => this.#tell('retry', event),
        refuse: (entry, reason) => this.#refuse(entry, reason),
      },
      this.#stats,
      signals,
    )
    if (settings.signal) addAbortSignal(settings.signal, this)
  }

  /** Counts so far; the object is live. */
  get stats(): Readonly<SinkStats> {
    return this.#stats
  }

  /** Rows accepted by `write()` that are not settled, in order of writing. Once the stream is closed: those left over. */
  get unsettled(): readonly unknown[] {
    return this.#unsettled ?? [...this.#unsettledHere(), ...(this.#dropped ?? this.#queued())]
  }

  /** Ends the stream and waits until every row is settled. @throws the stream's error */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.destroyed) this.end()
    try {
      await finished(this)
    } catch (error) {
      // Destroyed on purpose, with nothing left: Node calls that a premature close.
      if (this.errored || this.unsettled.length > 0) throw error
    }
  }

  override _write(row: unknown, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    this.#take([row], callback)
  }

  override _writev(chunks: { chunk: unknown }[], callback: (error?: Error | null) => void): void {
    this.#take(
      chunks.map(({ chunk }) => chunk),
      callback,
    )
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.#final = callback
    this.#due = true
    this.#proceed()
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    clearTimeout(this.#linger)
    clearTimeout(this.#lastWait)
    const dropped = this.#queued()
    this.#dropped = dropped
    this.#halt.abort()
    this.#abort.abort()
    this.#protocol.close()
    const end = () => {
      this.#unsettled = [...this.#unsettledHere(), ...dropped]
      const left = this.#unsettled.length
      const { connector } = this.#protocol
      const message = `${connector}: destroyed with ${left} rows neither acknowledged nor dead-lettered`
      // Without an error `pipeline` would resolve when the stream is destroyed during its last batch.
      const aborted = left > 0 ? new DeliveryError('ERR_ABORTED', message, { connector }) : null
      const reason = error ?? this.#failure ?? aborted
      if (reason && Object.isExtensible(reason) && !Object.hasOwn(reason, 'rows'))
        attachRows(reason, this.#unsettled)
      this.#intake?.callback(reason)
      this.#final?.(reason)
      this.#intake = undefined
      this.#final = undefined
      this.#open = []
      this.#stores.length = 0
      this.#deadLetter?.close()
      callback(reason)
    }
    const underWay = [...this.#flights, ...(this.#intake?.refusal ? [this.#intake.refusal] : [])]
    if (underWay.length === 0) {
      end()
      return
    }
    let timer: NodeJS.Timeout | undefined
    const limit = new Promise((resolve) => {
      timer = setTimeout(resolve, grace)
    })
    // What was cut settles at once; 'close' then means that nothing is under way.
    Promise.race([Promise.allSettled(underWay), limit]).then(() => {
      clearTimeout(timer)
      end()
    })
  }

  #take(rows: readonly unknown[], callback: (error?: Error | null) => void): void {
    this.#stats.written += rows.length
    this.#intake = { rows, at: Date.now(), callback, next: 0, encoded: undefined, refusal: undefined }
    this.#proceed()
  }

  /** Does all that can be done now: place rows, launch batches, answer Node. Called whenever something has changed. */
  #proceed(): void {
    while (!this.destroyed && !this.#failure) {
      if (this.#open.length > 0) {
        if (this.#isFull()) {
          if (!this.#launch()) return
        } else if (this.#due) this.#launch()
      }
      const intake = this.#intake
      if (!intake) break
      if (intake.refusal) return
      if (intake.next < intake.rows.length) {
        if (!this.#place(intake)) return
      } else {
        this.#intake = undefined
        intake.callback()
      }
    }
    if (this.#failure) {
      if (this.#flights.length === 0 && !this.#intake?.refusal) this.destroy(this.#failure)
    } else if (this.#final && this.#flights.length === 0 && this.#open.length === 0 && !this.#intake) {
      const callback = this.#final
      this.#final = undefined
      callback()
    }
  }

  /** Puts the next row of the intake into the open batch, or sends that off for it. @returns false where it has to wait */
  #place(intake: Intake): boolean {
    const row = intake.rows[intake.next]
    try {
      intake.encoded ??= this.#encode(row, intake.at)
    } catch (problem) {
      // Getters and toJSON are the user's: they may throw anything.
      const text = problem instanceof Error ? problem.message : `it threw ${describe(problem)}`
      const entry = { row, wire: '', bytes: 0, settled: false }
      // In a later turn: a listener must not find this stream in the middle of a write.
      const refused = Promise.resolve().then(() => this.#refuse(entry, { code: 'ERR_ROW', text }))
      intake.refusal = refused.then(
        () => {
          intake.refusal = undefined
          intake.next++
          if (!this.destroyed) this.#proceed()
        },
        (error) => {
          intake.refusal = undefined
          this.#fail(error)
        },
      )
      return false
    }
    const { wire, group } = intake.encoded
    const { around, between } = this.#protocol.framing
    const first = this.#open[0]
    const left = this.#batchBytes - this.#openBytes - between
    // A text has at least as many bytes as characters: what can't fit is not even written.
    if (first && (first.group !== group || wire.length > left)) return this.#launch()
    this.#store ??= this.#stores.pop() ?? new RowStore(this.#storeSize)
    const bytes = this.#store.write(wire)
    if (first && bytes > left) return this.#launch()
    this.#open.push(this.#store.keep(row, group, bytes))
    this.#openBytes += (first ? between : around) + bytes
    intake.encoded = undefined
    intake.next++
    // Not unref'd: rows that wait here keep the process alive until they are out.
    if (this.#open.length === 1) {
      this.#linger = setTimeout(
        () => {
          this.#due = true
          this.#proceed()
        },
        Math.min(this.#settings.linger_ms, longestTimer),
      )
    }
    return true
  }

  #encode(row: unknown, at: number): EncodedRow {
    if (!isRow(row)) throw new Error(`expected a row (a plain object), got ${describe(row)}`)
    const encoded = this.#protocol.encode(row, at)
    const { maxRowBytes } = this.#protocol
    // A UTF-16 unit has no more than 3 bytes in UTF-8: mostly there is no need to count.
    if (maxRowBytes !== undefined && encoded.wire.length * 3 > maxRowBytes) {
      const bytes = Buffer.byteLength(encoded.wire)
      if (bytes > maxRowBytes)
        throw new Error(`the row has ${bytes} bytes as JSON, the most that can be sent is ${maxRowBytes}`)
    }
    return encoded
  }

  #isFull(): boolean {
    return this.#open.length >= this.#settings.batch_size || this.#openBytes >= this.#batchBytes
  }

  get #batchBytes(): number {
    return Math.min(this.#settings.batch_bytes, this.#delivery.bodyBytes)
  }

  /** Sends the open batch off. @returns false where no request may be added now */
  #launch(): boolean {
    if (this.#flights.length >= this.#settings.max_in_flight) return false
    clearTimeout(this.#linger)
    const batch = this.#open
    const store = this.#store!
    this.#storeSize = store.size + spare
    this.#store = undefined
    this.#open = []
    this.#openBytes = 0
    this.#due = this.#final !== undefined
    this.#batches.push(batch)
    const flight = this.#fly(batch).finally(() => {
      remove(this.#flights, flight)
      this.#stats.inFlight = this.#flights.length
      if (batch.every(({ settled }) => settled)) {
        remove(this.#batches, batch)
        if (store.free) {
          store.clear()
          this.#stores.push(store)
        }
      }
      if (!this.destroyed) this.#proceed()
    })
    this.#flights.push(flight)
    this.#stats.inFlight = this.#flights.length
    return true
  }

  async #fly(batch: readonly Entry[]): Promise<void> {
    try {
      await this.#delivery.deliver(batch)
    } catch (error) {
      if (error instanceof FatalDelivery) this.destroy(error.error)
      else if (!(error instanceof DeliveryStopped)) this.#fail(error as Error)
    }
  }

  /** Ends the stream with an error, once the requests under way have been answered: cut, their rows would be in doubt. */
  #fail(error: Error): void {
    if (this.#failure || this.destroyed) return
    this.#failure = error
    this.#halt.abort()
    const wait = Math.min(this.#settings.request_timeout * 1000, longestTimer)
    this.#lastWait = setTimeout(() => this.destroy(error), wait)
    this.#proceed()
  }

  /** Settles a refused row by the dead letter. @throws DeliveryError where there is none, or it fails */
  async #refuse(entry: Entry, reason: Reason): Promise<void> {
    const { connector } = this.#protocol
    const { row } = entry
    const { status, code, text } = reason
    this.#tell('rejected', { connector, row, status, code, text })
    const details = { connector, status, serviceCode: code, serviceText: text }
    if (!this.#deadLetter) {
      const kind = code === 'ERR_ROW' ? 'ERR_ROW' : 'ERR_REJECTED'
      throw new DeliveryError(kind, `${connector}: a row was refused: ${text}`, details)
    }
    try {
      await this.#deadLetter.take({
        row,
        connector,
        reason: { status, code, text },
        at: new Date().toISOString(),
      })
    } catch (cause) {
      const message = `${connector}: the dead letter failed to take a row that was refused (${text})`
      throw new DeliveryError('ERR_DEAD_LETTER', message, { ...details, cause })
    }
    entry.settled = true
    this.#stats.rejected++
  }

  #tell<E extends keyof SinkEvents>(event: E, message: SinkEvents[E]): void {
    this.emit(event, message)
    publish(event, message)
  }

  /** Unsettled rows that Node has handed over. */
  #unsettledHere(): unknown[] {
    const entries = [...this.#batches, this.#open].flat()
    const rows = entries.filter(({ settled }) => !settled).map(({ row }) => row)
    const intake = this.#intake
    return intake ? rows.concat(intake.rows.slice(intake.next)) : rows
  }

  /** Rows that `write()` has accepted and Node still holds. Node drops them silently when the stream is destroyed. */
  #queued(): unknown[] {
    const { writableBuffer } = this as unknown as { writableBuffer?: readonly ({ chunk: unknown } | null)[] }
    return (writableBuffer ?? []).flatMap((queued) => (queued ? [queued.chunk] : []))
  }
}

type Listener<A extends unknown[]> = (...args: A) => void

export interface BatchingWritable {
  on<E extends keyof SinkEvents>(event: E, listener: Listener<[SinkEvents[E]]>): this
  on(event: 'close' | 'drain' | 'finish', listener: Listener<[]>): this
  on(event: 'error', listener: Listener<[Error]>): this
  on(event: 'pipe' | 'unpipe', listener: Listener<[Readable]>): this
  on(event: string | symbol, listener: Listener<never[]>): this
  once<E extends keyof SinkEvents>(event: E, listener: Listener<[SinkEvents[E]]>): this
  once(event: 'close' | 'drain' | 'finish', listener: Listener<[]>): this
  once(event: 'error', listener: Listener<[Error]>): this
  once(event: 'pipe' | 'unpipe', listener: Listener<[Readable]>): this
  once(event: string | symbol, listener: Listener<never[]>): this
}
