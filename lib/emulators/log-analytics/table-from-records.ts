import { isDate } from 'node:util/types'
import { fromDate, parseInstant, ticksPerMillisecond, ticksPerSecond } from '../../core/time.ts'
import { type Column, type ColumnType, formatDatetime, isInstant } from './cells.ts'

export interface RecordsTable {
  columns: Column[]
  /** Cells in the order of the columns. A value that a record lacks is null. */
  rows: unknown[][]
  /**
   * The column to give as `timeColumn` and to read by. It is the one asked for, unless that can not be a `datetime`
   * and still come back as it is: then it keeps its own type, and this is one more column with its times.
   */
  timeColumn: string
  /** How many records have no time that can be read: no window will find them. */
  untimed: number
}

/**
 * Makes a table out of records, with the types that give each value back as it was: `bool`, `long`, `real`,
 * `datetime` for ISO 8601 text in UTC that is written back alike, `string`, and `dynamic` for objects, arrays,
 * mixtures and integers beyond 64 bits.
 *
 * @param records objects; integers beyond 2^53 as bigint
 * @param timeColumn the records' time: ISO 8601 text, or a number of seconds (or, from 10^11, milliseconds) since 1970
 */
export function tableFromRecords(
  records: Iterable<Record<string, unknown>>,
  timeColumn: string,
): RecordsTable {
  const kept = [...records]
  const columns = inferColumns(kept)
  const rows = kept.map((record) =>
    columns.map(({ name }) => (Object.hasOwn(record, name) ? record[name] : null)),
  )
  const time = columns.findIndex(({ name }) => name === timeColumn)
  if (columns[time]?.type === 'datetime') {
    return { columns, rows, timeColumn, untimed: rows.filter((row) => (row[time] ?? null) === null).length }
  }
  const added = freeName(columns)
  columns.push({ name: added, type: 'datetime' })
  let untimed = 0
  for (const row of rows) {
    const ticks = timeOf(row[time])
    const known = ticks !== null && isInstant(ticks)
    if (!known) untimed++
    row.push(known ? ticks : null)
  }
  return { columns, rows, timeColumn: added, untimed }
}

/** The columns that records have, with types that give each value back as it was. A Date is a `datetime`. */
export function inferColumns(records: Iterable<Readonly<Record<string, unknown>>>): Column[] {
  const gathered = new Map<string, ColumnShape>()
  for (const record of records) {
    for (const [name, value] of Object.entries(record)) {
      let shape = gathered.get(name)
      if (!shape) {
        shape = new ColumnShape()
        gathered.set(name, shape)
      }
      shape.add(isDate(value) ? formatDatetime(fromDate(value)) : value)
    }
  }
  return [...gathered].map(([name, shape]) => ({ name, ...shape.type() }))
}

/** What the values of one column have in common. */
class ColumnShape {
  readonly #kinds = new Set<Kind>()
  /** Ways to write an instant that gave back every text so far: a number of digits, or undefined for as many as needed. */
  #digits: (number | undefined)[] = [undefined, 0, 1, 2, 3, 4, 5, 6, 7]

  add(value: unknown): void {
    if (value === null || value === undefined) return
    const kind = kindOf(value)
    this.#kinds.add(kind)
    if (kind !== 'string' || this.#digits.length === 0) return
    const ticks = parseInstant(value as string)
    this.#digits =
      ticks === undefined ? [] : this.#digits.filter((digits) => formatDatetime(ticks, digits) === value)
  }

  type(): { type: ColumnType; digits?: number } {
    const kinds = [...this.#kinds]
    const [only, ...others] = kinds
    if (only === undefined) return { type: 'string' }
    if (kinds.every((kind) => kind === 'safe' || kind === 'real')) {
      return { type: kinds.includes('real') ? 'real' : 'long' }
    }
    if (kinds.every((kind) => kind === 'safe' || kind === 'long')) return { type: 'long' }
    if (others.length > 0) return { type: 'dynamic' }
    if (only === 'bool') return { type: 'bool' }
    if (only !== 'string') return { type: 'dynamic' }
    if (this.#digits.length === 0) return { type: 'string' }
    const [digits] = this.#digits
    return digits === undefined ? { type: 'datetime' } : { type: 'datetime', digits }
  }
}

type Kind = 'bool' | 'safe' | 'long' | 'real' | 'string' | 'dynamic'

function kindOf(value: unknown): Kind {
  switch (typeof value) {
    case 'boolean':
      return 'bool'
    case 'number':
      // A long has no negative zero.
      return Number.isSafeInteger(value) && !Object.is(value, -0) ? 'safe' : 'real'
    case 'bigint':
      return BigInt.asIntN(64, value) === value ? 'long' : 'dynamic'
    case 'string':
      return 'string'
    default:
      return 'dynamic'
  }
}

function freeName(taken: readonly Column[]): string {
  let name = 'TimeGenerated'
  while (taken.some((column) => column.name === name)) name = `${name}_`
  return name
}

function timeOf(value: unknown): bigint | null {
  if (typeof value === 'string') return parseInstant(value) ?? null
  if (typeof value === 'bigint') return value * ticksPerMillisecond
  if (typeof value !== 'number' || !Number.isFinite(value)) return null
  const seconds = Math.abs(value) < 1e11 ? value : value / 1000
  const whole = Math.floor(seconds)
  return BigInt(whole) * ticksPerSecond + BigInt(Math.round((seconds - whole) * 1e7))
}
