import { isAscii, isUtf8 } from 'node:buffer'
import type { Writable } from 'node:stream'
import { ConnectorError } from '../../core/errors.ts'
import { isRow, setColumn } from '../../core/json.ts'
import { JsonBytes } from '../../core/json-bytes.ts'
import { findJsonFault } from '../../core/json-fault.ts'
import { DeadLetterOffice } from '../../sink/dead-letter.ts'
import type { Row } from '../../source/protocol.ts'
import type { MalformedMessageEvent } from './events.ts'
import { connectorName } from './failure.ts'
import type { Message, MessageBatch } from './records.ts'

export interface RowSettings {
  readonly format: 'json' | 'text' | 'bytes'
  /** Whether a document `{"records":[…]}` is a row for each record. */
  readonly records: boolean
  readonly mode: 'failfast' | 'dropmalformed' | 'permissive'
  readonly columnNameOfCorruptRecord: string
  readonly dead_letter: Writable | undefined
  readonly key_column: string | undefined
  readonly topic_column: string | undefined
  readonly partition_column: string | undefined
  readonly offset_column: string | undefined
  readonly timestamp_column: string | undefined
  readonly headers_column: string | undefined
}

/** Where a message is. */
interface Place {
  readonly topic: string
  readonly partition: number
}

/** Makes rows of messages, as the options say. */
export class MessageRows {
  readonly #settings: RowSettings
  readonly #report: (event: MalformedMessageEvent) => void
  readonly #office: DeadLetterOffice | undefined
  readonly #hasColumns: boolean

  constructor(settings: RowSettings, report: (event: MalformedMessageEvent) => void) {
    this.#settings = settings
    this.#report = report
    this.#office = settings.dead_letter && new DeadLetterOffice(settings.dead_letter)
    const { key_column, topic_column, partition_column, offset_column, timestamp_column, headers_column } =
      settings
    const columns = [
      key_column,
      topic_column,
      partition_column,
      offset_column,
      timestamp_column,
      headers_column,
    ]
    this.#hasColumns = columns.some((name) => name !== undefined)
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
        const row = await this.#malformed(place, bytes, message, read)
        if (row) rows.push(this.#withColumns(row, place, bytes, message))
      } else if (Array.isArray(read)) {
        for (const row of read) rows.push(this.#withColumns(row as Row, place, bytes, message))
      } else rows.push(this.#withColumns(read as Row, place, bytes, message))
    }
    return rows
  }

  close(): void {
    this.#office?.close()
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

  async #malformed(place: Place, bytes: Buffer, message: Message, problem: string): Promise<Row | undefined> {
    const { mode, columnNameOfCorruptRecord } = this.#settings
    const { topic, partition } = place
    const { offset, valueStart, valueEnd } = message
    const where = `${topic}, partition ${partition}, offset ${offset}`
    if (mode === 'failfast' && !this.#office) {
      throw new ConnectorError('ERR_RECORD', `${connectorName}: ${where}: the message ${problem}`, {
        connector: connectorName,
      })
    }
    this.#report({ topic, partition, offset, problem })
    const text = valueEnd < 0 ? null : bytes.toString('utf8', valueStart, valueEnd)
    if (this.#office) {
      const reason = { code: 'ERR_RECORD', text: `${where}: the message ${problem}` }
      await this.#office.take({ row: text, connector: connectorName, reason, at: new Date().toISOString() })
      return undefined
    }
    return mode === 'permissive' ? { [columnNameOfCorruptRecord]: text } : undefined
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
