import { fromDate, parseInstant, secondsToTicks, type Ticks, ticksPerSecond } from '../core/time.ts'
import type { Window } from '../core/window.ts'
import { earliestQuery, generatedDuring, ingestionTimeQuery } from './ingestion-time-query.ts'
import { connectorName } from './options.ts'
import type { StreamValues } from './stream-options.ts'
import { type ReaderObserver, WindowReader, type WindowRows } from './window-reader.ts'

/** Windows of a query over time: where they begin, how far they may go, and their rows. */
export class AzureMonitorWindows {
  /** What a checkpoint must belong to. */
  readonly identity: Readonly<Record<string, string>>
  readonly #values: StreamValues
  readonly #observer: ReaderObserver
  #reader: WindowReader | undefined

  constructor(values: StreamValues, observer: ReaderObserver) {
    this.#values = values
    this.#observer = observer
    const { workspace_id, resource_id, query, window_by, timestamp_column } = values
    this.identity = {
      connector: connectorName,
      ...(workspace_id === undefined ? {} : { workspace_id }),
      ...(resource_id === undefined ? {} : { resource_id }),
      query,
      window_by,
      timestamp_column,
    }
  }

  /** Where a stream without a checkpoint begins. */
  async initial(signal: AbortSignal): Promise<Ticks> {
    const { start_time } = this.#values
    if (start_time === 'latest') return fromDate(Date.now())
    return start_time === 'earliest' ? this.#earliest(signal) : start_time
  }

  /** Up to where windows may go by now. */
  latest(): Ticks {
    return fromDate(Date.now()) - secondsToTicks(this.#values.safety_lag_seconds)
  }

  /** Asks for a window's rows at once. */
  open(window: Window, signal: AbortSignal): WindowRows {
    const byIngestion = this.#values.window_by === 'ingestion_time'
    return this.#read().open(window, byIngestion ? 'all' : 'exact', signal)
  }

  /** Ends all connections; they are made anew where another window is opened. */
  close(): void {
    this.#reader?.close()
    this.#reader = undefined
  }

  #read(): WindowReader {
    const { query, window_by } = this.#values
    const windowed = window_by === 'ingestion_time' ? ingestionTimeQuery(query) : undefined
    const plan =
      windowed && ((window: Window) => ({ query: windowed(window), timespan: generatedDuring(window) }))
    this.#reader ??= new WindowReader(this.#values, this.#observer, plan)
    return this.#reader
  }

  /** The first row's instant. Where there is no row yet, those to come are not older than the lag allows. */
  async #earliest(signal: AbortSignal): Promise<Ticks> {
    const { query, window_by, timestamp_column: column } = this.#values
    const ask = earliestQuery(query, window_by === 'ingestion_time' ? window_by : { column })!
    const latest = this.latest()
    // Without a timespan the service may take one of its own.
    const ever = { start: 0n, end: fromDate(Date.now()) + 2n * 86_400n * ticksPerSecond }
    const [row] = await this.#read().ask(ask, ever, signal)
    const earliest = row?.['earliest']
    if (earliest instanceof Date) return fromDate(earliest)
    return (typeof earliest === 'string' ? parseInstant(earliest) : undefined) ?? latest
  }
}
