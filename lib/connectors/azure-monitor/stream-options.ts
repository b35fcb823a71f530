import { declareOptions, type OptionSpecs, type OptionValues, option } from '../../core/options.ts'
import { checkStream, streamWindowSpecs } from '../../source/options.ts'
import {
  earliestQuery,
  ingestionTimeAdvice,
  ingestionTimeQuery,
  relativeTime,
} from './ingestion-time-query.ts'
import { checkQuery, connectorName, querySpecs } from './options.ts'

export const streamSpecs = {
  ...querySpecs,
  ...streamWindowSpecs({ max_in_flight: 4, safety_lag_seconds: 300 }),
  window_by: option.oneOf(['timestamp_column', 'ingestion_time'], {
    default: 'timestamp_column',
    doc: "`ingestion_time` lays windows over the time when the service took rows in, so that rows which arrive hours late are read too, and once. The query must begin with a table's name, or refer to `window_start` and `window_end`.",
  }),
  allow_relative_time: option.flag({
    default: false,
    doc: 'Allows `ago()` and `now()` in the query. They are refused otherwise: a window of another time than now would pass as read with rows missing.',
  }),
} satisfies OptionSpecs

export type StreamValues = OptionValues<typeof streamSpecs>

export const streamDeclaration = declareOptions(connectorName, streamSpecs, (values, report, given) => {
  checkQuery(values, report, given)
  checkStream(values, report, given)
  const { query, window_by, start_time, allow_relative_time } = values
  const relative = query === undefined || allow_relative_time ? undefined : relativeTime(query)
  if (relative !== undefined) {
    report(
      `query: ${relative}() moves with the clock, but a stream asks for windows of another time, and rows would be missed: leave the time to the stream, or set allow_relative_time`,
    )
  }
  if (query === undefined || window_by !== 'ingestion_time') return
  if (!ingestionTimeQuery(query)) report(`query: ${ingestionTimeAdvice}`)
  else if (start_time === 'earliest' && earliestQuery(query, 'ingestion_time') === undefined) {
    report(
      'start_time: with window_by "ingestion_time", "earliest" needs a query that begins with a table\'s name; give an instant',
    )
  }
})
