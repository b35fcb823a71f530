import type { Health } from '../../core/health.ts'
import { serialize } from '../../core/json.ts'
import { cleanError } from '../../core/redaction.ts'
import type { SinkVerdict } from '../../core/verdict.ts'
import type { HttpResponse } from '../../http/client.ts'
import { withDeadline } from '../../http/deadline.ts'
import { type Body, bodyOf } from '../../sink/compression.ts'
import type { Attempt, EncodedRow, Entry, SinkProtocol } from '../../sink/protocol.ts'
import { azureClouds } from '../azure/clouds.ts'
import { type AzureConnection, connectionFor } from '../azure/connection.ts'
import { AuthError } from '../azure/tokens.ts'
import { IngestionClient } from './ingestion-client.ts'
import { verdictOf } from './ingestion-response.ts'
import { callBytes, connectorName, type SentinelSettings } from './options.ts'

/** Logs Ingestion API: an array of rows a call, taken as a whole or not at all. */
export class SentinelProtocol implements SinkProtocol {
  readonly connector = connectorName
  /** The brackets of the array, the comma between two rows. */
  readonly framing = { around: 2, between: 1 }
  readonly maxRowBytes: number
  readonly #settings: SentinelSettings
  readonly #audience: string
  readonly #connection: AzureConnection
  readonly #closeConnection: () => void
  readonly #client: IngestionClient
  readonly #ended = new AbortController()
  /** For deadlines: of an answer to an upload nothing is read after it is there. */
  readonly #spare: AbortController[] = []

  constructor(settings: SentinelSettings) {
    this.#settings = settings
    this.maxRowBytes = Math.max(callBytes, settings.batch_bytes) - this.framing.around
    this.#audience = settings.audience ?? azureClouds[settings.azure_cloud].ingestionAudience
    const { value, close } = connectionFor(connectorName, settings, this.#audience)
    this.#connection = value
    this.#closeConnection = close
    this.#client = new IngestionClient(this.#connection, settings)
  }

  encode(row: Record<string, unknown>): EncodedRow {
    return { wire: serialize(row) }
  }

  async send(entries: readonly Entry[], { signal, timeout }: Attempt): Promise<SinkVerdict> {
    const { redact } = this.#connection
    const body = await this.#body(entries)
    let answer: HttpResponse
    try {
      answer = await withDeadline(timeout, signal, (until) => this.#upload(body, until), this.#spare)
    } catch (error) {
      if (!(error instanceof AuthError)) throw cleanError(error, redact)
      if (!error.transient) throw error
      const { status, serviceCode: code, serviceText, wait: after } = error
      return {
        kind: 'retry',
        reason: { status, code, text: `no token: ${serviceText}` },
        after,
        cause: error,
      }
    }
    const { dce, dcr_id, dcs } = this.#settings
    return verdictOf(answer, { dce, dcr_id, dcs, audience: this.#audience, redact })
  }

  /** By a call without rows, which needs token, role, rule and stream like any other. */
  async health(timeout: number): Promise<Health> {
    try {
      const verdict = await this.send([], { signal: this.#ended.signal, timeout, key: '' })
      if (verdict.kind === 'fatal' || verdict.kind === 'again')
        return { healthy: false, status: verdict.error.status, text: verdict.error.message }
      const { status, code, text } = verdict.kind === 'accepted' ? verdict.value : verdict.reason
      // How the service takes an empty array is not documented. Whoever gets so far is known, and so is the rule.
      const healthy = verdict.kind === 'accepted' || status === 400
      return {
        healthy,
        status,
        code,
        text: healthy ? 'the endpoint takes calls for this rule and stream' : text,
      }
    } catch (error) {
      const { status } = error as AuthError
      return { healthy: false, status, text: (error as Error).message }
    }
  }

  close(): void {
    this.#ended.abort()
    this.#closeConnection()
  }

  /** A token that is refused is replaced once: it may have been revoked, or run out by another clock. */
  async #upload(body: Body, signal: AbortSignal): Promise<HttpResponse> {
    const { tokens } = this.#connection
    const { token } = await tokens.get(signal)
    const answer = await this.#client.send(body, token, signal)
    if (answer.status !== 401) return answer
    tokens.invalidate(token)
    const renewed = await tokens.get(signal)
    return renewed.token === token ? answer : this.#client.send(body, renewed.token, signal)
  }

  #body(entries: readonly Entry[]): Promise<Body> {
    return bodyOf(entries, '[', ',', ']', this.#settings.compression)
  }
}
