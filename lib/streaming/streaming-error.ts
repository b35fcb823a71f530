import { ConnectorError, type ErrorCode } from '../core/errors.ts'
import { isPassingFault, isPassingStatus } from '../core/retry.ts'
import type { PlainWindow } from '../core/window.ts'
import type { Offset } from '../core/window-source.ts'

/** Which part of a query failed. */
export type QueryPart = 'source' | 'transform' | 'sink'

/** A window's pipeline failed in one of its parts. */
export class WindowFailure extends Error {
  readonly part: QueryPart
  override readonly cause: Error

  constructor(part: QueryPart, cause: Error) {
    super(cause.message)
    this.part = part
    this.cause = cause
  }

  /** Whether the same window may go through later. A transform that fails would fail again. */
  get mayPass(): boolean {
    if (this.part === 'transform') return false
    if (!(this.cause instanceof ConnectorError)) return true
    const { code, status } = this.cause
    if (code === 'ERR_DELIVERY' || code === 'ERR_DEAD_LETTER') return true
    if (code !== 'ERR_QUERY' && code !== 'ERR_AUTH') return false
    return (status !== undefined && isPassingStatus(status)) || isPassingFault(this.cause)
  }
}

const codes: Record<QueryPart, ErrorCode> = {
  source: 'ERR_QUERY',
  transform: 'ERR_TRANSFORM',
  sink: 'ERR_DELIVERY',
}

/**
 * A streaming query ended because a window did not go through. The window is not committed: the query begins with it
 * when it is started again. `cause` is the error of the part that failed, and `code` is that error's where it has one
 * of ours.
 */
export class StreamingError extends ConnectorError {
  override name = 'StreamingError'
  /** What failed. */
  declare readonly part: QueryPart
  /** Where the query stands: all before it is committed. */
  declare readonly offset: Offset

  constructor({ part, cause }: WindowFailure, window: PlainWindow, offset: Offset, attempts: number) {
    const { code, connector } = cause instanceof ConnectorError ? cause : { code: codes[part] }
    super(
      code,
      `the ${part} failed in the window ${window.id}${attempts > 1 ? ` after ${attempts} attempts` : ''}; ` +
        `the query stands at ${offset.timestamp}: ${cause.message}`,
      { connector, attempts, window: { start: window.start, end: window.end }, cause },
    )
    Object.defineProperty(this, 'part', { value: part, enumerable: true })
    Object.defineProperty(this, 'offset', { value: offset, enumerable: true })
  }
}
