import type { Offset, Slice } from '../core/slice.ts'
import type { PlainWindow } from '../core/window.ts'
import type { WindowOffset } from '../source/window-offset.ts'
import type { QueryPart } from './verdict.ts'

/** Told after each window that is committed. */
export interface QueryProgress<S extends Slice = PlainWindow, O extends Offset = WindowOffset> {
  readonly window: S
  /** Where the query stands now: all before it is committed. */
  readonly offset: O
  /** Rows that the source gave. */
  readonly rowsIn: number
  /** Rows that the sink took: what the transform made of them. */
  readonly rowsOut: number
  /** Milliseconds from the window's end to now, where the source reads windows of time. */
  readonly lag: number | undefined
  /** Milliseconds from the window's turn to its commit, waits between attempts among them. */
  readonly duration: number
  /** How often the window was run: 1 where all went well. */
  readonly attempts: number
  /** Requests that source and sink repeated, over all attempts. */
  readonly retries: number
}

/** Told when a window did not go through and is going to be run again. */
export interface WindowRetry<S extends Slice = PlainWindow> {
  readonly window: S
  /** What failed. */
  readonly part: QueryPart
  readonly error: Error
  /** How often the window was run so far. */
  readonly attempts: number
  /** Milliseconds until the next attempt. */
  readonly wait: number
}

/** Told when all is delivered that there is. */
export interface QueryIdle {
  /** Milliseconds until the next look. */
  readonly wait: number
}

/** Events of a streaming query. */
export interface QueryEvents<S extends Slice = PlainWindow, O extends Offset = WindowOffset> {
  start: [O]
  progress: [QueryProgress<S, O>]
  retry: [WindowRetry<S>]
  idle: [QueryIdle]
}
