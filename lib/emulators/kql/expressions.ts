import { parseInstant } from '../../core/time.ts'
import { type Cell, type Column, type ColumnType, cellText } from '../log-analytics-cells.ts'
import { semanticError } from './errors.ts'
import type { Row } from './rows.ts'
import type { TokenReader } from './token-reader.ts'

/** An expression that knows its type and can be asked for its value in a row. */
export interface Expression {
  readonly type: ColumnType
  evaluate(row: Row): Cell
  /** The column that it is, if it is one and no more. */
  readonly column?: Column
}

export interface Scope {
  readonly columns: readonly Column[]
  /** What `let` bound to a single value. */
  readonly constants: ReadonlyMap<string, Expression>
  /** The time of the query, in ticks. */
  readonly now: bigint
  /** The operator that the expression stands in, for messages. */
  readonly operator: string
}

const numeric: ReadonlySet<ColumnType> = new Set(['int', 'long', 'real', 'decimal'])

/** Reads an expression. @throws KqlError for what does not parse, and for names and types that do not fit */
export function readExpression(tokens: TokenReader, scope: Scope): Expression {
  let left = conjunction(tokens, scope)
  while (tokens.word('or')) {
    const [first, second] = [left, conjunction(tokens, scope)]
    left = bool((row) => either(first.evaluate(row), second.evaluate(row)))
  }
  return left
}

function conjunction(tokens: TokenReader, scope: Scope): Expression {
  let left = comparison(tokens, scope)
  while (tokens.word('and')) left = both(left, comparison(tokens, scope))
  return left
}

function both(left: Expression, right: Expression): Expression {
  return bool((row) => inverse(either(inverse(left.evaluate(row)), inverse(right.evaluate(row)))))
}

function either(left: Cell, right: Cell): Cell {
  return left === true || right === true ? true : left === null || right === null ? null : false
}

function inverse(cell: Cell): Cell {
  return cell === null ? null : !cell
}

function comparison(tokens: TokenReader, scope: Scope): Expression {
  const left = operand(tokens, scope)
  const { kind, text } = tokens.peek()
  if (kind === 'literal') return left
  if (Object.hasOwn(orders, text)) {
    tokens.take()
    return compared(text, left, operand(tokens, scope))
  }
  const negated = text.startsWith('!')
  const finish = (condition: Expression) =>
    negated ? bool((row) => inverse(condition.evaluate(row))) : condition
  const name = text === '!~' ? '=~' : text.replace(/^!/, '')
  if (Object.hasOwn(textTests, name)) {
    const test = textTests[name]!
    tokens.take()
    const right = operand(tokens, scope)
    return finish(bool((row) => test(lower(left, row), lower(right, row))))
  }
  if (/^!?in$/.test(text)) {
    tokens.take()
    tokens.expect('(')
    const list = tokens.list(() => readExpression(tokens, scope))
    tokens.expect(')')
    const tests = list.map((item) => compared('==', left, item))
    return finish(bool((row) => tests.some((one) => one.evaluate(row) === true)))
  }
  return left
}

const textTests: Record<string, (text: string, part: string) => boolean> = {
  '=~': (text, other) => text === other,
  contains: (text, part) => text.includes(part),
  startswith: (text, part) => text.startsWith(part),
}

function lower(side: Expression, row: Row): string {
  return cellText(side.evaluate(row), side.type).toLowerCase()
}

function bool(evaluate: (row: Row) => Cell): Expression {
  return { type: 'bool', evaluate }
}

const orders: Record<string, (order: number) => boolean> = {
  '==': (order) => order === 0,
  '!=': (order) => order !== 0,
  '<': (order) => order < 0,
  '<=': (order) => order <= 0,
  '>': (order) => order > 0,
  '>=': (order) => order >= 0,
}

function compared(operator: string, left: Expression, right: Expression): Expression {
  const dynamic = left.type === 'dynamic' || right.type === 'dynamic'
  const same = left.type === right.type || (numeric.has(left.type) && numeric.has(right.type))
  if (!same && !dynamic) {
    const text = `Cannot compare values of types ${left.type} and ${right.type}. Try adding explicit casts`
    throw semanticError(text, 'SEM0064')
  }
  const value = (side: Expression, row: Row): Cell => {
    const cell = side.evaluate(row)
    if (dynamic) return cell === null ? null : cellText(cell, side.type)
    // A string is never null: none is the empty one.
    if (side.type === 'string') return cell ?? ''
    return side.type === 'decimal' && cell !== null ? Number(cell) : cell
  }
  const test = orders[operator]!
  return bool((row) => {
    const [first, second] = [value(left, row), value(right, row)]
    if (first === null || second === null) {
      if (first === second || (operator !== '==' && operator !== '!=')) return null
      return operator === '!='
    }
    return Number.isNaN(first) || Number.isNaN(second) ? operator === '!=' : test(compareCells(first, second))
  })
}

/** Order of two cells of one type, neither null. Numbers and bigints mix. */
export function compareCells(left: NonNullable<Cell>, right: NonNullable<Cell>): number {
  return left < right ? -1 : left > right ? 1 : 0
}

function operand(tokens: TokenReader, scope: Scope): Expression {
  if (tokens.accept('-')) return minus(operand(tokens, scope))
  const token = tokens.take()
  if (token.kind === 'literal') return { type: token.type!, evaluate: () => token.cell! }
  if (token.kind === 'symbol' && token.text === '(') {
    const inner = readExpression(tokens, scope)
    tokens.expect(')')
    return inner
  }
  if (token.kind !== 'name') throw tokens.unexpected(token)
  if (tokens.accept('(')) {
    const list = tokens.peek().text === ')' ? [] : tokens.list(() => readExpression(tokens, scope))
    tokens.expect(')')
    return called(token.text, list, scope)
  }
  if (token.text === 'true' || token.text === 'false') return bool(() => token.text === 'true')
  return named(token.text, scope)
}

function minus({ type, evaluate }: Expression): Expression {
  return {
    type,
    evaluate: (row) => {
      const cell = evaluate(row)
      return typeof cell === 'bigint' ? -cell : typeof cell === 'number' ? 0 - cell : null
    },
  }
}

function named(name: string, { columns, constants, operator }: Scope): Expression {
  const index = columns.findIndex((column) => column.name === name)
  const column = columns[index]
  if (column) return { type: column.type, column, evaluate: ({ cells }) => cells[index] ?? null }
  const constant = constants.get(name)
  if (constant) return constant
  throw semanticError(`'${operator}' operator: Failed to resolve scalar expression named '${name}'`)
}

function called(name: string, given: Expression[], { now }: Scope): Expression {
  const call = Object.hasOwn(functions, name) ? functions[name]! : undefined
  if (!call) throw semanticError(`Unknown function: '${name}'.`, 'SEM0260')
  const count = name === 'now' || name === 'ingestion_time' ? 0 : 1
  if (given.length !== count)
    throw semanticError(`${name}(): function expects ${count} argument(s).`, 'SEM0219')
  const [value = { type: 'bool', evaluate: () => null }] = given
  if (name === 'ago' && value.type !== 'timespan') {
    throw semanticError('argument #1 must be a timespan', 'SEM0012')
  }
  const [type, map] = call
  return {
    type,
    evaluate: (row) => {
      const cell = value.evaluate(row)
      return map({ cell, text: cellText(cell, value.type), isText: value.type === 'string', row, now })
    },
  }
}

interface Argument {
  cell: Cell
  text: string
  /** A text is never null. */
  isText: boolean
  row: Row
  now: bigint
}

/** The functions that the emulator knows. */
const functions: Record<string, readonly [type: ColumnType, value: (argument: Argument) => Cell]> = {
  now: ['datetime', ({ now }) => now],
  ingestion_time: ['datetime', ({ row }) => row.ingested],
  ago: ['datetime', ({ cell, now }) => (cell === null ? null : now - (cell as bigint))],
  not: ['bool', ({ cell }) => inverse(cell)],
  isnull: ['bool', ({ cell, isText }) => cell === null && !isText],
  isnotnull: ['bool', ({ cell, isText }) => cell !== null || isText],
  isempty: ['bool', ({ text }) => text === ''],
  isnotempty: ['bool', ({ text }) => text !== ''],
  tostring: ['string', ({ text }) => text],
  todatetime: [
    'datetime',
    ({ cell, text }) => (typeof cell === 'bigint' ? cell : (parseInstant(text) ?? null)),
  ],
}
