import { ConnectorError } from '../../core/errors.ts'
import { setColumn } from '../../core/json.ts'
import { isStandardSchema, type StandardSchema } from '../../core/standard-schema.ts'
import { asText, type CellReader, cellCaster, type ValueForms } from '../../source/column-values.ts'
import type { Row } from '../../source/protocol.ts'
import { RowReader, validated } from '../../source/row-reader.ts'
import { type Column, type ColumnType, columnType, type TableSchema } from '../../source/row-schema.ts'
import type { AnswerTable, WholeAnswer } from './answer.ts'
import { connectorName } from './options.ts'
import type { RowFilter } from './query-windows.ts'

export interface RowForm extends ValueForms {
  readonly schema: Map<string, ColumnType> | StandardSchema | undefined
  /** Column that receives the table's name. */
  readonly table_column?: string | undefined
}

/** Makes rows of the cells of one table. */
export class TableRows {
  readonly schema: TableSchema
  readonly #reader: RowReader
  readonly #nameColumn: string | undefined
  readonly #standard: StandardSchema | undefined
  /** Rows of this table read so far, for errors. */
  #count = 0

  constructor(table: AnswerTable, { schema, table_column, ...forms }: RowForm) {
    this.#nameColumn = table_column
    const found = namedColumns(table)
    const columns =
      schema instanceof Map
        ? Array.from(schema, ([name, type]) => {
            const index = found.findIndex((column) => column.name === name)
            return { name, type, index, read: cellCaster(type, forms) }
          })
        : found.map(({ name, type }, index) => ({ name, type, index, read: cellReader(type, forms) }))
    this.#reader = new RowReader(columns, ({ name, type }, cell) => {
      const shown = JSON.stringify(cell, (_key, value) => (typeof value === 'bigint' ? String(value) : value))
      throw this.#error(`: column "${name}" holds ${shown.slice(0, 100)}, which is no ${type}`)
    })
    if (isStandardSchema(schema)) this.#standard = schema
    const named: Column[] = table_column === undefined ? [] : [{ name: table_column, type: 'string' }]
    const others = columns.filter(({ name }) => name !== table_column)
    this.schema = {
      table: table.name,
      columns: [...others.map(({ name, type }) => ({ name, type })), ...named],
    }
  }

  /**
   * @param given rows as arrays of cells
   * @param filter which rows are kept, by the cell at `timestampIndex`
   * @throws ConnectorError with ERR_RESULT if a value does not fit its column, or a row the schema
   */
  async read(
    given: readonly (readonly unknown[])[],
    timestampIndex: number,
    filter: RowFilter | undefined,
  ): Promise<Row[]> {
    const rows: Row[] = []
    for (const cells of given) {
      this.#count++
      if (filter && !filter(cells[timestampIndex])) continue
      const row = this.#reader.ofCells(cells)
      if (this.#nameColumn !== undefined) setColumn(row, this.#nameColumn, this.schema.table)
      rows.push(this.#standard ? await this.#validated(row, this.#standard) : row)
    }
    return rows
  }

  async #validated(row: Row, schema: StandardSchema): Promise<Row> {
    const result = await validated(row, schema)
    if (typeof result !== 'string') return result
    throw this.#error(` ${result}`)
  }

  #error(problem: string): ConnectorError {
    const message = `${connectorName}: row ${this.#count} of table ${this.schema.table}${problem}`
    return new ConnectorError('ERR_RESULT', message, { connector: connectorName })
  }
}

/** Reads cells whose type the result declares. A string column accepts only strings. */
function cellReader(type: ColumnType, forms: ValueForms): CellReader {
  return type === 'string' || type === 'guid' || type === 'timespan' ? asText : cellCaster(type, forms)
}

/** The columns with unique names. An unknown type is read as plain JSON. */
export function namedColumns({ columns }: Pick<AnswerTable, 'columns'>): Column[] {
  const taken = new Set(columns.map(({ name }) => name))
  const seen = new Set<string>()
  return columns.map((column) => {
    let { name } = column
    for (let suffix = 1; seen.has(name); suffix++) {
      const proposal = `${column.name}_${suffix}`
      if (!taken.has(proposal)) name = proposal
    }
    seen.add(name)
    taken.add(name)
    return { name, type: columnType(column.type) ?? 'dynamic' }
  })
}

/** The rows of the answer to a small internal query. Releases the answer. */
export async function smallRows(answer: WholeAnswer): Promise<Row[]> {
  const rows: Row[] = []
  try {
    for (const table of answer.tables) {
      const reader = new TableRows(table, { schema: undefined, datetime: 'string', long: 'number-or-bigint' })
      for await (const cells of answer.rows(table)) rows.push(...(await reader.read(cells, -1, undefined)))
    }
  } finally {
    answer.release()
  }
  return rows
}
