import { randomUUID } from 'node:crypto'
import type { Health } from '../../core/health.ts'
import { credentialsOf, redactor } from '../../core/redaction.ts'
import type { SinkVerdict } from '../../core/verdict.ts'
import { HttpClient, type HttpResponse } from '../../http/client.ts'
import { bodyOf } from '../../sink/compression.ts'
import type { Attempt, Entry, SinkProtocol } from '../../sink/protocol.ts'
import { AckChannel, type AckOutcome } from './ack-channel.ts'
import { eventEncoder } from './event.ts'
import { fatalError, readReply, verdictOf } from './hec-response.ts'
import type { SplunkSettings } from './options.ts'

/** HEC: concatenated JSON objects (or lines of text) by POST, answered with a code of Splunk's own. */
export class HecProtocol implements SinkProtocol {
  readonly connector = 'splunk'
  readonly framing = { around: 0, between: 1 }
  readonly encode: SinkProtocol['encode']
  readonly #settings: SplunkSettings
  readonly #http: HttpClient
  readonly #endpoint: (name: string, query?: string) => string
  readonly #ended = new AbortController()
  #channel: AckChannel

  constructor(settings: SplunkSettings) {
    this.#settings = settings
    this.encode = eventEncoder(settings)
    this.#http = new HttpClient(settings, redactor([settings.token, ...credentialsOf(settings.url)]))
    this.#endpoint = endpoints(settings.url)
    this.#channel = this.#newChannel(settings.channel ?? randomUUID())
  }

  async send(entries: readonly Entry[], attempt: Attempt): Promise<SinkVerdict> {
    const channel = this.#channel
    const post = () => this.#post(entries, attempt, channel)
    const response = await (this.#settings.ack ? channel.first(post) : post())
    const reply = readReply(response, this.#http.redact)
    let bytes = entries.length - 1
    for (const entry of entries) bytes += entry.bytes
    const verdict = verdictOf(response, reply, { rows: entries.length, bytes })
    const rowsAreIn = verdict.kind === 'accepted' || (verdict.kind === 'partial' && verdict.accepted > 0)
    return this.#settings.ack && rowsAreIn ? this.#acknowledged(channel, verdict, reply.ackId) : verdict
  }

  /** https://docs.splunk.com/Documentation/Splunk/latest/RESTREF/RESTinput */
  async health(timeout: number): Promise<Health> {
    try {
      const response = await this.#http.request({
        method: 'GET',
        url: this.#endpoint('health', this.#settings.ack ? 'ack=true' : ''),
        headers: this.#headers(this.#channel),
        signal: this.#ended.signal,
        timeout,
        cut: true,
      })
      const { status } = response
      const { code, text } = readReply(response, this.#http.redact)
      return { healthy: status === 200, status, code, text: text || `HTTP status ${status}` }
    } catch (error) {
      return { healthy: false, text: (error as Error).message }
    }
  }

  close(): void {
    this.#ended.abort()
    this.#http.close()
  }

  async #post(
    entries: readonly Entry[],
    { signal, timeout }: Attempt,
    channel: AckChannel,
  ): Promise<HttpResponse> {
    const { mode, compression, auto_extract_timestamp } = this.#settings
    const query = auto_extract_timestamp ? 'auto_extract_timestamp=true' : entries[0]?.group
    const { bytes, gzip, release } = await bodyOf(entries, '', '\n', '', compression)
    const response = await this.#http.request({
      method: 'POST',
      url: this.#endpoint(mode, query),
      headers: {
        ...this.#headers(channel),
        'content-type': mode === 'raw' ? 'text/plain; charset=utf-8' : 'application/json',
        'content-encoding': gzip ? 'gzip' : undefined,
      },
      body: bytes,
      signal,
      timeout,
      cut: true,
    })
    if (response.bodySent) release()
    if (this.#settings.ack) channel.keepCookies(response)
    return response
  }

  /** With acknowledgement on, rows that HEC took are in only when an indexer says so. */
  async #acknowledged(
    channel: AckChannel,
    verdict: SinkVerdict & { kind: 'accepted' | 'partial' },
    ackId: number | undefined,
  ): Promise<SinkVerdict> {
    if (ackId === undefined) return unacknowledged(verdict)
    const { ack_timeout } = this.#settings
    const outcome: AckOutcome = await channel.indexed(ackId, ack_timeout * 1000)
    if (outcome === 'indexed') return verdict
    // What an old id may still say is no longer asked for: the rows go out again, on a channel of their own.
    if (this.#channel === channel) this.#channel = this.#newChannel(randomUUID())
    const text =
      outcome === 'lost'
        ? 'the ack id was given out anew'
        : `no acknowledgement within ${ack_timeout} seconds`
    return { kind: 'retry', reason: { text } }
  }

  #newChannel(id: string): AckChannel {
    const ask = (channel: AckChannel, acks: readonly number[]) => this.#askAcks(channel, acks)
    return new AckChannel(id, ask, this.#http.redact, this.#ended.signal)
  }

  #askAcks(channel: AckChannel, acks: readonly number[]): Promise<HttpResponse> {
    return this.#http.request({
      method: 'POST',
      url: this.#endpoint('ack'),
      headers: { ...this.#headers(channel), 'content-type': 'application/json' },
      body: JSON.stringify({ acks }),
      signal: this.#ended.signal,
      timeout: this.#settings.request_timeout * 1000,
    })
  }

  #headers(channel: AckChannel): Record<string, string | undefined> {
    return {
      authorization: `Splunk ${this.#settings.token}`,
      'x-splunk-request-channel': channel.id,
      cookie: channel.cookie,
    }
  }
}

/** What follows from an answer that takes rows in and gives no id to ask for. */
function unacknowledged(verdict: SinkVerdict & { kind: 'accepted' | 'partial' }): SinkVerdict {
  if (verdict.kind === 'accepted') {
    const text = 'the answer has no ackId: indexer acknowledgement is not enabled for this token'
    return { kind: 'fatal', error: fatalError({ status: verdict.value.status, code: 14, text }) }
  }
  // The rows before the one at fault may never reach an indexer: they go out again.
  if (verdict.refusesNext) return { kind: 'refused', reason: verdict.reason }
  return { ...verdict, kind: 'retry' }
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
