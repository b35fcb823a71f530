import { open } from 'node:fs/promises'
import { dirname, resolve as resolvePath } from 'node:path'
import { Writable } from 'node:stream'
import { inspect } from 'node:util'
import { syncDirectory } from '../core/durable-file.ts'
import { serialize } from '../core/json.ts'
import type { Reason } from '../core/verdict.ts'

/** The object that a dead letter receives for each refused row. */
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
  #giveUp: ((error: Error) => void) | undefined
  readonly #onError = (error: Error) => {
    this.#failure = error
    this.#giveUp?.(error)
  }
  readonly #onClose = () => {
    this.#giveUp?.(this.#failure ?? new Error('the stream was closed'))
  }

  constructor(stream: Writable) {
    this.#stream = stream
    // A stream that fails without a listener would end the process.
    stream.on('error', this.#onError)
    // One that is destroyed in the middle of a write may never call back.
    stream.on('close', this.#onClose)
  }

  /** Resolves when the stream has taken the letter. */
  take(letter: DeadLetter): Promise<void> {
    const turn = this.#last.then(() => this.#write(letter))
    this.#last = turn.catch(() => {})
    return turn
  }

  #write(letter: DeadLetter): Promise<void> {
    // The callback comes when the letter was taken, not when it was buffered: waiting for it is its backpressure.
    return new Promise<void>((resolve, reject) => {
      this.#giveUp = reject
      if (this.#failure) reject(this.#failure)
      else this.#stream.write(letter, (error) => (error ? reject(error) : resolve()))
    }).finally(() => {
      this.#giveUp = undefined
    })
  }

  /** Lets go of the stream, which belongs to the user, once it has answered. */
  close(): void {
    this.#last.then(() => {
      this.#stream.off('close', this.#onClose)
      // The 'error' of a stream that has failed is still to come: it was dealt with.
      if (!this.#stream.errored) this.#stream.off('error', this.#onError)
    })
  }
}

/**
 * A dead letter that appends to a file, a line of JSON each (NDJSON). A row counts as taken when its line is on the disk
 * (fsync), so that a crash does not lose what a sink reported as settled. The file is open only while it is written to:
 * nothing must be closed, and it may be moved away at any time.
 *
 *     new SplunkWritable({ …, dead_letter: new DeadLetterFile('refused.ndjson') })
 */
export class DeadLetterFile extends Writable {
  readonly #path: string

  /** @param path the file; a new one is readable by its owner only */
  constructor(path: string) {
    super({ objectMode: true })
    this.#path = resolvePath(path)
    // Each of the sinks that share it listens.
    this.setMaxListeners(0)
  }

  override _construct(callback: (error?: Error | null) => void): void {
    this.#begin().then(() => callback(), this.#failed(callback))
  }

  override _write(
    letter: unknown,
    _encoding: BufferEncoding,
    callback: (error?: Error | null) => void,
  ): void {
    this.#append([letter]).then(() => callback(), this.#failed(callback))
  }

  override _writev(letters: { chunk: unknown }[], callback: (error?: Error | null) => void): void {
    const rows = letters.map(({ chunk }) => chunk)
    this.#append(rows).then(() => callback(), this.#failed(callback))
  }

  /** Errors of writes and syncs name no file: this adds it. */
  #failed(callback: (error: Error) => void): (cause: NodeJS.ErrnoException) => void {
    return (cause) => {
      const message = cause.path === undefined ? `${cause.message} '${this.#path}'` : cause.message
      callback(Object.assign(new Error(message, { cause }), { code: cause.code, path: this.#path }))
    }
  }

  /** Ends a line that a crash or a full disk has cut, so that the next one does not become part of it. */
  async #begin(): Promise<void> {
    const file = await open(this.#path, 'a+', 0o600)
    try {
      const { size } = await file.stat()
      const last = Buffer.from('\n')
      if (size > 0) await file.read(last, 0, 1, size - 1)
      if (last.toString() !== '\n') await file.appendFile('\n')
      await file.sync()
    } finally {
      await file.close()
    }
    await syncDirectory(dirname(this.#path))
  }

  async #append(letters: readonly unknown[]): Promise<void> {
    const file = await open(this.#path, 'a', 0o600)
    try {
      await file.appendFile(letters.map((letter) => `${writable(letter)}\n`).join(''))
      await file.datasync()
    } finally {
      await file.close()
    }
  }
}

/** A row may be here just because it has no form in JSON: then what can't be written is shown as Node shows it. */
function writable(letter: unknown): string {
  try {
    return serialize(letter)
  } catch {
    const { row, ...rest } = letter as DeadLetter
    return serialize({ ...rest, row: legible(row) })
  }
}

function legible(row: unknown): unknown {
  if (typeof row !== 'object' || row === null || Array.isArray(row)) return shown(row)
  const columns = Object.keys(row)
  if (columns.length === 0) return shown(row)
  return Object.fromEntries(columns.map((column) => [column, legibleColumn(row, column)]))
}

function legibleColumn(row: object, column: string): unknown {
  try {
    const value = (row as Record<string, unknown>)[column]
    if (value !== undefined) serialize(value)
    return value
  } catch (problem) {
    const value = Object.getOwnPropertyDescriptor(row, column)?.value
    return value === undefined ? `unreadable: ${shown(problem)}` : shown(value)
  }
}

function shown(value: unknown): string {
  try {
    return inspect(value, { depth: 4, breakLength: Infinity })
  } catch {
    return Object.prototype.toString.call(value)
  }
}
