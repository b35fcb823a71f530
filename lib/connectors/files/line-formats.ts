import { isAscii, isUtf8 } from 'node:buffer'
import { JsonBytes } from '../../core/json-bytes.ts'
import { findJsonFault } from '../../core/json-fault.ts'
import { isJsonObject, JsonRow, MemberPlaces } from '../../core/json-row.ts'
import type { Row } from '../../source/protocol.ts'
import { utf8MarkOf } from './encoding.ts'
import { Fault, type Format, type Records } from './records.ts'

const [newline, carriageReturn] = [0x0a, 0x0d]

export interface LineLimits {
  readonly max_line_bytes: number
}

/** JSON lines: an object each. Blank lines are skipped. */
export class NdjsonFormat implements Format {
  readonly #limit: number
  readonly #keepsText: boolean
  /** What the next block is likely to need: as much as the last one. */
  #placesSize: number | undefined

  constructor({ max_line_bytes, rows }: LineLimits & { readonly rows: 'objects' | 'json' }) {
    this.#limit = max_line_bytes
    this.#keepsText = rows === 'json'
  }

  read(bytes: Buffer, offset: number, records: Records): void {
    const before = records.faults
    this.#read(bytes, offset, records)
    const [first] = records.entries
    if (offset === 0 && records.faults > before && first instanceof Fault) {
      const format = formatAdvice(first.text)
      if (format) records.entries[0] = first.with(`${first.problem}. The file looks like ${format}`)
    }
  }

  #read(bytes: Buffer, offset: number, records: Records): void {
    // Made for the first line that needs it.
    let json: JsonBytes | undefined
    const isWhole = isAscii(bytes) || isUtf8(bytes)
    const length = bytes.length
    const places = this.#keepsText ? new MemberPlaces(this.#placesSize) : undefined
    for (let at = offset === 0 ? utf8MarkOf(bytes) : 0; at < length; ) {
      const found = bytes.indexOf(newline, at)
      const end = found < 0 ? length : found
      const first = places?.used
      if (end - at > this.#limit) {
        records.addFault(tooLong(bytes, at, this.#limit), at, end)
      } else if (!isWhole && !isUtf8(bytes.subarray(at, end))) {
        records.addFault(notUtf8(bytes, at, end), at, end)
      } else if (places && isJsonObject(bytes, at, end, places)) {
        const last = bytes[end - 1] === carriageReturn ? end - 1 : end
        records.add(new JsonRow(bytes, at, last, places, first) as unknown as Row, at, end)
      } else if (end > at) {
        json ??= new JsonBytes(bytes)
        readObject(json, at, end, records)
      }
      at = end + 1
    }
    if (places) this.#placesSize = places.used
  }
}

/** What lines may be that are no NDJSON, and the options to read them with. */
export interface LikelyFormat {
  readonly what: string
  readonly options: Readonly<Record<string, string>>
}

/** The format that the first line of a file looks like, if that is no JSON object. */
export function formatLike(line: string): LikelyFormat | undefined {
  if (/^#(?:separator|fields) ?/.test(line))
    return { what: 'a log in the format of Zeek', options: { format: 'zeek' } }
  if (/^#(?:Fields|Version|Software):/.test(line))
    return {
      what: "W3C's log",
      options: { format: 'csv', sep: ' ', comment: '#', header_prefix: '#Fields:' },
    }
  if (/^\s*\[/.test(line)) return { what: 'a JSON array', options: { format: 'json' } }
  if (/^\s*\{/.test(line)) return undefined
  const sep = [',', ';', '\t'].find((each) => line.includes(each))
  return sep === undefined
    ? undefined
    : { what: 'CSV', options: { format: 'csv', ...(sep !== ',' && { sep }) } }
}

/** The likely format in words: `CSV: set format to "csv", sep to ";"`. */
function formatAdvice(line: string): string | undefined {
  const like = formatLike(line)
  if (!like) return undefined
  const options = Object.entries(like.options).map(([name, value]) => `${name} to ${JSON.stringify(value)}`)
  return `${like.what}: set ${options.join(', ')}`
}

/** Reads one JSON object, or notes why it is none. */
export function readObject(json: JsonBytes, start: number, end: number, records: Records): void {
  let value: unknown
  try {
    value = json.parse(start, end)
  } catch {
    const text = json.text(start, end).replace(/\r$/, '')
    if (/^[ \t\r\n]*$/.test(text)) return
    const { at, problem } = findJsonFault(text) ?? { at: 0, problem: 'is not JSON' }
    records.addFault(new Fault(start, text, at, problem), start, end)
    return
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    records.add(value as Row, start, end)
  } else {
    const fault = new Fault(start, json.text(start, end).trimEnd(), 0, 'is JSON, but not an object')
    records.addFault(fault, start, end)
  }
}

/** Lines of text: each becomes a row with the column `value`. Blank lines are skipped. */
export class TextFormat implements Format {
  readonly #limit: number

  constructor({ max_line_bytes }: LineLimits) {
    this.#limit = max_line_bytes
  }

  read(bytes: Buffer, offset: number, records: Records): void {
    const ascii = isAscii(bytes)
    const isWhole = ascii || isUtf8(bytes)
    const length = bytes.length
    for (let at = offset === 0 ? utf8MarkOf(bytes) : 0; at < length; ) {
      const found = bytes.indexOf(newline, at)
      const next = found < 0 ? length : found
      const end = next > at && bytes[next - 1] === carriageReturn ? next - 1 : next
      if (end - at > this.#limit) {
        records.addFault(tooLong(bytes, at, this.#limit), at, next)
      } else if (!isWhole && !isUtf8(bytes.subarray(at, end))) {
        records.addFault(notUtf8(bytes, at, end), at, next)
      } else if (end > at) {
        const value = ascii ? bytes.toString('latin1', at, end) : bytes.toString('utf8', at, end)
        if (value.trim() !== '') records.add({ value }, at, next)
      }
      at = next + 1
    }
  }
}

/** A record of more bytes than it may have. */
export function tooLong(bytes: Buffer, start: number, limit: number): Fault {
  const text = bytes.toString('utf8', start, Math.min(bytes.length, start + limit))
  return new Fault(start, text, 0, `is longer than max_line_bytes (${limit})`)
}

/** Decoded all the same, it would go on with other characters in it. */
export function notUtf8(bytes: Buffer, start: number, end: number): Fault {
  const text = bytes.toString('utf8', start, end)
  return new Fault(start, text, Math.max(0, text.indexOf('\ufffd')), 'is not UTF-8')
}
