import { setColumn } from '../core/json.ts'
import { describeIssues, type StandardSchema } from '../core/standard-schema.ts'
import type { CellReader } from './column-values.ts'
import type { Row } from './protocol.ts'
import type { Column } from './row-schema.ts'

/** A column, and how its values are read. */
export interface ReadColumn extends Column {
  /** Index of its cell, in rows that are arrays; -1 for a column that they lack. */
  readonly index?: number
  readonly read: CellReader
}

/** Makes rows of given columns: casts values, and fills in null for those that are lacking. `__proto__` is data. */
export class RowReader {
  readonly columns: readonly ReadColumn[]
  readonly #misfit: (column: ReadColumn, value: unknown) => unknown

  /** @param misfit called with a value that does not fit its column: throws, or returns what the row gets */
  constructor(columns: readonly ReadColumn[], misfit: (column: ReadColumn, value: unknown) => unknown) {
    this.columns = columns
    this.#misfit = misfit
  }

  /** A row of an array of cells. */
  ofCells(cells: readonly unknown[]): Row {
    const row: Row = {}
    const { columns } = this
    // Written out: there may be a hundred million cells.
    for (let at = 0; at < columns.length; at++) {
      const { name, index, read } = columns[at]!
      const cell = index! < 0 ? null : cells[index!]
      let value: unknown = null
      if (cell !== null && cell !== undefined) {
        value = read(cell)
        if (value === undefined) value = this.#misfit(columns[at]!, cell)
      }
      if (name === '__proto__') setColumn(row, name, value)
      else row[name] = value
    }
    return row
  }

  /** A row of the members of an object that are columns. */
  ofMembers(members: Row): Row {
    const row: Row = {}
    for (const column of this.columns) {
      const value = Object.hasOwn(members, column.name) ? members[column.name] : null
      setColumn(row, column.name, this.#value(column, value))
    }
    return row
  }

  /** Casts those members of an object that are columns, in their place. */
  cast(row: Row): Row {
    for (const column of this.columns) {
      if (!Object.hasOwn(row, column.name)) continue
      setColumn(row, column.name, this.#value(column, row[column.name]))
    }
    return row
  }

  #value(column: ReadColumn, given: unknown): unknown {
    if (given === null || given === undefined) return null
    const value = column.read(given)
    return value === undefined ? this.#misfit(column, given) : value
  }
}

/** The row that a schema makes of another; a string says what is wrong with it. */
export async function validated(row: Row, schema: StandardSchema): Promise<Row | string> {
  const result = await schema['~standard'].validate(row)
  if (result.issues) return `does not fit the schema: ${describeIssues(result.issues)}`
  const { value } = result
  return typeof value === 'object' && value !== null
    ? (value as Row)
    : 'became something that is no object, by the schema'
}
