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
import { FileError, fileError } from './file-error.ts'
import { keyOf } from './listing.ts'

/** Small enough that a block of text is still in the processor's cache when it is parsed. */
const readBytes = 131_072

/** The text of an open file, as bytes of UTF-8, from any place on. */
export class FileBytes {
  readonly path: string
  readonly compression: Compression | undefined
  readonly #file: FileHandle
  readonly #utf16: 'utf-16le' | 'utf-16be' | undefined

  private constructor(path: string, file: FileHandle, head: Buffer) {
    this.path = path
    this.#file = file
    this.compression = compressionOf(path, head)
    this.#utf16 = this.compression ? undefined : utf16Of(head)
  }

  /**
   * @param key device and inode of the file that is meant: another may have its name by now
   * @throws FileError where it is not there, may not be read, or is no file
   */
  static async open(path: string, key?: string): Promise<FileBytes> {
    let file: FileHandle | undefined
    try {
      file = await open(path, 'r')
      if (key !== undefined && keyOf(await file.stat({ bigint: true })) !== key)
        throw new FileError(path, 'is another file by now', undefined, 'missing')
      const head = await readAt(file, 0, headBytes)
      return new FileBytes(path, file, head)
    } catch (error) {
      await file?.close()
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

  async close(): Promise<void> {
    await this.#file.close()
  }

  /**
   * Its text between two bytes, decompressed, without the byte order mark's effect on places: a mark of UTF-8 counts as
   * three bytes and is given out.
   *
   * @param size bytes of the file that count, packed: what is written behind them is not looked at
   * @throws FileError where it is cut off, damaged or no text; AbortError
   */
  async *text(start: number, end: number, size: number, signal: AbortSignal): AsyncGenerator<Buffer, void> {
    if (!this.isTransformed) {
      if (start > 0) requireText(this.path, await readAt(this.#file, 0, Math.min(headBytes, size)))
      let isFirst = start === 0
      for await (const chunk of this.#raw(start, Math.min(end, size), signal)) {
        if (isFirst) requireText(this.path, chunk)
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

  /** The whole text, where it is not the file's own bytes. */
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
    if (decoder) {
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
      // The file may be closed only when nobody reads it any more.
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
