import { parseInstant } from '../core/time.ts'
import { semanticError } from './kql-errors.ts'
import type { Compiled, Scope } from './kql-expressions.ts'
import { type Cell, type ColumnType, cellText, isInstant, narrowLong, parseTimespan } from './kql-values.ts'

type ScalarFunction = readonly [
  least: number,
  most: number,
  build: (parameters: Compiled[], scope: Scope) => Compiled,
]

/** The scalar functions that the emulator knows. */
export const functions: Record<string, ScalarFunction> = {
  now: [0, 1, ([shift], { now }) => shifted('datetime', now, 1n, shift)],
  ago: [1, 1, ([shift], { now }) => shifted('datetime', now, -1n, shift)],
  ingestion_time: [0, 0, () => ({ type: 'datetime', evaluate: ({ ingested }) => ingested })],
  isnull: [1, 1, ([value]) => test(value!, (cell, type) => cell === null && type !== 'string')],
  isnotnull: [1, 1, ([value]) => test(value!, (cell, type) => cell !== null || type === 'string')],
  isempty: [1, 1, ([value]) => test(value!, (cell, type) => cellText(cell, type) === '')],
  isnotempty: [1, 1, ([value]) => test(value!, (cell, type) => cellText(cell, type) !== '')],
  notempty: [1, 1, ([value]) => test(value!, (cell, type) => cellText(cell, type) !== '')],
  not: [1, 1, ([value]) => mapped('bool', value!, (cell) => (cell === null ? null : !cell))],
  tostring: [1, 1, ([value]) => mapped('string', value!, (cell, type) => cellText(cell, type))],
  tolower: [1, 1, ([value]) => mapped('string', value!, (cell, type) => cellText(cell, type).toLowerCase())],
  toupper: [1, 1, ([value]) => mapped('string', value!, (cell, type) => cellText(cell, type).toUpperCase())],
  strlen: [1, 1, ([value]) => mapped('long', value!, (cell, type) => [...cellText(cell, type)].length)],
  strcat: [
    1,
    64,
    (parameters) => ({
      type: 'string',
      evaluate: (row) => parameters.map((part) => cellText(part.evaluate(row), part.type)).join(''),
    }),
  ],
  toint: [1, 1, ([value]) => mapped('int', value!, (cell, type) => toWhole(cell, type, 32))],
  tolong: [1, 1, ([value]) => mapped('long', value!, (cell, type) => toWhole(cell, type, 64))],
  toreal: [1, 1, ([value]) => mapped('real', value!, toReal)],
  todouble: [1, 1, ([value]) => mapped('real', value!, toReal)],
  tobool: [1, 1, ([value]) => mapped('bool', value!, toBool)],
  todecimal: [
    1,
    1,
    ([value]) =>
      mapped('decimal', value!, (cell, type) => {
        const text = cellText(cell, type)
        return /^-?\d+(\.\d+)?$/.test(text) ? text : null
      }),
  ],
  todatetime: [
    1,
    1,
    ([value]) =>
      mapped('datetime', value!, (cell, type) =>
        type === 'datetime' ? cell : (parseInstant(cellText(cell, type)) ?? null),
      ),
  ],
  totimespan: [
    1,
    1,
    ([value]) =>
      mapped('timespan', value!, (cell, type) =>
        type === 'timespan' ? cell : (parseTimespan(cellText(cell, type)) ?? null),
      ),
  ],
  parse_json: [1, 1, ([value]) => mapped('dynamic', value!, toDynamic)],
  todynamic: [1, 1, ([value]) => mapped('dynamic', value!, toDynamic)],
  bin: [2, 2, ([value, size]) => binned(value!, size!)],
  floor: [2, 2, ([value, size]) => binned(value!, size!)],
  iff: [3, 3, choose],
  iif: [3, 3, choose],
  coalesce: [
    2,
    64,
    (parameters) => ({
      type: parameters[0]!.type,
      evaluate: (row) => {
        for (const parameter of parameters) {
          const cell = parameter.evaluate(row)
          if (cell !== null && cell !== '') return cell
        }
        return null
      },
    }),
  ],
}

function shifted(type: ColumnType, now: bigint, sign: bigint, shift: Compiled | undefined): Compiled {
  if (!shift) return { type, evaluate: () => now }
  if (shift.type !== 'timespan') throw semanticError('argument #1 must be a timespan', 'SEM0012')
  return mapped(type, shift, (cell) => {
    const ticks = cell === null ? null : now + sign * (cell as bigint)
    return ticks !== null && isInstant(ticks) ? ticks : null
  })
}

function mapped(type: ColumnType, value: Compiled, map: (cell: Cell, type: ColumnType) => Cell): Compiled {
  return { type, evaluate: (row) => map(value.evaluate(row), value.type) }
}

function test(value: Compiled, check: (cell: Cell, type: ColumnType) => boolean): Compiled {
  return mapped('bool', value, check)
}

function toWhole(cell: Cell, type: ColumnType, bits: 32 | 64): Cell {
  if (cell === null) return null
  if (typeof cell === 'boolean') return cell ? 1 : 0
  if (type === 'timespan' || type === 'datetime') return narrowLong(cell as bigint) ?? null
  const text = cellText(cell, type)
  const whole = /^\s*[+-]?\d+\s*$/.test(text) ? BigInt(text) : wholePart(Number(text || 'none'))
  if (whole === null || BigInt.asIntN(bits, whole) !== whole) return null
  return narrowLong(whole) ?? null
}

function wholePart(number: number): bigint | null {
  return Number.isFinite(number) ? BigInt(Math.trunc(number)) : null
}

function toReal(cell: Cell, type: ColumnType): Cell {
  if (typeof cell === 'number') return cell
  const text = cellText(cell, type)
  const number = Number(text || 'none')
  return Number.isNaN(number) && !/^nan$/i.test(text) ? null : number
}

function toBool(cell: Cell, type: ColumnType): Cell {
  if (cell === null || typeof cell === 'boolean') return cell
  if (typeof cell === 'number') return cell !== 0
  const text = cellText(cell, type).toLowerCase()
  return text === 'true' || text === '1' ? true : text === 'false' || text === '0' ? false : null
}

function toDynamic(cell: Cell, type: ColumnType): Cell {
  if (cell === null || type === 'dynamic') return cell
  const text = cellText(cell, type)
  try {
    JSON.parse(text)
    return text
  } catch {
    return JSON.stringify(text)
  }
}

function binned(value: Compiled, size: Compiled): Compiled {
  return {
    type: value.type,
    evaluate: (row) => {
      const cell = value.evaluate(row)
      const step = size.evaluate(row)
      if (cell === null || step === null) return null
      if (value.type === 'datetime' || value.type === 'timespan') {
        // Bins of time count from the year 1.
        const origin = value.type === 'datetime' ? yearOne : 0n
        return floorTo((cell as bigint) - origin, BigInt(step)) + origin
      }
      if (value.type === 'real' || size.type === 'real')
        return Math.floor(Number(cell) / Number(step)) * Number(step)
      return narrowLong(floorTo(BigInt(cell), BigInt(step))) ?? null
    },
  }
}

const yearOne = parseInstant('0001-01-01T00:00:00Z')!

function floorTo(value: bigint, step: bigint): bigint {
  if (step <= 0n) return value
  return value - (((value % step) + step) % step)
}

function choose([condition, yes, no]: Compiled[]): Compiled {
  return {
    type: yes!.type,
    evaluate: (row) => (condition!.evaluate(row) === true ? yes!.evaluate(row) : no!.evaluate(row)),
  }
}
