import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import {
  type Compression,
  compressionOf,
  decompressor,
  headBytes,
  requireText,
  unpackingError,
  utf16Of,
} from './encoding.ts'
import { FileError, fileError, notAFile } from './file-error.ts'
import { isSameFile, keyOf } from './listing.ts'

/** Small enough that a block of text is still in the processor's cache when it is parsed. */
const readBytes = 131_072

/**
 * Opens a regular file. A pipe that took its place does not hold the process up.
 *
 * @param key device, inode and birth of the file that is meant: another may have its name by now
 * @throws FileError if it is not there, is another one, may not be read, or is no file
 */
export async function openFile(path: string, key?: string): Promise<FileHandle> {
  let file: FileHandle | undefined
  try {
    file = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0))
    const stats = await file.stat({ bigint: true })
    if (!stats.isFile()) throw notAFile(path)
    if (key !== undefined && !isSameFile(keyOf(stats), key))
      throw new FileError(path, 'is another file by now', undefined, 'missing')
    return file
  } catch (error) {
    await file?.close()
    throw fileError(path, error)
  }
}

/** The text of an open file, as bytes of UTF-8, from any place on. */
export class FileBytes {
  readonly path: string
  readonly compression: Compression | undefined
  /** The place behind the bytes of the file, packed, that were read furthest into it. */
  reached = 0
  readonly #file: FileHandle
  readonly #utf16: 'utf-16le' | 'utf-16be' | undefined
  /** A file that is followed may end within a character: the rest of it is still to come. */
  readonly #isGrowing: boolean

  private constructor(path: string, file: FileHandle, head: Buffer, isGrowing: boolean) {
    this.path = path
    this.#file = file
    this.#isGrowing = isGrowing
    this.compression = compressionOf(path, head)
    this.#utf16 = this.compression ? undefined : utf16Of(head)
  }

  /** As {@link openFile}. */
  static async open(path: string, key?: string, isGrowing = false): Promise<FileBytes> {
    const file = await openFile(path, key)
    try {
      return await FileBytes.of(path, file, isGrowing)
    } catch (error) {
      await file.close()
      throw error
    }
  }

  /** The text of a file that is open. @throws FileError */
  static async of(path: string, file: FileHandle, isGrowing = true): Promise<FileBytes> {
    try {
      return new FileBytes(path, file, await readAt(file, 0, headBytes), isGrowing)
    } catch (error) {
      throw fileError(path, error)
    }
  }

  /**
   * Whether places in its text are others than in the file: it is packed, or not UTF-8. Then it can only be read from
   * its begin.
   */
  get isTransformed(): boolean {
    return this.compression !== undefined || this.#utf16 !== undefined
  }

  /** Bytes of the file now, packed. */
  async size(): Promise<number> {
    return (await this.#file.stat()).size
  }

  /** The file's own bytes, packed or encoded as they are. @throws FileError */
  async bytes(start: number, end: number): Promise<Buffer> {
    try {
      return await readAt(this.#file, start, end - start)
    } catch (error) {
      throw fileError(this.path, error)
    }
  }

  /**
   * Bytes of the run of NULs at the start of a plain file: a hole that a writer leaves which keeps its position when its
   * file is cut. Read in pieces, however long it is.
   */
  async nulRun(size: number): Promise<number> {
    for (let at = 0; at < size; ) {
      const chunk = await this.bytes(at, Math.min(size, at + 4 * readBytes))
      const first = chunk.findIndex((byte) => byte !== 0)
      if (first >= 0 || chunk.length === 0) return at + Math.max(0, first)
      at += chunk.length
    }
    return size
  }

  async close(): Promise<void> {
    await this.#file.close()
  }

  /**
   * Its text between two bytes, decompressed, without the byte order mark's effect on places: a mark of UTF-8 counts as
   * three bytes and is emitted.
   *
   * @param size bytes of the file that count, packed: what is written behind them is not looked at
   * @throws FileError if it is cut off, damaged or no text; AbortError. Whether a plain file that is followed is text is
   *   left to the caller, since it may start with NUL bytes ({@link nulRun})
   */
  async *text(start: number, end: number, size: number, signal: AbortSignal): AsyncGenerator<Buffer, void> {
    if (!this.isTransformed) {
      let isFirst = true
      for await (const chunk of this.#raw(start, Math.min(end, size), signal)) {
        if (isFirst && start === 0 && !this.#isGrowing) requireText(this.path, chunk)
        isFirst = false
        yield chunk
      }
      return
    }
    let at = 0
    for await (const chunk of this.#decoded(size, signal)) {
      const from = Math.max(0, start - at)
      const to = Math.min(chunk.length, end - at)
      if (from < to) yield chunk.subarray(from, to)
      at += chunk.length
      if (at >= end) return
    }
  }

  /** The whole text, if it is not the file's own bytes. */
  async *#decoded(size: number, signal: AbortSignal): AsyncGenerator<Buffer, void> {
    let chunks: AsyncIterable<Buffer> = this.#raw(0, size, signal)
    if (this.compression) chunks = this.#unpacked(this.compression, chunks, signal)
    let decoder = this.#utf16 && new TextDecoder(this.#utf16, { fatal: true })
    let isFirst = true
    for await (const chunk of chunks) {
      if (isFirst) {
        const packed = utf16Of(chunk)
        if (packed) decoder = new TextDecoder(packed, { fatal: true })
        if (!decoder) requireText(this.path, chunk)
      }
      isFirst = false
      if (!decoder) yield chunk
      else yield Buffer.from(this.#decode(() => decoder!.decode(chunk, { stream: true })))
    }
    if (decoder && !this.#isGrowing) {
      const rest = this.#decode(() => decoder!.decode())
      if (rest !== '') yield Buffer.from(rest)
    }
  }

  #decode(decode: () => string): string {
    try {
      return decode()
    } catch (error) {
      throw new FileError(this.path, 'is not UTF-16, as its byte order mark says', error)
    }
  }

  async *#unpacked(
    compression: Compression,
    chunks: AsyncIterable<Buffer>,
    signal: AbortSignal,
  ): AsyncGenerator<Buffer, void> {
    const unpack = decompressor(this.path, compression)
    const fed = pipeline(Readable.from(chunks, { objectMode: false, highWaterMark: 2 * readBytes }), unpack, {
      signal,
    })
    fed.catch(() => {})
    try {
      yield* unpack as unknown as AsyncIterable<Buffer>
      await fed
    } catch (error) {
      signal.throwIfAborted()
      if ((error as Error).name === 'AbortError') throw error
      const isOfData = /^(?:Z_|ERR_|ZSTD)/.test((error as NodeJS.ErrnoException).code ?? '')
      throw isOfData && !(error instanceof FileError)
        ? unpackingError(this.path, compression, error)
        : fileError(this.path, error)
    } finally {
      unpack.destroy()
      // The file may be closed only after the last read.
      await fed.catch(() => {})
    }
  }

  /** The file's own bytes; the next ones are on their way while these are worked on. */
  async *#raw(start: number, end: number, signal: AbortSignal): AsyncGenerator<Buffer, void> {
    const read = (at: number) => {
      const reading = readAt(this.#file, at, Math.min(readBytes, end - at))
      reading.catch(() => {})
      return reading
    }
    let at = start
    let ahead = at < end ? read(at) : undefined
    try {
      while (ahead) {
        const chunk = await ahead
        signal.throwIfAborted()
        if (chunk.length === 0)
          throw new FileError(
            this.path,
            `was made shorter while it was read: it ends at byte ${at}`,
            undefined,
            'shortened',
          )
        at += chunk.length
        this.reached = Math.max(this.reached, at)
        ahead = at < end ? read(at) : undefined
        yield chunk
      }
    } catch (error) {
      signal.throwIfAborted()
      throw fileError(this.path, error)
    } finally {
      await ahead?.catch(() => {})
    }
  }
}

/** Up to `length` bytes from a place in a file. */
export async function readAt(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafeSlow(Math.max(0, length))
  let filled = 0
  while (filled < length) {
    const { bytesRead } = await file.read(bytes, filled, length - filled, position + filled)
    if (bytesRead === 0) break
    filled += bytesRead
  }
  return bytes.subarray(0, filled)
}
