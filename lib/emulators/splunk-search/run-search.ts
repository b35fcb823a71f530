import type { RegisteredAnswers } from '../registered-answers.ts'
import type { IndexedEvent } from './indexed-event.ts'
import { rowsInRange, type SplunkRows } from './registered-rows.ts'
import { parseSearchExpression, type SearchExpression } from './search-expression.ts'
import type { SearchMessage } from './search-fault.ts'
import { type SearchRequest, timeBounds } from './search-request.ts'
import { SearchError, type SearchRow } from './search-row.ts'
import { parseStage, type Stage, splitPipes } from './spl.ts'
import type { Nanoseconds } from './time.ts'

/** What a search gives. */
export interface Found {
  rows: Iterable<SearchRow>
  /** The order of the columns, where the search sets one. */
  columns: readonly string[] | undefined
  /** Whether its rows are no events any more. */
  transforming: boolean
  messages: SearchMessage[]
}

export interface SearchBase {
  events: readonly IndexedEvent[]
  answers: RegisteredAnswers<SearchRequest, SplunkRows>
  indexLatestInclusive: boolean
  now: Nanoseconds
}

const always = /^(host|source|sourcetype|index|linecount|splunk_server|_.*)$/
const shapes = new Set(['fields', 'table', 'stats'])

/** Runs a search. @throws SearchError for one that is neither registered nor of the commands that run here */
export function runSearch(search: SearchRequest, base: SearchBase): Found {
  const registered = base.answers.find(search.search, search)
  if (registered) {
    const stages =
      registered.rest === undefined
        ? closingStages(search.search)
        : stagesOf(registered.rest.replace(/^\|/, ''))
    return found(rowsInRange(registered.answer, search), stages, search.search)
  }
  try {
    return runEvents(search, base)
  } catch (error) {
    if (!(error instanceof SearchError)) throw error
    throw new SearchError(
      `${error.message} (This is the emulator. It runs search, fields, table, head, eval of copies and stats; for any other search register an answer: splunkSearch.answer(text, pattern or predicate, rows or a function of the timespan).)`,
    )
  }
}

function runEvents(search: SearchRequest, base: SearchBase): Found {
  const parts = splitPipes(search.search)
  if (parts[0] === '') parts.shift()
  const [, command = '', rest = ''] = /^(\S*)\s*([\s\S]*)$/.exec(parts[0] ?? '') ?? []
  if (command === '') throw new SearchError('Empty search.')
  if (command.toLowerCase() !== 'search')
    throw new SearchError(`Unknown search command '${command.toLowerCase()}'.`)
  const expression = parseSearchExpression(rest)
  const stages = parts.slice(1).map(parseStage)
  const written = (name: string) => expression.timeModifiers.get(modifiers[name]!)
  const own = timeBounds(written, base.now)
  const range = {
    earliest: own.earliest ?? search.earliest,
    latest: own.latest ?? search.latest,
    indexEarliest: own.indexEarliest ?? search.indexEarliest,
    indexLatest: own.indexLatest ?? search.indexLatest,
  }
  const events = base.events.filter((event) => within(event, range, base.indexLatestInclusive))
  events.sort((a, b) => (a.time === b.time ? b.address - a.address : a.time < b.time ? 1 : -1))
  const result = found(eventRows(events, expression, stages), stages, search.search)
  if (expression.timeModifiers.size > 0) {
    result.messages.push({ type: 'INFO', text: 'Your timerange was substituted based on your search string' })
  }
  return result
}

const modifiers: Record<string, string> = {
  earliest_time: 'earliest',
  latest_time: 'latest',
  index_earliest: '_index_earliest',
  index_latest: '_index_latest',
}

function within(
  { time, indexTime }: IndexedEvent,
  range: Pick<SearchRequest, 'earliest' | 'latest' | 'indexEarliest' | 'indexLatest'>,
  inclusive: boolean,
): boolean {
  if (range.earliest !== undefined && time < range.earliest) return false
  if (range.latest !== undefined && time >= range.latest) return false
  const indexed = BigInt(indexTime) * 1_000_000_000n
  if (range.indexEarliest !== undefined && indexed < range.indexEarliest) return false
  const { indexLatest } = range
  return indexLatest === undefined || indexed < indexLatest || (inclusive && indexed === indexLatest)
}

/** Rows of events. Without a command that says which fields, they have the usual ones and those that are named. */
function* eventRows(
  events: readonly IndexedEvent[],
  { predicate, fields }: SearchExpression,
  stages: readonly Stage[],
): Generator<SearchRow> {
  const named = new Set([...fields, ...stages.flatMap((stage) => stage.fields)])
  const whole = stages.some(({ command }) => shapes.has(command))
  for (const { row } of events) {
    if (!predicate(row)) continue
    if (whole) yield row
    else
      yield Object.fromEntries(Object.entries(row).filter(([name]) => always.test(name) || named.has(name)))
  }
}

function stagesOf(text: string): Stage[] {
  return text.trim() === '' ? [] : splitPipes(text).map(parseStage)
}

/** Commands at the end of a search that only add and choose fields: a client's own, behind its user's. */
function closingStages(search: string): Stage[] {
  const stages: Stage[] = []
  try {
    for (const part of splitPipes(search).slice(1).reverse()) {
      const stage = parseStage(part)
      if (stage.command !== 'eval' && stage.command !== 'fields') break
      stages.unshift(stage)
    }
  } catch {
    // From here on it is the user's.
  }
  return stages
}

function found(rows: Iterable<SearchRow>, stages: readonly Stage[], search: string): Found {
  return {
    rows: stages.reduce((input, stage) => stage.run(input), rows),
    columns: stages.reduce<readonly string[] | undefined>(
      (columns, stage) => stage.columns ?? columns,
      undefined,
    ),
    transforming:
      stages.some((stage) => stage.transforming) ||
      /\|\s*(stats|chart|timechart|top|rare|tstats|transaction|table|eventstats)\b/i.test(search),
    messages: [],
  }
}
