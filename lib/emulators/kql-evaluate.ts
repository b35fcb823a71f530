import { semanticError } from './kql-errors.ts'
import { type Compiled, compareCells, compile, type Scope } from './kql-expressions.ts'
import { type NamedExpression, type Operator, type Pipeline, parseQuery, type SortKey } from './kql-parser.ts'
import { lazily, type Result, type Row } from './kql-rows.ts'
import { type CompiledColumns, summarize } from './kql-summarize.ts'
import { type Cell, type Column, type ColumnType, narrowLong } from './kql-values.ts'

/** What a query stands on. */
export interface Database {
  /** The table of this name, cut to what the request may see, or undefined. */
  table(name: string): Result | undefined
  /** The time of the query, in ticks. */
  now: bigint
}

/** Runs a query: a result for each of its query statements. @throws KqlError before any row is worked out */
export function evaluateQuery(query: string, database: Database): Result[] {
  const bound = new Map<string, Pipeline>()
  const constants = new Map<string, Compiled>()
  const run = (pipeline: Pipeline): Result => {
    return pipeline.operators.reduce(
      (input, operator) => apply(operator, input, (name) => scope(input.columns, name)),
      source(pipeline),
    )
  }
  const scope = (columns: readonly Column[], operator: string): Scope => ({
    columns,
    constants,
    now: database.now,
    operator,
  })
  const source = ({ source, operators }: Pipeline): Result => {
    if ('pipeline' in source) return run(source.pipeline)
    if ('print' in source) {
      const { columns, values } = compileColumns(source.print, scope([], 'print'), 'print_')
      const none: Row = { cells: [], ingested: null }
      return { columns, rows: [{ cells: values.map((value) => value.evaluate(none)), ingested: null }] }
    }
    const named = bound.get(source.table)
    if (named) return run(named)
    const table = database.table(source.table)
    if (table) return table
    const first = operators[0]?.kind
    const where = first ? `'${first}' operator: ` : ''
    throw semanticError(`${where}Failed to resolve table or column expression named '${source.table}'`)
  }

  const results: Result[] = []
  for (const statement of parseQuery(query)) {
    if (statement.kind === 'query') {
      results.push(run(statement.pipeline))
    } else if ('pipeline' in statement.value) {
      bound.set(statement.name, statement.value.pipeline)
    } else {
      const { expression } = statement.value
      if (expression.kind === 'name' && !constants.has(expression.name)) {
        bound.set(statement.name, { source: { table: expression.name }, operators: [] })
      } else {
        constants.set(statement.name, compile(expression, scope([], 'let')))
      }
    }
  }
  return results
}

function apply(operator: Operator, input: Result, scopeOf: (name: string) => Scope): Result {
  const scope = scopeOf(operator.kind)
  switch (operator.kind) {
    case 'where': {
      const predicate = compile(operator.predicate, scope)
      if (predicate.type !== 'bool' && predicate.type !== 'dynamic') {
        throw semanticError(`'where' operator: the predicate must be of type bool`, 'SEM0005')
      }
      return { columns: input.columns, rows: lazily(() => filter(input.rows, predicate)) }
    }
    case 'project': {
      const { columns, values } = compileColumns(operator.columns, scope)
      return derive(input, columns, (row) => values.map((value) => value.evaluate(row)))
    }
    case 'extend': {
      const { columns, values } = compileColumns(operator.columns, scope)
      const all = [...input.columns]
      const places = columns.map((column) => {
        const place = all.findIndex(({ name }) => name === column.name)
        all[place < 0 ? all.length : place] = column
        return place < 0 ? all.length - 1 : place
      })
      return derive(input, all, (row) => {
        const cells = [...row.cells]
        for (const [index, place] of places.entries()) cells[place] = values[index]!.evaluate(row)
        return cells
      })
    }
    case 'project-away':
    case 'project-keep': {
      const named = new Set(operator.names.map((name) => place(name, input.columns, operator.kind)))
      const keep = operator.kind === 'project-keep'
      return pick(
        input,
        [...input.columns.keys()].filter((index) => named.has(index) === keep),
      )
    }
    case 'project-rename': {
      const columns = [...input.columns]
      for (const { name, expression } of operator.columns) {
        if (name === undefined || expression.kind !== 'name') {
          throw semanticError(`'project-rename' operator: expected new_name = old_name`)
        }
        const index = place(expression.name, input.columns, operator.kind)
        columns[index] = { ...columns[index]!, name }
      }
      return { columns, rows: input.rows }
    }
    case 'distinct': {
      const by: NamedExpression[] = operator.columns.length
        ? operator.columns
        : input.columns.map(({ name }) => ({ expression: { kind: 'name', name } }))
      return summarize(input, [], compileColumns(by, scope), scope)
    }
    case 'take': {
      const count = constantCount(compile(operator.count, { ...scope, columns: [] }), operator.kind)
      return { columns: input.columns, rows: lazily(() => first(input.rows, count)) }
    }
    case 'count':
      return {
        columns: [{ name: 'Count', type: 'long' }],
        rows: lazily(function* () {
          let count = 0
          for (const _ of input.rows) count++
          yield { cells: [count], ingested: null }
        }),
      }
    case 'summarize':
      return summarize(input, operator.aggregates, compileColumns(operator.by, scope), scope)
    case 'sort': {
      const keys = operator.keys.map((key) => ({ ...key, value: compile(key.expression, scope) }))
      const count = operator.take && constantCount(compile(operator.take, { ...scope, columns: [] }), 'top')
      return { columns: input.columns, rows: lazily(() => sorted(input.rows, keys).slice(0, count)) }
    }
    case 'getschema':
      return schemaOf(input.columns)
  }
}

function* filter(rows: Iterable<Row>, predicate: Compiled): Generator<Row> {
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

function derive(input: Result, columns: readonly Column[], cellsOf: (row: Row) => Cell[]): Result {
  return {
    columns,
    rows: lazily(function* () {
      for (const row of input.rows) yield { cells: cellsOf(row), ingested: row.ingested }
    }),
  }
}

function pick(input: Result, indexes: number[]): Result {
  const columns = indexes.map((index) => input.columns[index]!)
  return derive(input, columns, ({ cells }) => indexes.map((index) => cells[index] ?? null))
}

function place(name: string, columns: readonly Column[], operator: string): number {
  const index = columns.findIndex((column) => column.name === name)
  if (index >= 0) return index
  throw semanticError(`'${operator}' operator: Failed to resolve column named '${name}'`)
}

function compileColumns(named: NamedExpression[], scope: Scope, prefix = 'Column'): CompiledColumns {
  const columns: Column[] = []
  const values: Compiled[] = []
  let unnamed = prefix === 'Column' ? 1 : 0
  for (const { name, expression } of named) {
    const value = compile(expression, scope)
    // `bin(TimeGenerated, 1h)` keeps the name of the column.
    const inner =
      expression.kind === 'call' && expression.name === 'bin' ? expression.arguments[0]! : expression
    const own = inner.kind === 'name' ? inner.name : undefined
    const existing = scope.columns.find((column) => column.name === own)
    const column: Column = { name: name ?? own ?? `${prefix}${unnamed++}`, type: value.type }
    if (existing?.digits !== undefined && existing.type === column.type) column.digits = existing.digits
    columns.push(column)
    values.push(value)
  }
  return { columns, values }
}

function constantCount(value: Compiled, operator: string): number {
  const cell = value.evaluate({ cells: [], ingested: null })
  if (typeof cell === 'number' && value.type !== 'real') return cell
  throw semanticError(`'${operator}' operator: the row count must be an integer`, 'SEM0009')
}

function sorted(rows: Iterable<Row>, keys: (SortKey & { value: Compiled })[]): Row[] {
  const keyed = [...rows].map((row) => ({ row, cells: keys.map(({ value }) => value.evaluate(row)) }))
  keyed.sort((left, right) => {
    for (const [index, key] of keys.entries()) {
      const [a, b] = [left.cells[index] ?? null, right.cells[index] ?? null]
      if (a === null || b === null) {
        if (a !== b) return (a === null) === key.nullsFirst ? -1 : 1
        continue
      }
      const order = compareCells(a, b)
      if (order !== 0) return key.descending ? -order : order
    }
    return 0
  })
  return keyed.map(({ row }) => row)
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
  return {
    columns: [
      { name: 'ColumnName', type: 'string' },
      { name: 'ColumnOrdinal', type: 'int' },
      { name: 'DataType', type: 'string' },
      { name: 'ColumnType', type: 'string' },
    ],
    rows: columns.map(({ name, type }, index) => ({
      cells: [name, narrowLong(BigInt(index))!, dotnetTypes[type], type],
      ingested: null,
    })),
  }
}
