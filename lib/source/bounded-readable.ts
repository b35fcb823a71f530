import { addAbortSignal } from 'node:stream'
import type { Health } from '../core/health.ts'
import { type StreamOptionValues, streamOptions } from '../core/options.ts'
import type { Offset, Slice } from '../core/slice.ts'
import { noSourceStats, type SourceEvents, SourceReporter, type SourceStats } from './events.ts'
import type { Divider } from './planner.ts'
import type { SourceObserver, SourceProtocol, Row as SourceRow } from './protocol.ts'
import { readAhead } from './read-ahead.ts'
import { type RequestSettings, SliceRequester } from './requester.ts'
import { SourceReadable } from './source-readable.ts'

/** What a connector brings to be a bounded source. */
export interface BoundedSource<S extends Slice> {
  /** The registered name. */
  readonly connector: string
  readonly protocol: (observer: SourceObserver) => SourceProtocol<S, Offset>
  /** Default: no slice can be made smaller. */
  readonly divider?: Divider<S>
  /** All that is to be read, in order. Called once, when the first row is asked for. */
  slices(signal: AbortSignal): readonly S[] | Promise<readonly S[]>
  /** Whether each slice has neighbours that are read elsewhere. Default: if there is more than one slice. */
  readonly exact?: boolean | undefined
}

export interface BoundedSettings extends RequestSettings, StreamOptionValues {
  readonly max_in_flight: number
}

/**
 * What every bounded source is: the rows of some slices, in order. At most `max_in_flight` requests are in flight, and at
 * most as many slices are asked for or held, the one being handed on among them.
 *
 * Events besides those of a Readable: `retry`, `split`, `window`, and those of the protocol, which `Events` names.
 */
export class BoundedReadable<
  S extends Slice = Slice,
  Row = SourceRow,
  Events extends { [E in keyof Events]: unknown[] } = Record<never, never>,
> extends SourceReadable<Row, SourceEvents<Row, S> & Events> {
  /** Counts so far; the object is live. */
  readonly stats: SourceStats = noSourceStats()
  readonly #source: BoundedSource<S>
  readonly #most: number
  readonly #requester: SliceRequester<S, Offset>
  readonly #reporter: SourceReporter

  constructor(source: BoundedSource<S>, settings: BoundedSettings) {
    super(streamOptions(settings))
    this.#source = source
    this.#most = settings.max_in_flight
    this.#reporter = new SourceReporter(this, source.connector, this.stats)
    const { protocol, divider = {} } = source
    this.#requester = new SliceRequester(protocol(this.#reporter), divider, settings, this.#reporter)
    if (settings.signal) addAbortSignal(settings.signal, this)
  }

  /** Whether the source would answer now. No row is read. */
  async healthy(): Promise<Health> {
    return this.#requester.healthy(this.stopSignal)
  }

  override push(row: unknown): boolean {
    if (row !== null) this.stats.rows++
    return super.push(row)
  }

  protected override countBatch(rows: number): void {
    this.stats.rows += rows
  }

  /** Slices are asked for ahead, and read in their order. */
  protected override async *batches(signal: AbortSignal): AsyncGenerator<readonly SourceRow[], void> {
    const slices = await this.#source.slices(signal)
    const exact = this.#source.exact ?? slices.length > 1
    const opened = readAhead(
      slices.values(),
      this.#most - 1,
      (slice) => this.#requester.open(slice, exact, signal),
      (slice) => slice.release(),
    )
    let number = 0
    for await (const next of opened) {
      const done = ++number / slices.length
      yield* this.batchesOf(next, undefined, (rows) => this.#reporter.window(next.slice, rows, done))
    }
  }

  protected override async closing(): Promise<void> {
    this.#requester.close()
  }
}
