import { addAbortSignal } from 'node:stream'
import type { Health } from '../core/health.ts'
import { type StreamOptionValues, streamOptions } from '../core/options.ts'
import type { Offset, Slice } from '../core/slice.ts'
import type { AskerSettings } from './asker.ts'
import { BatchReadable } from './batch-readable.ts'
import { noSourceStats, type SourceStats, SourceTeller } from './events.ts'
import type { Divider } from './planner.ts'
import type { Row, SourceObserver, SourceProtocol } from './protocol.ts'
import { type OpenSlice, SliceReader } from './slice-reader.ts'

/** What a connector brings to be a bounded source. */
export interface BoundedSource<S extends Slice> {
  /** The registered name. */
  readonly connector: string
  readonly protocol: (observer: SourceObserver) => SourceProtocol<S, Offset>
  readonly divider: Divider<S>
  /** All that is to be read, in order. Called once, when the first row is asked for. */
  slices(signal: AbortSignal): readonly S[] | Promise<readonly S[]>
  /** Whether each slice has neighbours that are read elsewhere. Default: where there is more than one slice. */
  readonly exact?: boolean | undefined
}

export interface BoundedSettings extends AskerSettings, StreamOptionValues {
  readonly max_in_flight: number
}

/**
 * What every bounded source is: the rows of some slices, in order. At most `max_in_flight` requests are under way, and
 * at most as many slices are asked for or held, the one being handed on among them.
 *
 * Events besides those of a Readable: `retry`, `split`, `window`, and what the protocol tells.
 */
export class BoundedReadable<S extends Slice = Slice> extends BatchReadable {
  /** Counts so far; the object is live. */
  readonly stats: SourceStats = noSourceStats()
  readonly #source: BoundedSource<S>
  readonly #most: number
  readonly #reader: SliceReader<S, Offset>
  readonly #teller: SourceTeller

  constructor(source: BoundedSource<S>, settings: BoundedSettings) {
    super(streamOptions(settings))
    this.#source = source
    this.#most = settings.max_in_flight
    this.#teller = new SourceTeller(this, source.connector, this.stats)
    this.#reader = new SliceReader(source.protocol(this.#teller), source.divider, settings, this.#teller)
    if (settings.signal) addAbortSignal(settings.signal, this)
  }

  /** Whether the source would answer now. No row is read. */
  async healthy(): Promise<Health> {
    return this.#reader.healthy(this.stopSignal)
  }

  override push(row: unknown): boolean {
    if (row !== null) this.stats.rows++
    return super.push(row)
  }

  /** Slices are asked for ahead, and read in their order. */
  protected override async *batches(signal: AbortSignal): AsyncGenerator<readonly Row[], void> {
    const slices = await this.#source.slices(signal)
    const exact = this.#source.exact ?? slices.length > 1
    const open: OpenSlice<S>[] = []
    try {
      for (let next = 0; next < slices.length || open.length > 0; ) {
        while (open.length < this.#most && next < slices.length) {
          open.push(this.#reader.open(slices[next++]!, exact, signal))
        }
        // It stays among the open ones until it is read, and so counts as held.
        let rows = 0
        for await (const batch of open[0]!.batches()) {
          rows += batch.length
          yield batch
        }
        const { slice } = open.shift()!
        const done = (next - open.length) / slices.length
        this.whenPassed(() => this.#teller.window(slice, rows, done))
      }
    } finally {
      for (const slice of open) slice.release()
    }
  }

  protected override async closing(): Promise<void> {
    this.#reader.close()
  }
}
