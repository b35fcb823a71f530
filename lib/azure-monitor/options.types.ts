// Generated from the option declarations by `npm run generate`. Do not edit.
import type { StreamOptions } from '../core/stream-options.ts'

/**
 * Options of the bounded Azure Monitor source. Each name may be written in camelCase as well; numbers
 * and booleans may be texts.
 */
export interface AzureMonitorReadableOptions extends StreamOptions {
  /** Id of the Log Analytics workspace (a GUID, not its name). Required, unless `resource_id` is given. */
  workspace_id?: string | undefined
  /** Same as `workspace_id`. */
  workspaceId?: string | undefined
  /** Asks for the logs of one Azure resource, given by its full id. Excludes `workspace_id`. */
  resource_id?: string | undefined
  /** Same as `resource_id`. */
  resourceId?: string | undefined
  /**
   * https URL of the query API, for private links and emulators. Its path does not count. The `audience`
   * does not follow it. Default: by `azure_cloud`.
   */
  endpoint?: string | URL | undefined
  /**
   * Any `TokenCredential` of `@azure/identity`, or an object like it. Wins over every other way to sign
   * in.
   */
  credential?: import('@azure/identity').TokenCredential | undefined
  /**
   * Name of a Unity Catalog service credential. Its token comes from the Databricks workspace in
   * DATABRICKS_HOST, signed in to by DATABRICKS_TOKEN, or by DATABRICKS_CLIENT_ID and
   * DATABRICKS_CLIENT_SECRET. Comes after `credential`.
   */
  databricks_credential?: string | undefined
  /** Same as `databricks_credential`. */
  databricksCredential?: string | undefined
  /**
   * Signs in by the `DefaultAzureCredential` of `@azure/identity`: environment, workload or managed
   * identity, developer tools. Comes after `databricks_credential`. Default: `false`.
   */
  azure_default_credential?: boolean | string | undefined
  /** Same as `azure_default_credential`. */
  azureDefaultCredential?: boolean | string | undefined
  /** Entra ID tenant of the service principal. Goes with `client_id` and `client_secret`. */
  tenant_id?: string | undefined
  /** Same as `tenant_id`. */
  tenantId?: string | undefined
  /** Application (client) id of the service principal. Goes with `tenant_id` and `client_secret`. */
  client_id?: string | undefined
  /** Same as `client_id`. */
  clientId?: string | undefined
  /**
   * Client secret of the service principal. Goes with `tenant_id` and `client_id`. A secret: never
   * shown.
   */
  client_secret?: string | undefined
  /** Same as `client_secret`. */
  clientSecret?: string | undefined
  /**
   * The Azure cloud. It says where tokens come from, which endpoint is asked, and for whom the token is.
   * Default: `public`.
   */
  azure_cloud?: 'public' | 'government' | 'china' | undefined
  /** Same as `azure_cloud`. */
  azureCloud?: 'public' | 'government' | 'china' | undefined
  /**
   * https URL of the token service, for clouds of your own and emulators. With it the authority is not
   * looked up at Microsoft first. Default: by `azure_cloud`.
   */
  authority_host?: string | URL | undefined
  /** Same as `authority_host`. */
  authorityHost?: string | URL | undefined
  /** The resource that the token is asked for, without `/.default`. Default: by `azure_cloud`. */
  audience?: string | undefined
  /** CA certificates to trust in place of the system's: PEM text, or the path of a PEM file. */
  ca?: string | Buffer | undefined
  /**
   * Whether the certificate of the server is checked. `false` lets anybody in between read and change
   * what is sent. Default: `true`.
   */
  verify_ssl?: boolean | string | undefined
  /** Same as `verify_ssl`. */
  verifySsl?: boolean | string | undefined
  /**
   * URL of an HTTP proxy. Without it HTTPS_PROXY, HTTP_PROXY and NO_PROXY count. A secret: never shown.
   * Default: from the environment.
   */
  proxy?: string | URL | undefined
  /** Attempts after the first on throttling and passing faults. Default: `5`. */
  max_retries?: number | string | undefined
  /** Same as `max_retries`. */
  maxRetries?: number | string | undefined
  /**
   * Seconds of the first wait; doubled each time, with full jitter. A Retry-After of the server wins.
   * Default: `1`.
   */
  initial_backoff?: number | string | undefined
  /** Same as `initial_backoff`. */
  initialBackoff?: number | string | undefined
  /** Seconds that a wait of ours never passes. Default: `30`. */
  max_backoff?: number | string | undefined
  /** Same as `max_backoff`. */
  maxBackoff?: number | string | undefined
  /**
   * Seconds that one attempt of a query may take until its answer begins. The service is told; it allows
   * 600 at most. Default: `300`.
   */
  request_timeout?: number | string | undefined
  /** Same as `request_timeout`. */
  requestTimeout?: number | string | undefined
  /**
   * Seconds without a byte after which an answer that had begun is given up and asked for again.
   * Default: `60`.
   */
  stall_timeout?: number | string | undefined
  /** Same as `stall_timeout`. */
  stallTimeout?: number | string | undefined
  /** The query, in KQL. It is sent as it is. The time range goes with the request, next to it. */
  query: string
  /** Whether the types of columns are taken from the result. `false` needs a `schema`. Default: `true`. */
  inferSchema?: boolean | string | undefined
  /** Same as `inferSchema`. */
  infer_schema?: boolean | string | undefined
  /**
   * The columns that rows are to have and their KQL types: values are cast, columns that the result
   * lacks are null, others are left out. Or any Standard Schema, which checks each row and gives it its
   * type. A value that does not fit is an error.
   */
  schema?: import('./schema.ts').RowSchema | undefined
  /**
   * The datetime column of the result that windows are kept by, to 100 ns. A read of more than one
   * window (`num_partitions`, halves of what is too large, a `window`, streaming) needs it in the result
   * as the rows' own time: a query that works it out, as `bin()` does, or that counts or limits rows,
   * gives its true result in one window only. Default: `TimeGenerated`.
   */
  timestamp_column?: string | undefined
  /** Same as `timestamp_column`. */
  timestampColumn?: string | undefined
  /**
   * What a datetime becomes: `date` for a Date, which holds milliseconds; `string` for the service's own
   * text, with all 7 digits of a second. Default: `date`.
   */
  datetime?: 'date' | 'string' | undefined
  /**
   * A window whose result is too large is halved, and its halves again, but none gets shorter than this
   * many seconds. Default: `60`.
   */
  min_partition_seconds?: number | string | undefined
  /** Same as `min_partition_seconds`. */
  minPartitionSeconds?: number | string | undefined
  /**
   * How far back from now to read, as an ISO 8601 duration in weeks, days, hours, minutes and seconds
   * (`P1D`, `PT1.5H`). In place of `start_time`.
   */
  timespan?: string | undefined
  /**
   * First instant to read, ISO 8601 with any offset and up to 7 digits of a second; UTC without an
   * offset. In place of `timespan`.
   */
  start_time?: string | Date | undefined
  /** Same as `start_time`. */
  startTime?: string | Date | undefined
  /** End of the time to read, itself not included. Goes with `start_time`. Default: now. */
  end_time?: string | Date | undefined
  /** Same as `end_time`. */
  endTime?: string | Date | undefined
  /**
   * One window of `planWindows`, in place of `timespan` and `start_time`. As others are read elsewhere,
   * the result needs the `timestamp_column`.
   */
  window?: { readonly start: string; readonly end: string; readonly id?: string } | undefined
  /**
   * Equal slices of the time range, asked for in parallel; their rows come out in order of the slices.
   * At most 4 answers are asked for or held ready at once. Default: `1`.
   */
  num_partitions?: number | string | undefined
  /** Same as `num_partitions`. */
  numPartitions?: number | string | undefined
}

/**
 * Options of the streaming Azure Monitor source. Each name may be written in camelCase as well;
 * numbers and booleans may be texts.
 */
export interface AzureMonitorStreamReadableOptions extends StreamOptions {
  /** Id of the Log Analytics workspace (a GUID, not its name). Required, unless `resource_id` is given. */
  workspace_id?: string | undefined
  /** Same as `workspace_id`. */
  workspaceId?: string | undefined
  /** Asks for the logs of one Azure resource, given by its full id. Excludes `workspace_id`. */
  resource_id?: string | undefined
  /** Same as `resource_id`. */
  resourceId?: string | undefined
  /**
   * https URL of the query API, for private links and emulators. Its path does not count. The `audience`
   * does not follow it. Default: by `azure_cloud`.
   */
  endpoint?: string | URL | undefined
  /**
   * Any `TokenCredential` of `@azure/identity`, or an object like it. Wins over every other way to sign
   * in.
   */
  credential?: import('@azure/identity').TokenCredential | undefined
  /**
   * Name of a Unity Catalog service credential. Its token comes from the Databricks workspace in
   * DATABRICKS_HOST, signed in to by DATABRICKS_TOKEN, or by DATABRICKS_CLIENT_ID and
   * DATABRICKS_CLIENT_SECRET. Comes after `credential`.
   */
  databricks_credential?: string | undefined
  /** Same as `databricks_credential`. */
  databricksCredential?: string | undefined
  /**
   * Signs in by the `DefaultAzureCredential` of `@azure/identity`: environment, workload or managed
   * identity, developer tools. Comes after `databricks_credential`. Default: `false`.
   */
  azure_default_credential?: boolean | string | undefined
  /** Same as `azure_default_credential`. */
  azureDefaultCredential?: boolean | string | undefined
  /** Entra ID tenant of the service principal. Goes with `client_id` and `client_secret`. */
  tenant_id?: string | undefined
  /** Same as `tenant_id`. */
  tenantId?: string | undefined
  /** Application (client) id of the service principal. Goes with `tenant_id` and `client_secret`. */
  client_id?: string | undefined
  /** Same as `client_id`. */
  clientId?: string | undefined
  /**
   * Client secret of the service principal. Goes with `tenant_id` and `client_id`. A secret: never
   * shown.
   */
  client_secret?: string | undefined
  /** Same as `client_secret`. */
  clientSecret?: string | undefined
  /**
   * The Azure cloud. It says where tokens come from, which endpoint is asked, and for whom the token is.
   * Default: `public`.
   */
  azure_cloud?: 'public' | 'government' | 'china' | undefined
  /** Same as `azure_cloud`. */
  azureCloud?: 'public' | 'government' | 'china' | undefined
  /**
   * https URL of the token service, for clouds of your own and emulators. With it the authority is not
   * looked up at Microsoft first. Default: by `azure_cloud`.
   */
  authority_host?: string | URL | undefined
  /** Same as `authority_host`. */
  authorityHost?: string | URL | undefined
  /** The resource that the token is asked for, without `/.default`. Default: by `azure_cloud`. */
  audience?: string | undefined
  /** CA certificates to trust in place of the system's: PEM text, or the path of a PEM file. */
  ca?: string | Buffer | undefined
  /**
   * Whether the certificate of the server is checked. `false` lets anybody in between read and change
   * what is sent. Default: `true`.
   */
  verify_ssl?: boolean | string | undefined
  /** Same as `verify_ssl`. */
  verifySsl?: boolean | string | undefined
  /**
   * URL of an HTTP proxy. Without it HTTPS_PROXY, HTTP_PROXY and NO_PROXY count. A secret: never shown.
   * Default: from the environment.
   */
  proxy?: string | URL | undefined
  /** Attempts after the first on throttling and passing faults. Default: `5`. */
  max_retries?: number | string | undefined
  /** Same as `max_retries`. */
  maxRetries?: number | string | undefined
  /**
   * Seconds of the first wait; doubled each time, with full jitter. A Retry-After of the server wins.
   * Default: `1`.
   */
  initial_backoff?: number | string | undefined
  /** Same as `initial_backoff`. */
  initialBackoff?: number | string | undefined
  /** Seconds that a wait of ours never passes. Default: `30`. */
  max_backoff?: number | string | undefined
  /** Same as `max_backoff`. */
  maxBackoff?: number | string | undefined
  /**
   * Seconds that one attempt of a query may take until its answer begins. The service is told; it allows
   * 600 at most. Default: `300`.
   */
  request_timeout?: number | string | undefined
  /** Same as `request_timeout`. */
  requestTimeout?: number | string | undefined
  /**
   * Seconds without a byte after which an answer that had begun is given up and asked for again.
   * Default: `60`.
   */
  stall_timeout?: number | string | undefined
  /** Same as `stall_timeout`. */
  stallTimeout?: number | string | undefined
  /** The query, in KQL. It is sent as it is. The time range goes with the request, next to it. */
  query: string
  /** Whether the types of columns are taken from the result. `false` needs a `schema`. Default: `true`. */
  inferSchema?: boolean | string | undefined
  /** Same as `inferSchema`. */
  infer_schema?: boolean | string | undefined
  /**
   * The columns that rows are to have and their KQL types: values are cast, columns that the result
   * lacks are null, others are left out. Or any Standard Schema, which checks each row and gives it its
   * type. A value that does not fit is an error.
   */
  schema?: import('./schema.ts').RowSchema | undefined
  /**
   * The datetime column of the result that windows are kept by, to 100 ns. A read of more than one
   * window (`num_partitions`, halves of what is too large, a `window`, streaming) needs it in the result
   * as the rows' own time: a query that works it out, as `bin()` does, or that counts or limits rows,
   * gives its true result in one window only. Default: `TimeGenerated`.
   */
  timestamp_column?: string | undefined
  /** Same as `timestamp_column`. */
  timestampColumn?: string | undefined
  /**
   * What a datetime becomes: `date` for a Date, which holds milliseconds; `string` for the service's own
   * text, with all 7 digits of a second. Default: `date`.
   */
  datetime?: 'date' | 'string' | undefined
  /**
   * A window whose result is too large is halved, and its halves again, but none gets shorter than this
   * many seconds. Default: `60`.
   */
  min_partition_seconds?: number | string | undefined
  /** Same as `min_partition_seconds`. */
  minPartitionSeconds?: number | string | undefined
  /**
   * Where a stream with no checkpoint begins: an ISO 8601 instant; `latest` for now; `earliest` for the
   * first row there is, which is asked for by a query. With a checkpoint, the checkpoint counts.
   * Default: `latest`.
   */
  start_time?: 'latest' | 'earliest' | (string & {}) | Date | undefined
  /** Same as `start_time`. */
  startTime?: 'latest' | 'earliest' | (string & {}) | Date | undefined
  /** Seconds of the longest window that one query covers. Default: `3600`. */
  partition_duration?: number | string | undefined
  /** Same as `partition_duration`. */
  partitionDuration?: number | string | undefined
  /**
   * How many seconds behind now a window may end, for rows that arrive late. A row that arrives later
   * than that is missed, unless `window_by` is `ingestion_time`; with 0 that is any row not there the
   * moment it is due. Default: `300`.
   */
  safety_lag_seconds?: number | string | undefined
  /** Same as `safety_lag_seconds`. */
  safetyLagSeconds?: number | string | undefined
  /**
   * `ingestion_time` lays windows over the time when the service took rows in, so that rows which arrive
   * hours late are read too, and once. The query must begin with a table's name, or refer to
   * `window_start` and `window_end`. Default: `timestamp_column`.
   */
  window_by?: 'timestamp_column' | 'ingestion_time' | undefined
  /** Same as `window_by`. */
  windowBy?: 'timestamp_column' | 'ingestion_time' | undefined
  /** Seconds from one look for new rows to the next, once caught up. Default: `60`. */
  poll_interval_seconds?: number | string | undefined
  /** Same as `poll_interval_seconds`. */
  pollIntervalSeconds?: number | string | undefined
  /**
   * Reads what is there up to the time of the start (less `safety_lag_seconds`), then ends. Default:
   * `false`.
   */
  available_now?: boolean | string | undefined
  /** Same as `available_now`. */
  availableNow?: boolean | string | undefined
  /**
   * Directory where offsets are kept, so that the stream goes on where it was committed. Made where it
   * is not there. One process at a time.
   */
  checkpointLocation?: string | undefined
  /** Same as `checkpointLocation`. */
  checkpoint_location?: string | undefined
}

/**
 * Options of `listTables` and `tableSchema`. Each name may be written in camelCase as well; numbers
 * and booleans may be texts.
 */
export interface AzureMonitorTablesOptions extends StreamOptions {
  /** Id of the Log Analytics workspace (a GUID, not its name). Required, unless `resource_id` is given. */
  workspace_id?: string | undefined
  /** Same as `workspace_id`. */
  workspaceId?: string | undefined
  /** Asks for the logs of one Azure resource, given by its full id. Excludes `workspace_id`. */
  resource_id?: string | undefined
  /** Same as `resource_id`. */
  resourceId?: string | undefined
  /**
   * https URL of the query API, for private links and emulators. Its path does not count. The `audience`
   * does not follow it. Default: by `azure_cloud`.
   */
  endpoint?: string | URL | undefined
  /**
   * Any `TokenCredential` of `@azure/identity`, or an object like it. Wins over every other way to sign
   * in.
   */
  credential?: import('@azure/identity').TokenCredential | undefined
  /**
   * Name of a Unity Catalog service credential. Its token comes from the Databricks workspace in
   * DATABRICKS_HOST, signed in to by DATABRICKS_TOKEN, or by DATABRICKS_CLIENT_ID and
   * DATABRICKS_CLIENT_SECRET. Comes after `credential`.
   */
  databricks_credential?: string | undefined
  /** Same as `databricks_credential`. */
  databricksCredential?: string | undefined
  /**
   * Signs in by the `DefaultAzureCredential` of `@azure/identity`: environment, workload or managed
   * identity, developer tools. Comes after `databricks_credential`. Default: `false`.
   */
  azure_default_credential?: boolean | string | undefined
  /** Same as `azure_default_credential`. */
  azureDefaultCredential?: boolean | string | undefined
  /** Entra ID tenant of the service principal. Goes with `client_id` and `client_secret`. */
  tenant_id?: string | undefined
  /** Same as `tenant_id`. */
  tenantId?: string | undefined
  /** Application (client) id of the service principal. Goes with `tenant_id` and `client_secret`. */
  client_id?: string | undefined
  /** Same as `client_id`. */
  clientId?: string | undefined
  /**
   * Client secret of the service principal. Goes with `tenant_id` and `client_id`. A secret: never
   * shown.
   */
  client_secret?: string | undefined
  /** Same as `client_secret`. */
  clientSecret?: string | undefined
  /**
   * The Azure cloud. It says where tokens come from, which endpoint is asked, and for whom the token is.
   * Default: `public`.
   */
  azure_cloud?: 'public' | 'government' | 'china' | undefined
  /** Same as `azure_cloud`. */
  azureCloud?: 'public' | 'government' | 'china' | undefined
  /**
   * https URL of the token service, for clouds of your own and emulators. With it the authority is not
   * looked up at Microsoft first. Default: by `azure_cloud`.
   */
  authority_host?: string | URL | undefined
  /** Same as `authority_host`. */
  authorityHost?: string | URL | undefined
  /** The resource that the token is asked for, without `/.default`. Default: by `azure_cloud`. */
  audience?: string | undefined
  /** CA certificates to trust in place of the system's: PEM text, or the path of a PEM file. */
  ca?: string | Buffer | undefined
  /**
   * Whether the certificate of the server is checked. `false` lets anybody in between read and change
   * what is sent. Default: `true`.
   */
  verify_ssl?: boolean | string | undefined
  /** Same as `verify_ssl`. */
  verifySsl?: boolean | string | undefined
  /**
   * URL of an HTTP proxy. Without it HTTPS_PROXY, HTTP_PROXY and NO_PROXY count. A secret: never shown.
   * Default: from the environment.
   */
  proxy?: string | URL | undefined
  /** Attempts after the first on throttling and passing faults. Default: `5`. */
  max_retries?: number | string | undefined
  /** Same as `max_retries`. */
  maxRetries?: number | string | undefined
  /**
   * Seconds of the first wait; doubled each time, with full jitter. A Retry-After of the server wins.
   * Default: `1`.
   */
  initial_backoff?: number | string | undefined
  /** Same as `initial_backoff`. */
  initialBackoff?: number | string | undefined
  /** Seconds that a wait of ours never passes. Default: `30`. */
  max_backoff?: number | string | undefined
  /** Same as `max_backoff`. */
  maxBackoff?: number | string | undefined
  /**
   * Seconds that one attempt of a query may take until its answer begins. The service is told; it allows
   * 600 at most. Default: `300`.
   */
  request_timeout?: number | string | undefined
  /** Same as `request_timeout`. */
  requestTimeout?: number | string | undefined
  /**
   * Seconds without a byte after which an answer that had begun is given up and asked for again.
   * Default: `60`.
   */
  stall_timeout?: number | string | undefined
  /** Same as `stall_timeout`. */
  stallTimeout?: number | string | undefined
}
