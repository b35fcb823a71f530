import { constants, createGzip, type Gzip, type ZlibReset } from 'node:zlib'
import type { Entry } from './protocol.ts'
import { type JoinedRows, joinRows } from './row-store.ts'

/** Bodies under this many bytes gain nothing. */
const smallest = 1500

/** Level 1, by measurement: level 6 takes half as much time again for bodies that are a tenth smaller. */
const settings = {
  level: 1,
  chunkSize: 65_536,
  // Each write is a whole body, and ends without the stream's end, after which it could not be used again.
  flush: constants.Z_FINISH,
}

/** As it is; its type lacks `reset`. */
type Compressor = Gzip & ZlibReset

/** Kept for the next body: to set one up takes as long as the compression of a body of 20 KB. */
const idle: Compressor[] = []
const mostIdle = 8

/** The body of a request. */
export interface Body extends JoinedRows {
  readonly gzip: boolean
}

/** Rows as the body that is sent: joined like by `joinRows`, by gzip where that is wanted and of use. */
export async function bodyOf(
  rows: readonly Entry[],
  before: string,
  between: string,
  after: string,
  compression: 'gzip' | 'none',
): Promise<Body> {
  const joined = joinRows(rows, before, between, after)
  if (compression === 'none' || joined.bytes.length < smallest) return { ...joined, gzip: false }
  const bytes = await compress(joined.bytes)
  joined.release()
  return { bytes, gzip: true, release() {} }
}

function compress(body: Buffer): Promise<Buffer> {
  const gzip = idle.pop() ?? (createGzip(settings) as Compressor)
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = []
    const keep = (part: Buffer) => parts.push(part)
    gzip.on('data', keep)
    gzip.once('error', reject)
    gzip.write(body, () => {
      gzip.off('data', keep)
      gzip.off('error', reject)
      gzip.reset()
      if (idle.length < mostIdle) idle.push(gzip)
      else gzip.close()
      resolve(Buffer.concat(parts))
    })
  })
}
