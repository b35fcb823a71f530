import { DeliveryError } from '../../core/errors.ts'
import type { Redact } from '../../core/redaction.ts'
import { isTransientStatus } from '../../core/retry.ts'
import type { Reason, SinkVerdict } from '../../core/verdict.ts'
import type { HttpResponse } from '../../http/client.ts'
import { headerOf, plainText, waitOf } from '../../http/response.ts'
import type { IngestionTarget } from './ingestion-client.ts'
import { connectorName } from './options.ts'

/** What an error needs to know to be of help. */
export interface IngestionContext extends IngestionTarget {
  readonly audience: string
  readonly redact: Redact
}

/**
 * What the service's answer means for the rows of the request.
 * https://learn.microsoft.com/azure/azure-monitor/logs/logs-ingestion-api-overview#rest-api-call
 */
export function verdictOf(response: HttpResponse, context: IngestionContext): SinkVerdict {
  const { status } = response
  if (status === 204) return { kind: 'accepted', value: { status, text: 'HTTP status 204' } }
  const said = saidBy(response)
  const reason = shown(said, context.redact)
  if (isTransientStatus(status)) {
    return { kind: 'retry', reason, ...waitOf(response) }
  }
  if (status === 413) return { kind: 'split', reason }
  const advice = adviceOf(said, context)
  if (advice !== undefined) return { kind: 'fatal', error: fatalError(reason, advice) }
  // The body as a whole is refused for what may be one row, and it is not told which.
  return { kind: 'refused', reason }
}

/** The service's own words. They may quote secrets, so they are told apart before {@link shown} takes those out. */
function saidBy(response: HttpResponse): Reason {
  const { status, text } = response
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch {
    body = undefined
  }
  const { error = body } = (body ?? {}) as { error?: unknown }
  const { code, message } = (error ?? {}) as Record<string, unknown>
  return {
    status,
    code: typeof code === 'string' && code !== '' ? code : headerOf(response, 'x-ms-error-code'),
    text: typeof message === 'string' && message !== '' ? message : text,
  }
}

function shown({ status, code, text }: Reason, redact: Redact): Reason {
  return {
    status,
    code: typeof code === 'string' ? redact(code) : code,
    // Cleaned before it is cut, so that no half of a secret is left.
    text: plainText(redact(text)) || `HTTP status ${status}`,
  }
}

/** What is wrong with every request from here, and what to do about it; undefined where it may be the rows. */
function adviceOf(
  { status = 0, code, text }: Reason,
  { dce, dcr_id, dcs, audience }: IngestionContext,
): string | undefined {
  if (status === 401)
    return `the token was refused, a new one too: it is for ${audience}, which has to be the audience of the cloud that ${dce} is in`
  if (status === 403) {
    return `not allowed to send to the data collection rule ${dcr_id}: give the identity the role "Monitoring Metrics Publisher" on the rule (it may take 30 minutes to count), and see that the rule and the endpoint ${dce} go together`
  }
  if (status === 404 || code === 'InvalidStream') {
    if (code === 'InvalidStream' || text.includes(dcs) || /stream/i.test(text))
      return `the stream ${dcs} is not in the data collection rule ${dcr_id}`
    const rule = `the data collection rule ${dcr_id} (\`dcr_id\` is its immutable id, not its name)`
    return /collection rule/i.test(text)
      ? `there is no ${rule.slice(4)} at ${dce}`
      : `${rule} or its stream ${dcs} is not known at ${dce}`
  }
  if (status < 300) return `${dce} does not answer as a data collection endpoint does, which is with 204`
  if (status < 400)
    return `${dce} redirects; redirects are not followed, rows and tokens go to no other place`
  if (status >= 500) return 'the service failed'
  return status === 400 || status === 422 ? undefined : 'the request was refused'
}

function fatalError({ status, code, text }: Reason, advice: string): DeliveryError {
  const said = `${code === undefined ? '' : `${code}: `}${text}`
  return new DeliveryError(
    status === 401 || status === 403 ? 'ERR_AUTH' : 'ERR_DELIVERY',
    `${connectorName}: ${advice} (${status}: ${said})`,
    { connector: connectorName, status, serviceCode: code, serviceText: text },
  )
}
