import { channel } from 'node:diagnostics_channel'
import type { Offset, Slice } from '../core/slice.ts'

/** A window that is done, as a query or a worker tells it. */
export interface WindowDone {
  readonly window: Slice
  /** Where a query stands now. */
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

/** What a query or a worker tells of itself, by the name of what happened. */
export interface QueryNotices {
  /** It is made, and waits for its checkpoint or its queue. */
  open: object
  /** It has its checkpoint, and reads on from here. */
  start: { readonly offset?: Offset }
  progress: WindowDone
  /** A window did not go through, and is run again. */
  retry: { readonly window: Slice; readonly error: Error; readonly wait: number }
  /** A window of a queue will not go through as it is. */
  failed: { readonly window: Slice; readonly error: Error }
  /** All is delivered that there is. */
  idle: object
  end: { readonly error?: unknown }
}

/** A message of the diagnostics channel `cyber-connectors:query`. */
export type QueryNotice = {
  [E in keyof QueryNotices]: {
    readonly event: E
    /** The query or worker itself: it tells those of a process apart. */
    readonly query: object
    /** Registered name of the source, where it has one. */
    readonly source: string | undefined
  } & QueryNotices[E]
}[keyof QueryNotices]

const notices = channel('cyber-connectors:query')

/** Tells what a query does on the diagnostics channel `cyber-connectors:query`. */
export function tellQuery<E extends keyof QueryNotices>(
  query: object,
  source: string | undefined,
  event: E,
  details: QueryNotices[E],
): void {
  if (notices.hasSubscribers) notices.publish({ event, query, source, ...details })
}
