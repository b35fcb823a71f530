import { textOf } from './payload.ts'

/** A function that writes the query parameters of a row. @param columns `*` stands for all */
export function queryWriter(columns: readonly string[]): (row: Record<string, unknown>) => string {
  const all = columns.includes('*')
  return (row) => {
    const params = new URLSearchParams()
    for (const column of all ? Object.keys(row) : columns) {
      const value = Object.hasOwn(row, column) ? row[column] : undefined
      if (value !== undefined && value !== null) params.append(column, textOf(column, value))
    }
    return params.toString()
  }
}

/** The URL with further parameters. Its own are left as they are: they may be signed. */
export function withQuery(url: string, query: string): string {
  const [address = ''] = url.split('#')
  if (query === '') return address
  const joint = address.includes('?') ? (/[?&]$/.test(address) ? '' : '&') : '?'
  return `${address}${joint}${query}`
}
