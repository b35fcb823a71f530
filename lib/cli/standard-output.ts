import { Writable } from 'node:stream'
import { DeliveryError } from '../core/errors.ts'
import { serialize } from '../core/json.ts'
import { DeadLetterOffice } from '../sink/dead-letter.ts'
import { noStats, type SinkStats } from '../sink/observation.ts'

/** Whoever read standard output has closed it, as `head` does: the end, and no failure. */
export class ReaderGone extends Error {
  override name = 'ReaderGone'
}

/** Writes rows to standard output, NDJSON. A row counts as delivered when the operating system has taken it. */
export class StandardOutput extends Writable {
  readonly stats: SinkStats = noStats()
  readonly #deadLetter: DeadLetterOffice | undefined

  constructor({ dead_letter }: { dead_letter?: Writable | undefined } = {}) {
    super({ objectMode: true, highWaterMark: 500 })
    this.#deadLetter = dead_letter && new DeadLetterOffice(dead_letter)
  }

  override _write(row: unknown, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    this._writev([{ chunk: row }], callback)
  }

  override _writev(rows: { chunk: unknown }[], callback: (error?: Error | null) => void): void {
    this.#print(rows.map(({ chunk }) => chunk)).then(() => callback(), callback)
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#deadLetter?.close()
    callback(error)
  }

  async #print(rows: readonly unknown[]): Promise<void> {
    this.stats.written += rows.length
    let text = ''
    let count = 0
    for (const row of rows) {
      try {
        text += `${serialize(row)}\n`
        count++
      } catch (problem) {
        // The rows before it are out first, so that their order holds and none is lost with it.
        await this.#put(text, count)
        text = ''
        count = 0
        await this.#refuse(row, (problem as Error).message)
      }
    }
    await this.#put(text, count)
  }

  async #put(text: string, rows: number): Promise<void> {
    if (rows === 0) return
    await new Promise<void>((resolve, reject) => {
      process.stdout.write(text, (error) => (error ? reject(error) : resolve()))
    }).catch((error: NodeJS.ErrnoException) => {
      const gone = error.code === 'EPIPE' || error.code === 'ERR_STREAM_DESTROYED'
      throw gone ? new ReaderGone('standard output is closed') : error
    })
    this.stats.delivered += rows
    this.stats.bytes += Buffer.byteLength(text)
  }

  async #refuse(row: unknown, problem: string): Promise<void> {
    const reason = { code: 'ERR_ROW', text: problem }
    if (!this.#deadLetter) {
      throw new DeliveryError('ERR_ROW', `a row can't be written: ${problem}`, { rows: [row] })
    }
    await this.#deadLetter.take({ row, connector: '-', reason, at: new Date().toISOString() })
    this.stats.rejected++
  }
}
