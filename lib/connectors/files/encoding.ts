import * as zlib from 'node:zlib'
import { FileError } from './file-error.ts'

export type Compression = 'gzip' | 'brotli' | 'zstd'

/** Bytes at the start of a file that decide its encoding. */
export const headBytes = 4

/** How a file is packed: by its first bytes, or by its name where the format has no mark (brotli). */
export function compressionOf(path: string, head: Uint8Array): Compression | undefined {
  if (head[0] === 0x1f && head[1] === 0x8b) return 'gzip'
  if (head[0] === 0x28 && head[1] === 0xb5 && head[2] === 0x2f && head[3] === 0xfd) return 'zstd'
  // The first write of a packer may be that small.
  if (head.length > 0 && head.length < headBytes && /\.(?:gz|zst)$/i.test(path)) return 'gzip'
  return /\.br$/i.test(path) && head.length > 0 ? 'brotli' : undefined
}

/** With smaller pieces more time goes into handing over than into unpacking. */
const chunkSize = 131_072

/** Makes the stream that unpacks a file. @throws FileError where this Node has none */
export function decompressor(
  path: string,
  compression: Compression,
): NodeJS.ReadWriteStream & { destroy(): unknown } {
  if (compression === 'gzip') return zlib.createGunzip({ chunkSize })
  if (compression === 'brotli') return zlib.createBrotliDecompress({ chunkSize })
  const { createZstdDecompress } = zlib as unknown as {
    createZstdDecompress?: (options: { chunkSize: number }) => ReturnType<typeof zlib.createGunzip>
  }
  if (createZstdDecompress) return createZstdDecompress({ chunkSize })
  throw new FileError(
    path,
    `is packed with zstd, which Node ${process.version} does not have: it takes 22.15 or later`,
  )
}

/** What is wrong with packed bytes. */
export function unpackingError(path: string, compression: Compression, error: unknown): FileError {
  const { code = '', message } = error as NodeJS.ErrnoException
  if (code === 'Z_BUF_ERROR' || /unexpected end/i.test(message)) {
    return new FileError(path, `is cut off: its ${compression} data ends early`, error, 'cut')
  }
  return new FileError(path, `can not be unpacked: its ${compression} data is damaged (${message})`, error)
}

/** UTF-16 by its byte order mark. */
export function utf16Of(head: Uint8Array): 'utf-16le' | 'utf-16be' | undefined {
  if (head[0] === 0xff && head[1] === 0xfe) return 'utf-16le'
  return head[0] === 0xfe && head[1] === 0xff ? 'utf-16be' : undefined
}

/** Bytes of the byte order mark of UTF-8 that the text of a file begins with. */
export function utf8MarkOf(head: Uint8Array): number {
  return head[0] === 0xef && head[1] === 0xbb && head[2] === 0xbf ? 3 : 0
}

/** Bytes at the start of a file that decide whether it is text. */
const inspectedBytes = 8192

/** @throws FileError if a file's first bytes are not text */
export function requireText(path: string, bytes: Buffer): void {
  if (bytes.subarray(0, inspectedBytes).includes(0)) {
    throw new FileError(path, 'is no text: it looks like a binary file (there is a NUL byte near its begin)')
  }
}
