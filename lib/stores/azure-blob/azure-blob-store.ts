import { randomUUID } from 'node:crypto'
import type {
  BlobLeaseClient,
  BlockBlobClient,
  ContainerClient,
  RestError,
  StoragePipelineOptions,
} from '@azure/storage-blob'
import { type Lease, openLeased } from '../../checkpoint/lease.ts'
import {
  type CheckpointSession,
  type CheckpointStore,
  HeldError,
  LostError,
  type OpenOptions,
  type StoredText,
  TransientError,
} from '../../checkpoint/store.ts'
import { AzureConnection } from '../../connectors/azure/connection.ts'
import { AuthError } from '../../connectors/azure/tokens.ts'
import { CheckpointError } from '../../core/errors.ts'
import { cleanError } from '../../core/redaction.ts'
import { isTransientFault, isTransientStatus } from '../../core/retry.ts'
import type { EitherSpelling } from '../../core/spelling.ts'
import { fullName } from '../options.ts'
import { loadPeer } from '../peer.ts'
import {
  type AzureBlobStoreOptions,
  azureBlobDeclaration,
  type BlobPlace,
  splitBlobUrl,
  storeName,
} from './options.ts'

/** The resource that tokens are for, in every cloud. */
const audience = 'https://storage.azure.com'

/**
 * Checkpoints in Azure Blob Storage, also with a hierarchical namespace, by the package `@azure/storage-blob`. Each is a
 * block blob that its holder has a lease on. Who signs in needs the role Storage Blob Data Contributor on the container.
 *
 *     const store = new AzureBlobStore({
 *       url: 'https://account.blob.core.windows.net/checkpoints/sign-ins',
 *       azure_default_credential: true,
 *     })
 */
export class AzureBlobStore implements CheckpointStore {
  readonly #values: ReturnType<typeof azureBlobDeclaration.resolve>

  constructor(options: AzureBlobStoreOptions)
  /** Names in camelCase are accepted too. */
  constructor(options: EitherSpelling<AzureBlobStoreOptions>)
  constructor(options: unknown) {
    this.#values = azureBlobDeclaration.resolve(options)
  }

  async open(name: string, options: OpenOptions = {}): Promise<CheckpointSession> {
    const { blob, connection, duration } = await this.#connect(name)
    try {
      return await openLeased(() => blob.acquire(), duration, options)
    } catch (error) {
      connection.close()
      throw error
    }
  }

  async read(name: string): Promise<StoredText> {
    const { blob, connection } = await this.#connect(name)
    try {
      return { text: await blob.read(), location: blob.location }
    } finally {
      connection.close()
    }
  }

  async #connect(name: string): Promise<{ blob: Blob; connection: AzureConnection; duration: number }> {
    const storage = await loadPeer('@azure/storage-blob@^12', () => import('@azure/storage-blob'))
    const { url, lease_seconds } = this.#values
    const place = splitBlobUrl(url)!
    // A URL would resolve them: into another container, or none.
    if (name.split('/').some((part) => part === '.' || part === '..')) {
      throw new CheckpointError(
        'ERR_CHECKPOINT',
        `the name ${JSON.stringify(name)} can't be a part of a blob's: it leads elsewhere`,
      )
    }
    const connection = new AzureConnection(storeName, this.#values, audience)
    const duration = lease_seconds * 1000
    const named = { ...place, blob: fullName(place.blob, name) }
    return { blob: new Blob(connection, storage, named, duration), connection, duration }
  }
}

type Storage = typeof import('@azure/storage-blob')

/** A blob as the store uses it; its errors hold no secret. */
class Blob {
  readonly location: string
  readonly #connection: AzureConnection
  readonly #container: () => ContainerClient
  readonly #client: BlockBlobClient
  readonly #lease: BlobLeaseClient
  readonly #duration: number
  /** An attempt to take the lease is open. */
  #mayBeOurs = false

  constructor(connection: AzureConnection, storage: Storage, place: BlobPlace, duration: number) {
    // Faults are repeated by the session, until its lease is lost.
    const options = () =>
      ({ ...connection.clientOptions, retryOptions: { maxTries: 1 } }) as StoragePipelineOptions
    const path = place.blob.split('/').map(encodeURIComponent).join('/')
    this.#connection = connection
    // Each client has a pipeline of its own: clients that share one add our policy twice.
    this.#client = new storage.BlockBlobClient(`${place.container}/${path}`, connection.tokens, options())
    this.#container = () => new storage.ContainerClient(place.container, connection.tokens, options())
    // One id for all attempts: after a lost answer the holder is not locked out.
    this.#lease = this.#client.getBlobLeaseClient(randomUUID())
    this.#duration = duration
    this.location = this.#client.url
  }

  /** One attempt. @throws HeldError, TransientError, CheckpointError */
  async acquire(): Promise<BlobLease> {
    const there = await this.#call((signal) => this.#client.getProperties({ abortSignal: signal })).catch(
      notFound,
    )
    if (there === undefined) await this.#create()
    // Standbys look before they try: asking is cheaper than a refused lease.
    else if (there.leaseState === 'leased' && there.leaseDuration === 'fixed' && !this.#mayBeOurs)
      throw this.#held()
    this.#mayBeOurs = true
    try {
      await this.#call((signal) => this.#lease.acquireLease(this.#duration / 1000, { abortSignal: signal }))
    } catch (error) {
      if (error instanceof TransientError) throw error
      this.#mayBeOurs = false
      throw codeOf(error) === 'LeaseAlreadyPresent' ? this.#held() : error
    }
    const { etag, contentLength } = await this.#call((signal) =>
      this.#client.getProperties({ abortSignal: signal }),
    )
    const text = contentLength ? await this.#call((signal) => this.#download(signal)) : undefined
    return new BlobLease(this, etag!, text)
  }

  /** The text; undefined if the blob is missing or empty. */
  async read(): Promise<string | undefined> {
    const there = await this.#call((signal) => this.#client.getProperties({ abortSignal: signal })).catch(
      notFound,
    )
    if (!there?.contentLength) return undefined
    return this.#call((signal) => this.#download(signal))
  }

  async renew(): Promise<void> {
    await this.#call((signal) => this.#lease.renewLease({ abortSignal: signal }))
  }

  async release(): Promise<void> {
    try {
      await this.#call((signal) => this.#lease.releaseLease({ abortSignal: signal }))
    } finally {
      this.#connection.close()
    }
  }

  /** Uploads a block. It is no part of the blob until `commit` lists it. */
  async stage(id: string, text: string): Promise<void> {
    const conditions = { leaseId: this.#lease.leaseId }
    await this.#call((signal) =>
      this.#client.stageBlock(id, text, Buffer.byteLength(text), { conditions, abortSignal: signal }),
    )
  }

  /** Makes the blob of these blocks, if it is as the ETag says. @returns its new ETag */
  async commit(blocks: string[], etag: string): Promise<string> {
    const conditions = { leaseId: this.#lease.leaseId, ifMatch: etag }
    const { etag: next } = await this.#call((signal) =>
      this.#client.commitBlockList(blocks, {
        conditions,
        abortSignal: signal,
        blobHTTPHeaders: { blobContentType: 'application/x-ndjson' },
      }),
    )
    return next!
  }

  /** The blocks of the blob, and its ETag. */
  async blocks(): Promise<{ ids: string[]; etag: string }> {
    const { committedBlocks = [], etag } = await this.#call((signal) =>
      this.#client.getBlockList('committed', { abortSignal: signal }),
    )
    return { ids: committedBlocks.map(({ name }) => name), etag: etag! }
  }

  async #download(signal: AbortSignal): Promise<string> {
    return (await this.#client.downloadToBuffer(0, undefined, { abortSignal: signal })).toString('utf8')
  }

  /** Makes an empty blob, and its container. */
  async #create(): Promise<void> {
    const make = () =>
      this.#call((signal) =>
        this.#client.upload('', 0, { conditions: { ifNoneMatch: '*' }, abortSignal: signal }),
      )
    try {
      await make()
    } catch (error) {
      if (codeOf(error) === 'ContainerNotFound') {
        await this.#call((signal) => this.#container().createIfNotExists({ abortSignal: signal }))
        await make().catch(tolerateThere)
      } else tolerateThere(error)
    }
  }

  #held(): HeldError {
    return new HeldError(
      `the checkpoint in ${this.location} is held by another process. Its lease frees itself within 60 s unless it is ` +
        'renewed: stop that process first, or wait as a standby does',
    )
  }

  /** @throws LostError, TransientError, CheckpointError */
  async #call<T>(ask: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const limit = AbortSignal.timeout(this.#duration / 3)
    for (let attempt = 0; ; attempt++) {
      try {
        return await ask(limit)
      } catch (error) {
        // A token may be withdrawn before its time.
        if (statusOf(error) === 401 && attempt === 0) this.#connection.tokens.invalidate(undefined)
        else throw this.#fault(limit.aborted ? limit.reason : error)
      }
    }
  }

  #fault(error: unknown): CheckpointError {
    const { redact } = this.#connection
    const status = statusOf(error)
    const code = error instanceof Error ? (error as Partial<RestError>).code : undefined
    if (code !== undefined && lostCodes.has(code)) {
      return new LostError(this.location, 'another process has taken it over, or its lease ran out')
    }
    const clean = cleanError(error, redact)
    const words = clean.message.split(/\r?\n/)[0]
    const text = `the checkpoint in ${this.location} can't be used: Azure Blob Storage: ${words}${status === undefined ? '' : ` (${code ?? 'status'} ${status})`}`
    if (isTransient(error, status)) return new TransientError(text, clean)
    return new BlobError(text, code, { cause: clean, ...(status !== undefined && { status }) })
  }
}

/** What Azure says once a lease is another's, or ran out: https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes */
const lostCodes = new Set([
  'LeaseIdMismatchWithBlobOperation',
  'LeaseIdMismatchWithLeaseOperation',
  'LeaseLost',
  'LeaseNotPresentWithBlobOperation',
  'LeaseNotPresentWithLeaseOperation',
  'LeaseIsBrokenAndCannotBeRenewed',
])

/** A refusal that is final, with Azure's code. */
class BlobError extends CheckpointError {
  declare readonly serviceCode?: string
  constructor(text: string, code: string | undefined, details: { cause: unknown; status?: number }) {
    super('ERR_CHECKPOINT', text, { serviceCode: code, ...details })
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof BlobError ? error.serviceCode : undefined
}

function statusOf(error: unknown): number | undefined {
  const { statusCode } = (error ?? {}) as { statusCode?: unknown }
  return typeof statusCode === 'number' ? statusCode : undefined
}

function isTransient(error: unknown, status: number | undefined): boolean {
  if (error instanceof AuthError) return error.transient
  return status === undefined ? isTransientFault(error) : isTransientStatus(status)
}

/** The blob, or only its container, is not there yet. */
function notFound(error: unknown): undefined {
  if (error instanceof BlobError && error.status === 404) return undefined
  throw error
}

/** Another process made the blob, and may have its lease. */
function tolerateThere(error: unknown): void {
  const code = codeOf(error)
  if (code !== 'BlobAlreadyExists' && code !== 'LeaseIdMissing' && code !== 'ConditionNotMet') throw error
}

class BlobLease implements Lease {
  readonly text: string | undefined
  readonly location: string
  readonly #blob: Blob
  /** The blob's blocks, the whole state first. */
  #blocks: string[] = []
  #etag: string
  /** Numbers the blocks of this lease. */
  #last = 0
  /** A change of which it is open whether it was done. */
  #open: string | undefined

  constructor(blob: Blob, etag: string, text: string | undefined) {
    this.text = text
    this.location = blob.location
    this.#blob = blob
    this.#etag = etag
  }

  async renew(): Promise<void> {
    await this.#blob.renew()
  }

  async write(text: string): Promise<void> {
    await this.#put([], text)
  }

  async append(text: string): Promise<void> {
    await this.#put(this.#blocks, text)
  }

  async release(): Promise<void> {
    await this.#blob.release()
  }

  async #put(before: readonly string[], text: string): Promise<void> {
    // A change that is repeated keeps its block.
    if (this.#open !== text) this.#last++
    this.#open = text
    const id = Buffer.from(String(this.#last).padStart(12, '0')).toString('base64')
    const blocks = [...before, id]
    await this.#blob.stage(id, text)
    this.#etag = await this.#commit(blocks)
    this.#blocks = blocks
    this.#open = undefined
  }

  async #commit(blocks: string[]): Promise<string> {
    try {
      return await this.#blob.commit(blocks, this.#etag)
    } catch (error) {
      if (codeOf(error) !== 'ConditionNotMet') throw error
    }
    // An earlier attempt whose answer was lost, or somebody who has the lease's id.
    const there = await this.#blob.blocks()
    if (there.ids.join() === blocks.join()) return there.etag
    throw new LostError(this.location, 'somebody else changed the blob')
  }
}
