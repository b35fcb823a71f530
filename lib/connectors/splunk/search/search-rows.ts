import { ConnectorError } from '../../../core/errors.ts'
import { serialize } from '../../../core/json.ts'
import { describeIssues, isStandardSchema, type StandardSchema } from '../../../core/standard-schema.ts'
import { toDate } from '../../../core/time.ts'
import { isWithin, type Window } from '../../../core/window.ts'
import type { LongForm } from '../../../source/column-values.ts'
import { privateFields, privateNames } from './private-fields.ts'
import { type DatetimeForm, inferTypes, type SplunkColumn, type SplunkType } from './schema.ts'
import {
  epochMilliseconds,
  instantDate,
  instantText,
  instantTicks,
  type ValueReader,
  valueReader,
} from './values.ts'

export type SearchRow = Record<string, unknown>

export interface RowSettings {
  readonly schema: Map<string, SplunkType> | StandardSchema | undefined
  readonly inferSchema: boolean
  readonly mode: 'FAILFAST' | 'PERMISSIVE'
  readonly datetime: DatetimeForm
  readonly long: LongForm
  readonly event_id: boolean
  readonly window_by: 'event_time' | 'index_time'
}

/** Which of a window's rows are kept. */
export interface KeptBy {
  readonly window: Window
  /** Whether a row that does not say its time is an error: its neighbours are read elsewhere. */
  readonly exact: boolean
}

const { bucket, address, indexed, time } = privateFields

/** Makes rows of the results of one source. */
export class SearchRows {
  readonly #settings: RowSettings
  readonly #tellSchema: (columns: readonly SplunkColumn[]) => void
  readonly #instant: ValueReader
  #readers: Map<string, { type: SplunkType; read: ValueReader }> | undefined
  /** Whether rows have the columns of a schema, and no others. */
  readonly #fixed: boolean
  readonly #validate: StandardSchema['~standard']['validate'] | undefined
  #told = ''

  constructor(settings: RowSettings, tellSchema: (columns: readonly SplunkColumn[]) => void) {
    this.#settings = settings
    this.#tellSchema = tellSchema
    this.#instant = settings.datetime === 'string' ? instantText : instantDate
    const { schema } = settings
    this.#fixed = schema instanceof Map
    if (schema instanceof Map) this.#useTypes(schema)
    this.#validate = isStandardSchema(schema) ? schema['~standard'].validate : undefined
  }

  /** Whether types are still to be found in a sample. */
  get wantsSample(): boolean {
    return this.#settings.inferSchema && this.#settings.schema === undefined && this.#readers === undefined
  }

  /** Infers the types of columns from results. */
  infer(results: readonly SearchRow[]): void {
    const types = inferTypes(results.map(withoutPrivate))
    if (results.some((result) => indexed in result)) types.set('_indextime', 'datetime')
    this.#useTypes(types)
  }

  /**
   * Rows of results, which it takes apart.
   * @param kept undefined where all rows are kept: of a search that is not one of events
   * @throws ConnectorError with ERR_RESULT
   */
  async read(results: readonly SearchRow[], kept: KeptBy | undefined): Promise<SearchRow[]> {
    const rows: SearchRow[] = []
    const filter = kept && this.#filter(kept)
    for (const result of results) {
      if (filter && !filter(result)) continue
      const row = this.#row(result)
      rows.push(this.#validate ? await this.#validated(row) : row)
    }
    return rows
  }

  #useTypes(types: Map<string, SplunkType>): void {
    const { datetime, long } = this.#settings
    this.#readers = new Map(
      [...types].map(([name, type]) => [name, { type, read: valueReader(type, datetime, long) }]),
    )
    const columns = [...types].map(([name, type]) => ({ name, type }))
    const text = JSON.stringify(columns)
    if (text === this.#told) return
    this.#told = text
    this.#tellSchema(columns)
  }

  #filter({ window, exact }: KeptBy): (result: SearchRow) => boolean {
    const byIndex = this.#settings.window_by === 'index_time'
    const field = byIndex ? indexed : time
    const first = toDate(window.start).getTime()
    const last = toDate(window.end).getTime()
    return (result) => {
      const instant = result[field]
      if (typeof instant !== 'string') {
        if (!exact) return true
        throw this.#timeless(byIndex ? '_indextime' : '_time')
      }
      const milliseconds = epochMilliseconds(instant)
      if (milliseconds > first && milliseconds < last) return true
      if (milliseconds < first || milliseconds > last) return false
      const ticks = instantTicks(instant)
      if (ticks === undefined) throw this.#misfit(byIndex ? '_indextime' : '_time', 'datetime', instant)
      return isWithin(window, ticks)
    }
  }

  #row(result: SearchRow): SearchRow {
    const instant = result[time]
    const taken = result[indexed]
    const { event_id } = this.#settings
    const ids = event_id ? [result[bucket], result[address]] : undefined
    for (const name of privateNames) if (name in result) delete result[name]
    if (typeof instant === 'string' && '_time' in result) result['_time'] = instant
    if (taken !== undefined) result['_indextime'] = taken
    if (ids) {
      const [bkt, cd] = ids
      if (typeof bkt !== 'string' || typeof cd !== 'string') throw this.#nameless()
      result['_bkt'] = bkt
      result['_cd'] = cd
    }
    if (this.#fixed) return this.#typed({}, result)
    if (this.#readers) return this.#typed(result, result)
    if ('_time' in result) result['_time'] = this.#instantOf('_time', result['_time'])
    if ('_indextime' in result) result['_indextime'] = this.#instantOf('_indextime', result['_indextime'])
    return result
  }

  #instantOf(name: string, given: unknown): unknown {
    if (given === null || given === undefined || given === '') return null
    const value = this.#instant(given)
    if (value !== undefined) return value
    // An instant in a zone of many meanings is text that is right, and would be a Date that is wrong.
    if (this.#settings.datetime === 'string') return given
    throw this.#misfit(name, 'datetime', given)
  }

  #typed(row: SearchRow, result: SearchRow): SearchRow {
    for (const [name, { type, read }] of this.#readers!) {
      const given = result[name]
      if (given === undefined && !this.#fixed) continue
      const isEmpty =
        given === null || given === undefined || (given === '' && type !== 'string' && type !== 'dynamic')
      let value = isEmpty ? null : read(given)
      if (value === undefined) {
        if (this.#settings.mode === 'FAILFAST') throw this.#misfit(name, type, given)
        value = null
      }
      if (name === '__proto__') {
        Object.defineProperty(row, name, { value, enumerable: true, configurable: true, writable: true })
      } else row[name] = value
    }
    return row
  }

  async #validated(row: SearchRow): Promise<SearchRow> {
    const result = await this.#validate!(row)
    if (result.issues) throw this.#error(`a row does not fit the schema: ${describeIssues(result.issues)}`)
    const { value } = result
    if (typeof value === 'object' && value !== null) return value as SearchRow
    throw this.#error('the schema made of a row something that is no object')
  }

  #misfit(name: string, type: string, given: unknown): ConnectorError {
    const shown = (typeof given === 'string' ? JSON.stringify(given) : serialize(given)).slice(0, 100)
    const zone =
      type === 'datetime' && typeof given === 'string' && /[a-z]{3,5}$/i.test(given)
        ? ', as the name of its time zone has several meanings. Set the time zone of the Splunk user to UTC, or datetime: "string"'
        : ''
    return this.#error(`field "${name}" holds ${shown}, which is no ${type}${zone}`)
  }

  #timeless(field: string): ConnectorError {
    return this.#error(
      `the results have no ${field}, by which rows are told apart at the ends of windows. Keep it in the search (| fields ${field}, …), or read the range in one window`,
    )
  }

  #nameless(): ConnectorError {
    return this.#error(
      'event_id: the results have no _bkt and _cd. Commands such as table and stats take them off: leave those out, or name the fields (| fields _bkt, _cd, …)',
    )
  }

  #error(message: string): ConnectorError {
    return new ConnectorError('ERR_RESULT', `splunk: ${message}`, { connector: 'splunk' })
  }
}

function withoutPrivate(result: SearchRow): SearchRow {
  return Object.fromEntries(Object.entries(result).filter(([name]) => !privateNames.includes(name)))
}
