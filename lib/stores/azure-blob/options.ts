import { leaseSpec } from '../../checkpoint/lease.ts'
import { azureSpecs, checkAzureOptions, httpsUrl } from '../../connectors/azure/options.ts'
import { declareOptions, option, Refusal } from '../../core/options.ts'

export const storeName = 'checkpoint-azure-blob'

/** The options of the Azure Blob store. */
export const azureBlobDeclaration = declareOptions(
  storeName,
  {
    url: option.custom(
      {
        ...httpsUrl,
        form: 'the https URL of a blob, such as https://account.blob.core.windows.net/container/name',
        parse(value: unknown): string | undefined {
          const text = httpsUrl.parse(value)
          if (text === undefined) return undefined
          const { search, hash } = new URL(text)
          if (search || hash) {
            throw new Refusal(
              'expected a URL without parameters: the store signs in by Entra ID and takes no shared access signature',
            )
          }
          return splitBlobUrl(text) && text
        },
      },
      {
        required: true,
        doc: 'https URL of the blob that holds the checkpoint: https://<account>.blob.core.windows.net/<container>/<name>. The name may hold slashes. The container is made where it is not there. Names given to `open` come after it, with a slash between.',
      },
    ),
    // The service's own bounds: https://learn.microsoft.com/rest/api/storageservices/lease-blob
    lease_seconds: leaseSpec(15, 60),
    ...azureSpecs,
  },
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
