import type { EitherSpelling } from '../../core/spelling.ts'
import type { PlainWindow } from '../../core/window.ts'
import type { RowOf, RowSchema, TableSchema } from '../../source/row-schema.ts'
import { StreamReadable } from '../../source/stream-readable.ts'
import type { WindowOffset } from '../../source/windows.ts'
import { WindowPlanner } from '../../source/windows.ts'
import { type AzureMonitorStreamReadableOptions, connectorName, streamDeclaration } from './options.ts'
import { identityOf, KqlProtocol } from './protocol.ts'

/**
 * The rows of a KQL query as time goes on: window after window, half-open and abutting, each at most
 * `partition_duration` long and ending at least `safety_lag_seconds` behind now. Within a window rows come as the
 * service gives them. It ends with `available_now`, or by `stop()`.
 *
 * Where it stands is kept in `checkpointLocation`. Windows are noted there as under way before their rows come out, and
 * as done by `commit()`, so a stream that is made anew begins with what was not committed:
 *
 *     const source = new AzureMonitorStreamReadable({ workspace_id, query, available_now: true, checkpointLocation, … })
 *     await pipeline(source, new SplunkWritable({ … }))
 *     await source.commit()
 *
 * `streamingQuery` does this by itself, window by window.
 *
 * Events besides those of a Readable: `window` (a {@link SourceWindowEvent}) when a window's rows are all handed on,
 * `idle` ({ wait } in milliseconds) when all is read, `schema`, `retry` and `split` as of AzureMonitorReadable.
 *
 * Errors: ERR_OPTION from the constructor; ERR_AUTH, ERR_QUERY, ERR_RESULT_TOO_LARGE, ERR_RESULT, ERR_CHECKPOINT from
 * the stream.
 */
export class AzureMonitorStreamReadable<
  const S extends RowSchema | undefined = undefined,
  const D extends 'date' | 'string' = 'date',
> extends StreamReadable<PlainWindow, WindowOffset, RowOf<S, D>, { schema: [schema: TableSchema] }> {
  constructor(options: AzureMonitorStreamReadableOptions & { readonly schema?: S; readonly datetime?: D })
  /** Names in camelCase are accepted too. */
  constructor(
    options: EitherSpelling<AzureMonitorStreamReadableOptions> & {
      readonly schema?: S
      readonly datetime?: D
    },
  )
  constructor(options: unknown) {
    const values = streamDeclaration.resolve(options)
    super(
      {
        connector: connectorName,
        identity: identityOf(values),
        protocol: (observer) => new KqlProtocol(values, observer),
        planner: new WindowPlanner(values),
      },
      values,
    )
  }
}
