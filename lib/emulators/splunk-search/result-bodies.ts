import type { SearchFault, SearchMessage } from './search-fault.ts'
import type { SearchRow } from './search-row.ts'
import { formatWithOffset, formatWithZone, type Nanoseconds, parseEpoch, type TimeZone } from './time.ts'

export interface ExportForm {
  timeForm: 'zone' | 'offset'
  timeZone: TimeZone
  lastRow: 'row' | 'line' | 'both'
  fault: SearchFault | undefined
  /** Previews that come before the rows. */
  previews: number
}

const chunkLength = 65_536

/** The lines of an export, in chunks. */
export function* exportBody(
  rows: Iterable<SearchRow>,
  messages: readonly SearchMessage[],
  form: ExportForm,
): Generator<string> {
  let chunk = ''
  for (const line of exportLines(rows, messages, form)) {
    chunk += line
    if (chunk.length < chunkLength) continue
    yield chunk
    chunk = ''
  }
  yield chunk
}

function* exportLines(
  given: Iterable<SearchRow>,
  messages: readonly SearchMessage[],
  { timeForm, timeZone, lastRow, fault, previews }: ExportForm,
): Generator<string> {
  const format = timeForm === 'zone' ? formatWithZone : formatWithOffset
  const rows = limit(given, fault?.rows ?? Number.POSITIVE_INFINITY)
  const line = (row: SearchRow, offset: number, preview: boolean, last: boolean) =>
    `{"preview":${preview},"offset":${offset},${last ? '"lastrow":true,' : ''}"result":${JSON.stringify(written(row, (time) => format(time, timeZone)))}}\n`
  if (messages.length > 0) yield `${JSON.stringify({ messages })}\n`
  let final: Iterable<SearchRow> = rows
  if (previews > 0) {
    const all = [...rows]
    final = all
    for (let set = 1; set <= previews; set++) {
      const some = all.slice(0, Math.ceil((all.length * set) / previews))
      for (const [offset, row] of some.entries()) yield line(row, offset, true, offset === some.length - 1)
      yield '\n'
    }
  }
  const ends = !fault?.noLastRow && !fault?.failed && !fault?.cutLine
  let before: SearchRow | undefined
  let offset = 0
  for (const row of final) {
    if (before) yield line(before, offset++, false, false)
    before = row
  }
  if (fault?.messages) yield `${JSON.stringify({ messages: fault.messages })}\n`
  if (before) {
    const last = line(before, offset, false, ends && lastRow !== 'line')
    yield fault?.cutLine ? last.slice(0, last.length >> 1) : last
  }
  if (ends && (lastRow !== 'row' || !before)) yield '{"preview":false,"lastrow":true}\n'
}

function* limit(rows: Iterable<SearchRow>, count: number): Generator<SearchRow> {
  let left = count
  if (left <= 0) return
  for (const row of rows) {
    yield row
    if (--left <= 0) return
  }
}

export interface ResultsPage {
  rows: readonly SearchRow[]
  columns: readonly string[] | undefined
  offset: number
  preview: boolean
  messages: readonly SearchMessage[]
  timeZone: TimeZone
}

/** A page of results in `json` or `json_rows`. */
export function resultsBody(page: ResultsPage, mode: string): object {
  const rows = page.rows.map((row) => written(row, (time) => formatWithOffset(time, page.timeZone)))
  const names = columnsOf(page)
  const head = { preview: page.preview, init_offset: page.offset }
  if (mode === 'json_rows') {
    return {
      ...head,
      messages: page.messages,
      fields: names,
      rows: rows.map((row) => names.map((name) => row[name] ?? null)),
    }
  }
  return {
    ...head,
    post_process_count: rows.length,
    messages: page.messages,
    fields: names.map((name) => ({ name })),
    results: rows,
    highlighted: {},
  }
}

/** The names of all columns, in order. */
export function columnsOf({ rows, columns }: Pick<ResultsPage, 'rows' | 'columns'>): string[] {
  return [...new Set(columns ?? rows.flatMap((row) => Object.keys(row)))]
}

/** A row as it is written: `_time` as a clock shows it. */
export function written(row: SearchRow, format: (time: Nanoseconds) => string): SearchRow {
  const time = typeof row['_time'] === 'string' ? parseEpoch(row['_time']) : undefined
  return time === undefined ? row : { ...row, _time: format(time) }
}
