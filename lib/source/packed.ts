import { pipeline, Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'

/** With smaller ones more time goes into handing over than into unpacking. */
const gunzipOptions = { chunkSize: 262_144 }

/** Bytes of an answer that is no result: all that is read of it. */
const longestNote = 1_000_000

/** A body is compressed by something that was not asked for. */
export class UnknownEncoding extends Error {
  override name = 'UnknownEncoding'
}

/** Whether a body is compressed by gzip. @param encoding its content-encoding @throws UnknownEncoding */
export function isGzip(encoding: string | undefined): boolean {
  const name = encoding?.trim().toLowerCase() ?? ''
  if (name === '' || name === 'identity') return false
  if (name === 'gzip' || name === 'x-gzip') return true
  throw new UnknownEncoding(`the answer is encoded as ${name}`)
}

/** The decompressed bytes. Iteration throws the faults of either stream. */
export function unpacked(chunks: AsyncIterable<Buffer>, isPacked: boolean): AsyncIterable<Buffer> {
  if (!isPacked) return chunks
  // The stream that is given carries the error itself.
  return pipeline(Readable.from(chunks, { objectMode: true }), createGunzip(gunzipOptions), () => {})
}

/**
 * The text of a small answer, such as an error: its first megabyte, unpacked. The body is destroyed.
 * @throws Error of the body, of zlib; what came until then is in `partial`
 */
export async function noteOf(body: Readable, isPacked: boolean): Promise<string> {
  const parts: Buffer[] = []
  let size = 0
  try {
    for await (const chunk of unpacked(body, isPacked)) {
      parts.push(chunk.subarray(0, longestNote - size))
      size += chunk.length
      if (size >= longestNote) break
    }
  } finally {
    body.destroy()
  }
  return Buffer.concat(parts).toString()
}
