// Generated from the option declarations by `npm run generate`. Do not edit.
import type { EitherSpelling } from '../../core/spelling.ts'
import type { StreamOptions } from '../../core/stream-options.ts'
import type { HttpFields } from '../../http/options.types.ts'
import type { SinkFields } from '../../sink/options.types.ts'

/** Options of the Splunk sink. In one spelling. */
export interface SplunkFields extends HttpFields, SinkFields {
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
  /**
   * Column of the event time: a Date, an ISO 8601 text (extended or basic form), or seconds since the
   * epoch as a number, a bigint or a text of 9 to 12 digits. A row where it is none of these is refused.
   * Default: current time.
   */
  time_column?: string | undefined
  /**
   * Let Splunk find the time in the text of the event, by the sourcetype: no `time` is sent, and
   * `auto_extract_timestamp=true` is asked for. Default: `false`.
   */
  auto_extract_timestamp?: boolean | string | undefined
  /**
   * Columns sent as `fields`; nested ones with dotted names. A name with dots that is no column selects
   * a nested value: `user.id`.
   */
  indexed_fields?: string | readonly string[] | undefined
  /** Leave those columns out of `event`. Default: `false`. */
  remove_indexed_fields?: boolean | string | undefined
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
  /** Column that holds the index of the row; where it is null, `index` counts. */
  index_column?: string | undefined
  /** Column that holds the source of the row. */
  source_column?: string | undefined
  /** Column that holds the host of the row. */
  host_column?: string | undefined
  /** Column that holds the sourcetype of the row. */
  sourcetype_column?: string | undefined
  /**
   * `raw` sends the texts of `single_event_column` to the /raw endpoint, a line each; Splunk finds time
   * and fields by the sourcetype, and a text of several lines may become several events. Default:
   * `event`.
   */
  mode?: 'event' | 'raw' | undefined
}

/**
 * Options of the Splunk sink. Each name may be written in camelCase as well; numbers and booleans may
 * be texts.
 */
export type SplunkOptions = EitherSpelling<SplunkFields> & StreamOptions
