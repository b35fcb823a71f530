import { Readable } from 'node:stream'
import { onAbort } from '../core/on-abort.ts'
import { longestTimer } from '../core/retry.ts'
import { TimeoutError } from './deadline.ts'

/** How the bytes of a body come in, and how the exchange ends. */
export interface BodySource {
  /** The body's bytes. */
  readonly bytes: Readable
  /** The request that they answer: it tells faults, and ends with the body. */
  readonly wire: Readable
  /** Milliseconds without a byte, while bytes are asked for, after which the body is given up. */
  readonly stallTimeout: number
  readonly signal: AbortSignal
  /** Takes secrets out of an error. */
  clean(error: unknown): Error
}

/**
 * The body of a response, read as it is asked for. It fails with a TimeoutError where the server goes silent, with the
 * fault of the connection where that is cut, and with the reason of the signal; destroying it ends the exchange.
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

/** The error of a connection that was closed without one. */
export function cutOff(): Error {
  return Object.assign(new Error('the connection was closed before the answer was whole'), {
    code: 'ECONNRESET',
  })
}
