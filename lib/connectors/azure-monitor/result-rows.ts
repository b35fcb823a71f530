import { ConnectorError } from '../../core/errors.ts'
import { describeIssues, isStandardSchema, type StandardSchema } from '../../core/standard-schema.ts'
import { type CellReader, cellCaster, cellReader, type LongForm } from '../../source/column-values.ts'
import type { Row } from '../../source/protocol.ts'
import { type Column, type KqlType, kqlTypes, type TableSchema } from '../../source/row-schema.ts'
import { connectorName } from './options.ts'
import type { IndexedTable } from './response-index.ts'
import type { RowFilter } from './timestamp-bounds.ts'

export interface RowForm {
  readonly schema: Map<string, KqlType> | StandardSchema | undefined
  readonly datetime: 'date' | 'string'
  readonly long: LongForm
}

interface Member {
  readonly name: string
  /** Where its cell is in a row of the result; -1 for a column that the result lacks. */
  readonly index: number
  readonly read: CellReader
  readonly type: KqlType
}

/** Makes rows of the spans of one table. */
export class TableRows {
  readonly schema: TableSchema
  readonly #members: readonly Member[]
  readonly #plain: boolean
  readonly #validate: StandardSchema['~standard']['validate'] | undefined
  /** Rows of this table read so far, for errors. */
  #count = 0

  constructor(table: IndexedTable, { schema, datetime, long }: RowForm) {
    const columns = namedColumns(table)
    this.#members =
      schema instanceof Map
        ? [...schema].map(([name, type]) => {
            const index = columns.findIndex((column) => column.name === name)
            return { name, type, index, read: cellCaster(type, datetime, long) }
          })
        : columns.map(({ name, type }, index) => ({
            name,
            type,
            index,
            read: cellReader(type, datetime, long),
          }))
    // Assigning to __proto__ would set the prototype.
    this.#plain = !this.#members.some(({ name }) => name === '__proto__')
    this.#validate = isStandardSchema(schema) ? schema['~standard'].validate : undefined
    this.schema = { table: table.name, columns: this.#members.map(({ name, type }) => ({ name, type })) }
  }

  /**
   * @param given rows as arrays of cells
   * @param filter which rows are kept, by the cell at `timestampIndex`
   * @throws ConnectorError with ERR_RESULT where a value does not fit its column, or a row not the schema
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
      const row = this.#plain ? this.#row(cells) : this.#carefulRow(cells)
      rows.push(this.#validate ? await this.#validated(row) : row)
    }
    return rows
  }

  #row(cells: readonly unknown[]): Row {
    const row: Row = {}
    const members = this.#members
    for (let i = 0; i < members.length; i++) {
      const { name, index, read } = members[i]!
      const cell = index < 0 ? null : cells[index]
      if (cell === null || cell === undefined) row[name] = null
      else {
        const value = read(cell)
        if (value === undefined) this.#refuse(members[i]!, cell)
        row[name] = value
      }
    }
    return row
  }

  #carefulRow(cells: readonly unknown[]): Row {
    const row: Row = {}
    for (const member of this.#members) {
      const cell = member.index < 0 ? null : (cells[member.index] ?? null)
      const value = cell === null ? null : member.read(cell)
      if (value === undefined) this.#refuse(member, cell)
      Object.defineProperty(row, member.name, { value, enumerable: true, configurable: true, writable: true })
    }
    return row
  }

  #refuse({ name, type }: Member, cell: unknown): never {
    const shown = JSON.stringify(cell, (_key, value) => (typeof value === 'bigint' ? String(value) : value))
    throw new ConnectorError(
      'ERR_RESULT',
      `${connectorName}: row ${this.#count} of table ${this.schema.table}: column "${name}" holds ${shown.slice(0, 100)}, which is no ${type}`,
      { connector: connectorName },
    )
  }

  async #validated(row: Row): Promise<Row> {
    const result = await this.#validate!(row)
    if (!result.issues) {
      const { value } = result
      if (typeof value === 'object' && value !== null) return value as Row
      throw new ConnectorError(
        'ERR_RESULT',
        `${connectorName}: the schema made of row ${this.#count} something that is no object`,
        { connector: connectorName },
      )
    }
    throw new ConnectorError(
      'ERR_RESULT',
      `${connectorName}: row ${this.#count} of table ${this.schema.table} does not fit the schema: ${describeIssues(result.issues)}`,
      { connector: connectorName },
    )
  }
}

/** The columns, a name that comes twice told apart. A type that is not known is taken as it comes in JSON. */
export function namedColumns({ columns }: IndexedTable): Column[] {
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
    return { name, type: kqlTypes.typeOf(column.type) ?? 'dynamic' }
  })
}
