import type { ConnectorError, ErrorDetails } from '../core/errors.ts'
import { onAbort } from '../core/on-abort.ts'
import { pause, RetryBudget, type RetryPolicy } from '../core/retry.ts'
import type { SourceVerdict } from '../core/verdict.ts'

export interface AskerSettings extends RetryPolicy {
  /** Requests under way at once. Default: no bound. */
  readonly max_in_flight?: number | undefined
}

/** A request that is going to be made again. */
export interface RetryNotice {
  /** How many were made so far. */
  readonly attempts: number
  /** Milliseconds until the next one. */
  readonly wait: number
  readonly error: ConnectorError
}

/** What a request is for. */
export interface Asking {
  readonly signal: AbortSignal
  /** The slice's ends, for the error. */
  readonly window?: ErrorDetails['window']
  /** Whether halves can be asked for. */
  readonly divisible?: boolean
  /** `page` of the first request. */
  readonly page?: unknown
  readonly onRetry?: (notice: RetryNotice) => void
}

/** Asks until there is an answer. One serves a whole source, so that a throttle and the bound hold for all its requests. */
export class Asker {
  readonly #settings: AskerSettings
  readonly #waiting: (() => void)[] = []
  #free: number
  #heldUntil = 0

  constructor(settings: AskerSettings) {
    this.#settings = settings
    this.#free = settings.max_in_flight ?? Number.POSITIVE_INFINITY
  }

  /** @returns the value, or the error that says to ask for less. @throws ConnectorError, AbortError */
  async ask<T>(
    once: (page: unknown, signal: AbortSignal) => Promise<SourceVerdict<T>>,
    asking: Asking,
  ): Promise<{ readonly value: T } | { readonly split: ConnectorError }> {
    const { signal, divisible = false } = asking
    let { page } = asking
    let renewed = false
    let divide = false
    const budget = new RetryBudget(this.#settings)
    for (;;) {
      const answer = await this.#once((until) => {
        budget.begin()
        return once(page, until)
      }, signal)
      if (answer.kind === 'accepted') return answer
      if (answer.kind === 'wait') {
        page = answer.page
        budget.progress()
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
      const wait = kind === 'retry' ? budget.retryAfter(asked) : undefined
      if (wait === undefined) throw explained(error, budget, asking.window, asked)
      if (kind === 'retry' && answer.holdAll) this.#heldUntil = Math.max(this.#heldUntil, Date.now() + wait)
      asking.onRetry?.({ attempts: budget.attempts, wait, error })
      await pause(wait, signal)
    }
  }

  /** One request, when it has its turn. */
  async #once<T>(once: (signal: AbortSignal) => Promise<T>, signal: AbortSignal): Promise<T> {
    await this.#enter(signal)
    try {
      while (Date.now() < this.#heldUntil) await pause(this.#heldUntil - Date.now(), signal)
      return await once(signal)
    } finally {
      const next = this.#waiting.shift()
      if (next) next()
      else this.#free++
    }
  }

  /** @throws AbortError */
  async #enter(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    if (this.#free > 0) {
      this.#free--
      return
    }
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

/** The error with what only the loop knows: attempts, what ended them, the slice's ends, the wait that was asked for. */
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
