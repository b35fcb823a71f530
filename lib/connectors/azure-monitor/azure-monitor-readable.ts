import type { EitherSpelling } from '../../core/spelling.ts'
import type { PlainWindow } from '../../core/window.ts'
import { BoundedReadable } from '../../source/bounded-readable.ts'
import { rangeWindows } from '../../source/options.ts'
import type { RowOf, RowSchema, TableSchema } from '../../source/row-schema.ts'
import { WindowDivider } from '../../source/windows.ts'
import { type AzureMonitorReadableOptions, boundedDeclaration, connectorName } from './options.ts'
import { KqlProtocol } from './protocol.ts'

/**
 * The rows of a KQL query over a range of time, from a Log Analytics workspace or an Azure resource, as plain objects.
 *
 * The range is half-open: `start` belongs to it, `end` does not. A window's rows come out only when the service's
 * answer for it is whole; then they are parsed as they are asked for. A result that is too large is read in halves.
 *
 * Events besides those of a Readable: `schema` (a {@link TableSchema}) before the first row and whenever the columns
 * change, `retry` (a {@link SourceRetryEvent}), `split` (a {@link SourceSplitEvent}), `window` (a
 * {@link SourceWindowEvent}) when the rows of a window are all handed on.
 *
 * Errors: ERR_OPTION from the constructor; ERR_AUTH, ERR_QUERY, ERR_RESULT_TOO_LARGE, ERR_RESULT from the stream.
 *
 * https://learn.microsoft.com/azure/azure-monitor/logs/api/overview
 */
export class AzureMonitorReadable<
  const S extends RowSchema | undefined = undefined,
  const D extends 'date' | 'string' = 'date',
> extends BoundedReadable<PlainWindow, RowOf<S, D>, { schema: [schema: TableSchema] }> {
  constructor(
    options: AzureMonitorReadableOptions & {
      readonly schema?: S | undefined
      readonly datetime?: D | undefined
    },
  )
  /** Names in camelCase are accepted too. */
  constructor(
    options: EitherSpelling<AzureMonitorReadableOptions> & {
      readonly schema?: S | undefined
      readonly datetime?: D | undefined
    },
  )
  constructor(options: unknown) {
    const values = boundedDeclaration.resolve(options)
    super(
      {
        connector: connectorName,
        protocol: (observer) => new KqlProtocol(values, observer),
        divider: new WindowDivider(values),
        slices: () => rangeWindows(values),
        // A window that was given has neighbours that somebody else reads.
        exact: values.window && true,
      },
      values,
    )
  }
}
