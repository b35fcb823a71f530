import { setTimeout as sleep } from 'node:timers/promises'
import { type OptionSpecs, option } from './options.ts'

/** Limits and waits of retries, in seconds, as in the options. */
export interface RetryPolicy extends Backoff {
  /** Time for retries after the first failure, in seconds. */
  readonly max_retry_seconds: number
  /** Maximum retries. Undefined: only the time limits them. */
  readonly max_retries?: number | undefined
  /** Whether the first retry emits a process warning. Default: true. */
  readonly warn_on_retry?: boolean
}

/** Waits before retries, in seconds. */
export interface Backoff {
  readonly initial_backoff: number
  readonly max_backoff: number
}

/** The options of the policy, which every connector shares. */
export const retrySpecs = {
  /**
   * Maximum time from the first failure of an operation to its last retry, in seconds, for throttling and transient
   * faults. Progress resets the clock; at least one attempt follows the deadline.
   * @default 300
   */
  max_retry_seconds: option.amount({ zero: true, default: 300 }),
  /**
   * Maximum retries within `max_retry_seconds`. 0: no retry.
   * @default no limit
   */
  max_retries: option.integer({ min: 0 }),
  /**
   * First backoff, in seconds; each further one is twice as long, with full jitter. A Retry-After of the server wins.
   * @default 1
   */
  initial_backoff: option.amount({ default: 1 }),
  /**
   * Maximum backoff, in seconds.
   * @default 30
   */
  max_backoff: option.amount({ default: 30 }),
  /**
   * Whether the first failure that is retried emits a process warning (code CYBER_CONNECTORS_RETRY), once for each
   * connector and host of a process.
   * @default true
   */
  warn_on_retry: option.flag({ default: true }),
} satisfies OptionSpecs

/** Longest delay of a timer, in milliseconds; a longer one would fire at once. */
export const longestTimer = 2 ** 31 - 1

/** Longest wait accepted from a server, in milliseconds: a wrong clock or header must not stop a stream for days. */
export const longestRetryAfter = 300_000

/** Client errors that are transient. */
const transientClientErrors = new Set([408, 425, 429])

/** Server errors that are permanent: "not implemented" and "HTTP version not supported". */
const permanentServerErrors = new Set([501, 505])

/**
 * Whether a request that got this HTTP status may succeed later: 408, 425, 429 and every 5xx except 501 and 505. An
 * unknown 5xx counts as 500: https://www.rfc-editor.org/rfc/rfc9110#section-15
 */
export function isTransientStatus(status: number): boolean {
  if (status >= 500 && status <= 599) return !permanentServerErrors.has(status)
  return transientClientErrors.has(status)
}

/** Whether a status concerns the whole service, so that its wait holds all requests of a stream. */
export function holdsAll(status: number | undefined): boolean {
  return status === 429 || status === 503
}

/** The error codes of X.509 verification (https://nodejs.org/api/tls.html#x509-certificate-error-codes). */
const certificateCode =
  /CERT|CRL|^UNABLE_TO_|^INVALID_CA$|^INVALID_PURPOSE$|PATH_LENGTH_EXCEEDED|^HOSTNAME_MISMATCH$/

/** The server's TLS alert about our own certificate, which comes with the code EPROTO or ERR_SSL_…. */
const certificateAlert =
  /alert (?:(?:bad|unsupported|no) certificate|certificate \w+|unknown ca|access denied)\b/i

/** Codes of the file system: a full disk or a missing file is not a connection fault. */
const fileCodes = new Set([
  'EBADF',
  'EDQUOT',
  'EEXIST',
  'EFBIG',
  'EINVAL',
  'EIO',
  'EISDIR',
  'ELOOP',
  'ENAMETOOLONG',
  'ENOENT',
  'ENOSPC',
  'ENOTDIR',
  'ENOTEMPTY',
  'EROFS',
])

/** Codes of connections, TLS, HTTP parsing and decompression: by Node, got, undici and the Azure clients. */
const connectionCode =
  /^(?:E(?!RR_)[A-Z0-9_]+|HPE_\w+|Z_\w+|UND_ERR_\w+|ERR_(?:SSL|HTTP2|SOCKET|TLS_HANDSHAKE)_\w+|ERR_STREAM_PREMATURE_CLOSE|ERR_READING_RESPONSE_STREAM|PARSE_ERROR|REQUEST_SEND_ERROR)$/

/** Codes of the same form that are permanent: a response head that is too long for Node stays too long. */
const permanentCodes = new Set([
  'HPE_HEADER_OVERFLOW',
  'UND_ERR_ABORTED',
  'UND_ERR_HEADERS_OVERFLOW',
  'UND_ERR_INVALID_ARG',
])

/**
 * Whether an error is a transient fault of a connection: a reset, a refused or timed-out connection, a failed TLS
 * handshake, a proxy that went away, an answer that was cut or garbled. The causes of the error count, and one transient
 * fault of an AggregateError is enough. Permanent: refused certificates (on either side), a response head that is too long,
 * an invalid URL or argument, an aborted request, faults of the file system, and errors without a code.
 */
export function isTransientFault(error: unknown): boolean {
  return transience(error, 0) === 'transient'
}

function transience(error: unknown, depth: number): 'transient' | 'permanent' | 'unknown' {
  if (!(error instanceof Error) || depth > 8) return 'unknown'
  const own = ownTransience(error)
  if (own === 'permanent') return own
  const cause = transience(error.cause, depth + 1)
  if (cause !== 'unknown') return cause
  if (error instanceof AggregateError) {
    const parts = error.errors.map((part) => transience(part, depth + 1))
    if (parts.includes('transient')) return 'transient'
    if (parts.includes('permanent')) return 'permanent'
  }
  return own
}

function ownTransience(error: Error): 'transient' | 'permanent' | 'unknown' {
  const { code, syscall, path } = error as NodeJS.ErrnoException
  if (error.name === 'TimeoutError') return 'transient'
  if (error.name === 'AbortError') return 'permanent'
  if (typeof code !== 'string') return 'unknown'
  if (certificateCode.test(code) || certificateAlert.test(error.message)) return 'permanent'
  if (permanentCodes.has(code)) return 'permanent'
  if (code === 'EACCES' || code === 'EPERM') return syscall === 'connect' ? 'transient' : 'permanent'
  if (fileCodes.has(code) || path !== undefined) return 'permanent'
  return connectionCode.test(code) ? 'transient' : 'unknown'
}

/**
 * Milliseconds to wait before retry number `retry` (the first is 0): exponential, with full jitter.
 * https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
 */
export function backoff(policy: Backoff, retry: number): number {
  const ceiling = Math.min(policy.max_backoff, policy.initial_backoff * 2 ** Math.min(retry, 30))
  return Math.random() * ceiling * 1000
}

/** A date as HTTP has it, in its present and its two old forms, or as ISO 8601 has it. */
const dateForm = /^(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*,? .*\d\d:\d\d|\d{4}-\d\d-\d\dT)/i

/**
 * Milliseconds that a Retry-After header asks for, given in seconds or as a date; at most 300,000.
 * https://www.rfc-editor.org/rfc/rfc9110#field.retry-after
 * @returns undefined if there is no such header, it is not valid (a negative number, a list, other text), or its date is
 * over: then the policy's own wait applies
 */
export function retryAfter(header: string | undefined, now = Date.now()): number | undefined {
  const text = header?.trim() ?? ''
  if (/^\d+(\.\d+)?$/.test(text)) return Math.min(Number(text) * 1000, longestRetryAfter)
  if (!dateForm.test(text)) return undefined
  const wait = Date.parse(text) - now
  return wait > 0 ? Math.min(wait, longestRetryAfter) : undefined
}

/**
 * Milliseconds to wait before retry number `retry` (the first is 0).
 * @param asked milliseconds that the server asked for. 0 must not become a burst of requests, so the wait is at least the
 * policy's first one
 */
export function retryWait(policy: Backoff, retry: number, asked: number | undefined): number {
  if (asked === undefined) return backoff(policy, retry)
  if (asked > 0) return asked
  return Math.max(Math.min(policy.initial_backoff, policy.max_backoff) * 1000, backoff(policy, retry))
}

/** Seconds for retries while a host name has never resolved: it is more likely wrong than away. */
const unresolvedSeconds = 30

/** Whether a host name did not resolve: ENOTFOUND, on the error or among its causes. */
export function isUnresolved(error: unknown, depth = 0): boolean {
  if (!(error instanceof Error) || depth > 8) return false
  if ((error as NodeJS.ErrnoException).code === 'ENOTFOUND') return true
  if (error instanceof AggregateError && error.errors.some((part) => isUnresolved(part, depth + 1)))
    return true
  return isUnresolved(error.cause, depth + 1)
}

/** Which option ended the retries. */
export type RetryLimit = 'max_retry_seconds' | 'max_retries'

/**
 * The retries of one operation: counts attempts, gives the wait before each retry, and decides when to stop. Retries end
 * after `max_retries`, if set, or when an attempt fails that started later than `max_retry_seconds` after the first
 * failure. So at least one attempt follows the deadline, however long the waits are.
 *
 *     const budget = new RetryBudget(policy)
 *     for (;;) {
 *       budget.begin()
 *       const answer = await attempt()
 *       if (answer.ok) return answer
 *       const wait = budget.retryAfter(answer.retryAfter)
 *       if (wait === undefined) throw new Error(`${answer.text} (${budget.endedText})`)
 *       await pause(wait, signal)
 *     }
 */
export class RetryBudget {
  readonly #policy: RetryPolicy
  readonly #now: () => number
  #attempts = 0
  #retries = 0
  #begun = 0
  #end: number | undefined
  #endedBy: RetryLimit | undefined
  #unresolved = false

  /** @param now a monotonic clock, in milliseconds */
  constructor(policy: RetryPolicy, now: () => number = () => performance.now()) {
    this.#policy = policy
    this.#now = now
  }

  /** Attempts since the start, or since the last {@link progress}. */
  get attempts(): number {
    return this.#attempts
  }

  /** The option that ended the retries; undefined while retries remain. */
  get endedBy(): RetryLimit | undefined {
    return this.#endedBy
  }

  /** `ended by max_retries: 2`; empty while retries remain. */
  get endedText(): string {
    if (this.#unresolved)
      return `the host name did not resolve for ${unresolvedSeconds} s: check its spelling`
    return this.#endedBy ? `ended by ${this.#endedBy}: ${this.#policy[this.#endedBy]}` : ''
  }

  /** Call when an attempt starts. */
  begin(): void {
    this.#attempts++
    this.#begun = this.#now()
  }

  /** Call when an attempt made progress: attempts, waits and time start again. */
  progress(): void {
    this.#attempts = 0
    this.#retries = 0
    this.#end = undefined
  }

  /**
   * Call when an attempt had a transient failure.
   * @param asked milliseconds that the server asked for
   * @param unresolved whether the host name did not resolve, and never has: retries end after 30 s
   * @returns milliseconds to wait before the next attempt; undefined if there is none
   */
  retryAfter(asked: number | undefined, unresolved = false): number | undefined {
    const { max_retries = Number.POSITIVE_INFINITY, max_retry_seconds } = this.#policy
    const lead = unresolved ? Math.max(0, max_retry_seconds - unresolvedSeconds) * 1000 : 0
    if (this.#retries >= max_retries) this.#endedBy = 'max_retries'
    else if (this.#end !== undefined && this.#begun >= this.#end - lead) {
      this.#endedBy = 'max_retry_seconds'
      this.#unresolved = lead > 0
    }
    if (this.#endedBy) return undefined
    this.#end ??= this.#now() + max_retry_seconds * 1000
    // The server will not be back within the budget.
    if (asked !== undefined && asked > this.#end - this.#begun) {
      this.#endedBy = 'max_retry_seconds'
      return undefined
    }
    return retryWait(this.#policy, this.#retries++, asked)
  }
}

/** Waits. @throws AbortError as soon as the signal fires */
export async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  await sleep(Math.min(milliseconds, longestTimer), undefined, { signal })
}
