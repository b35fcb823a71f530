import { readFileSync } from 'node:fs'
import { isDate } from 'node:util/types'
import type { JsonText } from '../../core/json.ts'
import { Refusal } from '../../core/options.ts'
import { fromDate, parseInstant, ticksPerMillisecond } from '../../core/time.ts'
import { ColumnNames, columnFault } from './column-names.ts'

/** Event `undeclared`: the service drops this column of the rows, and answers 204 all the same. Once for each name. */
export interface UndeclaredEvent {
  readonly connector: string
  readonly column: string
  /** Why it is dropped. */
  readonly text: string
}

/**
 * Event `time_replaced`: the service replaces the TimeGenerated of these rows by the time of ingestion. For the first
 * such row, and with the count of all when the stream closes.
 */
export interface TimeReplacedEvent {
  readonly connector: string
  readonly rows: number
  /** The oldest TimeGenerated, or the first that lies ahead. */
  readonly time: string
  readonly text: string
}

export interface RowObserver {
  undeclared(column: string, text: string): void
  timeReplaced(rows: number, time: string): void
  /** A call was refused for the time span of its rows. */
  spanRefused(text: string): void
}

export interface RowSettings {
  readonly column_names: 'azure' | undefined
  /** Names that the stream declares. */
  readonly columns: readonly string[] | undefined
  readonly undeclared: 'refuse' | 'warn'
  readonly batch_span_seconds: number | undefined
}

type Columns = Readonly<Record<string, unknown>>

const day = 86_400_000

/** What is looked at in a row before it is sent: names that the service would drop, times that it would replace. */
export class SentRows {
  readonly #names: ColumnNames | undefined
  readonly #declared: ReadonlySet<string> | undefined
  readonly #refuses: boolean
  readonly #observer: RowObserver
  /** Milliseconds. */
  readonly #span: number | undefined
  /** Names that were looked at. */
  readonly #seen = new Set<string>()
  #replaced = 0
  #oldest = Number.POSITIVE_INFINITY

  constructor(settings: RowSettings, observer: RowObserver) {
    const { column_names, columns, undeclared, batch_span_seconds } = settings
    this.#names = column_names === 'azure' ? new ColumnNames() : undefined
    this.#declared = columns && new Set(columns)
    this.#refuses = undeclared === 'refuse'
    this.#observer = observer
    this.#span = batch_span_seconds && batch_span_seconds * 1000
  }

  /** @throws Error for a row that is refused */
  check(row: Columns, now: number): { readonly sent: Columns; readonly group: string | undefined } {
    const sent = this.#names?.rename(row) ?? row
    this.#lookAll(Object.keys(sent))
    return { sent, group: this.#lookAtTime(sent['TimeGenerated'], now) }
  }

  /**
   * As `check`, for a row of which only names and time are read.
   * @returns its text under the new names, or undefined if it is to be sent as it stands
   */
  checkText(
    row: JsonText,
    now: number,
  ): { readonly sent: string | undefined; readonly group: string | undefined } {
    const names = row.memberNames()
    const given = this.#names?.ofAll(names) ?? names
    this.#lookAll(given)
    const time = names[given.lastIndexOf('TimeGenerated')]
    const group = this.#lookAtTime(time === undefined ? undefined : row.member(time), now)
    if (given === names) return { sent: undefined, group }
    const members = Array.from(row.memberTexts(), ([, text], at) => `${JSON.stringify(given[at])}:${text}`)
    return { sent: `{${members.join(',')}}`, group }
  }

  /** Reports the count of times that are replaced, if there are any. */
  close(): void {
    if (this.#replaced > 0) this.#observer.timeReplaced(this.#replaced, new Date(this.#oldest).toISOString())
  }

  #lookAll(names: readonly string[]): void {
    for (const name of names) if (!this.#seen.has(name)) this.#look(name)
  }

  /** @returns the group of the row: the times of a group are less than the span apart. Undefined: there is no span */
  #lookAtTime(value: unknown, now: number): string | undefined {
    const time = millisecondsOf(value)
    if (time !== undefined && (time < now - 2 * day || time > now + day)) this.#count(time)
    if (this.#span === undefined) return undefined
    return time === undefined ? 'no time' : String(Math.floor(time / this.#span))
  }

  #look(name: string): void {
    const declared = this.#declared?.has(name)
    const fault = declared ? undefined : (columnFault(name) ?? (declared === false ? notDeclared : undefined))
    if (fault !== undefined && this.#declared && this.#refuses) {
      // Not noted as seen: each row with it is refused.
      throw new Error(`the service drops the column ${JSON.stringify(name)}: ${fault}`)
    }
    this.#seen.add(name)
    if (fault !== undefined) this.#observer.undeclared(name, fault)
  }

  #count(time: number): void {
    this.#oldest = Math.min(this.#oldest, time)
    if (++this.#replaced === 1) this.#observer.timeReplaced(1, new Date(time).toISOString())
  }
}

const notDeclared = 'the stream does not declare it'

function millisecondsOf(value: unknown): number | undefined {
  if (isDate(value)) return value.getTime()
  if (typeof value !== 'string') return undefined
  const quick = Date.parse(value)
  // Date.parse reads local times; what has no offset is UTC here, as in the service.
  const ticks = Number.isNaN(quick) || !/Z$/i.test(value) ? parseInstant(value) : fromDate(quick)
  return ticks === undefined ? undefined : Number(ticks / ticksPerMillisecond)
}

/** The columns that a template's stream declares. @throws Refusal */
export function templateColumns(path: string): readonly string[] {
  let template: unknown
  try {
    template = JSON.parse(readFileSync(path, 'utf8'))
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new Refusal(`can't read ${JSON.stringify(path)} (${code ?? 'it is not JSON'})`)
  }
  const { resources = [] } = (template ?? {}) as { resources?: { properties?: Record<string, unknown> }[] }
  const names = resources.flatMap(({ properties }) =>
    Object.values(
      (properties?.['streamDeclarations'] ?? {}) as Record<string, { columns?: { name?: unknown }[] }>,
    ),
  )
  const columns = names.flatMap(({ columns = [] }) => columns.map(({ name }) => String(name)))
  if (columns.length === 0) throw new Refusal(`${JSON.stringify(path)} declares no stream with columns`)
  return columns
}
