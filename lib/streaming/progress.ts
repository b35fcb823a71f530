import type { PlainWindow } from '../core/window.ts'
import type { Offset } from '../core/window-source.ts'
import type { QueryPart } from './streaming-error.ts'

/** Told after each window that is committed. */
export interface QueryProgress {
  readonly window: PlainWindow
  /** Where the query stands now. */
  readonly offset: Offset
  /** Rows that the source gave. */
  readonly rowsIn: number
  /** Rows that the sink took: what the transform made of them. */
  readonly rowsOut: number
  /** Milliseconds from the window's end to now. */
  readonly lag: number
  /** Milliseconds from the window's turn to its commit, waits between attempts among them. */
  readonly duration: number
  /** How often the window was run: 1 where all went well. */
  readonly attempts: number
  /** Requests that source and sink repeated, over all attempts. */
  readonly retries: number
}

/** Told when a window did not go through and is going to be run again. */
export interface WindowRetry {
  readonly window: PlainWindow
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
export interface QueryEvents {
  start: [Offset]
  progress: [QueryProgress]
  retry: [WindowRetry]
  idle: [QueryIdle]
}
