/**
 * Connectors that move security data between systems as native Node streams.
 * @packageDocumentation
 */
export {
  AzureMonitorReadable,
  type SourceRetryEvent,
  type SourceSplitEvent,
  type SourceStats,
  type WindowDoneEvent,
} from './azure-monitor/azure-monitor-readable.ts'
export {
  AzureMonitorStreamReadable,
  type SourceWindowEvent,
} from './azure-monitor/azure-monitor-stream-readable.ts'
export type {
  AzureMonitorReadableOptions,
  AzureMonitorStreamReadableOptions,
  AzureMonitorTablesOptions,
} from './azure-monitor/options.types.ts'
export type { Row } from './azure-monitor/result-rows.ts'
export type {
  Column,
  ColumnTypes,
  KqlType,
  KqlTypeName,
  KqlValues,
  RowOf,
  RowSchema,
  TableSchema,
} from './azure-monitor/schema.ts'
export { listTables, type TableInfo, tableSchema } from './azure-monitor/tables.ts'
export { BatchingWritable } from './core/batching-writable.ts'
export type { Identity } from './core/checkpoint-state.ts'
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
export type { Health } from './core/health.ts'
export { serialize } from './core/json.ts'
export type { BatchEvent, RejectedEvent, RetryEvent, SinkEvents, SinkStats } from './core/observation.ts'
export {
  declareOptions,
  type OptionConfig,
  type OptionDeclaration,
  type OptionSpec,
  type OptionSpecs,
  type OptionValues,
  option,
  Refusal,
  type Report,
} from './core/options.ts'
export { type SinkSettings, sinkSpecs } from './core/sink-options.ts'
export type { Attempt, EncodedRow, Entry, Reason, SinkProtocol, Verdict } from './core/sink-protocol.ts'
export type { StandardIssue, StandardResult, StandardSchema } from './core/standard-schema.ts'
export type { StreamOptions } from './core/stream-options.ts'
export type { PlainWindow } from './core/window.ts'
export type { Offset, WindowSource } from './core/window-source.ts'
export {
  type Connector,
  createReadable,
  createStreamReadable,
  createWritable,
  type ReadableTypes,
  register,
  registered,
  type StreamMaker,
  type StreamReadableTypes,
  type WritableTypes,
} from './registry.ts'
export { type RestOptions, RestWritable } from './rest/rest-writable.ts'
export type { SentinelOptionsBase, SentinelOptionsDcrId } from './sentinel/options.types.ts'
export { type SentinelOptions, SentinelWritable } from './sentinel/sentinel-writable.ts'
export { type SplunkOptions, SplunkWritable } from './splunk/splunk-writable.ts'
export { Backlog, type BacklogOptions, openBacklog } from './streaming/backlog.ts'
export { type PlanWindowsOptions, planWindows } from './streaming/plan-windows.ts'
export type { QueryEvents, QueryIdle, QueryProgress, WindowRetry } from './streaming/progress.ts'
export type {
  MakeTransform,
  RowGenerator,
  StreamingQueryOptions,
  TransformStage,
  Trigger,
} from './streaming/query-options.ts'
export { type QueryPart, StreamingError } from './streaming/streaming-error.ts'
export { StreamingQuery, streamingQuery } from './streaming/streaming-query.ts'
