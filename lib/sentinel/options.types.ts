// Generated from the option declarations by `npm run generate`. Do not edit.
import type { StreamOptions } from '../core/stream-options.ts'

/**
 * Options of the Sentinel sink. Each name may be written in camelCase as well; numbers and booleans
 * may be texts.
 */
export interface SentinelOptionsBase extends StreamOptions {
  /**
   * https URL of the Data Collection Endpoint, or of the rule itself where it has an endpoint of its own
   * (`logsIngestion`).
   */
  dce: string | URL
  /** Stream name in the rule, such as `Custom-Alerts_CL`. */
  dcs: string
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
  /**
   * Rows a request. The stream buffers as many more (its highWaterMark) unless told otherwise. Default:
   * `50`.
   */
  batch_size?: number | string | undefined
  /** Same as `batch_size`. */
  batchSize?: number | string | undefined
  /**
   * Bytes of JSON that the body of a request does not pass, counted before compression. A larger row
   * goes alone. Default: `1000000`.
   */
  batch_bytes?: number | string | undefined
  /** Same as `batch_bytes`. */
  batchBytes?: number | string | undefined
  /** Milliseconds after its first row when a batch that is not full leaves. Default: `1000`. */
  linger_ms?: number | string | undefined
  /** Same as `linger_ms`. */
  lingerMs?: number | string | undefined
  /** Requests under way at once. At most this many batches and one more are held in memory. Default: `4`. */
  max_in_flight?: number | string | undefined
  /** Same as `max_in_flight`. */
  maxInFlight?: number | string | undefined
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
  /** Seconds that one attempt may take. Default: `30`. */
  request_timeout?: number | string | undefined
  /** Same as `request_timeout`. */
  requestTimeout?: number | string | undefined
  /**
   * Takes the rows that are refused for good, as `{ row, connector, reason: { status, code, text }, at
   * }`. Without it such a row ends the stream with an error that carries it.
   */
  dead_letter?: import('node:stream').Writable | undefined
  /** Same as `dead_letter`. */
  deadLetter?: import('node:stream').Writable | undefined
  /** Compression of request bodies; small ones are sent as they are. Default: `gzip`. */
  compression?: 'gzip' | 'none' | undefined
}

/** `dcr_id`, in either spelling. */
export type SentinelOptionsDcrId =
  | {
      /** Immutable id of the Data Collection Rule (`dcr-…`). */
      dcr_id: string
    }
  | {
      /** Immutable id of the Data Collection Rule (`dcr-…`). */
      dcrId: string
    }

/**
 * Options of the Sentinel sink. Each name may be written in camelCase as well; numbers and booleans
 * may be texts.
 */
export type SentinelOptions = SentinelOptionsBase & SentinelOptionsDcrId
