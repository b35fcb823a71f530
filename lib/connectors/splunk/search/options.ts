import {
  declareOptions,
  type OptionSpecs,
  type OptionValues,
  option,
  Refusal,
  type Report,
} from '../../../core/options.ts'
import { retrySpecs } from '../../../core/retry.ts'
import type { StandardSchema } from '../../../core/standard-schema.ts'
import { httpSpecs } from '../../../http/options.ts'
import {
  checkRange,
  checkStream,
  rangeSpecs,
  rangeWindows,
  sourceSpecs,
  streamWindowSpecs,
  windowSpecs,
} from '../../../source/options.ts'
import { type ColumnType, columnTypeNames, parseRowSchema } from '../../../source/row-schema.ts'
import {
  beginsWithCommand,
  composedSearch,
  readSpl,
  type Spl,
  SplError,
  timeModifier,
  transformingCommand,
  unsafeFilter,
  unsafeValue,
  wholeRangeCommand,
  writingCommand,
} from './spl.ts'

/** Where a token is taken from where no option gives one. */
export const tokenVariable = 'SPLUNK_AUTH_TOKEN'

const indexForm = /^_?[A-Za-z0-9][A-Za-z0-9_-]*\*?$|^\*$/

function indexNames(value: unknown): readonly string[] | undefined {
  const list = typeof value === 'string' ? value.split(',').map((name) => name.trim()) : value
  if (!Array.isArray(list) || list.length === 0) return undefined
  return list.every((name) => typeof name === 'string' && indexForm.test(name) && name.length <= 80)
    ? list
    : undefined
}

/** A value of a field, put in quotes. */
const fieldValue = {
  form: 'a text that is not empty, without line breaks and backticks',
  type: 'string',
  schema: { type: 'string', minLength: 1 },
  parse(value: unknown): string | undefined {
    if (typeof value !== 'string' || value.trim() === '') return undefined
    const why = unsafeValue(value)
    if (why !== undefined) throw new Refusal(why)
    return value
  },
}

const filter = {
  ...fieldValue,
  form: 'a condition of fields and values, such as status=500 OR user="a b"',
  parse(value: unknown): string | undefined {
    if (typeof value !== 'string' || value.trim() === '') return undefined
    const why = unsafeFilter(value)
    if (why !== undefined)
      throw new Refusal(
        `${why}. Only fields, values, AND, OR, NOT, IN and parentheses can stand here; give anything else as query`,
      )
    return value
  },
}

const namespaceForm = /^[\w.@ -]+$/
const namespacePart = {
  form: 'a name of letters, digits and _ . @ -',
  type: 'string',
  schema: { type: 'string', minLength: 1 },
  parse: (value: unknown) => (typeof value === 'string' && namespaceForm.test(value) ? value : undefined),
}

const secondsOrAll = {
  form: 'a number of 0 or more, or "all"',
  type: "number | 'all' | (string & {})",
  schema: { type: ['number', 'string'], minimum: 0 },
  parse(value: unknown): number | 'all' | undefined {
    if (typeof value === 'string' && value.trim().toLowerCase() === 'all') return 'all'
    const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value
    return typeof number === 'number' && number >= 0 && number < 1e11 ? number : undefined
  },
}

/** What the bounded and the streaming source share. */
export const searchSpecs = {
  splunkd_url: option.url({
    required: true,
    doc: 'Management URL of Splunk, such as `https://host:8089`: not that of Splunk Web (8000), nor that of HEC (8088).',
  }),
  splunkd_token: option.text({
    secret: true,
    defaultText: `\`${tokenVariable}\` of the environment`,
    doc: 'Authentication token. In place of `username` and `password`.',
  }),
  auth_scheme: option.oneOf(['Splunk', 'Bearer', 'Basic'], {
    default: 'Splunk',
    doc: 'How to sign in. With a token: `Splunk` or `Bearer`. With user and password: `Splunk` for a session key, which is renewed when it ends, or `Basic`.',
  }),
  username: option.text({ doc: 'User to sign in as, with `password`.' }),
  password: option.text({ secret: true, doc: 'Password of `username`.' }),
  app: option.custom<string>(namespacePart, {
    doc: 'App whose knowledge objects (macros, lookups, field extractions) count.',
  }),
  owner: option.custom<string>(namespacePart, {
    defaultText: '`nobody`, where `app` is given',
    doc: 'User whose knowledge objects count.',
  }),
  query: option.text({
    verbatim: true,
    doc: 'The search, in SPL: `search …` or `| …`. It is sent as it is; a search of events gets an `eval` at its end, for exact times. In place of `index` and the others.',
  }),
  index: option.custom<readonly string[]>(
    {
      form: 'the name of an index (letters, digits, - and _; a * at the end stands for several), or several',
      type: 'string | readonly string[]',
      schema: { anyOf: [{ type: 'string' }, { type: 'array', items: { type: 'string' } }] },
      parse: indexNames,
    },
    {
      doc: 'Index, or several. A search is made of this and the following ones; values are put in quotes, `*` stays a wildcard.',
    },
  ),
  sourcetype: option.custom<string>(fieldValue, { doc: 'Sourcetype of the events.' }),
  source: option.custom<string>(fieldValue, { doc: 'Source of the events.' }),
  host: option.custom<string>(fieldValue, { doc: 'Host of the events.' }),
  search_filter: option.custom<string>(filter, {
    doc: 'A further condition on events: fields, values, AND, OR, NOT, IN, parentheses. It is put in parentheses; pipes, subsearches, macros and time modifiers are refused.',
  }),
  search_mode: option.oneOf(['auto', 'export', 'job'], {
    default: 'auto',
    doc: '`export` streams results; `job` makes a search job, waits for its end and reads its pages. `auto`: a job for transforming searches (stats, timechart, …), else an export. The event `search` says which.',
  }),
  page_rows: option.custom<number, { readonly doc: string; readonly default: 10_000 }>(
    {
      form: 'an integer of 1 to 50000',
      type: 'number | string',
      schema: { type: ['integer', 'string'], minimum: 1, maximum: 50_000 },
      parse(value) {
        const number = typeof value === 'string' && /^\d+$/.test(value.trim()) ? Number(value) : value
        return Number.isInteger(number) && (number as number) >= 1 && (number as number) <= 50_000
          ? (number as number)
          : undefined
      },
    },
    {
      default: 10_000,
      doc: "Rows of a page of a job's results. `max_in_flight` pages are asked for at once.",
    },
  ),
  output_mode: option.custom<'json', { readonly doc: string; readonly default: 'json' }>(
    {
      form: '"json"',
      type: "'json'",
      schema: { enum: ['json'] },
      parse(value) {
        if (value === 'json_rows') {
          throw new Refusal(
            'expected "json": how answers travel is no matter of the rows, and json is the form of exports',
          )
        }
        return value === 'json' ? value : undefined
      },
    },
    { default: 'json', doc: 'Form of the answers.' },
  ),
  inferSchema: option.flag({
    default: false,
    doc: 'Whether types of columns are inferred from the first rows (up to 1,000). Without it all values are texts but `_time` and `_indextime`.',
  }),
  schema: option.custom<Map<string, ColumnType> | StandardSchema>(
    {
      form: 'an object { column: type }, or a Standard Schema (zod, valibot, arktype…)',
      type: "import('../../source/row-schema.ts').RowSchema",
      schema: { type: 'object', additionalProperties: { enum: columnTypeNames }, minProperties: 1 },
      parse: parseRowSchema,
    },
    {
      doc: 'The columns that rows are to have and their types: columns that an event lacks are null, others are left out. Or any Standard Schema, which checks each row and gives it its type.',
    },
  ),
  mode: option.oneOf(['FAILFAST', 'PERMISSIVE'], {
    default: 'FAILFAST',
    doc: 'What becomes of a value that does not fit its column: `FAILFAST` for an error, `PERMISSIVE` for null.',
  }),
  datetime: option.oneOf(['date', 'string'], {
    default: 'date',
    doc: 'What `_time` and other instants become: `date` for a Date, which holds milliseconds; `string` for ISO 8601 with all the digits that Splunk has.',
  }),
  long: option.oneOf(['number-or-bigint', 'bigint', 'string'], {
    default: 'number-or-bigint',
    doc: 'What a `long` becomes: a number, and a bigint where that would be wrong; always a bigint; or text.',
  }),
  event_id: option.flag({
    default: false,
    doc: 'Adds `_bkt` and `_cd`, which together are the identity of an event: for sinks that drop rows that come twice.',
  }),
  look_back_seconds: option.custom<number | 'all', { readonly doc: string; readonly default: 2_592_000 }>(
    secondsOrAll,
    {
      default: 2_592_000,
      doc: 'With windows by index time: how much older than its arrival an event may be by its own time. Older ones are missed; `all` looks at everything, which takes longer.',
    },
  ),
  look_ahead_seconds: option.custom<number | 'all', { readonly doc: string; readonly default: 172_800 }>(
    secondsOrAll,
    {
      default: 172_800,
      doc: 'With windows by index time: how far ahead of its arrival an event may lie by its own time.',
    },
  ),
  allow_transforming_queries: option.flag({
    default: false,
    doc: 'Lets searches be read in several windows whose result depends on the whole range (stats, dedup, head, …): each window then has its own result.',
  }),
  held_bytes: option.integer({
    min: 0,
    default: 16_000_000,
    doc: 'Bytes of one answer that are held in memory; what comes after them goes to a temporary file until it is read.',
  }),
  ...sourceSpecs({ max_in_flight: 2 }),
  ...windowSpecs,
  min_partition_seconds: option.amount({
    default: 1,
    doc: 'A window whose result is too large is halved, and its halves again, but none gets shorter than this many seconds.',
  }),
  ...retrySpecs,
  read_timeout: option.amount({
    default: 300,
    doc: 'Seconds without a byte, before an answer or within it, after which it is given up and asked for again.',
  }),
  compression: option.oneOf(['gzip', 'none'], {
    default: 'gzip',
    doc: 'Whether answers are asked for compressed. They are held as they come.',
  }),
  ...httpSpecs,
} satisfies OptionSpecs

export type SearchValues = OptionValues<typeof searchSpecs>

/** Options that a search is made of. */
const parts = ['index', 'sourcetype', 'source', 'host', 'search_filter'] as const

type Given = ReadonlySet<string>

function checkUrl(url: string, report: Report): void {
  const { port, pathname, username, password } = new URL(url)
  if (username || password) report('splunkd_url: has a user or password: give them as username and password')
  if (port === '8088' || /\/services\/collector/.test(pathname)) {
    report(
      'splunkd_url: is the URL of HEC, which takes events in: the management URL is due, such as https://host:8089',
    )
  } else if (port === '8000' || /^\/[a-z]{2}-[A-Z]{2}(\/|$)/.test(pathname)) {
    report('splunkd_url: is the URL of Splunk Web: the management URL is due, such as https://host:8089')
  }
}

const hecToken = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

function checkSignIn(values: Partial<SearchValues>, report: Report, given: Given): void {
  const { splunkd_token, auth_scheme, username } = values
  const token = splunkd_token ?? (given.has('username') ? undefined : process.env[tokenVariable])
  const where = splunkd_token === undefined ? tokenVariable : 'splunkd_token'
  const byUser = given.has('username') || given.has('password')
  if (given.has('splunkd_token') && byUser) report('splunkd_token and username exclude each other')
  if (byUser && !(given.has('username') && given.has('password'))) report('username and password go together')
  if (!byUser && !given.has('splunkd_token') && !token) {
    report(
      `splunkd_token: is required, unless ${tokenVariable} is in the environment, or username and password are given`,
    )
  }
  if (username?.includes(':') && auth_scheme === 'Basic')
    report('username: can not have a ":" with auth_scheme "Basic"')
  if (byUser && auth_scheme === 'Bearer') report('auth_scheme: "Bearer" needs a splunkd_token')
  if (!byUser && auth_scheme === 'Basic') report('auth_scheme: "Basic" needs username and password')
  if (token === undefined || byUser) return
  if (/^(Splunk|Bearer|Basic)\s/i.test(token))
    report(`${where}: begins with a scheme, which auth_scheme gives: leave it out`)
  else if (!/^[\x21-\x7e]+$/.test(token))
    report(`${where}: holds a space, a line break or another character that no token has`)
  else if (hecToken.test(token))
    report(`${where}: is a GUID, as tokens of HEC are: an authentication token is due`)
}

/** The search that the options ask for, understood as far as it must be. @throws SplError */
export function searchOf(values: Partial<SearchValues>): { readonly text: string; readonly spl: Spl } {
  const text = values.query ?? composedSearch(values)
  return { text, spl: readSpl(text) }
}

function checkSearch(values: Partial<SearchValues>, report: Report, given: Given): Spl | undefined {
  const own = parts.filter((name) => given.has(name))
  if (given.has('query') && own.length > 0) report(`query and ${own.join(', ')} exclude each other`)
  if (!given.has('query') && own.length === 0)
    report('query: is required, unless index, sourcetype, source, host or search_filter is given')
  if (!given.has('query') && own.length > 0 && !own.some((name) => name !== 'search_filter')) {
    report('search_filter: needs an index, sourcetype, source or host beside it')
  }
  if (values.query === undefined)
    return own.length > 0 && own.every((name) => values[name] !== undefined)
      ? searchOf(values).spl
      : undefined
  try {
    const spl = readSpl(values.query)
    if (!beginsWithCommand(spl)) {
      report(
        `query: does not begin with a command: write "search ${values.query.trim().slice(0, 40)}…", or "| …"`,
      )
    }
    const modifier = timeModifier(spl)
    if (modifier !== undefined) {
      report(
        `query: has the time modifier "${modifier}", which would count in place of each window: give the time range by options`,
      )
    }
    const writes = writingCommand(spl)
    if (writes !== undefined)
      report(
        `query: has the command "${writes}", which changes something: a read that is tried again would do it twice`,
      )
    return spl
  } catch (error) {
    if (!(error instanceof SplError)) throw error
    report(`query: ${error.message}`)
    return undefined
  }
}

function checkShared(values: Partial<SearchValues>, report: Report, given: Given): Spl | undefined {
  if (values.splunkd_url !== undefined) checkUrl(values.splunkd_url, report)
  checkSignIn(values, report, given)
  if (given.has('schema') && values.inferSchema === true)
    report('schema and inferSchema: true exclude each other')
  const spl = checkSearch(values, report, given)
  const transforming = spl && transformingCommand(spl)
  if (transforming !== undefined) {
    if (values.event_id) report(`event_id: a search with "${transforming}" has no events`)
  }
  return spl
}

function severalWindows(command: string): string {
  return `has the command "${command}", whose result depends on the whole time range, and is read in several windows: each would have its own result. Set allow_transforming_queries to want that`
}

export const boundedSearchSpecs = {
  ...searchSpecs,
  ...rangeSpecs,
  window_by: option.oneOf(['event_time', 'index_time'], {
    default: 'event_time',
    doc: 'Whether the time range is one of `_time` (`event_time`), or of the arrival of events (`index_time`), which has whole seconds.',
  }),
} satisfies OptionSpecs

export type BoundedSearchValues = OptionValues<typeof boundedSearchSpecs>

export const boundedSearch = declareOptions('splunk', boundedSearchSpecs, (values, report, given) => {
  checkRange(values, report, given)
  const spl = checkShared(values, report, given)
  if (!spl || values.allow_transforming_queries) return
  const command = wholeRangeCommand(spl)
  if (command !== undefined && isCut(values)) report(`query: ${severalWindows(command)}`)
  const transforming = transformingCommand(spl)
  if (transforming !== undefined && values.window_by === 'index_time') {
    report(`window_by: a search with "${transforming}" has no index time to keep rows by`)
  }
})

function isCut(values: Partial<BoundedSearchValues>): boolean {
  const { num_partitions = 1, partition_duration, timespan, start_time, window } = values
  if (window !== undefined || num_partitions > 1) return true
  if (partition_duration === undefined || (timespan ?? start_time) === undefined) return false
  return rangeWindows({ ...values, num_partitions } as BoundedSearchValues).length > 1
}

export const streamSearchSpecs = {
  ...streamWindowSpecs({ max_in_flight: 2, safety_lag_seconds: 60 }),
  ...searchSpecs,
  window_by: option.oneOf(['index_time', 'event_time'], {
    default: 'index_time',
    doc: 'Windows over the time when events arrived (`index_time`), so that late ones are read too, and once; or over their own time (`event_time`), where one that arrives later than `safety_lag_seconds` is missed.',
  }),
} satisfies OptionSpecs

export type StreamSearchValues = OptionValues<typeof streamSearchSpecs>

export const streamSearch = declareOptions('splunk', streamSearchSpecs, (values, report, given) => {
  checkStream(values, report, given)
  const spl = checkShared(values, report, given)
  const command = spl && wholeRangeCommand(spl)
  if (command === undefined) return
  if (!values.allow_transforming_queries) report(`query: ${severalWindows(command)}`)
  else if (
    transformingCommand(spl!) !== undefined &&
    values.window_by === 'index_time' &&
    given.has('window_by')
  ) {
    report('window_by: a transforming search has no index time to keep rows by: its windows go by event_time')
  }
})
