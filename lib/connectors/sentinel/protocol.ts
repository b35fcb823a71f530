import { DeliveryError } from '../../core/errors.ts'
import type { Health } from '../../core/health.ts'
import { type JsonText, jsonOrUndefined, serialize } from '../../core/json.ts'
import { cleanError, type Redact } from '../../core/redaction.ts'
import { isTransientStatus } from '../../core/retry.ts'
import type { Reason, SinkVerdict } from '../../core/verdict.ts'
import { withDeadline } from '../../http/deadline.ts'
import { type HttpResponse, headerOf, plainText, waitOf } from '../../http/response.ts'
import type { Attempt, Body, EncodedRow, SinkProtocol } from '../../sink/protocol.ts'
import { type AzureConnection, connectionFor } from '../azure/connection.ts'
import { azureClouds } from '../azure/options.ts'
import { AuthError } from '../azure/tokens.ts'
import { IngestionClient, type IngestionTarget } from './ingestion-client.ts'
import { callBytes, connectorName, type SentinelSettings } from './options.ts'
import { type RowObserver, SentRows } from './sent-rows.ts'

/** The call of a health check. */
const noRows: Body = { bytes: Buffer.from('[]'), headers: {}, rows: 0, size: 2, group: undefined, key: '' }

/** Logs Ingestion API: an array of rows a call, taken as a whole or not at all. */
export class SentinelProtocol implements SinkProtocol {
  readonly connector = connectorName
  readonly host: string
  readonly framing = { open: '[', separator: ',', close: ']' }
  readonly compression: 'gzip' | 'none'
  readonly maxRowBytes: number
  readonly #settings: SentinelSettings
  readonly #audience: string
  readonly #connection: AzureConnection
  readonly #closeConnection: () => void
  readonly #client: IngestionClient
  readonly #rows: SentRows
  readonly #observer: RowObserver
  #saidSpan = false
  readonly #ended = new AbortController()
  /** For deadlines: of an answer to an upload nothing is read after it is there. */
  readonly #spare: AbortController[] = []

  constructor(
    settings: SentinelSettings & { columns: readonly string[] | undefined },
    observer: RowObserver,
  ) {
    this.#settings = settings
    this.host = new URL(settings.dce).host
    this.#rows = new SentRows(settings, observer)
    this.#observer = observer
    this.compression = settings.compression
    this.maxRowBytes = Math.max(callBytes, settings.batch_bytes) - '[]'.length
    this.#audience = settings.audience ?? azureClouds[settings.azure_cloud].ingestionAudience
    const { value, close } = connectionFor(connectorName, settings, this.#audience)
    this.#connection = value
    this.#closeConnection = close
    this.#client = new IngestionClient(this.#connection, settings)
  }

  encode(row: Record<string, unknown>, at: number): EncodedRow {
    const { sent, group } = this.#rows.check(row, at)
    return { wire: serialize(sent), group }
  }

  encodeText(row: JsonText, at: number): EncodedRow {
    const { sent, group } = this.#rows.checkText(row, at)
    return sent === undefined ? { wire: '', raw: row, group } : { wire: sent, group }
  }

  async send(body: Body, { signal, timeout }: Attempt): Promise<SinkVerdict> {
    const { redact, tokens } = this.#connection
    try {
      return await withDeadline(
        timeout,
        signal,
        async (until) => {
          const { token } = await tokens.get(until)
          const answer = await this.#client.send(body, token, until)
          const { dce, dcr_id, dcs } = this.#settings
          const verdict = ingestionVerdict(answer, { dce, dcr_id, dcs, audience: this.#audience, redact })
          // It may have been revoked, or run out by another clock: a new one is tried once.
          if (answer.status === 401) tokens.invalidate(token)
          if (verdict.kind === 'refused' && isAboutSpan(verdict.reason)) this.#reportSpan(verdict.reason)
          return verdict
        },
        this.#spare,
      )
    } catch (error) {
      if (!(error instanceof AuthError)) throw cleanError(error, redact)
      if (!error.transient) throw error
      const { status, serviceCode: code, serviceText, wait: after } = error
      const reason = { status, code, text: `no token: ${serviceText}` }
      return { kind: 'retry', reason, after, cause: error }
    }
  }

  /** Its rows go out in smaller calls, which nobody would notice. */
  #reportSpan({ text }: Reason): void {
    if (!this.#saidSpan) this.#observer.spanRefused(text)
    this.#saidSpan = true
  }

  /** By a call without rows, which needs token, role, rule and stream like any other. */
  async health(timeout: number): Promise<Health> {
    const attempt = { signal: this.#ended.signal, timeout }
    try {
      let verdict = await this.send(noRows, attempt)
      if (verdict.kind === 'again') verdict = await this.send(noRows, attempt)
      if ('error' in verdict)
        return { healthy: false, status: verdict.error.status, text: verdict.error.message }
      const { status, code, text } = verdict.kind === 'accepted' ? verdict.value : verdict.reason
      // How the service takes an empty array is not documented. Whoever gets so far is known, and so is the rule.
      const healthy = verdict.kind === 'accepted' || (status === 400 && rowCode.test(String(code)))
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
    this.#rows.close()
    this.#ended.abort()
    this.#closeConnection()
  }
}

/** What an error needs to know to be of help. */
export interface IngestionContext extends IngestionTarget {
  readonly audience: string
  readonly redact: Redact
}

/**
 * What the service's answer means for the rows of the request.
 * https://learn.microsoft.com/azure/azure-monitor/logs/logs-ingestion-api-overview#rest-api-call
 */
export function ingestionVerdict(response: HttpResponse, context: IngestionContext): SinkVerdict {
  const { status } = response
  if (status === 204) return { kind: 'accepted', value: { status, text: 'HTTP status 204' } }
  const said = saidBy(response)
  const { code } = said
  const { redact } = context
  // Cleaned before it is cut, so that no half of a secret is left.
  const text = plainText(redact(said.text)) || `HTTP status ${status}`
  const reason: Reason = {
    status,
    code: typeof said.code === 'string' ? redact(said.code) : said.code,
    text: isAboutSpan(said) ? `${text} (${spanAdvice})` : text,
  }
  if (isTransientStatus(status)) return { kind: 'retry', reason, ...waitOf(response) }
  if (status === 413) return { kind: 'split', reason }
  const advice = adviceOf(said, context)
  // The service refuses the whole body, perhaps for one row, and does not say which.
  if (advice === undefined) return { kind: 'refused', reason, aboutRow: rowCode.test(String(code)) }
  return { kind: status === 401 ? 'again' : 'fatal', error: fatalError(reason, advice) }
}

/** What is wrong with every request from here, and what to do about it; undefined if it may be the rows. */
function adviceOf(
  { status = 0, code, text }: Reason,
  { dce, dcr_id, dcs, audience }: IngestionContext,
): string | undefined {
  if (status === 401)
    return `the token was refused, a new one too: it is for ${audience}, which must be the audience of the cloud that ${dce} is in`
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
  if (endpointCode.test(String(code)) || (status === 400 && /^\s*</.test(text)))
    return `${dce} does not accept log calls: it must be the logs ingestion URL of the data collection endpoint, not its metrics or configuration URL`
  if (status < 300) return `${dce} does not answer as a data collection endpoint does, which is with 204`
  if (status < 400)
    return `${dce} redirects; redirects are not followed, rows and tokens go to no other place`
  if (status >= 500) return 'the service failed'
  return status === 400 || status === 422 ? undefined : 'the request was refused'
}

/** Codes that speak of the endpoint, the API's version, the rule or the stream. */
const endpointCode = /ApiVersion|Endpoint|CollectionRule|Dcr|Stream/i

/** The plan Auxiliary refuses a call for the times of its rows. */
function isAboutSpan({ code }: Reason): boolean {
  return /^RecordsTimeRangeIsMoreThan/i.test(String(code))
}

const spanAdvice = 'batch_span_seconds: 1800 keeps the TimeGenerated of the rows of a call within 30 minutes'

/** Codes that speak of the rows. */
const rowCode = /^(Invalid(Payload|Record|RequestBody|Content)|RecordsTimeRangeIsMoreThan30Minutes)$/i

/** The service's own words. They may quote secrets, which are redacted once code and text are separate. */
function saidBy(response: HttpResponse): Reason {
  const { status, text } = response
  const body = jsonOrUndefined(text)
  // The metrics endpoint writes the names with capitals.
  const { error, Error: capital = body } = (body ?? {}) as { error?: unknown; Error?: unknown }
  const words = (error ?? capital ?? {}) as Record<string, unknown>
  const { code = words['Code'], message = words['Message'] } = words
  return {
    status,
    code: typeof code === 'string' && code !== '' ? code : headerOf(response, 'x-ms-error-code'),
    text: typeof message === 'string' && message !== '' ? message : text,
  }
}

function fatalError({ status, code, text }: Reason, advice: string): DeliveryError {
  const said = `${code === undefined ? '' : `${code}: `}${text}`
  return new DeliveryError(
    status === 401 || status === 403 ? 'ERR_AUTH' : 'ERR_DELIVERY',
    `${connectorName}: ${advice} (${status}: ${said})`,
    { connector: connectorName, status, serviceCode: code, serviceText: text },
  )
}
