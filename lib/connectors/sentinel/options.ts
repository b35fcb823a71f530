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
    ...azureSpecs,
    ...sinkSpecs({ batch_size: 50, batch_bytes: callBytes, max_in_flight: 4 }),
    compression: option.oneOf(['gzip', 'none'], {
      default: 'gzip',
      doc: 'Compression of request bodies; small ones are sent as they are.',
    }),
  },
  checkAzureOptions,
)

export type SentinelSettings = OptionValues<typeof sentinelOptions.specs>
