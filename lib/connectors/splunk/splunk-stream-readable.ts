import type { EitherSpelling } from '../../core/spelling.ts'
import type { PlainWindow } from '../../core/window.ts'
import type { RowOf, RowSchema } from '../../source/row-schema.ts'
import { StreamReadable } from '../../source/stream-readable.ts'
import type { WindowOffset } from '../../source/windows.ts'
import { WindowPlanner } from '../../source/windows.ts'
import { type SplunkStreamReadableOptions, searchOf, streamSearch } from './search/options.ts'
import { SearchProtocol, type SplunkSearchEvents, searchIdentity } from './search/search-protocol.ts'
import { transformingCommand } from './search/spl.ts'

export type { SplunkStreamReadableOptions }

/**
 * The results of a Splunk search as time goes on: window after window, half-open and abutting, each at most
 * `partition_duration` long and ending at least `safety_lag_seconds` behind now. Windows go by the time when events
 * arrived (`window_by`), so that an event that arrives late is read too, and once.
 *
 * Its offset is kept in `checkpointLocation`, as AzureMonitorStreamReadable does:
 *
 *     const source = new SplunkStreamReadable({ splunkd_url, splunkd_token, index, available_now: true, checkpointLocation })
 *     await pipeline(source, new SentinelWritable({ … }))
 *     await source.commit()
 *
 * `streamingQuery` does this for each window.
 *
 * Events besides those of a Readable: `window` (a {@link SourceWindowEvent}) when a window's rows are all handed on,
 * `idle` ({ wait } in milliseconds) when all is read; `search`, `message`, `schema`, `retry` and `split` as of
 * SplunkReadable.
 *
 * Errors: ERR_OPTION from the constructor; ERR_AUTH, ERR_QUERY, ERR_RESULT_TOO_LARGE, ERR_RESULT, ERR_CHECKPOINT from
 * the stream.
 */
export class SplunkStreamReadable<
  const S extends RowSchema | undefined = undefined,
  const D extends 'date' | 'string' = 'date',
> extends StreamReadable<PlainWindow, WindowOffset, RowOf<S, D>, SplunkSearchEvents> {
  constructor(
    options: SplunkStreamReadableOptions & {
      readonly schema?: S | undefined
      readonly datetime?: D | undefined
    },
  )
  /** Names in camelCase are accepted too. */
  constructor(
    options: EitherSpelling<SplunkStreamReadableOptions> & {
      readonly schema?: S | undefined
      readonly datetime?: D | undefined
    },
  )
  constructor(options: unknown) {
    const given = streamSearch.resolve(options)
    // Rows of a table say no time of arrival.
    const transforming = transformingCommand(searchOf(given).spl) !== undefined
    const values = transforming ? { ...given, window_by: 'event_time' as const } : given
    super(
      {
        connector: 'splunk',
        identity: searchIdentity(values),
        protocol: (observer) => new SearchProtocol(values, observer),
        planner: new WindowPlanner(values),
      },
      values,
    )
  }
}
