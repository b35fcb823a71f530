import { Readable } from 'node:stream'

/** Where rows come from: any object-mode Readable, or standard input. */
export interface RowSource extends AsyncIterable<unknown> {
  destroy(): unknown
}

/**
 * The rows of a source, until it ends, fails or is told to stop: then what has come out of it so far is all, and is
 * delivered. Counts them. A Readable of its own and no generator, which could not be closed while it waits for a row that
 * does not come.
 */
export class RowFeed extends Readable {
  /** Why the source ended early. */
  failure: Error | undefined
  readonly #source: RowSource
  readonly #rows: AsyncIterator<unknown>
  readonly #count: () => void
  #stopped = false
  #busy = false

  constructor(source: RowSource, stop: AbortSignal, count: () => void) {
    super({ objectMode: true, highWaterMark: 64 })
    this.#source = source
    this.#rows = source[Symbol.asyncIterator]()
    this.#count = count
    const halt = () => this.#halt()
    if (stop.aborted) halt()
    else {
      stop.addEventListener('abort', halt, { once: true })
      this.once('close', () => stop.removeEventListener('abort', halt))
    }
  }

  override _read(): void {
    if (this.#busy) return
    this.#busy = true
    this.#pump().catch((error: Error) => {
      // A source that was told to stop may call that an error.
      if (this.#stopped || this.destroyed) return
      this.failure = error
      this.push(null)
    })
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#source.destroy()
    callback(error)
  }

  async #pump(): Promise<void> {
    for (;;) {
      const { done, value } = await this.#rows.next()
      if (this.#stopped || this.destroyed) return
      if (done) {
        this.push(null)
        return
      }
      this.#count()
      if (!this.push(value)) {
        this.#busy = false
        return
      }
    }
  }

  #halt(): void {
    if (this.#stopped || this.readableEnded || this.destroyed) return
    this.#stopped = true
    this.#source.destroy()
    this.push(null)
  }
}
