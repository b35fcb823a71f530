import { EventEmitter, setMaxListeners } from 'node:events'
import { hostname } from 'node:os'
import type { Writable } from 'node:stream'
import { DelayedError, type Job, UnrecoverableError, WaitingError, Worker } from 'bullmq'
import type { Identity } from '../../checkpoint/state.ts'
import { ConnectorError, OptionError } from '../../core/errors.ts'
import { backoff, isTransientFault, pause } from '../../core/retry.ts'
import type { Slice } from '../../core/slice.ts'
import type { OptionsOf } from '../../core/spelling.ts'
import type { PlainWindow } from '../../core/window.ts'
import type { Planner } from '../../source/planner.ts'
import { type QueryNotices, reportQuery } from '../query-events.ts'
import { type MakeTransform, type WindowProgress, WindowRunner, type WindowSource } from '../run-window.ts'
import { WindowError } from '../window-error.ts'
import { type WorkerSettings, workerDeclaration, type workerSpecs } from './options.ts'
import { backendOf, unknownErrorTries, type WindowJob, type WindowQueue, windowJob } from './window-queue.ts'

/** Options of a worker. */
export type WorkerOptions<S extends Slice = PlainWindow> = {
  /** Queue of the windows. It stays open when the worker ends. */
  queue: WindowQueue<S>
  /** Source that reads them, such as an AzureMonitorStreamReadable: all windows share its connections and its token. */
  source: WindowSource<S> & { readonly identity?: Identity; readonly planner?: Pick<Planner<S>, 'check'> }
  /** Makes the transforms of each window. */
  transform?: MakeTransform<S> | undefined
  /** Makes the Writable for the rows of each window. Its `finish` must mean that all rows are safe. */
  sink: (window: S) => Writable
  /** Signal that returns the windows in flight to the queue and ends the worker, as `stop()` does. */
  signal?: AbortSignal | undefined
} & OptionsOf<typeof workerSpecs>

/** Told when a window is back in the queue, to be tried again. */
export interface WindowReturned<S extends Slice = PlainWindow> {
  readonly window: S
  readonly error: Error
  /** Milliseconds until it is tried again. */
  readonly wait: number
  /** Whether all workers wait as long, since it is the service that is not ready. */
  readonly holdAll: boolean
}

/** Events of a worker. */
export interface WorkerEvents<S extends Slice = PlainWindow> {
  /** A window is done: all its rows are settled. */
  progress: [WindowProgress & { readonly window: S }]
  retry: [WindowReturned<S>]
  /** A window will not go through as it is; it stays in the queue as failed. */
  failed: [{ readonly window: S; readonly error: Error }]
  /** The window of a worker that died or froze was given back. */
  stalled: [{ readonly id: string }]
  /** The server of the queue did not do what it was asked; it is asked again. */
  queueError: [Error]
}

/** Milliseconds from one look whether all is done to the next. */
const lookInterval = 500

/** Milliseconds from one try to reach the server of the queue to the next. */
const storeRetryDelay = 1000

/** Windows are handed on however often their workers die. */
const anyNumber = 1_000_000_000

/**
 * Takes windows from a queue and delivers them by `runWindow`, several at a time. What becomes of a window that does not go
 * through is by the verdict of its error: `retry` puts it back, uncounted, and where a service is throttled or away holds
 * all workers; `refused` leaves it in the queue as failed; `fatal` puts it back, pauses the queue and ends the worker.
 */
export class WindowWorker<S extends Slice = PlainWindow> extends EventEmitter<WorkerEvents<S>> {
  readonly #done: Promise<void>
  /** Whether somebody has `done`, and so hears of a failure. */
  #awaited = false
  readonly #options: WorkerOptions<S>
  readonly #settings: WorkerSettings
  readonly #runner: WindowRunner<S>
  readonly #stop = new AbortController()
  readonly #lost = new Map<string, AbortController>()
  /** When a window's lock was renewed last, by our own clock. */
  readonly #renewed = new Map<string, number>()
  #failure: Error | undefined

  /** @internal Use {@link startWorker}. */
  constructor(options: WorkerOptions<S>, settings: WorkerSettings) {
    super()
    this.#options = options
    this.#settings = settings
    this.#runner = new WindowRunner(options.source, true)
    setMaxListeners(0, this.#stop.signal)
    this.#notify('open', {})
    this.#done = this.#run().then(
      () => this.#notify('end', {}),
      (error: unknown) => {
        this.#notify('end', { error })
        throw error
      },
    )
  }

  /** Resolves when the worker has ended by `stop()` or `available_now`; rejects with the error that no window can pass. */
  get done(): Promise<void> {
    this.#awaited = true
    return this.#done
  }

  /** Windows in flight in this worker. */
  get active(): number {
    return this.#lost.size
  }

  /** Returns the windows in flight to the queue, and ends. @returns `done` */
  stop(): Promise<void> {
    this.#stop.abort()
    return this.done
  }

  /** Stops the worker. A failure that `done` has reported is not thrown again. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await this.#done.catch((error: unknown) => {
      if (!this.#awaited) throw error
    })
  }

  async #run(): Promise<void> {
    const { queue, signal, source } = this.#options
    const stop = () => this.#stop.abort(signal?.reason)
    if (signal?.aborted) stop()
    signal?.addEventListener('abort', stop, { once: true })
    let worker: Worker | undefined
    let watch: NodeJS.Timeout | undefined
    try {
      if (queue.settings.identity && typeof source !== 'function' && source.identity)
        queue.requireSame(source.identity)
      await queue.applyLimits()
      const concurrency =
        this.#settings.windows_in_flight ?? (await queue.bull.getGlobalConcurrency()) ?? undefined
      if (this.#stop.signal.aborted) return
      worker = this.#makeWorker(concurrency ?? 1)
      this.#notify('start', {})
      watch = setInterval(() => this.#abortOverdue(), (this.#settings.lock_seconds * 1000) / 10)
      await this.#untilDone()
      await worker.close()
      if (this.#failure) throw this.#failure
    } finally {
      clearInterval(watch)
      signal?.removeEventListener('abort', stop)
      await worker?.close()
      this.#runner.close()
    }
  }

  #makeWorker(concurrency: number): Worker {
    const { queue } = this.#options
    const lock = this.#settings.lock_seconds * 1000
    const worker = new Worker(
      queue.name,
      (job: Job, token?: string, signal?: AbortSignal) => this.#process(job, token!, signal!),
      ...backendOf(queue.settings.url, {
        // It identifies the worker in its jobs.
        name: `${hostname()}-${process.pid}`,
        concurrency,
        lockDuration: lock,
        stalledInterval: lock / 2,
        maxStalledCount: anyNumber,
        runRetryDelay: storeRetryDelay,
        drainDelay: 1,
      }),
    )
    worker.on('error', (error) => this.#report('queueError', queue.error(`: ${error.message}`, error)))
    worker.on('stalled', (id) => this.#report('stalled', { id }))
    worker.on('locksRenewed', ({ jobIds }) => {
      for (const id of jobIds) this.#renewed.set(id, performance.now())
    })
    worker.on('lockRenewalFailed', (ids) => {
      for (const id of ids) this.#lost.get(id)?.abort(new Error('the lock of the window is lost'))
    })
    return worker
  }

  /** A process that was frozen, or could not reach the server, may have lost its windows to others. */
  #abortOverdue(): void {
    for (const [id, at] of this.#renewed) {
      if (performance.now() - at < this.#settings.lock_seconds * 1000) continue
      this.#lost.get(id)?.abort(new Error('the lock of the window could not be renewed in time'))
    }
  }

  /** Runs until the worker must stop, or all windows are done. */
  async #untilDone(): Promise<void> {
    const { queue } = this.#options
    const { signal } = this.#stop
    while (!signal.aborted) {
      await pause(lookInterval, signal).catch(() => {})
      if (!this.#settings.available_now || signal.aborted || this.active > 0) continue
      try {
        const { waiting, active, delayed } = await queue.status()
        if (waiting + active + delayed === 0) return
      } catch (error) {
        this.#report('queueError', error as Error)
      }
    }
  }

  async #process(job: Job, token: string, cancelled: AbortSignal): Promise<WindowProgress> {
    const { queue, transform, sink } = this.#options
    const { window, identity } = this.#windowOf(job)
    const id = job.id!
    const lost = new AbortController()
    this.#lost.set(id, lost)
    this.#renewed.set(id, performance.now())
    const signal = AbortSignal.any([this.#stop.signal, lost.signal, cancelled])
    setMaxListeners(0, signal)
    try {
      queue.requireSame(identity)
      const onProgress = (progress: WindowProgress) =>
        void job.updateProgress({ ...progress }).catch(() => {})
      const open = this.#runner.open(window)
      const progress = await this.#runner.run(open, { transform, sink, signal, onProgress })
      // It is another's by now, and not to be noted as done with a lock that we do not have.
      if (lost.signal.aborted) throw new WaitingError()
      this.#notify('progress', { window, ...progress })
      this.#report('progress', { window, ...progress })
      return progress
    } catch (error) {
      if (error instanceof WaitingError || lost.signal.aborted || cancelled.aborted) throw new WaitingError()
      if (this.#stop.signal.aborted) return await this.#giveBack(job, token)
      throw await this.#failed(job, token, error as Error)
    } finally {
      this.#lost.delete(id)
      this.#renewed.delete(id)
    }
  }

  /** @throws UnrecoverableError, which fails the job alone, if it is none of ours or its window none of the source */
  #windowOf(job: Job): WindowJob<S> {
    const { source } = this.#options
    const known = windowJob<S>(job.data)
    try {
      if (!known)
        throw new Error(`the job ${job.id} holds no window: expected { window: { id, … }, identity }`)
      if (typeof source !== 'function') source.planner?.check?.(known.window)
      return known
    } catch (cause) {
      const error = cause as Error
      const window = known?.window ?? ({ id: String(job.id) } as S)
      this.#notify('failed', { window, error })
      this.#report('failed', { window, error })
      throw new UnrecoverableError(`ERR_CHECKPOINT: ${error.message}`)
    }
  }

  /** Puts a window back, at no cost to it. */
  async #giveBack(job: Job, token: string): Promise<never> {
    await job.moveToWait(token)
    throw new WaitingError()
  }

  /** Handles a failed window. @returns the error for BullMQ */
  async #failed(job: Job, token: string, error: Error): Promise<Error> {
    const { queue } = this.#options
    const { window } = job.data as WindowJob<S>
    const verdict = error instanceof WindowError ? error.verdict : 'fatal'
    if (verdict === 'refused') {
      this.#notify('failed', { window, error })
      this.#report('failed', { window, error })
      return new UnrecoverableError(`${(error as ConnectorError).code}: ${error.message}`)
    }
    if (verdict === 'fatal') {
      this.#failure ??= error
      // A window that is another job's says nothing about those of this one.
      if (error instanceof WindowError) await queue.pause()
      this.#stop.abort(error)
      return this.#giveBack(job, token)
    }
    const { cause } = error as WindowError
    const holdAll = cause instanceof ConnectorError
    const isKnown = holdAll || isTransientFault(cause)
    if (!isKnown && job.attemptsMade + 1 >= unknownErrorTries.attempts) {
      this.#notify('failed', { window, error })
      this.#report('failed', { window, error })
      return error
    }
    const wait = isKnown
      ? this.#waitOf(job, error as WindowError)
      : // BullMQ's own, which doubles.
        unknownErrorTries.backoff.delay * 2 ** job.attemptsMade
    this.#notify('retry', { window, error, wait })
    this.#report('retry', { window, error, wait, holdAll })
    if (holdAll) {
      await queue.bull.rateLimit(wait)
      return Worker.RateLimitError()
    }
    if (isKnown) {
      await job.moveToDelayed(Date.now() + wait, token)
      return new DelayedError()
    }
    // An unknown error may be a fault of the program: it counts.
    return error
  }

  #waitOf({ attemptsStarted }: Job, { retryAfter }: WindowError): number {
    return Math.ceil(Math.max(retryAfter ?? 0, backoff(this.#settings, Math.max(0, attemptsStarted - 1)), 50))
  }

  #notify<E extends keyof QueryNotices>(event: E, details: QueryNotices[E]): void {
    const { source } = this.#options
    reportQuery(this, typeof source === 'function' ? undefined : source.identity?.connector, event, details)
  }

  #report<E extends keyof WorkerEvents<S>>(event: E, ...payload: WorkerEvents<S>[E]): void {
    const emitter = this as unknown as EventEmitter
    emitter.emit(event, ...payload)
  }
}

/**
 * Starts a worker. Any number of them, in any number of processes and hosts, share a queue; together they have no more
 * windows in flight than its concurrency says.
 *
 *     const source = new AzureMonitorStreamReadable({ workspace_id, query: 'SecurityAlert', azure_default_credential: true })
 *     const queue = await openQueue({ url: 'redis://redis:6379', name: 'alerts', identity: source.identity })
 *     const worker = startWorker({ queue, source, sink: () => new SplunkWritable({ url, token }) })
 *     process.once('SIGTERM', () => worker.stop())
 *     await worker.done
 *
 * @throws OptionError that lists every wrong option
 */
export function startWorker<S extends Slice = PlainWindow>(options: WorkerOptions<S>): WindowWorker<S> {
  const { queue, source, transform, sink, signal: _, ...others } = options
  const problems: string[] = []
  if (typeof queue?.applyLimits !== 'function') problems.push('queue: expected what openQueue gives')
  if (typeof source !== 'function' && typeof source?.readSlice !== 'function') {
    problems.push('source: expected a streaming source, or a function that makes a Readable')
  }
  if (transform !== undefined && typeof transform !== 'function') {
    problems.push('transform: expected a function that makes the stages of a window')
  }
  if (typeof sink !== 'function')
    problems.push('sink: expected a function that makes the Writable of a window')
  let settings: WorkerSettings | undefined
  try {
    settings = workerDeclaration.resolve(others)
  } catch (error) {
    if (!(error instanceof OptionError)) throw error
    problems.push(...(error.problems ?? []))
  }
  if (!settings || problems.length > 0) throw new OptionError('worker', problems)
  return new WindowWorker(options, settings)
}
