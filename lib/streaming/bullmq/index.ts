/**
 * Windows spread over any number of workers, by a queue of BullMQ 6 in Redis, Valkey or PostgreSQL.
 * @packageDocumentation
 */

export type { QueueOptions } from './options.ts'
export {
  type FailedWindow,
  openQueue,
  type QueueStatus,
  type WindowJob,
  WindowQueue,
} from './window-queue.ts'
export {
  startWorker,
  type WindowReturned,
  WindowWorker,
  type WorkerEvents,
  type WorkerOptions,
} from './window-worker.ts'
