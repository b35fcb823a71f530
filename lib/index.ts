/**
 * Connectors that move security data between systems as native Node streams.
 * @packageDocumentation
 */
export {
  AzureMonitorReadable,
  type SourceRetryEvent,
  type SourceSplitEvent,
  type SourceStats,
} from './azure-monitor/azure-monitor-readable.ts'
export type { AzureMonitorReadableOptions } from './azure-monitor/options.types.ts'
export type { Row } from './azure-monitor/result-rows.ts'
export type { Column, RowOf, RowSchema, TableSchema } from './azure-monitor/schema.ts'
export { listTables, type TableInfo, tableSchema } from './azure-monitor/tables.ts'
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
  RefusedRow,
} from './core/errors.ts'
export { serialize } from './core/json.ts'
export type { BatchEvent, RejectedEvent, RetryEvent, SinkEvents, SinkStats } from './core/observation.ts'
export {
  declareOptions,
  type OptionDeclaration,
  type OptionSpec,
  type OptionSpecs,
  type OptionValues,
  option,
} from './core/options.ts'
export { type SinkSettings, sinkSpecs } from './core/sink-options.ts'
export type { Attempt, EncodedRow, Entry, Reason, SinkProtocol, Verdict } from './core/sink-protocol.ts'
export {
  type Connector,
  createReadable,
  createWritable,
  type ReadableTypes,
  register,
  registered,
  type StreamMaker,
  type WritableTypes,
} from './registry.ts'
export { type RestOptions, RestWritable } from './rest/rest-writable.ts'
export { type SentinelOptions, SentinelWritable } from './sentinel/sentinel-writable.ts'
export { type Health, type SplunkOptions, SplunkWritable } from './splunk/splunk-writable.ts'
