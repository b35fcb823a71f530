import { createHash } from 'node:crypto'
import { DeliveryError, OptionError, RefusedRow } from '../../core/errors.ts'
import { describe, type JsonText, serialize } from '../../core/json.ts'
import { type Redact, redactor, urlSecrets } from '../../core/redaction.ts'
import { isTransientStatus } from '../../core/retry.ts'
import type { Reason, SinkVerdict } from '../../core/verdict.ts'
import { HttpClient, type HttpResponse } from '../../http/client.ts'
import { headerOf, plainText, waitOf } from '../../http/response.ts'
import type { Attempt, Body, EncodedRow, Framing, SinkProtocol } from '../../sink/protocol.ts'
import { type AnswerCheck, answerKinds, givenHeaders, type RestSettings } from './options.ts'

/** Rows as the body, or the query, of HTTP requests to one URL; the status says whether they are in. */
export class RestProtocol implements SinkProtocol {
  readonly connector = 'rest'
  readonly host: string
  readonly framing: Framing
  readonly contentType: string | undefined
  readonly keyed: boolean
  readonly #settings: RestSettings
  readonly #write: (row: Record<string, unknown>) => string
  readonly #part: (row: Record<string, unknown>) => PartedRow
  readonly #headers: Readonly<Record<string, string>>
  readonly #http: HttpClient

  constructor(settings: RestSettings) {
    this.#settings = settings
    this.host = new URL(settings.url).host
    const { framing, contentType, write } = payloadOf(settings)
    this.framing = framing
    this.contentType = contentType
    this.#write = write
    this.keyed = settings.idempotency_header !== undefined
    this.#part = queryParter(settings.url_query_params ?? [])
    const headers = givenHeaders(settings)
    this.#headers = lowerCase(headers)
    const redact = redactor([
      ...urlSecrets(settings.url),
      ...Object.entries(headers).flatMap(headerSecrets),
      ...(settings.proxy ? urlSecrets(settings.proxy) : []),
    ])
    this.#http = new HttpClient(settings, redact)
  }

  encode(row: Record<string, unknown>): EncodedRow {
    const { query, body } = this.#part(row)
    if (this.#settings.http_method !== 'get') return { wire: this.#write(body), group: query }
    const left = Object.keys(body).find((column) => body[column] !== undefined)
    if (left !== undefined)
      throw new RefusedRow(`${left}: would be lost: get sends no body, and url_query_params does not name it`)
    return { wire: query, group: query }
  }

  encodeText(row: JsonText): EncodedRow | undefined {
    const { http_method, url_query_params = [] } = this.#settings
    const isWhole = this.#write === serialize && http_method !== 'get' && url_query_params.length === 0
    // A line feed between members would end a line.
    const isLine = this.framing.separator !== '\n' || !row.bytes.includes(10)
    return isWhole && isLine ? { wire: '', raw: row, group: '' } : undefined
  }

  async send(body: Body, { signal, timeout }: Attempt): Promise<SinkVerdict> {
    const { url, http_method, idempotency_header, accept } = this.#settings
    const response = await this.#http.request({
      method: http_method,
      url: withQuery(url, body.group ?? ''),
      headers: {
        // The status is the answer: the body is only for messages.
        'accept-encoding': 'identity',
        ...body.headers,
        ...this.#headers,
        ...(idempotency_header !== undefined && { [idempotency_header]: body.key }),
      },
      ...(http_method !== 'get' && { body: body.bytes }),
      signal,
      timeout,
      cut: true,
      // A check of the body has to wait for it.
      headCounts: () => typeof accept !== 'function',
    })
    const { status } = response
    const checked =
      typeof accept === 'function'
        ? checkedBy(accept, response)
        : accept?.includes(status)
          ? 'accepted'
          : undefined
    // A receiver that knows the key says so while the first request is still at work: another try may find it done.
    if (!checked && status === 409 && idempotency_header !== undefined) {
      const text = plainText(this.#http.redact(response.text)) || 'HTTP status 409'
      return { kind: 'retry', reason: { status: 409, text }, ...waitOf(response) }
    }
    return restVerdict(response, url, this.#http.redact, checked)
  }

  close(): void {
    this.#http.close()
  }
}

/** @throws OptionError if the function returns none of the words */
function checkedBy(accept: AnswerCheck, { status, text }: HttpResponse): ReturnType<AnswerCheck> {
  const checked = accept(status, text)
  if (checked === undefined || answerKinds.has(checked)) return checked
  const words = [...answerKinds].map((kind) => `"${kind}"`).join(', ')
  throw new OptionError('rest', [
    `accept: the function returned ${describe(checked)}; expected ${words} or undefined`,
  ])
}

/**
 * What an answer means for the rows of the request. https://www.rfc-editor.org/rfc/rfc9110#name-status-codes
 * @param checked what `accept` says of it
 */
export function restVerdict(
  response: HttpResponse,
  url: string,
  redact: Redact,
  checked?: ReturnType<AnswerCheck>,
): SinkVerdict {
  const { status } = response
  // A service may quote what it was sent: cleaned before it is cut, so that no half of a secret is left.
  const text = plainText(redact(response.text)) || `HTTP status ${status}`
  const reason: Reason = { status, text }
  const kind = checked ?? kindOf(status)
  if (kind === 'accepted') return { kind, value: reason }
  if (kind === 'retry') return { kind, reason, ...waitOf(response) }
  if (kind === 'split' || kind === 'refused') return { kind, reason }
  const code = authStatuses.has(status) ? 'ERR_AUTH' : 'ERR_DELIVERY'
  const why = checked ? '`accept` finds the answer permanent' : advice(response, url)
  const details = { connector: 'rest', status, serviceText: text }
  return { kind, error: new DeliveryError(code, `rest: ${why} (${status}: ${text})`, details) }
}

function kindOf(status: number): 'accepted' | 'split' | 'retry' | 'refused' | 'fatal' {
  if (status >= 200 && status < 300) return 'accepted'
  if (status === 413) return 'split'
  if (isTransientStatus(status)) return 'retry'
  if (firewallStatuses.has(status)) return 'refused'
  if (status < 400 || status >= 500 || authStatuses.has(status) || endpointStatuses.has(status))
    return 'fatal'
  return 'refused'
}

const authStatuses = new Set([401, 403, 407])

/** Of these a firewall may speak of what one row holds. */
const firewallStatuses = new Set([401, 403])

/** Of the rest of 4xx, those that speak of the request line or its headers, so of no row: all requests would meet them. */
const endpointStatuses = new Set([404, 405, 406, 410, 411, 415, 421, 426])

function advice(response: HttpResponse, url: string): string {
  const { status } = response
  if (authStatuses.has(status)) return 'the credentials were refused'
  if (status >= 300 && status < 400) {
    return `the server redirects${target(response, url)}; redirects are not followed, rows and credentials go to no other place than \`url\``
  }
  return status < 500 ? 'the endpoint does not take such requests' : 'the server failed'
}

/** Target of a redirect: its origin alone, since the rest may be as secret as `url`. */
function target(response: HttpResponse, url: string): string {
  const location = headerOf(response, 'location')
  if (location === undefined || !URL.canParse(location, url)) return ''
  const { origin } = new URL(location, url)
  return origin === new URL(url).origin ? ' to another path of itself' : ` to ${origin}`
}

function lowerCase(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))
}

/** Headers that carry no secret, only words that an answer may well hold too. */
const openHeaders = new Set(['accept', 'accept-language', 'content-type', 'user-agent'])

/** What of a header may be secret: its value, and the credentials in `Bearer …` by themselves. */
function headerSecrets([name, value]: [string, string]): string[] {
  if (openHeaders.has(name.toLowerCase())) return []
  const [, credentials = ''] = value.split(/^\S+\s+/)
  const basic = /^basic\s/i.test(value) ? Buffer.from(credentials, 'base64').toString() : ''
  const password = basic.slice(basic.indexOf(':') + 1)
  const cookies =
    name.toLowerCase() === 'cookie' ? value.split(/;\s*/).map((cookie) => cookie.replace(/^[^=]*=/, '')) : []
  return [value, credentials, basic, password, ...cookies].filter((secret) => secret.length > 3)
}

/** How rows become the body of a request. */
interface Payload {
  readonly framing: Framing
  readonly contentType: string | undefined
  /** A row as it goes over the wire. @throws RefusedRow */
  write(row: Record<string, unknown>): string
}

/** For one row a request. */
const alone: Framing = { open: '', separator: '', close: '' }

function payloadOf(settings: RestSettings): Payload {
  const { http_format, http_method, batch_size } = settings
  if (http_method === 'get') return { framing: alone, contentType: undefined, write: serialize }
  switch (http_format) {
    case 'form-data':
      return { framing: alone, contentType: 'application/x-www-form-urlencoded', write: urlEncoded }
    case 'multipart':
      return multipart(settings)
    case 'ndjson':
      return {
        framing: { open: '', separator: '\n', close: '\n' },
        contentType: 'application/x-ndjson',
        write: serialize,
      }
    default: {
      const framing = batch_size === 1 ? alone : { open: '[', separator: ',', close: ']' }
      return { framing, contentType: 'application/json', write: serialize }
    }
  }
}

function urlEncoded(row: Record<string, unknown>): string {
  return new URLSearchParams(fieldsOf(row)).toString()
}

/** https://html.spec.whatwg.org/multipage/form-control-infrastructure.html#multipart-form-data */
function multipart(settings: RestSettings): Payload {
  // The same for the same endpoint and credentials: rows sent again by another process have the same bytes, so the same key.
  const endpoint = JSON.stringify([settings.url, givenHeaders(settings)])
  const boundary = `----cyber-connectors-${createHash('sha256').update(endpoint).digest('hex').slice(0, 32)}`
  const lines = (text: string) => text.replace(/\r\n?|\n/g, '\r\n')
  const inQuotes = (name: string) =>
    lines(name).replace(/[\r\n"]/g, (character) => encodeURIComponent(character))
  return {
    framing: alone,
    contentType: `multipart/form-data; boundary=${boundary}`,
    write(row) {
      const fields = fieldsOf(row)
      const planted = fields.find((field) => field.some((text) => text.includes(boundary)))
      if (planted) throw new RefusedRow(`${planted[0]}: the boundary of multipart/form-data is in it`)
      const parts = fields.map(
        ([name, value]) =>
          `--${boundary}\r\nContent-Disposition: form-data; name="${inQuotes(name)}"\r\n\r\n${lines(value)}\r\n`,
      )
      return `${parts.join('')}--${boundary}--\r\n`
    },
  }
}

function fieldsOf(row: Record<string, unknown>): [string, string][] {
  return Object.entries(row).flatMap(([name, value]): [string, string][] =>
    value === undefined ? [] : [[name, textOf(name, value)]],
  )
}

/** A value outside of JSON: null is empty, a string as it is, anything else as in JSON, without quotes. @throws RefusedRow */
function textOf(column: string, value: unknown): string {
  if (value === null) return ''
  if (typeof value === 'string') return value
  // Within its row, so that the message of a refusal names the column.
  const json = serialize({ [column]: value }).slice(JSON.stringify(column).length + 2, -1)
  return json.startsWith('"') ? JSON.parse(json) : json
}

/** A row, parted into the text of its query parameters and the columns that stay in the body. */
interface PartedRow {
  readonly query: string
  readonly body: Record<string, unknown>
}

/**
 * A function that takes the query parameters out of a row.
 * @param columns `*` means all
 * @throws RefusedRow if a column is missing (its function)
 */
function queryParter(columns: readonly string[]): (row: Record<string, unknown>) => PartedRow {
  if (columns.length === 0) return (row) => ({ query: '', body: row })
  const all = columns.includes('*')
  const taken = new Set(columns)
  return (row) => {
    const params = new URLSearchParams()
    for (const column of all ? Object.keys(row) : columns) {
      const value = Object.hasOwn(row, column) ? row[column] : undefined
      if (value !== undefined) params.append(column, textOf(column, value))
      else if (!all) throw new RefusedRow(`${column}: is missing, and url_query_params names it`)
    }
    const left = all ? [] : Object.entries(row).filter(([column]) => !taken.has(column))
    return { query: params.toString(), body: Object.fromEntries(left) }
  }
}

/** The URL with further parameters. Its own are left as they are: they may be signed. */
function withQuery(url: string, query: string): string {
  const [address = ''] = url.split('#')
  if (query === '') return address
  const joint = address.includes('?') ? (/[?&]$/.test(address) ? '' : '&') : '?'
  return `${address}${joint}${query}`
}
