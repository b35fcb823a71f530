import { parseJson } from '../core/exact-json.ts'
import type { Answer } from './answer.ts'
import { Emulator, type EmulatorOptions, repeated } from './emulator.ts'
import type { RecordedRequest } from './fault.ts'
import type { Kinds } from './options.ts'

export interface RestEmulatorOptions extends EmulatorOptions {
  /** Status to answer with. Default 200. */
  status?: number
  /** The Authorization header that a request has to carry; others get 401. Default: none is asked for. */
  authorization?: string
  /** Whether rows are kept in `rows`. Default true. */
  keepRows?: boolean
}

const optionKinds: Kinds<Omit<RestEmulatorOptions, keyof EmulatorOptions>> = {
  status: 'number',
  authorization: 'string',
  keepRows: 'boolean',
}

/** A web service that takes everything in, and keeps it. Integers beyond 2^53 are bigint in `rows`. */
export class RestEmulator extends Emulator {
  /**
   * The rows of all requests: the body's JSON value or each member of its array, each line of NDJSON, the fields of a
   * form, any other body as text. A request without a body is one row: its query.
   */
  readonly rows: unknown[] = []
  /** How many rows were taken in. */
  received = 0
  /** Status to answer with. */
  status: number
  /** What decides about a request before it is taken in: an answer in place of the usual one, or undefined. */
  answer: ((request: RecordedRequest) => Answer | undefined) | undefined
  readonly #status: number
  readonly #authorization: string | undefined
  readonly #keepRows: boolean

  constructor(options: RestEmulatorOptions = {}) {
    super(options, 'rest', optionKinds)
    this.#status = options.status ?? 200
    this.status = this.#status
    this.#authorization = options.authorization
    this.#keepRows = options.keepRows ?? true
  }

  /** Rows that were taken in before, by `keyOf` (default: the whole row); each further time counts. */
  duplicates(keyOf?: (row: unknown) => unknown): unknown[] {
    return repeated(this.rows, keyOf)
  }

  override reset(): this {
    this.rows.length = 0
    this.received = 0
    this.status = this.#status
    this.answer = undefined
    return super.reset()
  }

  protected async serve(request: RecordedRequest): Promise<Answer> {
    if (this.#authorization !== undefined && request.headers.authorization !== this.#authorization) {
      return { status: 401, headers: { 'www-authenticate': 'Bearer' }, body: { error: 'unauthorized' } }
    }
    const decided = this.answer?.(request)
    if (decided) return decided
    let rows: unknown[]
    try {
      rows = await rowsOf(request)
    } catch (error) {
      return { status: 400, body: { error: `the body can not be read: ${error}` } }
    }
    if (this.status >= 300) return { status: this.status, body: { error: `status ${this.status}` } }
    this.received += rows.length
    request.rows = rows
    if (this.#keepRows) for (const row of rows) this.rows.push(row)
    this.emit('taken', rows, request)
    return this.status === 204 ? { status: 204 } : { status: this.status, body: { received: rows.length } }
  }
}

async function rowsOf(request: RecordedRequest): Promise<unknown[]> {
  if (request.brokenGzip) throw new Error('broken gzip')
  if (request.body.length === 0) return [Object.fromEntries(request.query)]
  const type = request.headers['content-type'] ?? ''
  const text = request.body.toString()
  if (/ndjson|jsonl|json-lines/i.test(type)) {
    return text
      .split('\n')
      .filter((line) => line.trim() !== '')
      .map(parseJson)
  }
  if (/json/i.test(type)) {
    const value = parseJson(text)
    return Array.isArray(value) ? value : [value]
  }
  if (/^(multipart\/form-data|application\/x-www-form-urlencoded)\b/i.test(type)) {
    const form = await new Response(new Uint8Array(request.body), {
      headers: { 'content-type': type },
    }).formData()
    const row: Record<string, unknown> = Object.create(null)
    for (const [name, value] of form) row[name] = typeof value === 'string' ? value : await value.text()
    return [{ ...row }]
  }
  return [text]
}
