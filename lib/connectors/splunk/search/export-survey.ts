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

const [newline, zero, nine, brace] = [0x0a, 0x30, 0x39, 0x7d]
const plainStart = Buffer.from('{"preview":false,"offset":')
const previewStart = Buffer.from('{"preview":true,"offset":')
const last = Buffer.from(',"lastrow":true')
const result = Buffer.from(',"result":{')

/** The longest line that is quoted in an error. */
const longestQuote = 200

/** Messages of one answer that are kept: a search over many peers may repeat itself. */
const mostMessages = 100

/**
 * Reads the lines of an export answer as they come, for what decides whether it is whole. Nearly all of them have one of
 * two forms, which are told by their first bytes and their last ones; the others are parsed.
 */
export class ExportSurvey {
  #rows = 0
  #ended = false
  #garbled: string | undefined
  readonly #messages = new Map<string, SplunkMessage>()
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
    if (begins(bytes, start, end, plainStart)) {
      let at = digits(bytes, start + plainStart.length)
      const isLast = begins(bytes, at, end, last)
      if (isLast) at += last.length
      if (begins(bytes, at, end, result) && bytes[end - 1] === brace && bytes[end - 2] === brace) {
        this.#rows++
        this.#ended = isLast
        return
      }
    } else if (begins(bytes, start, end, previewStart)) {
      const at = digits(bytes, start + previewStart.length)
      if (begins(bytes, at, end, result) && bytes[end - 1] === brace && bytes[end - 2] === brace) return
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

function begins(bytes: Buffer, start: number, end: number, head: Buffer): boolean {
  if (start + head.length > end) return false
  for (let at = 0; at < head.length; at++) if (bytes[start + at] !== head[at]) return false
  return true
}

/** Where a number ends. */
function digits(bytes: Buffer, at: number): number {
  while (bytes[at]! >= zero && bytes[at]! <= nine) at++
  return at
}
