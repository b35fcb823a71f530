import { DeliveryError } from '../../core/errors.ts'
import type { Redact } from '../../core/redaction.ts'
import { isTransientStatus } from '../../core/retry.ts'
import type { HttpResponse } from '../../http/client.ts'
import { headerOf, plainText, waitOf } from '../../http/response.ts'
import type { Reason, Verdict } from '../../sink/protocol.ts'
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
export function verdictOf(response: HttpResponse, context: IngestionContext): Verdict {
  const { status } = response
  if (status === 204) return { kind: 'accepted', reason: { status, text: 'HTTP status 204' } }
  const reason = reasonOf(response, context.redact)
  if (isTransientStatus(status)) {
    return { kind: 'retry', reason, ...waitOf(response) }
  }
  if (status === 413) return { kind: 'split', reason }
  const advice = adviceOf(status, reason, context)
  if (advice !== undefined) return { kind: 'fatal', error: fatalError(reason, advice) }
  // The body as a whole is refused for what may be one row, and it is not told which.
  return { kind: 'refused', reason }
}

function reasonOf(response: HttpResponse, redact: Redact): Reason {
  const { status } = response
  let body: unknown
  try {
    body = JSON.parse(response.text)
  } catch {
    body = undefined
  }
  const { error = body } = (body ?? {}) as { error?: unknown }
  const { code, message } = (error ?? {}) as Record<string, unknown>
  const said = typeof code === 'string' && code !== '' ? code : headerOf(response, 'x-ms-error-code')
  return {
    status,
    code: said && redact(said),
    text:
      typeof message === 'string' && message !== ''
        ? redact(message)
        : plainText(redact(response.text)) || `HTTP status ${status}`,
  }
}

/** What is wrong with every request from here, and what to do about it; undefined where it may be the rows. */
function adviceOf(
  status: number,
  { code, text }: Reason,
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
