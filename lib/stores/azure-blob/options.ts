import { leaseSpec } from '../../checkpoint/lease.ts'
import { azureSpecs, checkAzureOptions, httpsUrl, type SignIn } from '../../connectors/azure/options.ts'
import {
  declareOptions,
  type OptionDeclaration,
  type OptionSpecs,
  option,
  Refusal,
} from '../../core/options.ts'
import type { OptionsOf } from '../../core/spelling.ts'

export const storeName = 'checkpoint-azure-blob'

const blobSpecs = {
  /**
   * https URL of the blob that holds the checkpoint: https://<account>.blob.core.windows.net/<container>/<name>. The name
   * may hold slashes; names given to `open` follow it after a slash. A missing container is created.
   */
  url: option.custom<string, string | URL>(
    {
      ...httpsUrl,
      form: 'the https URL of a blob, such as https://account.blob.core.windows.net/container/name',
      parse(value) {
        const text = httpsUrl.parse(value)
        if (text === undefined) return undefined
        const { search, hash } = new URL(text)
        if (search || hash) {
          throw new Refusal(
            'expected a URL without parameters: the store signs in by Entra ID, not by a shared access signature',
          )
        }
        return splitBlobUrl(text) && text
      },
    },
    { required: true },
  ),
  /**
   * Time after which another process may take over from a holder that was killed, frozen or cut off, in seconds: 15 to
   * 60, as the service allows (https://learn.microsoft.com/rest/api/storageservices/lease-blob). The holder renews its
   * lease four times in that time.
   * @default 15
   */
  lease_seconds: leaseSpec(15, 60),
} satisfies OptionSpecs

type BlobSpecs = typeof blobSpecs & typeof azureSpecs

/** Options of the checkpoint store in Azure Blob Storage. */
export type AzureBlobStoreOptions = OptionsOf<BlobSpecs> & SignIn

export const azureBlobDeclaration: OptionDeclaration<BlobSpecs> = declareOptions(
  storeName,
  { ...blobSpecs, ...azureSpecs },
  checkAzureOptions,
)

export interface BlobPlace {
  /** URL of the container. */
  readonly container: string
  /** The name of the blob, as it is without percent signs. */
  readonly blob: string
}

/** @returns undefined where the URL names no blob */
export function splitBlobUrl(url: string): BlobPlace | undefined {
  const { origin, hostname, pathname } = new URL(url)
  const parts = pathname
    .split('/')
    .slice(1)
    .filter((part) => part !== '')
  // The account comes first in the path where the host is an address, as an emulator's is.
  const account = /^[\d.]+$|^\[|^localhost$/.test(hostname) ? parts.splice(0, 1) : []
  const [container, ...name] = parts
  if (container === undefined || name.length === 0) return undefined
  return {
    container: [origin, ...account, container].join('/'),
    blob: name.map((part) => decodeURIComponent(part)).join('/'),
  }
}
