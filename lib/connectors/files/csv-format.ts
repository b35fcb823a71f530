import { isUtf8 } from 'node:buffer'
import { createRequire } from 'node:module'
import type { CsvError } from 'csv-parse/sync'
import { setColumn } from '../../core/json.ts'
import type { Row } from '../../source/protocol.ts'
import { CsvScanner } from './csv-scanner.ts'
import { utf8MarkOf } from './encoding.ts'
import { notUtf8, tooLong } from './line-formats.ts'
import { Fault, type Format, type Records } from './records.ts'

const require = createRequire(import.meta.url)

/** How CSV is written: Spark's names. */
export interface CsvSettings {
  readonly header: boolean
  readonly sep: string
  readonly quote: string
  readonly escape: string
  readonly nullValue: string
  readonly inferSchema: boolean
  readonly max_line_bytes: number
}

/** A column of a CSV file. */
export interface CsvColumn {
  readonly name: string
  /** What its fields are, as far as the file's begin tells. */
  readonly type: 'string' | 'long' | 'real' | 'bool'
}

function parsed(text: Buffer, { sep, quote, escape: escapeBy }: CsvSettings): string[][] {
  // Loaded with the first CSV: few programs read any.
  const { parse } = require('csv-parse/sync') as typeof import('csv-parse/sync')
  return parse(text, {
    delimiter: sep,
    quote: quote === '' ? false : quote,
    escape: escapeBy === '' ? null : escapeBy,
    record_delimiter: ['\r\n', '\n'],
    relax_column_count: true,
    skip_empty_lines: true,
  }) as unknown as string[][]
}

/**
 * The columns of a file, by the whole records that it begins with.
 * @param names the columns' names where the file has no header; without them they are `_c0`, `_c1`…, as in Spark
 */
export function csvColumns(head: Buffer, settings: CsvSettings, names?: readonly string[]): CsvColumn[] {
  const [first = [], ...others] = sampleOf(head, settings)
  const records = settings.header ? others : [first, ...others]
  const given = settings.header ? first.map((name) => name.trim()) : (names ?? [])
  const count = settings.header || !names ? first.length : names.length
  const seen = new Map<string, number>()
  return Array.from({ length: count }, (_, index) => {
    const name = given[index] || `_c${index}`
    const times = seen.get(name) ?? 0
    seen.set(name, times + 1)
    const values = records.map((record) => record[index]).filter((value) => value !== undefined)
    const type = settings.inferSchema
      ? typeOf(values.filter((value) => value !== settings.nullValue))
      : 'string'
    return { name: times === 0 ? name : `${name}_${times}`, type }
  })
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

function typeOf(values: readonly string[]): CsvColumn['type'] {
  if (values.length === 0) return 'string'
  for (const type of ['long', 'real', 'bool'] as const) {
    if (values.every((value) => forms[type].test(value))) return type
  }
  return 'string'
}

/** A field as its column's type; one that does not fit stays a text. */
function fieldValue(text: string, type: CsvColumn['type'], nullValue: string): unknown {
  if (text === nullValue) return null
  if (type === 'string' || !forms[type].test(text)) return text
  if (type === 'bool') return text.toLowerCase() === 'true'
  const number = Number(text)
  return type === 'long' && !Number.isSafeInteger(number) ? BigInt(text) : number
}

/** CSV: a row for each record, a column for each field. */
export class CsvFormat implements Format {
  readonly #settings: CsvSettings
  readonly #columns: readonly CsvColumn[]
  /** Whether rows are asked for with their places. */
  readonly #keepsPlaces: boolean

  constructor(settings: CsvSettings, columns: readonly CsvColumn[], keepsPlaces: boolean) {
    this.#settings = settings
    this.#columns = columns
    this.#keepsPlaces = keepsPlaces
  }

  read(block: Buffer, offset: number, records: Records): void {
    const begin = offset === 0 ? utf8MarkOf(block) : 0
    if (!this.#keepsPlaces && isUtf8(block) && block.length - begin <= this.#settings.max_line_bytes) {
      const quick = this.#readQuickly(block.subarray(begin))
      if (quick) {
        for (const fields of offset === 0 && this.#settings.header ? quick.slice(1) : quick) {
          records.add(this.#row(fields), 0, 0)
        }
        return
      }
    }
    let isHeader = offset === 0 && this.#settings.header
    const take = (start: number, end: number) => {
      const record = this.#readOne(block, start + begin, end + begin)
      if (record === undefined) return
      if (isHeader) isHeader = false
      else if (record instanceof Fault) records.addFault(record, start + begin, end + begin)
      else records.add(record, start + begin, end + begin)
    }
    const text = block.subarray(begin)
    const { last = 0 } = new CsvScanner(this.#settings).scan(text, take) ?? {}
    if (last < text.length) take(last, text.length)
  }

  /** All records at once; undefined where one of them is faulty. */
  #readQuickly(text: Buffer): string[][] | undefined {
    try {
      const records = parsed(text, this.#settings)
      return records.every(({ length }) => length === this.#columns.length) ? records : undefined
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
      if (more === undefined && fields.length === this.#columns.length) return this.#row(fields)
      const problem = `has ${fields.length} fields, where the file has ${this.#columns.length} columns`
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
    for (let index = 0; index < this.#columns.length; index++) {
      const { name, type } = this.#columns[index]!
      setColumn(row, name, fieldValue(fields[index]!, type, nullValue))
    }
    return row
  }
}
