import { parseJson } from '../core/exact-json.ts'
import { isRow } from '../core/json.ts'
import type { Answer } from './answer.ts'
import { Emulator, type EmulatorOptions, repeated } from './emulator.ts'
import { bearerToken, type TokenAuthority } from './entra.ts'
import type { RecordedRequest } from './fault.ts'
import type { Kinds } from './options.ts'

export interface IngestionEmulatorOptions extends EmulatorOptions {
  /**
   * The data collection rules: streams by immutable id, as a list or with the columns that each declares. Columns that a
   * stream does not declare are dropped, as the service does. Default: any rule, any stream and any column.
   */
  rules?: Readonly<Record<string, readonly string[] | Readonly<Record<string, readonly string[]>>>>
  /** Who knows which tokens are good. Default: any bearer token is. */
  entra?: TokenAuthority
  /** What tokens have to be for. Default `https://monitor.azure.com`. */
  audience?: string
  /** Bytes of a body on the wire, above which it is 413. Default 1,048,576. */
  maxContentLength?: number
  /** Bytes of a body unpacked, above which it is 413. Default 50 MiB, as observed; the documentation says 1 MB. */
  maxPayloadSize?: number
  /** Whether rows are kept in `rows`. Default true. */
  keepRows?: boolean
}

const optionKinds: Kinds<Omit<IngestionEmulatorOptions, keyof EmulatorOptions>> = {
  rules: 'object',
  entra: 'object',
  audience: 'string',
  maxContentLength: 'number',
  maxPayloadSize: 'number',
  keepRows: 'boolean',
}

export type IngestedRow = Record<string, unknown>

const PATH = /^(?:\/.*)?\/dataCollectionRules\/([^/]+)\/streams\/([^/]+)\/?$/i

/**
 * A data collection endpoint: the Logs Ingestion API. Integers beyond 2^53 are bigint in `rows`.
 * https://learn.microsoft.com/azure/azure-monitor/logs/logs-ingestion-api-overview
 */
export class IngestionEmulator extends Emulator {
  /** Rows taken in, in order. */
  readonly rows: IngestedRow[] = []
  /** How many rows were taken in. */
  received = 0
  /** Bytes of the bodies taken in, unpacked. */
  bytes = 0
  /** How often a value of a column was dropped that the stream does not declare. */
  readonly dropped: Record<string, number> = {}
  /** The client's identity has no role on the rule: 403 for everything. */
  roleMissing = false
  readonly #options: IngestionEmulatorOptions
  #refused: ((row: IngestedRow) => boolean) | undefined

  constructor(options: IngestionEmulatorOptions = {}) {
    super(options, 'ingestion', optionKinds)
    this.#options = options
  }

  /** Refuses every body with such a row in it, whole, by 400. Undefined: none. */
  rejectRow(refused: ((row: IngestedRow) => boolean) | undefined): this {
    this.#refused = refused
    return this
  }

  /** Rows that were taken in before, by `keyOf` (default: the whole row); each further time counts. */
  duplicates(keyOf?: (row: IngestedRow) => unknown): IngestedRow[] {
    return repeated(this.rows, keyOf)
  }

  override reset(): this {
    this.rows.length = 0
    this.received = 0
    this.bytes = 0
    for (const name of Object.keys(this.dropped)) delete this.dropped[name]
    this.roleMissing = false
    this.#refused = undefined
    return super.reset()
  }

  protected serve(request: RecordedRequest): Answer {
    const [, rule, stream] = PATH.exec(request.path)?.map(decodeURIComponent) ?? []
    if (request.method !== 'POST' || rule === undefined || stream === undefined) return { status: 404 }
    return this.#refusal(request, rule, stream) ?? this.#take(request, this.#columns(rule, stream))
  }

  #refusal(request: RecordedRequest, rule: string, stream: string): Answer | undefined {
    const { rules, entra, audience, maxContentLength, maxPayloadSize } = this.#options
    const token = bearerToken(request)
    if (token === undefined || (entra && !entra.tokenValid(token))) {
      return refuse(401, 'InvalidToken', 'The authentication token is missing, malformed or expired.')
    }
    if (entra && !entra.tokenValid(token, audience ?? 'https://monitor.azure.com')) {
      return refuse(401, 'InvalidAudience', 'The authentication token is for another audience.')
    }
    if (!request.query.get('api-version')) {
      return refuse(400, 'MissingApiVersionParameter', 'The api-version query parameter is required.')
    }
    const limit = maxContentLength ?? 1_048_576
    if (request.wireBytes > limit) {
      const text = `Maximum allowed content length: ${limit} bytes (${Math.round(limit / 1_048_576)} MB). Provided content length: ${request.wireBytes} bytes.`
      return refuse(413, 'ContentLengthLimitExceeded', text)
    }
    const payloadLimit = maxPayloadSize ?? 50 * 1_048_576
    if (request.body.length > payloadLimit) {
      return refuse(413, 'PayloadSizeLimitExceeded', `Maximum allowed payload size: ${payloadLimit} bytes.`)
    }
    if (rules && !Object.hasOwn(rules, rule)) {
      return refuse(404, 'NotFound', `Data collection rule with immutable Id '${rule}' not found.`)
    }
    if (this.roleMissing) {
      const text = `The authentication token provided does not have access to ingest data for the data collection rule with immutable Id '${rule}'.`
      return refuse(403, 'OperationFailed', text)
    }
    const streams = rules?.[rule]
    if (streams && !(Array.isArray(streams) ? streams.includes(stream) : Object.hasOwn(streams, stream))) {
      return refuse(404, 'InvalidStream', `Stream '${stream}' is not in data collection rule '${rule}'.`)
    }
    return undefined
  }

  #columns(rule: string, stream: string): ReadonlySet<string> | undefined {
    const streams = this.#options.rules?.[rule]
    return streams === undefined || Array.isArray(streams)
      ? undefined
      : new Set((streams as Record<string, readonly string[]>)[stream])
  }

  #take(request: RecordedRequest, columns: ReadonlySet<string> | undefined): Answer {
    const encoding = request.headers['content-encoding']?.trim().toLowerCase() ?? 'identity'
    if (encoding !== 'identity' && encoding !== 'gzip') {
      return refuse(415, 'UnsupportedMediaType', `The content encoding '${encoding}' is not supported.`)
    }
    if (request.brokenGzip) return refuse(400, 'InvalidPayload', 'The body is not valid gzip.')
    let rows: unknown
    try {
      rows = parseJson(request.body.toString())
    } catch {
      return refuse(400, 'InvalidPayload', 'The body is not valid JSON.')
    }
    // Of an object in place of the array, the service has been seen to answer 204 and keep nothing: here it shows.
    if (!Array.isArray(rows) || !rows.every(isRow)) {
      return refuse(400, 'InvalidPayload', 'The body is not an array of objects.')
    }
    if (this.#refused && rows.some(this.#refused)) {
      return refuse(400, 'InvalidRecord', 'A record of the body can not be ingested.')
    }
    const kept = columns ? rows.map((row) => this.#declared(row, columns)) : rows
    this.received += kept.length
    this.bytes += request.body.length
    request.rows = kept
    if (this.#options.keepRows !== false) for (const row of kept) this.rows.push(row)
    this.emit('taken', kept, request)
    return { status: 204 }
  }

  #declared(row: IngestedRow, columns: ReadonlySet<string>): IngestedRow {
    const entries = Object.entries(row).filter(([name]) => {
      if (!columns.has(name)) this.dropped[name] = (this.dropped[name] ?? 0) + 1
      return columns.has(name)
    })
    return Object.fromEntries(entries)
  }
}

function refuse(status: number, code: string, message: string): Answer {
  return { status, headers: { 'x-ms-error-code': code }, body: { error: { code, message } } }
}
