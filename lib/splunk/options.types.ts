// Generated from the option declarations by `npm run generate`. Do not edit.
import type { StreamOptions } from '../core/stream-options.ts'

/**
 * Options of the Splunk sink. Each name may be written in camelCase as well; numbers and booleans may
 * be texts.
 */
export interface SplunkOptions extends StreamOptions {
  /**
   * HEC endpoint, such as `https://host:8088/services/collector/event`. Without a path that path is
   * taken.
   */
  url: string | URL
  /** HEC token. A secret: never shown. */
  token: string
  /** Splunk index. Default: endpoint's default. */
  index?: string | undefined
  /** Source value. */
  source?: string | undefined
  /** Host value. */
  host?: string | undefined
  /** Sourcetype value. Default: `_json`; `text` with `single_event_column`. */
  sourcetype?: string | undefined
  /** The string column that becomes the whole `event`. */
  single_event_column?: string | undefined
  /** Same as `single_event_column`. */
  singleEventColumn?: string | undefined
  /**
   * Column of the event time: a Date, an ISO 8601 text, or a number or bigint of seconds since the
   * epoch. A row where it is none of these is refused. Default: current time.
   */
  time_column?: string | undefined
  /** Same as `time_column`. */
  timeColumn?: string | undefined
  /** Columns sent as `fields`; nested ones with dotted names. */
  indexed_fields?: string | readonly string[] | undefined
  /** Same as `indexed_fields`. */
  indexedFields?: string | readonly string[] | undefined
  /** Leave those columns out of `event`. Default: `false`. */
  remove_indexed_fields?: boolean | string | undefined
  /** Same as `remove_indexed_fields`. */
  removeIndexedFields?: boolean | string | undefined
  /**
   * Rows a request. The stream buffers as many more (its highWaterMark) unless told otherwise. Default:
   * `50`.
   */
  batch_size?: number | string | undefined
  /** Same as `batch_size`. */
  batchSize?: number | string | undefined
  /**
   * Bytes of JSON that the body of a request does not pass, counted before compression. A larger row
   * goes alone. Default: `1000000`.
   */
  batch_bytes?: number | string | undefined
  /** Same as `batch_bytes`. */
  batchBytes?: number | string | undefined
  /** Milliseconds after its first row when a batch that is not full leaves. Default: `1000`. */
  linger_ms?: number | string | undefined
  /** Same as `linger_ms`. */
  lingerMs?: number | string | undefined
  /** Requests under way at once. At most this many batches and one more are held in memory. Default: `4`. */
  max_in_flight?: number | string | undefined
  /** Same as `max_in_flight`. */
  maxInFlight?: number | string | undefined
  /** Attempts after the first on throttling and passing faults. Default: `5`. */
  max_retries?: number | string | undefined
  /** Same as `max_retries`. */
  maxRetries?: number | string | undefined
  /**
   * Seconds of the first wait; doubled each time, with full jitter. A Retry-After of the server wins.
   * Default: `1`.
   */
  initial_backoff?: number | string | undefined
  /** Same as `initial_backoff`. */
  initialBackoff?: number | string | undefined
  /** Seconds that a wait of ours never passes. Default: `30`. */
  max_backoff?: number | string | undefined
  /** Same as `max_backoff`. */
  maxBackoff?: number | string | undefined
  /** Seconds that one attempt may take. Default: `30`. */
  request_timeout?: number | string | undefined
  /** Same as `request_timeout`. */
  requestTimeout?: number | string | undefined
  /**
   * Takes the rows that are refused for good, as `{ row, connector, reason: { status, code, text }, at
   * }`. Without it such a row ends the stream with an error that carries it.
   */
  dead_letter?: import('node:stream').Writable | undefined
  /** Same as `dead_letter`. */
  deadLetter?: import('node:stream').Writable | undefined
  /** CA certificates to trust in place of the system's: PEM text, or the path of a PEM file. */
  ca?: string | Buffer | undefined
  /**
   * Whether the certificate of the server is checked. `false` lets anybody in between read and change
   * what is sent. Default: `true`.
   */
  verify_ssl?: boolean | string | undefined
  /** Same as `verify_ssl`. */
  verifySsl?: boolean | string | undefined
  /**
   * URL of an HTTP proxy. Without it HTTPS_PROXY, HTTP_PROXY and NO_PROXY count. A secret: never shown.
   * Default: from the environment.
   */
  proxy?: string | URL | undefined
  /** Compression of request bodies; small ones are sent as they are. Default: `gzip`. */
  compression?: 'gzip' | 'none' | undefined
  /**
   * Indexer acknowledgement: a row is settled only when an indexer has it on disk. The token must have
   * it on. Default: `false`.
   */
  ack?: boolean | string | undefined
  /** Channel that the requests are sent on. Default: a random GUID. */
  channel?: string | undefined
  /** Seconds to wait for the acknowledgement of a request before its rows are sent again. Default: `300`. */
  ack_timeout?: number | string | undefined
  /** Same as `ack_timeout`. */
  ackTimeout?: number | string | undefined
  /** Column that holds the index of the row; where it is null, `index` counts. */
  index_column?: string | undefined
  /** Same as `index_column`. */
  indexColumn?: string | undefined
  /** Column that holds the source of the row. */
  source_column?: string | undefined
  /** Same as `source_column`. */
  sourceColumn?: string | undefined
  /** Column that holds the host of the row. */
  host_column?: string | undefined
  /** Same as `host_column`. */
  hostColumn?: string | undefined
  /** Column that holds the sourcetype of the row. */
  sourcetype_column?: string | undefined
  /** Same as `sourcetype_column`. */
  sourcetypeColumn?: string | undefined
  /**
   * `raw` sends the texts of `single_event_column` to the /raw endpoint, a line each; Splunk finds time
   * and fields by the sourcetype, and a text of several lines may become several events. Default:
   * `event`.
   */
  mode?: 'event' | 'raw' | undefined
}
