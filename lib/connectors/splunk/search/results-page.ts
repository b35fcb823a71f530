import { setImmediate as turn } from 'node:timers/promises'
import { parseJson } from '../../../core/exact-json.ts'

/** Bytes of results that are parsed at a time: about a millisecond. */
const batchBytes = 65_536

/** The document ends early, or is none of results. */
export class BadPage extends Error {
  override name = 'BadPage'
}

const [quote, backslash, comma, colon] = [0x22, 0x5c, 0x2c, 0x3a]
const [openBracket, closeBracket, openBrace, closeBrace] = [0x5b, 0x5d, 0x7b, 0x7d]

/** Longest key that is told apart, and one more. */
const keyBytes = 8

/**
 * Reads the bytes of a page of a job's results as they come, `{"preview":false,"messages":[…],"results":[{…},…]}`, and
 * gives its results some hundred at a time; what is around them is parsed at the end.
 */
export class ResultsScanner {
  #depth = 0
  #inString = false
  #escaped = false
  #key = ''
  #text = ''
  #inResults = false
  #ended = false
  readonly #outline: Buffer[] = []
  /** Bytes of results that are not given yet. */
  #parts: Buffer[] = []
  #size = 0

  /** Takes bytes in. @returns texts of arrays of results */
  write(chunk: Buffer): string[] {
    const texts: string[] = []
    let from = 0
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at]!
      if (this.#inString) {
        if (this.#escaped) this.#escaped = false
        else if (byte === backslash) this.#escaped = true
        else if (byte === quote) this.#inString = false
        else if (!this.#inResults && this.#text.length < keyBytes) this.#text += String.fromCharCode(byte)
        continue
      }
      if (byte === quote) {
        this.#inString = true
        if (!this.#inResults) this.#text = ''
      } else if (byte === colon) {
        if (this.#depth === 1) this.#key = this.#text
      } else if (byte === openBrace || byte === openBracket) {
        this.#depth++
        if (byte === openBracket && this.#depth === 2 && this.#key === 'results' && !this.#inResults) {
          this.#outline.push(Buffer.from(chunk.subarray(from, at + 1)))
          from = at + 1
          this.#inResults = true
        }
      } else if (byte === closeBrace || byte === closeBracket) {
        if (this.#inResults && this.#depth === 2) {
          this.#take(chunk.subarray(from, at), texts)
          from = at
          this.#inResults = false
        }
        if (--this.#depth === 0) this.#ended = true
      } else if (
        byte === comma &&
        this.#inResults &&
        this.#depth === 2 &&
        this.#size + at - from >= batchBytes
      ) {
        this.#take(chunk.subarray(from, at), texts)
        from = at + 1
      }
    }
    if (this.#inResults) {
      this.#parts.push(chunk.subarray(from))
      this.#size += chunk.length - from
    } else this.#outline.push(Buffer.from(chunk.subarray(from)))
    return texts
  }

  /** The document without its results. @throws BadPage */
  end(): Record<string, unknown> {
    if (!this.#ended) throw new BadPage('the answer ends early')
    let outline: unknown
    try {
      outline = JSON.parse(Buffer.concat(this.#outline).toString())
    } catch {
      throw new BadPage('the answer is not JSON')
    }
    if (typeof outline !== 'object' || outline === null || Array.isArray(outline))
      throw new BadPage('the answer is no object')
    return outline as Record<string, unknown>
  }

  #take(last: Buffer, texts: string[]): void {
    const bytes = this.#parts.length === 0 ? last : Buffer.concat([...this.#parts, last])
    this.#parts = []
    this.#size = 0
    const text = bytes.toString().trim()
    if (text !== '') texts.push(`[${text}]`)
  }
}

/** The results of a page. @throws BadPage, SyntaxError */
export async function* pageResults(chunks: AsyncIterable<Buffer>): AsyncGenerator<Record<string, unknown>[]> {
  const scanner = new ResultsScanner()
  for await (const chunk of chunks) {
    for (const text of scanner.write(chunk)) {
      yield parseJson(text) as Record<string, unknown>[]
      await turn()
    }
  }
}

/** How many results a page has, and what is around them. @throws BadPage */
export class PageSurvey {
  readonly #scanner = new ResultsScanner()
  rows = 0

  write(chunk: Buffer): void {
    for (const text of this.#scanner.write(chunk)) {
      const results: unknown = parsed(text)
      if (!Array.isArray(results)) throw new BadPage('the results are not JSON')
      this.rows += results.length
    }
  }

  end(): Record<string, unknown> {
    return this.#scanner.end()
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
