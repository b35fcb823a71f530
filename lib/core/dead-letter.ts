import { type FileHandle, open } from 'node:fs/promises'
import { Writable } from 'node:stream'
import { serialize } from './json.ts'
import type { Reason } from './sink-protocol.ts'

/** What a dead letter is given for each row that was refused for good. */
export interface DeadLetter {
  readonly row: unknown
  /** Registered name of the sink that the row was meant for. */
  readonly connector: string
  readonly reason: Reason
  /** When it was refused, ISO 8601. */
  readonly at: string
}

/** Hands rows to a user's Writable one after the other, each only when the one before was taken. */
export class DeadLetterOffice {
  readonly #stream: Writable
  #last: Promise<void> = Promise.resolve()
  #failure: Error | undefined
  readonly #onError = (error: Error) => {
    this.#failure = error
  }

  constructor(stream: Writable) {
    this.#stream = stream
    // A stream that fails with nobody listening would end the process.
    stream.on('error', this.#onError)
  }

  /** Resolves when the stream has taken the letter. */
  take(letter: DeadLetter): Promise<void> {
    const turn = this.#last.then(() => this.#write(letter))
    this.#last = turn.catch(() => {})
    return turn
  }

  #write(letter: DeadLetter): Promise<void> {
    // The callback comes when the letter was taken, not when it was buffered: waiting for it is its backpressure.
    return new Promise((resolve, reject) => {
      if (this.#failure) reject(this.#failure)
      else this.#stream.write(letter, (error) => (error ? reject(error) : resolve()))
    })
  }

  close(): void {
    this.#stream.off('error', this.#onError)
  }
}

/**
 * A dead letter that appends to a file, a line of JSON each (NDJSON). A row counts as taken when its line is on the disk
 * (fsync), so that a crash does not lose what a sink reported as settled.
 *
 *     new SplunkWritable({ …, dead_letter: new DeadLetterFile('refused.ndjson') })
 */
export class DeadLetterFile extends Writable {
  readonly #path: string
  #file: FileHandle | undefined

  /** @param path the file; it is made, readable by its owner only, where there is none */
  constructor(path: string) {
    super({ objectMode: true })
    this.#path = path
  }

  override _construct(callback: (error?: Error | null) => void): void {
    open(this.#path, 'a', 0o600).then(
      (file) => {
        this.#file = file
        callback()
      },
      (error) => callback(error),
    )
  }

  override _write(
    letter: unknown,
    _encoding: BufferEncoding,
    callback: (error?: Error | null) => void,
  ): void {
    this.#append([letter]).then(() => callback(), callback)
  }

  override _writev(letters: { chunk: unknown }[], callback: (error?: Error | null) => void): void {
    this.#append(letters.map(({ chunk }) => chunk)).then(() => callback(), callback)
  }

  async #append(letters: readonly unknown[]): Promise<void> {
    await this.#file!.appendFile(letters.map((letter) => `${writable(letter)}\n`).join(''))
    await this.#file!.datasync()
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    const closed = this.#file ? this.#file.close() : Promise.resolve()
    closed.then(
      () => callback(error),
      (failure) => callback(error ?? failure),
    )
  }
}

/** A row may be here just because it has no form in JSON: then its text says what it is. */
function writable(letter: unknown): string {
  try {
    return serialize(letter)
  } catch {
    const { row, ...rest } = letter as DeadLetter
    return serialize({ ...rest, row: Array.isArray(row) ? row.map(String) : legible(row) })
  }
}

function legible(row: unknown): unknown {
  if (typeof row !== 'object' || row === null) return String(row)
  return Object.fromEntries(
    Object.entries(row).map(([column, value]) => {
      try {
        serialize(value ?? null)
        return [column, value]
      } catch {
        return [column, Object.prototype.toString.call(value)]
      }
    }),
  )
}
