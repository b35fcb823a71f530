import { ConnectorError, OptionError } from '../../core/errors.ts'
import type { EitherSpelling } from '../../core/spelling.ts'
import { Requester } from '../../source/requester.ts'
import { type Column, columnType } from '../../source/row-schema.ts'
import { WholeAnswer } from './answer.ts'
import {
  type AzureMonitorTablesOptions,
  connectorName,
  type TargetValues,
  targetDeclaration,
} from './options.ts'
import { KqlClient, type Question } from './protocol.ts'
import { namedColumns, smallRows } from './table-rows.ts'

/** https://learn.microsoft.com/kusto/query/schema-entities/entity-names */
const tableName = /^[A-Za-z_][A-Za-z0-9_]{0,254}$/

type TablesOptions = AzureMonitorTablesOptions | EitherSpelling<AzureMonitorTablesOptions>

/** A table of a workspace or resource. */
export interface TableInfo {
  readonly name: string
  readonly columns: readonly Column[]
}

/**
 * The tables of a workspace, or those that hold logs of an Azure resource, with their columns, sorted by name.
 * https://learn.microsoft.com/rest/api/loganalytics/metadata/get
 * @throws OptionError, and ConnectorError with ERR_AUTH or ERR_QUERY
 */
export async function listTables(options: TablesOptions): Promise<TableInfo[]> {
  return withClient(options, async (ask) => {
    const response = await ask({ query: '', timespan: undefined, metadata: true })
    response.release()
    const tables = response.tables.map((table) => ({
      name: table.name,
      columns: namedColumns(table),
    }))
    return tables.sort((a, b) => (a.name < b.name ? -1 : 1))
  })
}

/**
 * The columns of one table, in its order.
 * @param table its name, which is checked before it enters a query
 * @throws OptionError, and ConnectorError with ERR_AUTH, or ERR_QUERY if there is no such table
 */
export async function tableSchema(table: string, options: TablesOptions): Promise<Column[]> {
  if (typeof table !== 'string' || !tableName.test(table)) {
    const shown = typeof table === 'string' ? JSON.stringify(table.slice(0, 100)) : typeof table
    throw new OptionError(connectorName, [
      `table: expected a table's name (letters, digits and _, no digit first), got ${shown}`,
    ])
  }
  return withClient(options, async (ask) => {
    const query = `${table}\n| getschema\n| project ColumnName, ColumnType`
    const rows = await smallRows(await ask({ query, timespan: undefined }))
    return rows.map(({ ColumnName: name, ColumnType: typeName }) => {
      const type = typeof typeName === 'string' ? columnType(typeName) : undefined
      if (typeof name === 'string' && type !== undefined) return { name, type }
      throw new ConnectorError('ERR_RESULT', `${connectorName}: the schema of ${table} can not be read`, {
        connector: connectorName,
      })
    })
  })
}

async function withClient<T>(
  options: TablesOptions,
  work: (ask: (question: Question) => Promise<WholeAnswer>) => Promise<T>,
): Promise<T> {
  const values = targetDeclaration.resolve(options)
  const client = new KqlClient(values as TargetValues)
  const requester = new Requester(values as TargetValues)
  const signal = values.signal ?? new AbortController().signal
  const once = async (question: Question, until: AbortSignal) => {
    const given = await client.once(question, until)
    return given instanceof WholeAnswer ? ({ kind: 'accepted', value: given } as const) : given
  }
  try {
    return await work(async (question) => {
      const answer = await requester.ask((_page, until) => once(question, until), { signal })
      if ('split' in answer) throw answer.split
      return answer.value
    })
  } finally {
    client.close()
  }
}
