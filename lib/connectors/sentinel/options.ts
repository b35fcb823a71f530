import { declareOptions, type OptionValues, option, Refusal } from '../../core/options.ts'
import { sinkSpecs } from '../../sink/options.ts'
import { azureSpecs, checkAzureOptions, httpsUrl } from '../azure/options.ts'

export const connectorName = 'ms-sentinel'

/**
 * Bytes of one call: the documented limit of 1 MB, which holds for the body before compression too.
 * https://learn.microsoft.com/azure/azure-monitor/service-limits#logs-ingestion-api
 */
export const callBytes = 1_000_000

/** The options of the Sentinel sink. */
export const sentinelOptions = declareOptions(
  connectorName,
  {
    dce: option.custom(httpsUrl, {
      required: true,
      doc: 'https URL of the Data Collection Endpoint, or of the rule itself where it has an endpoint of its own (`logsIngestion`).',
    }),
    dcr_id: option.custom(
      {
        form: 'the immutable id of a Data Collection Rule, such as dcr-0123456789abcdef0123456789abcdef',
        type: 'string',
        schema: { type: 'string', minLength: 1 },
        parse(value) {
          if (typeof value !== 'string' || value.trim() === '') return undefined
          if (value.includes('/'))
            throw new Refusal('expected the immutable id (dcr-…), not the resource id of the rule')
          return value.trim()
        },
      },
      { required: true, doc: 'Immutable id of the Data Collection Rule (`dcr-…`).' },
    ),
    dcs: option.text({ required: true, doc: 'Stream name in the rule, such as `Custom-Alerts_CL`.' }),
    column_names: option.oneOf(['azure'], {
      doc: 'Renames columns to names that the service accepts: `id.orig_h` to `id_orig_h`, `_path` to `path`. Default: names stay.',
    }),
    columns: option.columns({
      doc: 'Columns that the stream declares. The service drops all others without a word, so the sink refuses rows that have them.',
    }),
    template: option.custom(
      {
        form: 'the path of a template of `sentinel-template`',
        type: 'string',
        schema: { type: 'string', minLength: 1 },
        parse: (value) => (typeof value === 'string' && value !== '' ? value : undefined),
      },
      { names: 'file', doc: 'ARM template with the stream, read for its columns. Instead of `columns`.' },
    ),
    undeclared: option.oneOf(['refuse', 'warn'], {
      default: 'refuse',
      doc: 'A row with a column that `columns` or `template` lacks is refused, or sent with a warning.',
    }),
    ...azureSpecs,
    ...sinkSpecs({ batch_size: 50, batch_bytes: callBytes, max_in_flight: 4 }),
    compression: option.oneOf(['gzip', 'none'], {
      default: 'gzip',
      doc: 'Compression of request bodies; small ones are sent as they are.',
    }),
  },
  (values, report, given) => {
    checkAzureOptions(values, report, given)
    if (given.has('columns') && given.has('template')) report('columns and template exclude each other')
    if (given.has('undeclared') && !given.has('columns') && !given.has('template')) {
      report('undeclared: needs columns or template')
    }
  },
)

export type SentinelSettings = OptionValues<typeof sentinelOptions.specs>
