import type { Redis, RedisOptions } from 'ioredis'
import { type Lease, NumberedWrites, type Outcome, openLeased } from '../../checkpoint/lease.ts'
import {
  type CheckpointSession,
  type CheckpointStore,
  describeHolder,
  HeldError,
  holderText,
  LostError,
  type OpenOptions,
  type StoredText,
  TransientError,
} from '../../checkpoint/store.ts'
import { CheckpointError } from '../../core/errors.ts'
import { declareOptions, type OptionDeclaration, type OptionSpecs, option } from '../../core/options.ts'
import { cleanError, credentialsOf, redactor } from '../../core/redaction.ts'
import type { EitherSpelling, OptionsOf } from '../../core/spelling.ts'
import { databaseSpecs, fullName, isFinalFault, locationOf, urlSpec } from '../options.ts'
import { loadPeer } from '../peer.ts'

export const redisSpecs = {
  ...databaseSpecs,
  /**
   * `redis://` or `rediss://` URL of the server, with user, password and number of the database if it needs them.
   */
  url: urlSpec('a redis:// or rediss:// URL', ['redis:', 'rediss:']),
  /**
   * Prefix of the keys.
   * @default "cyber-connectors:checkpoint:"
   */
  prefix: option.text({ default: 'cyber-connectors:checkpoint:' }),
} satisfies OptionSpecs

export type RedisStoreOptions = OptionsOf<typeof redisSpecs>

const redisDeclaration: OptionDeclaration<typeof redisSpecs> = declareOptions('checkpoint-redis', redisSpecs)

/** A lease is a hash { holder, written } that runs out; the text is a string beside it. Each script is one step to Redis. */
const scripts = {
  acquire: `
    local holder = redis.call('HGET', KEYS[1], 'holder')
    if holder and holder ~= ARGV[1] then return { holder, redis.call('PTTL', KEYS[1]) } end
    if not holder then redis.call('HSET', KEYS[1], 'holder', ARGV[1], 'written', 0) end
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
    return { ARGV[1], redis.call('GET', KEYS[2]) }`,
  renew: `
    if redis.call('HGET', KEYS[1], 'holder') ~= ARGV[1] then return 'lost' end
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
    return 'done'`,
  put: `
    if redis.call('HGET', KEYS[1], 'holder') ~= ARGV[1] then return 'lost' end
    local written = tonumber(redis.call('HGET', KEYS[1], 'written'))
    if written == tonumber(ARGV[2]) then return 'repeated' end
    if written ~= tonumber(ARGV[2]) - 1 then return 'behind' end
    redis.call(ARGV[3], KEYS[2], ARGV[4])
    redis.call('HSET', KEYS[1], 'written', ARGV[2])
    return 'done'`,
  release: `
    if redis.call('HGET', KEYS[1], 'holder') == ARGV[1] then redis.call('DEL', KEYS[1]) end
    return 'done'`,
  read: `return redis.call('GET', KEYS[2])`,
} as const

/**
 * Checkpoints in Redis or Valkey, 6 or newer, by the package `ioredis`. The server must not evict keys (`noeviction`) and
 * should keep them over a restart (`appendonly yes`). A replica that takes over may lack the last second: the process
 * stops then, and the next one goes on from what is there.
 *
 *     const store = new RedisStore({ url: 'rediss://user:secret@cache:6379/0', name: 'sign-ins' })
 */
export class RedisStore implements CheckpointStore {
  readonly #values: ReturnType<typeof redisDeclaration.resolve>

  constructor(options: RedisStoreOptions)
  /** Names in camelCase are accepted too. */
  constructor(options: EitherSpelling<RedisStoreOptions>)
  constructor(options: unknown) {
    this.#values = redisDeclaration.resolve(options)
  }

  async open(name: string, options: OpenOptions = {}): Promise<CheckpointSession> {
    const { client, keys, duration } = await this.#connect(name)
    try {
      const holder = holderText()
      return await openLeased(() => acquire(client, keys, holder, duration), duration, options)
    } catch (error) {
      client.close()
      throw error
    }
  }

  async read(name: string): Promise<StoredText> {
    const { client, keys } = await this.#connect(name)
    try {
      const text = (await client.run(scripts.read, keys)) as string | null
      return { text: text ?? undefined, location: client.location }
    } finally {
      client.close()
    }
  }

  async #connect(name: string): Promise<{ client: Client; keys: Keys; duration: number }> {
    const { Redis } = await loadPeer('ioredis@^6', () => import('ioredis'))
    const { url, prefix, connection, lease_seconds } = this.#values
    const duration = lease_seconds * 1000
    const whole = fullName(this.#values.name, name)
    // Braces: both keys lie in one slot.
    const keys = [`${prefix}{${whole}}:lease`, `${prefix}{${whole}}:text`] as const
    const redis = new Redis(url, { ...clientOptions(duration), ...connection })
    return { client: new Client(redis, url, locationOf(url, whole)), keys, duration }
  }
}

function clientOptions(duration: number) {
  return {
    // Commands fail soon: the session repeats them, until its lease is lost.
    connectTimeout: duration / 4,
    commandTimeout: duration / 4,
    socketTimeout: duration / 2,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    retryStrategy: (times: number) => Math.min(1000, 50 * 2 ** times),
    lazyConnect: true,
    connectionName: 'cyber-connectors',
  } satisfies RedisOptions
}

type Keys = readonly [lease: string, text: string]

async function acquire(client: Client, keys: Keys, holder: string, duration: number): Promise<RedisLease> {
  const answer = (await client.run(scripts.acquire, keys, holder, duration)) as [
    string,
    string | number | null,
  ]
  const [there, second] = answer
  if (there === holder) return new RedisLease(client, keys, holder, duration, second as string | null)
  throw new HeldError(
    `the checkpoint in ${client.location} is held by ${describeHolder(there)}. Its lease frees itself in ` +
      `${Math.max(1, Math.ceil(Number(second) / 1000))} s unless it is renewed: stop that process first, or wait as a standby does`,
  )
}

class RedisLease implements Lease {
  readonly text: string | undefined
  readonly location: string
  readonly #client: Client
  readonly #keys: Keys
  readonly #holder: string
  readonly #duration: number
  readonly #writes: NumberedWrites

  constructor(client: Client, keys: Keys, holder: string, duration: number, text: string | null) {
    this.text = text ?? undefined
    this.location = client.location
    this.#client = client
    this.#keys = keys
    this.#holder = holder
    this.#duration = duration
    this.#writes = new NumberedWrites(this.location, 0)
  }

  async renew(): Promise<void> {
    const outcome = await this.#client.run(scripts.renew, this.#keys, this.#holder, this.#duration)
    if (outcome !== 'done')
      throw new LostError(this.location, 'another process has taken it over, or its lease ran out')
  }

  async write(text: string): Promise<void> {
    await this.#put('SET', text)
  }

  async append(text: string): Promise<void> {
    await this.#put('APPEND', text)
  }

  async release(): Promise<void> {
    try {
      await this.#client.run(scripts.release, this.#keys, this.#holder)
    } finally {
      this.#client.close()
    }
  }

  async #put(command: 'SET' | 'APPEND', all: string): Promise<void> {
    await this.#writes.put(all, async (text, number) => {
      const outcome = await this.#client.run(scripts.put, this.#keys, this.#holder, number, command, text)
      return outcome as Outcome
    })
  }
}

/** Replies of Redis that are final; all others, such as LOADING, READONLY, OOM and MISCONF, are transient. */
const finalReply =
  /^(?:WRONGPASS|NOAUTH|NOPERM|WRONGTYPE|MOVED|ASK|CROSSSLOT|EXECABORT|ERR (?!max number of clients))/

function isReply(error: unknown): boolean {
  return error instanceof Error && error.name === 'ReplyError'
}

/** A connection to Redis whose errors hold no secret: those of the client carry the command, the password with it. */
class Client {
  readonly location: string
  readonly #redis: Redis
  readonly #redact: ReturnType<typeof redactor>
  /** What happened to the connection last. */
  #fault: Error | undefined

  constructor(redis: Redis, url: string, location: string) {
    this.location = location
    this.#redis = redis
    this.#redact = redactor(credentialsOf(url))
    redis.on('error', (error: Error) => {
      this.#fault = error
    })
    redis.on('ready', () => {
      this.#fault = undefined
    })
  }

  /** @throws TransientError, CheckpointError */
  async run(script: string, keys: Keys, ...values: (string | number)[]): Promise<unknown> {
    try {
      return await this.#redis.eval(script, keys.length, ...keys, ...values)
    } catch (error) {
      const clean = cleanError(isReply(error) ? error : (this.#fault ?? error), this.#redact)
      const text = `the checkpoint in ${this.location} can't be used: Redis: ${clean.message}`
      if (isReply(clean) ? finalReply.test(clean.message) : isFinalFault(clean))
        throw new CheckpointError('ERR_CHECKPOINT', text, { cause: clean })
      throw new TransientError(text, clean)
    }
  }

  close(): void {
    this.#redis.disconnect()
  }
}
