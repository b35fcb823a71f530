import { addAbortSignal, type Readable } from 'node:stream'
import type { Identity } from '../checkpoint/state.ts'
import type { CheckpointStore } from '../checkpoint/store.ts'
import { CheckpointError } from '../core/errors.ts'
import type { Health } from '../core/health.ts'
import { type StreamOptionValues, streamOptions } from '../core/options.ts'
import type { Offset, Slice } from '../core/slice.ts'
import { noSourceStats, type SourceEvents, SourceReporter, type SourceStats } from './events.ts'
import type { Planner, SliceSource } from './planner.ts'
import type { SourceObserver, SourceProtocol, Row as SourceRow } from './protocol.ts'
import { type OpenSlice, type RequestSettings, SliceRequester } from './requester.ts'
import { SourceReadable } from './source-readable.ts'
import { SourceRun } from './source-run.ts'

/** What a connector brings to be a streaming source. */
export interface StreamSource<S extends Slice, O extends Offset> {
  /** The registered name. */
  readonly connector: string
  /** What a checkpoint must belong to, to be this source's: names and strings without secrets. */
  readonly identity: Identity
  /** Called again for more to read after {@link StreamReadable.release}. */
  readonly protocol: (observer: SourceObserver) => SourceProtocol<S, O>
  readonly planner: Planner<S, O>
}

export interface StreamSettings extends RequestSettings, StreamOptionValues {
  readonly max_in_flight: number
  readonly poll_interval_seconds: number
  readonly available_now: boolean
  readonly checkpointLocation: string | undefined
  readonly checkpoint: CheckpointStore | undefined
}

/**
 * What every streaming source is: slice after slice, in the planner's order, with a checkpoint. At most `max_in_flight`
 * requests are in flight, and at most as many slices are asked for or held, the one being handed on among them.
 *
 * Events besides those of a Readable: `retry`, `split`, `window`, `idle` ({ wait } in milliseconds) when all is read, and
 * those of the protocol, which `Events` names.
 */
export class StreamReadable<
    S extends Slice = Slice,
    O extends Offset = Offset,
    Row = SourceRow,
    Events extends { [E in keyof Events]: unknown[] } = Record<never, never>,
  >
  extends SourceReadable<Row, SourceEvents<Row, S> & { idle: [event: { readonly wait: number }] } & Events>
  implements SliceSource<S, O>
{
  readonly connector: string
  readonly identity: Identity
  readonly planner: Planner<S, O>
  /** Counts so far; the object is live. */
  readonly stats: SourceStats = noSourceStats()
  readonly #protocol: StreamSource<S, O>['protocol']
  readonly #settings: StreamSettings
  readonly #reporter: SourceReporter
  readonly #run: SourceRun<S, O, OpenSlice<S>>
  #made: SliceRequester<S, O> | undefined
  /** Slices whose rows were all taken and which are not committed. */
  readonly #taken = new Set<string>()
  #offset: O | undefined

  constructor(source: StreamSource<S, O>, settings: StreamSettings) {
    super(streamOptions(settings))
    this.connector = source.connector
    this.identity = source.identity
    this.planner = source.planner
    this.#protocol = source.protocol
    this.#settings = settings
    this.#reporter = new SourceReporter(this, source.connector, this.stats)
    this.#run = new SourceRun({
      source: this,
      place: this.#place,
      pollInterval: this.pollInterval,
      availableNow: this.availableNow,
      readAhead: settings.max_in_flight - 1,
      open: (slice) => this.#open(slice, this.stopSignal),
      close: (slice) => slice.release(),
      onStart: (offset) => {
        this.#offset = structuredClone(offset)
      },
      onIdle: (wait) => this.#reporter.emit('idle', { wait }),
      onLost: (reason) => this.destroy(reason as Error),
    })
    if (settings.signal) addAbortSignal(settings.signal, this)
  }

  get checkpointLocation(): string | undefined {
    return this.#settings.checkpointLocation
  }

  get checkpoint(): CheckpointStore | undefined {
    return this.#settings.checkpoint
  }

  get pollInterval(): number {
    return this.#settings.poll_interval_seconds
  }

  get availableNow(): boolean {
    return this.#settings.available_now
  }

  /** Offset of the stream: the consumer has read all rows before it. Undefined until it has started. */
  get offset(): O | undefined {
    return structuredClone(this.#offset)
  }

  /** Start of a stream without a checkpoint, as of now. Only for `earliest` the service is asked. */
  async initialOffset(signal = this.stopSignal): Promise<O> {
    return this.planner.initialOffset(() => this.#requester().earliest(signal), signal)
  }

  /** The rows of one slice, as a stream of its own. It has no part in where this stream is. */
  readSlice(slice: S): Readable {
    this.planner.check?.(slice)
    return new SliceReadable((signal, onRetry) => this.#open(slice, signal, onRetry), this.stats)
  }

  /** Whether the source would answer now. No row is read. */
  async healthy(): Promise<Health> {
    return this.#requester().healthy(this.stopSignal)
  }

  /** Closes the connections; they are made again if more is read. */
  release(): void {
    this.#made?.close()
    this.#made = undefined
  }

  /** Ends the stream after the slice that is being read. */
  stop(): void {
    this.#run.stop()
  }

  /**
   * Commits slices: their rows are settled and need not come again. The checkpoint is opened for it if the stream has not
   * started or has ended.
   *
   * @param id one slice's id, of the event `window`. Without it, all slices that came out; the stream must have ended.
   * @returns where the checkpoint stands now
   * @throws CheckpointError (`ERR_CHECKPOINT`)
   */
  async commit(id?: string): Promise<O> {
    if (this.#place === undefined) {
      throw this.#error(
        'nowhere to commit to: checkpointLocation was not given. Store `offset` elsewhere, or give it',
      )
    }
    if (id === undefined && !this.readableEnded) {
      throw this.#error(
        'the stream has not come to its end, so some rows of its last window may not be settled: commit windows by id',
      )
    }
    const ids = id === undefined ? [...this.#taken] : [id]
    const offset = await this.#run.commit(...ids)
    for (const done of ids) this.#taken.delete(done)
    return offset
  }

  protected override async closing(): Promise<void> {
    this.release()
    await this.#run.close()
  }

  protected override async *batches(): AsyncGenerator<readonly SourceRow[], void> {
    for await (const { slice, opened, after } of this.#run.slices()) {
      yield* this.batchesOf(opened, this.stats, (rows) => {
        // It may be large, so that it is copied for those who ask for it, not for each slice.
        this.#offset =
          after === undefined ? this.planner.advance(this.#offset!, slice) : structuredClone(after)
        if (this.#place !== undefined) this.#taken.add(slice.id)
        this.#reporter.window(slice, rows)
        this.#run.done()
      })
    }
  }

  get #place(): CheckpointStore | string | undefined {
    return this.checkpoint ?? this.checkpointLocation
  }

  #open(slice: S, signal: AbortSignal, onRetry?: () => void): OpenSlice<S> {
    this.planner.check?.(slice)
    return this.#requester().open(slice, true, signal, onRetry)
  }

  /** Made again after `release()`, if more is read. */
  #requester(): SliceRequester<S, O> {
    this.#made ??= new SliceRequester(
      this.#protocol(this.#reporter),
      this.planner,
      this.#settings,
      this.#reporter,
    )
    return this.#made
  }

  #error(what: string): CheckpointError {
    return new CheckpointError('ERR_CHECKPOINT', what, { connector: this.connector })
  }
}

/** One slice's rows. It emits `retry` when a request of it is made again. */
class SliceReadable extends SourceReadable {
  readonly #open: (signal: AbortSignal, onRetry: () => void) => OpenSlice
  readonly #stats: SourceStats

  constructor(open: (signal: AbortSignal, onRetry: () => void) => OpenSlice, stats: SourceStats) {
    super({})
    this.#open = open
    this.#stats = stats
  }

  protected override batches(signal: AbortSignal): AsyncGenerator<readonly SourceRow[], void> {
    return this.batchesOf(
      this.#open(signal, () => this.emit('retry')),
      this.#stats,
    )
  }
}
