import { postgresMissing, startPostgres } from './postgres.ts'
import { redisMissing, startRedis } from './redis.ts'

/** The servers that a queue may be kept in. */
export const servers = [
  { server: 'Redis', missing: redisMissing, start: startRedis },
  { server: 'Postgres', missing: postgresMissing, start: startPostgres },
] as const
