import type { SinkVerdict } from '../core/verdict.ts'

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
  send(entries: readonly Entry[], attempt: Attempt): Promise<SinkVerdict>
  /** Lets go of connections and waits; called once, when the stream has ended or is destroyed. */
  close(): void
}
