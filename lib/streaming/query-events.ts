import { channel } from 'node:diagnostics_channel'
import type { Offset, Slice } from '../core/slice.ts'
import type { PlainWindow } from '../core/window.ts'
import type { WindowOffset } from '../source/windows.ts'
import type { QueryPart } from './window-error.ts'

/** Event `progress`: a window is committed. */
export interface QueryProgress<S extends Slice = PlainWindow, O extends Offset = WindowOffset> {
  readonly window: S
  /** Offset of the query: all before it is committed. */
  readonly offset: O
  /** Rows read. */
  readonly rowsIn: number
  /** Rows delivered: what the transform made of those read. */
  readonly rowsOut: number
  /** Milliseconds from the window's end to now, if the source reads windows of time. */
  readonly lag: number | undefined
  /** Milliseconds from the window's turn to its commit, waits between attempts among them. */
  readonly duration: number
  /** How often the window was run: 1 if nothing failed. */
  readonly attempts: number
  /** Requests that source and sink repeated, over all attempts. */
  readonly retries: number
}

/** Event `retry`: a window failed and is about to be run again. */
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

/** Event `idle`: everything available is delivered. */
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

/** A window that is done, as a query or a worker reports it. */
export interface WindowDone {
  readonly window: Slice
  /** Offset of a query. */
  readonly offset?: Offset
  readonly rowsIn: number
  readonly rowsOut: number
  /** Milliseconds from the window's end to now, for windows of time. */
  readonly lag?: number | undefined
  /** Milliseconds that the window took. */
  readonly duration: number
  readonly attempts?: number
  /** Requests that source and sink repeated. */
  readonly retries: number
}

/** What a query or a worker reports of itself, by event. */
export interface QueryNotices {
  /** It is made, and waits for its checkpoint or its queue. */
  open: object
  /** It has its checkpoint, and reads on from here. */
  start: { readonly offset?: Offset }
  progress: WindowDone
  /** A window failed, and is run again. */
  retry: { readonly window: Slice; readonly error: Error; readonly wait: number }
  /** A window of a queue failed permanently. */
  failed: { readonly window: Slice; readonly error: Error }
  /** Everything available is delivered. */
  idle: object
  end: { readonly error?: unknown }
}

/** A message of the diagnostics channel `cyber-connectors:query`. */
export type QueryNotice = {
  [E in keyof QueryNotices]: {
    readonly event: E
    /** The query or worker itself: it distinguishes the queries of a process. */
    readonly query: object
    /** Registered name of the source, if it has one. */
    readonly source: string | undefined
    /** The window for people, from a source that describes its own. */
    readonly place?: string | undefined
  } & QueryNotices[E]
}[keyof QueryNotices]

const notices = channel('cyber-connectors:query')

/** Reports what a query does on the diagnostics channel `cyber-connectors:query`. */
export function reportQuery<E extends keyof QueryNotices>(
  query: object,
  source: string | undefined,
  event: E,
  details: QueryNotices[E],
  place?: string,
): void {
  if (notices.hasSubscribers) notices.publish({ event, query, source, place, ...details })
}
