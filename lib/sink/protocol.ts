import type { ConnectorError } from '../core/errors.ts'

/** One row as it goes over the wire. */
export interface EncodedRow {
  readonly wire: string
  /** Rows of different groups never share a request (their request line or headers differ). */
  readonly group?: string | undefined
}

/** A row that was accepted by `write()`. */
export interface Entry extends EncodedRow {
  readonly row: unknown
  /** Length of `wire` in UTF-8. */
  readonly bytes: number
  /** Acknowledged by the destination, or taken by the dead letter. */
  settled: boolean
}

/** What the destination said of a row or a batch. */
export interface Reason {
  /** HTTP status; absent where there was no response. */
  readonly status?: number | undefined
  /** The service's own code, or one of ours. */
  readonly code?: string | number | undefined
  readonly text: string
}

/** What a response means for the rows of its request. */
export type Verdict =
  /** All are in. `slowDown`: the destination is near its capacity. */
  | { readonly kind: 'accepted'; readonly reason: Reason; readonly slowDown?: boolean }
  /** The first `accepted` rows are in. If `refusesNext`, the row after them is refused for good; the rest is sent again. */
  | (Wait & {
      readonly kind: 'partial'
      readonly accepted: number
      readonly refusesNext: boolean
      readonly reason: Reason
    })
  /** None is in, and the request was too large: each half is sent by itself, down to one row, and later ones are smaller.
   * `bounded`: it holds a row at fault, which is looked for by halves, and one by one where halves cost more. `cut`: larger
   * ones may be cut on the way. */
  | { readonly kind: 'split'; readonly reason: Reason; readonly bounded?: boolean; readonly cut?: boolean }
  /** None is known to be in; the fault is transient. `cut`: the connection ended before the answer was whole. */
  | (Wait & {
      readonly kind: 'retry'
      readonly reason: Reason
      readonly cause?: Error
      readonly cut?: boolean
    })
  /** None is in, and none ever will be. A row is refused for good only alone: of several rows the one at fault is looked for. */
  | { readonly kind: 'refused'; readonly reason: Reason }
  /** Nothing sent from here will ever be taken: the stream ends at once. */
  | { readonly kind: 'fatal'; readonly error: ConnectorError }

interface Wait {
  /** Milliseconds that the server asked for. */
  readonly after?: number | undefined
  /** Whether the wait holds for the whole sink, not only for this batch. */
  readonly everybody?: boolean
}

/** What surrounds one request. */
export interface Attempt {
  /** Fires when the stream is destroyed. */
  readonly signal: AbortSignal
  /** Milliseconds for the exchange. */
  readonly timeout: number
  /** The same for each attempt at the same rows, never the same for others. */
  readonly key: string
}

/** All that a connector brings: from row to wire, and from response to verdict. */
export interface SinkProtocol {
  /** The registered name. */
  readonly connector: string
  /** Bytes that a body has besides its rows, and between two rows. */
  readonly framing: { readonly around: number; readonly between: number }
  /** Rows of more bytes are refused before they are sent. */
  readonly maxRowBytes?: number
  /**
   * @param at when the row was handed over, in milliseconds since the epoch
   * @throws RefusedRow for a row that can't be sent
   */
  encode(row: Record<string, unknown>, at: number): EncodedRow
  /** Sends rows in one request. Faults of the connection are thrown as they come, cleaned of secrets. */
  send(entries: readonly Entry[], attempt: Attempt): Promise<Verdict>
  /** Lets go of connections and waits; called once, when the stream has ended or is destroyed. */
  close(): void
}
