import type { EmulatorOptions } from './emulator.ts'

export interface HecEmulatorOptions extends EmulatorOptions {
  /** Default: a random GUID. */
  token?: string
  /** Indexer acknowledgement (the token's `useACK`). Default false. */
  ack?: boolean
  /** Milliseconds until a batch is acknowledged. Default 0. */
  ackDelay?: number
  /** How many asks about a batch are answered `false` first. Default 0. */
  ackAfterPolls?: number
  /** Puts a load balancer in front: it sets a cookie, and whoever comes without it meets another indexer. */
  cookies?: boolean
  /** A missing channel is code 28, as on Splunk Cloud, not 10. */
  cloud?: boolean
  /** Indexes that the token may write. Default: any. */
  indexes?: readonly string[]
  /** Bytes of one event, above which it is code 6. Default 5 MiB (`maxEventSize`). */
  maxEventSize?: number
  /** Bytes of a body, above which it is 413. Default 838,860,800 (`max_content_length`). */
  maxContentLength?: number
  /** Whether a JSON array is taken as a batch. Default true; old releases answer code 6. */
  arrays?: boolean
  /** Whether `?token=` is accepted (`allowQueryStringAuth`). Default false. */
  queryStringAuth?: boolean
  /** How code 9 counts the event that it names: from 0 or from 1. Not known of the real service. Default 0. */
  busyBase?: 0 | 1
  /**
   * Whether events are parsed, checked and kept in `events`. Default true. Without it, and without a listener for
   * `taken`, they are only counted, whatever is in them: for load tests.
   */
  keepEvents?: boolean
}
