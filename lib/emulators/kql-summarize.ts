import { semanticError } from './kql-errors.ts'
import { type Compiled, compareCells, compile, numeric, type Scope } from './kql-expressions.ts'
import type { Expression, NamedExpression } from './kql-parser.ts'
import { lazily, type Result, type Row } from './kql-rows.ts'
import { type Cell, type Column, type ColumnType, narrowLong } from './kql-values.ts'

/** Columns to be, and how each is worked out. */
export interface CompiledColumns {
  columns: Column[]
  values: Compiled[]
}

/** Gathers rows of one group. */
interface Aggregation {
  add(row: Row): void
  value(): Cell
}

interface Aggregate {
  column: Column
  begin(): Aggregation
}

/** `summarize ... by ...`. Without `by` there is always one row. */
export function summarize(
  input: Result,
  aggregates: NamedExpression[],
  by: CompiledColumns,
  scope: Scope,
): Result {
  const compiled = aggregates.map((aggregate) => compileAggregate(aggregate, scope))
  const rows = () => {
    const groups = new Map<string, { keys: Cell[]; gathered: Aggregation[] }>()
    const begin = (keys: Cell[]) => ({ keys, gathered: compiled.map((aggregate) => aggregate.begin()) })
    if (by.values.length === 0) groups.set('', begin([]))
    for (const row of input.rows) {
      const keys = by.values.map((value) => value.evaluate(row))
      const id = keys.map((key) => `${typeof key}:${String(key).length}:${String(key)}`).join()
      const group = groups.get(id) ?? begin(keys)
      groups.set(id, group)
      for (const aggregation of group.gathered) aggregation.add(row)
    }
    return [...groups.values()].map(({ keys, gathered }) => ({
      cells: [...keys, ...gathered.map((aggregation) => aggregation.value())],
      ingested: null,
    }))
  }
  return { columns: [...by.columns, ...compiled.map(({ column }) => column)], rows: lazily(rows) }
}

function compileAggregate({ name, expression }: NamedExpression, scope: Scope): Aggregate {
  if (expression.kind !== 'call' || !Object.hasOwn(aggregations, expression.name)) {
    throw semanticError(`'summarize' operator: the expression is not an aggregate`, 'SEM0220')
  }
  const parameters = expression.arguments.map((argument) => compile(argument, scope))
  const [defaultName, type, begin] = aggregations[expression.name]!(parameters, expression.arguments)
  const column: Column = { name: name ?? defaultName, type }
  const own = expression.arguments[0]
  const existing = own?.kind === 'name' ? scope.columns.find((item) => item.name === own.name) : undefined
  if (existing?.digits !== undefined && type === 'datetime') column.digits = existing.digits
  return { column, begin }
}

type MakeAggregate = (
  parameters: Compiled[],
  written: Expression[],
) => [name: string, type: ColumnType, begin: () => Aggregation]

const aggregations: Record<string, MakeAggregate> = {
  count: () => ['count_', 'long', () => counting(() => true)],
  countif: ([predicate]) => [
    'countif_',
    'long',
    () => counting((row) => required(predicate).evaluate(row) === true),
  ],
  dcount: ([value], written) => [
    nameOf('dcount', written),
    'long',
    () => {
      const seen = new Set<Cell>()
      return {
        add: (row) => void seen.add(required(value).evaluate(row)),
        value: () => seen.size - (seen.has(null) ? 1 : 0),
      }
    },
  ],
  min: ([value], written) => [
    nameOf('min', written),
    required(value).type,
    () => extreme(required(value), -1),
  ],
  max: ([value], written) => [
    nameOf('max', written),
    required(value).type,
    () => extreme(required(value), 1),
  ],
  sum: ([value], written) => [
    nameOf('sum', written),
    summable(value, 'sum') === 'int' ? 'long' : required(value).type,
    () => summing(required(value)),
  ],
  avg: ([value], written) => [
    nameOf('avg', written),
    summable(value, 'avg') && 'real',
    () => {
      let [sum, count] = [0, 0]
      return {
        add: (row) => {
          const cell = required(value).evaluate(row)
          if (cell === null) return
          sum += Number(cell)
          count++
        },
        value: () => (count ? sum / count : null),
      }
    },
  ],
}

function required(value: Compiled | undefined): Compiled {
  if (value) return value
  throw semanticError('the aggregate expects 1 argument', 'SEM0219')
}

function summable(value: Compiled | undefined, aggregate: string): ColumnType {
  const { type } = required(value)
  if (numeric.has(type) || (type === 'timespan' && aggregate === 'sum')) return type
  throw semanticError(`${aggregate}(): argument #1 must be a number, it is ${type}`, 'SEM0012')
}

function nameOf(aggregate: string, [written]: Expression[]): string {
  return written?.kind === 'name' ? `${aggregate}_${written.name}` : `${aggregate}_`
}

function counting(counts: (row: Row) => boolean): Aggregation {
  let count = 0
  return {
    add: (row) => {
      if (counts(row)) count++
    },
    value: () => count,
  }
}

function extreme(value: Compiled, side: 1 | -1): Aggregation {
  let found: Cell = null
  return {
    add: (row) => {
      const cell = value.evaluate(row)
      if (cell !== null && (found === null || compareCells(cell, found) === side)) found = cell
    },
    value: () => found,
  }
}

function summing(value: Compiled): Aggregation {
  let [whole, real] = [0n, 0]
  const exact = value.type !== 'real' && value.type !== 'decimal'
  return {
    add: (row) => {
      const cell = value.evaluate(row)
      if (cell === null) return
      if (exact) whole += BigInt(cell)
      else real += Number(cell)
    },
    value: () => {
      if (!exact) return value.type === 'decimal' ? String(real) : real
      return value.type === 'timespan' ? whole : narrowLong(BigInt.asIntN(64, whole))!
    },
  }
}
