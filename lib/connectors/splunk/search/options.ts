import {
  declareOptions,
  type Numeric,
  type OptionDeclaration,
  type OptionSpecs,
  type OptionValues,
  option,
  Refusal,
  type Report,
} from '../../../core/options.ts'
import { retrySpecs } from '../../../core/retry.ts'
import type { OneOf, OptionsOf, StreamOptions } from '../../../core/spelling.ts'
import type { StandardSchema } from '../../../core/standard-schema.ts'
import { checkHttpOptions, httpSpecs } from '../../../http/options.ts'
import {
  checkRange,
  checkStream,
  rangeSpecs,
  rangeWindows,
  streamWindowSpecs,
} from '../../../source/options.ts'
import {
  type ColumnType,
  columnTypeNames,
  parseRowSchema,
  type RowSchema,
} from '../../../source/row-schema.ts'
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

/** Environment variable of the token, used if no option gives one. */
export const tokenVariable = 'SPLUNK_AUTH_TOKEN'

const indexForm = /^_?[A-Za-z0-9][A-Za-z0-9_-]*\*?$|^\*$/

function indexNames(value: unknown): readonly string[] | undefined {
  const list = typeof value === 'string' ? value.split(',').map((name) => name.trim()) : value
  if (!Array.isArray(list) || list.length === 0) return undefined
  return list.every((name) => typeof name === 'string' && indexForm.test(name) && name.length <= 80)
    ? list
    : undefined
}

/** A value of a field, which the search quotes. */
const fieldValue = {
  form: 'a string that is not empty, without line breaks and backticks',
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
        `${why}. Only fields, values, AND, OR, NOT, IN and parentheses are accepted; use query for anything else`,
      )
    return value
  },
}

const namespaceForm = /^[\w.@ -]+$/
const namespacePart = {
  form: 'a name of letters, digits and _ . @ -',
  schema: { type: 'string', minLength: 1 },
  parse: (value: unknown) => (typeof value === 'string' && namespaceForm.test(value) ? value : undefined),
}

const secondsOrAll = {
  form: 'a number of 0 or more, or "all"',
  schema: { type: ['number', 'string'], minimum: 0 },
  parse(value: unknown): number | 'all' | undefined {
    if (typeof value === 'string' && value.trim().toLowerCase() === 'all') return 'all'
    const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value
    return typeof number === 'number' && number >= 0 && number < 1e11 ? number : undefined
  },
}

const ownSpecs = {
  /** Management URL of Splunk, such as `https://host:8089`; not that of Splunk Web (8000) or HEC (8088). */
  splunkd_url: option.url({ required: true }),
  /**
   * Authentication token, in place of `username` and `password`.
   * @default `SPLUNK_AUTH_TOKEN` of the environment
   */
  splunkd_token: option.text({ secret: true }),
  /**
   * Authentication scheme. For a token: `Splunk` or `Bearer`. For user and password: `Splunk` (a session key, renewed
   * when it expires) or `Basic`.
   * @default "Splunk"
   */
  auth_scheme: option.oneOf(['Splunk', 'Bearer', 'Basic'], { default: 'Splunk' }),
  /** User to sign in as. Needs `password`. */
  username: option.text(),
  /** Password of `username`. */
  password: option.text({ secret: true }),
  /** App whose knowledge objects (macros, lookups, field extractions) apply. */
  app: option.custom<string>(namespacePart),
  /**
   * User whose knowledge objects apply.
   * @default `nobody` if `app` is given
   */
  owner: option.custom<string>(namespacePart),
  /**
   * SPL search: `search …` or `| …`, in place of `index` and the others. Sent unchanged, except for an `eval` at the end
   * of a search of events, for exact times.
   */
  query: option.text({ verbatim: true }),
  /**
   * Index, or several. The source composes a search from this and the next four options; it quotes values, and `*`
   * stays a wildcard.
   */
  index: option.custom<readonly string[], string | readonly string[]>({
    form: 'the name of an index (letters, digits, - and _; a * at the end matches several), or several',
    schema: { anyOf: [{ type: 'string' }, { type: 'array', items: { type: 'string' } }] },
    parse: indexNames,
  }),
  /** Sourcetype of the events. */
  sourcetype: option.custom<string>(fieldValue),
  /** Source of the events. */
  source: option.custom<string>(fieldValue),
  /** Host of the events. */
  host: option.custom<string>(fieldValue),
  /**
   * Further condition on events: fields, values, AND, OR, NOT, IN, parentheses. Pipes, subsearches, macros and time
   * modifiers are rejected.
   */
  search_filter: option.custom<string>(filter),
  /**
   * Method of reading results: `export` streams them; `job` creates a search job, waits for it and reads its pages;
   * `auto` is `job` for transforming searches (stats, timechart, …), else `export`. The event `search` reports the mode.
   * @default "auto"
   */
  search_mode: option.oneOf(['auto', 'export', 'job'], { default: 'auto' }),
  /**
   * Parts of splunkd's messages to accept as harmless: the event `message` reports them, and the result counts. Failed
   * lookups and field extractions are always accepted.
   */
  accept_messages: option.custom<readonly string[], string | readonly string[]>({
    form: 'a part of a message, or several',
    schema: { anyOf: [{ type: 'string' }, { type: 'array', items: { type: 'string' } }] },
    parse: (value) => {
      const list = typeof value === 'string' ? [value] : value
      return Array.isArray(list) && list.every((part) => typeof part === 'string' && part.trim() !== '')
        ? (list as string[])
        : undefined
    },
  }),
  /**
   * Rows in a page of a job's results. The source reads `max_in_flight` pages at once.
   * @default 10000
   */
  page_rows: option.custom<number, Numeric>(
    {
      form: 'an integer of 1 to 50000',
      schema: { type: ['integer', 'string'], minimum: 1, maximum: 50_000 },
      parse(value) {
        const number = typeof value === 'string' && /^\d+$/.test(value.trim()) ? Number(value) : value
        return Number.isInteger(number) && (number as number) >= 1 && (number as number) <= 50_000
          ? (number as number)
          : undefined
      },
    },
    { default: 10_000 },
  ),
  /**
   * Accepted for jobs from PySpark, without effect: the rows are the same with either.
   * @default "json"
   */
  output_mode: option.oneOf(['json', 'json_rows'], { default: 'json' }),
  /**
   * Whether the first rows (up to 1,000) decide the types of columns. Without it all values are strings, except `_time`
   * and `_indextime`.
   * @default false
   */
  inferSchema: option.flag({ default: false }),
  /**
   * Columns of the rows and their types: columns missing in an event are null, others are left out. Or a Standard Schema
   * (zod, valibot, arktype…), which checks and types each row.
   */
  schema: option.custom<Map<string, ColumnType> | StandardSchema, RowSchema>({
    form: 'an object { column: type }, or a Standard Schema (zod, valibot, arktype…)',
    schema: { type: 'object', additionalProperties: { enum: columnTypeNames }, minProperties: 1 },
    parse: parseRowSchema,
  }),
  /**
   * Treatment of a value that does not fit its column: `FAILFAST` is an error, `PERMISSIVE` makes it null.
   * @default "FAILFAST"
   */
  mode: option.oneOf(['FAILFAST', 'PERMISSIVE'], { default: 'FAILFAST' }),
  /**
   * JavaScript type of `_time` and other instants: `date` (milliseconds), or `string`, ISO 8601 with all digits that
   * Splunk has.
   * @default "date"
   */
  datetime: option.oneOf(['date', 'string'], { default: 'date' }),
  /**
   * JavaScript type of a `long`: `number-or-bigint` (a bigint beyond 2^53), `bigint` or `string`.
   * @default "number-or-bigint"
   */
  long: option.oneOf(['number-or-bigint', 'bigint', 'string'], { default: 'number-or-bigint' }),
  /**
   * Whether rows get `_bkt` and `_cd`, which together identify an event: for sinks that drop duplicates.
   * @default false
   */
  event_id: option.flag({ default: false }),
  /**
   * With windows by index time: maximum age of an event at its arrival, in seconds. Older events are missed; `all` has
   * no limit, and is slower.
   * @default 2592000
   */
  look_back_seconds: option.custom<number | 'all', Numeric | 'all'>(secondsOrAll, { default: 2_592_000 }),
  /**
   * With windows by index time: maximum lead of an event's time over its arrival, in seconds. Events further ahead are
   * missed; `all` has no limit.
   * @default 172800
   */
  look_ahead_seconds: option.custom<number | 'all', Numeric | 'all'>(secondsOrAll, { default: 172_800 }),
  /**
   * Whether a search whose result depends on the whole range (stats, dedup, head, …) may be read in several windows.
   * Each window then has its own result.
   * @default false
   */
  allow_transforming_queries: option.flag({ default: false }),
  /**
   * Maximum bytes of one answer held in memory; the rest goes to a temporary file until it is read.
   * @default 16000000
   */
  held_bytes: option.integer({ min: 0, default: 16_000_000 }),
  /**
   * Maximum requests in flight, over all windows of the source; it reads or holds at most as many windows.
   * @default 2
   */
  max_in_flight: option.integer({ min: 1, default: 2 }),
  /**
   * Shortest window, in seconds, down to which a window is halved when its result is too large.
   * @default 1
   */
  min_partition_seconds: option.amount({ default: 1 }),
  /**
   * Maximum time to connect, TLS included, in seconds; then the request is retried.
   * @default `read_timeout`
   */
  connect_timeout: option.amount(),
  /**
   * Maximum pause before or within an answer, in seconds. A longer one ends the attempt, and the search is sent again.
   * @default 300
   */
  read_timeout: option.amount({ default: 300 }),
  /**
   * Compression of answers, in transit and while held.
   * @default "gzip"
   */
  compression: option.oneOf(['gzip', 'none'], { default: 'gzip' }),
} satisfies OptionSpecs

type SearchSpecs = typeof ownSpecs & typeof retrySpecs & typeof httpSpecs

/** Options of both sources. */
export const searchSpecs: SearchSpecs = { ...ownSpecs, ...retrySpecs, ...httpSpecs }

export type SearchValues = OptionValues<SearchSpecs>

/** Options from which a search is composed. */
export const searchParts = ['index', 'sourcetype', 'source', 'host', 'search_filter'] as const

type Given = ReadonlySet<string>

function checkUrl(url: string, report: Report): void {
  const { port, pathname, username, password } = new URL(url)
  if (username || password) report('splunkd_url: has a user or password: give them as username and password')
  if (port === '8088' || /\/services\/collector/.test(pathname)) {
    report('splunkd_url: this is the HEC URL; use the management URL, such as https://host:8089')
  } else if (port === '8000' || /^\/[a-z]{2}-[A-Z]{2}(\/|$)/.test(pathname)) {
    report('splunkd_url: this is the Splunk Web URL; use the management URL, such as https://host:8089')
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
    report(`${where}: begins with a scheme; leave it out, and set auth_scheme`)
  else if (!/^[\x21-\x7e]+$/.test(token))
    report(`${where}: holds a space, a line break or another character that no token has`)
  else if (hecToken.test(token))
    report(`${where}: is a GUID, as HEC tokens are; expected an authentication token`)
}

/** The search of the options, and its parsed form. @throws SplError */
export function searchOf(values: Partial<SearchValues>): { readonly text: string; readonly spl: Spl } {
  const text = values.query ?? composedSearch(values)
  return { text, spl: readSpl(text) }
}

function checkSearch(values: Partial<SearchValues>, report: Report, given: Given): Spl | undefined {
  const own = searchParts.filter((name) => given.has(name))
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
        `query: has the time modifier "${modifier}", which would replace each window; set the time range by options`,
      )
    }
    const writes = writingCommand(spl)
    if (writes !== undefined)
      report(`query: has the command "${writes}", which changes data: a retry would do it twice`)
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
  checkHttpOptions(values, report, given)
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
  return `has the command "${command}", whose result depends on the whole time range, but the range is read in several windows: each would have its own result. Set allow_transforming_queries to accept that`
}

const boundedOwn = {
  /**
   * Time that the range selects by: `event_time` (`_time`), or `index_time`, the arrival of events in whole seconds.
   * @default "event_time"
   */
  window_by: option.oneOf(['event_time', 'index_time'], { default: 'event_time' }),
} satisfies OptionSpecs

type BoundedSpecs = typeof boundedOwn & SearchSpecs & typeof rangeSpecs

export type BoundedSearchValues = OptionValues<BoundedSpecs>

/** Options of the bounded Splunk source. */
export type SplunkReadableOptions = OptionsOf<BoundedSpecs> &
  StreamOptions &
  OneOf<typeof rangeSpecs, 'timespan' | 'start_time' | 'window'>

const boundedSearchSpecs: BoundedSpecs = { ...searchSpecs, ...rangeSpecs, ...boundedOwn }

export const boundedSearch: OptionDeclaration<BoundedSpecs> = declareOptions(
  'splunk',
  boundedSearchSpecs,
  (values, report, given) => {
    checkRange(values, report, given)
    const spl = checkShared(values, report, given)
    if (!spl || values.allow_transforming_queries) return
    const command = wholeRangeCommand(spl)
    if (command !== undefined && isCut(values)) report(`query: ${severalWindows(command)}`)
    const transforming = transformingCommand(spl)
    if (transforming !== undefined && values.window_by === 'index_time') {
      report(`window_by: a search with "${transforming}" has no index time to keep rows by`)
    }
  },
)

function isCut(values: Partial<BoundedSearchValues>): boolean {
  const { num_partitions = 1, partition_duration, timespan, start_time, window } = values
  if (window !== undefined || num_partitions > 1) return true
  if (partition_duration === undefined || (timespan ?? start_time) === undefined) return false
  return rangeWindows({ ...values, num_partitions } as BoundedSearchValues).length > 1
}

const streamOwn = {
  /**
   * Time that windows go by: `index_time`, the arrival of events, so that late ones are read too, and once; or
   * `event_time`, which misses an event that arrives later than `safety_lag_seconds`.
   * @default "index_time"
   */
  window_by: option.oneOf(['index_time', 'event_time'], { default: 'index_time' }),
  /**
   * Minimum age of the end of a window, in seconds, for events that arrive late. An event that arrives later is missed,
   * unless windows go by arrival.
   * @default 60
   */
  safety_lag_seconds: option.amount({ zero: true, default: 60 }),
} satisfies OptionSpecs

type StreamSpecs = typeof streamOwn &
  SearchSpecs &
  Omit<typeof streamWindowSpecs, keyof typeof streamOwn | keyof SearchSpecs>

/** Options of the streaming Splunk source. */
export type SplunkStreamReadableOptions = OptionsOf<StreamSpecs> & StreamOptions

const streamSearchSpecs: StreamSpecs = { ...streamWindowSpecs, ...searchSpecs, ...streamOwn }

export const streamSearch: OptionDeclaration<StreamSpecs> = declareOptions(
  'splunk',
  streamSearchSpecs,
  (values, report, given) => {
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
      report(
        'window_by: a transforming search has no index time to keep rows by: its windows go by event_time',
      )
    }
  },
)
