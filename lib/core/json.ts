import { randomUUID } from 'node:crypto'
import { types } from 'node:util'
import { RefusedRow } from './errors.ts'
import { isoText } from './time.ts'

/** A value in a row that has no form in JSON. The message has its path and what it is. */
export class UnserializableValue extends RefusedRow {
  override name = 'UnserializableValue'
  constructor(path: string, what: string) {
    super(path === '' ? `the row is ${what}` : `${path} is ${what}`)
  }
}

/** A row kept as the JSON of one object, and written unchanged. `JsonRow` implements it. */
export abstract class JsonText {
  /** UTF-8 of the text. */
  abstract readonly bytes: Buffer
  /** How many bytes these are. */
  abstract readonly length: number
  /** Copies them into a buffer, from `at` on. */
  abstract copy(target: Buffer, at: number): void
  abstract readonly text: string
  /** The members. */
  abstract readonly value: Record<string, unknown>
  /** A member's value; undefined if there is none. */
  abstract member(name: string): unknown
  /** A member's JSON. */
  abstract memberText(name: string): string | undefined
  /** Names of the members, in their order. */
  abstract memberNames(): readonly string[]
  /** Names and JSON of the members, in their order; a name is the JSON between its quotes. */
  abstract memberTexts(): Iterable<readonly [name: string, text: string]>
}

/** Whether a value is a row: a plain object of columns, not a string, number, array, Date, Map, Buffer… */
export function isRow(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false
  // Fast path: this decides nearly all rows.
  const prototype = Object.getPrototypeOf(value)
  if (prototype === Object.prototype || prototype === null) return true
  return !Array.isArray(value) && !hasNoJsonForm(value) && !types.isDate(value) && !ArrayBuffer.isView(value)
}

/** Sets a column of a row. Assigning to `__proto__` would set the row's prototype: as a column it is data. */
export function setColumn(row: Record<string, unknown>, name: string, value: unknown): void {
  if (name !== '__proto__') row[name] = value
  else Object.defineProperty(row, name, { value, enumerable: true, writable: true, configurable: true })
}

/** Parses JSON; undefined if it is not JSON. */
export function jsonOrUndefined(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** The members of a JSON object; undefined if the input is not a JSON object. */
export function jsonObject(text: string): Record<string, unknown> | undefined {
  const value = jsonOrUndefined(text)
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined
}

/** What a value is, for an error. */
export function describe(value: unknown): string {
  if (value === null || value === undefined) return String(value)
  if (Array.isArray(value)) return 'an array'
  if (typeof value === 'bigint' || typeof value === 'number') return `the number ${value}`
  if (types.isDate(value) && Number.isNaN(value.getTime())) return 'an invalid Date'
  const name = typeof value === 'object' ? (value.constructor?.name ?? 'Object') : typeof value
  if (name === 'Object') return 'an object'
  return `${/^[aeiou]/i.test(name) ? 'an' : 'a'} ${name}`
}

/**
 * A row as JSON. A Date becomes an ISO 8601 string, a bigint an integer, NaN and the infinities the strings that Azure
 * uses (`"NaN"`, `"Infinity"`), bytes (Buffer, Uint8Array) a base64 string as in Spark's JSON, other typed arrays
 * arrays; `undefined` is left out, and `toJSON` is honoured.
 *
 * @param path of the value, for an error: a column's name; empty for a whole row
 * @throws UnserializableValue for what JSON can't hold: a cycle, a function, a symbol, an invalid Date, a Map or Set, an Error (JSON would leave its message out)
 */
export function serialize(row: unknown, path = ''): string {
  if (row instanceof JsonText) return row.text
  // JSON.stringify is by far the fastest, but silently drops what it can't write: so check first.
  const text = isNative(row, Array.isArray(row) ? 1 : 0) ? writeNative(row) : write(row, path, new Set())
  if (text === undefined) throw new UnserializableValue(path, 'undefined')
  return text
}

/** Whether `writeNative` writes this value as `write` would; a bigint only as a member of the row itself. */
function isNative(value: unknown, depth: number): boolean {
  switch (typeof value) {
    case 'string':
    case 'boolean':
    case 'undefined':
      return true
    case 'number':
      return Number.isFinite(value)
    case 'bigint':
      return depth === 1
    case 'object': {
      if (value === null) return true
      // A cycle ends here too, and is found by `write`.
      if (depth > 32) return false
      if (Array.isArray(value)) {
        for (let i = 0; i < value.length; i++) if (!isNative(value[i], depth + 1)) return false
        return true
      }
      const prototype = Object.getPrototypeOf(value)
      if (prototype !== Object.prototype && prototype !== null) {
        return prototype === Date.prototype && !Number.isNaN((value as Date).getTime())
      }
      for (const key in value) {
        const member = (value as Record<string, unknown>)[key]
        // Inlined for strings and numbers, the most frequent: a call takes longer than the check.
        if (typeof member === 'string') continue
        if (typeof member === 'number' ? Number.isFinite(member) : isNative(member, depth + 1)) continue
        return false
      }
      return true
    }
    default:
      return false
  }
}

const { toJSON } = Date.prototype

/** Prefix of a bigint that JSON.stringify writes as a string. Random, so that no string of a row contains it. */
const mark = randomUUID()
const markedInteger = new RegExp(`"${mark}(-?\\d+)"`, 'g')

/**
 * JSON.stringify with strings in place of the row's Dates and bigints: it is slow for Dates, and rejects bigints.
 */
function writeNative(row: unknown): string | undefined {
  if (typeof row !== 'object' || Array.isArray(row)) return JSON.stringify(row)
  const members = row as Record<string, unknown>
  let copy: Record<string, unknown> | undefined
  let holdsLong = false
  for (const name in members) {
    const value = members[name]
    if (typeof value === 'bigint') {
      copy ??= { ...members }
      copy[name] = `${mark}${value}`
      holdsLong = true
    } else if (value instanceof Date && value.toJSON === toJSON) {
      copy ??= { ...members }
      copy[name] = isoText(value)
    }
  }
  const text = JSON.stringify(copy ?? row)
  return holdsLong ? text.replaceAll(markedInteger, '$1') : text
}

function hasNoJsonForm(value: object): boolean {
  return (
    types.isMap(value) || types.isSet(value) || types.isRegExp(value) || types.isPromise(value) ||
    types.isWeakMap(value) || types.isWeakSet(value) || types.isAnyArrayBuffer(value) ||
    types.isSymbolObject(value) || (types.isNativeError(value) && !('toJSON' in value)) // biome-ignore format: a list
  )
}

function write(value: unknown, path: string, above: Set<object>): string | undefined {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return JSON.stringify(value)
    case 'undefined':
      return undefined
    case 'number':
      return Number.isFinite(value) ? String(value) : `"${value}"`
    case 'bigint':
      return value.toString()
    case 'object':
      break
    default:
      throw new UnserializableValue(path, `a ${typeof value}, which has no form in JSON`)
  }
  if (value === null) return 'null'
  if (above.size >= deepest) throw new UnserializableValue(columnOf(path), `nested more than ${deepest} deep`)
  if (value instanceof JsonText) return value.text
  if (above.has(value))
    throw new UnserializableValue(path, 'a reference to an object that holds it (a cycle)')
  if (types.isDate(value) && Number.isNaN(value.getTime()))
    throw new UnserializableValue(path, 'an invalid Date')
  if (hasNoJsonForm(value))
    throw new UnserializableValue(path, `${describe(value)}, which has no form in JSON`)
  above.add(value)
  try {
    return writeObject(value, path, above)
  } finally {
    above.delete(value)
  }
}

/** Maximum nesting: services reject far less, and the stack does not hold much more. */
const deepest = 1000

/** The column that a path starts with. */
function columnOf(path: string): string {
  return path.slice(0, path.search(/[.[]|$/))
}

/** Whether a value is bytes; a Buffer's own `toJSON` would write a list of numbers. */
export function isBytes(value: unknown): value is Uint8Array {
  return types.isUint8Array(value)
}

function writeObject(value: object, path: string, above: Set<object>): string | undefined {
  if (isBytes(value))
    return `"${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64')}"`
  if (types.isTypedArray(value)) return write(Array.from(value as Iterable<unknown>), path, above)
  if ('toJSON' in value && typeof value.toJSON === 'function') {
    const key = path.slice(path.lastIndexOf('.') + 1)
    const plain: unknown = value.toJSON(key)
    if (plain !== value) return write(plain, path, above)
  }
  if (types.isBoxedPrimitive(value)) return write(value.valueOf(), path, above)
  if (Array.isArray(value)) {
    // Array.from visits holes too; map would leave nothing between the commas.
    const members = Array.from(value, (member, index) => write(member, `${path}[${index}]`, above) ?? 'null')
    return `[${members.join(',')}]`
  }
  const members: string[] = []
  for (const key of Object.keys(value)) {
    const text = write((value as Record<string, unknown>)[key], path === '' ? key : `${path}.${key}`, above)
    if (text !== undefined) members.push(`${JSON.stringify(key)}:${text}`)
  }
  return `{${members.join(',')}}`
}
