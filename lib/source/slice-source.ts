import type { Readable } from 'node:stream'
import type { Identity } from '../checkpoint/state.ts'
import type { CheckpointStore } from '../checkpoint/store.ts'
import type { Offset, Slice } from '../core/slice.ts'

/** A source that is read slice by slice: what `streamingQuery` needs of it. It alone looks inside slices and offsets. */
export interface SliceSource<S extends Slice = Slice, O extends Offset = Offset> {
  /** Registered name, such as `azure-monitor`. */
  readonly connector: string
  /** What a checkpoint must belong to, to be this source's: names and texts without secrets. */
  readonly identity: Identity
  /** Directory of the checkpoint, where the source was given one. */
  readonly checkpointLocation?: string | undefined
  /** Store of the checkpoint, where the source was given one. */
  readonly checkpoint?: CheckpointStore | undefined
  /** Seconds from one look for new rows to the next, once caught up. */
  readonly pollInterval: number
  /** Whether to end when all is read that was there at the start. */
  readonly availableNow: boolean
  /** Where a stream without a checkpoint begins. Asked for once. */
  initialOffset(signal?: AbortSignal): Promise<O>
  /** Up to where there is something to read by now. Asked for at each look. */
  latestOffset(signal?: AbortSignal): Promise<O>
  /** Resolves when there may be something new, so that the next look need not wait for its time. */
  changed?(signal: AbortSignal): Promise<void>
  /**
   * The slices between two offsets, in order, made as they are asked for. None where there is nothing yet, as after a
   * clock that jumped back. `from` may be advanced while they are iterated.
   */
  slices(from: O, until: O): Iterable<S> | AsyncIterable<S>
  /**
   * The offset once a slice is done. It may change `offset` in place and return it.
   * @throws CheckpointError where the slice does not follow on the offset
   */
  advance(offset: O, slice: S): O
  /** Whether the slice of an id lies before an offset, so that a commit that is repeated does no harm. */
  passed?(offset: O, id: string): boolean
  /** The rows of one slice. It must give the same rows when it is asked again. */
  readSlice(slice: S): Readable
  /** Milliseconds from a slice's end to now, for slices of time. */
  lag?(slice: S): number | undefined
  /** Closes the connections that slices were read by. Called when a query ends; more slices may follow. */
  release?(): void
}
