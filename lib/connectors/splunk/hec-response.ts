import { type ConnectorError, DeliveryError } from '../../core/errors.ts'
import type { Redact } from '../../core/redaction.ts'
import { isTransientStatus } from '../../core/retry.ts'
import type { Reason, SinkVerdict } from '../../core/verdict.ts'
import type { HttpResponse } from '../../http/client.ts'
import { plainText, waitOf } from '../../http/response.ts'

/** The body of a HEC answer. */
export interface HecReply {
  /** One of HEC's codes. A gateway in front may have codes of its own: its status counts then. */
  readonly code: number | undefined
  readonly text: string
  /** `invalid-event-number`: which event of the body was at fault. */
  readonly number: number | undefined
  readonly ackId: number | undefined
  /** There is no code of HEC, nor another one that speaks of a fault, and it is no page: a gateway may take events in with
   * an empty body, `OK`, `{}`, `{"text":"Success"}`, if its status says so too. */
  readonly looksAccepted: boolean
}

/** The codes go from 0 to 28. */
const lastCode = 28

/** Reads an answer's body. It may be HTML (413, 415, a proxy's page) or empty, and may quote the token: a short one may be
 * part of the JSON, so that is read before the token is taken out. */
export function readReply({ text }: HttpResponse, redact: Redact): HecReply {
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch {
    body = undefined
  }
  const { code, text: said, ackId, 'invalid-event-number': number } = (body ?? {}) as Record<string, unknown>
  const integer = (value: unknown) => (Number.isSafeInteger(value) ? (value as number) : undefined)
  const given = integer(code)
  return {
    code: given !== undefined && given >= 0 && given <= lastCode ? given : undefined,
    text: plainText(redact(typeof said === 'string' ? said : text)),
    number: integer(number),
    ackId: integer(ackId),
    looksAccepted: given === undefined ? !/^\s*</.test(text) : given >= 200 && given < 300,
  }
}

/** Codes by what they mean. https://docs.splunk.com/Documentation/Splunk/latest/Data/TroubleshootHTTPEventCollector */
const acceptedCodes = new Set([0, 24, 25])
const fullCodes = new Set([24, 25])
const authCodes = new Set([1, 2, 3, 4, 21, 22])
const fatalCodes = new Set([...authCodes, 10, 11, 14, 16, 28])
const passingCodes = new Set([8, 9, 18, 19, 20, 23, 26, 27])
/** The event named by `invalid-event-number` (from 0) is at fault; those before it are indexed, it and the rest are not. */
const faultyEventCodes = new Set([6, 12, 13, 15])
const wrongIndex = 7
const noData = 5
const busy = 9

/** A body over this may be refused for its size with code 6 and number 0, which names no event then. */
const safeBodyBytes = 1_000_000

/** What HEC's answer means for the rows of the request. */
export function verdictOf(
  response: HttpResponse,
  reply: HecReply,
  request: { rows: number; bytes: number },
): SinkVerdict {
  const { status } = response
  const { code, number, looksAccepted } = reply
  const reason: Reason = { status, code, text: reply.text || `HTTP status ${status}` }
  if (status >= 200 && status < 300) {
    if (code !== undefined && acceptedCodes.has(code)) {
      return { kind: 'accepted', value: reason, slowDown: fullCodes.has(code) }
    }
    if (code === undefined && looksAccepted) return { kind: 'accepted', value: reason }
  }
  if (status === 413) return { kind: 'split', reason }
  if (code !== undefined && faultyEventCodes.has(code)) {
    if (code === 6 && number === 0 && request.rows > 1 && request.bytes > safeBodyBytes)
      return { kind: 'split', reason }
    return faultyEvent(number, request.rows, reason)
  }
  // Measured on Splunk 10: this code names the event after the one with the wrong index.
  if (code === wrongIndex) return faultyEvent(number && number - 1, request.rows, reason)
  if (code === noData) return { kind: 'refused', reason }
  if (code === busy && number !== undefined && number > 0 && number <= request.rows) {
    // Whether the number counts from 0 or 1 is not known. One less loses nothing in either case.
    return { kind: 'partial', accepted: number - 1, refusesNext: false, reason, ...waitOf(response) }
  }
  if (isTransientReply(status, code)) return { kind: 'retry', reason, ...waitOf(response) }
  return { kind: 'fatal', error: fatalError(reason) }
}

function faultyEvent(number: number | undefined, rows: number, reason: Reason): SinkVerdict {
  if (number !== undefined && number >= 0 && number < rows) {
    return { kind: 'partial', accepted: number, refusesNext: true, reason }
  }
  // Which event is not told, or it is none of ours: look for it.
  return { kind: 'refused', reason }
}

/** The error of an answer after which nothing will ever be taken. */
export function fatalError({ status, code, text }: Reason): ConnectorError {
  const auth = code === undefined ? status === 401 || status === 403 : authCodes.has(code as number)
  const advice = auth ? 'the token was refused' : adviceOn(status, code)
  const said = `${text}${code === undefined ? '' : `, code ${code}`}`
  return new DeliveryError(auth ? 'ERR_AUTH' : 'ERR_DELIVERY', `splunk: ${advice} (${status}: ${said})`, {
    connector: 'splunk',
    status,
    serviceCode: code,
    serviceText: text,
  })
}

function adviceOn(status = 0, code: string | number | undefined): string {
  if (status >= 300 && status < 400) return 'the URL redirects, which is not followed'
  return code === undefined && (status < 300 || status === 404 || status === 405)
    ? 'the URL does not seem to be a HEC endpoint'
    : 'the request was refused'
}

/** Whether the same request may be answered otherwise later. */
export function isTransientReply(status: number, code: number | undefined): boolean {
  if (code !== undefined && fatalCodes.has(code)) return false
  return isTransientStatus(status) || (code !== undefined && passingCodes.has(code))
}
