import { inspect } from 'node:util'
import t from 'tap'
import { DirectoryStore } from '../../lib/checkpoint/directory-store.ts'
import { AzureBlobStore } from '../../lib/stores/azure-blob/azure-blob-store.ts'
import { openStore, type StoreOptions } from '../../lib/stores/open-store.ts'
import { loadPeer } from '../../lib/stores/peer.ts'
import { PostgresStore } from '../../lib/stores/postgres/postgres-store.ts'
import { RedisStore } from '../../lib/stores/redis/redis-store.ts'

t.test('a string names a store', async (t) => {
  for (const [place, kind] of [
    ['./offsets', DirectoryStore],
    ['/var/lib/offsets', DirectoryStore],
    ['C:\\offsets', DirectoryStore],
    ['postgres://user:secret@host/db?sslmode=require&name=x', PostgresStore],
    ['postgresql://host:5433/db?name=x&lease_seconds=5', PostgresStore],
    ['redis://host?name=x', RedisStore],
    ['rediss://user:secret@host:6380/2?name=x', RedisStore],
    ['https://account.blob.core.windows.net/container/name', AzureBlobStore],
    ['https://account.blob.core.windows.net/container/deep/name?lease_seconds=60', AzureBlobStore],
  ] as const) {
    t.type(openStore(place), kind, place)
  }
  t.type(openStore(new URL('redis://host/0'), { name: 'x' }), RedisStore)
})

t.test('a wrong text or option is refused before anything is asked, and no secret is shown', async (t) => {
  const secret = 'hunter2-hunter2'
  const credential = { getToken: async () => null }
  for (const [place, options, message] of [
    ['', {}, /expected a directory or a URL/],
    ['s3://bucket/name', {}, /https:, postgres:, redis: or rediss:, got one with "s3:"/],
    ['http://account.blob.core.windows.net/container/name', {}, /got one with "http:"/],
    [`redis://somebody:${secret}@:notaport`, {}, /expected a URL after "redis:"/],
    [`redis://somebody:${secret}@host`, {}, /name: is required/],
    [
      `postgres://somebody:${secret}@host/db?name=x&lease_seconds=0`,
      {},
      /lease_seconds: expected .* from 1 to 3600, got "0"/,
    ],
    [
      `postgres://somebody:${secret}@host/db`,
      { name: 'x'.repeat(501) },
      /name: expected a string of 1 to 500/,
    ],
    [`redis://somebody:${secret}@host`, { name: ' ' }, /name: expected/],
    ['redis://host?name=x', { credential }, /unknown option "credential"/],
    ['./offsets', { name: 'x' }, /unknown option "name"/],
    ['./offsets', { lease_seconds: '30s' }, /lease_seconds: expected a number of seconds .*, got "30s"/],
    ['./offsets', { lease_seconds: 0 }, /lease_seconds: expected/],
    ['./offsets', { lease_seconds: Number.NaN }, /lease_seconds: expected/],
    [
      'https://account.blob.core.windows.net/container',
      { credential },
      /url: expected the https URL of a blob/,
    ],
    ['https://account.blob.core.windows.net/container/name?lease_seconds=14', {}, /from 15 to 60/],
    [
      `https://account.blob.core.windows.net/container/name?sv=1&sig=${secret}`,
      {},
      /signs in by Entra ID, not by a shared access signature/,
    ],
    [
      'https://account.blob.core.windows.net/container/name',
      { tenant_id: 't', azure_default_credential: false },
      /lacks client_id and client_secret/,
    ],
  ] as const) {
    try {
      openStore(place, options as unknown as StoreOptions)
      t.fail(place)
    } catch (error) {
      t.match(error, { code: 'ERR_OPTION', message })
      t.notOk(inspect(error, { depth: 9, showHidden: true }).includes(secret))
    }
  }
  t.notOk(
    inspect(openStore(`redis://somebody:${secret}@host?name=x`), { depth: 9, showHidden: true }).includes(
      secret,
    ),
  )
})

t.test('a package that is not installed is named with the line that installs it', async (t) => {
  const absent: string = '@absent/package'
  await t.rejects(
    loadPeer('@absent/package@^3', () => import(absent)),
    {
      code: 'ERR_CHECKPOINT',
      message: /needs the package @absent\/package, which is not installed: npm install @absent\/package@\^3/,
    },
  )
  await t.rejects(
    loadPeer('redis@^9', () => Promise.reject(new Error('broken'))),
    { message: 'broken' },
  )
})
