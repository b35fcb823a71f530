// Generated from the option declarations by `npm run generate`. Do not edit.
import type { AnyOf, EitherSpelling } from '../../core/spelling.ts'
import type { StreamOptions } from '../../core/stream-options.ts'
import type { HttpFields } from '../../http/options.types.ts'
import type { SinkFields } from '../../sink/options.types.ts'
import type { AzureFields } from '../azure/options.types.ts'

/** Options of the Sentinel sink. In one spelling. */
export interface SentinelFields extends HttpFields, SinkFields, AzureFields {
  /**
   * https URL of the Data Collection Endpoint, or of the rule itself where it has an endpoint of its own
   * (`logsIngestion`).
   */
  dce: string | URL
  /** Immutable id of the Data Collection Rule (`dcr-…`). */
  dcr_id?: string | undefined
  /** Stream name in the rule, such as `Custom-Alerts_CL`. */
  dcs: string
  /**
   * Renames columns to names that the service accepts: `id.orig_h` to `id_orig_h`, `_path` to `path`.
   * Default: names stay.
   */
  column_names?: 'azure' | undefined
  /**
   * Columns that the stream declares. The service drops all others without a word, so the sink refuses
   * rows that have them.
   */
  columns?: string | readonly string[] | undefined
  /** ARM template with the stream, read for its columns. Instead of `columns`. */
  template?: string | undefined
  /**
   * A row with a column that `columns` or `template` lacks is refused, or sent with a warning. Default:
   * `refuse`.
   */
  undeclared?: 'refuse' | 'warn' | undefined
  /** Compression of request bodies; small ones are sent as they are. Default: `gzip`. */
  compression?: 'gzip' | 'none' | undefined
}

/**
 * Options of the Sentinel sink. Each name may be written in camelCase as well; numbers and booleans
 * may be texts.
 */
export type SentinelOptions = EitherSpelling<SentinelFields> &
  StreamOptions &
  AnyOf<SentinelFields, ['dcr_id']> &
  AnyOf<
    SentinelFields,
    | ['credential']
    | ['databricks_credential']
    | ['azure_default_credential']
    | ['tenant_id', 'client_id', 'client_secret']
  >
