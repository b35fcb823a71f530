import type { EitherSpelling } from '../../core/spelling.ts'
import type { PlainWindow } from '../../core/window.ts'
import type { RowOf, RowSchema, TableSchema } from '../../source/row-schema.ts'
import { StreamReadable } from '../../source/stream-readable.ts'
import type { WindowOffset } from '../../source/windows.ts'
import { WindowPlanner } from '../../source/windows.ts'
import { type AzureMonitorStreamReadableOptions, connectorName, streamDeclaration } from './options.ts'
import { identityOf, KqlProtocol } from './protocol.ts'

/**
 * The rows of a KQL query, continuously: window after window, half-open and abutting, each at most
 * `partition_duration` long and ending at least `safety_lag_seconds` behind now. Within a window rows keep the
 * order of the service. The stream ends with `available_now`, or by `stop()`.
 *
 * `checkpointLocation` keeps the position: a window is recorded before its rows are emitted, and committed by `commit()`.
 * A new stream starts with the first window that was not committed:
 *
 *     const source = new AzureMonitorStreamReadable({ workspace_id, query, available_now: true, checkpointLocation, … })
 *     await pipeline(source, new SplunkWritable({ … }))
 *     await source.commit()
 *
 * `streamingQuery` does this for each window.
 *
 * Events besides those of a Readable: `window` (a {@link SourceWindowEvent}) after the last row of a window,
 * `idle` ({ wait } in milliseconds) when the stream has caught up, `schema`, `retry` and `split` as of AzureMonitorReadable.
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
