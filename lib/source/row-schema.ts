import type { StandardSchema } from '../core/standard-schema.ts'
import { TypeNames } from './type-names.ts'

/**
 * What a cell is in a row, by the KQL type of its column. Every cell may also be null.
 * https://learn.microsoft.com/kusto/query/scalar-data-types/
 */
export interface KqlValues {
  bool: boolean
  int: number
  /** A bigint outside ±(2^53 - 1), where a number would be wrong. */
  long: number | bigint
  /** NaN and the infinities among them. */
  real: number
  /** Text where a number would lose digits. */
  decimal: number | string
  string: string
  /** Text with all 7 digits of a second with `datetime: 'string'`. */
  datetime: Date
  /** As `[-][days.]hh:mm:ss[.fffffff]`. */
  timespan: string
  guid: string
  /** Any JSON value. */
  dynamic: unknown
}

export type KqlType = keyof KqlValues

/** Other names that KQL has for its types. */
const aliases = {
  boolean: 'bool',
  double: 'real',
  date: 'datetime',
  time: 'timespan',
  uuid: 'guid',
  uniqueid: 'guid',
} as const satisfies Record<string, KqlType>

export type KqlTypeName = KqlType | keyof typeof aliases

export const kqlTypes = new TypeNames<KqlType>(
  ['bool', 'int', 'long', 'real', 'decimal', 'string', 'datetime', 'timespan', 'guid', 'dynamic'],
  aliases,
)

/** Columns wanted, and their types. */
export type ColumnTypes = Readonly<Record<string, KqlTypeName>>

/** A column of a result. */
export interface Column {
  /** As it is in rows: a name that comes twice in a result has `_1`, `_2`… after it from the second on. */
  readonly name: string
  readonly type: KqlType
}

/** The columns of a result's table. */
export interface TableSchema {
  /** `PrimaryResult` for the first, or only, table of a query. */
  readonly table: string
  readonly columns: readonly Column[]
}

export type RowSchema = ColumnTypes | StandardSchema

type Cell<N, D> = N extends keyof typeof aliases
  ? Cell<(typeof aliases)[N], D>
  : N extends 'datetime'
    ? D extends 'string'
      ? string
      : Date
    : N extends KqlType
      ? KqlValues[N]
      : unknown

/** The type of the rows that come with schema `S`; `D` is the option `datetime`. */
export type RowOf<S, D = 'date'> =
  S extends StandardSchema<unknown, infer Output>
    ? Output
    : S extends ColumnTypes
      ? { [K in keyof S]: Cell<S[K], D> | null }
      : Record<string, unknown>
