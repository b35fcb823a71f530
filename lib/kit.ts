/**
 * What the author of a connector needs: the engines of sinks and sources, options, the HTTP client, redaction. The guides:
 * lib/sink/README.md and lib/source/README.md, "of your own".
 * @packageDocumentation
 */

export type { Identity } from './checkpoint/state.ts'
export {
  ConnectorError,
  DeliveryError,
  type ErrorCode,
  type ErrorDetails,
  OptionError,
  QueryError,
  RefusedRow,
} from './core/errors.ts'
export type { Health } from './core/health.ts'
export { serialize } from './core/json.ts'
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
export { credentialsOf, type Redact, redacted, redactor, urlSecrets } from './core/redaction.ts'
export {
  isTransientFault,
  isTransientStatus,
  RetryBudget,
  type RetryLimit,
  type RetryPolicy,
  retryAfter,
} from './core/retry.ts'
export type { Json, Offset, Slice } from './core/slice.ts'
export type { AnyOf, EitherSpelling, OneOf, OptionsOf, StreamOptions } from './core/spelling.ts'
export type {
  Fault,
  Hold,
  Reason,
  SinkVerdict,
  SourceFailure,
  SourceVerdict,
  Verdict,
  WindowVerdict,
} from './core/verdict.ts'
export type { PlainWindow, Window } from './core/window.ts'
export {
  type AnswerLimit,
  AnswerTooLong,
  HttpClient,
  type HttpRequest,
  type HttpResponse,
  type HttpStream,
  type StreamRequest,
} from './http/client.ts'
export { TimeoutError } from './http/deadline.ts'
export { checkHttpOptions, type HttpSettings, httpSpecs } from './http/options.ts'
export { headerOf, plainText, waitOf } from './http/response.ts'
export type { Connector, StreamingSource, StreamMaker } from './registry.ts'
export { register, registered } from './registry.ts'
export { BatchingWritable } from './sink/batching-writable.ts'
export type { SinkEvents, SinkStats } from './sink/events.ts'
export { type SinkSettings, sinkSpecs } from './sink/options.ts'
export type { Attempt, Body, EncodedRow, Framing, SinkProtocol } from './sink/protocol.ts'
export { BoundedReadable, type BoundedSettings, type BoundedSource } from './source/bounded-readable.ts'
export type { SourceStats } from './source/events.ts'
export { HeldBody, type HeldBodyOptions } from './source/held-body.ts'
export {
  checkRange,
  checkStream,
  rangeSpecs,
  rangeWindows,
  sourceSpecs,
  streamSpecs,
  streamWindowSpecs,
  windowSpecs,
} from './source/options.ts'
export type { Divider, Planner, SliceSource } from './source/planner.ts'
export type { Ask, Page, Row, SourceObserver, SourceProtocol } from './source/protocol.ts'
export {
  type Column,
  type ColumnType,
  parseRowSchema,
  type RowOf,
  type RowSchema,
} from './source/row-schema.ts'
export { StreamReadable, type StreamSettings, type StreamSource } from './source/stream-readable.ts'
export type { WindowOffset } from './source/windows.ts'
export { WindowDivider, type WindowPlan, WindowPlanner, windowOf } from './source/windows.ts'
