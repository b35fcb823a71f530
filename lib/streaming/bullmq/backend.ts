import type { QueueBaseOptions } from 'bullmq'
import { createPostgresBackend } from 'bullmq'
import { kindOf } from './options.ts'

/** Connections to Postgres of a queue or worker: each has one more to listen on. */
const postgresConnections = 3

/** How BullMQ connects to the server of a URL: the arguments of its classes after the name. */
export function backendOf(url: string, options: object = {}): readonly [QueueBaseOptions, never?] {
  if (kindOf(url) === 'postgres') {
    // The first process creates or updates the tables.
    const connection = { connectionString: url, migrate: true, max: postgresConnections }
    return [{ ...options, connection } as unknown as QueueBaseOptions, createPostgresBackend as never]
  }
  // Commands wait for a server that is away. So they do not fail when it is restarted.
  return [{ ...options, connection: { url, maxRetriesPerRequest: null } as never }]
}
