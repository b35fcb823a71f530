// Generated from the option declarations by `npm run generate`. Do not edit.

/** Options of sources. In one spelling. */
export interface SourceFields {
  /**
   * Requests under way at once, over all windows of the source. At most as many windows are asked for or
   * held in memory. Default: `4`.
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
}

/** Options of bounded sources that read a span of time. In one spelling. */
export interface RangeFields {
  /**
   * How far back from now to read, as an ISO 8601 duration in weeks, days, hours, minutes and seconds
   * (`P1D`, `PT1.5H`). In place of `start_time`.
   */
  timespan?: string | undefined
  /**
   * First instant to read, ISO 8601 with any offset and up to 7 digits of a second; UTC without an
   * offset. In place of `timespan`.
   */
  start_time?: string | Date | undefined
  /** End of the time to read, itself not included. Goes with `start_time`. Default: now. */
  end_time?: string | Date | undefined
  /**
   * One window of `planWindows`, in place of `timespan` and `start_time`. Its neighbours are read
   * elsewhere, so the rows need their own time.
   */
  window?: { readonly start: string; readonly end: string; readonly id?: string } | undefined
  /**
   * Equal windows of the time range, read in parallel (`max_in_flight` at once); their rows come out in
   * order. Default: `1`.
   */
  num_partitions?: number | string | undefined
  /**
   * Seconds of the longest window, in place of `num_partitions`. Windows are read in parallel
   * (`max_in_flight` at once).
   */
  partition_duration?: number | string | undefined
}

/** Options of streaming sources that read windows of time. In one spelling. */
export interface StreamWindowFields extends SourceFields {
  /**
   * A window whose result is too large is halved, and its halves again, but none gets shorter than this
   * many seconds. Default: `60`.
   */
  min_partition_seconds?: number | string | undefined
  /**
   * Where a stream with no checkpoint begins: an ISO 8601 instant; `latest` for now; `earliest` for the
   * first row there is, which is asked for by a query. With a checkpoint, the checkpoint counts.
   * Default: `latest`.
   */
  start_time?: 'latest' | 'earliest' | (string & {}) | Date | undefined
  /** Seconds of the longest window that one query covers. Default: `3600`. */
  partition_duration?: number | string | undefined
  /**
   * How many seconds behind now a window may end, for rows that arrive late. A row that arrives later
   * than that is missed, unless windows go by the time of arrival; with 0 that is any row not there the
   * moment it is due. Default: `300`.
   */
  safety_lag_seconds?: number | string | undefined
  /** Seconds from one look for new rows to the next, once caught up. Default: `60`. */
  poll_interval_seconds?: number | string | undefined
  /** Reads what is there at the start, then ends. Default: `false`. */
  available_now?: boolean | string | undefined
  /**
   * Directory where offsets are kept, so that the stream goes on where it was committed. Made where it
   * is not there. One process at a time.
   */
  checkpointLocation?: string | undefined
  /**
   * Store where offsets are kept, for hosts without a disk of their own: in place of
   * `checkpointLocation`.
   */
  checkpoint?: import('../checkpoint/store.ts').CheckpointStore | undefined
}
