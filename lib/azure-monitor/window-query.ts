import type { AzureConnection } from '../azure/connection.ts'
import { withDeadline } from '../core/deadline.ts'
import type { ConnectorError } from '../core/errors.ts'
import { backoff, pause } from '../core/retry.ts'
import { toPlainWindow, type Window } from '../core/window.ts'
import type { TargetValues } from './options.ts'
import type { QueryClient } from './query-client.ts'
import {
  cutFailure,
  type Failure,
  faultFailure,
  partialFailure,
  rowLimit,
  statusFailure,
} from './query-failure.ts'
import { WholeResponse } from './response-body.ts'
import type { IndexedTable } from './response-index.ts'

/** Told while asking. */
export interface QueryObserver {
  /** A request is sent. */
  request?(): void
  retry?(notice: RetryNotice): void
}

/** A query that is going to be asked again. */
export interface RetryNotice {
  /** How many requests were made so far. */
  readonly attempts: number
  /** Milliseconds until the next one. */
  readonly wait: number
  /** The error that it will be if no try is left. */
  readonly error: ConnectorError
  readonly window: Window | undefined
}

export interface Question {
  readonly query: string
  /** What is sent as the request's timespan. */
  readonly timespan: Window | undefined
  /** The window that this is about, for errors. */
  readonly window: Window | undefined
  /** Whether less can be asked for, so that a query which ran out of time is not just tried again. */
  readonly divisible: boolean
  /** The tables that there are are asked for, and not a query. */
  readonly metadata?: boolean
}

/** The result, or word that less must be asked for. */
export type WindowAnswer =
  | { readonly response: WholeResponse }
  | { readonly tooLarge: ConnectorError; readonly tables?: readonly IndexedTable[] | undefined }

/** Asks one question until it is answered, whole. Shared by all that one source asks, so that a throttle holds for all. */
export class WindowQuery {
  readonly #client: QueryClient
  readonly #connection: AzureConnection
  readonly #values: TargetValues
  readonly #observer: QueryObserver
  /** No request before this time: the service throttles. */
  #pausedUntil = 0

  constructor(
    client: QueryClient,
    connection: AzureConnection,
    values: TargetValues,
    observer: QueryObserver,
  ) {
    this.#client = client
    this.#connection = connection
    this.#values = values
    this.#observer = observer
  }

  /** @throws ConnectorError, and AbortError when the signal fires */
  async ask(question: Question, signal: AbortSignal): Promise<WindowAnswer> {
    let renewed = false
    for (let attempts = 1, retries = 0; ; attempts++) {
      await this.#waitForPause(signal)
      const outcome = await this.#try(question, signal)
      if (outcome instanceof WholeResponse) return { response: outcome }
      const { verdict, wait, error, tables } = outcome
      if (verdict === 'too large' || (verdict === 'too slow' && question.divisible))
        return { tooLarge: error, tables }
      if (verdict === 'renew token' && !renewed) {
        renewed = true
        continue
      }
      const again = verdict === 'retry' || verdict === 'too slow'
      if (!again || retries >= this.#values.max_retries) throw explained(error, attempts, question.window)
      const delay = wait ?? backoff(this.#values, retries)
      retries++
      if (error.status === 429 || error.status === 503) {
        this.#pausedUntil = Math.max(this.#pausedUntil, Date.now() + delay)
      }
      this.#observer.retry?.({ attempts, wait: delay, error, window: question.window })
      await pause(delay, signal)
    }
  }

  async #waitForPause(signal: AbortSignal): Promise<void> {
    for (let left = this.#pausedUntil - Date.now(); left > 0; left = this.#pausedUntil - Date.now()) {
      await pause(left, signal)
    }
  }

  async #try(
    { query, timespan, metadata = false }: Question,
    signal: AbortSignal,
  ): Promise<WholeResponse | Failure> {
    const { redact, tokens } = this.#connection
    const { request_timeout, stall_timeout } = this.#values
    try {
      const { token } = await tokens.get(signal)
      this.#observer.request?.()
      const answer = await withDeadline(request_timeout * 1000, signal, (until) =>
        this.#client.send({ query, timespan, wait: request_timeout, metadata }, token, until),
      )
      if (answer.status === 200 && answer.body) {
        const response = await WholeResponse.receive(answer, stall_timeout, signal, rowLimit)
        if (response.index.error !== undefined) return partialFailure(response.index, redact)
        return (response.index.rows ?? 0) >= rowLimit ? cutFailure(response.index) : response
      }
      // "No data": https://learn.microsoft.com/azure/azure-monitor/logs/api/errors
      if (answer.status === 204) return WholeResponse.empty
      if (answer.status === 401) tokens.invalidate(token)
      return statusFailure(answer.status, answer.text, answer.retryAfter, redact)
    } catch (error) {
      signal.throwIfAborted()
      return faultFailure(error, redact)
    }
  }
}

/** The error with what only the loop knows: how often it was tried, and for which window. */
function explained(error: ConnectorError, attempts: number, window: Window | undefined): ConnectorError {
  const tries = attempts > 1 ? ` (after ${attempts} attempts)` : ''
  const details = { attempts, ...(window && { window: plainEnds(window) }) }
  for (const [key, value] of Object.entries(details)) {
    Object.defineProperty(error, key, { value, enumerable: true, configurable: true })
  }
  error.message += tries
  return error
}

/** A window as errors show it. */
export function plainEnds(window: Window): { start: string; end: string } {
  const { start, end } = toPlainWindow(window)
  return { start, end }
}
