import { crc32 } from 'node:zlib'
import type { FileBytes } from './file-bytes.ts'
import { FileError } from './file-error.ts'

/** Bytes, by their number and their CRC-32. */
export type Fingerprint = readonly [length: number, crc: number]

export function fingerprintOf(bytes: Buffer): Fingerprint {
  return [bytes.length, crc32(bytes)]
}

export function isSame(a: Fingerprint, b: Fingerprint): boolean {
  return a[0] === b[0] && a[1] === b[1]
}

export function crcOf(chunks: readonly Buffer[]): number {
  return chunks.reduce((crc, chunk) => crc32(chunk, crc), 0)
}

/** The last bytes of chunks, at most `length`. */
export function lastBytes(chunks: readonly Buffer[], length: number): Buffer {
  const parts: Buffer[] = []
  let wanted = length
  for (let index = chunks.length - 1; index >= 0 && wanted > 0; index--) {
    const chunk = chunks[index]!
    parts.unshift(chunk.subarray(Math.max(0, chunk.length - wanted)))
    wanted -= chunk.length
  }
  return Buffer.concat(parts)
}

/** A part of a file's text. @throws FileError, AbortError */
export async function readText(
  file: FileBytes,
  start: number,
  end: number,
  size: number,
  signal: AbortSignal,
): Promise<Buffer[]> {
  const chunks: Buffer[] = []
  if (start >= end) return chunks
  for await (const chunk of file.text(start, end, size, signal)) chunks.push(chunk)
  return chunks
}

/** The start of a file's text, as far as it is there: packed data may end early. @throws FileError, AbortError */
export async function readStart(
  file: FileBytes,
  length: number,
  size: number,
  signal: AbortSignal,
): Promise<Buffer> {
  const chunks: Buffer[] = []
  try {
    if (length > 0) for await (const chunk of file.text(0, length, size, signal)) chunks.push(chunk)
  } catch (error) {
    if (!(error instanceof FileError && error.isCut)) throw error
  }
  return Buffer.concat(chunks)
}

/** Whether the text before a place is what it was. Of packed data that ends early it is not. @throws FileError */
export async function endsWith(
  file: FileBytes,
  offset: number,
  tail: Fingerprint,
  size: number,
  signal: AbortSignal,
): Promise<boolean> {
  if (tail[0] === 0) return true
  if (!file.isTransformed && size < offset) return false
  try {
    const found = Buffer.concat(await readText(file, offset - tail[0], offset, size, signal))
    return isSame(fingerprintOf(found), tail)
  } catch (error) {
    if (error instanceof FileError && error.isCut) return false
    throw error
  }
}

/** Whether a file starts as it did. */
export async function startsWith(
  file: FileBytes,
  head: Fingerprint,
  size: number,
  signal: AbortSignal,
): Promise<boolean> {
  return isSame(fingerprintOf(await readStart(file, head[0], size, signal)), head)
}
