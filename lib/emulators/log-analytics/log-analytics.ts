import { Readable } from 'node:stream'
import { fromDate, parseDuration, parseInstant, type Ticks, ticksPerSecond, toDate } from '../../core/time.ts'
import type { Answer } from '../answer.ts'
import { Emulator, type EmulatorOptions } from '../emulator.ts'
import { bearerToken, type TokenAuthority } from '../entra.ts'
import type { RecordedRequest } from '../fault.ts'
import type { IngestedRow, IngestionEmulator } from '../ingestion.ts'
import type { Kinds } from '../options.ts'
import { type QueryMatch, RegisteredAnswers } from '../registered-answers.ts'
import { type Column, toCell } from './cells.ts'
import { evaluateOperators, evaluateQuery, type Result, runs } from './kql.ts'
import { KqlError } from './kql-tokens.ts'
import { encodeResponse, errorAnswer, memoryBudget, type PartialError } from './response.ts'
import { instantToTicks, LogTable, type RowInput, type TableOptions, type View } from './table.ts'
import { inferColumns } from './table-from-records.ts'

export interface LogAnalyticsEmulatorOptions extends EmulatorOptions {
  /** Who knows which tokens are good. Default: any bearer token is. */
  entra?: TokenAuthority
  /** The resource that tokens must be for. Default `https://api.loganalytics.io`. */
  audience?: string
  /** Whether a row right at the end of the request's `timespan` is in it: the service does not say. Default `inclusive`. */
  bounds?: 'inclusive' | 'exclusive'
  /** Most rows in an answer. Default 500,000, as the service. */
  maxRows?: number
  /** Most bytes of rows in an answer. Default 64,000,000, as the service. */
  maxBytes?: number
  /** The service's clock. Default: the machine's. */
  now?: () => Date | number
}

const optionKinds: Kinds<Omit<LogAnalyticsEmulatorOptions, keyof EmulatorOptions>> = {
  entra: 'object',
  audience: 'string',
  bounds: ['inclusive', 'exclusive'],
  maxRows: 'number',
  maxBytes: 'number',
  now: 'function',
}

/** The query in a request. */
export interface QueryRequest {
  /** Workspace id or resource id. */
  target: string
  query: string
  /** As sent. */
  timespan: string | undefined
  /** What `timespan` means. An open end is undefined. */
  from: Ticks | undefined
  to: Ticks | undefined
  /** Seconds, from the Prefer header. */
  wait: number
}

/** Rows that were registered as an answer: those, or a function of the request's timespan. */
export type LogRows =
  | Iterable<RowInput>
  | ((
      timespan: { start: Date | undefined; end: Date | undefined },
      query: QueryRequest,
    ) => Iterable<RowInput>)

/** How the rows of a registered answer are to be read. */
export interface AnswerOptions extends TableOptions {
  /** Names and types of the columns. Default: of the rows, which must then be objects; see `tableFromRecords`. */
  columns?: readonly Column[]
}

/** An answer that is not whole, on demand. */
export interface PartialFault {
  /** Default: the memory budget of the query was exceeded. */
  error?: PartialError
  /** How many rows come before it. Default: all. */
  rows?: number
  /** How many queries it hits. Default 1. */
  times?: number
  /** Which queries. Default: any. */
  match?: (query: QueryRequest) => boolean
}

const pathForm = /^\/v1\/(?:workspaces\/([^/]+)|(.+))\/(query|search|metadata)$/

/** The Log Analytics query API: `POST /v1/workspaces/{id}/query` and `/v1/{resource id}/query`; `/search` answers as `/query` does. */
export class LogAnalyticsEmulator extends Emulator {
  /** Settable at any time. */
  bounds!: 'inclusive' | 'exclusive'
  maxRows!: number
  maxBytes!: number
  /** The queries so far, in the order in which they came. Empty with `record: false`. */
  readonly queries: QueryRequest[] = []
  readonly #options: LogAnalyticsEmulatorOptions
  readonly #tables = new Map<string, LogTable>()
  #partialFaults: (PartialFault & { left: number })[] = []
  readonly #answers = new RegisteredAnswers<QueryRequest, (query: QueryRequest, view: View) => Result>()

  constructor(options: LogAnalyticsEmulatorOptions = {}) {
    super(options, 'log-analytics', optionKinds)
    this.#options = options
    this.#set()
  }

  /** Adds a table, or replaces it. Rows are arrays in the order of the columns, or objects. */
  addTable(
    name: string,
    columns: readonly Column[],
    rows: Iterable<RowInput> = [],
    options: TableOptions = {},
  ): this {
    this.#tables.set(name, new LogTable(name, columns, options.timeColumn ?? 'TimeGenerated'))
    return this.append(name, rows, options)
  }

  /** Adds rows to a table. */
  append(
    name: string,
    rows: Iterable<RowInput>,
    { ingestedAt }: Pick<TableOptions, 'ingestedAt'> = {},
  ): this {
    const table = this.#tables.get(name)
    if (!table) throw new RangeError(`there is no table ${name}`)
    const now = this.#now()
    const fixed = typeof ingestedAt === 'function' ? undefined : instantToTicks(ingestedAt ?? now)
    table.append(rows, (row, index) =>
      typeof ingestedAt === 'function' ? instantToTicks(ingestedAt(row, index)) : fixed!,
    )
    return this
  }

  /**
   * From now on, rows that a data collection endpoint accepts for the stream `Custom-NAME` are rows of the table NAME, if
   * there is one. As in the service, columns that the table lacks are dropped, a value that does not fit its column is
   * null, and a TimeGenerated that is missing, more than 2 days old or a day ahead becomes the time of ingestion.
   *
   * @param transform the rule's transformation: what it makes of a row
   */
  follow(ingestion: IngestionEmulator, transform: (row: IngestedRow) => IngestedRow = (row) => row): this {
    ingestion.on('taken', (rows, request) => {
      const name = decodeURIComponent(request.path.split('/').at(-1) ?? '').replace(/^Custom-/, '')
      const table = this.#tables.get(name)
      if (!table) return
      const now = this.#now()
      const stored = (rows as IngestedRow[]).map((row) => storedRow(transform(row), table.columns, now))
      this.append(name, stored)
    })
    return this
  }

  /**
   * Answers queries that the emulator can't run.
   *
   * @param match how the query begins (what follows it, from its next `|` on, is run on the rows), a pattern, or a test
   * @param rows rows as in a table: those outside of the request's timespan are left out. Or a function that gives the
   *   rows of a timespan, whole
   */
  answer(match: QueryMatch<QueryRequest>, rows: LogRows, options: AnswerOptions = {}): this {
    const { timeColumn = 'TimeGenerated' } = options
    const tableOf = (given: Iterable<RowInput>) => {
      const inputs = [...given]
      const columns = options.columns ?? columnsOf(inputs)
      const table = new LogTable('answer', columns, timeColumn)
      const ingestedAt = options.ingestedAt ?? this.#now()
      table.append(inputs, (row, index) =>
        instantToTicks(typeof ingestedAt === 'function' ? ingestedAt(row, index) : ingestedAt),
      )
      return table
    }
    if (typeof rows === 'function') {
      this.#answers.add(match, (query, view) => {
        const date = (ticks: Ticks | undefined) => (ticks === undefined ? undefined : toDate(ticks))
        const timespan = { start: date(query.from), end: date(query.to) }
        return tableOf(rows(timespan, query)).scan({ inclusive: true, now: view.now })
      })
    } else {
      const table = tableOf(rows)
      this.#answers.add(match, (_query, view) => table.scan(view))
    }
    return this
  }

  /** How many rows a table has. */
  rowCount(name: string): number {
    return this.#tables.get(name)?.rowCount ?? 0
  }

  /** Makes queries come back in part: status 200, and an error after the rows. */
  failPartly(fault: PartialFault = {}): this {
    this.#partialFaults.push({ ...fault, left: fault.times ?? 1 })
    return this
  }

  override reset(): this {
    this.queries.length = 0
    this.#tables.clear()
    this.#answers.clear()
    this.#set()
    return super.reset()
  }

  override clearFaults(): this {
    this.#partialFaults = []
    return super.clearFaults()
  }

  protected serve(request: RecordedRequest): Answer {
    const path = pathForm.exec(decodeURIComponent(request.path))
    if (!path) return errorAnswer(404, 'PathNotFoundError', 'The requested path does not exist')
    const [, workspace, resource, action] = path
    const refusal = this.#refusal(request)
    if (refusal) return refusal
    if (action === 'metadata') return { status: 200, body: this.#metadata() }
    if (request.method !== 'POST') {
      return errorAnswer(405, 'MethodNotAllowedError', 'The requested method is not allowed')
    }
    return this.#query(request, workspace ?? `/${resource}`)
  }

  #refusal(request: RecordedRequest): Answer | undefined {
    const token = bearerToken(request)
    if (token === undefined) {
      return errorAnswer(401, 'AuthorizationRequiredError', 'Valid authentication was not provided')
    }
    const { entra, audience = 'https://api.loganalytics.io' } = this.#options
    if (!entra || entra.tokenValid(token, audience)) return undefined
    if (entra.tokenValid(token)) {
      return errorAnswer(
        403,
        'InvalidTokenError',
        'The provided authentication is not valid for this resource',
      )
    }
    return errorAnswer(401, 'InvalidTokenError', 'The access token is invalid or has expired')
  }

  #query(request: RecordedRequest, target: string): Answer {
    const query = this.#read(request, target)
    if (!query) return errorAnswer(400, 'BadArgumentError', 'The request had some invalid properties')
    if (this.#options.record !== false) this.queries.push(query)
    const prefer = String(request.headers['prefer'] ?? '')
    const partial = this.#takePartialFault(query)
    let result: Result
    try {
      result = this.#evaluate(query)
    } catch (error) {
      if (error instanceof KqlError) return { status: 400, body: error.body(hint) }
      throw error
    }
    const chunks = encodeResponse(
      result,
      {
        maxRows: this.maxRows,
        maxBytes: this.maxBytes,
        error: partial && (partial.error ?? memoryBudget),
        errorAfter: partial?.rows,
      },
      {
        statistics: prefer.includes('include-statistics') ? { query: { executionTime: 0.01 } } : undefined,
        render: prefer.includes('include-render') ? {} : undefined,
      },
    )
    return {
      status: 200,
      headers: { 'content-type': 'application/json; charset=utf-8' },
      body: Readable.from(chunks, { objectMode: false }),
    }
  }

  #evaluate(request: QueryRequest): Result {
    const { query, from, to } = request
    const view = { from, to, inclusive: this.bounds === 'inclusive', now: this.#now() }
    const database = { table: (name: string) => this.#tables.get(name)?.scan(view), now: view.now }
    const registered = this.#answers.find(query, request)
    if (!registered) return evaluateQuery(query, database)
    const { answer, rest } = registered
    if (rest === undefined) return answer(request, ingestedIn(query, view))
    return evaluateOperators(rest, answer(request, view), database)
  }

  #read(request: RecordedRequest, target: string): QueryRequest | undefined {
    let body: unknown
    try {
      body = JSON.parse(request.body.toString())
    } catch {
      return undefined
    }
    if (typeof body !== 'object' || body === null || !('query' in body)) return undefined
    const { query } = body
    const timespan = 'timespan' in body && typeof body.timespan === 'string' ? body.timespan : undefined
    const span = parseSpan(timespan ?? '', this.#now())
    if (typeof query !== 'string' || !span) return undefined
    const wait = Number(/\bwait=(\d+)/.exec(String(request.headers['prefer'] ?? ''))?.[1] ?? 180)
    return { target, query, timespan, ...span, wait }
  }

  #takePartialFault(query: QueryRequest): PartialFault | undefined {
    const fault = this.#partialFaults.find(({ match }) => !match || match(query))
    if (fault && --fault.left <= 0) this.#partialFaults = this.#partialFaults.filter((item) => item !== fault)
    return fault
  }

  #metadata(): object {
    const tables = [...this.#tables.values()].map(({ name, columns, timeColumn }) => ({
      id: `t/${name}`,
      name,
      columns: columns.map((column) => ({ name: column.name, type: column.type })),
      timespanColumn: timeColumn,
    }))
    return { tables }
  }

  #set(): void {
    const { bounds, maxRows, maxBytes } = this.#options
    this.bounds = bounds ?? 'inclusive'
    this.maxRows = maxRows ?? 500_000
    this.maxBytes = maxBytes ?? 64_000_000
  }

  #now(): Ticks {
    return fromDate(this.#options.now?.() ?? Date.now())
  }
}

const hint = `(This is the emulator. It runs ${runs}; for any other query register an answer: logAnalytics.answer(text, pattern or predicate, rows or a function of the timespan).)`

/** A row as a table keeps it, cells in the order of its columns. */
function storedRow(row: IngestedRow, columns: readonly Column[], now: Ticks): unknown[] {
  return columns.map(({ name, type }) => {
    const value = Object.hasOwn(row, name) ? row[name] : null
    let cell: unknown
    try {
      cell = toCell(type === 'string' && typeof value === 'number' ? String(value) : value, type)
    } catch {
      cell = null
    }
    if (name !== 'TimeGenerated') return cell === null ? null : type === 'string' ? String(value) : value
    const [oldest, newest] = [now - 2n * day, now + day]
    return typeof cell === 'bigint' && cell >= oldest && cell <= newest ? cell : now
  })
}

const day = 86_400n * ticksPerSecond

/** Columns for rows that came without. */
function columnsOf(rows: readonly RowInput[]): readonly Column[] {
  if (!rows.every((row) => !Array.isArray(row))) throw new TypeError('rows that are arrays need `columns`')
  return inferColumns(rows as readonly Readonly<Record<string, unknown>>[])
}

/** Which rows a query sees that says so in the middle of what was registered as a whole: a window by ingestion time. */
function ingestedIn(query: string, view: View): View {
  const [, start, end] =
    /ingestion_time\(\) >= datetime\(([^)]+)\) and ingestion_time\(\) < datetime\(([^)]+)\)/.exec(query) ?? []
  if (start === undefined || end === undefined) return view
  return { ...view, ingestedFrom: parseInstant(start), ingestedTo: parseInstant(end) }
}

/** The API's `timespan`: `start/end`, `start/duration`, `duration/end`, a duration that ends now, or nothing. */
function parseSpan(text: string, now: Ticks): Pick<QueryRequest, 'from' | 'to'> | undefined {
  if (text === '') return { from: undefined, to: undefined }
  const [first = '', second, ...more] = text.split('/')
  if (more.length > 0) return undefined
  const duration = parseDuration(second === undefined ? first : second)
  if (second === undefined) return duration === undefined ? undefined : { from: now - duration, to: now }
  const start = parseInstant(first)
  const end = parseInstant(second)
  if (start !== undefined && end !== undefined) return { from: start, to: end }
  if (start !== undefined && duration !== undefined) return { from: start, to: start + duration }
  const before = parseDuration(first)
  return end !== undefined && before !== undefined ? { from: end - before, to: end } : undefined
}
