import { DeliveryError } from '../../core/errors.ts'
import type { Redact } from '../../core/redaction.ts'
import { isTransientStatus } from '../../core/retry.ts'
import type { Reason, SinkVerdict } from '../../core/verdict.ts'
import type { HttpResponse } from '../../http/client.ts'
import { headerOf, plainText, waitOf } from '../../http/response.ts'

const authStatuses = new Set([401, 403, 407])

/** Of the rest of 4xx, those that speak of the request line or its headers, so of no row: all requests would meet them. */
const endpointStatuses = new Set([404, 405, 406, 410, 411, 415, 421, 426])

/** What an answer means for the rows of the request. https://www.rfc-editor.org/rfc/rfc9110#name-status-codes */
export function verdictOf(response: HttpResponse, url: string, redact: Redact): SinkVerdict {
  const { status } = response
  // A service may quote what it was sent: cleaned before it is cut, so that no half of a secret is left.
  const reason: Reason = { status, text: plainText(redact(response.text)) || `HTTP status ${status}` }
  if (status >= 200 && status < 300) return { kind: 'accepted', value: reason }
  if (status === 413) return { kind: 'split', reason }
  if (isTransientStatus(status)) {
    return { kind: 'retry', reason, ...waitOf(response) }
  }
  const isOfRows = status >= 400 && status < 500 && !authStatuses.has(status) && !endpointStatuses.has(status)
  if (isOfRows) return { kind: 'refused', reason }
  return fatal(reason, advice(response, url))
}

function advice(response: HttpResponse, url: string): string {
  const { status } = response
  if (authStatuses.has(status)) return 'the credentials were refused'
  if (status >= 300 && status < 400) {
    return `the server redirects${target(response, url)}; redirects are not followed, rows and credentials go to no other place than \`url\``
  }
  return status < 500 ? 'the endpoint does not take such requests' : 'the server failed'
}

/** Where a redirect leads: its origin alone, the rest may be as secret as `url`. */
function target(response: HttpResponse, url: string): string {
  const location = headerOf(response, 'location')
  if (location === undefined || !URL.canParse(location, url)) return ''
  const { origin } = new URL(location, url)
  return origin === new URL(url).origin ? ' to another path of itself' : ` to ${origin}`
}

function fatal(reason: Reason, what: string): SinkVerdict {
  const { status, text } = reason
  const code = status !== undefined && authStatuses.has(status) ? 'ERR_AUTH' : 'ERR_DELIVERY'
  const error = new DeliveryError(code, `rest: ${what} (${status}: ${text})`, {
    connector: 'rest',
    status,
    serviceText: text,
  })
  return { kind: 'fatal', error }
}
