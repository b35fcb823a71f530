// Generated from the option declarations by `npm run generate`. Do not edit.

/** Options of sinks. In one spelling. */
export interface SinkFields {
  /**
   * Rows a request. `auto`: found by trial, 50 to 5,000. The stream buffers as many more (its
   * highWaterMark; 50 with `auto`) unless told otherwise. Default: `50`.
   */
  batch_size?: number | string | undefined
  /**
   * Bytes of JSON that the body of a request does not pass, counted before compression. A larger row
   * goes alone. Default: `1000000`.
   */
  batch_bytes?: number | string | undefined
  /** Maximum milliseconds that a partial batch waits. Default: `1000`. */
  linger_ms?: number | string | undefined
  /**
   * Requests under way at once. `auto`: found by trial, 1 to 64. At most this many batches and one more
   * are held in memory. Default: `4`.
   */
  max_in_flight?: number | string | undefined
  /**
   * Seconds after the first failure in which an operation is tried again on throttling and transient
   * faults; at least one attempt comes after their end. Progress starts them anew. Default: `300`.
   */
  max_retry_seconds?: number | string | undefined
  /**
   * Attempts after the first, where they are to end before `max_retry_seconds` do. 0: no retry. Default:
   * no limit within `max_retry_seconds`.
   */
  max_retries?: number | string | undefined
  /**
   * Seconds of the first wait; doubled each time, with full jitter. A Retry-After of the server wins.
   * Default: `1`.
   */
  initial_backoff?: number | string | undefined
  /** Seconds that a wait of ours never passes. Default: `30`. */
  max_backoff?: number | string | undefined
  /** Seconds that one attempt may take. Default: `30`. */
  request_timeout?: number | string | undefined
  /**
   * Takes the rows that are refused for good, as `{ row, connector, reason: { status, code, text }, at
   * }`. Without it such a row ends the stream with an error that carries it.
   */
  dead_letter?: import('node:stream').Writable | undefined
}
