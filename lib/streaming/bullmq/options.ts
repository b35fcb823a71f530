import type { Identity } from '../../checkpoint/state.ts'
import { declareOptions, type OptionValues, option, Refusal } from '../../core/options.ts'

export interface QueueOptions {
  /** `redis://`, `rediss://` or `postgres://` URL of the server that keeps the queue. */
  url: string
  /** Tells the queues of one server apart. Default: `cyber-connectors`. */
  name?: string | undefined
  /** What its windows belong to: the `identity` of the source that reads them. Windows of something else are refused. */
  identity?: Identity | undefined
  /** Windows under way at once, over all workers. Default: what the queue has, or 4: Azure Monitor serves a user 5 queries. */
  concurrency?: number | string | undefined
  /** Windows begun a second, over all workers. Default: what the queue has, or 6: Azure Monitor takes 200 queries in 30 s. */
  rate?: number | string | undefined
}

/** The concurrency and rate of a queue that has none yet. */
export const defaultLimits = { concurrency: 4, rate: 6 }

export const queueDeclaration = declareOptions('queue', {
  url: option.custom<string, { readonly doc: string; readonly required: true; readonly secret: true }>(
    {
      form: 'a redis://, rediss:// or postgres:// URL',
      type: 'string',
      schema: { type: 'string', minLength: 1 },
      parse: (value) =>
        typeof value === 'string' && URL.canParse(value) && kindOf(value) !== undefined ? value : undefined,
    },
    {
      required: true,
      secret: true,
      doc: 'URL of the server that keeps the queue: Redis, Valkey or PostgreSQL.',
    },
  ),
  name: option.custom<string, { readonly doc: string; readonly default: 'cyber-connectors' }>(
    {
      form: 'a name',
      type: 'string',
      schema: { type: 'string', minLength: 1 },
      parse(value) {
        if (typeof value === 'string' && value.includes(':')) throw new Refusal('may not hold ":"')
        return typeof value === 'string' && value.trim() !== '' ? value : undefined
      },
    },
    { default: 'cyber-connectors', doc: 'Tells the queues of one server apart.' },
  ),
  identity: option.custom<Identity>(
    {
      form: 'an object of texts, such as the identity of a source',
      type: 'Identity',
      parse: (value) =>
        typeof value === 'object' &&
        value !== null &&
        Object.values(value).every((text) => typeof text === 'string')
          ? (value as Identity)
          : undefined,
    },
    { doc: 'What its windows belong to. Windows of something else are refused.' },
  ),
  concurrency: option.integer({
    min: 1,
    defaultText: 'what the queue has, or 4',
    doc: 'Windows under way at once, over all workers. Azure Monitor serves a user 5 queries at a time.',
  }),
  rate: option.amount({
    defaultText: 'what the queue has, or 6',
    doc: 'Windows begun a second, over all workers. Azure Monitor takes 200 queries of a user in 30 s.',
  }),
})

export type QueueSettings = OptionValues<typeof queueDeclaration.specs>

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
  windows_in_flight: option.integer({
    min: 1,
    defaultText: "the queue's concurrency",
    doc: 'Windows that this worker has under way at a time. Each holds its result, in memory up to a bound, else in a temporary file.',
  }),
  lock_seconds: option.amount({
    default: 10,
    doc: 'Seconds after which the window of a worker that died or froze is given to another. Workers look for such windows twice as often, and take one again within one and a half times as long.',
  }),
  available_now: option.flag({
    default: false,
    doc: 'Ends the worker when all windows of the queue are done or failed, instead of waiting for more.',
  }),
  initial_backoff: option.amount({
    default: 1,
    doc: 'Seconds of the first wait after a transient failure, doubled each time, with full jitter. The wait that a service asks for wins.',
  }),
  max_backoff: option.amount({ default: 30, doc: 'Seconds that such a wait of ours never passes.' }),
}

export const workerDeclaration = declareOptions('worker', workerSpecs)

export type WorkerSettings = OptionValues<typeof workerSpecs>
