import { channel } from 'node:diagnostics_channel'
import { EventEmitter, setMaxListeners } from 'node:events'
import type { Readable } from 'node:stream'
import { Checkpoint } from '../checkpoint/checkpoint.ts'
import { backoff, pause } from '../core/retry.ts'
import type { Offset, Slice } from '../core/slice.ts'
import type { PlainWindow } from '../core/window.ts'
import { Sharing } from '../http/sharing.ts'
import { readAhead } from '../source/read-ahead.ts'
import { feedSlices } from '../source/slice-feed.ts'
import type { SliceSource } from '../source/slice-source.ts'
import type { WindowOffset } from '../source/window-offset.ts'
import type { QueryEvents, QueryProgress } from './progress.ts'
import { type QueryNotices, tellQuery } from './query-channel.ts'
import {
  type QuerySettings,
  queryOptions,
  type StreamingQueryOptions,
  type Trigger,
} from './query-options.ts'
import { abortError, runWindow } from './run-window.ts'
import { StreamingError, WindowError } from './window-error.ts'

const progressChannel = channel('cyber-connectors:progress')

/** A window whose rows are on their way. */
interface OpenWindow<S extends Slice> {
  readonly window: S
  rows: Readable
  /** Requests that source and sink repeated so far. */
  retries: number
}

/**
 * A query that runs by itself, window by window: read, transformed, delivered, committed. At least once: rows that come
 * twice belong to windows that were under way when the process ended. With `windows_in_flight` above 1, several windows
 * are delivered at a time and committed in any order; the offset moves over those before which all are committed.
 *
 * Events: `start`, `progress` after each window, `retry`, `idle`. The query is also an async iterable of its progress.
 */
export class StreamingQuery<
  S extends Slice = PlainWindow,
  O extends Offset = WindowOffset,
> extends EventEmitter<QueryEvents<S, O>> {
  readonly #done: Promise<void>
  /** Whether somebody has `done`, and so hears of a failure. */
  #awaited = false
  #iterators = 0
  readonly #settings: QuerySettings
  readonly #source: SliceSource<S, O>
  /** Connections and tokens of the sinks: one is made for each window. */
  readonly #sharing = new Sharing()
  readonly #stop = new AbortController()
  readonly #abort = new AbortController()
  #checkpoint: Checkpoint<S, O> | undefined
  #offset: O | undefined
  /** Windows that the feed gave and that are not delivered. */
  #undelivered = 0
  /** When to look for new windows, where the feed waits. */
  #nextLook: number | undefined

  /** @throws OptionError that lists every wrong option */
  constructor(options: StreamingQueryOptions<S, O>) {
    super()
    const settings = queryOptions.resolve(options)
    this.#settings = settings
    this.#source = options.source
    setMaxListeners(0, this.#abort.signal, this.#stop.signal)
    this.#notify('open', {})
    this.#done = this.#run(settings.signal)
  }

  /**
   * Resolves when the query has ended as its trigger says or by `stop()`. Rejects with a StreamingError where a window
   * did not go through, a CheckpointError, or an AbortError where the signal fired. Where nobody
   * asks for it or iterates, that is an unhandled rejection.
   */
  get done(): Promise<void> {
    this.#awaited = true
    return this.#done
  }

  /** Where the query stands: all before it is committed. Undefined until it has started. */
  get offset(): O | undefined {
    return this.#offset
  }

  /** Ends the query after the windows under way. @returns `done` */
  stop(): Promise<void> {
    this.#stop.abort()
    return this.done
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  /** The progress of each window until the query ends; throws where it fails. To stop iterating does not stop the query. */
  async *[Symbol.asyncIterator](): AsyncGenerator<QueryProgress<S, O>, void> {
    const waiting: QueryProgress<S, O>[] = []
    let wake = () => {}
    let ended = false
    const take = (progress: QueryProgress<S, O>) => {
      waiting.push(progress)
      wake()
    }
    const end = () => {
      ended = true
      wake()
    }
    this.on('progress', take)
    this.#iterators++
    this.#done.then(end, (error) => {
      end()
      // An abandoned iterator must not hide a failure.
      if (this.#iterators === 0 && !this.#awaited) throw error
    })
    try {
      for (;;) {
        const progress = waiting.shift()
        if (progress) yield progress
        else if (ended) break
        else await new Promise<void>((resolve) => { wake = resolve }) // biome-ignore format: short
      }
    } finally {
      this.off('progress', take)
      this.#iterators--
      if (ended) await this.#done
    }
  }

  async #run(signal: AbortSignal | undefined): Promise<void> {
    const cancel = () => {
      this.#abort.abort(signal?.reason)
      this.#stop.abort()
    }
    if (signal?.aborted) cancel()
    signal?.addEventListener('abort', cancel, { once: true })
    try {
      await this.#deliverAll()
      if (signal?.aborted) throw abortError(signal)
      this.#notify('end', {})
    } catch (error) {
      const reason = signal?.aborted ? abortError(signal) : error
      this.#notify('end', signal?.aborted ? {} : { error: reason })
      throw reason
    } finally {
      signal?.removeEventListener('abort', cancel)
      this.#stop.abort()
      this.#source.release?.()
      this.#sharing.close()
      await this.#checkpoint?.close()
    }
  }

  async #deliverAll(): Promise<void> {
    const checkpoint = await this.#openCheckpoint()
    if (!checkpoint) return
    this.#checkpoint = checkpoint
    const { trigger, windows_in_flight, read_ahead = windows_in_flight } = this.#settings
    const once = trigger === 'once'
    const opened = readAhead(
      this.#feed(checkpoint),
      once ? 0 : read_ahead,
      (window) => this.#open(window),
      ({ rows }) => rows.destroy(),
    )
    const underWay = new Set<Promise<void>>()
    let failure: { readonly error: unknown } | undefined
    for await (const next of opened) {
      // Stopped while this one was read ahead: it stays planned.
      if (this.#stop.signal.aborted) {
        next.rows.destroy()
        break
      }
      const delivery = this.#deliver(next)
        .then(() => {
          this.#undelivered--
          this.#tellIdle()
        })
        .catch((error) => {
          failure ??= { error }
          // The others under way are delivered: their rows would come twice.
          this.#stop.abort()
        })
        .finally(() => underWay.delete(delivery))
      underWay.add(delivery)
      if (once || underWay.size >= windows_in_flight) await Promise.race(underWay)
      if (once) break
    }
    await Promise.all(underWay)
    if (failure) throw failure.error
    // Lost between two windows: it is no stop that was asked for.
    if (checkpoint.lost.aborted) throw checkpoint.lost.reason
  }

  /** @returns undefined where the query was stopped while it waited as a standby */
  async #openCheckpoint(): Promise<Checkpoint<S, O> | undefined> {
    const { checkpointLocation, checkpoint, standby } = this.#settings
    const source = this.#source
    const { signal } = this.#stop
    let opened: Checkpoint<S, O>
    try {
      opened = await Checkpoint.open(
        (checkpoint ?? checkpointLocation ?? source.checkpoint ?? source.checkpointLocation)!,
        source.identity,
        (offset: O, slice: S) => source.advance(offset, slice),
        { passed: (offset, id) => source.passed?.(offset, id) ?? false, wait: standby, signal },
      )
    } catch (error) {
      if (signal.aborted) return undefined
      throw error
    }
    const { lost } = opened
    const lose = () => {
      this.#abort.abort(lost.reason)
      this.#stop.abort()
    }
    if (lost.aborted) lose()
    lost.addEventListener('abort', lose, { once: true })
    return opened
  }

  async *#feed(checkpoint: Checkpoint<S, O>): AsyncGenerator<S, void> {
    const source = this.#source
    const { trigger } = this.#settings
    const windows = feedSlices({
      source,
      checkpoint,
      ...pace(trigger, source),
      signal: this.#stop.signal,
      onStart: (offset) => {
        this.#offset = offset
        this.#notify('start', { offset })
        this.#tell('start', offset)
      },
      onIdle: (wait) => {
        this.#nextLook = Date.now() + wait
        this.#tellIdle()
      },
    })
    for await (const window of windows) {
      this.#undelivered++
      this.#nextLook = undefined
      yield window
    }
  }

  /** The feed finds nothing new while windows read ahead are still to be delivered: idle is who has delivered them. */
  #tellIdle(): void {
    if (this.#undelivered > 0 || this.#nextLook === undefined) return
    const wait = Math.max(0, this.#nextLook - Date.now())
    this.#nextLook = undefined
    this.#notify('idle', {})
    this.#tell('idle', { wait })
  }

  #open(window: S): OpenWindow<S> {
    const open: OpenWindow<S> = { window, rows: this.#read(window, () => open.retries++), retries: 0 }
    return open
  }

  /** A window's rows, asked for at once. @param onRetry told of what is repeated before their turn has come */
  #read(window: S, onRetry: () => void): Readable {
    const rows = this.#source.readSlice(window)
    // It may fail before its turn has come; its pipeline sees that.
    rows.on('error', () => {})
    rows.on('retry', onRetry)
    rows.read(0)
    return rows
  }

  async #deliver(open: OpenWindow<S>): Promise<void> {
    const { window } = open
    const begun = performance.now()
    for (let attempts = 1; ; attempts++) {
      try {
        const { rowsIn, rowsOut } = await this.#runOnce(open)
        await this.#checkpoint!.commit(window.id)
        const offset = this.#checkpoint!.offset!
        this.#offset = offset
        const { retries } = open
        const lag = this.#source.lag?.(window)
        const duration = performance.now() - begun
        const progress = { window, offset, rowsIn, rowsOut, lag, duration, attempts, retries }
        progressChannel.publish(progress)
        this.#notify('progress', progress)
        this.#tell('progress', progress)
        return
      } catch (error) {
        if (this.#checkpoint!.lost.aborted) throw this.#checkpoint!.lost.reason
        if (!(error instanceof WindowError)) throw error
        await this.#beforeRetry(error, window, attempts)
        open.rows = this.#read(window, () => open.retries++)
      }
    }
  }

  async #runOnce(open: OpenWindow<S>): Promise<{ rowsIn: number; rowsOut: number }> {
    const { transform, sink: makeSink } = this.#settings
    const sink = (window: S) => {
      const made = this.#sharing.within(() => makeSink(window))
      ;(made as Partial<NodeJS.EventEmitter> | undefined)?.on?.('retry', () => open.retries++)
      return made
    }
    return runWindow(open.window, { source: () => open.rows, transform, sink, signal: this.#abort.signal })
  }

  /** Waits until the window may be run again. @throws StreamingError where it may not */
  async #beforeRetry(failure: WindowError, window: S, attempts: number): Promise<void> {
    const final = () => new StreamingError(failure, window, this.#offset!, attempts)
    if (failure.verdict !== 'retry') throw final()
    if (attempts > this.#settings.max_retries || this.#stop.signal.aborted) throw final()
    const wait = Math.max(backoff(this.#settings, attempts - 1), failure.retryAfter ?? 0)
    this.#notify('retry', { window, error: failure.cause, wait })
    this.#tell('retry', { window, part: failure.part, error: failure.cause, attempts, wait })
    try {
      await pause(wait, this.#stop.signal)
    } catch {
      throw final()
    }
  }

  #notify<E extends keyof QueryNotices>(event: E, details: QueryNotices[E]): void {
    tellQuery(this, this.#source.connector, event, details)
  }

  #tell<E extends keyof QueryEvents<S, O>>(event: E, ...told: QueryEvents<S, O>[E]): void {
    const emitter = this as unknown as EventEmitter
    emitter.emit(event, ...told)
  }
}

/** How often and how long to look for windows. */
function pace(
  trigger: Trigger | undefined,
  source: { readonly availableNow: boolean; readonly pollInterval: number },
): { availableNow: boolean; pollInterval: number } {
  const { availableNow, pollInterval } = source
  if (trigger === undefined) return { availableNow, pollInterval }
  if (typeof trigger === 'string') return { availableNow: true, pollInterval }
  return { availableNow: false, pollInterval: trigger.interval_seconds }
}

/**
 * Starts a query that reads a source window by window and delivers each through a pipeline of its own.
 *
 *     await using query = streamingQuery({
 *       source: new AzureMonitorStreamReadable({ workspace_id, query: 'SecurityAlert', azure_default_credential: true }),
 *       transform: () => async function* (rows) { for await (const row of rows) if (row.Severity !== 'Low') yield row },
 *       sink: () => new SplunkWritable({ url, token, ack: true }),
 *       checkpointLocation: './offsets',
 *     })
 *     for await (const { window, rowsOut, lag } of query) console.log(window.id, rowsOut, lag)
 *
 * @throws OptionError that lists every wrong option
 */
export function streamingQuery<S extends Slice = PlainWindow, O extends Offset = WindowOffset>(
  options: StreamingQueryOptions<S, O>,
): StreamingQuery<S, O> {
  return new StreamingQuery(options)
}
