import { isUtf8 } from 'node:buffer'
import { createRequire } from 'node:module'
import type { CsvError } from 'csv-parse/sync'
import { setColumn } from '../../core/json.ts'
import type { Row } from '../../source/protocol.ts'
import { CsvScanner } from './csv-scanner.ts'
import { utf8MarkOf } from './encoding.ts'
import { notUtf8, tooLong } from './line-formats.ts'
import { Fault, type Format, type Places, type Records, type TextHeader } from './records.ts'

/** How CSV is written: Spark's names. */
export interface CsvSettings {
  readonly header: boolean
  readonly sep: string
  readonly quote: string
  readonly escape: string
  readonly nullValue: string
  readonly inferSchema: boolean
  readonly comment: string
  readonly header_prefix: string | undefined
  readonly max_line_bytes: number
}

/** Type of a field, inferred from the start of the file. */
type FieldType = 'string' | 'long' | 'real' | 'bool'

let loaded: typeof import('csv-parse/sync') | undefined

/** Loaded with the first CSV: few programs read any. A bundle in CommonJS has no `import.meta.url`. */
function csvParser(): typeof import('csv-parse/sync') {
  loaded ??= createRequire(import.meta.url ?? `${process.cwd()}/`)('csv-parse/sync')
  return loaded!
}

function parsed(text: Buffer, { sep, quote, escape: escapeBy, comment }: CsvSettings): string[][] {
  const { parse } = csvParser()
  return parse(text, {
    delimiter: sep,
    quote: quote === '' ? false : quote,
    escape: escapeBy === '' ? null : escapeBy,
    record_delimiter: ['\r\n', '\n'],
    relax_column_count: true,
    comment: comment === '' ? null : comment,
    comment_no_infix: true,
    skip_empty_lines: true,
  }) as unknown as string[][]
}

/**
 * The columns of a file, by the whole records that it starts with, or by the line that starts as `header_prefix` says.
 * @param names the columns' names if the file has no header; without them they are `_c0`, `_c1`…, as in Spark
 */
export function csvHeader(head: Buffer, settings: CsvSettings, names?: readonly string[]): TextHeader {
  const { header_prefix: prefix, inferSchema, nullValue } = settings
  const sample = sampleOf(head, settings)
  const named = prefix === undefined ? undefined : prefixedNames(head, prefix, settings)
  const [first = [], ...others] = sample
  const hasHeader = settings.header && prefix === undefined
  const records = hasHeader ? others : sample
  const given = named ?? (hasHeader ? first.map((name) => name.trim()) : (names ?? []))
  const count = named?.length ?? (hasHeader || !names ? first.length : names.length)
  const seen = new Map<string, number>()
  const columns = Array.from({ length: count }, (_, index) => {
    const name = given[index] || `_c${index}`
    const times = seen.get(name) ?? 0
    seen.set(name, times + 1)
    const values = records.map((record) => record[index]).filter((value) => value !== undefined)
    const type = inferSchema ? typeOf(values.filter((value) => value !== nullValue)) : 'string'
    return { name: times === 0 ? name : `${name}_${times}`, type }
  })
  return { columns }
}

/** The names in the first line that starts as the header does, as `#Fields: date time` of W3C's format. */
function prefixedNames(head: Buffer, prefix: string, settings: CsvSettings): string[] | undefined {
  const line = head
    .toString()
    .split(/\r?\n/)
    .find((each) => each.startsWith(prefix))
  if (line === undefined) return undefined
  return parsed(Buffer.from(line.slice(prefix.length).trim()), { ...settings, comment: '' })[0]
}

/** Records at a file's begin, up to the first that can't be read. */
function sampleOf(head: Buffer, settings: CsvSettings): string[][] {
  const records: string[][] = []
  const text = head.subarray(utf8MarkOf(head))
  const spans: [number, number][] = []
  const { last = 0 } = new CsvScanner(settings).scan(text, (start, end) => spans.push([start, end])) ?? {}
  if (last < text.length) spans.push([last, text.length])
  for (const [start, end] of settings.inferSchema ? spans : spans.slice(0, 8)) {
    try {
      records.push(...parsed(text.subarray(start, end), settings))
    } catch {
      break
    }
    if (!settings.inferSchema && records.length > 0) break
  }
  return records
}

const forms = {
  // A number that begins with 0 is most often a code: it would lose its zeros.
  long: /^-?(?:0|[1-9]\d*)$/,
  real: /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/,
  bool: /^(?:true|false)$/i,
}

/** Longer ones are no numbers: to make an integer of them takes time that grows with the square of their length. */
const longestNumber = 400

function typeOf(values: readonly string[]): FieldType {
  if (values.length === 0) return 'string'
  for (const type of ['long', 'real', 'bool'] as const) {
    if (values.every((value) => forms[type].test(value))) return type
  }
  return 'string'
}

/** A field as its column's type; one that does not fit stays a string. */
function fieldValue(text: string, type: FieldType, nullValue: string): unknown {
  if (text === nullValue) return null
  if (type === 'string' || text.length > longestNumber || !forms[type].test(text)) return text
  if (type === 'bool') return text.toLowerCase() === 'true'
  const number = Number(text)
  return type === 'long' && !Number.isSafeInteger(number) ? BigInt(text) : number
}

/** CSV: a row for each record, a column for each field. */
export class CsvFormat implements Format {
  readonly #settings: CsvSettings
  #header: TextHeader

  constructor(settings: CsvSettings, header: TextHeader) {
    this.#settings = settings
    this.#header = header
  }

  read(block: Buffer, offset: number, records: Records): void {
    const { header_prefix: prefix, header } = this.#settings
    const isHeader = offset === 0 && header && prefix === undefined
    if (prefix === undefined) {
      this.#readPart(block, offset === 0 ? utf8MarkOf(block) : 0, isHeader, records)
      return
    }
    // A file may have another header further on.
    for (let at = 0; at < block.length; ) {
      const next = block.indexOf(`\n${prefix}`, at)
      const end = next < 0 ? block.length : next + 1
      const part = block.subarray(0, end)
      if (block.toString('latin1', at, at + prefix.length) === prefix)
        this.#header = csvHeader(block.subarray(at), this.#settings)
      this.#readPart(part, at, false, records)
      at = end
    }
  }

  /** Reads a block from a place on. */
  #readPart(block: Buffer, begin: number, isHeader: boolean, records: Records): void {
    const text = block.subarray(begin)
    if (isUtf8(block) && text.length <= this.#settings.max_line_bytes && records.entries.length === 0) {
      const quick = this.#readQuickly(text)
      if (quick) {
        const skipped = isHeader ? 1 : 0
        const rows = quick.slice(skipped).map((fields) => this.#row(fields))
        records.addAll(rows, () => this.#placesOf(text, begin).slice(skipped))
        return
      }
    }
    let isFirst = isHeader
    const take = (start: number, end: number) => {
      const record = this.#readOne(block, start + begin, end + begin)
      if (record === undefined) return
      if (isFirst) isFirst = false
      else if (record instanceof Fault) records.addFault(record, start + begin, end + begin)
      else records.add(record, start + begin, end + begin)
    }
    const { last = 0 } = new CsvScanner(this.#settings).scan(text, take) ?? {}
    if (last < text.length) take(last, text.length)
  }

  /** Positions of the records that are not blank. */
  #placesOf(text: Buffer, begin: number): Places {
    const places: [number, number][] = []
    const take = (start: number, end: number) => {
      const isBlank = text[start] === 10 || (text[start] === 13 && text[start + 1] === 10)
      const { comment } = this.#settings
      const isComment = comment !== '' && text.toString('utf8', start, start + comment.length) === comment
      if (!isBlank && !isComment) places.push([start + begin, end + begin])
    }
    const { last = 0 } = new CsvScanner(this.#settings).scan(text, take) ?? {}
    if (last < text.length) take(last, text.length)
    return places
  }

  /** All records at once; undefined where one of them is faulty. */
  #readQuickly(text: Buffer): string[][] | undefined {
    try {
      const records = parsed(text, this.#settings)
      return records.every(({ length }) => length === this.#header.columns.length) ? records : undefined
    } catch {
      return undefined
    }
  }

  /** @returns undefined for a blank line */
  #readOne(bytes: Buffer, start: number, end: number): Row | Fault | undefined {
    const { max_line_bytes } = this.#settings
    if (end - start > max_line_bytes) return tooLong(bytes, start, max_line_bytes)
    const record = bytes.subarray(start, end)
    if (!isUtf8(record)) return notUtf8(bytes, start, end)
    const text = record.toString().replace(/\r?\n$/, '')
    try {
      const [fields, more] = parsed(record, this.#settings)
      if (fields === undefined) return undefined
      const { length } = this.#header.columns
      if (more === undefined && fields.length === length) return this.#row(fields)
      const problem = `has ${fields.length} fields, where the file has ${length} columns`
      return new Fault(start, text, 0, problem)
    } catch (error) {
      const { code } = error as CsvError
      const problem =
        code === 'CSV_QUOTE_NOT_CLOSED' ? 'has a quote that is not closed' : 'has a quote in the wrong place'
      return new Fault(start, text, Math.max(0, text.indexOf(this.#settings.quote)), problem)
    }
  }

  #row(fields: readonly string[]): Row {
    const row: Row = {}
    const { nullValue } = this.#settings
    const { columns } = this.#header
    for (let index = 0; index < columns.length; index++) {
      const { name, type } = columns[index]!
      setColumn(row, name, fieldValue(fields[index]!, type as FieldType, nullValue))
    }
    return row
  }
}
