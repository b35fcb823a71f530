/**
 * Checkpoints in Azure Blob Storage: the entry point `cyber-connectors/checkpoint-azure-blob`. It needs the package
 * `@azure/storage-blob`.
 * @packageDocumentation
 */

export { AzureBlobStore } from './azure-blob-store.ts'
export type { AzureBlobStoreOptions } from './options.ts'
