// Generated from the option declarations by `npm run generate`. Do not edit.

/** Options of signing in to Azure. In one spelling. */
export interface AzureFields {
  /**
   * Any `TokenCredential` of `@azure/identity`, or an object like it. Wins over every other way to sign
   * in.
   */
  credential?: import('@azure/core-auth').TokenCredential | undefined
  /**
   * Name of a Unity Catalog service credential. Its token comes from the Databricks workspace in
   * DATABRICKS_HOST, signed in to by DATABRICKS_TOKEN, or by DATABRICKS_CLIENT_ID and
   * DATABRICKS_CLIENT_SECRET. Comes after `credential`.
   */
  databricks_credential?: string | undefined
  /**
   * Signs in by the `DefaultAzureCredential` of `@azure/identity`: environment, workload or managed
   * identity, developer tools. Comes after `databricks_credential`. Default: `false`.
   */
  azure_default_credential?: boolean | string | undefined
  /** Entra ID tenant of the service principal. Goes with `client_id` and `client_secret`. */
  tenant_id?: string | undefined
  /** Application (client) id of the service principal. Goes with `tenant_id` and `client_secret`. */
  client_id?: string | undefined
  /**
   * Client secret of the service principal. Goes with `tenant_id` and `client_id`. A secret: never
   * shown.
   */
  client_secret?: string | undefined
  /**
   * The Azure cloud. It says where tokens come from, which endpoint is asked, and for whom the token is.
   * Default: `public`.
   */
  azure_cloud?: 'public' | 'government' | 'china' | undefined
  /**
   * https URL of the token service, for clouds of your own and emulators. With it the authority is not
   * looked up at Microsoft first. Default: by `azure_cloud`.
   */
  authority_host?: string | URL | undefined
  /** The resource that the token is asked for, without `/.default`. Default: by `azure_cloud`. */
  audience?: string | undefined
}
