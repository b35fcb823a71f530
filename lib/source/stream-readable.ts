import { addAbortSignal, type Readable } from 'node:stream'
import { Checkpoint } from '../checkpoint/checkpoint.ts'
import type { Identity } from '../checkpoint/state.ts'
import type { CheckpointStore } from '../checkpoint/store.ts'
import { CheckpointError } from '../core/errors.ts'
import type { Health } from '../core/health.ts'
import { onAbort } from '../core/on-abort.ts'
import { type StreamOptionValues, streamOptions } from '../core/options.ts'
import type { Offset, Slice } from '../core/slice.ts'
import type { AskerSettings } from './asker.ts'
import { BatchReadable } from './batch-readable.ts'
import { noSourceStats, type SourceStats, SourceTeller } from './events.ts'
import type { Planner } from './planner.ts'
import type { Row, SourceObserver, SourceProtocol } from './protocol.ts'
import { readAhead } from './read-ahead.ts'
import { feedSlices } from './slice-feed.ts'
import { type OpenSlice, SliceReader } from './slice-reader.ts'
import type { SliceSource } from './slice-source.ts'

/** What a connector brings to be a streaming source. */
export interface StreamSource<S extends Slice, O extends Offset> {
  /** The registered name. */
  readonly connector: string
  /** What a checkpoint must belong to, to be this source's: names and texts without secrets. */
  readonly identity: Identity
  /** Called again for more to read after {@link StreamReadable.release}. */
  readonly protocol: (observer: SourceObserver) => SourceProtocol<S, O>
  readonly planner: Planner<S, O>
}

export interface StreamSettings extends AskerSettings, StreamOptionValues {
  readonly max_in_flight: number
  readonly poll_interval_seconds: number
  readonly available_now: boolean
  readonly checkpointLocation: string | undefined
  readonly checkpoint: CheckpointStore | undefined
}

/**
 * What every streaming source is: slice after slice, in the planner's order, with a checkpoint. At most `max_in_flight`
 * requests are under way, and at most as many slices are asked for or held, the one being handed on among them.
 */
export class StreamReadable<S extends Slice = Slice, O extends Offset = Offset>
  extends BatchReadable
  implements SliceSource<S, O>
{
  readonly connector: string
  readonly identity: Identity
  /** Counts so far; the object is live. */
  readonly stats: SourceStats = noSourceStats()
  readonly #source: StreamSource<S, O>
  readonly #settings: StreamSettings
  readonly #teller: SourceTeller
  #made: SliceReader<S, O> | undefined
  /** Ends the feed of slices. */
  readonly #stop = new AbortController()
  /** Slices whose rows were all taken and which are not committed. */
  readonly #out = new Set<string>()
  #checkpoint: Checkpoint<S, O> | undefined
  /** Slices that the checkpoint held when the stream began, and the offset once all of them are out. */
  #restored: { readonly ids: Set<string>; readonly end: O | undefined } = { ids: new Set(), end: undefined }
  #offset: O | undefined
  readonly #released: Promise<void>
  #tellReleased = () => {}

  constructor(source: StreamSource<S, O>, settings: StreamSettings) {
    super(streamOptions(settings))
    this.connector = source.connector
    this.identity = source.identity
    this.#source = source
    this.#settings = settings
    this.#released = new Promise((resolve) => {
      this.#tellReleased = resolve
    })
    this.#teller = new SourceTeller(this, source.connector, this.stats)
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

  /** Where the stream is: the consumer has taken all rows before this. Undefined until it has begun. */
  get offset(): O | undefined {
    return this.#offset
  }

  /** Where a stream without a checkpoint begins now. Only for `earliest` the service is asked. */
  async initialOffset(signal = this.stopSignal): Promise<O> {
    return this.#source.planner.initialOffset(() => this.#reader().earliest(signal), signal)
  }

  /** Up to where rows may be read by now. */
  async latestOffset(signal = this.stopSignal): Promise<O> {
    return this.#source.planner.latestOffset(signal)
  }

  async changed(signal: AbortSignal): Promise<void> {
    const { planner } = this.#source
    if (planner.changed) return planner.changed(signal)
    // Only the time of the next look ends the waiting.
    await new Promise<void>((_, reject) => onAbort(signal, reject))
  }

  slices(from: O, until: O): Iterable<S> | AsyncIterable<S> {
    return this.#source.planner.slices(from, until)
  }

  advance(offset: O, slice: S): O {
    return this.#source.planner.advance(offset, slice)
  }

  passed(offset: O, id: string): boolean {
    return this.#source.planner.passed?.(offset, id) ?? false
  }

  lag(slice: S): number | undefined {
    return this.#source.planner.lag?.(slice)
  }

  /** The rows of one slice, as a stream of its own. It has no part in where this stream is. */
  readSlice(slice: S): Readable {
    this.#source.planner.check?.(slice)
    return new SliceReadable<S>(
      (signal, onRetry) => this.#reader().open(slice, true, signal, onRetry),
      this.stats,
    )
  }

  /** Whether the source would answer now. No row is read. */
  async healthy(): Promise<Health> {
    return this.#reader().healthy(this.stopSignal)
  }

  /** Ends the connections; they are made anew where more is read. */
  release(): void {
    this.#made?.close()
    this.#made = undefined
  }

  /** Ends the stream after the slice under way. */
  stop(): void {
    this.#stop.abort()
  }

  /**
   * Notes slices as done: their rows are settled and need not come again.
   *
   * @param id one slice's id, of the event `window`. Without it, all slices that came out; the stream must have ended.
   * @returns where the checkpoint stands now
   * @throws CheckpointError (`ERR_CHECKPOINT`)
   */
  async commit(id?: string): Promise<O> {
    const place = this.checkpoint ?? this.checkpointLocation
    if (place === undefined) {
      throw this.#error(
        'nowhere to commit to: checkpointLocation was not given. Store `offset` elsewhere, or give it',
      )
    }
    if (id === undefined && !this.readableEnded) {
      throw this.#error(
        'the stream has not come to its end, so some rows of its last window may not be settled: commit windows by id',
      )
    }
    const ids = id === undefined ? [...this.#out] : [id]
    const live = this.#checkpoint && !this.readableEnded && !this.destroyed
    if (!live) await this.#released
    const checkpoint = live ? this.#checkpoint! : await this.#openCheckpoint(place)
    try {
      await checkpoint.commit(...ids)
      for (const done of ids) this.#out.delete(done)
      return checkpoint.offset!
    } finally {
      if (!live) await checkpoint.close()
    }
  }

  protected override async closing(): Promise<void> {
    this.release()
    this.#stop.abort()
    await this.#checkpoint?.close()
    this.#tellReleased()
  }

  protected override async *batches(signal: AbortSignal): AsyncGenerator<readonly Row[], void> {
    const place = this.checkpoint ?? this.checkpointLocation
    if (place !== undefined) {
      this.#checkpoint = await this.#openCheckpoint(place)
      // Destroyed in the meantime: nobody else would close it.
      if (signal.aborted) return this.#checkpoint.close()
      this.#checkpoint.lost.addEventListener('abort', () => this.destroy(this.#checkpoint!.lost.reason), {
        signal,
      })
    }
    if (this.#checkpoint) {
      const { planned, end } = this.#checkpoint
      this.#restored = { ids: new Set(planned.map(({ id }) => id)), end }
    }
    const { planner } = this.#source
    const feed = feedSlices<S, O>({
      source: this,
      checkpoint: this.#checkpoint,
      pollInterval: this.pollInterval,
      availableNow: this.availableNow,
      signal: this.#stop.signal,
      onStart: (offset) => {
        this.#offset = offset
      },
      onIdle: (wait) => this.#teller.tell('idle', { wait }),
    })
    const open = (slice: S) => {
      planner.check?.(slice)
      return this.#reader().open(slice, true, signal)
    }
    const opened = readAhead(feed, this.#settings.max_in_flight - 1, open, (slice) => slice.release())
    for await (const next of opened) {
      if (this.#stop.signal.aborted) return next.release()
      let rows = 0
      for await (const batch of next.batches()) {
        rows += batch.length
        this.stats.rows += batch.length
        yield batch
      }
      this.whenPassed(() => this.#done(next.slice, rows))
    }
  }

  /** Made anew after `release()`, where more is read. */
  #reader(): SliceReader<S, O> {
    const { protocol, planner } = this.#source
    this.#made ??= new SliceReader(protocol(this.#teller), planner, this.#settings, this.#teller)
    return this.#made
  }

  #openCheckpoint(place: CheckpointStore | string): Promise<Checkpoint<S, O>> {
    const { planner } = this.#source
    return Checkpoint.open<S, O>(place, this.identity, (offset, slice) => planner.advance(offset, slice), {
      passed: (offset, id) => this.passed(offset, id),
    })
  }

  #done(slice: S, rows: number): void {
    this.#offset = this.#offsetAfter(slice)
    if (this.#checkpoint) this.#out.add(slice.id)
    this.#teller.window(slice, rows)
  }

  /** Slices between those restored may be committed already, so only the last of them moves the offset. */
  #offsetAfter(slice: S): O {
    const { ids, end } = this.#restored
    if (!ids.delete(slice.id)) return this.#source.planner.advance(structuredClone(this.#offset!), slice)
    return ids.size === 0 ? end! : this.#offset!
  }

  #error(what: string): CheckpointError {
    return new CheckpointError('ERR_CHECKPOINT', what, { connector: this.connector })
  }
}

/** One slice's rows. It emits `retry` when a request of it is made again. */
class SliceReadable<S extends Slice> extends BatchReadable {
  readonly #open: (signal: AbortSignal, onRetry: () => void) => OpenSlice<S>
  readonly #stats: SourceStats

  constructor(open: (signal: AbortSignal, onRetry: () => void) => OpenSlice<S>, stats: SourceStats) {
    super({})
    this.#open = open
    this.#stats = stats
  }

  protected override async *batches(signal: AbortSignal): AsyncGenerator<readonly Row[], void> {
    for await (const batch of this.#open(signal, () => this.emit('retry')).batches()) {
      this.#stats.rows += batch.length
      yield batch
    }
  }
}
