/**
 * Checkpoints in PostgreSQL: the entry point `cyber-connectors/checkpoint-postgres`. It needs the package `pg`.
 * @packageDocumentation
 */

export { PostgresStore, type PostgresStoreOptions } from './postgres-store.ts'
