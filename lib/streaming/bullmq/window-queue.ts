import { createHash } from 'node:crypto'
import { createPostgresBackend, Queue, type QueueBaseOptions } from 'bullmq'
import type { Identity } from '../../checkpoint/state.ts'
import { CheckpointError, OptionError } from '../../core/errors.ts'
import { type Redact, redactor, urlSecrets } from '../../core/redaction.ts'
import type { Json, Slice } from '../../core/slice.ts'
import type { PlainWindow } from '../../core/window.ts'
import { defaultLimits, kindOf, type QueueOptions, type QueueSettings, queueDeclaration } from './options.ts'

/** What a job of BullMQ holds. */
export interface WindowJob<S extends Slice = PlainWindow> {
  readonly window: S
  readonly identity: Identity
  /** What the plan that the window belongs to was laid from, as {@link WindowQueue.plan} was given it. */
  readonly plan?: Json | undefined
}

/** The window of a job, whichever program queued it. @returns undefined if it is not one of our windows */
export function windowJob<S extends Slice>(data: unknown): WindowJob<S> | undefined {
  const { window, identity } = (data ?? {}) as Partial<WindowJob<S>>
  if (typeof window !== 'object' || typeof window?.id !== 'string' || window.id === '') return undefined
  if (typeof identity !== 'object' || identity === null) return undefined
  const isPlain = Object.values(identity).every((text) => typeof text === 'string')
  return isPlain ? (data as WindowJob<S>) : undefined
}

/** How far a queue is. */
export interface QueueStatus {
  readonly name: string
  /** Windows that were planned. */
  readonly total: number
  readonly waiting: number
  /** Under way at a worker. */
  readonly active: number
  /** Waiting until they are tried again. */
  readonly delayed: number
  readonly completed: number
  /** Windows that will not go through as they are. `retry()` puts them back. */
  readonly failed: number
  /** Nothing is handed out: see `resume()`. */
  readonly paused: boolean
  /** Windows completed a second, of late. */
  readonly rate: number | undefined
  /** Seconds until all is done at that rate; undefined where none was completed of late. */
  readonly secondsLeft: number | undefined
}

/** A window that failed, and why. */
export interface FailedWindow<S extends Slice = PlainWindow> {
  readonly window: S
  /** Code and message of its error. */
  readonly reason: string
}

/** Milliseconds that a server has to answer when a queue is opened. */
const openLimit = 5000

/** Windows added by one command. */
const bulkSize = 1000

/** Where jobs may be. On Postgres those that wait count as `paused` while the queue is, a type that BullMQ does not declare. */
const states = ['waiting', 'paused' as 'waiting', 'active', 'delayed', 'completed', 'failed'] as const

/** Completed windows that the rate is computed from. */
const recent = 50

/** Attempts of a window whose error is unknown, such as a plain Error of a user's sink; BullMQ waits 1, 2, 4, … s between. */
export const unknownErrorTries = { attempts: 10, backoff: { type: 'exponential', delay: 1000 } }

/**
 * Windows to be delivered, in a queue of BullMQ that any number of workers take from. It is the plan of record: what is
 * completed stays in it, so that planning the same windows again adds nothing. Each window that was planned is either
 * completed, which means that all its rows are settled, or still in the queue, or `failed`.
 */
export class WindowQueue<S extends Slice = PlainWindow> {
  /** BullMQ's own queue, such as for a dashboard. */
  readonly bull: Queue
  /** @internal */
  readonly settings: QueueSettings
  /** Redacts the password of the URL in a string. @internal */
  readonly redact: Redact

  /** @internal Use {@link openQueue}. */
  constructor(settings: QueueSettings) {
    this.settings = settings
    const { password } = new URL(settings.url)
    this.redact = redactor([
      settings.url,
      password,
      ...urlSecrets(settings.url).filter((part) => part.length > 7),
    ])
    this.bull = new Queue(settings.name, ...backendOf(settings.url))
    // Commands report their own errors, or wait.
    this.bull.on('error', () => {})
  }

  get name(): string {
    return this.settings.name
  }

  /** What its windows belong to. */
  get identity(): Identity {
    return this.settings.identity ?? {}
  }

  /** @internal */
  async ready(): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    let last: Error | undefined
    const note = (error: Error) => {
      last = error
    }
    this.bull.on('error', note)
    try {
      await Promise.race([
        this.bull.waitUntilReady(),
        new Promise((_, reject) => {
          timer = setTimeout(
            () => reject(last ?? new Error(`no answer within ${openLimit / 1000} s`)),
            openLimit,
          )
        }),
      ])
      if (kindOf(this.settings.url) === 'redis') await this.#requireNoEviction()
    } catch (error) {
      if (error instanceof OptionError) throw error
      throw this.error(`can't be opened: ${(error as Error).message}`, error)
    } finally {
      clearTimeout(timer)
      this.bull.off('error', note)
    }
  }

  /**
   * Adds windows that are not in the queue yet, in their order. Planning again does no harm: windows that are there,
   * waiting or done, stay as they are.
   *
   * @param plan what they were laid from, for {@link plannedFrom}
   * @returns how many were given, and how many of them were new
   * @throws CheckpointError (`ERR_CHECKPOINT`) if the queue has windows of something else, or can't be reached
   */
  async plan(
    windows: Iterable<S> | AsyncIterable<S>,
    plan?: Json,
  ): Promise<{ planned: number; added: number }> {
    await this.#requireSame()
    await this.applyLimits()
    const before = (await this.status()).total
    const { identity } = this
    let planned = 0
    let bulk: Parameters<Queue['addBulk']>[0] = []
    const add = async () => {
      await this.#asked(() => this.bull.addBulk(bulk))
      bulk = []
    }
    for await (const window of windows) {
      if (typeof (window as Partial<S> | undefined)?.id !== 'string') {
        throw new OptionError('queue', [
          `windows: expected windows with an id, got ${JSON.stringify(window)}`,
        ])
      }
      planned++
      const data: WindowJob<S> = { window, identity, ...(plan !== undefined && { plan }) }
      bulk.push({ name: 'window', data, opts: { ...unknownErrorTries, jobId: jobId(identity, window.id) } })
      if (bulk.length === bulkSize) await add()
    }
    if (bulk.length > 0) await add()
    return { planned, added: (await this.status()).total - before }
  }

  /** What the windows that are there were laid from, as `plan` was given it; undefined if there are none, or it was not. */
  async plannedFrom(): Promise<Json | undefined> {
    return (await this.#anyJob())?.plan
  }

  /** Removes all windows, done or not, so that others can be planned. @throws CheckpointError while workers have windows */
  async clear(): Promise<void> {
    const { active } = await this.status()
    if (active > 0) throw this.error(`has ${active} windows in flight: stop its workers first`)
    await this.#asked(() => this.bull.obliterate({ force: true }))
  }

  async status(): Promise<QueueStatus> {
    const [counts, paused, done] = await this.#asked(() =>
      Promise.all([
        this.bull.getJobCounts(...states),
        this.bull.isPaused(),
        this.bull.getCompleted(0, recent - 1),
      ]),
    )
    const count = (...wanted: string[]) => wanted.reduce((sum, state) => sum + (counts[state] ?? 0), 0)
    const waiting = count('waiting', 'paused')
    const [active, delayed, completed, failed] = ['active', 'delayed', 'completed', 'failed'].map((state) =>
      count(state),
    ) as [number, number, number, number]
    const rate = rateOf(done.map((job) => job?.finishedOn))
    const left = waiting + active + delayed
    return {
      name: this.name,
      total: left + completed + failed,
      waiting,
      active,
      delayed,
      completed,
      failed,
      paused,
      rate,
      secondsLeft: left === 0 ? 0 : rate && left / rate,
    }
  }

  /** Windows that failed, and why, the latest first. @param most how many */
  async failed(most = 100): Promise<FailedWindow<S>[]> {
    const jobs = await this.#asked(() => this.bull.getFailed(0, most - 1))
    return jobs.map((job) => ({
      window: windowJob<S>(job.data)?.window ?? ({ id: String(job.id) } as S),
      reason: job.failedReason ?? '',
    }))
  }

  /** Puts the windows that failed back. @returns how many */
  async retry(): Promise<number> {
    const { failed } = await this.status()
    await this.#asked(() => this.bull.retryJobs({ state: 'failed' }))
    return failed
  }

  /** Hands out no more windows, until `resume()`. Windows in flight continue. */
  async pause(): Promise<void> {
    await this.#asked(() => this.bull.pause())
  }

  async resume(): Promise<void> {
    await this.#asked(() => this.bull.resume())
  }

  async close(): Promise<void> {
    await this.bull.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** Sets concurrency and rate where they are given, or the queue has none. @internal */
  async applyLimits(): Promise<void> {
    const { concurrency, rate } = this.settings
    await this.#asked(async () => {
      const [there, limit] = await Promise.all([
        this.bull.getGlobalConcurrency(),
        this.bull.getGlobalRateLimit(),
      ])
      const atOnce = concurrency ?? (there ? undefined : defaultLimits.concurrency)
      if (atOnce !== undefined) await this.bull.setGlobalConcurrency(atOnce)
      const aSecond = rate ?? (limit ? undefined : defaultLimits.rate)
      // BullMQ counts in fixed spans: short ones, or a burst at the end of one is followed by that of the next.
      if (aSecond === undefined) return
      if (aSecond >= 1) await this.bull.setGlobalRateLimit(Math.floor(aSecond), 1000)
      else await this.bull.setGlobalRateLimit(1, Math.ceil(1000 / aSecond))
    })
  }

  /** @internal */
  error(what: string, cause?: unknown): CheckpointError {
    const plain = cause instanceof Error ? new Error(this.redact(cause.message)) : undefined
    return new CheckpointError('ERR_CHECKPOINT', this.redact(`the queue ${this.name} ${what}`), {
      cause: plain,
    })
  }

  async #asked<T>(ask: () => Promise<T>): Promise<T> {
    try {
      return await ask()
    } catch (error) {
      if (error instanceof OptionError) throw error
      throw this.error(`can't be used: ${(error as Error).message}`, error)
    }
  }

  /** @throws CheckpointError if there are windows of another identity */
  async #requireSame(): Promise<void> {
    const job = await this.#anyJob()
    if (job) this.requireSame(job.identity)
  }

  /** A window of the queue; all belong to one job. Skips foreign payloads: the worker fails them. */
  async #anyJob(): Promise<WindowJob<S> | undefined> {
    const jobs = await this.#asked(() => this.bull.getJobs([...states], 0, 99))
    for (const job of jobs) {
      const known = windowJob<S>(job?.data)
      if (known) return known
    }
    return undefined
  }

  /** @throws CheckpointError where an identity is not the queue's @internal */
  requireSame(there: Identity): void {
    const { identity } = this
    for (const key of new Set([...Object.keys(there), ...Object.keys(identity)])) {
      if (there[key] === identity[key]) continue
      throw this.error(
        `has windows of another job: their ${key} is ${JSON.stringify(there[key] ?? null)}, not ` +
          `${JSON.stringify(identity[key] ?? null)}. Give each job a queue of its own, by name`,
      )
    }
  }

  /** Redis must not throw windows away when its memory is full. */
  async #requireNoEviction(): Promise<void> {
    const client = await this.bull.backend.connection.client
    const policy = /^maxmemory_policy:(\S+)/m.exec(await client.info())?.[1]
    if (policy === undefined || policy === 'noeviction') return
    throw new OptionError('queue', [
      `url: this Redis may evict windows when its memory is full (maxmemory-policy ${policy}): set maxmemory-policy noeviction`,
    ])
  }
}

/** The id of a window's job. BullMQ's ids may not hold ":", and two jobs in one queue may have the same windows. */
function jobId(identity: Identity, window: string): string {
  const about = JSON.stringify([Object.entries(identity).sort(([a], [b]) => (a < b ? -1 : 1)), window])
  return createHash('sha256').update(about).digest('hex').slice(0, 40)
}

/** @param times when windows were completed, in milliseconds since the epoch */
function rateOf(times: readonly (number | undefined)[]): number | undefined {
  const known = times.filter((time) => time !== undefined)
  if (known.length < 2) return undefined
  const seconds = (Date.now() - Math.min(...known)) / 1000
  return seconds > 0 ? known.length / seconds : undefined
}

/**
 * Opens a queue of windows in Redis (or Valkey) or PostgreSQL, by BullMQ 6.
 *
 *     await using queue = await openQueue({ url: 'redis://redis:6379', name: 'alerts', identity: source.identity })
 *     await queue.plan(planWindows({ timespan: 'P30D' }))
 *
 * @throws OptionError that lists every wrong option; CheckpointError (`ERR_CHECKPOINT`) where the server can't be reached
 */
export async function openQueue<S extends Slice = PlainWindow>(
  options: QueueOptions,
): Promise<WindowQueue<S>> {
  const queue = new WindowQueue<S>(queueDeclaration.resolve(options))
  try {
    await queue.ready()
  } catch (error) {
    await queue.close().catch(() => {})
    throw error
  }
  return queue
}

/** Connections to Postgres of a queue or worker: each has one more to listen on. */
const postgresConnections = 3

/** How BullMQ connects to the server of a URL: the arguments of its classes after the name. */
export function backendOf(url: string, options: object = {}): readonly [QueueBaseOptions, never?] {
  if (kindOf(url) === 'postgres') {
    // The first process creates or updates the tables.
    const connection = { connectionString: url, migrate: true, max: postgresConnections }
    return [{ ...options, connection } as unknown as QueueBaseOptions, createPostgresBackend as never]
  }
  // Commands wait for a server that is away. So they do not fail when it is restarted.
  return [{ ...options, connection: { url, maxRetriesPerRequest: null } as never }]
}
