import { isDate } from 'node:util/types'
import { serialize } from '../../core/json.ts'
import { parseInstant } from '../../core/time.ts'
import type { RecordedRequest } from '../fault.ts'
import type { RegisteredAnswers } from '../registered-answers.ts'
import {
  type FieldValue,
  formatEpoch,
  type IndexedEvent,
  type Nanoseconds,
  parseEpoch,
  type SearchRow,
} from './events.ts'
import { closingStages, parseStages, runs, SearchError, type Stage } from './spl.ts'

/** Bounds of a search: from the first on, up to but without the second. Undefined: open. */
export interface TimeBounds {
  /** Of event times. */
  earliest: Nanoseconds | undefined
  latest: Nanoseconds | undefined
  /** Of index times. */
  indexEarliest: Nanoseconds | undefined
  indexLatest: Nanoseconds | undefined
}

/** A search as it was asked for. */
export interface SearchRequest extends TimeBounds {
  /** SPL, as sent. */
  search: string
  kind: 'export' | 'job' | 'oneshot'
  /** Of the path: 1 or 2. */
  version: 1 | 2
  /** Of `servicesNS`. */
  owner: string | undefined
  app: string | undefined
  /** All that was sent with it. */
  parameters: URLSearchParams
}

/** The parameters of a request: of the query and of a form in the body. */
export function parametersOf(request: RecordedRequest): URLSearchParams {
  const parameters = new URLSearchParams(request.query)
  if (request.method === 'GET') return parameters
  for (const [name, value] of new URLSearchParams(request.body.toString())) parameters.append(name, value)
  return parameters
}

/** The bounds that parameters set, in seconds since 1970. @throws SearchError for any other time */
export function timeBounds(parameters: URLSearchParams): TimeBounds {
  const bound = (name: string): Nanoseconds | undefined => {
    const text = parameters.get(name)?.trim()
    if (!text) return undefined
    const time = parseEpoch(text)
    if (time === undefined) {
      throw new SearchError(`Invalid ${name}. (This is the emulator. It reads seconds since 1970 alone.)`)
    }
    // Zero is the beginning of all.
    return time === 0n ? undefined : time
  }
  return {
    earliest: bound('earliest_time'),
    latest: bound('latest_time'),
    indexEarliest: bound('index_earliest'),
    indexLatest: bound('index_latest'),
  }
}

/** Rows that were registered as an answer: those, or a function of the search's time range. */
export type SplunkRows =
  | Iterable<Record<string, unknown>>
  | ((
      timespan: { start: Date | undefined; end: Date | undefined },
      search: SearchRequest,
    ) => Iterable<Record<string, unknown>>)

/** What a search gives. */
export interface Found {
  rows: Iterable<SearchRow>
  /** The order of the columns, where the search sets one. */
  columns: readonly string[] | undefined
  /** Whether its rows are no events any more. */
  transforming: boolean
}

export interface SearchBase {
  events: readonly IndexedEvent[]
  answers: RegisteredAnswers<SearchRequest, SplunkRows>
  indexLatestInclusive: boolean
}

/** Runs a search. @throws SearchError for one that is neither registered nor of the commands that run here */
export function runSearch(search: SearchRequest, base: SearchBase): Found {
  const registered = base.answers.find(search.search, search)
  try {
    if (registered) {
      const { answer, rest } = registered
      const stages = rest === undefined ? closingStages(search.search) : rest === '' ? [] : parseStages(rest)
      return found(registeredRows(answer, search), stages, search.search)
    }
    const stages = parseStages(search.search)
    const [first] = stages
    if (first?.command !== 'search')
      throw new SearchError(`Unknown search command '${first?.command ?? ''}'.`)
    const events = base.events.filter((event) => within(event, search, base.indexLatestInclusive))
    events.sort((a, b) => (a.time === b.time ? b.address - a.address : a.time < b.time ? 1 : -1))
    return found(eventRows(events, stages), stages, search.search)
  } catch (error) {
    if (!(error instanceof SearchError)) throw error
    throw new SearchError(
      `${error.message} (This is the emulator. It runs ${runs}; for any other search register an answer: splunkSearch.answer(text, pattern or predicate, rows or a function of the timespan).)`,
    )
  }
}

function found(rows: Iterable<SearchRow>, stages: readonly Stage[], search: string): Found {
  return {
    rows: stages.reduce((input, stage) => stage.run(input), rows),
    columns: stages.findLast(({ columns }) => columns)?.columns,
    transforming:
      stages.some((stage) => stage.transforming) ||
      /\|\s*(stats|chart|timechart|top|rare|tstats|transaction|table|eventstats)\b/i.test(search),
  }
}

function within({ time, indexTime }: IndexedEvent, range: TimeBounds, inclusive: boolean): boolean {
  const { earliest, latest, indexEarliest, indexLatest } = range
  const indexed = BigInt(indexTime) * 1_000_000_000n
  return (
    !(earliest !== undefined && time < earliest) &&
    !(latest !== undefined && time >= latest) &&
    !(indexEarliest !== undefined && indexed < indexEarliest) &&
    (indexLatest === undefined || indexed < indexLatest || (inclusive && indexed === indexLatest))
  )
}

const always = /^(host|source|sourcetype|index|linecount|splunk_server|_.*)$/

/** Rows of events. Without a command that says which fields, they have the usual ones and those that are named. */
function* eventRows(events: readonly IndexedEvent[], stages: readonly Stage[]): Generator<SearchRow> {
  const named = new Set(stages.flatMap((stage) => stage.fields))
  const whole = stages.some(
    ({ command }) => command === 'fields' || command === 'table' || command === 'stats',
  )
  for (const { row } of events) {
    if (whole) yield row
    // What is not named is not extracted.
    else
      yield Object.fromEntries(Object.entries(row).filter(([name]) => always.test(name) || named.has(name)))
  }
}

/** The rows of an answer as a search has them. Registered rows with a time are cut to the search's time range. */
function* registeredRows(rows: SplunkRows, search: SearchRequest): Generator<SearchRow> {
  const date = (time: bigint | undefined) =>
    time === undefined ? undefined : new Date(Number(time / 1_000_000n))
  const fixed = typeof rows !== 'function'
  for (const given of fixed
    ? rows
    : rows({ start: date(search.earliest), end: date(search.latest) }, search)) {
    const row: SearchRow = {}
    for (const [name, value] of Object.entries(given)) {
      const text = name === '_time' ? timeText(value) : fieldValue(value)
      if (text !== undefined) row[name] = text
    }
    if (!fixed || inRange(row, search)) yield row
  }
}

function inRange(row: SearchRow, { earliest, latest, indexEarliest, indexLatest }: TimeBounds): boolean {
  const between = (value: FieldValue | undefined, from: bigint | undefined, to: bigint | undefined) => {
    const time = typeof value === 'string' ? parseEpoch(value) : undefined
    return time === undefined || ((from === undefined || time >= from) && (to === undefined || time < to))
  }
  return between(row['_time'], earliest, latest) && between(row['_indextime'], indexEarliest, indexLatest)
}

function timeText(value: unknown): string {
  const text = isDate(value) ? String(value.getTime() / 1000) : String(value)
  const ticks = parseInstant(text)
  const time = parseEpoch(text) ?? (ticks === undefined ? undefined : ticks * 100n)
  if (time === undefined) throw new SearchError(`A registered row has the _time ${text}, which is no time.`)
  return formatEpoch(time)
}

function fieldValue(value: unknown): FieldValue | undefined {
  if (value === null || value === undefined) return undefined
  if (Array.isArray(value)) return value.map((member) => String(member))
  if (isDate(value)) return value.toISOString()
  return typeof value === 'object' ? serialize(value) : String(value)
}
