/**
 * Checkpoints in Redis: the entry point `cyber-connectors/checkpoint-redis`. It needs the package `ioredis`.
 * @packageDocumentation
 */

export { RedisStore, type RedisStoreOptions } from './redis-store.ts'
