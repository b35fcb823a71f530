// Generated from the option declarations by `npm run generate`. Do not edit.
import type { AzureFields } from '../../connectors/azure/options.types.ts'
import type { EitherSpelling } from '../../core/spelling.ts'
import type { StreamOptions } from '../../core/stream-options.ts'
import type { HttpFields } from '../../http/options.types.ts'

/**
 * Options of the checkpoint store in Azure Blob Storage. Each name may be written in camelCase as
 * well; numbers and booleans may be texts. In one spelling.
 */
export interface AzureBlobStoreFields extends HttpFields, AzureFields {
  /**
   * https URL of the blob that holds the checkpoint:
   * https://<account>.blob.core.windows.net/<container>/<name>. The name may hold slashes. The container
   * is made where it is not there. Names given to `open` come after it, with a slash between.
   */
  url: string | URL
  /**
   * Seconds after which another process may take over from one that was killed, frozen or cut off. The
   * holder renews its lease four times in that time. Default: `15`.
   */
  lease_seconds?: number | string | undefined
}

/**
 * Options of the checkpoint store in Azure Blob Storage. Each name may be written in camelCase as
 * well; numbers and booleans may be texts. Each name may be written in camelCase as well; numbers and
 * booleans may be texts.
 */
export type AzureBlobStoreOptions = EitherSpelling<AzureBlobStoreFields> & StreamOptions
