import { ConnectorError, type ErrorCode } from '../core/errors.ts'
import { isTransientFault, isTransientStatus } from '../core/retry.ts'

/** Which part of a window's pipeline failed. */
export type QueryPart = 'source' | 'transform' | 'sink'

/**
 * What is to become of a window that did not go through:
 * - `retry`: it may go through later, as it is. It goes back to where it came from.
 * - `window`: this window will never go through as it is, others will.
 * - `job`: no window will, until somebody sets something right, such as a token or an option. All work is to stop.
 */
export type WindowVerdict = 'retry' | 'window' | 'job'

/** What speaks of the window's own rows. */
const windowCodes: ReadonlySet<ErrorCode> = new Set([
  'ERR_RESULT_TOO_LARGE',
  'ERR_RESULT',
  'ERR_REJECTED',
  'ERR_ROW',
  'ERR_TRANSFORM',
])

/** What the next window would meet as well. */
const jobCodes: ReadonlySet<ErrorCode> = new Set(['ERR_OPTION', 'ERR_CHECKPOINT'])

/** The verdict on an error of a part of a window's pipeline. What is not known to be final is transient. */
export function verdictOf(part: QueryPart, error: Error): WindowVerdict {
  const known = error instanceof ConnectorError
  if (known && jobCodes.has(error.code)) return 'job'
  // A transform that fails would fail again.
  if (part === 'transform') return 'window'
  if (!known) return 'retry'
  const { code } = error
  if (windowCodes.has(code)) return 'window'
  if (code === 'ERR_AUTH') return isTransient(error) ? 'retry' : 'job'
  if (code === 'ERR_QUERY' && !isTransient(error)) return isAboutAnswer(error) ? 'window' : 'job'
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
