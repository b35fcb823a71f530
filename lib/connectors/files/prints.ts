import { crc32 } from 'node:zlib'
import type { FileBytes } from './file-bytes.ts'
import type { Print } from './file-slice.ts'

export function printOf(bytes: Buffer): Print {
  return [bytes.length, crc32(bytes)]
}

export function crcOf(chunks: readonly Buffer[]): number {
  return chunks.reduce((crc, chunk) => crc32(chunk, crc), 0)
}

/** The last bytes of a text, at most so many. */
export function tailOf(chunks: readonly Buffer[], length: number): Buffer {
  const parts: Buffer[] = []
  let wanted = length
  for (let index = chunks.length - 1; index >= 0 && wanted > 0; index--) {
    const chunk = chunks[index]!
    parts.unshift(chunk.subarray(Math.max(0, chunk.length - wanted)))
    wanted -= chunk.length
  }
  return Buffer.concat(parts)
}

export function isSame(a: Print, b: Print): boolean {
  return a[0] === b[0] && a[1] === b[1]
}

/** A part of a file's text. @throws FileError, AbortError */
export async function textOf(
  file: FileBytes,
  start: number,
  end: number,
  size: number,
  signal: AbortSignal,
): Promise<Buffer[]> {
  const chunks: Buffer[] = []
  for await (const chunk of file.text(start, end, size, signal)) chunks.push(chunk)
  return chunks
}

/** Whether the text before a place is what it was. */
export async function endsWith(
  file: FileBytes,
  offset: number,
  tail: Print,
  size: number,
  signal: AbortSignal,
): Promise<boolean> {
  if (offset === 0) return true
  // Without a print there must be as much text at least.
  const length = Math.max(1, tail[0])
  const found = Buffer.concat(await textOf(file, offset - length, offset, size, signal))
  return tail[0] === 0 ? found.length === length : isSame(printOf(found), tail)
}
