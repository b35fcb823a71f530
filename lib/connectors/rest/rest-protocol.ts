import { RefusedRow } from '../../core/errors.ts'
import { redactor, urlSecrets } from '../../core/redaction.ts'
import type { SinkVerdict } from '../../core/verdict.ts'
import { HttpClient } from '../../http/client.ts'
import type { Attempt, EncodedRow, Entry, SinkProtocol } from '../../sink/protocol.ts'
import { givenHeaders, type RestSettings } from './options.ts'
import { type Payload, payloadOf } from './payload.ts'
import { type PartedRow, queryParter, withQuery } from './query-params.ts'
import { verdictOf } from './rest-response.ts'

/** Rows as the body, or the query, of HTTP requests to one URL; the status says whether they are in. */
export class RestProtocol implements SinkProtocol {
  readonly connector = 'rest'
  readonly framing: SinkProtocol['framing']
  readonly #settings: RestSettings
  readonly #payload: Payload
  readonly #part: (row: Record<string, unknown>) => PartedRow
  readonly #headers: Readonly<Record<string, string>>
  readonly #http: HttpClient

  constructor(settings: RestSettings) {
    this.#settings = settings
    this.#payload = payloadOf(settings.http_format, settings.batch_size)
    this.framing = this.#payload.framing
    this.#part = queryParter(settings.url_query_params ?? [])
    this.#headers = givenHeaders(settings)
    const redact = redactor([
      ...urlSecrets(settings.url),
      ...Object.entries(this.#headers).flatMap(headerSecrets),
      ...(settings.proxy ? urlSecrets(settings.proxy) : []),
    ])
    this.#http = new HttpClient(settings, redact)
  }

  encode(row: Record<string, unknown>): EncodedRow {
    const { query, body } = this.#part(row)
    if (this.#settings.http_method !== 'get') return { wire: this.#payload.write(body), group: query }
    const [left] = Object.entries(body).find(([, value]) => value !== undefined) ?? []
    if (left !== undefined)
      throw new RefusedRow(`${left}: would be lost: get sends no body, and url_query_params does not name it`)
    return { wire: query, group: query }
  }

  async send(entries: readonly Entry[], { signal, timeout, key }: Attempt): Promise<SinkVerdict> {
    const { url, http_method, idempotency_header } = this.#settings
    const payload = http_method === 'get' ? undefined : await this.#payload.body(entries)
    const response = await this.#http.request({
      method: http_method,
      url: withQuery(url, entries[0]?.group ?? ''),
      headers: {
        ...(payload && { 'content-type': payload.type }),
        ...lowerCase(this.#headers),
        ...(idempotency_header !== undefined && { [idempotency_header]: key }),
      },
      ...(payload && { body: payload.bytes }),
      signal,
      timeout,
      cut: true,
    })
    if (response.bodySent) payload?.release()
    return verdictOf(response, url, this.#http.redact)
  }

  close(): void {
    this.#http.close()
  }
}

function lowerCase(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))
}

/** Headers that carry no secret, only words that an answer may well hold too. */
const openHeaders = new Set(['accept', 'accept-language', 'content-type', 'user-agent'])

/** What of a header may be secret: its value, and the credentials in `Bearer …` by themselves. */
function headerSecrets([name, value]: [string, string]): string[] {
  if (openHeaders.has(name.toLowerCase())) return []
  const [, credentials] = value.split(/^\S+\s+/)
  return [value, ...(credentials ? [credentials] : [])].filter((secret) => secret.length > 3)
}
