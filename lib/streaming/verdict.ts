import { ConnectorError, type ErrorCode } from '../core/errors.ts'
import { isTransientFault, isTransientStatus } from '../core/retry.ts'
import type { WindowVerdict } from '../core/verdict.ts'

/** Which part of a window's pipeline failed. */
export type QueryPart = 'source' | 'transform' | 'sink'

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

/** The verdict on an error of a part of a window's pipeline. What is not known to be permanent is transient. */
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
