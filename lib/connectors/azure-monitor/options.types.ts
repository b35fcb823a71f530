// Generated from the option declarations by `npm run generate`. Do not edit.
import type { AnyOf, EitherSpelling, OneOf } from '../../core/spelling.ts'
import type { StreamOptions } from '../../core/stream-options.ts'
import type { HttpFields } from '../../http/options.types.ts'
import type { SinkFields } from '../../sink/options.types.ts'
import type { RangeFields, SourceFields, StreamWindowFields } from '../../source/options.types.ts'
import type { AzureFields } from '../azure/options.types.ts'

/** Options of `listTables` and `tableSchema`. In one spelling. */
export interface AzureMonitorTablesFields
  extends HttpFields,
    Pick<SinkFields, 'max_retry_seconds' | 'max_retries' | 'initial_backoff' | 'max_backoff'>,
    AzureFields {
  /** Id of the Log Analytics workspace (a GUID, not its name). Required, unless `resource_id` is given. */
  workspace_id?: string | undefined
  /** Asks for the logs of one Azure resource, given by its full id. Excludes `workspace_id`. */
  resource_id?: string | undefined
  /**
   * https URL of the query API, for private links and emulators. Its path does not count. The `audience`
   * does not follow it. Default: by `azure_cloud`.
   */
  endpoint?: string | URL | undefined
  /**
   * Seconds that one attempt of a query may take until its answer begins. The service is told; it allows
   * 600 at most. Default: `300`.
   */
  request_timeout?: number | string | undefined
  /**
   * Seconds without a byte after which an answer that had begun is given up and asked for again.
   * Default: `60`.
   */
  stall_timeout?: number | string | undefined
}

/**
 * Options of `listTables` and `tableSchema`. Each name may be written in camelCase as well; numbers
 * and booleans may be texts.
 */
export type AzureMonitorTablesOptions = EitherSpelling<AzureMonitorTablesFields> &
  StreamOptions &
  AnyOf<
    AzureMonitorTablesFields,
    | ['credential']
    | ['databricks_credential']
    | ['azure_default_credential']
    | ['tenant_id', 'client_id', 'client_secret']
  > &
  OneOf<AzureMonitorTablesFields, 'workspace_id' | 'resource_id'>

/** Options of the bounded Azure Monitor source. In one spelling. */
export interface AzureMonitorReadableFields
  extends AzureMonitorTablesFields,
    Pick<SourceFields, 'max_in_flight'>,
    RangeFields,
    Pick<StreamWindowFields, 'min_partition_seconds'> {
  /**
   * Bytes of one answer that are held in memory, as they came; what comes after them goes to a temporary
   * file until it is read. Default: `16000000`.
   */
  held_bytes?: number | string | undefined
  /** The query, in KQL. It is sent as it is. The time range goes with the request, next to it. */
  query: string
  /** Whether the types of columns are taken from the result. `false` needs a `schema`. Default: `true`. */
  inferSchema?: boolean | string | undefined
  /**
   * The columns that rows are to have and their KQL types: values are cast, columns that the result
   * lacks are null, others are left out. Or any Standard Schema, which checks each row and gives it its
   * type. A value that does not fit is an error.
   */
  schema?: import('../../source/row-schema.ts').RowSchema | undefined
  /**
   * The datetime column of the result that windows are kept by, to 100 ns. A read of more than one
   * window (`num_partitions`, halves of what is too large, a `window`, streaming) needs it in the result
   * as the rows' own time: a query that works it out, as `bin()` does, or that counts or limits rows,
   * gives its true result in one window only. Default: `TimeGenerated`.
   */
  timestamp_column?: string | undefined
  /**
   * What a `long` becomes: `number-or-bigint` for a number, or a bigint beyond 2^53; always `bigint`; or
   * its digits as a `string`, which `JSON.stringify` takes. Default: `number-or-bigint`.
   */
  long?: 'number-or-bigint' | 'bigint' | 'string' | undefined
  /**
   * What a datetime becomes: `date` for a Date, which holds milliseconds; `string` for the service's own
   * text, with all 7 digits of a second. Default: `date`.
   */
  datetime?: 'date' | 'string' | undefined
}

/**
 * Options of the bounded Azure Monitor source. Each name may be written in camelCase as well; numbers
 * and booleans may be texts.
 */
export type AzureMonitorReadableOptions = EitherSpelling<AzureMonitorReadableFields> &
  StreamOptions &
  AnyOf<
    AzureMonitorReadableFields,
    | ['credential']
    | ['databricks_credential']
    | ['azure_default_credential']
    | ['tenant_id', 'client_id', 'client_secret']
  > &
  OneOf<AzureMonitorReadableFields, 'workspace_id' | 'resource_id'> &
  OneOf<AzureMonitorReadableFields, 'timespan' | 'start_time' | 'window'>

/** Options of the streaming Azure Monitor source. In one spelling. */
export interface AzureMonitorStreamReadableFields
  extends AzureMonitorTablesFields,
    Pick<
      AzureMonitorReadableFields,
      | 'max_in_flight'
      | 'min_partition_seconds'
      | 'held_bytes'
      | 'query'
      | 'inferSchema'
      | 'schema'
      | 'timestamp_column'
      | 'long'
      | 'datetime'
    >,
    Omit<
      StreamWindowFields,
      | 'max_in_flight'
      | 'max_retry_seconds'
      | 'max_retries'
      | 'initial_backoff'
      | 'max_backoff'
      | 'min_partition_seconds'
    > {
  /**
   * `ingestion_time` lays windows over the time when the service took rows in, so that rows which arrive
   * hours late are read too, and once. The query must begin with a table's name, or refer to
   * `window_start` and `window_end`. Default: `timestamp_column`.
   */
  window_by?: 'timestamp_column' | 'ingestion_time' | undefined
  /**
   * Allows `ago()` and `now()` in the query. They are refused otherwise: a window of another time than
   * now would pass as read with rows missing. Default: `false`.
   */
  allow_relative_time?: boolean | string | undefined
}

/**
 * Options of the streaming Azure Monitor source. Each name may be written in camelCase as well;
 * numbers and booleans may be texts.
 */
export type AzureMonitorStreamReadableOptions = EitherSpelling<AzureMonitorStreamReadableFields> &
  StreamOptions &
  AnyOf<
    AzureMonitorStreamReadableFields,
    | ['credential']
    | ['databricks_credential']
    | ['azure_default_credential']
    | ['tenant_id', 'client_id', 'client_secret']
  > &
  OneOf<AzureMonitorStreamReadableFields, 'workspace_id' | 'resource_id'>
