import { isAscii, isUtf8 } from 'node:buffer'
import { ConnectorError } from '../../core/errors.ts'
import { isRow, setColumn } from '../../core/json.ts'
import { JsonBytes } from '../../core/json-bytes.ts'
import { findJsonFault } from '../../core/json-fault.ts'
import { isJsonObject, JsonRow } from '../../core/json-row.ts'
import { DeadLetterOffice } from '../../sink/dead-letter.ts'
import { MalformedRecords, type MalformedSettings } from '../../source/malformed.ts'
import type { Row } from '../../source/protocol.ts'
import type { MalformedMessageEvent } from './events.ts'
import { connectorName } from './failure.ts'
import type { Message, MessageBatch } from './records.ts'

/** Options that add a column. */
export const columnOptions = ['key_column', 'topic_column', 'partition_column', 'offset_column', 'timestamp_column', 'headers_column'] as const // biome-ignore format: a list

type Columns = { readonly [name in (typeof columnOptions)[number]]: string | undefined }

export interface RowSettings extends MalformedSettings, Columns {
  readonly format: 'json' | 'text' | 'bytes'
  /** Whether a document `{"records":[…]}` is a row for each record. */
  readonly records: boolean
  /** Whether a row is an object, or the message's own text. */
  readonly rows: 'objects' | 'json'
}

/** Partition of a message. */
interface Place {
  readonly topic: string
  readonly partition: number
}

/** Makes rows of messages, as the options say. */
export class MessageRows {
  readonly #settings: RowSettings
  readonly #malformed: MalformedRecords<MalformedMessageEvent>
  readonly #hasColumns: boolean

  constructor(settings: RowSettings, report: (event: MalformedMessageEvent) => void) {
    this.#settings = settings
    const { dead_letter } = settings
    const office = dead_letter && new DeadLetterOffice(dead_letter)
    this.#malformed = new MalformedRecords(connectorName, settings, office, report)
    this.#hasColumns = columnOptions.some((name) => settings[name] !== undefined)
  }

  get needsHeaders(): boolean {
    return this.#settings.headers_column !== undefined
  }

  /** @throws ConnectorError (`ERR_RECORD`) for a message that can't be read, with `failfast` */
  async rows(place: Place, { bytes, messages }: MessageBatch): Promise<Row[]> {
    const rows: Row[] = []
    const json = new JsonBytes(bytes)
    for (const message of messages) {
      const read = this.#read(bytes, json, message)
      if (typeof read === 'string') {
        const row = await this.#replace(place, bytes, message, read)
        if (row) rows.push(this.#withColumns(row, place, bytes, message))
      } else if (Array.isArray(read)) {
        for (const row of read) rows.push(this.#withColumns(row as Row, place, bytes, message))
      } else rows.push(this.#withColumns(read as Row, place, bytes, message))
    }
    return rows
  }

  close(): void {
    this.#malformed.close()
  }

  /** A row, several, or what is wrong with the message. */
  #read(bytes: Buffer, json: JsonBytes, { valueStart, valueEnd }: Message): Row | readonly Row[] | string {
    const { format } = this.#settings
    // Deleted, as a compacted topic says: a message of its own all the same.
    const isNull = valueEnd < 0
    if (format === 'bytes')
      return { value: isNull ? null : Buffer.from(bytes.subarray(valueStart, valueEnd)) }
    if (isNull) return format === 'text' ? { value: null } : 'has no value (a tombstone)'
    const part = bytes.subarray(valueStart, valueEnd)
    const ascii = isAscii(part)
    if (!ascii && !isUtf8(part)) return 'is not UTF-8'
    if (this.#settings.rows === 'json' && isJsonObject(bytes, valueStart, valueEnd))
      return new JsonRow(bytes, valueStart, valueEnd) as unknown as Row
    const text = ascii ? part.toString('latin1') : part.toString()
    if (format === 'text') return { value: text }
    let value: unknown
    try {
      value = json.hasLongInteger ? json.parse(valueStart, valueEnd) : JSON.parse(text)
    } catch {
      const { at, problem } = findJsonFault(text) ?? { at: 0, problem: 'is not JSON' }
      return `${problem} (column ${at + 1})`
    }
    if (!isRow(value)) return 'is JSON, but not an object'
    const { records } = value
    if (!this.#settings.records || !Array.isArray(records)) return value
    return records.every(isRow) ? (records as Row[]) : 'has a record that is no object'
  }

  async #replace(place: Place, bytes: Buffer, message: Message, problem: string): Promise<Row | undefined> {
    const { offset, valueStart, valueEnd } = message
    const text = `${place.topic}, partition ${place.partition}, offset ${offset}: the message ${problem}`
    if (this.#malformed.isFatal) {
      const details = { connector: connectorName }
      throw new ConnectorError('ERR_RECORD', `${connectorName}: ${text}`, details)
    }
    const value = valueEnd < 0 ? null : bytes.toString('utf8', valueStart, valueEnd)
    return this.#malformed.replace({ ...place, offset, problem }, value, text)
  }

  #withColumns(row: Row, { topic, partition }: Place, bytes: Buffer, message: Message): Row {
    if (!this.#hasColumns) return row
    const { key_column, topic_column, partition_column, offset_column, timestamp_column, headers_column } =
      this.#settings
    if (key_column !== undefined) setColumn(row, key_column, this.#key(bytes, message))
    if (topic_column !== undefined) setColumn(row, topic_column, topic)
    if (partition_column !== undefined) setColumn(row, partition_column, partition)
    if (offset_column !== undefined) setColumn(row, offset_column, message.offset)
    if (timestamp_column !== undefined) setColumn(row, timestamp_column, new Date(message.timestamp))
    if (headers_column !== undefined) {
      const headers = message.headers!.map(({ key, value }) => ({ key, value: value?.toString() ?? null }))
      setColumn(row, headers_column, headers)
    }
    return row
  }

  #key(bytes: Buffer, { keyStart, keyEnd }: Message): string | Buffer | null {
    if (keyEnd < 0) return null
    const part = bytes.subarray(keyStart, keyEnd)
    return this.#settings.format === 'bytes' ? Buffer.from(part) : part.toString()
  }
}
