import { pipeline, Readable } from 'node:stream'
import { createGunzip, type Gunzip } from 'node:zlib'
import type { HttpStream } from '../../../http/client.ts'
import { headerOf } from '../../../http/response.ts'

/** With smaller ones more time goes into handing over than into unpacking. */
const gunzipOptions = { chunkSize: 262_144 }

export function gunzip(): Gunzip {
  return createGunzip(gunzipOptions)
}

/** An encoding of a body that was not asked for. */
export class UnknownEncoding extends Error {
  override name = 'UnknownEncoding'
}

/** @throws UnknownEncoding */
export function isPacked({ headers }: Pick<HttpStream, 'headers'>): boolean {
  const encoding = headerOf({ headers }, 'content-encoding')?.trim().toLowerCase() ?? ''
  if (encoding === '' || encoding === 'identity') return false
  if (encoding === 'gzip' || encoding === 'x-gzip') return true
  throw new UnknownEncoding(`the answer is encoded as ${encoding}`)
}

/** Bytes without their compression. Faults of either come out of the iteration. */
export function unpacked(chunks: AsyncIterable<Buffer>, packed: boolean): AsyncIterable<Buffer> {
  if (!packed) return chunks
  // The stream that is given carries the error itself.
  return pipeline(Readable.from(chunks, { objectMode: true }), gunzip(), () => {})
}
