import { type Block, blocksOf, lineScanner, type Scanner } from '../../core/blocks.ts'
import { setColumn } from '../../core/json.ts'
import { JsonScanner } from '../../core/json-scanner.ts'
import { isStandardSchema, type StandardSchema } from '../../core/standard-schema.ts'
import { cellCaster, type ValueForms } from '../../source/column-values.ts'
import type { Row } from '../../source/protocol.ts'
import { RowReader, validated } from '../../source/row-reader.ts'
import type { Column, ColumnType } from '../../source/row-schema.ts'
import { CsvFormat, type CsvSettings, csvHeader } from './csv-format.ts'
import { CsvScanner } from './csv-scanner.ts'
import { JsonFormat } from './json-format.ts'
import { NdjsonFormat, TextFormat } from './line-formats.ts'
import type { MalformedRecords } from './malformed.ts'
import { Fault, type Format, Records, type TextHeader } from './records.ts'
import { ZeekFormat, zeekHeader, zeekMark } from './zeek-format.ts'

export type FormatName = 'ndjson' | 'json' | 'csv' | 'text' | 'zeek'

export interface RecordSettings extends CsvSettings, ValueForms {
  readonly format: FormatName
  readonly rows: 'objects' | 'json'
  readonly schema: ReadonlyMap<string, ColumnType> | StandardSchema | undefined
  readonly file_path_column: string | undefined
  readonly file_offset_column: string | undefined
  readonly file_modification_time_column: string | undefined
}

/** A text whose records are read: a file's, or a part of it. */
export interface RecordText {
  readonly path: string
  /** Milliseconds since 1970. */
  readonly modified: number
  /** Its start in the file's text. */
  readonly offset: number
  /** Whether the file's text ends with it. */
  readonly isToEnd: boolean
  readonly chunks: AsyncIterable<Buffer>
  /** Of a file of CSV or Zeek's format. */
  readonly header?: TextHeader | undefined
}

/** Text at a file's start, or from a header on, that defines its columns. */
export const headerBytes = 65_536

/** What a header within a file starts with; undefined if it can only be at the file's start. */
export function headerMark({ format, header_prefix }: RecordSettings): string | undefined {
  if (format === 'zeek') return zeekMark
  return format === 'csv' ? header_prefix : undefined
}

/** The columns of a file, of formats that have a header. @param head text that starts with it */
export function headerOf(settings: RecordSettings, head: Buffer): TextHeader | undefined {
  const { format, schema } = settings
  if (format === 'zeek') return zeekHeader(head)
  return format === 'csv'
    ? csvHeader(head, settings, schema instanceof Map ? [...schema.keys()] : undefined)
    : undefined
}

export function hasHeader({ format }: RecordSettings): boolean {
  return format === 'csv' || format === 'zeek'
}

/** Finds the ends of a format's records. @param isInside whether the text begins behind another record */
export function scannerOf(settings: RecordSettings, isInside: boolean): Scanner {
  if (settings.format === 'csv') return new CsvScanner(settings)
  return settings.format === 'json' ? new JsonScanner(isInside) : lineScanner
}

const noHeader: TextHeader = { columns: [] }

function formatOf(settings: RecordSettings, offset: number, header = noHeader): Format {
  switch (settings.format) {
    case 'ndjson':
      return new NdjsonFormat(settings)
    case 'text':
      return new TextFormat(settings)
    case 'json':
      return new JsonFormat(settings, offset > 0)
    case 'csv':
      return new CsvFormat(settings, header)
    case 'zeek':
      return new ZeekFormat(settings, header)
  }
}

function hasColumns(settings: RecordSettings): boolean {
  const { file_path_column, file_offset_column, file_modification_time_column } = settings
  return [file_path_column, file_offset_column, file_modification_time_column].some(
    (name) => name !== undefined,
  )
}

/** Whether text without the end of its last record can be read all the same. */
export function canRead(
  settings: RecordSettings,
  text: Buffer,
  offset: number,
  header: TextHeader | undefined,
): boolean {
  const records = new Records(false)
  formatOf(settings, offset, header).read(text, offset, records)
  return records.faults === 0 && records.entries.length > 0
}

/** Reads records, as the options say. */
export class RecordReader {
  readonly #settings: RecordSettings
  readonly #malformed: MalformedRecords
  readonly #columns: RowReader | undefined
  /** The first column of the row at hand whose value does not fit. */
  #misfit: Column | undefined
  readonly #standard: StandardSchema | undefined
  readonly #hasColumns: boolean

  constructor(settings: RecordSettings, malformed: MalformedRecords) {
    this.#settings = settings
    this.#malformed = malformed
    const { schema } = settings
    if (isStandardSchema(schema)) this.#standard = schema
    else if (schema) {
      const columns = Array.from(schema, ([name, type]) => ({ name, type, read: cellCaster(type, settings) }))
      this.#columns = new RowReader(columns, (column) => {
        this.#misfit ??= column
        return null
      })
    }
    this.#hasColumns = hasColumns(settings)
  }

  /** Rows, some hundred at a time. @throws FaultyRecord, FileError, AbortError */
  async *read(text: RecordText): AsyncGenerator<readonly Row[], void> {
    const { max_line_bytes } = this.#settings
    const isInside = text.offset > 0
    const format = formatOf(this.#settings, text.offset, text.header)
    const scanner = scannerOf(this.#settings, isInside)
    let end = text.offset
    for await (const block of blocksOf(text.chunks, scanner, text.offset, max_line_bytes)) {
      if (block.isTooLong) {
        const fault = `is longer than max_line_bytes (${max_line_bytes})`
        const row = await this.#malformed.take(text.path, block.offset, block.bytes.toString(), 0, fault)
        if (row) yield [this.#withColumns(row, text, block.offset)]
        continue
      }
      end = block.offset + block.bytes.length
      if (block.bytes.length === 0) continue
      const records = new Records(
        this.#columns !== undefined || this.#standard !== undefined || this.#hasColumns,
      )
      format.read(block.bytes, block.offset, records)
      const rows = await this.#rows(records, block, text)
      if (rows.length > 0) yield rows
    }
    const problem = text.isToEnd ? format.end?.() : undefined
    if (problem === undefined) return
    const row = await this.#malformed.take(text.path, end, '', 0, problem)
    if (row) yield [this.#withColumns(row, text, end)]
  }

  async #rows(records: Records, block: Block, text: RecordText): Promise<readonly Row[]> {
    const { entries, faults } = records
    const isPlain = !this.#columns && !this.#standard && !this.#hasColumns
    if (isPlain && faults === 0) return entries as Row[]
    const rows: Row[] = []
    const isPlaced = this.#settings.file_offset_column !== undefined
    const record = (index: number) =>
      block.bytes.toString('utf8', ...records.place(index)).replace(/\r?\n$/, '')
    for (let index = 0; index < entries.length; index++) {
      const entry = entries[index]!
      const offset = () => block.offset + (entry instanceof Fault ? entry.start : records.place(index)[0])
      let row: Row | undefined = entry as Row
      if (entry instanceof Fault) {
        const { text: line, at, problem } = entry
        row = await this.#malformed.take(text.path, offset(), line, at, problem, this.#nulls())
      } else if (this.#standard) {
        const result = await validated(entry, this.#standard)
        if (typeof result !== 'string') row = result
        else row = await this.#malformed.take(text.path, offset(), record(index), 0, result)
      } else if (this.#columns) {
        this.#misfit = undefined
        row = this.#columns.ofMembers(entry)
        const misfit = this.#misfit as Column | undefined
        if (misfit) {
          const line = record(index)
          const at = Math.max(0, line.indexOf(JSON.stringify(misfit.name)))
          const problem = `its column "${misfit.name}" is no ${misfit.type}`
          row = await this.#malformed.take(text.path, offset(), line, at, problem, row)
        }
      }
      if (row) rows.push(this.#withColumns(row, text, isPlaced ? offset() : 0))
    }
    return rows
  }

  /** A row whose columns are all null. */
  #nulls(): Row {
    return this.#columns?.ofMembers({}) ?? {}
  }

  #withColumns(row: Row, text: RecordText, offset: number): Row {
    if (!this.#hasColumns) return row
    const { file_path_column, file_offset_column, file_modification_time_column } = this.#settings
    if (file_path_column !== undefined) setColumn(row, file_path_column, text.path)
    if (file_offset_column !== undefined) setColumn(row, file_offset_column, offset)
    if (file_modification_time_column !== undefined) {
      setColumn(row, file_modification_time_column, new Date(text.modified))
    }
    return row
  }
}
