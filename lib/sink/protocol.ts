import type { JsonText } from '../core/json.ts'
import type { SinkVerdict } from '../core/verdict.ts'

/** One row as it goes over the wire. */
export interface EncodedRow {
  readonly wire: string
  /** UTF-8 that stands behind `wire`, of a row that is written as it stands, and what stands behind that. */
  readonly raw?: JsonText | undefined
  readonly after?: string | undefined
  /** Rows of different groups never share a request (their request line or headers differ). */
  readonly group?: string | undefined
}

/** What stands before the first row of a body, between two rows, and after the last. */
export interface Framing {
  readonly open: string
  readonly separator: string
  readonly close: string
}

/** The body of one request, made by the engine of the rows of a batch. */
export interface Body {
  /**
   * What goes over the wire: rows in their framing, compressed if `content-encoding` says so. The engine uses them again for
   * other rows once `send` has settled: whatever reads them then must have stopped.
   */
  readonly bytes: Buffer
  /** `content-type`, and `content-encoding` if it is compressed; for a request by HTTP. */
  readonly headers: { readonly 'content-type'?: string; readonly 'content-encoding'?: 'gzip' }
  /** How many rows it has. */
  readonly rows: number
  /** Bytes before compression. */
  readonly size: number
  /** What its rows were encoded with. */
  readonly group: string | undefined
  /** The same each time the same rows are sent, another for other rows. Empty unless the protocol is `keyed`. */
  readonly key: string
}

/** What surrounds one request. */
export interface Attempt {
  /** Fires when the stream is destroyed. */
  readonly signal: AbortSignal
  /** Milliseconds for the exchange. */
  readonly timeout: number
}

/** All that a connector brings to be a sink: from row to wire, and from response to verdict. */
export interface SinkProtocol {
  /** The registered name. */
  readonly connector: string
  /** Host and port that it speaks to, for the warning of a first retry. */
  readonly host?: string | undefined
  /** What stands around and between the rows of a body. */
  readonly framing: Framing
  /** Type of the body, for `Body.headers`. */
  readonly contentType?: string | undefined
  /** Compression of bodies that are large enough to gain by it. Default: `none`. */
  readonly compression?: 'gzip' | 'none'
  /** Whether bodies need a `key`. Default: false. */
  readonly keyed?: boolean
  /** Rows of more bytes are refused before they are sent. Default: no limit. */
  readonly maxRowBytes?: number
  /**
   * @param at when the row was handed over, in milliseconds since the epoch
   * @throws RefusedRow for a row that can't be sent
   */
  encode(row: Record<string, unknown>, at: number): EncodedRow
  /**
   * Asks for what `encode` needs, such as how many partitions a topic has. The engine calls it before the first row, and
   * again if it asks for a retry. Default: nothing is needed.
   */
  prepare?(attempt: Attempt): Promise<SinkVerdict>
  /**
   * The same for a row that is kept as the text of a JSON object: writes that as it stands.
   * @returns undefined if its members have to be written again
   */
  encodeText?(row: JsonText, at: number): EncodedRow | undefined
  /** Sends one request. Throws faults of the connection as they come, cleaned of secrets. */
  send(body: Body, attempt: Attempt): Promise<SinkVerdict>
  /** Lets go of connections and waits; called once, when the stream has ended or is destroyed. */
  close(): void
}
