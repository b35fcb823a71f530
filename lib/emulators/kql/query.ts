import { type Cell, type Column, type ColumnType, narrowLong } from '../log-analytics-cells.ts'
import { semanticError } from './errors.ts'
import { compareCells, type Expression, readExpression, type Scope } from './expressions.ts'
import { lazily, type Result, type Row } from './rows.ts'
import { TokenReader } from './token-reader.ts'

/** What a query stands on. */
export interface Database {
  /** The table of this name, cut to what the request may see, or undefined. */
  table(name: string): Result | undefined
  /** The time of the query, in ticks. */
  now: bigint
}

/** Runs a query: a result for each of its query statements. @throws KqlError before any row is worked out */
export function evaluateQuery(query: string, database: Database): Result[] {
  return new Query(new TokenReader(query), database).statements()
}

/** Runs what stands behind a table, such as `| take 5`. @throws KqlError */
export function evaluateOperators(operators: string, input: Result, database: Database): Result {
  return new Query(new TokenReader(operators), database).rest(input)
}

interface NamedColumn {
  column: Column
  value: Expression
}

class Query {
  readonly #tokens: TokenReader
  readonly #database: Database
  readonly #tables = new Map<string, Result>()
  readonly #constants = new Map<string, Expression>()

  constructor(tokens: TokenReader, database: Database) {
    this.#tokens = tokens
    this.#database = database
  }

  statements(): Result[] {
    const tokens = this.#tokens
    const results: Result[] = []
    while (tokens.peek().kind !== 'end') {
      if (tokens.word('let')) this.#let()
      else results.push(this.#pipeline())
      if (!tokens.accept(';')) break
    }
    if (tokens.peek().kind !== 'end' || results.length === 0) throw tokens.unexpected()
    return results
  }

  rest(input: Result): Result {
    const result = this.#operators(input)
    this.#tokens.accept(';')
    if (this.#tokens.peek().kind !== 'end') throw this.#tokens.unexpected()
    return result
  }

  #let(): void {
    const tokens = this.#tokens
    const name = tokens.name()
    tokens.expect('=')
    const first = tokens.peek()
    const table = first.kind === 'name' && !this.#constants.has(first.text) && tokens.peek(1).text !== '('
    if (table) this.#tables.set(name, this.#pipeline())
    else this.#constants.set(name, readExpression(tokens, this.#scope([], 'let')))
  }

  #pipeline(): Result {
    const name = this.#tokens.name()
    const table = this.#tables.get(name) ?? this.#database.table(name)
    if (table) return this.#operators(table)
    const where = this.#tokens.accept('|') ? `'${this.#tokens.peek().text}' operator: ` : ''
    throw semanticError(`${where}Failed to resolve table or column expression named '${name}'`)
  }

  #operators(input: Result): Result {
    let result = input
    while (this.#tokens.accept('|')) result = this.#operator(result)
    return result
  }

  #operator({ columns, rows }: Result): Result {
    const tokens = this.#tokens
    const token = tokens.take()
    const scope = this.#scope(columns, token.text)
    switch (token.kind === 'name' ? token.text : '') {
      case 'where': {
        const predicate = readExpression(tokens, scope)
        if (predicate.type !== 'bool') {
          throw semanticError(`'where' operator: the predicate must be of type bool`, 'SEM0005')
        }
        return { columns, rows: lazily(() => filter(rows, predicate)) }
      }
      case 'project': {
        const named = tokens.list(() => this.#named(scope))
        return derive(
          rows,
          named.map(({ column }) => column),
          (row) => named.map(({ value }) => value.evaluate(row)),
        )
      }
      case 'extend': {
        const named = tokens.list(() => this.#named(scope))
        const all = [...columns]
        const places = named.map(({ column }) => {
          const at = all.findIndex(({ name }) => name === column.name)
          const place = at < 0 ? all.length : at
          all[place] = column
          return place
        })
        return derive(rows, all, (row) => {
          const cells = [...row.cells]
          for (const [index, place] of places.entries()) cells[place] = named[index]!.value.evaluate(row)
          return cells
        })
      }
      case 'take':
      case 'limit': {
        const count = readExpression(tokens, this.#scope([], token.text)).evaluate(noRow)
        if (typeof count !== 'number') throw tokens.unexpected()
        return { columns, rows: lazily(() => first(rows, count)) }
      }
      case 'count':
        return summarize(rows, [{ column: { name: 'Count', type: 'long' }, begin: counting }])
      case 'summarize':
        return summarize(
          rows,
          tokens.list(() => this.#aggregate(scope)),
        )
      case 'getschema':
        return schemaOf(columns)
      default:
        throw tokens.unexpected(token)
    }
  }

  /** `name = expression`, or an expression that is named for its column. */
  #named(scope: Scope): NamedColumn {
    const name = this.#alias()
    const value = readExpression(this.#tokens, scope)
    return {
      column: { ...value.column, name: name ?? value.column?.name ?? 'Column1', type: value.type },
      value,
    }
  }

  #aggregate(scope: Scope): Aggregate {
    const tokens = this.#tokens
    const alias = this.#alias()
    const called = tokens.take()
    if (called.kind !== 'name' || !/^(count|min|max)$/.test(called.text) || !tokens.accept('(')) {
      throw semanticError(`'summarize' operator: the expression is not an aggregate`, 'SEM0220')
    }
    if (called.text === 'count') {
      tokens.expect(')')
      return { column: { name: alias ?? 'count_', type: 'long' }, begin: counting }
    }
    const value = readExpression(tokens, scope)
    tokens.expect(')')
    const name = alias ?? `${called.text}_${value.column?.name ?? ''}`
    const begin = () => extreme(value, called.text === 'min' ? -1 : 1)
    return { column: { ...value.column, name, type: value.type }, begin }
  }

  #alias(): string | undefined {
    const tokens = this.#tokens
    if (tokens.peek().kind !== 'name' || tokens.peek(1).text !== '=') return undefined
    const name = tokens.name()
    tokens.expect('=')
    return name
  }

  #scope(columns: readonly Column[], operator: string): Scope {
    return { columns, constants: this.#constants, now: this.#database.now, operator }
  }
}

const noRow: Row = { cells: [], ingested: null }

function* filter(rows: Iterable<Row>, predicate: Expression): Generator<Row> {
  for (const row of rows) if (predicate.evaluate(row) === true) yield row
}

function* first(rows: Iterable<Row>, count: number): Generator<Row> {
  let left = count
  if (left <= 0) return
  for (const row of rows) {
    yield row
    if (--left === 0) return
  }
}

function derive(rows: Iterable<Row>, columns: readonly Column[], cellsOf: (row: Row) => Cell[]): Result {
  return {
    columns,
    rows: lazily(function* () {
      for (const row of rows) yield { cells: cellsOf(row), ingested: row.ingested }
    }),
  }
}

/** Gathers rows. */
interface Aggregation {
  add(row: Row): void
  value(): Cell
}

interface Aggregate {
  column: Column
  begin(): Aggregation
}

/** One row out of all. */
function summarize(rows: Iterable<Row>, aggregates: readonly Aggregate[]): Result {
  return {
    columns: aggregates.map(({ column }) => column),
    rows: lazily(() => {
      const gathered = aggregates.map((aggregate) => aggregate.begin())
      for (const row of rows) for (const aggregation of gathered) aggregation.add(row)
      return [{ cells: gathered.map((aggregation) => aggregation.value()), ingested: null }]
    }),
  }
}

function counting(): Aggregation {
  let count = 0
  return { add: () => void count++, value: () => count }
}

function extreme(value: Expression, side: 1 | -1): Aggregation {
  let found: Cell = null
  return {
    add: (row) => {
      const cell = value.evaluate(row)
      if (cell !== null && (found === null || compareCells(cell, found) === side)) found = cell
    },
    value: () => found,
  }
}

const dotnetTypes: Record<ColumnType, string> = {
  bool: 'System.SByte',
  int: 'System.Int32',
  long: 'System.Int64',
  real: 'System.Double',
  decimal: 'System.Data.SqlTypes.SqlDecimal',
  datetime: 'System.DateTime',
  timespan: 'System.TimeSpan',
  string: 'System.String',
  guid: 'System.Guid',
  dynamic: 'System.Object',
}

function schemaOf(columns: readonly Column[]): Result {
  const names = ['ColumnName', 'ColumnOrdinal', 'DataType', 'ColumnType']
  return {
    columns: names.map((name) => ({ name, type: name === 'ColumnOrdinal' ? 'int' : 'string' })),
    rows: columns.map(({ name, type }, index) => ({
      cells: [name, narrowLong(BigInt(index))!, dotnetTypes[type], type],
      ingested: null,
    })),
  }
}
