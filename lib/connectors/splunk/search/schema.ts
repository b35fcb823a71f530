import type { StandardSchema } from '../../../core/standard-schema.ts'
import { TypeNames } from '../../../source/type-names.ts'

/** What a value is in a row, by its type in the option `schema`. Every value may also be null. */
export interface SplunkValues {
  string: string
  bool: boolean
  int: number
  /** A bigint outside ±(2^53 - 1), where a number would be wrong; see the option `long`. */
  long: number | bigint
  double: number
  /** Text with all digits of a second with `datetime: 'string'`. */
  datetime: Date
  /** The values of a multivalue field; of any other, its one value. */
  strings: readonly string[]
  /** JSON in a field, parsed; any other text as it is. */
  dynamic: unknown
}

export type SplunkType = keyof SplunkValues
export type DatetimeForm = 'date' | 'string'

/** The names that Spark has for these types, and others that are common. */
const aliases = {
  boolean: 'bool',
  integer: 'int',
  bigint: 'long',
  float: 'double',
  real: 'double',
  timestamp: 'datetime',
  'array<string>': 'strings',
} as const satisfies Record<string, SplunkType>

export type SplunkTypeName = SplunkType | keyof typeof aliases

export const splunkTypes = new TypeNames<SplunkType>(
  ['string', 'bool', 'int', 'long', 'double', 'datetime', 'strings', 'dynamic'],
  aliases,
)

/** Columns wanted, and their types. */
export type SplunkColumnTypes = Readonly<Record<string, SplunkTypeName>>

export type SplunkRowSchema = SplunkColumnTypes | StandardSchema

/** A column of the rows, as the event `schema` has it. */
export interface SplunkColumn {
  readonly name: string
  readonly type: SplunkType
}

type Value<N, D> = N extends keyof typeof aliases
  ? Value<(typeof aliases)[N], D>
  : N extends 'datetime'
    ? D extends 'string'
      ? string
      : Date
    : N extends SplunkType
      ? SplunkValues[N]
      : unknown

/** The type of the rows that come with schema `S`; `D` is the option `datetime`. */
export type SplunkRowOf<S, D = 'date'> =
  S extends StandardSchema<unknown, infer Output>
    ? Output
    : S extends SplunkColumnTypes
      ? { [K in keyof S]: Value<S[K], D> | null }
      : Record<string, unknown>

/** Rows whose values types are inferred from. */
export const sampleRows = 1000

const integer = /^[+-]?\d{1,19}$/
const decimal = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i
const leadingZero = /^[+-]?0\d/

/**
 * Types by the values of a sample. Texts of digits with zeros before them (a code, a phone number) stay texts: as numbers
 * they would not be the same.
 */
export function inferTypes(rows: readonly Readonly<Record<string, unknown>>[]): Map<string, SplunkType> {
  const found = new Map<string, SplunkType | undefined>()
  for (const row of rows) {
    for (const [name, value] of Object.entries(row)) {
      const type = typeOf(value)
      const before = found.get(name)
      found.set(name, before === undefined ? type : type === undefined ? before : both(before, type))
    }
  }
  const types = new Map<string, SplunkType>()
  for (const [name, type] of found) types.set(name, builtIn.get(name) ?? type ?? 'string')
  return types
}

/** Fields whose types are known. */
export const builtIn: ReadonlyMap<string, SplunkType> = new Map([
  ['_time', 'datetime'],
  ['_indextime', 'datetime'],
  ['_raw', 'string'],
])

function typeOf(value: unknown): SplunkType | undefined {
  if (value === null || value === undefined || value === '') return undefined
  if (Array.isArray(value)) return 'strings'
  if (typeof value === 'boolean') return 'bool'
  const text = typeof value === 'string' ? value : String(value)
  if (/^(true|false)$/i.test(text)) return 'bool'
  if (leadingZero.test(text)) return 'string'
  if (integer.test(text)) return 'long'
  return decimal.test(text) ? 'double' : 'string'
}

function both(one: SplunkType, other: SplunkType): SplunkType {
  if (one === other) return one
  if (one === 'strings' || other === 'strings') return 'strings'
  const numbers: readonly SplunkType[] = ['long', 'double']
  return numbers.includes(one) && numbers.includes(other) ? 'double' : 'string'
}
