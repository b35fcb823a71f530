import type { ConnectorError } from './errors.ts'

/** What the other side said of a row or a request. */
export interface Reason {
  /** HTTP status; absent if there was no response. */
  readonly status?: number | undefined
  /** The service's own code, or one of ours. */
  readonly code?: string | number | undefined
  readonly text: string
}

/** What went wrong: in the service's words, of which the engine makes the error, or as the error itself. */
export type Fault =
  | { readonly reason: Reason; readonly cause?: Error | undefined }
  | { readonly error: ConnectorError }

/** How long a retry waits, and whom it concerns. */
export interface Hold {
  /** Milliseconds that the server asked for. */
  readonly after?: number | undefined
  /** Holds all requests of the stream, not only this one. */
  readonly holdAll?: boolean
}

/**
 * What one request gave. Connectors answer with it; the engines retry, wait, halve and count. Sinks, sources, search jobs
 * and windows share these words; {@link SinkVerdict}, {@link SourceVerdict} and {@link WindowVerdict} say which of them
 * each may use.
 */
export type Verdict<Value, F extends Fault> =
  /** It succeeded as a whole. `slowDown`: the destination is near its capacity. */
  | { readonly kind: 'accepted'; readonly value: Value; readonly slowDown?: boolean }
  /**
   * The first `accepted` rows are in. If `refusesNext`, the row after them is refused; the engine sends the rest again.
   */
  | (F &
      Hold & {
        readonly kind: 'partial'
        readonly accepted: number
        readonly refusesNext: boolean
        /** Whether the reason speaks of the row that it names. Default: true. */
        readonly aboutRow?: boolean
      })
  /**
   * A transient fault.
   * - `cut`: the connection ended before the answer was complete.
   * - `divide`: the size may be the cause; ask for halves if the fault comes again.
   */
  | (F & Hold & { readonly kind: 'retry'; readonly cut?: boolean; readonly divide?: boolean })
  /** Ask again at once, one time: a token was renewed. `error` is what to end with if it is of no use. */
  | { readonly kind: 'again'; readonly error: ConnectorError }
  /**
   * Not ready yet, as a job that is polled: ask again, with `page`, after so many milliseconds. It is no retry.
   * `isProgress`: retries count from the start again. Default: true; false for a job that was made again.
   */
  | { readonly kind: 'wait'; readonly after: number; readonly page: unknown; readonly isProgress?: boolean }
  /** Too large: ask for halves, or send halves. */
  | (F & { readonly kind: 'split' })
  /**
   * Permanent, for what was sent alone: other rows or windows may pass. Of several rows the engine finds the one at fault.
   * `aboutRow`: the reason is known to speak of a row (default: false). Without it the endpoint may be at fault.
   */
  | (F & { readonly kind: 'refused'; readonly aboutRow?: boolean })
  /** Permanent for every request from here: the stream ends. */
  | { readonly kind: 'fatal'; readonly error: ConnectorError }

/** What the destination's answer means for the rows of a request. */
export type SinkVerdict = Exclude<
  Verdict<Reason, { readonly reason: Reason; readonly cause?: Error | undefined }>,
  { kind: 'wait' }
>

/** What a source's request gave: a page of rows, or whatever `T` is asked for. */
export type SourceVerdict<T> = Exclude<
  Verdict<T, { readonly error: ConnectorError }>,
  { kind: 'partial' | 'refused' }
>

/** A source's request that did not succeed. */
export type SourceFailure = Exclude<SourceVerdict<never>, { kind: 'accepted' }>

/**
 * What is to become of a window that failed:
 * - `retry`: it may succeed later, as it is. It goes back to where it came from.
 * - `refused`: this window never will, others will.
 * - `fatal`: no window will, until somebody corrects something, such as a token or an option. All work stops.
 */
export type WindowVerdict = Extract<Verdict<never, Fault>['kind'], 'retry' | 'refused' | 'fatal'>
