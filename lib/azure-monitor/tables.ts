import { ConnectorError, OptionError } from '../core/errors.ts'
import { connectorName, type TargetValues, targetDeclaration } from './options.ts'
import type { AzureMonitorTablesOptions } from './options.types.ts'
import { QuerySession } from './query-session.ts'
import { namedColumns } from './result-rows.ts'
import { type Column, kqlType } from './schema.ts'

/** https://learn.microsoft.com/kusto/query/schema-entities/entity-names */
const tableName = /^[A-Za-z_][A-Za-z0-9_]{0,254}$/

/** A table of a workspace or resource. */
export interface TableInfo {
  readonly name: string
  readonly columns: readonly Column[]
}

/**
 * The tables of a workspace, or those that hold logs of an Azure resource, with their columns, in order of their names.
 * https://learn.microsoft.com/rest/api/loganalytics/metadata/get
 * @throws OptionError, and ConnectorError with ERR_AUTH or ERR_QUERY
 */
export async function listTables(options: AzureMonitorTablesOptions): Promise<TableInfo[]> {
  return withSession(options, async (session, signal) => {
    const question = { query: '', timespan: undefined, window: undefined, divisible: false, metadata: true }
    const answer = await session.queries.ask(question, signal)
    if ('tooLarge' in answer) throw answer.tooLarge
    const tables = answer.response.index.tables.map((table) => ({
      name: table.name,
      columns: namedColumns(table),
    }))
    return tables.sort((a, b) => (a.name < b.name ? -1 : 1))
  })
}

/**
 * The columns of one table, in its order.
 * @param table its name, which is checked before it enters a query
 * @throws OptionError, and ConnectorError with ERR_AUTH, or ERR_QUERY where there is no such table
 */
export async function tableSchema(table: string, options: AzureMonitorTablesOptions): Promise<Column[]> {
  if (typeof table !== 'string' || !tableName.test(table)) {
    const shown = typeof table === 'string' ? JSON.stringify(table.slice(0, 100)) : typeof table
    throw new OptionError(connectorName, [
      `table: expected a table's name (letters, digits and _, no digit first), got ${shown}`,
    ])
  }
  return withSession(options, async (session, signal) => {
    const rows = await session.ask(
      `${table}\n| getschema\n| project ColumnName, ColumnType`,
      undefined,
      signal,
    )
    return rows.map(({ ColumnName: name, ColumnType: typeName }) => {
      const type = typeof typeName === 'string' ? kqlType(typeName) : undefined
      if (typeof name === 'string' && type !== undefined) return { name, type }
      throw new ConnectorError('ERR_RESULT', `${connectorName}: the schema of ${table} can not be read`, {
        connector: connectorName,
      })
    })
  })
}

async function withSession<T>(
  options: AzureMonitorTablesOptions,
  work: (session: QuerySession, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const values = targetDeclaration.resolve(options)
  const session = new QuerySession(values as TargetValues)
  try {
    return await work(session, values.signal ?? new AbortController().signal)
  } finally {
    session.close()
  }
}
