import { serialize } from '../../core/json.ts'
import type { SearchRequest } from './search-request.ts'
import { type FieldValue, SearchError, type SearchRow } from './search-row.ts'
import { formatEpoch, parseEpoch, parseIso } from './time.ts'

/** Rows that were registered as an answer: those, or a function of the search's time range. */
export type SplunkRows =
  | Iterable<Record<string, unknown>>
  | ((
      timespan: { start: Date | undefined; end: Date | undefined },
      search: SearchRequest,
    ) => Iterable<Record<string, unknown>>)

/** The rows of an answer as a search has them. Registered rows with a time are cut to the search's time range. */
export function* rowsInRange(rows: SplunkRows, search: SearchRequest): Generator<SearchRow> {
  const fixed = typeof rows !== 'function'
  for (const given of fixed ? rows : rows(timespanOf(search), search)) {
    const row: SearchRow = {}
    for (const [name, value] of Object.entries(given)) {
      const text = name === '_time' ? timeText(value) : fieldValue(value)
      if (text !== undefined) row[name] = text
    }
    if (!fixed || inRange(row, search)) yield row
  }
}

function timespanOf({ earliest, latest }: SearchRequest): { start: Date | undefined; end: Date | undefined } {
  const date = (time: bigint | undefined) =>
    time === undefined ? undefined : new Date(Number(time / 1_000_000n))
  return { start: date(earliest), end: date(latest) }
}

function inRange(row: SearchRow, { earliest, latest, indexEarliest, indexLatest }: SearchRequest): boolean {
  const between = (value: FieldValue | undefined, from: bigint | undefined, to: bigint | undefined) => {
    const time = typeof value === 'string' ? parseEpoch(value) : undefined
    return time === undefined || ((from === undefined || time >= from) && (to === undefined || time < to))
  }
  return between(row['_time'], earliest, latest) && between(row['_indextime'], indexEarliest, indexLatest)
}

function timeText(value: unknown): string {
  const text = value instanceof Date ? String(value.getTime() / 1000) : String(value)
  const time = parseEpoch(text) ?? parseIso(text)
  if (time === undefined) throw new SearchError(`A registered row has the _time ${text}, which is no time.`)
  return formatEpoch(time)
}

function fieldValue(value: unknown): FieldValue | undefined {
  if (value === null || value === undefined) return undefined
  if (Array.isArray(value)) return value.map((member) => String(member))
  if (value instanceof Date) return value.toISOString()
  return typeof value === 'object' ? serialize(value) : String(value)
}
