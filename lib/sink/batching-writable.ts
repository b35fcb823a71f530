import { addAbortSignal, type Readable, Writable } from 'node:stream'
import { finished } from 'node:stream/promises'
import { attachRows, ConnectorError, DeliveryError } from '../core/errors.ts'
import { describe, isRow, JsonText } from '../core/json.ts'
import { type StreamOptionValues, streamOptions } from '../core/options.ts'
import { counted } from '../core/quantities.ts'
import { longestTimer } from '../core/retry.ts'
import { RowBlock, rowsOfChunk } from '../core/row-block.ts'
import { remove } from '../core/short-list.ts'
import { type Entry, mostOpen, type OpenBatch, OpenBatches, RowStore } from './batches.ts'
import { framingBytes } from './body.ts'
import { Delivery, type DeliveryFailure } from './delivery.ts'
import { publishSink, type SinkEvents, type SinkStats } from './events.ts'
import { firstRows } from './load.ts'
import type { SinkSettings } from './options.ts'
import type { EncodedRow, SinkProtocol } from './protocol.ts'

/** Rows that Node has handed over, and its callback, kept until each row has a place in a batch. */
interface Intake {
  readonly rows: readonly unknown[]
  /** The place of the first among all rows of the sink. */
  readonly first: number
  /** When they were handed over, in milliseconds since the epoch. */
  readonly at: number
  readonly callback: (error?: Error | null) => void
  /** How many chunks of Node's they are. */
  readonly chunks: number
  next: number
  /** The next row, encoded but not yet placed. */
  encoded: EncodedRow | undefined
  /** A refused row is on its way to the dead letter. */
  refusing: boolean
}

/** A row that is not settled. */
interface Unsettled {
  readonly row: unknown
  readonly place: number
}

/** What is left of a stream that is closed. */
interface Remains {
  /** In order of writing. */
  readonly rows: readonly Unsettled[]
  readonly reason: Error | null
}

/** A caller that waits until the rows before a place are settled. */
interface Flush {
  readonly until: number
  resolve(): void
  reject(error: Error): void
}

type WriteCallback = (error: Error | null | undefined) => void

/** Bytes by which a batch may be larger than the last one before its store has to grow. */
const spare = 2048

/**
 * What every sink is: an object-mode Writable that sends rows in batches and is finished when each row is settled, that
 * is, acknowledged by the destination or taken by the dead letter.
 *
 * At most `max_in_flight` requests are in flight while batches are filled, one for each group of rows (rows whose request
 * line or headers differ): up to 64, of `batch_bytes` in all. When one is full, `write()` has to wait. So memory holds
 * (`max_in_flight` + 1) times `batch_bytes` and what the stream buffers, however slow the destination.
 *
 * The error of a sink that fails or is destroyed lists the rows that are not settled as `error.rows`, in order of writing.
 */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: adds the events to Node's own declarations, no member
export class BatchingWritable extends Writable {
  readonly #protocol: SinkProtocol
  readonly #settings: SinkSettings
  readonly #delivery: Delivery
  readonly #framing: { readonly around: number; readonly between: number }
  /** Batches that left and are not settled yet, oldest first. */
  readonly #batches: (readonly Entry[])[] = []
  #intake: Intake | undefined
  readonly #open = new OpenBatches()
  /** An open batch that is full, and so blocks the next row. */
  #full: OpenBatch | undefined
  readonly #flushes: Flush[] = []
  /** Rows before this place are to leave as soon as all of them are in batches, full or not. */
  #flushTo = 0
  /** Those of batches that are settled, for batches to come: `max_in_flight` and one at most. */
  readonly #stores: RowStore[] = []
  /** What a batch is likely to need: as much as the last one. */
  #storeSize = spare
  /** Whether the protocol has what it needs before the first row. */
  #prepared: 'soon' | 'now' | undefined
  #final: ((error?: Error | null) => void) | undefined
  /** The stream ends with this once the requests in flight have been answered. */
  #failure: Error | undefined
  #lastWait: NodeJS.Timeout | undefined
  /** Rows in blocks that Node holds, beyond one a block: Node counts chunks. */
  #moreInBlocks = 0
  /** What Node still held when the stream was destroyed. */
  #dropped: readonly unknown[] | undefined
  /** The stream is closed, and its error, if any, was emitted. */
  #reported = false
  /** What is left over, once the stream is closed, and why. */
  #left: Remains | undefined

  constructor(protocol: SinkProtocol, settings: SinkSettings & StreamOptionValues) {
    super({ highWaterMark: firstRows(settings), ...streamOptions(settings), objectMode: true })
    this.#protocol = protocol
    this.#settings = settings
    this.#delivery = new Delivery(protocol, settings, this)
    this.#framing = framingBytes(protocol.framing)
    if (settings.signal) addAbortSignal(settings.signal, this)
    publishSink(protocol.connector, this)
  }

  /** Counts so far; the object is live. */
  get stats(): Readonly<SinkStats> {
    return this.#delivery.stats
  }

  /** Rows accepted by `write()` that are not settled, in order of writing. Once the stream is closed: those left over. */
  get unsettled(): readonly unknown[] {
    return (this.#left?.rows ?? this.#unsettledRows()).map(({ row }) => row)
  }

  /**
   * The body of a request with these rows as it would be sent, before compression. Nothing is sent or counted.
   * @throws Error for a row that can't be sent
   */
  preview(rows: readonly unknown[]): string {
    const { open, separator, close } = this.#protocol.framing
    const parts = rows.map((row) => {
      const { wire, raw, after = '' } = this.#encode(row, Date.now())
      return `${wire}${raw?.toString() ?? ''}${after}`
    })
    return `${open}${parts.join(separator)}${close}`
  }

  /**
   * Sends what was written so far, full batches or not, and waits until each of these rows is settled: acknowledged by
   * the destination or taken by the dead letter. The stream stays open; rows that are written later are not waited for.
   * While the destination fails it waits as long as the sink retries.
   *
   * @throws DeliveryError with the code and the text of the stream's error where that has ended with some of these rows
   * unsettled; they are its `rows`
   */
  flush(): Promise<void> {
    // What is corked would never come.
    while (this.writableCorked > 0) this.uncork()
    return new Promise((resolve, reject) => {
      const until = this.destroyed ? Number.POSITIVE_INFINITY : this.stats.written + this.#queuedCount
      const flush = { until, resolve, reject }
      if (this.#left) {
        this.#end(flush, this.#left)
        return
      }
      this.#flushes.push(flush)
      if (this.destroyed) return
      this.#flushTo = until
      if (this.#placed === until) this.#dueAll()
      this.#proceed()
    })
  }

  override write(chunk: unknown, callback?: WriteCallback): boolean
  override write(chunk: unknown, encoding: BufferEncoding, callback?: WriteCallback): boolean
  override write(chunk: unknown, ...rest: unknown[]): boolean {
    this.#noteBlock(chunk)
    return super.write(chunk, ...(rest as [WriteCallback?]))
  }

  override end(callback?: () => void): this
  override end(chunk: unknown, callback?: () => void): this
  override end(chunk: unknown, encoding: BufferEncoding, callback?: () => void): this
  override end(chunk?: unknown, ...rest: unknown[]): this {
    this.#noteBlock(chunk)
    return super.end(chunk, ...(rest as [(() => void)?]))
  }

  #noteBlock(chunk: unknown): void {
    if (chunk instanceof RowBlock) this.#moreInBlocks += chunk.rows.length - 1
  }

  /** As Node's, except that rows which a pending {@link flush} waits for are not held back. */
  override cork(): void {
    const awaited = this.#flushes.at(-1)?.until ?? 0
    if (awaited <= this.stats.written) super.cork()
  }

  /** Ends the stream and waits until every row is settled. @throws the stream's error */
  async [Symbol.asyncDispose](): Promise<void> {
    // Its error has been reported: thrown once more, it would hide that one in a SuppressedError.
    const reported = this.#reported
    if (!this.destroyed) this.end()
    try {
      await finished(this)
    } catch (error) {
      // Destroyed on purpose, with nothing left: Node calls that a premature close.
      if (!reported && (this.errored || this.unsettled.length > 0)) throw error
    }
  }

  override _write(row: unknown, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    this.#take(rowsOfChunk(row), 1, callback)
  }

  override _writev(chunks: { chunk: unknown }[], callback: (error?: Error | null) => void): void {
    this.#take(
      chunks.flatMap(({ chunk }) => rowsOfChunk(chunk)),
      chunks.length,
      callback,
    )
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.#final = callback
    this.#dueAll()
    this.#proceed()
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    for (const { linger } of this.#open) clearTimeout(linger)
    clearTimeout(this.#lastWait)
    this.#dropped = this.#queued()
    const requests = this.#delivery.abort()
    this.#protocol.close()
    const end = () => {
      const rows = this.#unsettledRows()
      const left = rows.length
      const { connector } = this.#protocol
      const message = `${connector}: destroyed with ${counted(left, 'row')} neither acknowledged nor dead-lettered`
      // Without an error `pipeline` would resolve when the stream is destroyed during its last batch.
      const aborted = left > 0 ? new DeliveryError('ERR_ABORTED', message, { connector }) : null
      const reason = error ?? this.#failure ?? aborted
      if (reason && Object.isExtensible(reason) && !Object.hasOwn(reason, 'rows'))
        attachRows(reason, rows.map(({ row }) => row)) // biome-ignore format: one call
      this.#left = { rows, reason }
      this.#intake?.callback(reason)
      this.#final?.(reason)
      this.#intake = undefined
      this.#final = undefined
      this.#open.clear()
      this.#stores.length = 0
      this.#delivery.close()
      for (const flush of this.#flushes.splice(0)) this.#end(flush, this.#left)
      callback(reason)
      // Node emits 'error' in the next turn.
      process.nextTick(() => {
        this.#reported = true
      })
    }
    // A request that was cut settles at once; 'close' then means that none is in flight.
    if (requests) requests.then(end)
    else end()
  }

  #take(rows: readonly unknown[], chunks: number, callback: (error?: Error | null) => void): void {
    const first = this.stats.written
    this.#moreInBlocks -= rows.length - chunks
    this.#delivery.countWritten(rows.length)
    this.#intake = {
      rows,
      first,
      at: Date.now(),
      callback,
      chunks,
      next: 0,
      encoded: undefined,
      refusing: false,
    }
    this.#proceed()
  }

  /** Does all that can be done now: place rows, launch batches, answer Node. Called whenever something has changed. */
  #proceed(): void {
    while (!this.destroyed && !this.#failure) {
      if (this.#full && !this.#launch(this.#full)) break
      for (let due = this.#open.due; due && this.#launch(due); due = this.#open.due);
      const intake = this.#intake
      if (!intake) break
      if (intake.refusing || !this.#isPrepared()) break
      if (intake.next < intake.rows.length) {
        if (!this.#place(intake)) break
      } else {
        this.#intake = undefined
        intake.callback()
      }
    }
    const { inFlight } = this.stats
    const isIdle = inFlight === 0 && this.#open.size === 0 && !this.#intake
    if (
      isIdle &&
      this.#delivery.hasSuspects &&
      !this.#failure &&
      !this.destroyed &&
      (this.#final || this.#flushes.length > 0)
    ) {
      this.#delivery.settleSuspects().then((failure) => this.#landed(failure))
      return
    }
    if (this.#failure) {
      if (inFlight === 0 && !this.#intake?.refusing) this.destroy(this.#failure)
    } else if (this.#final && isIdle) {
      const callback = this.#final
      this.#final = undefined
      callback()
    }
    if (this.#flushes.length > 0) this.#settleFlushes()
  }

  /** Whether rows can be encoded; if not, it is seen to. */
  #isPrepared(): boolean {
    if (this.#protocol.prepare && !this.#prepared) {
      this.#prepared = 'soon'
      this.#delivery.prepare().then((failure) => {
        this.#prepared = 'now'
        if (failure) this.destroy(failure.error)
        else if (!this.destroyed) this.#proceed()
      })
    }
    return this.#prepared !== 'soon'
  }

  /** How many rows have a place in a batch, or were refused. */
  get #placed(): number {
    return this.#intake ? this.#intake.first + this.#intake.next : this.stats.written
  }

  #advance(intake: Intake): void {
    intake.encoded = undefined
    intake.next++
    if (intake.first + intake.next === this.#flushTo) this.#dueAll()
  }

  #dueAll(): void {
    for (const batch of this.#open) this.#open.makeDue(batch)
  }

  #settleFlushes(): void {
    if (this.destroyed) return
    const oldest = this.#oldestUnsettled()
    while (this.#flushes[0] && this.#flushes[0].until <= oldest) this.#flushes.shift()!.resolve()
  }

  /** The place of the oldest row that is not settled; of the next one to come where all are. */
  #oldestUnsettled(): number {
    let oldest = this.#placed
    const look = (place = oldest) => {
      oldest = Math.min(oldest, place)
    }
    // Rows of a batch are in order.
    for (const batch of this.#batches) look(batch.find(({ settled }) => !settled)?.place)
    for (const { entries } of this.#open) look(entries[0]?.place)
    return oldest
  }

  /** Ends a flush of a stream that is closed. */
  #end({ until, resolve, reject }: Flush, { rows, reason }: Remains): void {
    const count = countBefore(rows, until)
    if (count === 0) resolve()
    else reject(flushError(this.#protocol.connector, reason, rows, count))
  }

  /** Puts the next row of the intake into the open batch, or sends that off for it. @returns false if it must wait */
  #place(intake: Intake): boolean {
    const row = intake.rows[intake.next]
    try {
      intake.encoded ??= this.#encode(row, intake.at)
    } catch (problem) {
      // Getters and toJSON are the user's: they may throw anything.
      const text = problem instanceof Error ? problem.message : `it threw ${describe(problem)}`
      this.#refuse(intake, row, text)
      return false
    }
    const { encoded } = intake
    const { group } = encoded
    const { around, between } = this.#framing
    const open = this.#open
    let batch = open.of(group)
    const joint = batch ? between : around
    const left = open.size === 0 ? Number.POSITIVE_INFINITY : this.#batchBytes - open.bytes - joint
    // A text has at least as many bytes as characters: what can't fit is not even written.
    if (lengthOf(encoded) > left) return this.#launch(open.fullest!)
    if (!batch) {
      const noRoom = open.size >= mostOpen || (open.size > 0 && bytesOf(encoded) > left)
      if (noRoom) return this.#launch(open.fullest!)
      batch = this.#begin(group)
    }
    const bytes = batch.store.write(encoded)
    if (bytes > left) return this.#launch(open.fullest!)
    const entry = batch.store.keep(row, group, bytes, intake.first + intake.next)
    open.add(batch, entry, joint + bytes)
    if (batch.entries.length >= this.#delivery.batchRows || batch.bytes >= this.#batchBytes)
      this.#full = batch
    this.#advance(intake)
    return true
  }

  /** Hands the intake's next row, which can't be encoded, to the dead letter. */
  async #refuse(intake: Intake, row: unknown, text: string): Promise<void> {
    intake.refusing = true
    // In a later turn: a listener must not find this stream in the middle of a write.
    await undefined
    // Nobody would wait for the dead letter of a stream that is destroyed: the row is one of those left.
    if (this.destroyed) return
    try {
      await this.#delivery.refuse(row, { code: 'ERR_ROW', text })
    } catch (error) {
      intake.refusing = false
      this.#fail(error as Error)
      return
    }
    intake.refusing = false
    this.#advance(intake)
    if (!this.destroyed) this.#proceed()
  }

  /** Opens a batch. */
  #begin(group: string | undefined): OpenBatch {
    // Of many groups each has fewer rows than a batch of all of them.
    const size = this.#open.size === 0 ? this.#storeSize : spare
    const batch = this.#open.open(group, this.#stores.pop() ?? new RowStore(size))
    // Not unref'd: rows that wait here keep the process alive until they are out.
    batch.linger = setTimeout(
      () => {
        this.#open.makeDue(batch)
        this.#proceed()
      },
      Math.min(this.#settings.linger_ms, longestTimer),
    )
    return batch
  }

  #encode(row: unknown, at: number): EncodedRow {
    const protocol = this.#protocol
    let encoded: EncodedRow
    if (row instanceof JsonText) encoded = protocol.encodeText?.(row, at) ?? protocol.encode(row.value, at)
    else if (isRow(row)) encoded = protocol.encode(row, at)
    else throw new Error(`expected a row (a plain object), got ${describe(row)}`)
    const { maxRowBytes } = protocol
    // A UTF-16 unit has no more than 3 bytes in UTF-8: mostly there is no need to count.
    if (maxRowBytes !== undefined && lengthOf(encoded) * 3 > maxRowBytes) {
      const bytes = bytesOf(encoded)
      if (bytes > maxRowBytes)
        throw new Error(`the row has ${bytes} bytes as JSON, the most that can be sent is ${maxRowBytes}`)
    }
    return encoded
  }

  get #batchBytes(): number {
    return Math.min(this.#settings.batch_bytes, this.#delivery.bodyBytes)
  }

  /** Sends an open batch off. @returns false where no request may be added now */
  #launch(open: OpenBatch): boolean {
    const delivery = this.#delivery
    if (this.stats.inFlight >= delivery.maxInFlight) return false
    const { entries: batch, store } = open
    this.#open.remove(open)
    if (this.#full === open) this.#full = undefined
    this.#storeSize = store.size + spare
    this.#batches.push(batch)
    delivery.deliver(batch).then((failure) => {
      if (
        batch.every(({ settled }) => settled) &&
        store.free &&
        this.#stores.length <= delivery.maxInFlight
      ) {
        store.clear()
        this.#stores.push(store)
      }
      this.#landed(failure)
    })
    return true
  }

  /** A batch is done, or another one has shown what becomes of its rows. */
  #landed(failure: DeliveryFailure | undefined): void {
    for (const batch of [...this.#batches])
      if (batch.every(({ settled }) => settled)) remove(this.#batches, batch)
    if (failure?.atOnce) this.destroy(failure.error)
    else if (failure) this.#fail(failure.error)
    if (!this.destroyed) this.#proceed()
  }

  /** Ends the stream with an error after the requests in flight are answered: aborting them would leave their rows in doubt. */
  #fail(error: Error): void {
    if (this.#failure || this.destroyed) return
    this.#failure = error
    this.#delivery.halt()
    const wait = Math.min(this.#settings.request_timeout * 1000, longestTimer)
    this.#lastWait = setTimeout(() => this.destroy(error), wait)
    this.#proceed()
  }

  /** Unsettled rows that Node has handed over, in order of writing. */
  #unsettledHere(): readonly Unsettled[] {
    const entries = [...this.#batches, ...Array.from(this.#open, ({ entries }) => entries)].flat()
    const here: Unsettled[] = entries.filter(({ settled }) => !settled)
    // Batches of different groups overtake each other.
    here.sort((a, b) => a.place - b.place)
    const intake = this.#intake
    if (intake)
      for (let at = intake.next; at < intake.rows.length; at++)
        here.push({ row: intake.rows[at], place: intake.first + at })
    return here
  }

  /** All unsettled rows, those that Node still holds too. */
  #unsettledRows(): readonly Unsettled[] {
    const first = this.stats.written
    const queued = this.#dropped ?? this.#queued()
    return [...this.#unsettledHere(), ...queued.map((row, at) => ({ row, place: first + at }))]
  }

  /** How many rows `write()` has accepted and Node still holds. Counted, since Node copies its list for each look. */
  get #queuedCount(): number {
    // Node counts what it has handed over until it is called back.
    return this.writableLength - (this.#intake?.chunks ?? 0) + this.#moreInBlocks
  }

  /** The rows that `write()` has accepted and Node still holds. Node drops them silently when the stream is destroyed. */
  #queued(): unknown[] {
    const { writableBuffer } = this as unknown as { writableBuffer?: readonly ({ chunk: unknown } | null)[] }
    return (writableBuffer ?? []).flatMap((queued) => (queued ? rowsOfChunk(queued.chunk) : []))
  }
}

/** The error of a flush: as the stream's. Its rows are listed only on access, since many flushes may wait. */
function flushError(
  connector: string,
  reason: Error | null,
  left: readonly Unsettled[],
  count: number,
): DeliveryError {
  const why = reason ? `: ${reason.message}` : ''
  const known = reason instanceof ConnectorError
  const error = new DeliveryError(
    known ? reason.code : 'ERR_ABORTED',
    known
      ? reason.message
      : `${connector}: the stream ended with ${counted(count, 'row')} neither acknowledged nor dead-lettered${why}`,
    {
      connector,
      ...(known && {
        status: reason.status,
        serviceCode: reason.serviceCode,
        serviceText: reason.serviceText,
        attempts: reason.attempts,
      }),
      cause: reason ?? undefined,
    },
  )
  let rows: readonly unknown[] | undefined
  const list = () => {
    rows ??= left.slice(0, count).map(({ row }) => row)
    return rows
  }
  return Object.defineProperty(error, 'rows', { get: list, enumerable: false, configurable: true })
}

/** How many of these, which are in order of writing, come before a place. */
function countBefore(rows: readonly Unsettled[], until: number): number {
  let [low, high] = [0, rows.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (rows[middle]!.place < until) low = middle + 1
    else high = middle
  }
  return low
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

/** Characters and bytes of a row as it goes over the wire: no more than its bytes. */
function lengthOf({ wire, raw, after = '' }: EncodedRow): number {
  return raw === undefined ? wire.length : wire.length + raw.length + after.length
}

function bytesOf({ wire, raw, after = '' }: EncodedRow): number {
  return Buffer.byteLength(wire) + (raw?.length ?? 0) + Buffer.byteLength(after)
}
