import type { EitherSpelling } from '../../core/spelling.ts'
import type { PlainWindow } from '../../core/window.ts'
import { BoundedReadable } from '../../source/bounded-readable.ts'
import { rangeWindows } from '../../source/options.ts'
import type { RowOf, RowSchema } from '../../source/row-schema.ts'
import { WindowDivider } from '../../source/windows.ts'
import { boundedSearch, type SplunkReadableOptions } from './search/options.ts'
import { SearchProtocol, type SplunkSearchEvents } from './search/search-protocol.ts'

export type { SplunkReadableOptions }

/**
 * The results of a Splunk search over a range of time, as plain objects.
 *
 * The range is half-open: `start` belongs to it, `end` does not. A window's rows are emitted only when splunkd's answer for
 * it is whole: until then it is held in memory, and beyond `held_bytes` in a temporary file. A result that is cut short
 * by a limit of Splunk is read in halves.
 *
 *     for await (const row of new SplunkReadable({ splunkd_url, splunkd_token, index: 'main', timespan: 'PT1H' })) …
 *
 * Events besides those of a Readable: `search` (a {@link SplunkSearchEvent}), `message` (a {@link SplunkMessageEvent}),
 * `schema` ({ columns }, with `schema` or `inferSchema`), `retry` (a {@link SourceRetryEvent}), `split` (a
 * {@link SourceSplitEvent}), `window` (a {@link SourceWindowEvent}).
 *
 * Errors: ERR_OPTION from the constructor; ERR_AUTH, ERR_QUERY, ERR_RESULT_TOO_LARGE, ERR_RESULT from the stream.
 *
 * https://docs.splunk.com/Documentation/Splunk/latest/RESTREF/RESTsearch
 */
export class SplunkReadable<
  const S extends RowSchema | undefined = undefined,
  const D extends 'date' | 'string' = 'date',
> extends BoundedReadable<PlainWindow, RowOf<S, D>, SplunkSearchEvents> {
  constructor(
    options: SplunkReadableOptions & { readonly schema?: S | undefined; readonly datetime?: D | undefined },
  )
  /** Names in camelCase are accepted too. */
  constructor(
    options: EitherSpelling<SplunkReadableOptions> & {
      readonly schema?: S | undefined
      readonly datetime?: D | undefined
    },
  )
  constructor(options: unknown) {
    const values = boundedSearch.resolve(options)
    super(
      {
        connector: 'splunk',
        protocol: (observer) => new SearchProtocol(values, observer),
        divider: new WindowDivider(values),
        slices: () => rangeWindows(values),
        // A window that was given has neighbours that somebody else reads.
        exact: values.window && true,
      },
      values,
    )
  }
}
