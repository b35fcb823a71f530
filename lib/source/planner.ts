import type { Readable } from 'node:stream'
import type { Identity } from '../checkpoint/state.ts'
import type { CheckpointStore } from '../checkpoint/store.ts'
import type { ErrorDetails } from '../core/errors.ts'
import type { Offset, Slice } from '../core/slice.ts'

/** Divides slices that are too large. */
export interface Divider<S extends Slice = Slice> {
  /** The parts of a slice, in order; undefined if it can't be made smaller. Default: no slice can. */
  halves?(slice: S): readonly [S, S] | undefined
  /** Why it can't be made smaller and what to do, for the error: a sentence without its subject and full stop. */
  readonly indivisible?: string
  /** The ends of a slice, for errors. */
  ends?(slice: S): ErrorDetails['window']
  /**
   * Milliseconds until a slice may be read: 0 unless our clock is ahead of the service's, by which it was laid. Called
   * with each answer. @param clockAhead milliseconds that our clock is ahead
   */
  early?(slice: S, clockAhead: number): number
}

/**
 * Lays slices between offsets. It alone looks inside of both; both are plain JSON and are read again after a crash, so
 * what a slice says must be enough to read the same rows again.
 */
export interface Planner<S extends Slice = Slice, O extends Offset = Offset> extends Divider<S> {
  /**
   * Start of a stream without a checkpoint.
   * @param earliest asks the protocol for the first row there is
   */
  initialOffset(earliest: () => Promise<O | undefined>, signal: AbortSignal): Promise<O>
  /** Offset up to which data is available now. Called at each look. */
  latestOffset(signal: AbortSignal): Promise<O>
  /** Resolves when there may be something new, so that the next look need not wait for its time. */
  changed?(signal: AbortSignal): Promise<void>
  /**
   * The slices between two offsets, in order, made as they are asked for. None if there is nothing yet, as after a clock
   * that jumped back. `from` may be advanced while they are iterated.
   */
  slices(from: O, until: O): Iterable<S> | AsyncIterable<S>
  /** The offset once a slice is done. It may change `offset` in place. @throws CheckpointError if the slice does not follow */
  advance(offset: O, slice: S): O
  /** Whether the slice of an id lies before an offset, so that a repeated commit does no harm. */
  passed?(offset: O, id: string): boolean
  /**
   * Advice for an error of a checkpoint: how a new one continues at an offset, or where the last rows came from if that
   * is not known. It names options of the source only.
   */
  restart?(offset?: O): string
  /**
   * Called after a commit, with the offset before which all slices are committed: to commit it to the service as well,
   * such as a consumer group's. The checkpoint has it already; an error fails the commit.
   */
  committed?(offset: O): Promise<void>
  /**
   * Checks a slice before it is opened: it may come from a checkpoint or queue that somebody else wrote to.
   * @throws CheckpointError if it is none of this source
   */
  check?(slice: S): void
  /** Milliseconds from a slice's end to now, for slices of time. */
  lag?(slice: S): number | undefined
  /** A slice for people. Default: its times or its id. */
  describe?(slice: S): string | undefined
}

/** A source that is read slice by slice: what `streamingQuery` needs of it. */
export interface SliceSource<S extends Slice = Slice, O extends Offset = Offset> {
  /** Registered name, such as `azure-monitor`. */
  readonly connector: string
  /** What a checkpoint must belong to, to be this source's: names and strings without secrets. */
  readonly identity: Identity
  /** Directory of the checkpoint, if the source was given one. */
  readonly checkpointLocation?: string | undefined
  /** Store of the checkpoint, if the source was given one. */
  readonly checkpoint?: CheckpointStore | undefined
  /** Seconds from one look for new rows to the next, once caught up. */
  readonly pollInterval: number
  /** Whether to end when all is read that was there at the start. */
  readonly availableNow: boolean
  readonly planner: Omit<Planner<S, O>, 'initialOffset' | keyof Divider>
  /** Start of a stream without a checkpoint. Called once. */
  initialOffset(signal?: AbortSignal): Promise<O>
  /** The rows of one slice. It must give the same rows when it is asked again. */
  readSlice(slice: S): Readable
  /** Closes the connections that slices were read by. Called when a query ends; more slices may follow. */
  release?(): void
}
