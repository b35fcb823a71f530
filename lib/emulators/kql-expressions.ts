import { semanticError } from './kql-errors.ts'
import { functions } from './kql-functions.ts'
import type { Expression } from './kql-parser.ts'
import type { Row } from './kql-rows.ts'
import { textTest } from './kql-text.ts'
import { type Cell, type Column, type ColumnType, cellText, isInstant, narrowLong } from './kql-values.ts'

/** An expression that knows its type and can be asked for its value in a row. */
export interface Compiled {
  readonly type: ColumnType
  evaluate(row: Row): Cell
}

export interface Scope {
  readonly columns: readonly Column[]
  /** What `let` bound to a single value. */
  readonly constants: ReadonlyMap<string, Compiled>
  /** The time of the query, in ticks. */
  readonly now: bigint
  /** The operator that the expression stands in, for messages. */
  readonly operator: string
}

export const numeric: ReadonlySet<ColumnType> = new Set(['int', 'long', 'real', 'decimal'])

/** @throws KqlError for names and types that do not fit */
export function compile(expression: Expression, scope: Scope): Compiled {
  switch (expression.kind) {
    case 'literal': {
      const { type, cell } = expression
      return { type, evaluate: () => cell }
    }
    case 'name':
      return compileName(expression.name, scope)
    case 'call': {
      const make = Object.hasOwn(functions, expression.name) ? functions[expression.name] : undefined
      if (!make) throw semanticError(`Unknown function: '${expression.name}'.`, 'SEM0260')
      const parameters = expression.arguments.map((argument) => compile(argument, scope))
      const [least, most, build] = make
      if (parameters.length < least || parameters.length > most) {
        throw semanticError(
          `${expression.name}(): function expects ${least === most ? least : `${least} to ${most}`} argument(s).`,
          'SEM0219',
        )
      }
      return build(parameters, scope)
    }
    case 'minus': {
      const operand = compile(expression.operand, scope)
      const minus = (cell: Cell): Cell => {
        if (typeof cell === 'bigint') return operand.type === 'timespan' ? -cell : (narrowLong(-cell) ?? null)
        return typeof cell === 'number' ? (operand.type === 'real' ? -cell : 0 - cell) : null
      }
      return { type: operand.type, evaluate: (row) => minus(operand.evaluate(row)) }
    }
    case 'binary':
      return compileBinary(
        expression.operator,
        compile(expression.left, scope),
        compile(expression.right, scope),
      )
    case 'between': {
      const value = compile(expression.value, scope)
      let high = compile(expression.high, scope)
      const low = compile(expression.low, scope)
      // `between (start .. 1d)` counts from the start.
      if (value.type === 'datetime' && high.type === 'timespan') high = compileBinary('+', low, high)
      const inside = compileBinary('and', compileBinary('>=', value, low), compileBinary('<=', value, high))
      return expression.negated ? negate(inside) : inside
    }
    case 'in': {
      const value = compile(expression.value, scope)
      const operator = expression.caseless ? '=~' : '=='
      const some = expression.list
        .map((item) => compileBinary(operator, value, compile(item, scope)))
        .reduce((left, right) => compileBinary('or', left, right))
      return expression.negated ? negate(some) : some
    }
    case 'member': {
      const object = compile(expression.object, scope)
      const { key } = expression
      return { type: 'dynamic', evaluate: (row) => member(object.evaluate(row), key) }
    }
  }
}

function compileName(name: string, { columns, constants, operator }: Scope): Compiled {
  const index = columns.findIndex((column) => column.name === name)
  if (index >= 0) return { type: columns[index]!.type, evaluate: ({ cells }) => cells[index] ?? null }
  const constant = constants.get(name)
  if (constant) return constant
  throw semanticError(`'${operator}' operator: Failed to resolve scalar expression named '${name}'`)
}

function negate(condition: Compiled): Compiled {
  return {
    type: 'bool',
    evaluate: (row) => {
      const cell = condition.evaluate(row)
      return cell === null ? null : !cell
    },
  }
}

function member(json: Cell, key: string | number): Cell {
  if (typeof json !== 'string') return null
  let object: unknown
  try {
    object = JSON.parse(json)
  } catch {
    return null
  }
  if (typeof object !== 'object' || object === null || !Object.hasOwn(object, key)) return null
  const value: unknown = (object as Record<string | number, unknown>)[key]
  return value === null || value === undefined ? null : JSON.stringify(value)
}

function compileBinary(operator: string, left: Compiled, right: Compiled): Compiled {
  switch (operator) {
    case 'and':
      return bool((row) => {
        const first = left.evaluate(row)
        if (first === false) return false
        const second = right.evaluate(row)
        return second === false ? false : first === null || second === null ? null : true
      })
    case 'or':
      return bool((row) => {
        const first = left.evaluate(row)
        if (first === true) return true
        const second = right.evaluate(row)
        return second === true ? true : first === null || second === null ? null : false
      })
    case '==':
    case '!=':
    case '<':
    case '<=':
    case '>':
    case '>=':
      return compileComparison(operator, left, right)
    case '+':
    case '-':
    case '*':
    case '/':
    case '%':
      return compileArithmetic(operator, left, right)
    default: {
      const test = textTest(operator)
      const text = (side: Compiled, row: Row) => cellText(side.evaluate(row), side.type)
      return bool((row) => test(text(left, row), text(right, row)))
    }
  }
}

function bool(evaluate: (row: Row) => Cell): Compiled {
  return { type: 'bool', evaluate }
}

function compileComparison(operator: string, left: Compiled, right: Compiled): Compiled {
  const dynamic = left.type === 'dynamic' || right.type === 'dynamic'
  const same = left.type === right.type || (numeric.has(left.type) && numeric.has(right.type))
  if (!same && !dynamic) {
    throw semanticError(
      `Cannot compare values of types ${left.type} and ${right.type}. Try adding explicit casts`,
      'SEM0064',
    )
  }
  const value = (side: Compiled, row: Row): Cell => {
    const cell = side.evaluate(row)
    if (dynamic) return cell === null ? null : cellText(cell, side.type)
    // A string is never null: none is the empty one.
    if (side.type === 'string') return cell ?? ''
    return side.type === 'decimal' && cell !== null ? Number(cell) : cell
  }
  const test = comparisons[operator]!
  return bool((row) => {
    const first = value(left, row)
    const second = value(right, row)
    if (first === null || second === null) {
      if (first === second || (operator !== '==' && operator !== '!=')) return null
      return operator === '!='
    }
    if (Number.isNaN(first) || Number.isNaN(second)) return operator === '!='
    return test(compareCells(first, second))
  })
}

const comparisons: Record<string, (order: number) => boolean> = {
  '==': (order) => order === 0,
  '!=': (order) => order !== 0,
  '<': (order) => order < 0,
  '<=': (order) => order <= 0,
  '>': (order) => order > 0,
  '>=': (order) => order >= 0,
}

/** Order of two cells of one type, neither null. Numbers and bigints mix. */
export function compareCells(left: NonNullable<Cell>, right: NonNullable<Cell>): number {
  return left < right ? -1 : left > right ? 1 : 0
}

function compileArithmetic(operator: string, left: Compiled, right: Compiled): Compiled {
  const type = resultType(operator, left.type, right.type)
  if (!type) {
    throw semanticError(
      `Arithmetic expression cannot be carried-out between ${left.type} and ${right.type}`,
      'SEM0032',
    )
  }
  const whole = type !== 'real' || left.type === 'timespan' || left.type === 'datetime'
  return {
    type,
    evaluate: (row) => {
      const first = left.evaluate(row)
      const second = right.evaluate(row)
      if (first === null || second === null) return null
      if (!whole) return realArithmetic(operator, Number(first), Number(second))
      if (type === 'timespan' && typeof first !== typeof second) return scaleTimespan(operator, first, second)
      const result = wholeArithmetic(operator, BigInt(first), BigInt(second))
      if (result === null) return null
      if (type === 'real') return Number(first) / Number(second)
      if (type === 'datetime') return isInstant(result) ? result : null
      return type === 'long' || type === 'int' ? narrowLong(BigInt.asIntN(64, result))! : result
    },
  }
}

function resultType(operator: string, left: ColumnType, right: ColumnType): ColumnType | undefined {
  if (numeric.has(left) && numeric.has(right)) {
    const fractional = [left, right].some((type) => type === 'real' || type === 'decimal')
    return fractional ? 'real' : 'long'
  }
  if (left === 'datetime' && right === 'datetime' && operator === '-') return 'timespan'
  if (left === 'datetime' && right === 'timespan' && /[+-]/.test(operator)) return 'datetime'
  if (left === 'timespan' && right === 'datetime' && operator === '+') return 'datetime'
  if (left === 'timespan' && right === 'timespan') {
    return operator === '/' ? 'real' : operator === '*' ? undefined : 'timespan'
  }
  if (left === 'timespan' && numeric.has(right) && /[*/]/.test(operator)) return 'timespan'
  if (numeric.has(left) && right === 'timespan' && operator === '*') return 'timespan'
  return undefined
}

function realArithmetic(operator: string, left: number, right: number): number {
  switch (operator) {
    case '+':
      return left + right
    case '-':
      return left - right
    case '*':
      return left * right
    case '/':
      return left / right
    default:
      return left % right
  }
}

function wholeArithmetic(operator: string, left: bigint, right: bigint): bigint | null {
  switch (operator) {
    case '+':
      return left + right
    case '-':
      return left - right
    case '*':
      return left * right
    case '/':
      return right === 0n ? null : left / right
    default:
      return right === 0n ? null : left % right
  }
}

function scaleTimespan(operator: string, left: NonNullable<Cell>, right: NonNullable<Cell>): bigint | null {
  const result = operator === '*' ? Number(left) * Number(right) : Number(left) / Number(right)
  return Number.isFinite(result) ? BigInt(Math.round(result)) : null
}
