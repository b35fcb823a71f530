import { Readable } from 'node:stream'

/**
 * A Readable in object mode whose rows come in batches from an async generator. It asks for the next batch when the
 * stream has room again, and not before.
 */
export abstract class BatchReadable extends Readable {
  readonly #stop = new AbortController()
  #batches: AsyncGenerator<readonly unknown[], void> | undefined
  #batch: readonly unknown[] = []
  #at = 0
  #pumping = false
  /** `_read` was called while rows were being pushed. */
  #wanted = false

  constructor(options: Record<string, unknown>) {
    super({ highWaterMark: 128, ...options, objectMode: true })
  }

  /** The rows. The signal fires when the stream is destroyed; the generator must end then. */
  protected abstract batches(signal: AbortSignal): AsyncGenerator<readonly unknown[], void>

  /** Lets go of what the stream holds, when it is closed for whatever reason. It must not fail. */
  protected async closing(): Promise<void> {}

  override _read(): void {
    this.#wanted = true
    if (this.#pumping) return
    this.#pumping = true
    this.#pump().catch((error: Error) => this.destroy(error))
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#stop.abort()
    this.#batch = []
    // Runs the generator's `finally` where it stands at a yield.
    this.#batches?.return().catch(() => {})
    this.closing().then(
      () => callback(error),
      (failure: Error) => callback(error ?? failure),
    )
  }

  /** Pushes rows until the stream has enough for now. */
  async #pump(): Promise<void> {
    this.#batches ??= this.batches(this.#stop.signal)
    for (;;) {
      while (this.#at < this.#batch.length) {
        this.#wanted = false
        if (!this.push(this.#batch[this.#at++]) && !this.#wanted) {
          this.#pumping = false
          return
        }
      }
      const next = await this.#batches.next()
      if (this.destroyed) return
      if (next.done) {
        this.push(null)
        return
      }
      this.#batch = next.value
      this.#at = 0
    }
  }
}
