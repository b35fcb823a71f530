import { isDate } from 'node:util/types'
import { RefusedRow } from '../../core/errors.ts'
import { describe, isBytes, JsonText, serialize } from '../../core/json.ts'
import type { SinkValues } from './options.ts'
import type { NewMessage } from './produce-request.ts'

/** A key or value: a string, bytes as base64, or none. */
export interface Coded {
  readonly kind: 't' | 'b' | 'n'
  readonly text: string
}

export const none: Coded = { kind: 'n', text: '' }

/** What a row becomes. */
export interface EncodedMessage {
  readonly topic: string
  readonly key: Coded
  /** One line: kinds, time, lengths; then key and value. {@link readMessages} reads it back. */
  readonly wire: string
}

/** A row, or the text that it is kept as, which is written unchanged. */
type SentRow = Record<string, unknown> | JsonText

/** @param at when the row was written. @throws RefusedRow if a column does not fit */
export function encodeMessage(row: SentRow, values: SinkValues, at: number): EncodedMessage {
  const { topic_column, key_column, timestamp_column } = values
  const topic = topic_column === undefined ? values.topic! : topicOf(row, topic_column)
  const timestamp = timestamp_column === undefined ? at : timeOf(row, timestamp_column)
  const key = key_column === undefined ? none : keyOf(columnOf(row, key_column), key_column)
  const value = codedValue(row, values)
  const lengths = `${Buffer.byteLength(key.text)},${Buffer.byteLength(value.text)}`
  return { topic, key, wire: `${key.kind}${value.kind}${timestamp},${lengths}\n${key.text}${value.text}` }
}

function columnOf(row: SentRow, column: string): unknown {
  if (row instanceof JsonText) return row.member(column)
  return Object.hasOwn(row, column) ? row[column] : undefined
}

function topicOf(row: SentRow, column: string): string {
  const value = columnOf(row, column)
  if (typeof value === 'string' && /^[\w.-]{1,249}$/.test(value)) return value
  throw new RefusedRow(`${column}: expected the name of a topic, got ${describe(value)}`)
}

function timeOf(row: SentRow, column: string): number {
  const value = columnOf(row, column)
  const time = isDate(value) ? value.getTime() : typeof value === 'string' ? Date.parse(value) : Number.NaN
  if (Number.isSafeInteger(time) && time >= 0) return time
  throw new RefusedRow(`${column}: expected a Date or an ISO 8601 string, got ${describe(value)}`)
}

function keyOf(value: unknown, column: string): Coded {
  if (value === undefined) return none
  return plainOf(value) ?? { kind: 't', text: serialize(value, column) }
}

function codedValue(row: SentRow, { format, value_column }: SinkValues): Coded {
  if (format === 'json') return { kind: 't', text: row instanceof JsonText ? row.text : serialize(row) }
  const value = columnOf(row, value_column)
  const coded = plainOf(value)
  if (coded) return coded
  throw new RefusedRow(`${value_column}: expected a string or bytes, got ${describe(value)}`)
}

/** A string, bytes or null as they are; undefined for any other value. */
function plainOf(value: unknown): Coded | undefined {
  if (value === null) return none
  if (typeof value === 'string') return { kind: 't', text: value }
  return isBytes(value) ? { kind: 'b', text: Buffer.from(value).toString('base64') } : undefined
}

export function bytesOf({ kind, text }: Coded): Buffer {
  return Buffer.from(text, kind === 'b' ? 'base64' : 'utf8')
}

const [newline, comma, zero] = [0x0a, 0x2c, 0x30]

/** Reads the messages of a body, of which {@link encodeMessage} wrote each. */
export function readMessages(bytes: Buffer): NewMessage[] {
  const messages: NewMessage[] = []
  for (let at = 0; at < bytes.length; at++) {
    const [keyKind, valueKind] = [bytes[at++]!, bytes[at++]!]
    const numbers = [0, 0, 0]
    for (let index = 0; bytes[at] !== newline; at++) {
      if (bytes[at] === comma) index++
      else numbers[index] = numbers[index]! * 10 + bytes[at]! - zero
    }
    const [timestamp, keyLength, valueLength] = numbers as [number, number, number]
    const keyStart = at + 1
    const valueStart = keyStart + keyLength
    at = valueStart + valueLength
    const key = decoded(bytes.subarray(keyStart, valueStart), keyKind)
    messages.push({ timestamp, key, value: decoded(bytes.subarray(valueStart, at), valueKind) })
  }
  return messages
}

function decoded(part: Buffer, kind: number): Buffer | undefined {
  if (kind === 'n'.charCodeAt(0)) return undefined
  return kind === 'b'.charCodeAt(0) ? Buffer.from(part.toString('latin1'), 'base64') : part
}
