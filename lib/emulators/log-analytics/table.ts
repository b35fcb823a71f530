import { fromDate, parseInstant, type Ticks } from '../../core/time.ts'
import { type Cell, type Column, toCell } from './cells.ts'
import type { Result, Row } from './kql.ts'

/** An instant: Date, ISO 8601 text with up to 7 digits of a second, or ticks of 100 ns since 1970. */
export type Instant = Date | string | bigint

/** A row to be: cells in the order of the columns, or an object (a missing column is null). */
export type RowInput = readonly unknown[] | Readonly<Record<string, unknown>>

export interface TableOptions {
  /** The column that the request's `timespan` is about. Default `TimeGenerated`. */
  timeColumn?: string
  /**
   * When rows are taken in (`ingestion_time()`): one instant, or worked out from row and index. Default: now. A
   * query does not see a row before it is taken in.
   */
  ingestedAt?: Instant | ((row: RowInput, index: number) => Instant)
}

/** What of a table a request may see. */
export interface View {
  from?: Ticks | undefined
  to?: Ticks | undefined
  /** Whether a row at `to` is seen. */
  inclusive: boolean
  now: Ticks
  /** Only rows taken in from here on, and up to but without there. */
  ingestedFrom?: Ticks | undefined
  ingestedTo?: Ticks | undefined
}

/** Rows with typed columns. */
export class LogTable {
  readonly name: string
  readonly columns: readonly Column[]
  readonly timeColumn: string
  readonly #timeIndex: number
  readonly #rows: Row[] = []
  /** In order of time, so that a window's start can be searched for. */
  #sorted = true

  constructor(name: string, columns: readonly Column[], timeColumn: string) {
    this.name = name
    this.columns = columns
    this.timeColumn = timeColumn
    this.#timeIndex = columns.findIndex((column) => column.name === timeColumn && column.type === 'datetime')
  }

  get rowCount(): number {
    return this.#rows.length
  }

  /** @throws TypeError for a value that does not fit its column, and for a column that there is not */
  append(rows: Iterable<RowInput>, ingestedAt: (row: RowInput, index: number) => Ticks): void {
    let index = 0
    for (const input of rows) {
      const row: Row = { cells: this.#cells(input), ingested: ingestedAt(input, index++), json: undefined }
      const last = this.#rows.at(-1)
      if (last && !(this.#time(last)! <= this.#time(row)!)) this.#sorted = false
      this.#rows.push(row)
    }
  }

  /** What the view shows of this table. */
  scan(view: View): Result {
    return { columns: this.columns, rows: { [Symbol.iterator]: () => this.#visible(view) } }
  }

  *#visible({ from, to, inclusive, now, ingestedFrom, ingestedTo }: View): Generator<Row> {
    const timed = this.#timeIndex >= 0 && (from !== undefined || to !== undefined)
    const searched = timed && this.#sorted && from !== undefined
    for (let index = searched ? this.#firstAt(from) : 0; index < this.rowCount; index++) {
      const row = this.#rows[index]!
      if (timed) {
        const time = this.#time(row)
        if (time === null || (from !== undefined && time < from)) continue
        if (to !== undefined && (inclusive ? time > to : time >= to)) {
          if (this.#sorted) return
          continue
        }
      }
      if (row.ingested !== null) {
        if (row.ingested > now) continue
        if (ingestedFrom !== undefined && row.ingested < ingestedFrom) continue
        if (ingestedTo !== undefined && row.ingested >= ingestedTo) continue
      }
      yield row
    }
  }

  /** Index of the first row not before `instant`. */
  #firstAt(instant: Ticks): number {
    let [low, high] = [0, this.rowCount]
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#time(this.#rows[middle]!)! < instant) low = middle + 1
      else high = middle
    }
    return low
  }

  #time(row: Row): Ticks | null {
    return (row.cells[this.#timeIndex] as bigint | null | undefined) ?? null
  }

  #cells(input: RowInput): Cell[] {
    const values = isCells(input) ? input : this.#values(input)
    if (values.length > this.columns.length) {
      throw new TypeError(`${this.name} has ${this.columns.length} columns, the row ${values.length} cells`)
    }
    return this.columns.map(({ name, type }, index) => {
      try {
        return toCell(values[index], type)
      } catch (error) {
        throw new TypeError(`${this.name}.${name}: ${(error as Error).message}`)
      }
    })
  }

  #values(input: Readonly<Record<string, unknown>>): unknown[] {
    for (const key of Object.keys(input)) {
      if (!this.columns.some(({ name }) => name === key))
        throw new TypeError(`${this.name} has no column ${key}`)
    }
    return this.columns.map(({ name }) => (Object.hasOwn(input, name) ? input[name] : null))
  }
}

function isCells(input: RowInput): input is readonly unknown[] {
  return Array.isArray(input)
}

/** @throws TypeError */
export function instantToTicks(instant: Instant): Ticks {
  if (typeof instant === 'bigint') return instant
  const ticks = typeof instant === 'string' ? parseInstant(instant) : fromDate(instant)
  if (ticks === undefined) throw new TypeError(`${String(instant)} is no instant`)
  return ticks
}
