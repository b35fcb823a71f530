import { randomUUID } from 'node:crypto'
import { type ConnectorError, DeliveryError } from '../../core/errors.ts'
import type { Health } from '../../core/health.ts'
import { jsonOrUndefined } from '../../core/json.ts'
import { credentialsOf, type Redact, redactor } from '../../core/redaction.ts'
import { isTransientStatus } from '../../core/retry.ts'
import type { Reason, SinkVerdict } from '../../core/verdict.ts'
import { HttpClient, type HttpRequest, type HttpResponse } from '../../http/client.ts'
import { plainText, waitOf } from '../../http/response.ts'
import type { Attempt, Body, SinkProtocol } from '../../sink/protocol.ts'
import { AckChannel } from './ack-channel.ts'
import { type EventEncoder, eventEncoder } from './event.ts'
import type { SplunkSettings } from './options.ts'

/** How often a token that was good is tried again. */
const triesElsewhere = 5

/** HEC: concatenated JSON objects (or lines of text) by POST, answered with a code of Splunk's own. */
export class HecProtocol implements SinkProtocol {
  readonly connector = 'splunk'
  readonly host: string
  readonly framing = { open: '', separator: '\n', close: '' }
  readonly contentType: string
  readonly compression: 'gzip' | 'none'
  readonly encode: SinkProtocol['encode']
  readonly encodeText: EventEncoder['encodeText']
  readonly #settings: SplunkSettings
  readonly #http: HttpClient
  readonly #endpoint: (name: string, query?: string) => string
  readonly #ended = new AbortController()
  #channel: AckChannel
  /** How often the token was refused since rows were accepted; undefined as long as none were. */
  #refusals: number | undefined

  constructor(settings: SplunkSettings) {
    this.#settings = settings
    this.host = new URL(settings.url).host
    const { encode, encodeText } = eventEncoder(settings)
    this.encode = encode
    this.encodeText = encodeText
    this.contentType = settings.mode === 'raw' ? 'text/plain; charset=utf-8' : 'application/json'
    this.compression = settings.compression
    this.#http = new HttpClient(settings, redactor([settings.token, ...credentialsOf(settings.url)]))
    this.#endpoint = endpoints(settings.url)
    this.#channel = this.#newChannel(settings.channel ?? randomUUID())
  }

  async send(body: Body, attempt: Attempt): Promise<SinkVerdict> {
    if (this.#settings.ack) return this.#sendAcknowledged(body, attempt)
    const response = await this.#post(body, attempt, this.#channel)
    return this.#orElsewhere(hecVerdict(response, readReply(response, this.#http.redact), body))
  }

  /** https://docs.splunk.com/Documentation/Splunk/latest/RESTREF/RESTinput */
  async health(timeout: number): Promise<Health> {
    const { ack } = this.#settings
    const ask = (request: Pick<HttpRequest, 'method' | 'url' | 'body'>) =>
      this.#http.request({
        ...request,
        headers: { ...this.#headers(this.#channel), 'content-type': request.body && 'application/json' },
        signal: this.#ended.signal,
        timeout,
        cut: true,
      })
    try {
      let response = await ask({ method: 'GET', url: this.#endpoint('health', ack ? 'ack=true' : '') })
      // The health of HEC says nothing of the token's acknowledgement; a question for an id does, and sends no row.
      if (ack && response.status === 200)
        response = await ask({ method: 'POST', url: this.#endpoint('ack'), body: '{"acks":[0]}' })
      const { status } = response
      const { code, text } = readReply(response, this.#http.redact)
      const isAckDisabled = code === ackDisabled
      const advice = isAckDisabled ? `ack: ${noAcknowledgement}: ` : ''
      const healthy = status === 200
      return {
        healthy,
        status,
        code,
        ...(isAckDisabled && { option: 'ack' }),
        text:
          healthy && ack
            ? 'HEC takes events and acknowledges them'
            : `${advice}${text || `HTTP status ${status}`}`,
      }
    } catch (error) {
      return { healthy: false, text: (error as Error).message }
    }
  }

  /** A token that was good is tried again on fresh connections: one member behind a balancer may lack a new one. */
  #orElsewhere(verdict: SinkVerdict): SinkVerdict {
    if (verdict.kind === 'accepted') this.#refusals = 0
    if (verdict.kind !== 'fatal' || verdict.error.code !== 'ERR_AUTH') return verdict
    if (this.#refusals === undefined || this.#refusals++ >= triesElsewhere) return verdict
    const { status, serviceCode: code, serviceText = '' } = verdict.error
    return { kind: 'retry', reason: { status, code, text: serviceText } }
  }

  close(): void {
    this.#ended.abort()
    this.#http.close()
  }

  #post(body: Body, { signal, timeout }: Attempt, channel: AckChannel): Promise<HttpResponse> {
    const { mode, auto_extract_timestamp } = this.#settings
    const query = auto_extract_timestamp ? 'auto_extract_timestamp=true' : body.group
    return this.#http.request({
      method: 'POST',
      url: this.#endpoint(mode, query),
      headers: { ...this.#headers(channel), ...body.headers },
      body: body.bytes,
      signal,
      timeout,
      cut: true,
    })
  }

  /** With acknowledgement on, rows that HEC took are in only when an indexer says so. */
  async #sendAcknowledged(body: Body, attempt: Attempt): Promise<SinkVerdict> {
    const { ack_timeout } = this.#settings
    for (;;) {
      // What an old id may still say is no longer asked for: rows go out on a channel of their own.
      if (this.#channel.lost) this.#channel = this.#newChannel(randomUUID())
      const channel = this.#channel
      const post = async () => {
        const response = await this.#post(body, attempt, channel)
        const reply = readReply(response, this.#http.redact)
        const verdict = this.#orElsewhere(hecVerdict(response, reply, body))
        const rowsAreIn = verdict.kind === 'accepted' || (verdict.kind === 'partial' && verdict.accepted > 0)
        return { response, isOfHec: reply.code !== undefined, ackId: reply.ackId, rowsAreIn, verdict }
      }
      const sent = await channel.send(post, ack_timeout * 1000)
      if (!sent) continue
      const { answer, outcome } = sent
      const { verdict, rowsAreIn } = answer
      if (outcome === undefined) return rowsAreIn ? unacknowledged(verdict) : verdict
      if (outcome === 'indexed') return verdict
      if (outcome === 'timeout' && this.#channel === channel) this.#channel = this.#newChannel(randomUUID())
      const text =
        outcome === 'lost'
          ? 'another indexer, or the same one started again, counts the ack ids from the start: a load balancer must keep a channel at one indexer'
          : `no acknowledgement within ${ack_timeout} seconds`
      return { kind: 'retry', reason: { text } }
    }
  }

  #newChannel(id: string): AckChannel {
    const ask = (channel: AckChannel, acks: readonly number[]) => this.#askAcks(channel, acks)
    return new AckChannel(id, ask, this.#ended.signal)
  }

  async #askAcks(channel: AckChannel, acks: readonly number[]): Promise<readonly number[] | undefined> {
    const { signal } = this.#ended
    let response: HttpResponse
    try {
      response = await this.#http.request({
        method: 'POST',
        url: this.#endpoint('ack'),
        headers: { ...this.#headers(channel), 'content-type': 'application/json' },
        body: JSON.stringify({ acks }),
        signal,
        timeout: this.#settings.request_timeout * 1000,
      })
    } catch (error) {
      if (signal.aborted) throw error
      return undefined // A fault of the connection: the next question may be answered.
    }
    channel.keepCookies(response)
    const { status } = response
    if (status < 300) return indexedIds(response.text)
    const { code, text } = readReply(response, this.#http.redact)
    if (isTransientReply(status, code)) return undefined
    throw fatalError({ status, code, text: text || `HTTP status ${status}` })
  }

  #headers(channel: AckChannel): Record<string, string | undefined> {
    return {
      authorization: `Splunk ${this.#settings.token}`,
      'x-splunk-request-channel': channel.id,
      cookie: channel.cookie,
    }
  }
}

/** HEC's code for a question on a token without acknowledgement. */
const ackDisabled = 14

const noAcknowledgement = 'indexer acknowledgement is not enabled for this token'

/** What follows from an answer that takes rows in and gives no id to ask for. */
function unacknowledged(verdict: SinkVerdict): SinkVerdict {
  if (verdict.kind === 'accepted') {
    const text = 'the answer has no ackId'
    return { kind: 'fatal', error: fatalError({ status: verdict.value.status, code: ackDisabled, text }) }
  }
  if (verdict.kind !== 'partial') return verdict
  // The rows before the one at fault may never reach an indexer: they go out again.
  if (verdict.refusesNext)
    return { kind: 'refused', reason: verdict.reason, aboutRow: verdict.aboutRow ?? true }
  return { ...verdict, kind: 'retry' }
}

function indexedIds(text: string): number[] {
  const answer = jsonOrUndefined(text) as { acks?: object | null } | null | undefined
  return Object.entries(answer?.acks ?? {}).flatMap(([id, indexed]) => (indexed === true ? [Number(id)] : []))
}

/** The endpoints beside the given one: `…/services/collector/ack` for `…/services/collector/event`. */
function endpoints(given: string): (name: string, query?: string) => string {
  const url = new URL(given)
  if (url.pathname === '/') url.pathname = '/services/collector/event'
  const path = url.pathname.replace(/\/+$/, '')
  const base = path.replace(/(\/(event|raw))?(\/1\.0)?$/, '')
  url.hash = ''
  const known = new Map<string, string>()
  return (name, query = '') => {
    let endpoint = known.get(name)
    if (endpoint === undefined) {
      url.pathname = name === 'event' ? path : `${base}/${name}`
      endpoint = url.href
      known.set(name, endpoint)
    }
    return query === '' ? endpoint : `${endpoint}${url.search === '' ? '?' : '&'}${query}`
  }
}

/** The body of a HEC answer. */
interface HecReply {
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
 * part of the JSON, so that is read before the token is redacted. */
export function readReply({ text }: HttpResponse, redact: Redact): HecReply {
  const body = jsonOrUndefined(text)
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
export function hecVerdict(
  response: HttpResponse,
  reply: HecReply,
  request: Pick<Body, 'rows' | 'size'>,
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
    if (code === 6 && number === 0 && request.rows > 1 && request.size > safeBodyBytes)
      return { kind: 'split', reason }
    return faultyEvent(number, request.rows, reason, true)
  }
  // Measured on Splunk 10: this code names the event after the one with the wrong index.
  if (code === wrongIndex) return faultyEvent(number && number - 1, request.rows, reason, false)
  if (code === noData) return { kind: 'refused', reason, aboutRow: true }
  // A firewall says so of what a row holds; HEC itself gives a code.
  if (code === undefined && (status === 401 || status === 403)) return { kind: 'refused', reason }
  if (code === busy && number !== undefined && number > 0 && number <= request.rows) {
    // Whether the number counts from 0 or 1 is not known. One less loses nothing in either case.
    return { kind: 'partial', accepted: number - 1, refusesNext: false, reason, ...waitOf(response) }
  }
  if (isTransientReply(status, code)) return { kind: 'retry', reason, ...waitOf(response) }
  return { kind: 'fatal', error: fatalError(reason) }
}

function faultyEvent(
  number: number | undefined,
  rows: number,
  reason: Reason,
  aboutRow: boolean,
): SinkVerdict {
  if (number !== undefined && number >= 0 && number < rows) {
    return { kind: 'partial', accepted: number, refusesNext: true, reason, aboutRow }
  }
  // HEC did not name the event, or named none of this body: bisect.
  return { kind: 'refused', reason, aboutRow }
}

/** The error of an answer after which nothing will ever be taken. */
export function fatalError({ status, code, text }: Reason): ConnectorError {
  const auth = code === undefined ? status === 401 || status === 403 : authCodes.has(code as number)
  const advice = auth ? 'the token was refused' : adviceOn(status, code)
  const said = `${text}${code === undefined ? '' : `, code ${code}`}`
  return new DeliveryError(
    auth ? 'ERR_AUTH' : code === ackDisabled ? 'ERR_OPTION' : 'ERR_DELIVERY',
    `splunk: ${advice} (${status}: ${said})`,
    {
      connector: 'splunk',
      status,
      serviceCode: code,
      serviceText: text,
    },
  )
}

function adviceOn(status = 0, code: string | number | undefined): string {
  if (code === ackDisabled) return `ack: ${noAcknowledgement}; enable it for the token, or leave \`ack\` out`
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
