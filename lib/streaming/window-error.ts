import { ConnectorError, type ErrorCode } from '../core/errors.ts'
import { isTransientFault, isTransientStatus } from '../core/retry.ts'
import { type Offset, offsetText, type Slice } from '../core/slice.ts'
import type { WindowVerdict } from '../core/verdict.ts'

/** Which part of a window's pipeline failed. */
export type QueryPart = 'source' | 'transform' | 'sink'

/** Errors that concern the window's own rows. */
const windowCodes: ReadonlySet<ErrorCode> = new Set([
  'ERR_RESULT_TOO_LARGE',
  'ERR_RESULT',
  'ERR_RECORD',
  'ERR_REJECTED',
  'ERR_ROW',
  'ERR_TRANSFORM',
])

/** Errors that would fail the next window as well. */
const jobCodes: ReadonlySet<ErrorCode> = new Set(['ERR_OPTION', 'ERR_CHECKPOINT'])

/** The verdict on an error of a part of a window's pipeline. An error not known to be permanent is transient. */
export function windowVerdict(part: QueryPart, error: Error): WindowVerdict {
  const known = error instanceof ConnectorError
  if (known && jobCodes.has(error.code)) return 'fatal'
  // A transform that fails would fail again.
  if (part === 'transform') return 'refused'
  if (!known) return 'retry'
  const { code } = error
  if (windowCodes.has(code)) return 'refused'
  if (code === 'ERR_AUTH') return isTransient(error) ? 'retry' : 'fatal'
  if (code === 'ERR_QUERY' && !isTransient(error)) return isAboutAnswer(error) ? 'refused' : 'fatal'
  return 'retry'
}

function isTransient(error: ConnectorError): boolean {
  return (error.status !== undefined && isTransientStatus(error.status)) || isTransientFault(error)
}

/** The service did answer the query, and it is the answer that can't be used. */
function isAboutAnswer({ status, cause }: ConnectorError): boolean {
  if (status !== undefined) return status < 300
  return (cause as NodeJS.ErrnoException | undefined)?.code === undefined
}

const codes: Record<QueryPart, ErrorCode> = {
  source: 'ERR_QUERY',
  transform: 'ERR_TRANSFORM',
  sink: 'ERR_DELIVERY',
}

/** The fields that errors of a window share: those of its cause. */
function detailsOf(part: QueryPart, cause: Error, { start, end }: Slice) {
  const known = cause instanceof ConnectorError ? cause : undefined
  return {
    code: known?.code ?? codes[part],
    connector: known?.connector,
    status: known?.status,
    serviceCode: known?.serviceCode,
    serviceText: known?.serviceText,
    retryAfter: known?.retryAfter,
    ...(typeof start === 'string' && typeof end === 'string' && { window: { start, end } }),
    cause,
  }
}

/** A window did not go through. `cause` is the error of the part that failed, and `code` that error's. */
export class WindowError extends ConnectorError {
  override name = 'WindowError'
  /** What failed. */
  declare readonly part: QueryPart
  /** What is to become of the window. */
  declare readonly verdict: WindowVerdict
  override readonly cause: Error

  constructor(part: QueryPart, cause: Error, window: Slice) {
    const { code, ...details } = detailsOf(part, cause, window)
    super(code, `the ${part} failed in the window ${window.id}: ${cause.message}`, details)
    this.cause = cause
    Object.defineProperty(this, 'cause', { enumerable: false })
    define(this, { part, verdict: windowVerdict(part, cause) })
  }
}

/**
 * A streaming query ended because a window did not go through. The window is not committed: the query begins with it
 * when it is started again. `cause` is the error of the part that failed, and `code` is that error's, if it has one
 * of ours.
 */
export class StreamingError extends ConnectorError {
  override name = 'StreamingError'
  /** What failed. */
  declare readonly part: QueryPart
  /** What is to become of the window. */
  declare readonly verdict: WindowVerdict
  /** Offset of the query: all before it is committed. */
  declare readonly offset: Offset

  constructor({ part, verdict, cause }: WindowError, window: Slice, offset: Offset, attempts: number) {
    const { code, ...details } = detailsOf(part, cause, window)
    super(
      code,
      `the ${part} failed in the window ${window.id}${attempts > 1 ? ` after ${attempts} attempts` : ''}; ` +
        `the query stands at ${offsetText(offset)}: ${cause.message}`,
      { ...details, attempts },
    )
    define(this, { part, verdict, offset })
  }
}

function define(error: Error, fields: Record<string, unknown>): void {
  for (const [name, value] of Object.entries(fields)) {
    Object.defineProperty(error, name, { value, enumerable: true, configurable: true })
  }
}
