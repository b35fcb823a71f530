import {
  firstInstant,
  floorDivide,
  formatInstant,
  lastInstant,
  parseInstant,
  type Ticks,
  ticksPerMillisecond,
  ticksPerSecond,
  toDate,
} from '../../core/time.ts'
import { isWithin, type Window } from '../../core/window.ts'
import { instantMilliseconds } from '../../source/column-values.ts'

/**
 * Which rows of an answer are kept:
 * - `exact`: those whose timestamp lies in the window, to a tick. For reads of several windows, by one reader or
 *   several: no row on a boundary is read twice or missed.
 * - `margin`: all but those in the margin that the request adds around the window. For a read of one window: the query
 *   may compute timestamps, such as the start of a bin before the window.
 * - `all`: every row. The query itself filters by the window.
 */
export type KeptRows = 'exact' | 'margin' | 'all'

/** Whether a row with this timestamp cell is kept. */
export type RowFilter = (timestamp: unknown) => boolean

const nowhere: RowFilter = () => false

/**
 * The timespan of the request: the window with a margin, so that no row is missed. The service accepts whole
 * milliseconds, and its documents do not say whether a timespan includes its ends.
 */
export function askedWindow({ start, end }: Window, kept: KeptRows): Window {
  const margin = kept === 'exact' ? ticksPerMillisecond : 0n
  const [from, to] = [floorMillisecond(start) - margin, margin - floorMillisecond(-end)]
  // The service accepts the years 1 to 9999.
  const last = floorMillisecond(lastInstant)
  return { start: from < firstInstant ? firstInstant : from, end: to > last ? last : to }
}

function floorMillisecond(ticks: Ticks): Ticks {
  return floorDivide(ticks, ticksPerMillisecond)[0] * ticksPerMillisecond
}

/** @returns undefined if every row is kept */
export function rowFilter(window: Window, kept: KeptRows): RowFilter | undefined {
  if (kept === 'all') return undefined
  if (kept === 'exact') return within(window)
  const asked = askedWindow(window, kept)
  const before = within({ start: asked.start, end: window.start })
  const after = within({ start: window.end, end: asked.end + 1n })
  return (timestamp) => !before(timestamp) && !after(timestamp)
}

/** Milliseconds decide most rows; only next to an end are all digits parsed. */
function within(window: Window): RowFilter {
  if (window.start >= window.end) return nowhere
  const first = toDate(window.start).getTime()
  const last = toDate(window.end).getTime()
  return (timestamp) => {
    if (typeof timestamp !== 'string') return false
    const milliseconds = instantMilliseconds(timestamp)
    if (milliseconds > first && milliseconds < last) return true
    if (milliseconds < first || milliseconds > last) return false
    const ticks = parseInstant(timestamp)
    return ticks !== undefined && isWithin(window, ticks)
  }
}

/** Whether a timestamp lies far outside: not even in the margin around the window. */
export function isFarOutside(timestamp: unknown, window: Window): boolean {
  const ticks = typeof timestamp === 'string' ? parseInstant(timestamp) : undefined
  if (ticks === undefined) return true
  const { start, end } = askedWindow(window, 'exact')
  return !isWithin({ start, end: end + 1n }, ticks)
}

/** Names by which a query can refer to its window. */
const [startName, endName] = ['window_start', 'window_end']

const blank = String.raw`(?:\s|//[^\n]*(?:\n|$))*`
const name = String.raw`[A-Za-z_]\w*|\['(?:[^'\\\n]|\\.)*'\]|\["(?:[^"\\\n]|\\.)*"\]`
const tableFirst = new RegExp(`^${blank}(?:${name})(?=${blank}(?:[|;]|$))`)

const stringsAndComments =
  /\/\/[^\n]*|@'(?:[^']|'')*'|@"(?:[^"]|"")*"|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|```[\s\S]*?```|~~~[\s\S]*?~~~/g

/** Advice for a rejected query. */
export const ingestionTimeAdvice =
  `window_by "ingestion_time" needs a query that begins with a table's name ("T | …"), so that the window can be inserted ` +
  `after it, or one that refers to ${startName} and ${endName}, which are bound for each window: ` +
  `"… | where ingestion_time() >= ${startName} and ingestion_time() < ${endName} | …"`

/**
 * A query over windows of the time of ingestion: for each window its text, with all 7 digits of its ends.
 *
 * `let` binds `window_start` and `window_end` in a query that refers to them. If a query starts with a table name, the
 * window is inserted after it. It must be a table: `ingestion_time()` of a function's rows may be null, and such rows
 * belong to no window.
 *
 * https://learn.microsoft.com/kusto/query/ingestion-time-function
 * @returns undefined if the query is neither
 */
export function ingestionTimeQuery(query: string): ((window: Window) => string) | undefined {
  const code = withoutText(query)
  if (refersTo(code, startName) && refersTo(code, endName)) {
    return ({ start, end }) =>
      `let ${startName} = ${literal(start)};\nlet ${endName} = ${literal(end)};\n${query}`
  }
  const table = firstTable(query, code)
  if (table === undefined) return undefined
  const rest = query.slice(table.length)
  return ({ start, end }) =>
    `${table}\n| where ingestion_time() >= ${literal(start)} and ingestion_time() < ${literal(end)}\n${rest}`
}

/**
 * Range of `TimeGenerated` of rows ingested during a window: the request's timespan, so that the service skips the
 * rest. The service replaces a TimeGenerated more than 2 days older or 1 day newer than its reception; this adds a day
 * to both.
 * https://learn.microsoft.com/azure/azure-monitor/logs/log-standard-columns#timegenerated
 */
export function generatedDuring({ start, end }: Window): Window {
  const day = 86_400n * ticksPerSecond
  const from = start - 3n * day
  const to = end + 2n * day
  return { start: from > firstInstant ? from : firstInstant, end: to < lastInstant ? to : lastInstant }
}

/** A query for the first instant, in a column `earliest`: of a column of the result, or of ingestion. */
export function earliestQuery(query: string, by: { column: string } | 'ingestion_time'): string | undefined {
  const code = withoutText(query)
  if (by === 'ingestion_time') {
    const table = firstTable(query, code)
    return table && `${table}\n| summarize earliest = min(ingestion_time())`
  }
  return `${pipedOn(query)}\n| summarize earliest = min(['${by.column.replace(/[\\']/g, '\\$&')}'])`
}

/** The query without its rows. */
export function noRows(query: string): string {
  return `${pipedOn(query)}\n| take 0`
}

/** The number of the query's rows, in the column `Count`. */
export function countOf(query: string): string {
  return `${pipedOn(query)}\n| count`
}

/** A query cut so that another operator can follow on a new line: it may end with a comment or semicolon. */
export function pipedOn(query: string): string {
  return query.slice(
    0,
    withoutText(query)
      .trimEnd()
      .replace(/[;\s]+$/, '').length,
  )
}

/** The first of `ago` and `now` that a query calls, outside of strings and comments. */
export function relativeTime(query: string): string | undefined {
  return /\b(ago|now)\s*\(/i.exec(withoutText(query))?.[1]
}

/** The query up to the end of its leading table name; undefined if it has none, or more than one statement. */
function firstTable(query: string, code: string): string | undefined {
  const several = /;\s*\S/.test(code)
  return several ? undefined : tableFirst.exec(query)?.[0]
}

/** The query with strings and comments blanked out; positions stay the same. */
function withoutText(query: string): string {
  return query.replace(stringsAndComments, (text) => (text.startsWith('//') ? ' ' : '"').repeat(text.length))
}

function refersTo(code: string, variable: string): boolean {
  return new RegExp(`\\b${variable}\\b`).test(code)
}

function literal(instant: Ticks): string {
  return `datetime(${formatInstant(instant)})`
}
