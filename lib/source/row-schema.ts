import { Refusal } from '../core/options.ts'
import { isStandardSchema, type StandardSchema } from '../core/standard-schema.ts'

/** What a value is in a row, by the type of its column. Every value may also be null. */
export interface ColumnValues {
  string: string
  bool: boolean
  int: number
  /** A bigint outside ±(2^53 - 1), where a number would be wrong; see the option `long`. */
  long: number | bigint
  /** NaN and the infinities among them. */
  real: number
  /** Another name of `real`, which stays in events as it was given. */
  double: number
  /** A string if a number would lose digits. */
  decimal: number | string
  /** A string with all digits of a second if `datetime` is `'string'`. */
  datetime: Date
  /** As `[-][days.]hh:mm:ss[.fffffff]`. */
  timespan: string
  guid: string
  /** The values of a multivalue field; of any other, its one value. */
  strings: readonly string[]
  /** Any JSON value. */
  dynamic: unknown
}

/** A type of columns: those of KQL, https://learn.microsoft.com/kusto/query/scalar-data-types/, and `double` and `strings`. */
export type ColumnType = keyof ColumnValues

/** Other names that KQL and Spark have for them. */
const aliases = {
  boolean: 'bool',
  integer: 'int',
  bigint: 'long',
  float: 'double',
  date: 'datetime',
  timestamp: 'datetime',
  time: 'timespan',
  uuid: 'guid',
  uniqueid: 'guid',
  'array<string>': 'strings',
} as const satisfies Record<string, ColumnType>

export type ColumnTypeName = ColumnType | keyof typeof aliases

/** Columns wanted, and their types. */
export type ColumnTypes = Readonly<Record<string, ColumnTypeName>>

/** The option `schema`. */
export type RowSchema = ColumnTypes | StandardSchema

/** A column of rows. */
export interface Column {
  /** As it is in rows: a name that a result has twice gets `_1`, `_2`… after it from the second on. */
  readonly name: string
  readonly type: ColumnType
}

/** The columns of a table. */
export interface TableSchema {
  /** `PrimaryResult` for the first, or only, table of a KQL query. */
  readonly table: string
  readonly columns: readonly Column[]
}

type Cell<N, D> = N extends keyof typeof aliases
  ? Cell<(typeof aliases)[N], D>
  : N extends 'datetime'
    ? D extends 'string'
      ? string
      : Date
    : N extends ColumnType
      ? ColumnValues[N]
      : unknown

/** The type of the rows that come with schema `S`; `D` is the option `datetime`. */
export type RowOf<S, D = 'date'> =
  S extends StandardSchema<unknown, infer Output>
    ? Output
    : S extends ColumnTypes
      ? { [K in keyof S]: Cell<S[K], D> | null }
      : Record<string, unknown>

const types: readonly ColumnType[] = [
  'bool', 'int', 'long', 'real', 'double', 'decimal', 'string', 'datetime', 'timespan', 'guid', 'strings', 'dynamic',
] // biome-ignore format: a list

const byName = new Map<string, ColumnType>([
  ...types.map((type): [string, ColumnType] => [type, type]),
  ...Object.entries(aliases),
])

/** All names of types, for the schema of the option. */
export const columnTypeNames: readonly string[] = [...byName.keys()]

/** The type of that name, in any case; undefined if there is none. */
export function columnType(name: string): ColumnType | undefined {
  return byName.get(name.trim().toLowerCase())
}

/** Reads the option `schema`; undefined if it has another form. @throws Refusal */
export function parseRowSchema(value: unknown): Map<string, ColumnType> | StandardSchema | undefined {
  if (isStandardSchema(value)) return value
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  const columns = new Map<string, ColumnType>()
  for (const [name, typeName] of Object.entries(value)) {
    const type = typeof typeName === 'string' ? columnType(typeName) : undefined
    if (type === undefined) {
      throw new Refusal(
        `the type of column "${name}" must be one of ${types.join(', ')}, got ${JSON.stringify(typeName) ?? typeof typeName}`,
      )
    }
    columns.set(name, type)
  }
  if (columns.size === 0) throw new Refusal('has no columns')
  return columns
}
