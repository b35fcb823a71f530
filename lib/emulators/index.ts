export type { Answer } from './answer.ts'
export {
  type CertificateAuthority,
  createCertificateAuthority,
  type KeyAndCertificate,
} from './certificates.ts'
export { DatabricksEmulator, type DatabricksEmulatorOptions } from './databricks.ts'
export { Emulator, type EmulatorEvents, type EmulatorOptions, type RecordedRequest } from './emulator.ts'
export { EntraEmulator, type EntraEmulatorOptions, type IssuedToken } from './entra.ts'
export type { Fault } from './fault.ts'
export { HecEmulator, type HecEmulatorOptions, type HecEvent } from './hec.ts'
export {
  type IngestedRow,
  IngestionEmulator,
  type IngestionEmulatorOptions,
} from './ingestion.ts'
export { type Column, type ColumnType, DynamicText } from './kql-values.ts'
export {
  LogAnalyticsEmulator,
  type LogAnalyticsEmulatorOptions,
  type PartialFault,
  type QueryRequest,
} from './log-analytics.ts'
export { queryTimeout } from './log-analytics-errors.ts'
export { type PartialError, tooManyBytes, tooManyRows } from './log-analytics-response.ts'
export type { GeneratedRows, Instant, RowInput, TableOptions } from './log-analytics-table.ts'
export { RestEmulator, type RestEmulatorOptions } from './rest.ts'
export { type Emulators, type EmulatorsOptions, startEmulators } from './start.ts'
export { type RecordsTable, tableFromRecords } from './table-from-records.ts'
export type { TokenAuthority } from './token-authority.ts'
