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
 * The range is half-open, `[start, end)`. The rows of a window are emitted only after its answer is complete, and parsed
 * as they are read. A result that is too large is read in halves.
 *
 * Events besides those of a Readable: `schema` (a {@link TableSchema}) before the first row and whenever the columns
 * change, `retry` (a {@link SourceRetryEvent}), `split` (a {@link SourceSplitEvent}), `window` (a
 * {@link SourceWindowEvent}) after the last row of a window.
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
        // Another reader reads the windows next to a given one.
        exact: values.window && true,
      },
      values,
    )
  }
}
