import { open } from 'node:fs/promises'
import { Writable } from 'node:stream'
import { finished } from 'node:stream/promises'
import { ConnectorError } from '../core/errors.ts'
import { serialize } from '../core/json.ts'

type Done = (error?: Error | null) => void

/** A sink that says which of its rows are not settled. One of the user's may not. */
type Sink = Writable & { readonly unsettled?: readonly unknown[] }

/**
 * Stands before a sink. Once that has failed, its unsettled rows go to a file and all that still comes after them, in
 * order, as NDJSON: so that no row which was read is lost, and the file can be sent again.
 */
export class UndeliveredGuard extends Writable {
  /** Why the sink failed. */
  failure: Error | undefined
  /** Rows in the file. */
  rows = 0
  readonly path: string
  readonly #sink: Sink
  readonly #onFailure: () => void
  /** Resolves once the sink's own rows are in the file. */
  #saved: Promise<void> | undefined

  /** @param onFailure told when the sink has failed: no more is to be read */
  constructor(sink: Sink, path: string, onFailure: () => void) {
    super({ objectMode: true, highWaterMark: 1 })
    this.path = path
    this.#sink = sink
    this.#onFailure = onFailure
    sink.on('error', (error) => this.#fail(error))
  }

  override _write(row: unknown, _encoding: BufferEncoding, callback: Done): void {
    if (this.#saved) {
      this.#saved.then(() => this.#save([row])).then(() => callback(), callback)
      return
    }
    if (this.#sink.write(row)) {
      callback()
      return
    }
    const go = () => {
      this.#sink.off('drain', go).off('close', go)
      callback()
    }
    this.#sink.on('drain', go).on('close', go)
  }

  override _final(callback: Done): void {
    if (this.#saved) {
      this.#saved.then(() => callback(), callback)
      return
    }
    this.#sink.end()
    finished(this.#sink)
      .catch((error: Error) => this.#fail(error))
      .then(() => callback(), callback)
  }

  override _destroy(error: Error | null, callback: Done): void {
    const sink = this.#sink
    sink.destroy()
    const closed = sink.closed ? Promise.resolve() : finished(sink, { cleanup: true }).catch(() => {})
    closed
      .then(() => (this.#saved ??= this.#save(sink.unsettled ?? [])))
      .then(() => callback(error), callback)
  }

  #fail(error: Error): Promise<void> {
    this.failure ??= error
    if (!this.#saved) {
      const rows = error instanceof ConnectorError ? (error.rows ?? []) : (this.#sink.unsettled ?? [])
      this.#saved = this.#save(rows)
      // It is awaited by whatever comes next; until then it is nobody's.
      this.#saved.catch(() => {})
      this.#onFailure()
    }
    return this.#saved
  }

  async #save(rows: readonly unknown[]): Promise<void> {
    if (rows.length === 0) return
    const file = await open(this.path, this.rows === 0 ? 'w' : 'a', 0o600)
    try {
      await file.appendFile(rows.map((row) => `${serialize(row)}\n`).join(''))
      await file.datasync()
    } finally {
      await file.close()
    }
    this.rows += rows.length
  }
}
