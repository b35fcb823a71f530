import { ConnectorError, type ErrorDetails, QueryError } from '../../core/errors.ts'
import { jsonOrUndefined } from '../../core/json.ts'
import { MalformedJson } from '../../core/json-scanner.ts'
import { cleanError, type Redact } from '../../core/redaction.ts'
import { holdsAll, isTransientFault, isTransientStatus, retryAfter } from '../../core/retry.ts'
import type { SourceFailure } from '../../core/verdict.ts'
import { AuthError } from '../azure/tokens.ts'
import type { AnswerTable, WholeAnswer } from './answer.ts'
import { connectorName } from './options.ts'

/** A request that failed, with the tables that came all the same. */
export type QueryFailure = Exclude<SourceFailure, { kind: 'wait' }> & {
  readonly tables?: readonly AnswerTable[]
}

/** Number of rows at which the service cuts a result, sometimes without an error. */
export const rowLimit = 500_000

/**
 * Codes of a result that is too large, in any field of the answer. The number is 0x80DA0003 as int32. "exceed" does not
 * count: throttling and memory errors use it too.
 * https://learn.microsoft.com/kusto/concepts/query-limits#limit-on-result-set-size-result-truncation
 */
const tooLarge =
  /E_QUERY_RESULT_SET_TOO_LARGE|80DA0003|-2133196797|QueryExecutionResultSizeLimitExceeded|ResponsePayloadTooLarge/i

/** The service's code and messages, outermost error first. */
interface ServiceError {
  readonly code: string | undefined
  readonly text: string
}

function readServiceError(error: unknown): ServiceError {
  const codes: string[] = []
  const texts: string[] = []
  for (let at = error, depth = 0; typeof at === 'object' && at !== null && depth < 10; depth++) {
    const { code, message, innererror, details, line, pos, token } = at as Record<string, unknown>
    if (typeof code === 'string' || typeof code === 'number') codes.push(String(code))
    const place = [
      typeof line === 'number' ? `line ${line}` : '',
      typeof pos === 'number' ? `position ${pos}` : '',
      typeof token === 'string' && token !== '' ? `at "${token}"` : '',
    ].filter((part) => part !== '')
    if (typeof message === 'string') texts.push(message.trim())
    if (place.length > 0) texts.push(`(${place.join(', ')})`)
    at = innererror ?? (Array.isArray(details) ? details[0] : undefined)
  }
  const sentences = [...new Set(texts)].map((words) => (/[.!?)]$/.test(words) ? words : `${words}.`))
  return { code: codes[0], text: sentences.join(' ').trim() }
}

/** The service's message that a query took too long. A 504 of a gateway in between is a transient fault. */
const tooSlow = /GatewayTimeout|quer(?:y|ies)\b.{0,40}\btimed out|timed out.{0,40}\bquery/i

/** An answer with another status than 200. @param divisible whether halves can be asked for */
export function statusFailure(
  status: number,
  text: string,
  retryAfterHeader: string | undefined,
  redact: Redact,
  divisible: boolean,
): QueryFailure {
  const body = jsonOrUndefined(text)
  const isWrapped = typeof body === 'object' && body !== null && 'error' in body
  const { code, text: words } = readServiceError(isWrapped ? body.error : body)
  // Redacted before it is cut: a part of a token would not be recognized.
  const serviceText = redact(words || text.trim()).slice(0, words ? undefined : 500) || undefined
  const details: ErrorDetails = { connector: connectorName, status, serviceCode: code, serviceText }
  const said = `status ${status}${code ? ` ${code}` : ''}${serviceText ? `: ${serviceText}` : ''}`
  const query = (message: string) => new QueryError('ERR_QUERY', `${connectorName}: ${message}`, details)
  if (status === 413 || tooLarge.test(text)) return { kind: 'split', error: tooLargeError(said, details) }
  if (status === 504 && tooSlow.test(text)) {
    return { kind: divisible ? 'split' : 'retry', error: query(`the query took too long: ${said}`) }
  }
  if (status === 401 || status === 403) {
    const error = new ConnectorError(
      'ERR_AUTH',
      `${connectorName}: the service refused the token: ${said}`,
      details,
    )
    return { kind: status === 401 ? 'again' : 'fatal', error }
  }
  const error = query(`the service refused the query: ${said}`)
  if (!isTransientStatus(status)) return { kind: 'fatal', error }
  return { kind: 'retry', error, after: retryAfter(retryAfterHeader), holdAll: holdsAll(status) }
}

/** A result with status 200 that reports itself as incomplete. */
export function partialFailure({ error, tables }: WholeAnswer, redact: Redact): QueryFailure {
  const { code, text } = readServiceError(error)
  const details: ErrorDetails = {
    connector: connectorName,
    status: 200,
    serviceCode: code,
    serviceText: redact(text) || undefined,
  }
  if (tooLarge.test(JSON.stringify(error)))
    return { kind: 'split', tables, error: tooLargeError(redact(text), details) }
  const message = `${connectorName}: the result is incomplete: ${redact(text) || 'the service does not say why'}`
  const failure = new QueryError('ERR_QUERY', message, details)
  if (ownFault.test(JSON.stringify(error))) return { kind: 'fatal', tables, error: failure }
  // The service ran short of memory, or of time.
  return { kind: 'retry', tables, error: failure, divide: true }
}

/**
 * A partial result whose cause is the query itself. Any other cause, such as E_LOW_MEMORY_CONDITION, a lost node or a
 * timeout, is transient: https://learn.microsoft.com/kusto/concepts/partial-query-failures
 */
const ownFault =
  /SemanticError|SyntaxError|BadArgument|BadRequest|InvalidTimestamp|Forbidden|Unauthorized|"Permanent"|"@permanent":true/i

/** A result with the service's maximum of rows, which may be incomplete. */
export function cutFailure({ rowCount, tables }: WholeAnswer): QueryFailure {
  const text = `the result has ${rowCount} rows, as many as the service gives: rows may be missing`
  const details = { connector: connectorName, status: 200 }
  return { kind: 'split', tables, error: tooLargeError(text, details) }
}

function tooLargeError(reason: string, details: ErrorDetails): QueryError {
  return new QueryError(
    'ERR_RESULT_TOO_LARGE',
    `${connectorName}: the result is too large: ${reason.replace(/\.$/, '')}`,
    details,
  )
}

/** No answer, or one that broke off. */
export function faultFailure(error: unknown, redact: Redact): QueryFailure {
  if (error instanceof AuthError && error.transient)
    return { kind: 'retry', error, after: error.wait, holdAll: holdsAll(error.status) }
  if (error instanceof ConnectorError) return { kind: 'fatal', error }
  const cause = cleanError(error, redact)
  const { code } = cause as NodeJS.ErrnoException
  const cut = error instanceof MalformedJson ? error.isCut : code === 'Z_BUF_ERROR'
  const transient = cut || isTransientFault(error)
  const what = error instanceof MalformedJson && !cut ? 'the answer can not be read' : 'no complete answer'
  return {
    kind: transient ? 'retry' : 'fatal',
    error: new QueryError('ERR_QUERY', `${connectorName}: ${what}: ${cause.message}`, {
      connector: connectorName,
      cause,
    }),
  }
}
