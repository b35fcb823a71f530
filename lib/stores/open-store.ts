import { DirectoryStore } from '../checkpoint/directory-store.ts'
import type { CheckpointStore } from '../checkpoint/store.ts'
import type { azureSpecs } from '../connectors/azure/options.ts'
import { OptionError } from '../core/errors.ts'
import type { EitherSpelling, OptionsOf } from '../core/spelling.ts'
import { AzureBlobStore } from './azure-blob/azure-blob-store.ts'
import type { AzureBlobStoreOptions } from './azure-blob/options.ts'
import { PostgresStore, type PostgresStoreOptions, type postgresSpecs } from './postgres/postgres-store.ts'
import { RedisStore, type RedisStoreOptions, type redisSpecs } from './redis/redis-store.ts'

/** What a store takes besides its URL. */
export type StoreOptions = Partial<
  OptionsOf<typeof azureSpecs & Omit<typeof postgresSpecs & typeof redisSpecs, 'url'>>
>

/** Parameters of a URL that are options of the store; the others are the client's. */
const storeParameters = ['name', 'lease_seconds']

/**
 * The checkpoint store that a string names:
 *
 *     ./offsets                                                     a directory
 *     https://account.blob.core.windows.net/container/name         a blob, signed in to by Azure's default credential
 *     postgres://user:secret@host/database?name=sign-ins           a row of a database
 *     redis://user:secret@host:6379/0?name=sign-ins                two keys of Redis, `rediss:` with TLS
 *
 * The parameter `lease_seconds` may follow in each URL. Nothing is asked before the store's `open`, and only there the
 * store's own package is loaded.
 *
 * @param place a directory or a URL
 * @param options what the store's constructor takes besides; what the URL says wins
 * @throws OptionError where the text names no store, or an option is wrong
 */
export function openStore(place: string | URL, options?: StoreOptions): CheckpointStore
/** Names in camelCase are accepted too. */
export function openStore(place: string | URL, options?: EitherSpelling<StoreOptions>): CheckpointStore
export function openStore(place: string | URL, options: EitherSpelling<StoreOptions> = {}): CheckpointStore {
  const text = String(place)
  const scheme = /^([a-z][a-z0-9+.-]+):/i.exec(text)?.[1]?.toLowerCase()
  // One letter is a drive of Windows.
  if (scheme === undefined) return directoryStore(text, options)
  if (!URL.canParse(text))
    throw new OptionError('checkpoint', [`expected a URL after "${scheme}:", got none`])
  const { url, given } = splitParameters(text)
  switch (scheme) {
    case 'postgres':
    case 'postgresql':
      return new PostgresStore({ ...options, ...given, url } as PostgresStoreOptions)
    case 'redis':
    case 'rediss':
      return new RedisStore({ ...options, ...given, url } as RedisStoreOptions)
    case 'https':
      return new AzureBlobStore({ ...signIn(options), ...given, url } as AzureBlobStoreOptions)
    default:
      throw new OptionError('checkpoint', [
        `expected a directory or a URL that begins with https:, postgres:, redis: or rediss:, got one with "${scheme}:"`,
      ])
  }
}

function directoryStore(directory: string, options: EitherSpelling<StoreOptions>): DirectoryStore {
  if (directory.trim() === '') throw new OptionError('checkpoint', ['expected a directory or a URL, got ""'])
  return new DirectoryStore(directory, options)
}

function splitParameters(text: string) {
  const url = new URL(text)
  const given: Record<string, string> = {}
  for (const name of storeParameters) {
    const value = url.searchParams.get(name)
    if (value === null) continue
    given[name] = value
    url.searchParams.delete(name)
  }
  return { url: url.href, given }
}

/** A URL alone says nothing of who signs in: then it is who the machine or the environment is. */
function signIn(options: EitherSpelling<StoreOptions>): EitherSpelling<StoreOptions> {
  const ways = [
    'credential',
    'databricks_credential',
    'databricksCredential',
    'client_id',
    'clientId',
  ] as const
  return ways.some((way) => options[way] !== undefined)
    ? options
    : { azure_default_credential: true, ...options }
}
