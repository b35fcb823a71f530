import { pipeline, Readable, type Transform } from 'node:stream'
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib'
import { onAbort } from '../core/on-abort.ts'
import { holdsAll, longestTimer, retryAfter } from '../core/retry.ts'
import { TimeoutError } from './deadline.ts'

export interface HttpResponse {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  /** The body. It may quote secrets: redact it by `HttpClient.redact` before a message shows it. */
  readonly text: string
}

/** A header of an answer, the first of several. `name` in lower case. */
export function headerOf({ headers }: Pick<HttpResponse, 'headers'>, name: string): string | undefined {
  const value = headers[name]
  return Array.isArray(value) ? value[0] : value
}

/** Retry delay in milliseconds, and whether it holds all requests: those to a throttled or overloaded server wait too. */
export function waitOf(response: Pick<HttpResponse, 'status' | 'headers'>): {
  after: number | undefined
  holdAll: boolean
} {
  // A date in Retry-After is by the server's clock.
  const date = Date.parse(headerOf(response, 'date') ?? '')
  const now = Number.isNaN(date) ? Date.now() : date
  return { after: retryAfter(headerOf(response, 'retry-after'), now), holdAll: holdsAll(response.status) }
}

/** Only this many characters are cleaned: stripping tags is quadratic. */
const longestLook = 10_000

/** A body for an error message: without HTML tags and line breaks, at most 200 characters. */
export function plainText(body: string): string {
  if (body.length <= 200 && !/[<\s]/.test(body)) return body
  const text = body
    .slice(0, longestLook)
    .replace(/<(style|title)[^<>]*>.*?<\/\1>|<[^<>]*>/gs, ' ')
    .replace(/\s+/g, ' ')
    .trim()
  return text.slice(0, 200)
}

/** The answer exceeds the limit of the request. */
export class AnswerTooLong extends Error {
  override name = 'AnswerTooLong'
  readonly code = 'ERR_ANSWER_TOO_LONG'
  constructor(limit: number) {
    super(`the answer has more than ${limit} characters`)
  }
}

/** The error of a connection that was closed without one. */
export function cutOff(): Error {
  return Object.assign(new Error('the connection was closed before the answer was complete'), {
    code: 'ECONNRESET',
  })
}

const unpackers = new Map<string, () => Transform>([
  ['gzip', createGunzip],
  ['x-gzip', createGunzip],
  ['deflate', createInflate],
  ['br', createBrotliDecompress],
])

/** A body, decompressed according to its headers. */
export function unpacked(body: Readable, headers: HttpResponse['headers']): Readable {
  const unpack = unpackers.get(headerOf({ headers }, 'content-encoding')?.trim().toLowerCase() ?? '')
  // The returned stream reports the error.
  return unpack ? pipeline(body, unpack(), () => {}) : body
}

/** The bytes of a body and the exchange that they belong to. */
export interface BodySource {
  /** The body's bytes. */
  readonly bytes: Readable
  /** Their request, which reports faults and ends with the body. */
  readonly wire: Readable
  /** Maximum pause while bytes are wanted, in milliseconds. */
  readonly stallTimeout: number
  readonly signal: AbortSignal
  /** Removes secrets from an error. */
  clean(error: unknown): Error
}

/**
 * The body of a response, read on demand. It fails with a TimeoutError if the server goes silent, with the fault of the
 * connection if that breaks, and with the reason of the signal. Destroying it ends the exchange.
 */
export class ResponseBody extends Readable {
  readonly #bytes: Readable
  readonly #wire: Readable
  readonly #forget: () => void
  readonly #timer: NodeJS.Timeout
  #waiting = true

  constructor({ bytes, wire, stallTimeout, signal, clean }: BodySource) {
    super()
    this.#bytes = bytes
    this.#wire = wire
    this.#timer = setTimeout(
      () => {
        if (this.#waiting) this.destroy(new TimeoutError(stallTimeout, 'no byte of the answer came'))
      },
      Math.min(stallTimeout, longestTimer),
    )
    this.#forget = onAbort(signal, (reason) => this.destroy(reason as Error))
    bytes.on('data', (chunk: Buffer) => {
      this.#timer.refresh()
      if (this.push(chunk)) return
      this.#waiting = false
      bytes.pause()
    })
    bytes.on('end', () => this.push(null))
    wire.on('error', (error) => this.destroy(clean(error)))
    wire.on('close', () => {
      if (!bytes.readableEnded) this.destroy(cutOff())
    })
  }

  override _read(): void {
    this.#waiting = true
    this.#timer.refresh()
    this.#bytes.resume()
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    clearTimeout(this.#timer)
    this.#forget()
    this.#wire.destroy()
    callback(error)
  }
}
