import {
  declareOptions,
  type OptionSpecs,
  type OptionValues,
  option,
  type Report,
} from '../../core/options.ts'
import { retrySpecs } from '../../core/retry.ts'
import type { StandardSchema } from '../../core/standard-schema.ts'
import {
  checkRange,
  checkStream,
  rangeSpecs,
  sourceSpecs,
  streamWindowSpecs,
  windowSpecs,
} from '../../source/options.ts'
import { type ColumnType, columnTypeNames, parseRowSchema } from '../../source/row-schema.ts'
import { azureSpecs, checkAzureOptions, httpsUrl } from '../azure/options.ts'
import { earliestQuery, ingestionTimeAdvice, ingestionTimeQuery, relativeTime } from './query-windows.ts'

export const connectorName = 'azure-monitor'

/** Bytes of an answer that are held in memory. */
export const defaultHeldBytes = 16_000_000

const resourceForm = /^\/subscriptions\/[^/?#\s]+(\/[^/?#\s]+)*$/i

/** Where a query goes and who asks: also for {@link listTables} and {@link tableSchema}. */
export const targetSpecs = {
  workspace_id: option.custom<string>(
    {
      form: 'the id of a Log Analytics workspace',
      type: 'string',
      schema: { type: 'string', minLength: 1 },
      parse: (value) =>
        typeof value === 'string' && /^[\w.-]+$/.test(value.trim()) ? value.trim() : undefined,
    },
    {
      doc: 'Id of the Log Analytics workspace (a GUID, not its name). Required, unless `resource_id` is given.',
    },
  ),
  resource_id: option.custom<string>(
    {
      form: 'the id of an Azure resource, /subscriptions/…/providers/…',
      type: 'string',
      schema: { type: 'string', pattern: '^/subscriptions/' },
      parse: (value) =>
        typeof value === 'string' && resourceForm.test(value.trim()) ? value.trim() : undefined,
    },
    { doc: 'Asks for the logs of one Azure resource, given by its full id. Excludes `workspace_id`.' },
  ),
  endpoint: option.custom<string>(httpsUrl, {
    defaultText: 'by `azure_cloud`',
    doc: 'https URL of the query API, for private links and emulators. Its path does not count. The `audience` does not follow it.',
  }),
  ...azureSpecs,
  ...retrySpecs,
  request_timeout: option.amount({
    default: 300,
    doc: 'Seconds that one attempt of a query may take until its answer begins. The service is told; it allows 600 at most.',
  }),
  stall_timeout: option.amount({
    default: 60,
    doc: 'Seconds without a byte after which an answer that had begun is given up and asked for again.',
  }),
} satisfies OptionSpecs

/** Options of the bounded and of the streaming source. */
export const querySpecs = {
  ...targetSpecs,
  ...sourceSpecs({ max_in_flight: 4 }),
  ...windowSpecs,
  held_bytes: option.integer({
    min: 0,
    default: defaultHeldBytes,
    doc: 'Bytes of one answer that are held in memory, as they came; what comes after them goes to a temporary file until it is read.',
  }),
  query: option.text({
    verbatim: true,
    required: true,
    doc: 'The query, in KQL. It is sent as it is. The time range goes with the request, next to it.',
  }),
  inferSchema: option.flag({
    default: true,
    doc: 'Whether the types of columns are taken from the result. `false` needs a `schema`.',
  }),
  schema: option.custom<Map<string, ColumnType> | StandardSchema>(
    {
      form: 'an object { column: KQL type }, or a Standard Schema (zod, valibot, arktype…)',
      type: "import('../../source/row-schema.ts').RowSchema",
      schema: { type: 'object', additionalProperties: { enum: columnTypeNames }, minProperties: 1 },
      parse: parseRowSchema,
    },
    {
      doc: 'The columns that rows are to have and their KQL types: values are cast, columns that the result lacks are null, others are left out. Or any Standard Schema, which checks each row and gives it its type. A value that does not fit is an error.',
    },
  ),
  timestamp_column: option.text({
    default: 'TimeGenerated',
    doc: "The datetime column of the result that windows are kept by, to 100 ns. A read of more than one window (`num_partitions`, halves of what is too large, a `window`, streaming) needs it in the result as the rows' own time: a query that works it out, as `bin()` does, or that counts or limits rows, gives its true result in one window only.",
  }),
  long: option.oneOf(['number-or-bigint', 'bigint', 'string'], {
    default: 'number-or-bigint',
    doc: 'What a `long` becomes: `number-or-bigint` for a number, or a bigint beyond 2^53; always `bigint`; or its digits as a `string`, which `JSON.stringify` takes.',
  }),
  datetime: option.oneOf(['date', 'string'], {
    default: 'date',
    doc: "What a datetime becomes: `date` for a Date, which holds milliseconds; `string` for the service's own text, with all 7 digits of a second.",
  }),
} satisfies OptionSpecs

export type TargetValues = OptionValues<typeof targetSpecs>
export type QueryValues = OptionValues<typeof querySpecs>

export const boundedSpecs = { ...querySpecs, ...rangeSpecs } satisfies OptionSpecs

export type BoundedValues = OptionValues<typeof boundedSpecs>

type Given = ReadonlySet<string>

/** Reports what no option alone can tell about the target of a query. */
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

export const boundedDeclaration = declareOptions(connectorName, boundedSpecs, (values, report, given) => {
  checkQuery(values, report, given)
  checkRange(values, report, given)
})

/** Options of `listTables` and `tableSchema`. */
export const targetDeclaration = declareOptions(connectorName, targetSpecs, checkTarget)

export const streamSpecs = {
  ...querySpecs,
  ...streamWindowSpecs({ max_in_flight: 4, safety_lag_seconds: 300 }),
  window_by: option.oneOf(['timestamp_column', 'ingestion_time'], {
    default: 'timestamp_column',
    doc: "`ingestion_time` lays windows over the time when the service took rows in, so that rows which arrive hours late are read too, and once. The query must begin with a table's name, or refer to `window_start` and `window_end`.",
  }),
  allow_relative_time: option.flag({
    default: false,
    doc: 'Allows `ago()` and `now()` in the query. They are refused otherwise: a window of another time than now would pass as read with rows missing.',
  }),
} satisfies OptionSpecs

export type StreamValues = OptionValues<typeof streamSpecs>

export const streamDeclaration = declareOptions(connectorName, streamSpecs, (values, report, given) => {
  checkQuery(values, report, given)
  checkStream(values, report, given)
  const { query, window_by, start_time, allow_relative_time } = values
  const relative = query === undefined || allow_relative_time ? undefined : relativeTime(query)
  if (relative !== undefined) {
    report(
      `query: ${relative}() moves with the clock, but a stream asks for windows of another time, and rows would be missed: leave the time to the stream, or set allow_relative_time`,
    )
  }
  if (query === undefined || window_by !== 'ingestion_time') return
  if (!ingestionTimeQuery(query)) report(`query: ${ingestionTimeAdvice}`)
  else if (start_time === 'earliest' && earliestQuery(query, 'ingestion_time') === undefined) {
    report(
      'start_time: with window_by "ingestion_time", "earliest" needs a query that begins with a table\'s name; give an instant',
    )
  }
})
