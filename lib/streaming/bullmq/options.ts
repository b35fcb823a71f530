import type { Identity } from '../../checkpoint/state.ts'
import {
  declareOptions,
  type OptionDeclaration,
  type OptionSpecs,
  type OptionValues,
  option,
  Refusal,
} from '../../core/options.ts'
import type { OptionsOf } from '../../core/spelling.ts'

/** The concurrency and rate of a queue that has none yet. */
export const defaultLimits = { concurrency: 4, rate: 6 }

const queueSpecs = {
  /** `redis://`, `rediss://` or `postgres://` URL of the server that keeps the queue: Redis, Valkey or PostgreSQL. */
  url: option.custom<string>(
    {
      form: 'a redis://, rediss:// or postgres:// URL',
      schema: { type: 'string', minLength: 1 },
      parse: (value) =>
        typeof value === 'string' && URL.canParse(value) && kindOf(value) !== undefined ? value : undefined,
    },
    { required: true, secret: true },
  ),
  /**
   * Name of the queue, one of several on a server.
   * @default "cyber-connectors"
   */
  name: option.custom<string>(
    {
      form: 'a name',
      schema: { type: 'string', minLength: 1 },
      parse(value) {
        if (typeof value === 'string' && value.includes(':')) throw new Refusal('may not hold ":"')
        return typeof value === 'string' && value.trim() !== '' ? value : undefined
      },
    },
    { default: 'cyber-connectors' },
  ),
  /** What the windows belong to: the `identity` of the source that reads them. Other windows are refused. */
  identity: option.custom<Identity>({
    form: 'an object of strings, such as the identity of a source',
    parse: (value) =>
      typeof value === 'object' &&
      value !== null &&
      Object.values(value).every((text) => typeof text === 'string')
        ? (value as Identity)
        : undefined,
  }),
  /**
   * Maximum windows in flight, over all workers. Azure Monitor serves a user 5 queries at a time.
   * @default what the queue has, or 4
   */
  concurrency: option.integer({ min: 1 }),
  /**
   * Maximum windows started per second, over all workers. Azure Monitor accepts 200 queries of a user in 30 s.
   * @default what the queue has, or 6
   */
  rate: option.amount(),
} satisfies OptionSpecs

/** Options of `openQueue`. */
export type QueueOptions = OptionsOf<typeof queueSpecs>

export const queueDeclaration: OptionDeclaration<typeof queueSpecs> = declareOptions('queue', queueSpecs)

export type QueueSettings = OptionValues<typeof queueSpecs>

/** Which kind of server a URL is of. */
export function kindOf(url: string): 'redis' | 'postgres' | undefined {
  switch (new URL(url).protocol) {
    case 'redis:':
    case 'rediss:':
      return 'redis'
    case 'postgres:':
    case 'postgresql:':
      return 'postgres'
    default:
      return undefined
  }
}

/** How a worker holds its windows. */
export const workerSpecs = {
  /**
   * Maximum windows in flight in this worker. Each holds its result, in memory up to a bound, else in a temporary file.
   * @default the queue's concurrency
   */
  windows_in_flight: option.integer({ min: 1 }),
  /**
   * Time after which another worker gets the window of a worker that died or froze, in seconds. Workers look for such
   * windows twice as often, and get one within one and a half times as long.
   * @default 10
   */
  lock_seconds: option.amount({ default: 10 }),
  /**
   * Whether the worker ends when all windows of the queue are done or failed, instead of waiting for more.
   * @default false
   */
  available_now: option.flag({ default: false }),
  /**
   * First wait after a transient failure, in seconds; each further one is twice as long, with full jitter. The wait that
   * a service asks for wins.
   * @default 1
   */
  initial_backoff: option.amount({ default: 1 }),
  /**
   * Maximum wait after a transient failure, in seconds.
   * @default 30
   */
  max_backoff: option.amount({ default: 30 }),
} satisfies OptionSpecs

export const workerDeclaration = declareOptions('worker', workerSpecs)

export type WorkerSettings = OptionValues<typeof workerSpecs>
