import { channel } from 'node:diagnostics_channel'
import { EventEmitter, setMaxListeners } from 'node:events'
import { backoff, pause } from '../core/retry.ts'
import type { Offset, Slice } from '../core/slice.ts'
import type { EitherSpelling } from '../core/spelling.ts'
import type { PlainWindow } from '../core/window.ts'
import type { SliceSource } from '../source/planner.ts'
import { SourceRun } from '../source/source-run.ts'
import type { WindowOffset } from '../source/windows.ts'
import { type QueryEvents, type QueryNotices, type QueryProgress, reportQuery } from './query-events.ts'
import {
  type QueryRunOptions,
  type QuerySettings,
  type QueryStages,
  queryOptions,
  type StreamingQueryOptions,
  type Trigger,
} from './query-options.ts'
import { abortError, type OpenWindow, WindowRunner } from './run-window.ts'
import { StreamingError, WindowError } from './window-error.ts'

const progressChannel = channel('cyber-connectors:progress')

/**
 * A query that runs unattended, window by window: read, transformed, delivered, committed. At least once: rows that come
 * twice belong to windows that were in flight when the process ended. With `windows_in_flight` above 1, several windows
 * are delivered at a time and committed in any order; the offset moves over those before which all are committed.
 *
 * Events: `start`, `progress` after each window, `retry`, `idle`. The query is also an async iterable of its progress.
 */
export class StreamingQuery<
  S extends Slice = PlainWindow,
  O extends Offset = WindowOffset,
> extends EventEmitter<QueryEvents<S, O>> {
  readonly #done: Promise<void>
  /** Whether somebody has `done`, or iterated to the end, and so hears of a failure. */
  #awaited = false
  #iterators = 0
  readonly #settings: QuerySettings
  readonly #source: SliceSource<S, O>
  readonly #runner: WindowRunner<S>
  readonly #run: SourceRun<S, O, OpenWindow<S>>
  /** Ends the windows that are being delivered. */
  readonly #abort = new AbortController()
  #offset: O | undefined

  /** @throws OptionError that lists every wrong option */
  constructor(options: StreamingQueryOptions<S, O>) {
    super()
    const settings = queryOptions.resolve(options)
    this.#settings = settings
    this.#source = options.source
    this.#runner = new WindowRunner(options.source, true)
    this.#run = this.#newRun(options.source)
    setMaxListeners(0, this.#abort.signal, this.#run.stopped)
    this.#notify('open', {})
    this.#done = this.#runAll(settings.signal)
  }

  /**
   * Resolves when the query has ended as its trigger says or by `stop()`. Rejects with a StreamingError where a window
   * did not go through, a CheckpointError, or an AbortError if the signal fired. Where nobody
   * asks for it or iterates, that is an unhandled rejection.
   */
  get done(): Promise<void> {
    this.#awaited = true
    return this.#done
  }

  /** Offset of the query: all before it is committed. Undefined until it has started. */
  get offset(): O | undefined {
    return this.#offset
  }

  /** Ends the query after the windows in flight. @returns `done` */
  stop(): Promise<void> {
    this.#run.stop()
    return this.done
  }

  /** Stops the query. A failure that `done` or an iterator has reported is not thrown again. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#run.stop()
    await this.#done.catch((error: unknown) => {
      if (!this.#awaited) throw error
    })
  }

  /** The progress of each window until the query ends; throws if it fails. Leaving the loop does not stop the query. */
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
      if (ended) {
        this.#awaited = true
        await this.#done
      }
    }
  }

  #newRun(source: SliceSource<S, O>): SourceRun<S, O, OpenWindow<S>> {
    const { checkpointLocation, checkpoint, standby, trigger, windows_in_flight } = this.#settings
    const { read_ahead = windows_in_flight } = this.#settings
    return new SourceRun<S, O, OpenWindow<S>>({
      source,
      place: checkpoint ?? checkpointLocation ?? source.checkpoint ?? source.checkpointLocation,
      ...pace(trigger, source),
      readAhead: trigger === 'once' ? 0 : read_ahead,
      standby,
      open: (window) => this.#runner.open(window),
      close: ({ rows }) => rows.destroy(),
      onStart: (offset) => {
        this.#offset = offset
        this.#notify('start', { offset })
        this.#report('start', offset)
      },
      onIdle: (wait) => {
        this.#notify('idle', {})
        this.#report('idle', { wait })
      },
      onLost: (reason) => this.#abort.abort(reason),
    })
  }

  async #runAll(signal: AbortSignal | undefined): Promise<void> {
    const cancel = () => {
      this.#abort.abort(signal?.reason)
      this.#run.stop()
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
      this.#runner.close()
      await this.#run.close()
    }
  }

  async #deliverAll(): Promise<void> {
    const { trigger, windows_in_flight } = this.#settings
    const once = trigger === 'once'
    const underWay = new Set<Promise<void>>()
    let failure: { readonly error: unknown } | undefined
    const fail = (error: unknown) => {
      failure ??= { error }
      // The others in flight are delivered, else their rows would come twice.
      this.#run.stop()
    }
    try {
      for await (const { opened } of this.#run.slices()) {
        const delivery = this.#deliver(opened)
          .then(() => this.#run.done(), fail)
          .finally(() => underWay.delete(delivery))
        underWay.add(delivery)
        if (once || underWay.size >= windows_in_flight) await Promise.race(underWay)
        if (once) break
      }
    } catch (error) {
      fail(error)
    }
    await Promise.all(underWay)
    if (failure) throw failure.error
  }

  async #deliver(open: OpenWindow<S>): Promise<void> {
    const { window } = open
    const started = performance.now()
    for (let attempts = 1; ; attempts++) {
      try {
        const { transform, sink } = this.#settings
        const { signal } = this.#abort
        const { rowsIn, rowsOut, retries } = await this.#runner.run(open, { transform, sink, signal })
        const offset = await this.#run.commit(window.id)
        this.#offset = offset
        const lag = this.#source.planner.lag?.(window)
        const duration = performance.now() - started
        const progress = { window, offset, rowsIn, rowsOut, lag, duration, attempts, retries }
        progressChannel.publish(progress)
        this.#notify('progress', progress)
        this.#report('progress', progress)
        return
      } catch (error) {
        this.#run.throwIfLost()
        if (!(error instanceof WindowError)) throw error
        await this.#beforeRetry(error, window, attempts)
        this.#runner.reopen(open)
      }
    }
  }

  /** Waits until the window may be run again. @throws StreamingError if it may not */
  async #beforeRetry(failure: WindowError, window: S, attempts: number): Promise<void> {
    const final = () => new StreamingError(failure, window, this.#offset!, attempts)
    if (failure.verdict !== 'retry') throw final()
    if (attempts > this.#settings.max_retries || this.#run.stopped.aborted) throw final()
    const wait = Math.max(backoff(this.#settings, attempts - 1), failure.retryAfter ?? 0)
    this.#notify('retry', { window, error: failure.cause, wait })
    this.#report('retry', { window, part: failure.part, error: failure.cause, attempts, wait })
    try {
      await pause(wait, this.#run.stopped)
    } catch {
      throw final()
    }
  }

  #notify<E extends keyof QueryNotices>(event: E, details: QueryNotices[E]): void {
    const { window } = details as { window?: S }
    const place = window && this.#source.planner.describe?.(window)
    reportQuery(this, this.#source.connector, event, details, place)
  }

  #report<E extends keyof QueryEvents<S, O>>(event: E, ...payload: QueryEvents<S, O>[E]): void {
    const emitter = this as unknown as EventEmitter
    emitter.emit(event, ...payload)
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
): StreamingQuery<S, O>
/** Names in camelCase are accepted too. */
export function streamingQuery<S extends Slice = PlainWindow, O extends Offset = WindowOffset>(
  options: QueryStages<S, O> & EitherSpelling<QueryRunOptions>,
): StreamingQuery<S, O>
export function streamingQuery<S extends Slice = PlainWindow, O extends Offset = WindowOffset>(
  options: StreamingQueryOptions<S, O>,
): StreamingQuery<S, O> {
  return new StreamingQuery(options)
}
