/**
 * Connectors that move security data between systems as native Node streams.
 * @packageDocumentation
 */

export { DirectoryStore, type DirectoryStoreOptions } from './checkpoint/directory-store.ts'
export type { Identity } from './checkpoint/state.ts'
export type { CheckpointSession, CheckpointStore, OpenOptions, StoredText } from './checkpoint/store.ts'
export { AzureMonitorReadable } from './connectors/azure-monitor/azure-monitor-readable.ts'
export { AzureMonitorStreamReadable } from './connectors/azure-monitor/azure-monitor-stream-readable.ts'
export type {
  AzureMonitorReadableOptions,
  AzureMonitorStreamReadableOptions,
  AzureMonitorTablesOptions,
} from './connectors/azure-monitor/options.ts'
export { listTables, type TableInfo, tableSchema } from './connectors/azure-monitor/tables.ts'
export { FileError, RecordError } from './connectors/files/file-error.ts'
export type { FileRange, FilesOffset, FilesSlice } from './connectors/files/files-offset.ts'
export type { SkippedEvent } from './connectors/files/files-protocol.ts'
export { FilesReadable } from './connectors/files/files-readable.ts'
export {
  type CopyEvent,
  FilesStreamReadable,
  type WaitingEvent,
} from './connectors/files/files-stream-readable.ts'
export type { MalformedEvent } from './connectors/files/malformed.ts'
export type { FilesReadableOptions, FilesStreamReadableOptions } from './connectors/files/options.ts'
export type {
  DataLossEvent,
  KafkaOffset,
  KafkaSlice,
  LagEvent,
  MalformedMessageEvent,
  RebalanceEvent,
} from './connectors/kafka/events.ts'
export {
  KafkaReadable,
  type KafkaSourceEvents,
  KafkaStreamReadable,
  KafkaWritable,
} from './connectors/kafka/index.ts'
export type {
  KafkaOptions,
  KafkaReadableOptions,
  KafkaStreamReadableOptions,
} from './connectors/kafka/options.ts'
export { type AnswerCheck, type RestOptions, RestWritable } from './connectors/rest/index.ts'
export {
  type SentinelOptions,
  SentinelWritable,
  type TimeReplacedEvent,
  type UndeclaredEvent,
} from './connectors/sentinel/index.ts'
export {
  type SentinelTemplate,
  type SentinelTemplateOptions,
  sentinelTemplate,
} from './connectors/sentinel/template.ts'
export { type SplunkOptions, SplunkWritable } from './connectors/splunk/index.ts'

export type { SplunkMessageEvent, SplunkSearchEvent } from './connectors/splunk/search/search-protocol.ts'
export { SplunkReadable, type SplunkReadableOptions } from './connectors/splunk/splunk-readable.ts'
export {
  SplunkStreamReadable,
  type SplunkStreamReadableOptions,
} from './connectors/splunk/splunk-stream-readable.ts'
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
export { JsonRow } from './core/json-row.ts'
export type { Json, Offset, Slice } from './core/slice.ts'
export type { EitherSpelling, StreamOptions } from './core/spelling.ts'
export type { StandardIssue, StandardResult, StandardSchema } from './core/standard-schema.ts'
export type { PlainWindow } from './core/window.ts'
export {
  type Connector,
  createReadable,
  createStreamReadable,
  createWritable,
  type ReadableTypes,
  register,
  registered,
  type StreamingSource,
  type StreamMaker,
  type StreamReadableTypes,
  type WritableTypes,
} from './registry.ts'
export { type DeadLetter, DeadLetterFile } from './sink/dead-letter.ts'
export type { BatchEvent, RejectedEvent, RetryEvent, SinkEvents, SinkStats } from './sink/events.ts'
export type { SourceRetryEvent, SourceSplitEvent, SourceStats, SourceWindowEvent } from './source/events.ts'
export type { Row } from './source/protocol.ts'
export type {
  Column,
  ColumnType,
  ColumnTypeName,
  ColumnTypes,
  ColumnValues,
  RowOf,
  RowSchema,
  TableSchema,
} from './source/row-schema.ts'
export type { WindowOffset } from './source/windows.ts'
export { openStore, type StoreOptions } from './stores/open-store.ts'
export { Backlog, type BacklogOptions, openBacklog } from './streaming/backlog.ts'
export { type PlanWindowsOptions, planWindows } from './streaming/plan-windows.ts'
export type { QueryEvents, QueryIdle, QueryProgress, WindowRetry } from './streaming/query-events.ts'
export type { StreamingQueryOptions, Trigger } from './streaming/query-options.ts'
export type { MakeTransform, RowGenerator, TransformStage } from './streaming/run-window.ts'
export {
  type RunWindowOptions,
  runWindow,
  type WindowProgress,
  type WindowSource,
} from './streaming/run-window.ts'
export { StreamingQuery, streamingQuery } from './streaming/streaming-query.ts'
export {
  type DifferentKey,
  type VerifiedInterval,
  type VerifyEnd,
  type VerifyOptions,
  verify,
} from './streaming/verify.ts'
export type { QueryPart } from './streaming/window-error.ts'
export { StreamingError, WindowError } from './streaming/window-error.ts'
