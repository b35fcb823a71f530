import {
  declareOptions,
  type OptionDeclaration,
  type OptionSpecs,
  type OptionValues,
  option,
} from '../../core/options.ts'
import type { OptionsOf, StreamOptions } from '../../core/spelling.ts'
import { checkHttpOptions, httpSpecs } from '../../http/options.ts'
import { sinkSpecs } from '../../sink/options.ts'

const guid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

const hecSpecs = {
  /** HEC endpoint, such as `https://host:8088`. The default path is `/services/collector/event`. */
  url: option.url({ required: true }),
  /** HEC token. */
  token: option.text({ required: true, secret: true }),
  /**
   * Splunk index.
   * @default the token's default index
   */
  index: option.text(),
  /** Source of the events. */
  source: option.text(),
  /** Host of the events. */
  host: option.text(),
  /**
   * Sourcetype of the events.
   * @default `_json`; `text` with `single_event_column`
   */
  sourcetype: option.text(),
  /** String column that becomes the whole `event`. */
  single_event_column: option.text(),
  /**
   * Column of the event time: a Date, an ISO 8601 string (extended or basic form), or seconds since the epoch as a
   * number, a bigint or a string of 9 to 12 digits. A row with any other value is refused.
   * @default current time
   */
  time_column: option.text(),
  /**
   * Whether Splunk finds the time in the event's text, by its sourcetype. No `time` is sent, and the request asks for
   * `auto_extract_timestamp=true`.
   * @default false
   */
  auto_extract_timestamp: option.flag({ default: false }),
  /**
   * Columns sent as `fields`; nested ones get dotted names. A dotted name that is no column selects a nested value:
   * `user.id`.
   */
  indexed_fields: option.columns(),
  /**
   * Whether `indexed_fields` are left out of `event`.
   * @default false
   */
  remove_indexed_fields: option.flag({ default: false }),
  /**
   * Compression of request bodies. Small bodies are sent uncompressed.
   * @default "gzip"
   */
  compression: option.oneOf(['gzip', 'none'], { default: 'gzip' }),
  /**
   * Whether a row is settled only when an indexer has acknowledged it as stored. The token must have indexer
   * acknowledgement on.
   * @default false
   */
  ack: option.flag({ default: false }),
  /**
   * Channel (GUID) of the requests.
   * @default a random GUID
   */
  channel: option.custom<string>({
    form: 'a GUID',
    schema: { type: 'string', format: 'uuid' },
    parse: (value) => (typeof value === 'string' && guid.test(value) ? value : undefined),
  }),
  /**
   * Maximum wait for the acknowledgement of a request, in seconds. After it the rows are sent again.
   * @default 300
   */
  ack_timeout: option.amount({ default: 300 }),
  /** Column of a row's index. `index` counts if it is null. */
  index_column: option.text(),
  /** Column of a row's source. */
  source_column: option.text(),
  /** Column of a row's host. */
  host_column: option.text(),
  /** Column of a row's sourcetype. */
  sourcetype_column: option.text(),
  /**
   * Endpoint: `event`, or `raw` for the strings of `single_event_column`, one a line. With `raw` Splunk finds time and
   * fields by the sourcetype, and a string of several lines may become several events.
   * @default "event"
   */
  mode: option.oneOf(['event', 'raw'], { default: 'event' }),
} satisfies OptionSpecs

type SplunkSpecs = typeof hecSpecs & typeof sinkSpecs & typeof httpSpecs

/** Options of the Splunk sink. */
export type SplunkOptions = OptionsOf<SplunkSpecs> & StreamOptions

export const splunkOptions: OptionDeclaration<SplunkSpecs> = declareOptions(
  'splunk',
  { ...hecSpecs, ...sinkSpecs, ...httpSpecs },
  (values, report, given) => {
    checkHttpOptions(values, report, given)
    if (values.auto_extract_timestamp && values.time_column !== undefined)
      report('auto_extract_timestamp: lets Splunk find the time, so it has no place beside time_column')
    if (values.mode === 'raw') {
      if (values.auto_extract_timestamp)
        report('auto_extract_timestamp: has no place in mode "raw", where Splunk finds the time anyway')
      if (values.single_event_column === undefined) report('single_event_column: is required with mode "raw"')
      for (const name of ['time_column', 'indexed_fields'] as const) {
        if (values[name] !== undefined) report(`${name}: does not apply to mode "raw", which sends text only`)
      }
    }
    if (values.token !== undefined && !/^[\x21-\x7e]+$/.test(values.token)) {
      report('token: holds a space, a line break or another character that no HTTP header can carry')
    }
    if (values.url !== undefined) {
      const { pathname, username, password } = new URL(values.url)
      if (values.mode === 'event' && /\/raw(\/1\.0)?\/*$/.test(pathname))
        report('url: is the /raw endpoint, which needs mode "raw"')
      if (username || password)
        report('url: has a user or password, which would be sent in place of the token')
    }
  },
)

export type SplunkSettings = OptionValues<SplunkSpecs>
