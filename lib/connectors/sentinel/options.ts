import {
  declareOptions,
  type OptionDeclaration,
  type OptionSpecs,
  type OptionValues,
  option,
  Refusal,
} from '../../core/options.ts'
import type { OptionsOf, StreamOptions } from '../../core/spelling.ts'
import { sinkSpecs } from '../../sink/options.ts'
import { azureSpecs, checkAzureOptions, httpsUrl, type SignIn } from '../azure/options.ts'

export const connectorName = 'ms-sentinel'

/**
 * Bytes of one call: the documented limit of 1 MB, which holds for the body before compression too.
 * https://learn.microsoft.com/azure/azure-monitor/service-limits#logs-ingestion-api
 */
export const callBytes = 1_000_000

const ingestionSpecs = {
  /**
   * https URL of the Data Collection Endpoint, or of the Data Collection Rule if that has an endpoint of its own
   * (`logsIngestion`).
   */
  dce: option.custom<string, string | URL>(httpsUrl, { required: true }),
  /** Immutable id of the Data Collection Rule (`dcr-…`). */
  dcr_id: option.custom<string>(
    {
      form: 'the immutable id of a Data Collection Rule, such as dcr-0123456789abcdef0123456789abcdef',
      schema: { type: 'string', minLength: 1 },
      parse(value) {
        if (typeof value !== 'string' || value.trim() === '') return undefined
        if (value.includes('/'))
          throw new Refusal('expected the immutable id (dcr-…), not the resource id of the rule')
        return value.trim()
      },
    },
    { required: true },
  ),
  /** Name of the stream in the rule, such as `Custom-Alerts_CL`. */
  dcs: option.text({ required: true }),
  /**
   * Renaming of columns to names that the service accepts: `azure` turns `id.orig_h` into `id_orig_h` and `_path` into
   * `path`.
   * @default names stay
   */
  column_names: option.oneOf(['azure']),
  /** Columns that the stream declares. The service drops all others without a word, so the sink refuses rows with them. */
  columns: option.columns(),
  /** ARM template with the stream, read for its columns. In place of `columns`. */
  template: option.custom<string>(
    {
      form: 'the path of a template of `sentinel-template`',
      schema: { type: 'string', minLength: 1 },
      parse: (value) => (typeof value === 'string' && value !== '' ? value : undefined),
    },
    { names: 'file' },
  ),
  /**
   * Treatment of a row with a column that `columns` or `template` lacks: `refuse`, or `warn` and send it.
   * @default "refuse"
   */
  undeclared: option.oneOf(['refuse', 'warn'], { default: 'refuse' }),
  /**
   * Maximum time span of a call, in seconds: from its earliest `TimeGenerated` to its latest. Tables of the plan Auxiliary
   * refuse calls of more than 30 minutes (1800). Rows without a time go in calls of their own.
   * @default no limit
   */
  batch_span_seconds: option.amount(),
  /**
   * Compression of request bodies. Small bodies are sent uncompressed.
   * @default "gzip"
   */
  compression: option.oneOf(['gzip', 'none'], { default: 'gzip' }),
} satisfies OptionSpecs

type SentinelSpecs = typeof ingestionSpecs & typeof azureSpecs & typeof sinkSpecs

/** Options of the Sentinel sink. */
export type SentinelOptions = OptionsOf<SentinelSpecs> & StreamOptions & SignIn

export const sentinelOptions: OptionDeclaration<SentinelSpecs> = declareOptions(
  connectorName,
  { ...ingestionSpecs, ...azureSpecs, ...sinkSpecs },
  (values, report, given) => {
    checkAzureOptions(values, report, given)
    if (given.has('columns') && given.has('template')) report('columns and template exclude each other')
    if (given.has('undeclared') && !given.has('columns') && !given.has('template')) {
      report('undeclared: needs columns or template')
    }
  },
)

export type SentinelSettings = OptionValues<SentinelSpecs>
