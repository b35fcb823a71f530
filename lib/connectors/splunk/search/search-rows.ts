import { ConnectorError } from '../../../core/errors.ts'
import { serialize } from '../../../core/json.ts'
import { isStandardSchema, type StandardSchema } from '../../../core/standard-schema.ts'
import { toDate } from '../../../core/time.ts'
import { isWithin, type Window } from '../../../core/window.ts'
import type { CellReader, ValueForms } from '../../../source/column-values.ts'
import type { Row } from '../../../source/protocol.ts'
import { RowReader, validated } from '../../../source/row-reader.ts'
import type { Column, ColumnType } from '../../../source/row-schema.ts'
import { privateFields, privateNames } from './search-request.ts'
import { epochMilliseconds, fieldReader, inferTypes, instantReader, instantTicks } from './values.ts'

export interface RowSettings extends ValueForms {
  readonly schema: Map<string, ColumnType> | StandardSchema | undefined
  readonly inferSchema: boolean
  readonly mode: 'FAILFAST' | 'PERMISSIVE'
  readonly event_id: boolean
  readonly window_by: 'event_time' | 'index_time'
}

/** Filter of a window's rows. */
export interface KeptBy {
  readonly window: Window
  /** Whether a row without its time is an error: other windows are read elsewhere. */
  readonly exact: boolean
}

const { bucket, address, indexed, time } = privateFields

/** Makes rows of the results of one source. */
export class SearchRows {
  readonly #settings: RowSettings
  readonly #emitSchema: (columns: readonly Column[]) => void
  readonly #instant: CellReader
  readonly #standard: StandardSchema | undefined
  #reader: RowReader | undefined
  #lastSchema = ''

  constructor(settings: RowSettings, emitSchema: (columns: readonly Column[]) => void) {
    this.#settings = settings
    this.#emitSchema = emitSchema
    this.#instant = instantReader(settings)
    const { schema } = settings
    if (schema instanceof Map) this.#useTypes(schema)
    if (isStandardSchema(schema)) this.#standard = schema
  }

  /** Whether types must still be inferred from a sample. */
  get wantsSample(): boolean {
    return this.#settings.inferSchema && this.#settings.schema === undefined && this.#reader === undefined
  }

  /** Infers the types of columns from results. */
  infer(results: readonly Row[]): void {
    const types = inferTypes(results.map(withoutPrivate))
    if (results.some((result) => indexed in result)) types.set('_indextime', 'datetime')
    this.#useTypes(types)
  }

  /**
   * Rows made of results. It reuses and changes the result objects.
   * @param kept undefined to keep all rows: for a transforming search
   * @throws ConnectorError with ERR_RESULT
   */
  async read(results: readonly Row[], kept: KeptBy | undefined): Promise<Row[]> {
    const rows: Row[] = []
    const filter = kept && this.#filter(kept)
    for (const result of results) {
      if (filter && !filter(result)) continue
      const row = this.#row(result)
      rows.push(this.#standard ? await this.#validated(row, this.#standard) : row)
    }
    return rows
  }

  #useTypes(types: Map<string, ColumnType>): void {
    const columns = Array.from(types, ([name, type]) => ({ name, type }))
    const readers = columns.map((column) => ({
      ...column,
      read: fieldReader(column.type, this.#settings),
    }))
    this.#reader = new RowReader(readers, ({ name, type }, given) => {
      if (this.#settings.mode === 'FAILFAST') throw this.#misfit(name, type, given)
      return null
    })
    const text = JSON.stringify(columns)
    if (text === this.#lastSchema) return
    this.#lastSchema = text
    this.#emitSchema(columns)
  }

  #filter({ window, exact }: KeptBy): (result: Row) => boolean {
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

  #row(result: Row): Row {
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
    // With a schema, rows have exactly its columns.
    if (this.#settings.schema instanceof Map) return this.#reader!.ofMembers(result)
    if (this.#reader) return this.#reader.cast(result)
    if ('_time' in result) result['_time'] = this.#instantOf('_time', result['_time'])
    if ('_indextime' in result) result['_indextime'] = this.#instantOf('_indextime', result['_indextime'])
    return result
  }

  #instantOf(name: string, given: unknown): unknown {
    if (given === null || given === undefined || given === '') return null
    const value = this.#instant(given)
    if (value !== undefined) return value
    // An ambiguous zone name is correct as a string, but would give a wrong Date.
    if (this.#settings.datetime === 'string') return given
    throw this.#misfit(name, 'datetime', given)
  }

  async #validated(row: Row, schema: StandardSchema): Promise<Row> {
    const result = await validated(row, schema)
    if (typeof result !== 'string') return result
    throw this.#error(`a row ${result}`)
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
      `the results have no ${field}, which decides the window of a row. Keep it in the search (| fields ${field}, …), or read the range in one window`,
    )
  }

  #nameless(): ConnectorError {
    return this.#error(
      'event_id: the results have no _bkt and _cd. Commands such as table and stats remove them: leave those out, or name the fields (| fields _bkt, _cd, …)',
    )
  }

  #error(message: string): ConnectorError {
    return new ConnectorError('ERR_RESULT', `splunk: ${message}`, { connector: 'splunk' })
  }
}

function withoutPrivate(result: Row): Row {
  return Object.fromEntries(Object.entries(result).filter(([name]) => !privateNames.includes(name)))
}
