import { serialize } from '../../core/json.ts'
import type { Entry } from '../../sink/protocol.ts'
import { type JoinedRows, joinRows } from '../../sink/row-store.ts'

/** How rows become the body of a request. */
export interface Payload {
  /** Bytes that a body has besides its rows, and between two rows. */
  readonly framing: { readonly around: number; readonly between: number }
  /** A row as it is kept until it is sent. @throws RefusedRow */
  write(row: Record<string, unknown>): string
  body(entries: readonly Entry[]): Promise<JoinedRows & { readonly type: string }>
}

const rowsAlone = { around: 0, between: 0 }

const oneObject: Payload = {
  framing: rowsAlone,
  write: serialize,
  body: async (entries) => ({ ...joinRows(entries, '', '', ''), type: 'application/json' }),
}

const arrayOfObjects: Payload = {
  framing: { around: 2, between: 1 },
  write: serialize,
  body: async (entries) => ({ ...joinRows(entries, '[', ',', ']'), type: 'application/json' }),
}

const lines: Payload = {
  framing: { around: 1, between: 1 },
  write: serialize,
  body: async (entries) => ({ ...joinRows(entries, '', '\n', '\n'), type: 'application/x-ndjson' }),
}

const urlEncoded: Payload = {
  framing: rowsAlone,
  write: (row) => new URLSearchParams(fieldsOf(row)).toString(),
  body: async (entries) => ({ ...joinRows(entries, '', '', ''), type: 'application/x-www-form-urlencoded' }),
}

/** A form's fields are kept as JSON pairs of texts: the row itself may be changed by its owner after `write()`. */
const multipart: Payload = {
  framing: rowsAlone,
  write: (row) => JSON.stringify(fieldsOf(row)),
  async body([entry]) {
    const data = new FormData()
    for (const [name, value] of JSON.parse(entry!.wire) as [string, string][]) data.append(name, value)
    const coded = new Response(data)
    const bytes = Buffer.from(await coded.arrayBuffer())
    return { bytes, type: coded.headers.get('content-type')!, release() {} }
  },
}

function fieldsOf(row: Record<string, unknown>): [string, string][] {
  return Object.entries(row).flatMap(([name, value]): [string, string][] =>
    value === undefined ? [] : [[name, textOf(name, value)]],
  )
}

/** A value outside of JSON: null is empty, a text as it is, anything else as in JSON, without quotes. @throws RefusedRow */
export function textOf(column: string, value: unknown): string {
  if (value === null) return ''
  if (typeof value === 'string') return value
  // Within its row, so that the message of a refusal names the column.
  const json = serialize({ [column]: value }).slice(JSON.stringify(column).length + 2, -1)
  return json.startsWith('"') ? JSON.parse(json) : json
}

export function payloadOf(
  format: 'json' | 'ndjson' | 'form-data' | 'multipart',
  batchSize: number | 'auto',
): Payload {
  if (format === 'form-data') return urlEncoded
  if (format === 'multipart') return multipart
  if (format === 'ndjson') return lines
  return batchSize === 1 ? oneObject : arrayOfObjects
}
