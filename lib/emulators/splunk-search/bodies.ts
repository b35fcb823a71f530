import {
  type FieldValue,
  formatWithOffset,
  formatWithZone,
  type Nanoseconds,
  parseEpoch,
  type SearchRow,
} from './events.ts'
import type { SearchFault, SearchMessage } from './search-fault.ts'

export interface ExportForm {
  timeForm: 'zone' | 'offset'
  lastRow: 'row' | 'line' | 'both'
  fault: SearchFault | undefined
  /** Previews that come before the rows. */
  previews: number
}

const chunkLength = 65_536

/** The lines of an export, in chunks. */
export function* exportBody(rows: Iterable<SearchRow>, form: ExportForm): Generator<string> {
  let chunk = ''
  for (const line of exportLines(rows, form)) {
    chunk += line
    if (chunk.length < chunkLength) continue
    yield chunk
    chunk = ''
  }
  yield chunk
}

function* exportLines(
  given: Iterable<SearchRow>,
  { timeForm, lastRow, fault, previews }: ExportForm,
): Generator<string> {
  const format = timeForm === 'zone' ? formatWithZone : formatWithOffset
  const rows = limit(given, fault?.rows ?? Number.POSITIVE_INFINITY)
  const line = (row: SearchRow, offset: number, preview: boolean, last: boolean) =>
    `{"preview":${preview},"offset":${offset},${last ? '"lastrow":true,' : ''}"result":${JSON.stringify(written(row, format))}}\n`
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
  messages: readonly SearchMessage[]
}

/** A page of results in `json` or `json_rows`. */
export function resultsBody({ rows: given, columns, offset, messages }: ResultsPage, mode: string): object {
  const rows = given.map((row) => written(row, formatWithOffset))
  const names = [...new Set(columns ?? rows.flatMap((row) => Object.keys(row)))]
  const head = { preview: false, init_offset: offset, messages }
  if (mode === 'json_rows') {
    return {
      ...head,
      fields: names,
      rows: rows.map((row) => names.map((name): FieldValue | null => row[name] ?? null)),
    }
  }
  return {
    ...head,
    post_process_count: rows.length,
    fields: names.map((name) => ({ name })),
    results: rows,
    highlighted: {},
  }
}

/** A row as it is written: `_time` as a clock shows it. */
function written(row: SearchRow, format: (time: Nanoseconds) => string): SearchRow {
  const time = typeof row['_time'] === 'string' ? parseEpoch(row['_time']) : undefined
  return time === undefined ? row : { ...row, _time: format(time) }
}

const head = '<?xml version="1.0" encoding="UTF-8"?>\n'
const spaces = 'xmlns="http://www.w3.org/2005/Atom" xmlns:s="http://dev.splunk.com/ns/rest"'

function escapeXml(text: string): string {
  return text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`)
}

/** `<response>` with the given members. */
export function responseXml(
  members: Record<string, string>,
  messages: readonly (SearchMessage & { code?: string })[] = [],
): string {
  const inner = Object.entries(members).map(([name, text]) => `<${name}>${escapeXml(text)}</${name}>`)
  const said = messages.map(
    ({ type, code, text }) =>
      `<msg type="${type}"${code === undefined ? '' : ` code="${code}"`}>${escapeXml(text)}</msg>`,
  )
  return `${head}<response>${inner.join('')}${said.length > 0 ? `<messages>${said.join('')}</messages>` : ''}</response>\n`
}

export interface Entry {
  name: string
  /** Its own path. */
  path: string
  content: object
}

/** An entry of Atom by itself, as a job has it. */
export function entryXml(base: string, { name, path, content }: Entry, standing = true): string {
  return `${standing ? head : ''}<entry ${standing ? spaces : ''}>
  <title>${escapeXml(name)}</title>
  <id>${base}${path}</id>
  <updated>1970-01-01T00:00:00.000+00:00</updated>
  <link href="${escapeXml(path)}" rel="alternate"/>
  <author><name>admin</name></author>
  <content type="text/xml">${dictXml(content)}</content>
</entry>\n`
}

/** A feed of Atom. */
export function feedXml(base: string, title: string, entry: Entry): string {
  return `${head}<feed ${spaces} xmlns:opensearch="http://a9.com/-/spec/opensearch/1.1/">
  <title>${title}</title>
  <id>${base}/services/${title}</id>
  <opensearch:totalResults>1</opensearch:totalResults>
${entryXml(base, entry, false)}</feed>\n`
}

function dictXml(value: unknown): string {
  if (Array.isArray(value)) {
    return `<s:list>${value.map((item) => `<s:item>${dictXml(item)}</s:item>`).join('')}</s:list>`
  }
  if (typeof value === 'object' && value !== null) {
    const keys = Object.entries(value).map(
      ([name, member]) => `<s:key name="${escapeXml(name)}">${dictXml(member)}</s:key>`,
    )
    return `<s:dict>${keys.join('')}</s:dict>`
  }
  return typeof value === 'boolean' ? String(Number(value)) : escapeXml(String(value ?? ''))
}
