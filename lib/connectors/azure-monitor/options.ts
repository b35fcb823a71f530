import {
  declareOptions,
  type OptionDeclaration,
  type OptionSpecs,
  type OptionValues,
  option,
  type Report,
} from '../../core/options.ts'
import { retrySpecs } from '../../core/retry.ts'
import type { OneOf, OptionsOf, StreamOptions } from '../../core/spelling.ts'
import type { StandardSchema } from '../../core/standard-schema.ts'
import {
  checkRange,
  checkStream,
  rangeSpecs,
  sourceSpecs,
  streamWindowSpecs,
  windowSpecs,
} from '../../source/options.ts'
import { type ColumnType, columnTypeNames, parseRowSchema, type RowSchema } from '../../source/row-schema.ts'
import { azureSpecs, checkAzureOptions, httpsUrl, type SignIn } from '../azure/options.ts'
import { earliestQuery, ingestionTimeAdvice, ingestionTimeQuery, relativeTime } from './query-windows.ts'

export const connectorName = 'azure-monitor'

/** Default of `held_bytes`. */
export const defaultHeldBytes = 16_000_000

const resourceForm = /^\/subscriptions\/[^/?#\s]+(\/[^/?#\s]+)*$/i

const requestSpecs = {
  /** Id of the Log Analytics workspace (a GUID, not its name). In place of `resource_id`. */
  workspace_id: option.custom<string>({
    form: 'the id of a Log Analytics workspace',
    schema: { type: 'string', minLength: 1 },
    parse: (value) =>
      typeof value === 'string' && /^[\w.-]+$/.test(value.trim()) ? value.trim() : undefined,
  }),
  /** Full id of the Azure resource whose logs are read. In place of `workspace_id`. */
  resource_id: option.custom<string>({
    form: 'the id of an Azure resource, /subscriptions/…/providers/…',
    schema: { type: 'string', pattern: '^/subscriptions/' },
    parse: (value) =>
      typeof value === 'string' && resourceForm.test(value.trim()) ? value.trim() : undefined,
  }),
  /**
   * https URL of the query API, for private links and emulators. The path is ignored; set `audience` separately.
   * @default by `azure_cloud`
   */
  endpoint: option.custom<string, string | URL>(httpsUrl),
  /**
   * Timeout of one attempt until its answer starts, in seconds; sent to the service, which allows at most 600.
   * @default 300
   */
  request_timeout: option.amount({ default: 300 }),
  /**
   * Maximum pause within an answer, in seconds. A longer one ends the attempt, and the query is sent again.
   * @default 60
   */
  stall_timeout: option.amount({ default: 60 }),
} satisfies OptionSpecs

/** Endpoint and credentials of a query: also for {@link listTables} and {@link tableSchema}. */
export const targetSpecs: typeof requestSpecs & typeof azureSpecs & typeof retrySpecs = {
  ...requestSpecs,
  ...azureSpecs,
  ...retrySpecs,
}

const kqlSpecs = {
  /**
   * Whether to use `/search` instead of `/query`: tables of the plans Basic and Auxiliary answer only there.
   * https://learn.microsoft.com/azure/azure-monitor/logs/basic-logs-query
   * @default false
   */
  basic_tables: option.flag({ default: false }),
  /** Column that receives the name of the row's table. It replaces a column of that name. */
  table_column: option.text(),
  /** KQL query, sent unchanged. The request carries the time range separately. */
  query: option.text({ verbatim: true, required: true }),
  /**
   * Whether the result decides the types of columns. `false` needs a `schema`.
   * @default true
   */
  inferSchema: option.flag({ default: true }),
  /**
   * Columns of the rows and their KQL types: values are cast, columns missing in the result are null, others are left
   * out. Or a Standard Schema (zod, valibot, arktype…), which checks and types each row. A value that does not fit is an
   * error.
   */
  schema: option.custom<Map<string, ColumnType> | StandardSchema, RowSchema>({
    form: 'an object { column: KQL type }, or a Standard Schema (zod, valibot, arktype…)',
    schema: { type: 'object', additionalProperties: { enum: columnTypeNames }, minProperties: 1 },
    parse: parseRowSchema,
  }),
  /**
   * Datetime column that decides which window a row belongs to, to 100 ns. A read of several windows (`num_partitions`,
   * halves of a large result, a `window`, streaming) needs it in the result. If the query computes it, as `bin()` does,
   * or counts or limits rows, only a single window gives the true result.
   * @default "TimeGenerated"
   */
  timestamp_column: option.text({ default: 'TimeGenerated' }),
  /**
   * JavaScript type of a `long`: `number-or-bigint` (a bigint beyond 2^53), `bigint`, or `string`, which
   * `JSON.stringify` accepts.
   * @default "number-or-bigint"
   */
  long: option.oneOf(['number-or-bigint', 'bigint', 'string'], { default: 'number-or-bigint' }),
  /**
   * JavaScript type of a datetime: `date` (milliseconds), or `string`, the service's own with all 7 digits of a second.
   * @default "date"
   */
  datetime: option.oneOf(['date', 'string'], { default: 'date' }),
  /**
   * Maximum bytes of one answer held in memory, as received; the rest goes to a temporary file until it is read.
   * @default 16000000
   */
  held_bytes: option.integer({ min: 0, default: defaultHeldBytes }),
} satisfies OptionSpecs

type QuerySpecs = typeof kqlSpecs & typeof targetSpecs & typeof sourceSpecs & typeof windowSpecs

/** Options of the bounded and of the streaming source. */
export const querySpecs: QuerySpecs = { ...targetSpecs, ...sourceSpecs, ...windowSpecs, ...kqlSpecs }

export type TargetValues = OptionValues<typeof targetSpecs>
export type QueryValues = OptionValues<typeof querySpecs>

export const boundedSpecs: QuerySpecs & typeof rangeSpecs = { ...querySpecs, ...rangeSpecs }

/** A workspace or a resource. */
export type Target = OneOf<typeof requestSpecs, 'workspace_id' | 'resource_id'>

/** Options of `listTables` and `tableSchema`. */
export type AzureMonitorTablesOptions = OptionsOf<typeof targetSpecs> & StreamOptions & SignIn & Target

/** Options of the bounded Azure Monitor source. */
export type AzureMonitorReadableOptions = OptionsOf<typeof boundedSpecs> &
  StreamOptions &
  SignIn &
  Target &
  OneOf<typeof rangeSpecs, 'timespan' | 'start_time' | 'window'>

type Given = ReadonlySet<string>

/** Checks the options of the target together. */
export function checkTarget(values: Partial<TargetValues>, report: Report, given: Given): void {
  const targets = ['workspace_id', 'resource_id'].filter((name) => given.has(name))
  if (targets.length > 1) report('workspace_id and resource_id exclude each other')
  if (targets.length === 0) report('workspace_id: is required, unless resource_id is given')
  checkAzureOptions(values, report, given)
}

export function checkQuery(values: Partial<QueryValues>, report: Report, given: Given): void {
  checkTarget(values, report, given)
  if (values.inferSchema === false && !given.has('schema')) {
    report('schema: is required with inferSchema: false')
  }
}

export const boundedDeclaration: OptionDeclaration<typeof boundedSpecs> = declareOptions(
  connectorName,
  boundedSpecs,
  (values, report, given) => {
    checkQuery(values, report, given)
    checkRange(values, report, given)
  },
)

export const targetDeclaration: OptionDeclaration<typeof targetSpecs> = declareOptions(
  connectorName,
  targetSpecs,
  checkTarget,
)

const followSpecs = {
  /**
   * Time that windows go by: a row's `timestamp_column`, or `ingestion_time`, when the service stored the row, so that
   * rows which arrive hours late are read too, and once. With `ingestion_time` the query must start with a table name,
   * or refer to `window_start` and `window_end`.
   * @default "timestamp_column"
   */
  window_by: option.oneOf(['timestamp_column', 'ingestion_time'], { default: 'timestamp_column' }),
  /**
   * Whether the query may use `ago()` and `now()`. They move with the clock, so a window read later lacks rows.
   * @default false
   */
  allow_relative_time: option.flag({ default: false }),
} satisfies OptionSpecs

type StreamSpecs = typeof followSpecs & typeof querySpecs & typeof streamWindowSpecs

const streamSpecs: StreamSpecs = { ...querySpecs, ...streamWindowSpecs, ...followSpecs }

/** Options of the streaming Azure Monitor source. */
export type AzureMonitorStreamReadableOptions = OptionsOf<StreamSpecs> & StreamOptions & SignIn & Target

export const streamDeclaration: OptionDeclaration<StreamSpecs> = declareOptions(
  connectorName,
  streamSpecs,
  (values, report, given) => {
    checkQuery(values, report, given)
    checkStream(values, report, given)
    const { query, window_by, start_time, allow_relative_time } = values
    const relative = query === undefined || allow_relative_time ? undefined : relativeTime(query)
    if (relative !== undefined) {
      report(
        `query: ${relative}() moves with the clock, but a stream reads windows of other times, so rows would be missed: remove it, or set allow_relative_time`,
      )
    }
    if (query === undefined || window_by !== 'ingestion_time') return
    if (!ingestionTimeQuery(query)) report(`query: ${ingestionTimeAdvice}`)
    else if (start_time === 'earliest' && earliestQuery(query, 'ingestion_time') === undefined) {
      report(
        'start_time: with window_by "ingestion_time", "earliest" needs a query that begins with a table\'s name; give an instant',
      )
    }
  },
)
