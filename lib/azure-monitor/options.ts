import { azureSpecs, checkAzureOptions, httpsUrl } from '../azure/options.ts'
import {
  declareOptions,
  type OptionSpecs,
  type OptionValues,
  option,
  Refusal,
  type Report,
} from '../core/options.ts'
import { retrySpecs } from '../core/retry.ts'
import type { StandardSchema } from '../core/standard-schema.ts'
import { formatInstant, parseDuration, parseInstant, type Ticks } from '../core/time.ts'
import { fromPlainWindow, type Window } from '../core/window.ts'
import { type KqlType, kqlTypeNames, parseSchema } from './schema.ts'

export const connectorName = 'azure-monitor'

/** An instant as ISO 8601 text or a Date. */
export const instant = {
  form: 'an ISO 8601 instant, such as 2024-05-01T00:00:00Z',
  type: 'string | Date',
  schema: { type: 'string', format: 'date-time' },
  parse(value: unknown): Ticks | undefined {
    if (value instanceof Date)
      return Number.isNaN(value.getTime()) ? undefined : parseInstant(value.toISOString())
    return typeof value === 'string' ? parseInstant(value) : undefined
  },
}

const duration = {
  form: 'an ISO 8601 duration, such as P1D or PT30M',
  type: 'string',
  schema: { type: 'string', format: 'duration' },
  parse(value: unknown): Ticks | undefined {
    if (typeof value !== 'string') return undefined
    const ticks = parseDuration(value)
    if (ticks === undefined && /^P(\d+([.,]\d+)?[YMWD])*\d+([.,]\d+)?[YM]/i.test(value.trim())) {
      throw new Refusal(
        `years and months differ in length, so ${JSON.stringify(value)} is not an exact span: give it in weeks, days, hours, minutes or seconds`,
      )
    }
    return ticks === 0n ? undefined : ticks
  },
}

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

/** What the bounded and the streaming source share. */
export const sourceSpecs = {
  ...targetSpecs,
  query: option.text({
    required: true,
    doc: 'The query, in KQL. It is sent as it is. The time range goes with the request, next to it.',
  }),
  inferSchema: option.flag({
    default: true,
    doc: 'Whether the types of columns are taken from the result. `false` needs a `schema`.',
  }),
  schema: option.custom<Map<string, KqlType> | StandardSchema>(
    {
      form: 'an object { column: KQL type }, or a Standard Schema (zod, valibot, arktype…)',
      type: "import('./schema.ts').RowSchema",
      schema: { type: 'object', additionalProperties: { enum: kqlTypeNames }, minProperties: 1 },
      parse: parseSchema,
    },
    {
      doc: 'The columns that rows are to have and their KQL types: values are cast, columns that the result lacks are null, others are left out. Or any Standard Schema, which checks each row and gives it its type. A value that does not fit is an error.',
    },
  ),
  timestamp_column: option.text({
    default: 'TimeGenerated',
    doc: "The datetime column of the result that windows are kept by, to 100 ns. A read of more than one window (`num_partitions`, halves of what is too large, a `window`, streaming) needs it in the result as the rows' own time: a query that works it out, as `bin()` does, or that counts or limits rows, gives its true result in one window only.",
  }),
  datetime: option.oneOf(['date', 'string'], {
    default: 'date',
    doc: "What a datetime becomes: `date` for a Date, which holds milliseconds; `string` for the service's own text, with all 7 digits of a second.",
  }),
  min_partition_seconds: option.amount({
    default: 60,
    doc: 'A window whose result is too large is halved, and its halves again, but none gets shorter than this many seconds.',
  }),
} satisfies OptionSpecs

export type TargetValues = OptionValues<typeof targetSpecs>
export type SourceValues = OptionValues<typeof sourceSpecs>

export const boundedSpecs = {
  ...sourceSpecs,
  timespan: option.custom<Ticks>(duration, {
    doc: 'How far back from now to read, as an ISO 8601 duration in weeks, days, hours, minutes and seconds (`P1D`, `PT1.5H`). In place of `start_time`.',
  }),
  start_time: option.custom<Ticks>(instant, {
    doc: 'First instant to read, ISO 8601 with any offset and up to 7 digits of a second; UTC without an offset. In place of `timespan`.',
  }),
  end_time: option.custom<Ticks>(instant, {
    defaultText: 'now',
    doc: 'End of the time to read, itself not included. Goes with `start_time`.',
  }),
  window: option.custom<Window>(
    {
      form: 'a window { start, end } of ISO 8601 instants, its end after its start',
      type: '{ readonly start: string; readonly end: string; readonly id?: string }',
      schema: {
        type: 'object',
        properties: { id: { type: 'string' }, start: { type: 'string' }, end: { type: 'string' } },
        required: ['start', 'end'],
      },
      parse: fromPlainWindow,
    },
    {
      doc: 'One window of `planWindows`, in place of `timespan` and `start_time`. As others are read elsewhere, the result needs the `timestamp_column`.',
    },
  ),
  num_partitions: option.integer({
    min: 1,
    default: 1,
    doc: 'Equal slices of the time range, asked for in parallel; their rows come out in order of the slices. At most 4 answers are asked for or held ready at once.',
  }),
} satisfies OptionSpecs

export type BoundedValues = OptionValues<typeof boundedSpecs>

type Given = ReadonlySet<string>

/** Reports what no option alone can tell about the target of a query. */
export function checkTarget(values: Partial<TargetValues>, report: Report, given: Given): void {
  const targets = ['workspace_id', 'resource_id'].filter((name) => given.has(name))
  if (targets.length > 1) report('workspace_id and resource_id exclude each other')
  if (targets.length === 0) report('workspace_id: is required, unless resource_id is given')
  checkAzureOptions(values, report, given)
}

export function checkSource(values: Partial<SourceValues>, report: Report, given: Given): void {
  checkTarget(values, report, given)
  if (values.inferSchema === false && !given.has('schema')) {
    report('schema: is required with inferSchema: false')
  }
}

function checkRange({ start_time, end_time }: Partial<BoundedValues>, report: Report, given: Given): void {
  const ranges = ['timespan', 'start_time', 'window'].filter((name) => given.has(name))
  if (ranges.length > 1) report(`${ranges.join(' and ')} exclude each other`)
  if (ranges.length === 0) report('the time range is missing: give timespan, or start_time, or a window')
  if (given.has('end_time') && !given.has('start_time')) report('end_time: needs start_time')
  if (start_time === undefined) return
  if (end_time !== undefined && end_time <= start_time) {
    report(`end_time: ${formatInstant(end_time)} is not after start_time ${formatInstant(start_time)}`)
  } else if (!given.has('end_time') && start_time >= now()) {
    report(`start_time: ${formatInstant(start_time)} is not before now, and no end_time is given`)
  }
}

function now(): Ticks {
  return BigInt(Date.now()) * 10_000n
}

export const boundedDeclaration = declareOptions(connectorName, boundedSpecs, (values, report, given) => {
  checkSource(values, report, given)
  checkRange(values, report, given)
})

/** Options of `listTables` and `tableSchema`. */
export const targetDeclaration = declareOptions(connectorName, targetSpecs, checkTarget)

/** The time range that the options ask for. */
export function requestedWindow({ timespan, start_time, end_time, window }: BoundedValues): Window {
  if (window) return window
  const end = end_time ?? now()
  return { start: start_time ?? end - timespan!, end }
}
