// Generated from the option declarations by `npm run generate`. Do not edit.
import type { AnyOf, EitherSpelling, OneOf } from '../../core/spelling.ts'
import type { StreamOptions } from '../../core/stream-options.ts'
import type { HttpFields } from '../../http/options.types.ts'
import type { SinkFields } from '../../sink/options.types.ts'
import type { RangeFields, StreamWindowFields } from '../../source/options.types.ts'

/** Options of the bounded Splunk source. In one spelling. */
export interface SplunkReadableFields
  extends HttpFields,
    Pick<SinkFields, 'max_retry_seconds' | 'max_retries' | 'initial_backoff' | 'max_backoff'>,
    RangeFields {
  /**
   * Management URL of Splunk, such as `https://host:8089`: not that of Splunk Web (8000), nor that of
   * HEC (8088).
   */
  splunkd_url?: string | URL | undefined
  /**
   * Authentication token. In place of `username` and `password`. A secret: never shown. Default:
   * `SPLUNK_AUTH_TOKEN` of the environment.
   */
  splunkd_token?: string | undefined
  /**
   * How to sign in. With a token: `Splunk` or `Bearer`. With user and password: `Splunk` for a session
   * key, which is renewed when it ends, or `Basic`. Default: `Splunk`.
   */
  auth_scheme?: 'Splunk' | 'Bearer' | 'Basic' | undefined
  /** User to sign in as, with `password`. */
  username?: string | undefined
  /** Password of `username`. A secret: never shown. */
  password?: string | undefined
  /** App whose knowledge objects (macros, lookups, field extractions) count. */
  app?: string | undefined
  /** User whose knowledge objects count. Default: `nobody`, where `app` is given. */
  owner?: string | undefined
  /**
   * The search, in SPL: `search …` or `| …`. It is sent as it is; a search of events gets an `eval` at
   * its end, for exact times. In place of `index` and the others.
   */
  query?: string | undefined
  /**
   * Index, or several. A search is made of this and the following ones; values are put in quotes, `*`
   * stays a wildcard.
   */
  index?: string | readonly string[] | undefined
  /** Sourcetype of the events. */
  sourcetype?: string | undefined
  /** Source of the events. */
  source?: string | undefined
  /** Host of the events. */
  host?: string | undefined
  /**
   * A further condition on events: fields, values, AND, OR, NOT, IN, parentheses. It is put in
   * parentheses; pipes, subsearches, macros and time modifiers are refused.
   */
  search_filter?: string | undefined
  /**
   * `export` streams results; `job` makes a search job, waits for its end and reads its pages. `auto`: a
   * job for transforming searches (stats, timechart, …), else an export. The event `search` says which.
   * Default: `auto`.
   */
  search_mode?: 'auto' | 'export' | 'job' | undefined
  /** Rows of a page of a job's results. `max_in_flight` pages are asked for at once. Default: `10000`. */
  page_rows?: number | string | undefined
  /** Form of the answers. Default: `json`. */
  output_mode?: 'json' | undefined
  /**
   * Whether types of columns are inferred from the first rows (up to 1,000). Without it all values are
   * texts but `_time` and `_indextime`. Default: `false`.
   */
  inferSchema?: boolean | string | undefined
  /**
   * The columns that rows are to have and their types: columns that an event lacks are null, others are
   * left out. Or any Standard Schema, which checks each row and gives it its type.
   */
  schema?: import('../../source/row-schema.ts').RowSchema | undefined
  /**
   * What becomes of a value that does not fit its column: `FAILFAST` for an error, `PERMISSIVE` for
   * null. Default: `FAILFAST`.
   */
  mode?: 'FAILFAST' | 'PERMISSIVE' | undefined
  /**
   * What `_time` and other instants become: `date` for a Date, which holds milliseconds; `string` for
   * ISO 8601 with all the digits that Splunk has. Default: `date`.
   */
  datetime?: 'date' | 'string' | undefined
  /**
   * What a `long` becomes: a number, and a bigint where that would be wrong; always a bigint; or text.
   * Default: `number-or-bigint`.
   */
  long?: 'number-or-bigint' | 'bigint' | 'string' | undefined
  /**
   * Adds `_bkt` and `_cd`, which together are the identity of an event: for sinks that drop rows that
   * come twice. Default: `false`.
   */
  event_id?: boolean | string | undefined
  /**
   * With windows by index time: how much older than its arrival an event may be by its own time. Older
   * ones are missed; `all` looks at everything, which takes longer. Default: `2592000`.
   */
  look_back_seconds?: number | 'all' | (string & {}) | undefined
  /**
   * With windows by index time: how far ahead of its arrival an event may lie by its own time. Default:
   * `172800`.
   */
  look_ahead_seconds?: number | 'all' | (string & {}) | undefined
  /**
   * Lets searches be read in several windows whose result depends on the whole range (stats, dedup,
   * head, …): each window then has its own result. Default: `false`.
   */
  allow_transforming_queries?: boolean | string | undefined
  /**
   * Bytes of one answer that are held in memory; what comes after them goes to a temporary file until it
   * is read. Default: `16000000`.
   */
  held_bytes?: number | string | undefined
  /**
   * Requests under way at once, over all windows of the source. At most as many windows are asked for or
   * held in memory. Default: `2`.
   */
  max_in_flight?: number | string | undefined
  /**
   * A window whose result is too large is halved, and its halves again, but none gets shorter than this
   * many seconds. Default: `1`.
   */
  min_partition_seconds?: number | string | undefined
  /**
   * Seconds without a byte, before an answer or within it, after which it is given up and asked for
   * again. Default: `300`.
   */
  read_timeout?: number | string | undefined
  /** Whether answers are asked for compressed. They are held as they come. Default: `gzip`. */
  compression?: 'gzip' | 'none' | undefined
  /**
   * Whether the time range is one of `_time` (`event_time`), or of the arrival of events (`index_time`),
   * which has whole seconds. Default: `event_time`.
   */
  window_by?: 'event_time' | 'index_time' | undefined
}

/**
 * Options of the bounded Splunk source. Each name may be written in camelCase as well; numbers and
 * booleans may be texts.
 */
export type SplunkReadableOptions = EitherSpelling<SplunkReadableFields> &
  StreamOptions &
  AnyOf<SplunkReadableFields, ['splunkd_url']> &
  OneOf<SplunkReadableFields, 'timespan' | 'start_time' | 'window'>

/** Options of the streaming Splunk source. In one spelling. */
export interface SplunkStreamReadableFields
  extends Omit<
      SplunkReadableFields,
      | 'timespan'
      | 'start_time'
      | 'end_time'
      | 'window'
      | 'num_partitions'
      | 'partition_duration'
      | 'window_by'
    >,
    Pick<
      StreamWindowFields,
      | 'start_time'
      | 'partition_duration'
      | 'poll_interval_seconds'
      | 'available_now'
      | 'checkpointLocation'
      | 'checkpoint'
    > {
  /**
   * How many seconds behind now a window may end, for rows that arrive late. A row that arrives later
   * than that is missed, unless windows go by the time of arrival; with 0 that is any row not there the
   * moment it is due. Default: `60`.
   */
  safety_lag_seconds?: number | string | undefined
  /**
   * Windows over the time when events arrived (`index_time`), so that late ones are read too, and once;
   * or over their own time (`event_time`), where one that arrives later than `safety_lag_seconds` is
   * missed. Default: `index_time`.
   */
  window_by?: 'index_time' | 'event_time' | undefined
}

/**
 * Options of the streaming Splunk source. Each name may be written in camelCase as well; numbers and
 * booleans may be texts.
 */
export type SplunkStreamReadableOptions = EitherSpelling<SplunkStreamReadableFields> &
  StreamOptions &
  AnyOf<SplunkStreamReadableFields, ['splunkd_url']>
