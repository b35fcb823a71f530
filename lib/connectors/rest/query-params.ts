import { RefusedRow } from '../../core/errors.ts'
import { textOf } from './payload.ts'

/** A row, parted into the text of its query parameters and the columns that stay in the body. */
export interface PartedRow {
  readonly query: string
  readonly body: Record<string, unknown>
}

/**
 * A function that takes the query parameters out of a row.
 * @param columns `*` stands for all
 * @throws RefusedRow where a column is missing (its function)
 */
export function queryParter(columns: readonly string[]): (row: Record<string, unknown>) => PartedRow {
  if (columns.length === 0) return (row) => ({ query: '', body: row })
  const all = columns.includes('*')
  const taken = new Set(columns)
  return (row) => {
    const params = new URLSearchParams()
    for (const column of all ? Object.keys(row) : columns) {
      const value = Object.hasOwn(row, column) ? row[column] : undefined
      if (value !== undefined) params.append(column, textOf(column, value))
      else if (!all) throw new RefusedRow(`${column}: is missing, and url_query_params names it`)
    }
    const left = all ? [] : Object.entries(row).filter(([column]) => !taken.has(column))
    return { query: params.toString(), body: Object.fromEntries(left) }
  }
}

/** The URL with further parameters. Its own are left as they are: they may be signed. */
export function withQuery(url: string, query: string): string {
  const [address = ''] = url.split('#')
  if (query === '') return address
  const joint = address.includes('?') ? (/[?&]$/.test(address) ? '' : '&') : '?'
  return `${address}${joint}${query}`
}
