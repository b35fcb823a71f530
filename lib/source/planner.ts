import type { ErrorDetails } from '../core/errors.ts'
import type { Offset, Slice } from '../core/slice.ts'

/** Divides slices that are too large. */
export interface Divider<S extends Slice = Slice> {
  /** The parts of a slice, in order; undefined where it can't be made smaller. */
  halves(slice: S): readonly [S, S] | undefined
  /** Why it can't be made smaller and what to do, for the error: a sentence without its subject and full stop. */
  readonly indivisible?: string
  /** The ends of a slice, for errors. */
  ends?(slice: S): ErrorDetails['window']
}

/**
 * Lays slices between offsets. It alone looks inside of both; both are plain JSON and read again after a crash, so what
 * a slice says must be enough to read the same rows again.
 */
export interface Planner<S extends Slice = Slice, O extends Offset = Offset> extends Divider<S> {
  /**
   * Where a stream without a checkpoint begins.
   * @param earliest asks the protocol for the first row there is
   */
  initialOffset(earliest: () => Promise<O | undefined>, signal: AbortSignal): Promise<O>
  /** Up to where there is something to read by now. */
  latestOffset(signal: AbortSignal): Promise<O>
  /** Resolves when there may be something new, so that the next look need not wait for its time. */
  changed?(signal: AbortSignal): Promise<void>
  /** The slices between two offsets, in order, made as they are asked for. */
  slices(from: O, until: O): Iterable<S> | AsyncIterable<S>
  /** The offset once a slice is done. It may change `offset` in place. @throws CheckpointError where the slice does not follow */
  advance(offset: O, slice: S): O
  /** Whether the slice of an id lies before an offset, so that a commit that is repeated does no harm. */
  passed?(offset: O, id: string): boolean
  /** @throws CheckpointError where a slice out of a checkpoint or queue is none of this planner */
  check?(slice: S): void
  /** Milliseconds from a slice's end to now, for slices of time. */
  lag?(slice: S): number | undefined
}
