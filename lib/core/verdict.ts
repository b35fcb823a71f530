import type { ConnectorError } from './errors.ts'

/** The service's reason for refusing a row or a request. */
export interface Reason {
  /** HTTP status; absent if there was no response. */
  readonly status?: number | undefined
  /** The service's own code, or one of ours. */
  readonly code?: string | number | undefined
  readonly text: string
}

/** A fault: the service's reason, from which the engine makes the error, or the error itself. */
export type Fault =
  | { readonly reason: Reason; readonly cause?: Error | undefined }
  | { readonly error: ConnectorError }

/** The wait before a retry, and its scope. */
export interface Hold {
  /** Milliseconds that the server asked for. */
  readonly after?: number | undefined
  /** Holds all requests of the stream, not only this one. */
  readonly holdAll?: boolean
}

/**
 * The outcome of one request. Connectors return it; the engines retry, wait, halve and count. Sinks, sources, search jobs
 * and windows share these kinds; {@link SinkVerdict}, {@link SourceVerdict} and {@link WindowVerdict} say which of them
 * each may use.
 */
export type Verdict<Value, F extends Fault> =
  /** It succeeded as a whole. `slowDown`: the destination is near its capacity. */
  | { readonly kind: 'accepted'; readonly value: Value; readonly slowDown?: boolean }
  /**
   * The destination accepted the first `accepted` rows. If `refusesNext`, the row after them is refused; the engine sends the rest again.
   */
  | (F &
      Hold & {
        readonly kind: 'partial'
        readonly accepted: number
        readonly refusesNext: boolean
        /** Whether the reason concerns the row that it names. Default: true. */
        readonly aboutRow?: boolean
      })
  /**
   * A transient fault.
   * - `cut`: the connection ended before the answer was complete.
   * - `divide`: the size may be the cause; ask for halves if the fault comes again.
   */
  | (F & Hold & { readonly kind: 'retry'; readonly cut?: boolean; readonly divide?: boolean })
  /** Send again at once, one time: a token was renewed. `error` ends the stream if that fails too. */
  | { readonly kind: 'again'; readonly error: ConnectorError }
  /**
   * Not ready yet, such as a job that is polled: send again, with `page`, after `after` milliseconds. Not a retry.
   * `isProgress`: resets the retries. Default: true; false for a job that was created again.
   */
  | { readonly kind: 'wait'; readonly after: number; readonly page: unknown; readonly isProgress?: boolean }
  /** Too large: ask for halves, or send halves. */
  | (F & { readonly kind: 'split' })
  /**
   * Permanent for this request only: other rows or windows may succeed. The engine bisects to find the row at fault.
   * `aboutRow`: the reason is known to concern a row (default: false). Without it the endpoint may be at fault.
   */
  | (F & { readonly kind: 'refused'; readonly aboutRow?: boolean })
  /** Permanent for every request from here: the stream ends. */
  | { readonly kind: 'fatal'; readonly error: ConnectorError }

/** Outcome of a sink's request. */
export type SinkVerdict = Exclude<
  Verdict<Reason, { readonly reason: Reason; readonly cause?: Error | undefined }>,
  { kind: 'wait' }
>

/** Outcome of a source's request: a page of rows, or another `T`. */
export type SourceVerdict<T> = Exclude<
  Verdict<T, { readonly error: ConnectorError }>,
  { kind: 'partial' | 'refused' }
>

/** Outcome of a failed source request. */
export type SourceFailure = Exclude<SourceVerdict<never>, { kind: 'accepted' }>

/**
 * How to treat a failed window:
 * - `retry`: it may succeed later. It goes back to its queue.
 * - `refused`: this window can't succeed, others can.
 * - `fatal`: no window can succeed until a user corrects something, such as a token or an option. All work stops.
 */
export type WindowVerdict = Extract<Verdict<never, Fault>['kind'], 'retry' | 'refused' | 'fatal'>
