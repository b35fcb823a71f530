import { addAbortSignal, type Readable } from 'node:stream'
import { BatchReadable } from '../core/batch-readable.ts'
import { streamOptions } from '../core/options.ts'
import { type PlainWindow, splitWindow, toPlainWindow } from '../core/window.ts'
import { type BoundedValues, boundedDeclaration, requestedWindow } from './options.ts'
import type { AzureMonitorReadableOptions } from './options.types.ts'
import type { Row } from './result-rows.ts'
import type { RowOf, RowSchema, TableSchema } from './schema.ts'
import { observeReader } from './source-events.ts'
import { WindowReader, type WindowRows } from './window-reader.ts'

/** Answers asked for or held at once. The service serves a user 5 queries at a time, and others may ask too. */
const parallelWindows = 4

type Listener = Parameters<Readable['on']>[1]

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
> extends BatchReadable {
  readonly stats: SourceStats = { rows: 0, requests: 0, retries: 0, splits: 0, bytes: 0 }
  readonly #values: BoundedValues
  readonly #reader: WindowReader

  constructor(
    options: AzureMonitorReadableOptions & {
      readonly schema?: S | undefined
      readonly datetime?: D | undefined
    },
  ) {
    const values = boundedDeclaration.resolve(options)
    super(streamOptions(values))
    this.#values = values
    this.#reader = new WindowReader(values, observeReader(this, this.stats, values.timestamp_column))
    if (values.signal) addAbortSignal(values.signal, this)
  }

  override [Symbol.asyncIterator](): NodeJS.AsyncIterator<RowOf<S, D>> {
    return super[Symbol.asyncIterator]()
  }

  override read(size?: number): RowOf<S, D> | null {
    return super.read(size) as RowOf<S, D> | null
  }

  override toArray(options?: { signal?: AbortSignal }): Promise<RowOf<S, D>[]> {
    return super.toArray(options)
  }

  override on(event: 'data', listener: (row: RowOf<S, D>) => void): this
  override on(event: 'schema', listener: (schema: TableSchema) => void): this
  override on(event: 'retry', listener: (event: SourceRetryEvent) => void): this
  override on(event: 'split', listener: (event: SourceSplitEvent) => void): this
  override on(event: 'window', listener: (event: WindowDoneEvent) => void): this
  override on(event: string | symbol, listener: Listener): this
  override on(event: string | symbol, listener: Listener): this {
    return super.on(event, listener)
  }

  override push(row: unknown): boolean {
    if (row !== null) this.stats.rows++
    return super.push(row)
  }

  /** Windows are asked for ahead, and read in their order. */
  protected override async *batches(signal: AbortSignal): AsyncGenerator<readonly Row[], void> {
    const windows = splitWindow(requestedWindow(this.#values), this.#values.num_partitions)
    // A window that was given has neighbours that somebody else reads.
    const kept = windows.length > 1 || this.#values.window ? 'exact' : 'margin'
    const open: WindowRows[] = []
    for (let next = 0; next < windows.length || open.length > 0; ) {
      while (open.length < parallelWindows && next < windows.length) {
        open.push(this.#reader.open(windows[next++]!, kept, signal))
      }
      // It stays among the open ones until it is read, and so counts as held.
      yield* open[0]!.batches()
      const { window } = open.shift()!
      const done = (next - open.length) / windows.length
      if (!this.destroyed) this.emit('window', { ...toPlainWindow(window), done } satisfies WindowDoneEvent)
    }
  }

  protected override async closing(): Promise<void> {
    this.#reader.close()
  }
}
