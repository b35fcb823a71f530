import { type ConnectorError, type ErrorDetails, QueryError } from '../core/errors.ts'
import type { Health } from '../core/health.ts'
import { onAbort } from '../core/on-abort.ts'
import { isUnresolved, pause, RetryBudget, type RetryPolicy } from '../core/retry.ts'
import { warnOfRetry } from '../core/retry-warning.ts'
import type { Offset, Slice } from '../core/slice.ts'
import type { SourceVerdict } from '../core/verdict.ts'
import type { RequestRetry, SourceReporter } from './events.ts'
import type { Divider } from './planner.ts'
import type { Page, Row, SourceProtocol } from './protocol.ts'

export interface RequestSettings extends RetryPolicy {
  /** Requests in flight at once. Default: no limit. */
  readonly max_in_flight?: number | undefined
}

/** What was asked for, or the error that says to ask for less. */
export type Answered<T> = { readonly value: T } | { readonly split: ConnectorError }

/** How one request is asked, retried and reported. */
export interface Asking {
  readonly signal: AbortSignal
  /** The slice's ends, for the error. */
  readonly window?: ErrorDetails['window']
  /** Whether halves can be asked for. */
  readonly divisible?: boolean
  /** `page` of the first request. */
  readonly page?: unknown
  /** Called when the request is about to be made again. */
  readonly onRetry?: (retry: RequestRetry) => void
}

/**
 * Makes the requests of a source: asks, retries, and holds all of them when the server wants it. One serves a whole
 * source, so that a throttle and `max_in_flight` hold for all its requests.
 */
export class Requester {
  readonly #settings: RequestSettings
  readonly #destination: { readonly host?: string | undefined }
  readonly #waiting: (() => void)[] = []
  /** Whether a request has succeeded: its host name is right. */
  #reached = false
  #free: number
  /** When requests may go out again, by `performance.now()`. */
  #heldUntil = 0

  /** @param destination where its requests go, for the warning of a first retry */
  constructor(settings: RequestSettings, destination: { readonly host?: string | undefined } = {}) {
    this.#settings = settings
    this.#destination = destination
    this.#free = settings.max_in_flight ?? Number.POSITIVE_INFINITY
  }

  /** Asks until there is an answer. @throws ConnectorError, AbortError */
  async ask<T>(
    request: (page: unknown, signal: AbortSignal) => Promise<SourceVerdict<T>>,
    { signal, window, divisible = false, page: first, onRetry }: Asking,
  ): Promise<Answered<T>> {
    let page = first
    let renewed = false
    let divide = false
    const budget = new RetryBudget(this.#settings)
    for (;;) {
      const answer = await this.#inTurn(signal, () => {
        budget.begin()
        return request(page, signal)
      })
      if (answer.kind === 'accepted') {
        this.#reached = true
        return answer
      }
      if (answer.kind === 'wait') {
        page = answer.page
        if (answer.isProgress !== false) budget.progress()
        await pause(answer.after, signal)
        continue
      }
      const { kind, error } = answer
      if (kind === 'split') return { split: error }
      if (kind === 'again' && !renewed) {
        renewed = true
        continue
      }
      const asked = kind === 'retry' ? answer.after : undefined
      if (kind === 'retry' && answer.divide && divisible) {
        if (divide) return { split: error }
        divide = true
      }
      const wait =
        kind === 'retry' ? budget.retryAfter(asked, !this.#reached && isUnresolved(error)) : undefined
      if (wait === undefined) throw explained(error, budget, window, asked)
      if (kind === 'retry' && answer.holdAll)
        this.#heldUntil = Math.max(this.#heldUntil, performance.now() + wait)
      const { message: text, status, serviceCode, connector = '' } = error
      const { host } = this.#destination
      warnOfRetry({ connector, host, code: serviceCode ?? status, text, wait }, this.#settings)
      onRetry?.({ attempts: budget.attempts, wait, error })
      await pause(wait, signal)
    }
  }

  /** One request, once fewer than `max_in_flight` are in flight and nothing holds them. @throws AbortError */
  async #inTurn<T>(signal: AbortSignal, request: () => Promise<T>): Promise<T> {
    signal.throwIfAborted()
    if (this.#free > 0) this.#free--
    else await this.#place(signal)
    try {
      for (let wait = this.#heldUntil - performance.now(); wait > 0; ) {
        await pause(wait, signal)
        wait = this.#heldUntil - performance.now()
      }
      return await request()
    } finally {
      const next = this.#waiting.shift()
      if (next) next()
      else this.#free++
    }
  }

  /** Resolves when another request hands its place on. */
  async #place(signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const enter = () => {
        ignore()
        resolve()
      }
      const ignore = onAbort(signal, () => {
        this.#waiting.splice(this.#waiting.indexOf(enter), 1)
        reject(signal.reason)
      })
      this.#waiting.push(enter)
    })
  }
}

/** The error with what only the requester knows: attempts, what ended them, the slice's ends, the wait that was asked for. */
function explained(
  error: ConnectorError,
  budget: RetryBudget,
  window: ErrorDetails['window'],
  retryAfter: number | undefined,
): ConnectorError {
  const { attempts, endedBy, endedText } = budget
  for (const [key, value] of Object.entries({ attempts, endedBy, window, retryAfter })) {
    if (value !== undefined)
      Object.defineProperty(error, key, { value, enumerable: true, configurable: true })
  }
  if (attempts > 1) error.message += ` (after ${attempts} attempts${endedText && `, ${endedText}`})`
  return error
}

/** A slice that is being read. */
export interface OpenSlice<S extends Slice = Slice> {
  readonly slice: S
  /** Its rows, once, some hundred at a time. @throws ConnectorError, AbortError */
  batches(): AsyncGenerator<readonly Row[]>
  /** Frees its answer, if `batches` is never called. */
  release(): void
}

/** What is left to read of a slice: the slice itself, one of its halves, or a further page of either. */
interface Part<S extends Slice> {
  readonly slice: S
  readonly exact: boolean
  readonly because?: ConnectorError | undefined
  readonly page?: unknown
  /** Set once it is asked for. */
  answer?: Promise<Answered<Page>> | undefined
}

/** Reads slices by a protocol: asks for each at once, turns pages, and halves what is too large. */
export class SliceRequester<S extends Slice, O extends Offset> extends Requester {
  readonly #protocol: SourceProtocol<S, O>
  readonly #divider: Divider<S>
  readonly #reporter: SourceReporter

  constructor(
    protocol: SourceProtocol<S, O>,
    divider: Divider<S>,
    settings: RequestSettings,
    reporter: SourceReporter,
  ) {
    super(settings, protocol)
    this.#protocol = protocol
    this.#divider = divider
    this.#reporter = reporter
  }

  /**
   * Starts to read a slice: asks for it at once. Its first batch comes only when a whole answer is there.
   * @param exact whether its neighbours are read elsewhere
   * @param onRetry called when a request of it is made again
   */
  open(slice: S, exact: boolean, signal: AbortSignal, onRetry?: () => void): OpenSlice<S> {
    const whole: Part<S> = { slice, exact }
    const ask = (part: Part<S>) => this.#askFor(part, signal, onRetry)
    ask(whole)
    return { slice, batches: () => this.#batches(whole, ask, signal), release: () => release(whole) }
  }

  /** Instant of the first row; undefined if there is none. @throws QueryError if the connector can't tell */
  async earliest(signal: AbortSignal): Promise<O | undefined> {
    if (!this.#protocol.earliest) {
      const { connector } = this.#protocol
      const text = `${connector}: start_time: this source can't find its first row: give an instant in place of "earliest"`
      throw new QueryError('ERR_QUERY', text, { connector })
    }
    const found = await this.ask((_page, until) => this.#protocol.earliest!(until), {
      signal,
      onRetry: (retry) => this.#reporter.retry(retry, undefined),
    })
    if ('split' in found) throw found.split
    return found.value
  }

  /** Whether the source would answer now: one request, not repeated. */
  async healthy(signal: AbortSignal): Promise<Health> {
    if (!this.#protocol.health) return { healthy: true, text: 'there is nothing to try without reading rows' }
    const answer = await this.#protocol.health(signal)
    if (answer.kind === 'accepted') return answer.value
    if (answer.kind === 'wait') return { healthy: true, text: 'the source is at work' }
    const { status, serviceCode: code, message: text } = answer.error
    return { healthy: false, status, code, text }
  }

  close(): void {
    this.#protocol.close()
  }

  async *#batches(
    whole: Part<S>,
    ask: (part: Part<S>) => Promise<Answered<Page>>,
    signal: AbortSignal,
  ): AsyncGenerator<readonly Row[]> {
    const todo = [whole]
    const askNext = () => todo[0] && (todo[0].answer ?? ask(todo[0]))
    try {
      while (todo.length > 0) {
        const result = await askNext()!
        const part = todo.shift()!
        if ('split' in result) {
          const halves = this.#divider.halves?.(part.slice)
          if (!halves) throw this.#tooLarge(part.slice, result.split)
          this.#reporter.split(part.slice, halves, result.split)
          const because = part.because ?? result.split
          todo.unshift(...halves.map((slice) => ({ slice, exact: true, because })))
          continue
        }
        const page = result.value
        try {
          this.#reporter.response(page.bytes)
          if (page.next !== undefined) todo.unshift({ ...part, page: page.next, answer: undefined })
          // The next part is on its way while this one is parsed.
          askNext()
          for await (const batch of page.rows) {
            signal.throwIfAborted()
            if (batch.length > 0) yield batch
          }
        } finally {
          page.release?.()
        }
      }
    } finally {
      for (const part of todo) release(part)
    }
  }

  #askFor(part: Part<S>, signal: AbortSignal, onRetry: (() => void) | undefined): Promise<Answered<Page>> {
    const { slice, exact, because, page: first } = part
    const divisible = this.#divider.halves?.(slice) !== undefined
    const once = () =>
      this.ask((page, until) => this.#protocol.ask({ slice, exact, divisible, because, page }, until), {
        signal,
        window: this.#divider.ends?.(slice),
        divisible,
        page: first,
        onRetry: (retry) => {
          onRetry?.()
          this.#reporter.retry(retry, slice)
        },
      })
    part.answer = this.#onceDue(slice, once, signal)
    // It is looked at when its turn comes, and may fail before.
    part.answer.catch(() => {})
    return part.answer
  }

  /** Asks again after a wait, as long as the service's clock says that the slice is not due. */
  async #onceDue(
    slice: S,
    once: () => Promise<Answered<Page>>,
    signal: AbortSignal,
  ): Promise<Answered<Page>> {
    for (;;) {
      const answer = await once()
      if ('split' in answer) return answer
      const wait = this.#divider.early?.(slice, this.#reporter.clockAhead) ?? 0
      if (wait <= 0) return answer
      // Rows of its last part may still arrive.
      answer.value.release?.()
      this.#reporter.clockIsAhead()
      await pause(wait, signal)
    }
  }

  #tooLarge(slice: S, cause: ConnectorError): ConnectorError {
    const { status, serviceCode, serviceText } = cause
    const { indivisible = 'can not be made smaller' } = this.#divider
    return new QueryError('ERR_RESULT_TOO_LARGE', `${cause.message}. The window ${slice.id} ${indivisible}`, {
      connector: this.#protocol.connector,
      status,
      serviceCode,
      serviceText,
      window: this.#divider.ends?.(slice),
      cause,
    })
  }
}

/** Frees a page that was asked for and is not wanted. */
function release({ answer }: Part<Slice>): void {
  answer?.then(
    (result) => 'value' in result && result.value.release?.(),
    () => {},
  )
}
