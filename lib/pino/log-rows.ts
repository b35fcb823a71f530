import { JsonRow } from '../core/json-row.ts'

/** Names of the columns that time, level and message of a log line get. */
export interface LogColumns {
  readonly time: string
  readonly level: string
  readonly message: string
}

/** The columns that a destination expects. */
export function columnsOf(connector: string): LogColumns {
  // As Splunk's own logging libraries send them.
  if (connector === 'splunk') return { time: 'time', level: 'severity', message: 'message' }
  if (connector === 'ms-sentinel' || connector === 'azure-monitor')
    return { time: 'TimeGenerated', level: 'Level', message: 'Message' }
  return { time: 'time', level: 'level', message: 'message' }
}

/** What pino says of the logger that writes to a transport. */
export interface LoggerConfig {
  readonly levels?: { readonly labels?: Readonly<Record<string, string>> }
  readonly messageKey?: string
}

const levelNames: Readonly<Record<string, string>> = {
  10: 'trace',
  20: 'debug',
  30: 'info',
  40: 'warn',
  50: 'error',
  60: 'fatal',
}

/** Turns pino's lines into rows: the columns of the destination, and every other member as it stands. */
export class LogRows {
  readonly #columns: LogColumns
  #levels = levelNames
  #messageKey = 'msg'

  constructor(columns: LogColumns) {
    this.#columns = columns
  }

  /** Learns the names of levels and the key of messages. */
  configure({ levels, messageKey }: LoggerConfig): void {
    this.#levels = levels?.labels ?? levelNames
    this.#messageKey = messageKey ?? 'msg'
  }

  /** A line as a row. A line that is no JSON object becomes a message. */
  row(line: string): JsonRow {
    let members: [name: string, text: string][]
    try {
      members = [...JsonRow.of(line).memberTexts()]
    } catch {
      return this.own({ message: line })
    }
    const { time, level, message } = this.#columns
    const names = members.map(([name]) => name)
    // pino's time and level are the first of their names, its message is the last: a program may log the same names.
    const places = {
      time: names.indexOf('time'),
      level: names.indexOf('level'),
      message: names.lastIndexOf(this.#messageKey),
    }
    const taken = new Set([time, level, message])
    const instant = isoTime(members[places.time]?.[1])
    const parts = members.map(([name, text], at) => {
      if (at === places.time && instant !== undefined) return `"${time}":"${instant}"`
      if (at === places.level) return `${JSON.stringify(level)}:${this.#levelOf(text)}`
      if (at === places.message) return `${JSON.stringify(message)}:${text}`
      return `"${taken.has(name) ? `${name}_` : name}":${text}`
    })
    if (instant === undefined) parts.unshift(`${JSON.stringify(time)}:"${new Date().toISOString()}"`)
    return JsonRow.of(`{${parts.join()}}`)
  }

  /** A row of the transport's own, with these members beside time, level and message. */
  own({
    message,
    level = 'info',
    ...others
  }: {
    message: string
    level?: string
    dropped?: number
  }): JsonRow {
    const columns = this.#columns
    const row = {
      [columns.time]: new Date().toISOString(),
      [columns.level]: level,
      [columns.message]: message,
    }
    return JsonRow.of(JSON.stringify({ ...row, ...others }))
  }

  #levelOf(text: string): string {
    const name = this.#levels[text]
    return name === undefined ? text : JSON.stringify(name)
  }
}

/** A time as pino writes it, in seconds, milliseconds, microseconds or nanoseconds or as a string; undefined for others. */
function isoTime(text: string | undefined): string | undefined {
  if (text === undefined) return undefined
  if (text.startsWith('"')) {
    const string = text.slice(1, -1)
    return Number.isNaN(Date.parse(string)) ? undefined : string
  }
  let milliseconds = Number(text) * 1000
  while (milliseconds > 1e14) milliseconds /= 1000
  const date = new Date(milliseconds)
  return Number.isNaN(date.getTime()) ? undefined : date.toISOString()
}
