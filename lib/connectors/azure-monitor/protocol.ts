import type { Identity } from '../../checkpoint/state.ts'
import { ConnectorError, QueryError } from '../../core/errors.ts'
import type { Health } from '../../core/health.ts'
import { fromDate, parseInstant, ticksPerSecond } from '../../core/time.ts'
import type { SourceVerdict } from '../../core/verdict.ts'
import { type PlainWindow, toPlainWindow, type Window } from '../../core/window.ts'
import { withDeadline } from '../../http/deadline.ts'
import type { Ask, Page, Row, SourceObserver, SourceProtocol } from '../../source/protocol.ts'
import { toOffset, type WindowOffset, windowOf } from '../../source/windows.ts'
import { AzureConnection } from '../azure/connection.ts'
import { azureClouds } from '../azure/options.ts'
import { type AnswerTable, WholeAnswer } from './answer.ts'
import { connectorName, defaultHeldBytes, type QueryValues, type TargetValues } from './options.ts'
import { QueryClient } from './query-client.ts'
import {
  cutFailure,
  faultFailure,
  partialFailure,
  type QueryFailure,
  rowLimit,
  statusFailure,
} from './query-failure.ts'
import {
  askedWindow,
  countOf,
  earliestQuery,
  generatedDuring,
  ingestionTimeQuery,
  isFarOutside,
  type KeptRows,
  noRows,
  rowFilter,
} from './query-windows.ts'
import { smallRows, TableRows } from './table-rows.ts'

export interface Question {
  readonly query: string
  readonly timespan: Window | undefined
  /** Lists the tables of the workspace in place of a query. */
  readonly metadata?: boolean
  /** Whether halves of the timespan can be asked for. Default: false. */
  readonly divisible?: boolean
}

type ClientValues = TargetValues & Partial<Pick<QueryValues, 'held_bytes' | 'basic_tables'>>

/** The connection of one source, and single requests over it. */
export class KqlClient {
  readonly #connection: AzureConnection
  readonly #client: QueryClient
  readonly #values: ClientValues
  readonly #observer: Pick<SourceObserver, 'request' | 'answered'> | undefined

  constructor(values: ClientValues, observer?: Pick<SourceObserver, 'request' | 'answered'>) {
    this.#values = values
    this.#observer = observer
    const cloud = azureClouds[values.azure_cloud]
    this.#connection = new AzureConnection(connectorName, values, cloud.queryAudience)
    const { workspace_id, resource_id, endpoint = cloud.queryEndpoint } = values
    this.#client = new QueryClient(this.#connection, { workspace_id, resource_id, endpoint })
  }

  /** One request, and a second one if only a row count shows whether the result is complete. */
  async once(question: Question, signal: AbortSignal): Promise<WholeAnswer | QueryFailure> {
    const { redact } = this.#connection
    try {
      const given = await this.#send(question, signal)
      if (!(given instanceof WholeAnswer)) return given
      const failure =
        given.error !== undefined
          ? partialFailure(given, redact)
          : (await this.#isWhole(given, question, signal))
            ? undefined
            : cutFailure(given)
      if (!failure) return given
      given.release()
      return failure
    } catch (error) {
      signal.throwIfAborted()
      return faultFailure(error, redact)
    }
  }

  async #send(
    { query, timespan, metadata = false, divisible = false }: Question,
    signal: AbortSignal,
  ): Promise<WholeAnswer | QueryFailure> {
    const { redact, tokens } = this.#connection
    const { request_timeout, stall_timeout, held_bytes = defaultHeldBytes } = this.#values
    const at = metadata ? 'metadata' : this.#values.basic_tables ? 'search' : 'query'
    const { token } = await tokens.get(signal)
    this.#observer?.request()
    const { status, body, gzip, text, retryAfter, date } = await withDeadline(
      request_timeout * 1000,
      signal,
      (until) => this.#client.send({ query, timespan, wait: request_timeout, at }, token, until),
    )
    this.#observer?.answered(date)
    if (status === 200 && body) {
      return WholeAnswer.receive({ body, gzip }, { stall_timeout, held_bytes, rowLimit }, signal)
    }
    // "No data": https://learn.microsoft.com/azure/azure-monitor/logs/api/errors
    if (status === 204) return WholeAnswer.empty
    if (status === 401) tokens.invalidate(token)
    return statusFailure(status, text, retryAfter, redact, divisible)
  }

  /**
   * Whether an answer without an error is complete. An answer with exactly the service's maximum of rows may be cut, so a
   * second query counts them.
   */
  async #isWhole(answer: WholeAnswer, { query, timespan }: Question, signal: AbortSignal): Promise<boolean> {
    const rows = answer.rowCount ?? 0
    if (rows < rowLimit) return true
    if (rows > rowLimit || answer.tables.length !== 1) return false
    const counted = await this.#send({ query: countOf(query), timespan }, signal)
    if (!(counted instanceof WholeAnswer)) return false
    const [row] = counted.error === undefined ? await smallRows(counted) : []
    return row?.['Count'] === rows
  }

  close(): void {
    this.#connection.close()
  }
}

type KqlSettings = QueryValues & { readonly window_by?: 'timestamp_column' | 'ingestion_time' }

/** Identity that a checkpoint of this source must match. */
export function identityOf({
  workspace_id,
  resource_id,
  query,
  window_by,
  timestamp_column,
}: KqlSettings & { window_by: string }): Identity {
  return {
    connector: connectorName,
    ...(workspace_id === undefined ? {} : { workspace_id }),
    ...(resource_id === undefined ? {} : { resource_id }),
    query,
    window_by,
    timestamp_column,
  }
}

/** A KQL query over windows of time. */
export class KqlProtocol implements SourceProtocol<PlainWindow, WindowOffset> {
  readonly connector = connectorName
  readonly host: string
  readonly #settings: KqlSettings
  readonly #observer: SourceObserver
  readonly #client: KqlClient
  readonly #byIngestion: ((window: Window) => string) | undefined
  #lastSchema: string | undefined
  #warned = false

  constructor(settings: KqlSettings, observer: SourceObserver) {
    this.#settings = settings
    this.#observer = observer
    this.#client = new KqlClient(settings, observer)
    this.host = new URL(settings.endpoint ?? azureClouds[settings.azure_cloud].queryEndpoint).host
    if (settings.window_by === 'ingestion_time') this.#byIngestion = ingestionTimeQuery(settings.query)
  }

  async ask(ask: Ask<PlainWindow>, signal: AbortSignal): Promise<SourceVerdict<Page>> {
    const window = windowOf(ask.slice)
    const kept = this.#byIngestion ? 'all' : ask.exact ? 'exact' : 'margin'
    const question = this.#byIngestion
      ? { query: this.#byIngestion(window), timespan: generatedDuring(window) }
      : { query: this.#settings.query, timespan: askedWindow(window, kept) }
    const given = await this.#client.once({ ...question, divisible: ask.divisible }, signal)
    if (given instanceof WholeAnswer) {
      const rows = this.#rows(given, ask, kept)
      return { kind: 'accepted', value: { rows, bytes: given.bytes, release: () => given.release() } }
    }
    if (given.kind === 'split' && ask.divisible && kept !== 'all') {
      // Fails before the halves are read.
      const { error } = given
      const halved = { ...ask, because: ask.because ?? error }
      for (const table of given.tables ?? []) {
        if (table.columns.length === 0) continue
        const lack = this.#lackOf(table)
        if (lack !== undefined) return { kind: 'fatal', error: this.#noTimestamp(lack, halved) }
      }
    }
    return given
  }

  async earliest(signal: AbortSignal): Promise<SourceVerdict<WindowOffset | undefined>> {
    const { query, window_by, timestamp_column: column } = this.#settings
    const ask = earliestQuery(query, window_by === 'ingestion_time' ? window_by : { column })!
    // Without a timespan the service may apply a default one.
    const ever = { start: 0n, end: fromDate(Date.now()) + 2n * 86_400n * ticksPerSecond }
    const given = await this.#client.once({ query: ask, timespan: ever }, signal)
    if (!(given instanceof WholeAnswer)) return given
    const [row] = await smallRows(given)
    const earliest = row?.['earliest']
    const instant = typeof earliest === 'string' ? parseInstant(earliest) : undefined
    return { kind: 'accepted', value: instant === undefined ? undefined : toOffset(instant) }
  }

  /** Runs the query for no rows, which checks credentials, endpoint and query. */
  async health(signal: AbortSignal): Promise<SourceVerdict<Health>> {
    const now = fromDate(Date.now())
    const window = { start: now - 60n * ticksPerSecond, end: now }
    const query = noRows(this.#byIngestion?.(window) ?? this.#settings.query)
    const given = await this.#client.once({ query, timespan: window }, signal)
    if (!(given instanceof WholeAnswer)) return given
    given.release()
    return {
      kind: 'accepted',
      value: { healthy: true, status: 200, text: 'signed in, and the query is valid' },
    }
  }

  close(): void {
    this.#client.close()
  }

  async *#rows(answer: WholeAnswer, ask: Ask<PlainWindow>, kept: KeptRows): AsyncGenerator<readonly Row[]> {
    const window = windowOf(ask.slice)
    const tables = answer.tables.map((table) => {
      const lack = this.#lackOf(table)
      if (kept === 'exact' && lack !== undefined) throw this.#noTimestamp(lack, ask)
      const index =
        lack === undefined
          ? table.columns.findIndex(({ name }) => name === this.#settings.timestamp_column)
          : -1
      return { table, index }
    })
    for (const { table, index } of tables) {
      const reader = new TableRows(table, this.#settings)
      this.#emitSchema(reader.schema)
      const filter = index < 0 ? undefined : rowFilter(window, kept)
      const watched =
        filter && kept === 'exact'
          ? (timestamp: unknown) => {
              const keep = filter(timestamp)
              if (!keep && isFarOutside(timestamp, window)) this.#warn(window, timestamp)
              return keep
            }
          : filter
      for await (const cells of answer.rows(table)) yield await reader.read(cells, index, watched)
    }
  }

  /** Why rows of a table can't be assigned to a window; undefined if it has its timestamp. */
  #lackOf({ name, columns }: AnswerTable): string | undefined {
    const wanted = this.#settings.timestamp_column
    const type = columns.find((column) => column.name === wanted)?.type.toLowerCase()
    if (type === 'datetime' || type === 'date') return undefined
    const lack =
      type === undefined
        ? `no column "${wanted}"`
        : `a column "${wanted}" that is of type ${type}, not datetime`
    return `result${name ? ` (table ${name})` : ''} has ${lack}`
  }

  #noTimestamp(lack: string, { slice: { start, end }, because }: Ask<PlainWindow>): ConnectorError {
    const remedy =
      "which decides the window of a row. Keep the column in the query's result, name another one as timestamp_column, or read the range in one window"
    const details = { connector: connectorName, window: { start, end } }
    if (!because) {
      const message = `${connectorName}: the time range is read in more than one window, but the ${lack}, ${remedy}`
      return new ConnectorError('ERR_RESULT', message, details)
    }
    const { code, status, serviceCode, serviceText } = because
    const message = `${because.message}. It can not be read in halves: the ${lack}, ${remedy}`
    return new QueryError(code, message, { ...details, status, serviceCode, serviceText, cause: because })
  }

  #emitSchema(schema: object): void {
    const text = JSON.stringify(schema)
    if (text === this.#lastSchema) return
    this.#lastSchema = text
    this.#observer.emit('schema', schema)
  }

  #warn(window: Window, timestamp: unknown): void {
    if (this.#warned) return
    this.#warned = true
    const { start, end } = toPlainWindow(window)
    process.emitWarning(
      `${connectorName}: rows were left out because their ${this.#settings.timestamp_column} (${String(timestamp)}) lies outside of the window (${start} to ${end}). A query that computes its timestamps, as bin() does, can not be read in several windows`,
      { code: 'CYBER_CONNECTORS_ROWS_OUTSIDE' },
    )
  }
}
