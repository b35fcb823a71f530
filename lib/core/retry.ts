import { setTimeout as sleep } from 'node:timers/promises'
import { option } from './options.ts'

/** How often and how long after each other an operation is tried. Times are in seconds, as the options give them. */
export interface RetryPolicy {
  readonly max_retries: number
  readonly initial_backoff: number
  readonly max_backoff: number
}

/** The options of the policy that every connector shares. */
export const retrySpecs = {
  max_retries: option.integer({
    min: 0,
    default: 5,
    doc: 'Attempts after the first on throttling and passing faults.',
  }),
  initial_backoff: option.amount({
    default: 1,
    doc: 'Seconds of the first wait; doubled each time, with full jitter. A Retry-After of the server wins.',
  }),
  max_backoff: option.amount({ default: 30, doc: 'Seconds that a wait of ours never passes.' }),
}

/** The longest time that a timer can wait for, in milliseconds; a longer one would fire at once. */
export const longestTimer = 2 ** 31 - 1

/** The longest wait that a server may ask for, in milliseconds: a wrong clock or header must not stop a stream for days. */
export const longestRetryAfter = 300_000

/** Statuses that pass by themselves. */
const passingStatuses = new Set([408, 429, 500, 502, 503, 504])

export function isPassingStatus(status: number): boolean {
  return passingStatuses.has(status)
}

/** Codes of connection faults and time-outs, by Node, got and the Azure clients. */
const passingCodes = new Set([
  'ECONNRESET',
  'ECONNREFUSED',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'ESOCKETTIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENETDOWN',
  'EADDRNOTAVAIL',
  'EAI_AGAIN',
  'ENOTFOUND',
  'ERR_STREAM_PREMATURE_CLOSE',
  'ERR_HTTP2_STREAM_ERROR',
  'UND_ERR_SOCKET',
  // A compressed body that was cut.
  'Z_BUF_ERROR',
])

/** Whether an error, or one that caused it, is a fault of the connection that may pass. */
export function isPassingFault(error: unknown): boolean {
  for (let at = error, depth = 0; at instanceof Error && depth < 8; at = at.cause, depth++) {
    const { code } = at as NodeJS.ErrnoException
    if (code !== undefined && passingCodes.has(code)) return true
    // HPE: a head that was cut, or is none; longer than Node reads it will be the next time too.
    if (typeof code === 'string' && code.startsWith('HPE_') && code !== 'HPE_HEADER_OVERFLOW') return true
    if (at.name === 'TimeoutError') return true
    if (at instanceof AggregateError && at.errors.some(isPassingFault)) return true
  }
  return false
}

/**
 * Milliseconds to wait before retry number `retry` (the first is 0): exponential, with full jitter.
 * https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
 */
export function backoff(policy: RetryPolicy, retry: number): number {
  const ceiling = Math.min(policy.max_backoff, policy.initial_backoff * 2 ** Math.min(retry, 30))
  return Math.random() * ceiling * 1000
}

/**
 * Milliseconds that a Retry-After header asks for, given in seconds or as a date, at most {@link longestRetryAfter}.
 * https://www.rfc-editor.org/rfc/rfc9110#field.retry-after
 * @returns undefined where there is no such header or it can't be read
 */
export function retryAfter(header: string | undefined, now = Date.now()): number | undefined {
  if (header === undefined) return undefined
  const text = header.trim()
  const wait = /^\d+(\.\d+)?$/.test(text) ? Number(text) * 1000 : Date.parse(text) - now
  return Number.isNaN(wait) ? undefined : Math.min(Math.max(wait, 0), longestRetryAfter)
}

/** Waits. @throws AbortError as soon as the signal fires */
export async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  await sleep(Math.min(milliseconds, longestTimer), undefined, { signal })
}
