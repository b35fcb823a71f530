import { Writable } from 'node:stream'
import type { ConnectorError } from '../core/errors.ts'
import type { JsonRow } from '../core/json-row.ts'
import { createWritable, type WritableTypes } from '../registry.ts'
import type { BatchingWritable } from '../sink/batching-writable.ts'
import { type DeadLetter, DeadLetterFile } from '../sink/dead-letter.ts'
import { columnsOf, type LoggerConfig, LogRows } from './log-rows.ts'
import type { PinoSettings } from './options.ts'

/** Seconds before another sink takes the place of one that failed, unless the options have a `max_backoff`. */
const reopenSeconds = 30

/** Letters that may wait for a slow disk before further ones are dropped. */
const mostLetters = 10_000

/** What was dropped, as the event `dropped` has it. */
export interface DroppedEvent {
  /** Lines dropped since the last event. */
  readonly lines: number
  /** Lines dropped since the start. */
  readonly total: number
  /** Why the last one was dropped. */
  readonly reason: string
}

/**
 * Accepts pino's lines at once, always, and delivers them through a sink. It never fails: a program must not wait for its
 * log's destination, nor end because of it. So what waits has a bound, and lines beyond it go to the dead letter or are
 * dropped and counted.
 */
export class PinoTransport extends Writable {
  readonly #settings: PinoSettings
  readonly #sinkOptions: Record<string, unknown>
  readonly #rows: LogRows
  #file: DeadLetterFile | undefined
  readonly #report: (event: DroppedEvent) => void
  /** The start of a line of which the rest is to come. */
  #partial = ''
  /** Oldest first, from `#next` on. */
  #waiting: JsonRow[] = []
  #next = 0
  #waitingBytes = 0
  #sink: BatchingWritable | undefined
  #reopening: NodeJS.Timeout | undefined
  #closing: ((error?: Error | null) => void) | undefined
  #isOverdue = false
  /** Dropped: in all, and those that neither an event nor a row has reported. */
  readonly #dropped = { total: 0, unreported: 0, unsent: 0, reason: '' }
  #reporting: NodeJS.Timeout | undefined
  /** The failure that was warned of last, until a delivery succeeds. */
  #warned: string | undefined

  /** @throws OptionError for wrong options of the sink */
  constructor(
    settings: PinoSettings,
    sinkOptions: Record<string, unknown>,
    report: (event: DroppedEvent) => void,
  ) {
    super({ decodeStrings: false })
    const { connector, dead_letter, time_key, level_key, message_key } = settings
    const columns = columnsOf(connector)
    const { time, level, message } = columns
    this.#settings = settings
    this.#rows = new LogRows({
      time: time_key ?? time,
      level: level_key ?? level,
      message: message_key ?? message,
    })
    this.#sinkOptions =
      connector === 'splunk'
        ? { ...splunkColumns(sinkOptions, time_key ?? time), ...sinkOptions }
        : sinkOptions
    this.#report = report
    if (dead_letter !== undefined) this.#file = letterFile(dead_letter)
    this.#open()
  }

  /** Learns what pino says of the logger. */
  configure(config: LoggerConfig): void {
    this.#rows.configure(config)
  }

  override _write(chunk: string | Buffer, _encoding: BufferEncoding, callback: () => void): void {
    const lines = (this.#partial + chunk.toString()).split('\n')
    this.#partial = lines.pop()!
    for (const line of lines) if (line !== '') this.#add(this.#rows.row(line))
    this.#pump()
    callback()
  }

  override _final(callback: (error?: Error | null) => void): void {
    if (this.#partial !== '') this.#add(this.#rows.row(this.#partial))
    this.#reportDropped()
    this.#closing = callback
    const { close_seconds } = this.#settings
    const deadline = setTimeout(() => this.#giveUp(), close_seconds * 1000)
    this.once('close', () => clearTimeout(deadline))
    if (this.#reopening) this.#open()
    this.#pump()
  }

  #add(row: JsonRow): void {
    const { length } = row.bytes
    if (this.#waitingBytes + length > this.#settings.max_waiting_bytes) {
      this.#leave(row, 'max_waiting_bytes: no more lines may wait')
      return
    }
    this.#waiting.push(row)
    this.#waitingBytes += length
  }

  /** Hands waiting rows to the sink until it is full. */
  #pump(): void {
    const sink = this.#sink
    if (!sink || sink.destroyed || sink.writableEnded) return
    this.#addCount()
    while (this.#next < this.#waiting.length && !sink.writableNeedDrain) {
      const row = this.#waiting[this.#next++]!
      this.#waitingBytes -= row.bytes.length
      sink.write(row)
    }
    if (this.#next === this.#waiting.length || this.#next > 10_000) {
      this.#waiting.splice(0, this.#next)
      this.#next = 0
    }
    if (this.#closing && this.#waiting.length === 0) sink.end()
  }

  /** Adds a row that says how many lines were dropped, once half of the memory is free again. */
  #addCount(): void {
    const { unsent, reason } = this.#dropped
    if (unsent === 0 || (!this.#closing && this.#waitingBytes * 2 > this.#settings.max_waiting_bytes)) return
    this.#dropped.unsent = 0
    const message = `cyber-connectors/pino dropped ${unsent} log lines: ${reason}`
    const row = this.#rows.own({ message, level: 'warn', dropped: unsent })
    this.#waiting.push(row)
    this.#waitingBytes += row.bytes.length
  }

  #open(): void {
    clearTimeout(this.#reopening)
    this.#reopening = undefined
    // A refused row must not end the sink; here it is a letter, or counted.
    const dead_letter = new Writable({
      objectMode: true,
      write: (letter: DeadLetter, _encoding, callback) => this.#letter(letter, callback),
    })
    const options = { ...this.#sinkOptions, dead_letter } as unknown as WritableTypes['splunk']['options']
    const sink: BatchingWritable = createWritable(this.#settings.connector as 'splunk', options)
    sink.on('drain', () => this.#pump())
    sink.on('batch', () => {
      this.#warned = undefined
    })
    sink.on('error', (error) => this.#warn(error))
    sink.once('close', () => this.#closed(sink))
    this.#sink = sink
  }

  /** The sink has ended. If rows are left, another one replaces it. */
  #closed(sink: BatchingWritable): void {
    this.#sink = undefined
    const left = sink.unsettled as readonly JsonRow[]
    this.#waiting = [...left, ...this.#waiting.slice(this.#next)]
    this.#next = 0
    for (const row of left) this.#waitingBytes += row.bytes.length
    if (this.#closing && (this.#waiting.length === 0 || this.#isOverdue || sink.errored)) this.#finish()
    else {
      const { max_backoff, maxBackoff = max_backoff } = this.#sinkOptions
      this.#reopening = setTimeout(() => this.#reopen(), Number(maxBackoff ?? reopenSeconds) * 1000)
    }
  }

  #reopen(): void {
    this.#open()
    this.#pump()
  }

  #giveUp(): void {
    this.#isOverdue = true
    if (this.#sink) this.#sink.destroy()
    else this.#finish()
  }

  /** Leaves what still waits, and ends once the dead letter has it. */
  #finish(): void {
    clearTimeout(this.#reopening)
    const waiting = this.#waiting.splice(0)
    const { close_seconds } = this.#settings
    for (const row of waiting)
      this.#leave(row, `close_seconds: not delivered within ${close_seconds} s of the exit`)
    const end = () => {
      this.#reportDropped()
      this.#closing?.()
    }
    if (this.#file && !this.#file.errored) this.#file.end(end)
    else end()
  }

  /** A row that is not delivered: to the dead letter, if there is one and it keeps up. */
  #leave(row: JsonRow, text: string): void {
    const { connector } = this.#settings
    const at = new Date().toISOString()
    this.#letter({ row, connector, reason: { code: 'ERR_ABORTED', text }, at })
  }

  #letter(letter: DeadLetter, callback: () => void = () => {}): void {
    // A disk that was full may have free space again.
    if (this.#file?.errored) this.#file = letterFile(this.#settings.dead_letter!)
    const file = this.#file
    const { text } = letter.reason
    if (!file) this.#drop(text)
    else if (file.writableLength >= mostLetters) this.#drop(`${text}; the dead letter is too slow`)
    else {
      file.write(letter, (error) => {
        if (error) this.#drop(`${text}; the dead letter failed: ${error.message}`)
        callback()
      })
      return
    }
    callback()
  }

  #drop(reason: string): void {
    const dropped = this.#dropped
    dropped.total++
    dropped.unreported++
    dropped.unsent++
    dropped.reason = reason
    // One event a second: a program that logs much must not be slowed by the count of it.
    this.#reporting ??= setTimeout(() => this.#reportDropped(), 1000).unref()
  }

  #reportDropped(): void {
    clearTimeout(this.#reporting)
    this.#reporting = undefined
    const { unreported, total, reason } = this.#dropped
    if (unreported === 0) return
    this.#dropped.unreported = 0
    this.#report({ lines: unreported, total, reason })
  }

  /** Warns of a failure once, until something is delivered again. */
  #warn(error: Error): void {
    const { code = 'ERR_DELIVERY' } = error as Partial<ConnectorError>
    if (this.#warned === code || code === 'ERR_ABORTED') return
    this.#warned = code
    process.emitWarning(`cyber-connectors/pino: log lines wait, as delivery failed: ${error.message}`, {
      type: 'CyberConnectorsWarning',
      code,
    })
  }
}

/** A dead letter whose failures come to the callbacks of its writes. */
function letterFile(path: string): DeadLetterFile {
  const file = new DeadLetterFile(path)
  file.on('error', () => {})
  return file
}

/** Where Splunk finds a row's time and host, unless the options say so. */
function splunkColumns(given: Record<string, unknown>, time: string): Record<string, unknown> {
  const has = (...names: string[]) => names.some((name) => given[name] !== undefined)
  const findsTime = given['mode'] === 'raw' || has('auto_extract_timestamp', 'autoExtractTimestamp')
  return {
    ...(!findsTime && !has('time_column', 'timeColumn') && { time_column: time }),
    ...(!has('host', 'host_column', 'hostColumn') && { host_column: 'hostname' }),
  }
}
