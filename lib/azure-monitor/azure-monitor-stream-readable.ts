import { addAbortSignal, type Readable } from 'node:stream'
import { BatchReadable } from '../core/batch-readable.ts'
import { Checkpoint } from '../core/checkpoint.ts'
import type { Identity } from '../core/checkpoint-state.ts'
import { CheckpointError } from '../core/errors.ts'
import { streamOptions } from '../core/options.ts'
import { readAhead } from '../core/read-ahead.ts'
import { fromPlainWindow, isWithin, type PlainWindow, toPlainWindow, type Window } from '../core/window.ts'
import { feedWindows } from '../core/window-feed.ts'
import { type Offset, toOffset, type WindowSource } from '../core/window-source.ts'
import type { SourceRetryEvent, SourceStats } from './azure-monitor-readable.ts'
import { connectorName } from './options.ts'
import type { AzureMonitorStreamReadableOptions } from './options.types.ts'
import type { Row } from './result-rows.ts'
import type { RowOf, RowSchema } from './schema.ts'
import { observeReader } from './source-events.ts'
import { type StreamValues, streamDeclaration } from './stream-options.ts'
import { AzureMonitorWindows } from './stream-windows.ts'

/** Event `window`: all rows of a window are handed on. Whether they are settled, only the sink knows. */
export interface SourceWindowEvent extends PlainWindow {
  readonly rows: number
}

/**
 * The rows of a KQL query as time goes on: window after window, half-open and abutting, each at most
 * `partition_duration` long and ending at least `safety_lag_seconds` behind now. Within a window rows come as the
 * service gives them. It ends with `available_now`, or by `stop()`.
 *
 * Where it stands is kept in `checkpointLocation`. Windows are noted there as under way before their rows come out, and
 * as done by `commit()`, so a stream that is made anew begins with what was not committed:
 *
 *     const source = new AzureMonitorStreamReadable({ workspace_id, query, available_now: true, checkpointLocation, … })
 *     await pipeline(source, new SplunkWritable({ … }))
 *     await source.commit()
 *
 * `streamingQuery` does this by itself, window by window.
 *
 * Events besides those of a Readable: `window` (a {@link SourceWindowEvent}) when a window's rows are all handed on,
 * `idle` ({ wait } in milliseconds) when all is read, `schema`, `retry` and `split` as of AzureMonitorReadable.
 *
 * Errors: ERR_OPTION from the constructor; ERR_AUTH, ERR_QUERY, ERR_RESULT_TOO_LARGE, ERR_RESULT, ERR_CHECKPOINT from
 * the stream.
 */
export class AzureMonitorStreamReadable<
    const S extends RowSchema | undefined = undefined,
    const D extends 'date' | 'string' = 'date',
  >
  extends BatchReadable
  implements WindowSource
{
  readonly connector: string = connectorName
  /** Counts so far; the object is live. */
  readonly stats: SourceStats = { rows: 0, requests: 0, retries: 0, splits: 0, bytes: 0 }
  readonly #values: StreamValues
  readonly #windows: AzureMonitorWindows
  /** Ends the feed of windows. */
  readonly #stop = new AbortController()
  /** Windows that are read on their own. */
  readonly #readables = new Set<WindowReadable>()
  /** Windows whose rows are all out and which are not committed. */
  readonly #out = new Set<string>()
  #checkpoint: Checkpoint | undefined
  #offset: Offset | undefined
  readonly #released: Promise<void>
  #tellReleased = () => {}

  /** @throws OptionError that lists every wrong option */
  constructor(options: AzureMonitorStreamReadableOptions & { readonly schema?: S; readonly datetime?: D }) {
    const values = streamDeclaration.resolve(options)
    super(streamOptions(values))
    this.#values = values
    this.#released = new Promise((resolve) => {
      this.#tellReleased = resolve
    })
    const onRetry = (event: SourceRetryEvent) => this.#passOn(event)
    this.#windows = new AzureMonitorWindows(
      values,
      observeReader(this, this.stats, values.timestamp_column, onRetry),
    )
    if (values.signal) addAbortSignal(values.signal, this)
  }

  get identity(): Identity {
    return this.#windows.identity
  }

  get checkpointLocation(): string | undefined {
    return this.#values.checkpointLocation
  }

  get partitionDuration(): number {
    return this.#values.partition_duration
  }

  get pollInterval(): number {
    return this.#values.poll_interval_seconds
  }

  get availableNow(): boolean {
    return this.#values.available_now
  }

  /**
   * Where the stream is: all rows before this are handed on. Undefined until it has begun. It can be stored anywhere
   * and given to a new stream as `start_time: offset.timestamp`.
   */
  get offset(): Offset | undefined {
    return this.#offset
  }

  /** Where a stream without a checkpoint begins now. Only for `earliest` the service is asked. */
  async initialOffset(signal: AbortSignal = new AbortController().signal): Promise<Offset> {
    return toOffset(await this.#windows.initial(signal))
  }

  /** Up to where rows may be read by now: `safety_lag_seconds` ago. */
  async latestOffset(): Promise<Offset> {
    return toOffset(this.#windows.latest())
  }

  /** The rows of one window, as a stream of its own. It has no part in where this stream is. */
  readWindow(window: PlainWindow): Readable {
    const span = fromPlainWindow(window)
    if (!span) throw new CheckpointError('ERR_CHECKPOINT', `no window: ${JSON.stringify(window)}`)
    const rows = new WindowReadable(span, this.#windows, this.stats)
    this.#readables.add(rows)
    rows.once('close', () => this.#readables.delete(rows))
    return rows
  }

  /** Ends the connections; they are made anew where more is read. */
  release(): void {
    this.#windows.close()
  }

  protected override async closing(): Promise<void> {
    this.release()
    this.#stop.abort()
    await this.#checkpoint?.close()
    this.#tellReleased()
  }

  /** Ends the stream after the window under way. */
  stop(): void {
    this.#stop.abort()
  }

  /**
   * Notes windows as done: their rows are settled and need not come again.
   *
   * @param id one window's id, of the event `window`. Without it, all windows that came out; the stream must have ended.
   * @returns where the checkpoint stands now
   * @throws CheckpointError (`ERR_CHECKPOINT`)
   */
  async commit(id?: string): Promise<Offset> {
    const location = this.#values.checkpointLocation
    if (location === undefined) {
      throw new CheckpointError(
        'ERR_CHECKPOINT',
        'nowhere to commit to: checkpointLocation was not given. Store `offset` elsewhere, or give it',
        { connector: connectorName },
      )
    }
    if (id === undefined && !this.readableEnded) {
      throw new CheckpointError(
        'ERR_CHECKPOINT',
        'the stream has not come to its end, so some rows of its last window may not be settled: commit windows by id',
        { connector: connectorName },
      )
    }
    const ids = id === undefined ? [...this.#out] : [id]
    const live = this.#checkpoint && !this.readableEnded && !this.destroyed
    if (!live) await this.#released
    const checkpoint = live ? this.#checkpoint! : await Checkpoint.open(location, this.identity)
    try {
      await checkpoint.commit(...ids)
      for (const done of ids) this.#out.delete(done)
      return toOffset(checkpoint.offset!)
    } finally {
      if (!live) await checkpoint.close()
    }
  }

  override [Symbol.asyncIterator](): NodeJS.AsyncIterator<RowOf<S, D>> {
    return super[Symbol.asyncIterator]()
  }

  override read(size?: number): RowOf<S, D> | null {
    return super.read(size) as RowOf<S, D> | null
  }

  protected override async *batches(signal: AbortSignal): AsyncGenerator<readonly Row[], void> {
    const { checkpointLocation } = this.#values
    if (checkpointLocation !== undefined) {
      this.#checkpoint = await Checkpoint.open(checkpointLocation, this.identity)
      // Destroyed in the meantime: nobody else would close it.
      if (signal.aborted) return this.#checkpoint.close()
    }
    const feed = feedWindows({
      source: this,
      checkpoint: this.#checkpoint,
      pollInterval: this.pollInterval,
      availableNow: this.availableNow,
      signal: this.#stop.signal,
      onStart: (offset) => {
        this.#offset = toOffset(offset)
      },
      onIdle: (wait) => this.emit('idle', { wait }),
    })
    const opened = readAhead(
      feed,
      1,
      (window) => this.#windows.open(window, signal),
      () => {},
    )
    for await (const open of opened) {
      if (this.#stop.signal.aborted) return
      let rows = 0
      for await (const batch of open.batches()) {
        rows += batch.length
        this.stats.rows += batch.length
        yield batch
      }
      this.#done(open.window, rows)
    }
  }

  #done(window: Window, rows: number): void {
    const plain = toPlainWindow(window)
    this.#offset = toOffset(window.end)
    if (this.#checkpoint) this.#out.add(plain.id)
    this.emit('window', { ...plain, rows } satisfies SourceWindowEvent)
  }

  /** Tells a window that is read on its own what is about it, or about a part of it. */
  #passOn(event: SourceRetryEvent): void {
    const at = fromPlainWindow(event.window)
    if (!at) return
    for (const readable of this.#readables) {
      if (isWithin(readable.window, at.start)) readable.emit('retry', event)
    }
  }
}

/** One window's rows. */
class WindowReadable extends BatchReadable {
  readonly window: Window
  readonly #windows: AzureMonitorWindows
  readonly #stats: SourceStats

  constructor(window: Window, windows: AzureMonitorWindows, stats: SourceStats) {
    super({})
    this.window = window
    this.#windows = windows
    this.#stats = stats
  }

  protected override async *batches(signal: AbortSignal): AsyncGenerator<readonly Row[], void> {
    for await (const batch of this.#windows.open(this.window, signal).batches()) {
      this.#stats.rows += batch.length
      yield batch
    }
  }
}
