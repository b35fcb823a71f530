import { declareOptions, type OptionValues, option } from '../../core/options.ts'
import { checkHttpOptions, httpSpecs } from '../../http/options.ts'
import { sinkSpecs } from '../../sink/options.ts'

const guid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

/** The options of the Splunk sink. */
export const splunkOptions = declareOptions(
  'splunk',
  {
    url: option.url({
      required: true,
      doc: 'HEC endpoint, such as `https://host:8088/services/collector/event`. Without a path that path is taken.',
    }),
    token: option.text({ required: true, secret: true, doc: 'HEC token.' }),
    index: option.text({ defaultText: "endpoint's default", doc: 'Splunk index.' }),
    source: option.text({ doc: 'Source value.' }),
    host: option.text({ doc: 'Host value.' }),
    sourcetype: option.text({
      defaultText: '`_json`; `text` with `single_event_column`',
      doc: 'Sourcetype value.',
    }),
    single_event_column: option.text({ doc: 'The string column that becomes the whole `event`.' }),
    time_column: option.text({
      defaultText: 'current time',
      doc: 'Column of the event time: a Date, an ISO 8601 text (extended or basic form), or seconds since the epoch as a number, a bigint or a text of 9 to 12 digits. A row where it is none of these is refused.',
    }),
    auto_extract_timestamp: option.flag({
      default: false,
      doc: 'Let Splunk find the time in the text of the event, by the sourcetype: no `time` is sent, and `auto_extract_timestamp=true` is asked for.',
    }),
    indexed_fields: option.columns({
      doc: 'Columns sent as `fields`; nested ones with dotted names. A name with dots that is no column selects a nested value: `user.id`.',
    }),
    remove_indexed_fields: option.flag({ default: false, doc: 'Leave those columns out of `event`.' }),
    ...sinkSpecs({ batch_size: 50, batch_bytes: 1_000_000, max_in_flight: 4 }),
    ...httpSpecs,
    compression: option.oneOf(['gzip', 'none'], {
      default: 'gzip',
      doc: 'Compression of request bodies; small ones are sent as they are.',
    }),
    ack: option.flag({
      default: false,
      doc: 'Indexer acknowledgement: a row is settled only when an indexer has it on disk. The token must have it on.',
    }),
    channel: option.custom<string>(
      {
        form: 'a GUID',
        type: 'string',
        schema: { type: 'string', format: 'uuid' },
        parse: (value) => (typeof value === 'string' && guid.test(value) ? value : undefined),
      },
      { defaultText: 'a random GUID', doc: 'Channel that the requests are sent on.' },
    ),
    ack_timeout: option.amount({
      default: 300,
      doc: 'Seconds to wait for the acknowledgement of a request before its rows are sent again.',
    }),
    index_column: option.text({
      doc: 'Column that holds the index of the row; where it is null, `index` counts.',
    }),
    source_column: option.text({ doc: 'Column that holds the source of the row.' }),
    host_column: option.text({ doc: 'Column that holds the host of the row.' }),
    sourcetype_column: option.text({ doc: 'Column that holds the sourcetype of the row.' }),
    mode: option.oneOf(['event', 'raw'], {
      default: 'event',
      doc: '`raw` sends the texts of `single_event_column` to the /raw endpoint, a line each; Splunk finds time and fields by the sourcetype, and a text of several lines may become several events.',
    }),
  },
  (values, report, given) => {
    checkHttpOptions(values, report, given)
    if (values.auto_extract_timestamp && values.time_column !== undefined)
      report('auto_extract_timestamp: lets Splunk find the time, so it has no place beside time_column')
    if (values.mode === 'raw') {
      if (values.auto_extract_timestamp)
        report('auto_extract_timestamp: has no place in mode "raw", where Splunk finds the time anyway')
      if (values.single_event_column === undefined) report('single_event_column: is required with mode "raw"')
      for (const name of ['time_column', 'indexed_fields'] as const) {
        if (values[name] !== undefined) report(`${name}: has no place in mode "raw", which sends texts alone`)
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

export type SplunkSettings = OptionValues<typeof splunkOptions.specs>
