import { Readable } from 'node:stream'
import type { SourceStats } from './events.ts'
import type { Row as SourceRow } from './protocol.ts'
import type { OpenSlice } from './requester.ts'

type Listener = Parameters<Readable['on']>[1]

/**
 * A Readable in object mode whose rows come in batches from an async generator. It asks for the next batch when the
 * stream's buffer has space again, and not before. Rows and events are typed: `Events` names each event's arguments.
 */
export abstract class SourceReadable<
  Row = SourceRow,
  Events extends { [E in keyof Events]: unknown[] } = { data: [row: Row] },
> extends Readable {
  readonly #stop = new AbortController()
  #batches: AsyncGenerator<readonly unknown[], void> | undefined
  #batch: readonly unknown[] = []
  #at = 0
  #pumping = false
  /** `_read` was called while rows were being pushed. */
  #wanted = false
  /** Rows pushed so far, the current batch included. */
  #rows = 0
  /** The consumer waits for a row: it is done with all that it took. */
  #idle = true
  readonly #marks: { readonly rows: number; readonly passed: () => void }[] = []

  constructor(options: Record<string, unknown>) {
    super({ highWaterMark: 128, ...options, objectMode: true })
  }

  /** Fires when the stream is destroyed. */
  protected get stopSignal(): AbortSignal {
    return this.#stop.signal
  }

  /** The rows. The signal fires when the stream is destroyed; the generator must end then. */
  protected abstract batches(signal: AbortSignal): AsyncGenerator<readonly unknown[], void>

  /** Releases what the stream holds, when it is closed for whatever reason. It must not fail. */
  protected async closing(): Promise<void> {}

  /**
   * Calls back once the consumer is done with all rows of the batches so far: it has taken the last of them and asks for
   * more. A row that waits in the buffer, or is still being worked on, would be lost by a commit and a crash.
   */
  protected whenPassed(passed: () => void): void {
    const taken = this.readableLength === 0 && (this.readableFlowing || this.#idle)
    if (taken && this.#marks.length === 0) passed()
    else this.#marks.push({ rows: this.#rows, passed })
  }

  /**
   * The batches of a slice.
   * @param stats counts the rows of each batch
   * @param passed called with the number of the slice's rows, as by {@link whenPassed}
   */
  protected async *batchesOf(
    { batches }: OpenSlice,
    stats: SourceStats | undefined,
    passed?: (rows: number) => void,
  ): AsyncGenerator<readonly SourceRow[], void> {
    let rows = 0
    for await (const batch of batches()) {
      rows += batch.length
      if (stats) stats.rows += batch.length
      yield batch
    }
    if (passed) this.whenPassed(() => passed(rows))
  }

  /** Counts rows that are handed on as a batch. */
  protected countBatch(_rows: number): void {}

  /**
   * The rows in the batches that they come in, for a consumer that hands whole batches on. It takes the place of every other
   * way to read the stream. A batch is done with when the next one is asked for.
   */
  async *inBatches(): AsyncGenerator<readonly unknown[], void> {
    // Its error is thrown here.
    this.on('error', () => {})
    this.#pumping = true
    let isWhole = false
    this.#batches = this.batches(this.#stop.signal)
    try {
      for (;;) {
        this.#idle = true
        const next = await this.#batches.next()
        if (this.destroyed) throw this.errored ?? new Error('the source was destroyed while it was read')
        if (next.done) break
        this.#idle = false
        this.#rows += next.value.length
        this.countBatch(next.value.length)
        yield next.value
      }
      isWhole = true
      this.push(null)
      this.resume()
    } catch (error) {
      this.destroy(error as Error)
      throw error
    } finally {
      if (!isWhole) this.destroy()
    }
  }

  override on<E extends keyof Events>(event: E, listener: (...args: Events[E]) => void): this
  override on(event: string | symbol, listener: Listener): this
  override on(event: string | symbol, listener: Listener): this {
    return super.on(event, listener)
  }

  override toArray(options?: { signal?: AbortSignal }): Promise<Row[]> {
    return super.toArray(options)
  }

  override read(size?: number): Row | null {
    // Node itself reads 0 to have the buffer filled.
    if (size === 0) return super.read(0)
    while (this.#marks.length > 0 && this.#rowsTaken() >= this.#marks[0]!.rows) this.#marks.shift()!.passed()
    // Set before: this may run the generator.
    this.#idle = this.readableLength === 0
    const row = super.read(size)
    this.#idle = row === null
    return row
  }

  /**
   * Fast path: yields buffered rows at once, and falls back to Node's iterator, which takes three turns of the microtask
   * queue for each row, when none is buffered.
   */
  override [Symbol.asyncIterator](): NodeJS.AsyncIterator<Row> {
    const slow = super[Symbol.asyncIterator]()
    // Until it has begun it would not destroy the stream at a `break`.
    let waiting = 0
    let begun = false
    const iterator: NodeJS.AsyncIterator<Row> = {
      next: () => {
        const row = begun && waiting === 0 && !this.destroyed ? this.read() : null
        if (row !== null) return Promise.resolve({ done: false, value: row })
        begun = true
        waiting++
        return slow.next().finally(() => waiting--)
      },
      return: (value) => slow.return!(value),
      throw: (error) => slow.throw!(error),
      [Symbol.asyncIterator]: () => iterator,
    }
    return iterator
  }

  /** Destroys the stream. Node would throw the error of one that failed again, which its reader has had. */
  override async [Symbol.asyncDispose](): Promise<void> {
    this.destroy()
    if (!this.closed) await new Promise<void>((resolve) => this.once('close', resolve))
  }

  override _read(): void {
    this.#wanted = true
    if (this.#pumping) return
    this.#pumping = true
    this.#pump().catch((error: Error) => this.destroy(error))
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#stop.abort()
    this.#batch = []
    // Runs the generator's `finally` while it is paused at a yield.
    this.#batches?.return().catch(() => {})
    this.closing().then(
      () => callback(error),
      (failure: Error) => callback(error ?? failure),
    )
  }

  #rowsTaken(): number {
    return this.#rows - (this.#batch.length - this.#at) - this.readableLength
  }

  /** Pushes rows until the stream has enough for now. */
  async #pump(): Promise<void> {
    this.#batches ??= this.batches(this.#stop.signal)
    for (;;) {
      while (this.#at < this.#batch.length) {
        this.#wanted = false
        this.#idle = false
        if (!this.push(this.#batch[this.#at++]) && !this.#wanted) {
          this.#pumping = false
          return
        }
      }
      const next = await this.#batches.next()
      if (this.destroyed) return
      if (next.done) {
        // Node ends a stream with its last row, which the consumer may still be working on.
        if (this.#marks.length > 0) await new Promise<void>((resolve) => this.whenPassed(resolve))
        this.push(null)
        return
      }
      this.#batch = next.value
      this.#rows += this.#batch.length
      this.#at = 0
    }
  }
}
