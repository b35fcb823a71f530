export type { Answer } from './answer.ts'
export {
  type CertificateAuthority,
  createCertificateAuthority,
  type KeyAndCertificate,
} from './certificates.ts'
export { DatabricksEmulator, type DatabricksEmulatorOptions } from './databricks.ts'
export { Emulator, type EmulatorEvents, type EmulatorOptions } from './emulator.ts'
export type { TokenAuthority } from './entra.ts'
export { EntraEmulator, type EntraEmulatorOptions, entraUnavailable, type IssuedToken } from './entra.ts'
export type { Fault, RecordedRequest } from './fault.ts'
export { HecEmulator, type HecEmulatorOptions, type HecEvent } from './hec.ts'
export {
  type IngestedRow,
  IngestionEmulator,
  type IngestionEmulatorOptions,
} from './ingestion.ts'
export { type Column, type ColumnType, DynamicText } from './log-analytics/cells.ts'
export {
  type AnswerOptions,
  LogAnalyticsEmulator,
  type LogAnalyticsEmulatorOptions,
  type LogRows,
  type PartialFault,
  type QueryRequest,
} from './log-analytics/log-analytics.ts'
export { type PartialError, queryTimeout, tooManyBytes, tooManyRows } from './log-analytics/response.ts'
export type { Instant, RowInput, TableOptions } from './log-analytics/table.ts'
export { inferColumns, type RecordsTable, tableFromRecords } from './log-analytics/table-from-records.ts'
export type { QueryMatch } from './registered-answers.ts'
export { RestEmulator, type RestEmulatorOptions } from './rest.ts'
export type { SearchRequest, SplunkRows } from './splunk-search/run-search.ts'
export { type SearchFault, type SearchMessage, searchFaults } from './splunk-search/search-fault.ts'
export type { SplunkSearchEmulatorOptions } from './splunk-search/splunk-search.ts'
export { SplunkSearchEmulator } from './splunk-search/splunk-search.ts'
export { type Emulators, type EmulatorsOptions, startEmulators } from './start.ts'
