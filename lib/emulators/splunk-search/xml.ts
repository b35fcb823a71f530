import { columnsOf, type ResultsPage, written } from './result-bodies.ts'
import type { SearchMessage } from './search-fault.ts'
import { formatWithOffset } from './time.ts'

const head = '<?xml version="1.0" encoding="UTF-8"?>\n'
const spaces = 'xmlns="http://www.w3.org/2005/Atom" xmlns:s="http://dev.splunk.com/ns/rest"'

export function escapeXml(text: string): string {
  return text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`)
}

/** `<response>` with the given members. */
export function responseXml(
  members: Record<string, string>,
  messages: readonly (SearchMessage & { code?: string })[] = [],
): string {
  const inner = Object.entries(members).map(([name, text]) => `  <${name}>${escapeXml(text)}</${name}>\n`)
  return `${head}<response>\n${inner.join('')}${messages.length > 0 ? messagesXml(messages) : ''}</response>\n`
}

function messagesXml(messages: readonly (SearchMessage & { code?: string })[]): string {
  const lines = messages.map(
    ({ type, code, text }) =>
      `    <msg type="${type}"${code === undefined ? '' : ` code="${escapeXml(code)}"`}>${escapeXml(text)}</msg>\n`,
  )
  return `  <messages>\n${lines.join('')}  </messages>\n`
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
export function feedXml(base: string, title: string, entries: readonly Entry[]): string {
  return `${head}<feed ${spaces} xmlns:opensearch="http://a9.com/-/spec/opensearch/1.1/">
  <title>${title}</title>
  <id>${base}/services/${title}</id>
  <opensearch:totalResults>${entries.length}</opensearch:totalResults>
${entries.map((entry) => entryXml(base, entry, false)).join('')}</feed>\n`
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

/** A page of results. */
export function resultsXml(page: ResultsPage): string {
  const names = columnsOf(page)
  const rows = page.rows.map((given, index) => {
    const row = written(given, (time) => formatWithOffset(time, page.timeZone))
    const fields = Object.entries(row).map(([name, value]) => {
      const values = (Array.isArray(value) ? value : [value]).map(
        (text) => `<value><text>${escapeXml(text)}</text></value>`,
      )
      return `<field k='${escapeXml(name)}'>${values.join('')}</field>`
    })
    return `<result offset='${page.offset + index}'>${fields.join('')}</result>\n`
  })
  const order = names.map((name) => `<field>${escapeXml(name)}</field>`)
  return `${head}<results preview='${Number(page.preview)}'>
<meta><fieldOrder>${order.join('')}</fieldOrder></meta>
${page.messages.length > 0 ? messagesXml(page.messages) : ''}${rows.join('')}</results>\n`
}
