import { randomBytes } from 'node:crypto'
import { type FileHandle, open, readdir, unlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { unpacked } from './packed.ts'
import { readAhead } from './read-ahead.ts'

export interface HeldBodyOptions {
  /** Bytes held in memory; what comes after them goes to a temporary file. */
  readonly memory: number
  /** Directory of temporary files. Default: the system's. */
  readonly directory?: string | undefined
}

/** Bytes that are written to the file, and read from it, at a time. */
const pieceBytes = 262_144

/** Bytes of a piece in memory, about: many small buffers cost more than their bytes. */
const memoryPieceBytes = 131_072

/** Maximum bytes of a piece of text: parsing one takes about a millisecond. */
const textPieceBytes = 65_536

const namePrefix = 'cyber-connectors-held-'

/** The files of this package, with the id of the process that made them. */
const nameForm = /^cyber-connectors-held-(\d+)-[0-9a-f]{16}$/

/**
 * The bytes of an answer's body, held until its rows are asked for: so that no row is released from an answer that turns
 * out to be incomplete. It keeps the bytes as they came, compressed if they were.
 *
 * Up to a bound they are in memory. Beyond it they are in a temporary file that only its owner can read (mode 0600). The
 * file has no name once it is open, so that the system frees it also after a crash. On systems that can't do that,
 * `release()` removes the file, or the next start.
 *
 *     const held = new HeldBody({ memory: 16_000_000 })
 *     for await (const text of held.receive(response.body, { isPacked })) look(text)
 *     for await (const text of held.text()) parse(text)
 *     held.release()
 */
export class HeldBody {
  readonly #memory: number
  readonly #directory: string
  readonly #held: Buffer[] = []
  #heldBytes = 0
  #file: FileHandle | undefined
  /** Set where the file could not be unlinked while it is open. */
  #path: string | undefined
  #fileBytes = 0
  /** Bytes that are not in a piece yet. */
  #pending: Buffer[] = []
  #pendingBytes = 0
  /** The last piece that goes to the file: one is written while the next one comes. */
  #written: Promise<void> = Promise.resolve()
  #released = false
  #isPacked = false

  constructor({ memory, directory = tmpdir() }: HeldBodyOptions) {
    this.#memory = memory
    this.#directory = directory
  }

  /** Bytes taken in. */
  get bytes(): number {
    return this.#heldBytes + this.#fileBytes + this.#pendingBytes
  }

  /** Bytes that are in the file, and not in memory. */
  get fileBytes(): number {
    return this.#fileBytes
  }

  /**
   * Takes bytes in. The chunk must not be changed after.
   * @returns a promise where the file has to catch up: wait for it before the next chunk
   * @throws Error of the file system, also from `end()`
   */
  write(chunk: Uint8Array): Promise<void> | undefined {
    if (this.#released) throw new Error('the held body was released')
    if (chunk.length === 0) return undefined
    this.#pending.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length))
    this.#pendingBytes += chunk.length
    if (this.#heldBytes + this.#pendingBytes <= this.#memory && this.#fileBytes === 0) {
      if (this.#pendingBytes >= memoryPieceBytes) this.#keepPending()
      return undefined
    }
    return this.#pendingBytes >= pieceBytes ? this.#spill() : undefined
  }

  /** Call it after the last chunk. */
  async end(): Promise<void> {
    if (this.#pendingBytes > 0) {
      const fits = this.#fileBytes === 0 && this.#heldBytes + this.#pendingBytes <= this.#memory
      if (fits) this.#keepPending()
      else this.#spill()
    }
    await this.#written
  }

  /**
   * Holds a whole body, and gives its text as it comes. Read it to its end.
   * @param isPacked whether the body is compressed by gzip
   * @throws Error of the body, of zlib or of the file system
   */
  receive(
    body: AsyncIterable<Buffer>,
    { isPacked = false }: { isPacked?: boolean } = {},
  ): AsyncIterable<Buffer> {
    this.#isPacked = isPacked
    return unpacked(this.#keep(body), isPacked)
  }

  async *#keep(body: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void> {
    for await (const chunk of body) {
      const kept = this.write(chunk)
      if (kept) await kept
      yield chunk
    }
    await this.end()
  }

  /** The text of a body that was received, in pieces of at most 64 KiB, as often as it is called. */
  async *text(start = 0, end = Number.POSITIVE_INFINITY): AsyncGenerator<Buffer, void> {
    let offset = 0
    for await (const chunk of unpacked(this.chunks(), this.#isPacked)) {
      const last = Math.min(chunk.length, end - offset)
      for (let at = Math.max(0, start - offset); at < last; at += textPieceBytes) {
        yield chunk.subarray(at, Math.min(last, at + textPieceBytes))
      }
      offset += chunk.length
      if (offset >= end) return
    }
  }

  /** The bytes in their order, from the first one, as often as it is called. It ends early after `release()`. */
  async *chunks(): AsyncGenerator<Buffer, void> {
    for (const piece of this.#held) {
      if (this.#released) return
      yield piece
    }
    // A piece is on its way while the one before is worked on.
    const pieces = readAhead(
      this.#places(),
      1,
      (at) => this.#read(at),
      () => {},
    )
    for await (const piece of pieces) {
      if (this.#released) return
      yield piece
    }
  }

  /** Frees memory and file. */
  release(): void {
    if (this.#released) return
    this.#released = true
    this.#held.length = 0
    this.#pending = []
    this.#closeFile()
  }

  #closeFile(): void {
    const [file, path] = [this.#file, this.#path]
    this.#file = undefined
    file
      ?.close()
      .then(() => (path === undefined ? undefined : unlink(path)))
      .catch(() => {})
  }

  #keepPending(): void {
    this.#held.push(this.#takePending())
    this.#heldBytes += this.#held.at(-1)!.length
  }

  #takePending(): Buffer {
    const piece = this.#pending.length === 1 ? this.#pending[0]! : Buffer.concat(this.#pending)
    this.#pending = []
    this.#pendingBytes = 0
    return piece
  }

  /** Positions of the pieces in the file. */
  async *#places(): AsyncGenerator<number, void> {
    for (let at = 0; at < this.#fileBytes && !this.#released; at += pieceBytes) yield at
  }

  /** A piece of the file; undefined once it is released. */
  async #read(start: number): Promise<Buffer | undefined> {
    const file = this.#file
    if (!file) return undefined
    const piece = Buffer.allocUnsafeSlow(Math.min(pieceBytes, this.#fileBytes - start))
    for (let at = 0; at < piece.length; ) {
      const { bytesRead } = await file.read(piece, at, piece.length - at, start + at)
      if (bytesRead === 0)
        throw new Error('the temporary file of an answer is shorter than what was written to it')
      at += bytesRead
    }
    return piece
  }

  /** @returns the writing of the piece before */
  #spill(): Promise<void> {
    const before = this.#written
    const piece = this.#takePending()
    const position = this.#fileBytes
    this.#fileBytes += piece.length
    this.#written = before.then(() => this.#writePiece(piece, position))
    this.#written.catch(() => {})
    return before
  }

  async #writePiece(piece: Buffer, position: number): Promise<void> {
    if (this.#released) return
    this.#file ??= await this.#open()
    const file = this.#file
    if (this.#released) return this.#closeFile()
    for (let at = 0; at < piece.length; ) {
      const { bytesWritten } = await file.write(piece, at, piece.length - at, position + at)
      at += bytesWritten
    }
  }

  async #open(): Promise<FileHandle> {
    await sweepOnce(this.#directory)
    const path = join(this.#directory, `${namePrefix}${process.pid}-${randomBytes(8).toString('hex')}`)
    const file = await open(path, 'wx+', 0o600)
    await unlink(path).catch(() => {
      this.#path = path
    })
    return file
  }
}

const swept = new Map<string, Promise<void>>()

/** Removes what processes that are gone left behind: once in a process, before its first file. */
function sweepOnce(directory: string): Promise<void> {
  let sweep = swept.get(directory)
  if (!sweep) {
    sweep = removeOrphans(directory)
    swept.set(directory, sweep)
  }
  return sweep
}

/** Removes the temporary files of processes that no longer run. Never fails: it is only tidying. */
async function removeOrphans(directory: string): Promise<void> {
  const names = await readdir(directory).catch(() => [])
  for (const name of names) {
    const owner = nameForm.exec(name)?.[1]
    if (owner !== undefined && !isRunning(Number(owner))) await unlink(join(directory, name)).catch(() => {})
  }
}

function isRunning(pid: number): boolean {
  // A file with our own id is of an earlier process that had it: ours come after the sweep.
  if (pid === process.pid) return false
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
