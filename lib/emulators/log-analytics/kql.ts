import { floorDivide } from '../../core/time.ts'
import { type Cell, type Column, type ColumnType, cellText } from './cells.ts'
import { semanticError, TokenReader } from './kql-tokens.ts'

/** A row on its way through a query. */
export interface Row {
  readonly cells: readonly Cell[]
  /** When it was taken in, in ticks. */
  readonly ingested: bigint | null
  /** Of a row at rest: its JSON, once it was written. */
  json?: string | undefined
}

/** Columns, and rows that are worked out as they are asked for, more than once if need be. */
export interface Result {
  columns: readonly Column[]
  rows: Iterable<Row>
}

/** What a query stands on. */
export interface Database {
  /** The table of this name, cut to what the request may see, or undefined. */
  table(name: string): Result | undefined
  /** The time of the query, in ticks. */
  now: bigint
}

/** What the emulator runs, for the message of a query that is refused. */
export const runs =
  'tables with let, where, project, extend, take, count, getschema, and summarize of count, count_distinct, sum, min and max by columns and bin'

/** Runs a query. @throws KqlError before any row is worked out */
export function evaluateQuery(query: string, database: Database): Result {
  return new Query(query, database).statements()
}

/** Runs the operators behind a table, such as `| take 5`. @throws KqlError */
export function evaluateOperators(operators: string, input: Result, database: Database): Result {
  return new Query(operators, database).rest(input)
}

/** An expression that knows its type and can be asked for its value in a row. */
interface Expression {
  readonly type: ColumnType
  evaluate(row: Row): Cell
  /** The column that it is, if it is one and no more. */
  readonly column?: Column | undefined
}

interface Aggregate {
  readonly column: Column
  /** The value of the rows of a group. */
  of(rows: readonly Row[]): Cell
}

class Query {
  readonly #tokens: TokenReader
  readonly #database: Database
  readonly #tables = new Map<string, Result>()
  readonly #constants = new Map<string, Expression>()
  /** Of the operator that is being read. */
  #columns: readonly Column[] = []
  #operator = 'let'

  constructor(query: string, database: Database) {
    this.#tokens = new TokenReader(query)
    this.#database = database
  }

  statements(): Result {
    while (this.#tokens.accept('let')) {
      this.#let()
      this.#tokens.expect(';')
    }
    return this.#end(this.#pipeline())
  }

  rest(input: Result): Result {
    return this.#end(this.#operators(input))
  }

  #end(result: Result): Result {
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
    else this.#constants.set(name, this.#expression())
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
    while (this.#tokens.accept('|')) result = this.#apply(result)
    return result
  }

  #apply({ columns, rows }: Result): Result {
    const tokens = this.#tokens
    const token = tokens.take()
    this.#columns = columns
    this.#operator = token.text
    switch (token.kind === 'name' ? token.text : '') {
      case 'where': {
        const { type, evaluate } = this.#expression()
        if (type !== 'bool')
          throw semanticError(`'where' operator: the predicate must be of type bool`, 'SEM0005')
        return { columns, rows: lazily(() => filter(rows, (row) => evaluate(row) === true)) }
      }
      case 'project':
      case 'extend': {
        const named = tokens.list(() => this.#named())
        const kept = token.text === 'extend' ? columns : []
        const all = kept.map(
          (column, at): Named => ({ column, type: column.type, evaluate: ({ cells }) => cells[at]! }),
        )
        for (const one of named) {
          const known = all.findIndex(({ column }) => column.name === one.column.name)
          all.splice(known < 0 ? all.length : known, 1, one)
        }
        return {
          columns: all.map(({ column }) => column),
          rows: lazily(() =>
            map(rows, (row) => ({ cells: all.map((one) => one.evaluate(row)), ingested: row.ingested })),
          ),
        }
      }
      case 'take':
      case 'limit': {
        this.#columns = []
        const count = this.#expression().evaluate(noRow)
        if (typeof count !== 'number') throw tokens.unexpected()
        return { columns, rows: lazily(() => first(rows, count)) }
      }
      case 'count':
        return summarize(rows, [{ column: { name: 'Count', type: 'long' }, of: ({ length }) => length }], [])
      case 'summarize': {
        const aggregates = tokens.list(() => this.#aggregate())
        return summarize(rows, aggregates, tokens.accept('by') ? tokens.list(() => this.#named()) : [])
      }
      case 'getschema':
        return schemaOf(columns)
      default:
        throw tokens.unexpected(token)
    }
  }

  /** `name = expression`, or an expression that is named for its column. */
  #named(): Named {
    const alias = this.#alias()
    const value = this.#expression()
    return {
      ...value,
      column: { ...value.column, name: alias ?? value.column?.name ?? 'Column1', type: value.type },
    }
  }

  #aggregate(): Aggregate {
    const tokens = this.#tokens
    const alias = this.#alias()
    const { kind, text: called } = tokens.take()
    if (kind !== 'name' || !/^(count|count_distinct|sum|min|max)$/.test(called) || !tokens.accept('(')) {
      throw semanticError(`'summarize' operator: the expression is not an aggregate`, 'SEM0220')
    }
    const value = called === 'count' ? undefined : this.#expression()
    tokens.expect(')')
    if (value === undefined)
      return { column: { name: alias ?? 'count_', type: 'long' }, of: ({ length }) => length }
    const name = alias ?? `${called}_${value.column?.name ?? ''}`
    const cells = (rows: readonly Row[]) =>
      rows.map((row) => value.evaluate(row)).filter((cell) => cell !== null)
    if (called === 'count_distinct') {
      return { column: { name, type: 'long' }, of: (rows) => new Set(cells(rows)).size }
    }
    if (called === 'sum') {
      const add = (total: number, cell: Cell) => total + Number(cell)
      return { column: { name, type: value.type }, of: (rows) => cells(rows).reduce<number>(add, 0) }
    }
    const side = called === 'min' ? -1 : 1
    return {
      column: { ...value.column, name, type: value.type },
      of: (rows) =>
        cells(rows).reduce<Cell>(
          (found, cell) => (found === null || compare(cell, found) === side ? cell : found),
          null,
        ),
    }
  }

  #alias(): string | undefined {
    if (this.#tokens.peek().kind !== 'name' || this.#tokens.peek(1).text !== '=') return undefined
    const name = this.#tokens.name()
    this.#tokens.expect('=')
    return name
  }

  #expression(): Expression {
    let left = this.#conjunction()
    while (this.#tokens.accept('or')) {
      const [first, second] = [left, this.#conjunction()]
      left = bool((row) => either(first.evaluate(row), second.evaluate(row)))
    }
    return left
  }

  #conjunction(): Expression {
    let left = this.#comparison()
    while (this.#tokens.accept('and')) {
      const [first, second] = [left, this.#comparison()]
      left = bool((row) => inverse(either(inverse(first.evaluate(row)), inverse(second.evaluate(row)))))
    }
    return left
  }

  #comparison(): Expression {
    const tokens = this.#tokens
    const left = this.#operand()
    const { kind, text } = tokens.peek()
    if (kind === 'literal') return left
    if (Object.hasOwn(orders, text)) {
      tokens.take()
      return compared(text, left, this.#operand())
    }
    if (text !== 'in' && text !== '!in') return left
    tokens.take()
    tokens.expect('(')
    const tests = tokens.list(() => compared('==', left, this.#operand()))
    tokens.expect(')')
    return bool((row) => tests.some((one) => one.evaluate(row) === true) === (text === 'in'))
  }

  #operand(): Expression {
    const tokens = this.#tokens
    const token = tokens.take()
    if (token.kind === 'literal') return { type: token.type!, evaluate: () => token.cell! }
    if (token.kind === 'symbol' && token.text === '(') {
      const inner = this.#expression()
      tokens.expect(')')
      return inner
    }
    if (token.kind !== 'name') throw tokens.unexpected(token)
    if (tokens.accept('(')) return this.#call(token.text)
    if (token.text === 'true' || token.text === 'false') return bool(() => token.text === 'true')
    return this.#column(token.text)
  }

  #column(name: string): Expression {
    const index = this.#columns.findIndex((column) => column.name === name)
    const column = this.#columns[index]
    if (column) return { type: column.type, column, evaluate: ({ cells }) => cells[index] ?? null }
    const constant = this.#constants.get(name)
    if (constant) return constant
    throw semanticError(`'${this.#operator}' operator: Failed to resolve scalar expression named '${name}'`)
  }

  /** What follows the parenthesis of a function. */
  #call(name: string): Expression {
    const tokens = this.#tokens
    let call: Expression
    if (name === 'ingestion_time') call = { type: 'datetime', evaluate: ({ ingested }) => ingested }
    else if (name === 'not') {
      const { evaluate } = this.#expression()
      call = bool((row) => inverse(evaluate(row)))
    } else if (name === 'bin') {
      const value = this.#expression()
      tokens.expect(',')
      const { evaluate } = this.#expression()
      call = { ...value, evaluate: (row) => bin(value.evaluate(row), evaluate(row)) }
    } else throw semanticError(`Unknown function: '${name}'.`, 'SEM0260')
    tokens.expect(')')
    return call
  }
}

type Named = Expression & { readonly column: Column }

const noRow: Row = { cells: [], ingested: null }

/** Rows that can be asked for more than once, as a `let` table may be. */
function lazily(rows: () => Iterable<Row>): Iterable<Row> {
  return { [Symbol.iterator]: () => rows()[Symbol.iterator]() }
}

function* filter(rows: Iterable<Row>, keep: (row: Row) => boolean): Generator<Row> {
  for (const row of rows) if (keep(row)) yield row
}

function* map(rows: Iterable<Row>, change: (row: Row) => Row): Generator<Row> {
  for (const row of rows) yield change(row)
}

function* first(rows: Iterable<Row>, count: number): Generator<Row> {
  let left = count
  if (left <= 0) return
  for (const row of rows) {
    yield row
    if (--left === 0) return
  }
}

/** A row for each group; one in all where nothing is grouped by. */
function summarize(rows: Iterable<Row>, aggregates: readonly Aggregate[], by: readonly Named[]): Result {
  return {
    columns: [...by, ...aggregates].map(({ column }) => column),
    rows: lazily(() => {
      const groups = new Map<string, { keys: Cell[]; rows: Row[] }>()
      if (by.length === 0) groups.set('', { keys: [], rows: [] })
      for (const row of rows) {
        const keys = by.map((key) => key.evaluate(row))
        const id = keys.map((key) => `${typeof key} ${String(key).length} ${key}`).join()
        const group = groups.get(id) ?? { keys, rows: [] }
        groups.set(id, group)
        group.rows.push(row)
      }
      return [...groups.values()].map((group) => ({
        cells: [...group.keys, ...aggregates.map(({ of }) => of(group.rows))],
        ingested: null,
      }))
    }),
  }
}

function schemaOf(columns: readonly Column[]): Result {
  const names = ['ColumnName', 'ColumnOrdinal', 'ColumnType']
  return {
    columns: names.map((name) => ({ name, type: name === 'ColumnOrdinal' ? 'int' : 'string' })),
    rows: columns.map(({ name, type }, index) => ({ cells: [name, index, type], ingested: null })),
  }
}

function bool(evaluate: (row: Row) => Cell): Expression {
  return { type: 'bool', evaluate }
}

function either(left: Cell, right: Cell): Cell {
  return left === true || right === true ? true : left === null || right === null ? null : false
}

function inverse(cell: Cell): Cell {
  return cell === null ? null : !cell
}

const orders: Record<string, (order: number) => boolean> = {
  '==': (order) => order === 0,
  '!=': (order) => order !== 0,
  '<': (order) => order < 0,
  '<=': (order) => order <= 0,
  '>': (order) => order > 0,
  '>=': (order) => order >= 0,
}

const numeric: ReadonlySet<ColumnType> = new Set(['int', 'long', 'real', 'decimal'])

function compared(operator: string, left: Expression, right: Expression): Expression {
  const dynamic = left.type === 'dynamic' || right.type === 'dynamic'
  if (left.type !== right.type && !dynamic && !(numeric.has(left.type) && numeric.has(right.type))) {
    const text = `Cannot compare values of types ${left.type} and ${right.type}. Try adding explicit casts`
    throw semanticError(text, 'SEM0064')
  }
  const value = ({ type, evaluate }: Expression, row: Row): Cell => {
    const cell = evaluate(row)
    if (dynamic) return cell === null ? null : cellText(cell, type)
    // A string is never null: none is the empty one.
    if (type === 'string') return cell ?? ''
    return type === 'decimal' && cell !== null ? Number(cell) : cell
  }
  const test = orders[operator]!
  return bool((row) => {
    const [first, second] = [value(left, row), value(right, row)]
    if (first !== null && second !== null) return test(compare(first, second))
    if (first === second || (operator !== '==' && operator !== '!=')) return null
    return operator === '!='
  })
}

/** Order of two cells of one type, neither null; NaN for a NaN. Numbers and bigints mix. */
function compare(left: NonNullable<Cell>, right: NonNullable<Cell>): number {
  if (Number.isNaN(left) || Number.isNaN(right)) return Number.NaN
  return left < right ? -1 : left > right ? 1 : 0
}

/** The start of the bin of this width that a number, a datetime or a timespan lies in. */
function bin(cell: Cell, width: Cell): Cell {
  if (typeof cell === 'bigint' && typeof width === 'bigint' && width > 0n)
    return cell - floorDivide(cell, width)[1]
  if (typeof cell !== 'number' || typeof width !== 'number') return null
  return Math.floor(cell / width) * width
}
