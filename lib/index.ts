/**
 * Connectors that move security data between systems as native Node streams.
 * @packageDocumentation
 */
export { BatchingWritable } from './core/batching-writable.ts'
export { type DeadLetter, DeadLetterFile } from './core/dead-letter.ts'
export {
  CheckpointError,
  ConnectorError,
  DeliveryError,
  type ErrorCode,
  type ErrorDetails,
  errorCodes,
  OptionError,
  QueryError,
} from './core/errors.ts'
export type { BatchEvent, RejectedEvent, RetryEvent, SinkEvents, SinkStats } from './core/observation.ts'
export {
  type Connector,
  createWritable,
  register,
  registered,
  type StreamMaker,
  type WritableTypes,
} from './registry.ts'
export { type Health, type SplunkOptions, SplunkWritable } from './splunk/splunk-writable.ts'
