import { addAbortSignal, Readable } from 'node:stream'
import { streamOptions } from '../core/options.ts'
import { formatInstant } from '../core/time.ts'
import { type PlainWindow, splitWindow, toPlainWindow, type Window } from '../core/window.ts'
import { type BoundedValues, boundedDeclaration, connectorName, requestedWindow } from './options.ts'
import type { AzureMonitorReadableOptions } from './options.types.ts'
import type { Row } from './result-rows.ts'
import type { RowOf, RowSchema, TableSchema } from './schema.ts'
import { WindowReader, type WindowRows } from './window-reader.ts'

/** Answers asked for or held at once. The service serves a user 5 queries at a time, and others may ask too. */
const parallelWindows = 4

/** Counts of a source, live. */
export interface SourceStats {
  /** Rows given out. */
  rows: number
  /** Requests sent, retries among them. */
  requests: number
  retries: number
  /** How often a window was halved because its result was too large. */
  splits: number
  /** Bytes of the answers on the wire, most often compressed. */
  bytes: number
}

/** Event `retry`: a query is going to be asked again. */
export interface SourceRetryEvent {
  readonly connector: string
  /** How many requests were made so far. */
  readonly attempts: number
  /** Milliseconds until the next one. */
  readonly wait: number
  readonly status: number | undefined
  readonly text: string
  readonly window: PlainWindow | undefined
}

/** Event `split`: a window whose result was too large is read in two halves. */
export interface SourceSplitEvent {
  readonly connector: string
  readonly window: PlainWindow
  readonly parts: readonly PlainWindow[]
  readonly text: string
}

/** Event `window`: all rows of a slice of the time range are handed on. */
export interface WindowDoneEvent extends PlainWindow {
  /** How much of the whole range is handed on by now, from 0 to 1. */
  readonly done: number
}

/**
 * The rows of a KQL query over a range of time, from a Log Analytics workspace or an Azure resource, as plain objects.
 *
 * The range is half-open: `start` belongs to it, `end` does not. A window's rows come out only when the service's
 * answer for it is whole; then they are parsed as they are asked for. A result that is too large is read in halves.
 *
 * Events besides those of a Readable: `schema` (a {@link TableSchema}) before the first row and whenever the columns
 * change, `retry` (a {@link SourceRetryEvent}), `split` (a {@link SourceSplitEvent}), `window` (a
 * {@link WindowDoneEvent}) when the rows of a slice are all handed on.
 *
 * Errors: ERR_OPTION from the constructor; ERR_AUTH, ERR_QUERY, ERR_RESULT_TOO_LARGE, ERR_RESULT from the stream.
 *
 * https://learn.microsoft.com/azure/azure-monitor/logs/api/overview
 */
export class AzureMonitorReadable<
  const S extends RowSchema | undefined = undefined,
  const D extends 'date' | 'string' = 'date',
> extends Readable {
  readonly stats: SourceStats = { rows: 0, requests: 0, retries: 0, splits: 0, bytes: 0 }
  readonly #values: BoundedValues
  readonly #reader: WindowReader
  readonly #stop = new AbortController()
  #schema: string | undefined
  #warned = false
  #batches: AsyncGenerator<readonly Row[]> | undefined
  #batch: readonly Row[] = []
  #at = 0
  #pumping = false
  /** `_read` was called while rows were being pushed. */
  #wanted = false

  constructor(
    options: AzureMonitorReadableOptions & {
      readonly schema?: S | undefined
      readonly datetime?: D | undefined
    },
  ) {
    const values = boundedDeclaration.resolve(options)
    super({ highWaterMark: 128, ...streamOptions(values), objectMode: true })
    this.#values = values
    this.#reader = new WindowReader(values, {
      request: () => {
        this.stats.requests++
      },
      retry: ({ attempts, wait, error, window }) => {
        this.stats.retries++
        this.#tell('retry', {
          connector: connectorName,
          attempts,
          wait,
          status: error.status,
          text: error.message,
          window: window && toPlainWindow(window),
        } satisfies SourceRetryEvent)
      },
      split: (window, parts, reason) => {
        this.stats.splits++
        this.#tell('split', {
          connector: connectorName,
          window: toPlainWindow(window),
          parts: parts.map(toPlainWindow),
          text: reason.message,
        } satisfies SourceSplitEvent)
      },
      response: (bytes) => {
        this.stats.bytes += bytes
      },
      schema: (schema) => this.#announce(schema),
      outside: (window, timestamp) => this.#warn(window, timestamp),
    })
    if (values.signal) addAbortSignal(values.signal, this)
  }

  override _read(): void {
    this.#wanted = true
    if (this.#pumping) return
    this.#pumping = true
    this.#pump().catch((error: Error) => this.destroy(error))
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#stop.abort()
    this.#batch = []
    this.#reader.close()
    callback(error)
  }

  override [Symbol.asyncIterator](): NodeJS.AsyncIterator<RowOf<S, D>> {
    return super[Symbol.asyncIterator]()
  }

  override read(size?: number): RowOf<S, D> | null {
    return super.read(size) as RowOf<S, D> | null
  }

  /** Pushes rows until the stream has enough for now. */
  async #pump(): Promise<void> {
    this.#batches ??= this.#readAll()
    for (;;) {
      while (this.#at < this.#batch.length) {
        this.#wanted = false
        this.stats.rows++
        if (!this.push(this.#batch[this.#at++]) && !this.#wanted) {
          this.#pumping = false
          return
        }
      }
      const next = await this.#batches.next()
      if (this.destroyed) return
      if (next.done) {
        this.push(null)
        return
      }
      this.#batch = next.value
      this.#at = 0
    }
  }

  /** Windows are asked for ahead, and read in their order. */
  async *#readAll(): AsyncGenerator<readonly Row[]> {
    const windows = splitWindow(requestedWindow(this.#values), this.#values.num_partitions)
    const kept = windows.length > 1 ? 'exact' : 'margin'
    const open: WindowRows[] = []
    for (let next = 0; next < windows.length || open.length > 0; ) {
      while (open.length < parallelWindows && next < windows.length) {
        open.push(this.#reader.open(windows[next++]!, kept, this.#stop.signal))
      }
      // It stays among the open ones until it is read, and so counts as held.
      yield* open[0]!.batches()
      const { window } = open.shift()!
      const done = (next - open.length) / windows.length
      this.#tell('window', { ...toPlainWindow(window), done } satisfies WindowDoneEvent)
    }
  }

  #announce(schema: TableSchema): void {
    const text = JSON.stringify(schema)
    if (text === this.#schema) return
    this.#schema = text
    this.#tell('schema', schema)
  }

  #tell(event: string, message: object): void {
    if (!this.destroyed) this.emit(event, message)
  }

  #warn(window: Window, timestamp: unknown): void {
    if (this.#warned) return
    this.#warned = true
    process.emitWarning(
      `${connectorName}: rows were left out whose ${this.#values.timestamp_column} (${String(timestamp)}) is not in the window that they came with (${formatInstant(window.start)} to ${formatInstant(window.end)}). A query that works out its timestamps, as bin() does, can not be read in several windows`,
      { code: 'CYBER_CONNECTORS_ROWS_OUTSIDE' },
    )
  }
}
