import { ConnectorError, QueryError } from '../core/errors.ts'
import { secondsToTicks } from '../core/time.ts'
import { splitWindow, type Window, windowId } from '../core/window.ts'
import { connectorName, type SourceValues } from './options.ts'
import { QuerySession } from './query-session.ts'
import type { WholeResponse } from './response-body.ts'
import type { IndexedTable } from './response-index.ts'
import { type Row, TableRows } from './result-rows.ts'
import type { TableSchema } from './schema.ts'
import { askedWindow, isFarOutside, type KeptRows, rowFilter } from './timestamp-bounds.ts'
import { plainEnds, type QueryObserver, type WindowAnswer } from './window-query.ts'

/**
 * How the bounded and the streaming source read windows of time:
 *
 *   const reader = new WindowReader(values, observer)
 *   const rows = reader.open(window, 'exact', signal)   // asks at once: open several to read ahead
 *   for await (const batch of rows.batches()) …         // parsed as asked for; halves what is too large
 *   const [first] = await reader.ask('T | summarize min(TimeGenerated)', undefined, signal)
 *   reader.close()
 *
 * A window's first batch comes only when a whole answer is there. Held is the answer being parsed, the next one of the
 * same window where it had to be halved, and one for each other window that is open.
 */

/** The query for a window, where the option `query` as it is will not do. */
export interface WindowPlan {
  readonly query: string
  /** What is sent as the request's timespan; undefined for none. */
  readonly timespan: Window | undefined
}

/** Told while reading; all are optional. */
export interface ReaderObserver extends QueryObserver {
  /** A window whose result was too large is read in these parts. */
  split?(window: Window, parts: readonly Window[], reason: ConnectorError): void
  /** The columns of the rows to come. */
  schema?(schema: TableSchema): void
  /** An answer came in whole: its size as held. */
  response?(bytes: number): void
  /** Rows that lie outside of their window, by more than the margin that was asked for beyond it. */
  outside?(window: Window, timestamp: unknown): void
}

export class WindowReader {
  readonly values: SourceValues
  readonly #session: QuerySession
  readonly #observer: ReaderObserver
  readonly #plan: ((window: Window) => WindowPlan) | undefined

  /** @param plan makes the query for a window; by default the option `query`, with the window as its timespan */
  constructor(values: SourceValues, observer: ReaderObserver = {}, plan?: (window: Window) => WindowPlan) {
    this.values = values
    this.#observer = observer
    this.#plan = plan
    this.#session = new QuerySession(values, observer)
  }

  /** Begins to read a window. */
  open(window: Window, kept: KeptRows, signal: AbortSignal): WindowRows {
    return new WindowRows(this, window, kept, signal)
  }

  /** Asks a small query of ours: see {@link QuerySession.ask}. Datetimes are texts with all their digits. */
  ask(query: string, timespan: Window | undefined, signal: AbortSignal): Promise<Row[]> {
    return this.#session.ask(query, timespan, signal)
  }

  /** Ends all connections. Abort the signals first. */
  close(): void {
    this.#session.close()
  }

  /** @internal */
  get observer(): ReaderObserver {
    return this.#observer
  }

  /** @internal Asks for one window, or part of one. */
  async answer(window: Window, kept: KeptRows, signal: AbortSignal): Promise<WindowAnswer> {
    const { query, timespan } = this.#plan?.(window) ?? {
      query: this.values.query,
      timespan: askedWindow(window, kept),
    }
    const answer = await this.#session.queries.ask(
      { query, timespan, window, divisible: this.parts(window) !== undefined },
      signal,
    )
    if ('response' in answer) this.#observer.response?.(answer.response.bytes)
    return answer
  }

  /** @internal The halves of a window, or undefined where they would be too short. */
  parts(window: Window): readonly Window[] | undefined {
    const least = secondsToTicks(this.values.min_partition_seconds)
    return window.end - window.start >= 2n * least ? splitWindow(window, 2) : undefined
  }
}

/** A window that is being read. It is asked for as soon as it is made. */
export class WindowRows {
  readonly window: Window
  readonly #reader: WindowReader
  readonly #signal: AbortSignal
  #kept: KeptRows
  #first: Promise<WindowAnswer> | undefined
  /** Why the window is not read in one go, where it is not. */
  #splitBecause: ConnectorError | undefined

  constructor(reader: WindowReader, window: Window, kept: KeptRows, signal: AbortSignal) {
    this.window = window
    this.#reader = reader
    this.#signal = signal
    this.#kept = kept
    this.#first = this.#ask(window)
  }

  /**
   * The window's rows, once, some hundred at a time.
   * @throws ConnectorError, and AbortError when the signal fires
   */
  async *batches(): AsyncGenerator<readonly Row[]> {
    const todo = [{ window: this.window, answer: this.#first }]
    this.#first = undefined
    while (todo.length > 0) {
      const { window, answer } = todo.shift()!
      const result = await (answer ?? this.#ask(window))
      if ('tooLarge' in result) {
        const parts = this.#split(window, result.tooLarge, result.tables ?? [])
        todo.unshift(...parts.map((part) => ({ window: part, answer: undefined })))
        continue
      }
      // The next part is on its way while this one is parsed.
      if (todo[0] && !todo[0].answer) todo[0].answer = this.#ask(todo[0].window)
      yield* this.#rows(window, result.response)
    }
  }

  #ask(window: Window): Promise<WindowAnswer> {
    const answer = this.#reader.answer(window, this.#kept, this.#signal)
    // It is looked at when its turn comes, and may fail before.
    answer.catch(() => {})
    return answer
  }

  /** @param tables what came of the result that is too large, where anything did */
  #split(window: Window, reason: ConnectorError, tables: readonly IndexedTable[]): readonly Window[] {
    const parts = this.#reader.parts(window)
    if (!parts) {
      throw new QueryError(
        'ERR_RESULT_TOO_LARGE',
        `${reason.message}. The window ${windowId(window)} can not be halved: its halves would be shorter than min_partition_seconds (${this.#reader.values.min_partition_seconds}). Let the query give fewer rows or columns, or set min_partition_seconds lower`,
        {
          connector: connectorName,
          status: reason.status,
          serviceCode: reason.serviceCode,
          serviceText: reason.serviceText,
          window: plainEnds(window),
          cause: reason,
        },
      )
    }
    this.#splitBecause ??= reason
    if (this.#kept === 'margin') this.#kept = 'exact'
    // Better said now than when the halves are there.
    for (const table of tables) if (table.columns.length > 0) this.#timestampIndex(table, window)
    this.#reader.observer.split?.(window, parts, reason)
    return parts
  }

  async *#rows(window: Window, response: WholeResponse): AsyncGenerator<readonly Row[]> {
    const { values, observer } = this.#reader
    const tables = response.index.tables.map((table) => ({
      table,
      timestampIndex: this.#timestampIndex(table, window),
    }))
    for (const { table, timestampIndex } of tables) {
      const reader = new TableRows(table, values)
      observer.schema?.(reader.schema)
      const filter = timestampIndex < 0 ? undefined : rowFilter(window, this.#kept)
      const watched =
        filter && this.#kept === 'exact' && observer.outside
          ? (timestamp: unknown) => {
              const keep = filter(timestamp)
              if (!keep && isFarOutside(timestamp, window)) observer.outside!(window, timestamp)
              return keep
            }
          : filter
      for await (const cells of response.rows(table)) {
        this.#signal.throwIfAborted()
        const rows = await reader.read(cells, timestampIndex, watched)
        if (rows.length > 0) yield rows
      }
    }
  }

  /** Where a row's timestamp is; -1 where it is not needed and not there. */
  #timestampIndex(
    { name, columns }: { name: string; columns: readonly { name: string; type: string }[] },
    window: Window,
  ): number {
    const wanted = this.#reader.values.timestamp_column
    const index = columns.findIndex((column) => column.name === wanted)
    const type = columns[index]?.type.toLowerCase()
    const isDatetime = type === 'datetime' || type === 'date'
    if (this.#kept !== 'exact') return isDatetime ? index : -1
    if (index >= 0 && isDatetime) return index
    const lack =
      index < 0 ? `no column "${wanted}"` : `a column "${wanted}" that is of type ${type}, not datetime`
    throw this.#noTimestamp(`result${name ? ` (table ${name})` : ''} has ${lack}`, window)
  }

  #noTimestamp(lack: string, window: Window): ConnectorError {
    const remedy =
      "by which rows are told apart at the windows' ends. Keep the column in the query's result, name another one as timestamp_column, or read the range in one window"
    const details = { connector: connectorName, window: plainEnds(window) }
    const reason = this.#splitBecause
    if (!reason) {
      const message = `${connectorName}: the time range is read in more than one window, but the ${lack}, ${remedy}`
      return new ConnectorError('ERR_RESULT', message, details)
    }
    const { code, status, serviceCode, serviceText } = reason
    const message = `${reason.message}. It can not be read in halves: the ${lack}, ${remedy}`
    return new QueryError(code, message, { ...details, status, serviceCode, serviceText, cause: reason })
  }
}
