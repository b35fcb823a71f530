import { ExportLine } from './export-line.ts'
import { messagesIn, type SplunkMessage } from './messages.ts'

/** What the lines of an export answer say about it as a whole. */
export interface ExportSummary {
  /** Rows that are no previews. */
  readonly rows: number
  /** Whether its last line that counts says that it is the last one. */
  readonly ended: boolean
  /** Messages of all its lines, each once. */
  readonly messages: readonly SplunkMessage[]
  /** Text of the last line, where that is no whole JSON: the answer was cut there. */
  readonly torn: string | undefined
  /** Text of a whole line that is no JSON. */
  readonly garbled: string | undefined
}

const newline = 0x0a

/** The longest line that is quoted in an error. */
const longestQuote = 200

/** Messages of one answer that are kept: a search over many peers may repeat itself. */
const mostMessages = 100

/**
 * Reads the lines of an export answer as they come, for what decides whether it is whole. Nearly all of them have
 * the form of an {@link ExportLine}; the others are parsed.
 */
export class ExportSurvey {
  #rows = 0
  #ended = false
  #garbled: string | undefined
  readonly #messages = new Map<string, SplunkMessage>()
  readonly #form = new ExportLine()
  /** The parts of the line that has begun. */
  #line: Buffer[] = []

  write(chunk: Buffer): void {
    let from = 0
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, from)) {
      if (this.#line.length === 0) this.#read(chunk, from, end)
      else {
        this.#line.push(chunk.subarray(from, end))
        const whole = Buffer.concat(this.#line)
        this.#line = []
        this.#read(whole, 0, whole.length)
      }
      from = end + 1
    }
    if (from < chunk.length) this.#line.push(chunk.subarray(from))
  }

  end(): ExportSummary {
    const rest = Buffer.concat(this.#line)
    this.#line = []
    let torn: string | undefined
    if (rest.length > 0) {
      const before = this.#garbled
      this.#read(rest, 0, rest.length)
      if (this.#garbled !== before) {
        torn = this.#garbled
        this.#garbled = before
      }
    }
    return {
      rows: this.#rows,
      ended: this.#ended,
      messages: [...this.#messages.values()],
      torn,
      garbled: this.#garbled,
    }
  }

  #read(bytes: Buffer, start: number, end: number): void {
    if (bytes[end - 1] === 0x0d) end--
    const line = this.#form
    if (line.read(bytes, start, end)) {
      if (line.isPreview) return
      this.#rows++
      this.#ended = line.isLast
      return
    }
    const text = bytes.toString('utf8', start, end)
    if (text.trim() !== '') this.#parse(text)
  }

  #parse(text: string): void {
    let line: unknown
    try {
      line = JSON.parse(text)
    } catch {
      this.#garbled ??= text.slice(0, longestQuote)
      return
    }
    if (typeof line !== 'object' || line === null || Array.isArray(line)) {
      this.#garbled ??= text.slice(0, longestQuote)
      return
    }
    for (const message of messagesIn(line)) {
      if (this.#messages.size < mostMessages) this.#messages.set(`${message.type} ${message.text}`, message)
    }
    const { preview, lastrow, result } = line as Record<string, unknown>
    if (preview === true) return
    if (result !== undefined && result !== null) {
      this.#rows++
      this.#ended = lastrow === true
    } else if (lastrow === true) this.#ended = true
  }
}
