import { createHash } from 'node:crypto'

/**
 * Longest name of a column of a custom table.
 * https://learn.microsoft.com/azure/azure-monitor/logs/create-custom-table
 */
const longestName = 45

/** Names that the service keeps for itself; letter case does not matter. */
const reserved: ReadonlySet<string> = new Set([
  'id',
  'type',
  'title',
  'uniqueid',
  'tenantid',
  '_resourceid',
  '_subscriptionid',
])

const columnForm = /^[A-Za-z][A-Za-z0-9_]*$/

/** Why the service drops a column of this name, or undefined if it keeps it. */
export function columnFault(name: string): string | undefined {
  if (reserved.has(name.toLowerCase())) return 'the name is reserved by the service'
  if (!columnForm.test(name)) return 'a name is a letter, then letters, digits and _'
  return name.length > longestName ? `a name has at most ${longestName} characters` : undefined
}

/**
 * The column that Azure Monitor accepts for a name: the same name if it is one, else the same other name each time.
 * `id.orig_h` becomes `id_orig_h`, `_path` becomes `path`, `Type` becomes `Type_`; a name that is too long ends with a
 * part of its hash.
 */
export function azureColumnName(name: string): string {
  if (columnFault(name) === undefined) return name
  const letters = name.replace(/[^A-Za-z0-9_]/g, '_').replace(/^_+/, '')
  const started = /^[A-Za-z]/.test(letters) ? letters : `c_${letters}`
  const free = reserved.has(started.toLowerCase()) ? `${started}_` : started
  if (free.length <= longestName) return free
  const hash = createHash('sha256').update(name).digest('hex').slice(0, 8)
  return `${free.slice(0, longestName - 9)}_${hash}`
}

/** Renames columns, and finds two that become one. */
export class ColumnNames {
  readonly #names = new Map<string, string>()
  readonly #origins = new Map<string, string>()

  /** @throws Error that names both if the column of another name has become the same */
  of(name: string): string {
    const known = this.#names.get(name)
    if (known !== undefined) return known
    const column = azureColumnName(name)
    const other = this.#origins.get(column)
    if (other !== undefined) {
      throw new Error(
        `the columns ${JSON.stringify(other)} and ${JSON.stringify(name)} both become ${column}`,
      )
    }
    this.#names.set(name, column)
    this.#origins.set(column, name)
    return column
  }

  /** The columns of names; the same array if all of them stay. @throws Error as `of` does */
  ofAll(names: readonly string[]): readonly string[] {
    const columns = names.map((name) => this.of(name))
    return columns.every((column, at) => column === names[at]) ? names : columns
  }

  /** The row under its new names, or the row itself if all of its names stay. @throws Error as `of` does */
  rename(row: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
    const names = Object.keys(row)
    const columns = this.ofAll(names)
    if (columns === names) return row
    return Object.fromEntries(columns.map((column, at) => [column, row[names[at]!]]))
  }
}
