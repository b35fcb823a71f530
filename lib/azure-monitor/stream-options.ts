import { declareOptions, type OptionSpecs, type OptionValues, option } from '../core/options.ts'
import type { Ticks } from '../core/time.ts'
import { earliestQuery, ingestionTimeAdvice, ingestionTimeQuery } from './ingestion-time-query.ts'
import { checkSource, connectorName, instant, sourceSpecs } from './options.ts'

/** Where a stream without a checkpoint begins. */
export type StartTime = Ticks | 'latest' | 'earliest'

export const streamSpecs = {
  ...sourceSpecs,
  start_time: option.custom<StartTime, { readonly doc: string; readonly default: 'latest' }>(
    {
      form: 'an ISO 8601 instant, "latest" or "earliest"',
      type: "'latest' | 'earliest' | (string & {}) | Date",
      schema: { type: 'string' },
      parse(value) {
        const word = typeof value === 'string' ? value.trim().toLowerCase() : undefined
        return word === 'latest' || word === 'earliest' ? word : instant.parse(value)
      },
    },
    {
      default: 'latest',
      doc: 'Where a stream with no checkpoint begins: an ISO 8601 instant; `latest` for now; `earliest` for the first row there is, which is asked for by a query. With a checkpoint, the checkpoint counts.',
    },
  ),
  partition_duration: option.amount({
    default: 3600,
    doc: 'Seconds of the longest window that one query covers.',
  }),
  safety_lag_seconds: option.amount({
    zero: true,
    default: 300,
    doc: 'How many seconds behind now a window may end, for rows that arrive late. A row that arrives later than that is missed, unless `window_by` is `ingestion_time`; with 0 that is any row not there the moment it is due.',
  }),
  window_by: option.oneOf(['timestamp_column', 'ingestion_time'], {
    default: 'timestamp_column',
    doc: "`ingestion_time` lays windows over the time when the service took rows in, so that rows which arrive hours late are read too, and once. The query must begin with a table's name, or refer to `window_start` and `window_end`.",
  }),
  poll_interval_seconds: option.amount({
    default: 60,
    doc: 'Seconds from one look for new rows to the next, once caught up.',
  }),
  available_now: option.flag({
    default: false,
    doc: 'Reads what is there up to the time of the start (less `safety_lag_seconds`), then ends.',
  }),
  checkpointLocation: option.text({
    doc: 'Directory where offsets are kept, so that the stream goes on where it was committed. Made where it is not there. One process at a time.',
  }),
} satisfies OptionSpecs

export type StreamValues = OptionValues<typeof streamSpecs>

export const streamDeclaration = declareOptions(connectorName, streamSpecs, (values, report, given) => {
  checkSource(values, report, given)
  const { query, window_by, start_time } = values
  if (query === undefined || window_by !== 'ingestion_time') return
  if (!ingestionTimeQuery(query)) report(`query: ${ingestionTimeAdvice}`)
  else if (start_time === 'earliest' && earliestQuery(query, 'ingestion_time') === undefined) {
    report(
      'start_time: with window_by "ingestion_time", "earliest" needs a query that begins with a table\'s name; give an instant',
    )
  }
})
