import { channel } from 'node:diagnostics_channel'
import { EventEmitter, setMaxListeners } from 'node:events'
import type { Readable } from 'node:stream'
import { Checkpoint } from '../core/checkpoint.ts'
import { readAhead } from '../core/read-ahead.ts'
import { backoff, pause } from '../core/retry.ts'
import { fromDate, ticksPerMillisecond } from '../core/time.ts'
import { type PlainWindow, toPlainWindow, type Window } from '../core/window.ts'
import { feedWindows } from '../core/window-feed.ts'
import { type Offset, toOffset, type WindowSource } from '../core/window-source.ts'
import type { QueryEvents, QueryProgress } from './progress.ts'
import {
  type QuerySettings,
  queryOptions,
  type StreamingQueryOptions,
  type Trigger,
} from './query-options.ts'
import { runWindow } from './run-window.ts'
import { StreamingError, WindowFailure } from './streaming-error.ts'

const progressChannel = channel('cyber-connectors:progress')

/** A window whose rows are on their way. */
interface OpenWindow {
  readonly window: Window
  rows: Readable
  /** Requests that source and sink repeated so far. */
  retries: number
}

/**
 * A query that runs by itself, window by window: read, transformed, delivered, committed. At least once: rows that come
 * twice belong to windows that were under way when the process ended.
 *
 * Events: `start`, `progress` after each window, `retry`, `idle`. The query is also an async iterable of its progress.
 */
export class StreamingQuery extends EventEmitter<QueryEvents> {
  readonly #done: Promise<void>
  /** Whether somebody has `done`, and so hears of a failure. */
  #awaited = false
  #iterators = 0
  readonly #settings: QuerySettings
  readonly #stop = new AbortController()
  readonly #abort = new AbortController()
  #checkpoint: Checkpoint | undefined
  #offset: Offset | undefined
  /** Windows that the feed gave and that are not delivered. */
  #undelivered = 0
  /** When to look for new windows, where the feed waits. */
  #nextLook: number | undefined

  /** @throws OptionError that lists every wrong option */
  constructor(options: StreamingQueryOptions) {
    super()
    const settings = queryOptions.resolve(options)
    this.#settings = settings
    setMaxListeners(0, this.#abort.signal, this.#stop.signal)
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
  get offset(): Offset | undefined {
    return this.#offset
  }

  /** Ends the query after the window under way. @returns `done` */
  stop(): Promise<void> {
    this.#stop.abort()
    return this.done
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  /** The progress of each window until the query ends; throws where it fails. To stop iterating does not stop the query. */
  async *[Symbol.asyncIterator](): AsyncGenerator<QueryProgress, void> {
    const waiting: QueryProgress[] = []
    let wake = () => {}
    let ended = false
    const take = (progress: QueryProgress) => {
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
      // Who stopped iterating must not have silenced it.
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
    } catch (error) {
      throw signal?.aborted ? abortError(signal) : error
    } finally {
      signal?.removeEventListener('abort', cancel)
      this.#stop.abort()
      this.#settings.source.release?.()
      await this.#checkpoint?.close()
    }
  }

  async #deliverAll(): Promise<void> {
    const { source, checkpointLocation, trigger, read_ahead } = this.#settings
    const once = trigger === 'once'
    this.#checkpoint = await Checkpoint.open(
      (checkpointLocation ?? source.checkpointLocation)!,
      source.identity,
    )
    const opened = readAhead(
      this.#feed(this.#checkpoint),
      once ? 0 : read_ahead,
      (window) => this.#open(window),
      ({ rows }) => rows.destroy(),
    )
    for await (const next of opened) {
      // Stopped while this one was read ahead: it stays planned.
      if (this.#stop.signal.aborted) {
        next.rows.destroy()
        break
      }
      await this.#deliver(next)
      if (once) break
      this.#undelivered--
      this.#tellIdle()
    }
  }

  async *#feed(checkpoint: Checkpoint): AsyncGenerator<Window, void> {
    const { source, trigger } = this.#settings
    const windows = feedWindows({
      source,
      checkpoint,
      ...pace(trigger, source),
      signal: this.#stop.signal,
      onStart: (offset) => {
        this.#offset = toOffset(offset)
        this.emit('start', this.#offset)
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
    this.emit('idle', { wait })
  }

  #open(window: Window): OpenWindow {
    const open = { window, rows: this.#read(window, () => open.retries++), retries: 0 }
    return open
  }

  /** A window's rows, asked for at once. */
  #read(window: Window, onRetry: () => void): Readable {
    const rows = this.#settings.source.readWindow(toPlainWindow(window))
    // It may fail before its turn has come; its pipeline sees that.
    rows.on('error', () => {})
    rows.on('retry', onRetry)
    rows.read(0)
    return rows
  }

  async #deliver(open: OpenWindow): Promise<void> {
    const window = toPlainWindow(open.window)
    const begun = performance.now()
    const onRetry = () => open.retries++
    for (let attempts = 1; ; attempts++) {
      try {
        const { rowsIn, rowsOut } = await runWindow(
          window,
          open.rows,
          this.#settings,
          onRetry,
          this.#abort.signal,
        )
        await this.#checkpoint!.commit(window.id)
        this.#offset = toOffset(this.#checkpoint!.offset!)
        const { retries } = open
        const lag = Number((fromDate(Date.now()) - open.window.end) / ticksPerMillisecond)
        const duration = performance.now() - begun
        const progress = { window, offset: this.#offset, rowsIn, rowsOut, lag, duration, attempts, retries }
        progressChannel.publish(progress)
        this.emit('progress', progress)
        return
      } catch (error) {
        if (!(error instanceof WindowFailure)) throw error
        await this.#beforeRetry(error, window, attempts)
        open.rows = this.#read(open.window, onRetry)
      }
    }
  }

  /** Waits until the window may be run again. @throws StreamingError where it may not */
  async #beforeRetry(failure: WindowFailure, window: PlainWindow, attempts: number): Promise<void> {
    const final = () => new StreamingError(failure, window, this.#offset!, attempts)
    if (!failure.mayPass || attempts > this.#settings.max_retries || this.#stop.signal.aborted) throw final()
    const wait = backoff(this.#settings, attempts - 1)
    this.emit('retry', { window, part: failure.part, error: failure.cause, attempts, wait })
    try {
      await pause(wait, this.#stop.signal)
    } catch {
      throw final()
    }
  }
}

/** How often and how long to look for windows. */
function pace(
  trigger: Trigger | undefined,
  source: WindowSource,
): { availableNow: boolean; pollInterval: number } {
  const { availableNow, pollInterval } = source
  if (trigger === undefined) return { availableNow, pollInterval }
  if (typeof trigger === 'string') return { availableNow: true, pollInterval }
  return { availableNow: false, pollInterval: trigger.interval_seconds }
}

function abortError(signal: AbortSignal): Error {
  const error = new Error('The operation was aborted', { cause: signal.reason })
  error.name = 'AbortError'
  return Object.assign(error, { code: 'ABORT_ERR' })
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
export function streamingQuery(options: StreamingQueryOptions): StreamingQuery {
  return new StreamingQuery(options)
}
