import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setImmediate as turn } from 'node:timers/promises'
import { createGunzip, type Gunzip } from 'node:zlib'
import { longestTimer } from '../core/retry.ts'
import type { QueryAnswer } from './query-client.ts'
import { type ResponseIndex, ResponseIndexer, type RowSpan } from './response-index.ts'

const gunzipOptions = { chunkSize: 65_536 }

/** The service went silent in the middle of a body. */
export class StalledBody extends Error {
  override name = 'TimeoutError'
  readonly code = 'ETIMEDOUT'
  constructor(seconds: number) {
    super(`no byte of the answer came for ${seconds} s`)
  }
}

/** A response that came in whole: its bytes as they came on the wire, best compressed, and where its rows are. */
export class WholeResponse {
  readonly index: ResponseIndex
  /** Bytes held. */
  readonly bytes: number
  readonly #chunks: readonly Buffer[]
  readonly #gzip: boolean

  private constructor(chunks: readonly Buffer[], gzip: boolean, index: ResponseIndex) {
    this.#chunks = chunks
    this.#gzip = gzip
    this.index = index
    this.bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0)
  }

  /** What a service without data answers. */
  static get empty(): WholeResponse {
    return new WholeResponse([], false, { tables: [], rows: 0, error: undefined })
  }

  /**
   * Takes in a whole body. Its connection is closed where that fails.
   * @param stallTimeout seconds without a byte after which it is given up
   * @throws StalledBody, MalformedResponse, Error with the code of a connection fault or of zlib; AbortError
   */
  static async receive(
    { body, gzip }: QueryAnswer,
    stallTimeout: number,
    signal: AbortSignal,
  ): Promise<WholeResponse> {
    const chunks: Buffer[] = []
    const indexer = new ResponseIndexer()
    const watched = watch(body!, stallTimeout, chunks)
    const index = async (source: AsyncIterable<Buffer>) => {
      for await (const chunk of source) indexer.write(chunk)
    }
    if (gzip) await pipeline(body!, watched, createGunzip(gunzipOptions), index, { signal })
    else await pipeline(body!, watched, index, { signal })
    return new WholeResponse(chunks, gzip, indexer.end())
  }

  /** The texts of the spans, one after the other, each as a JSON array of rows. */
  async *texts(spans: readonly RowSpan[]): AsyncGenerator<{ span: RowSpan; text: string }> {
    if (spans.length === 0) return
    const source = this.#plain()
    try {
      yield* cut(source, spans)
    } finally {
      source.destroy()
    }
  }

  #plain(): Readable {
    const wire = Readable.from(this.#chunks, { objectMode: true })
    if (!this.#gzip) return wire
    const gunzip: Gunzip = createGunzip(gunzipOptions)
    gunzip.once('close', () => wire.destroy())
    return wire.pipe(gunzip)
  }
}

/** Keeps what passes, and ends it all where nothing does for too long. */
function watch(body: Readable, seconds: number, chunks: Buffer[]) {
  return async function* (source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    const timer = setTimeout(
      () => body.destroy(new StalledBody(seconds)),
      Math.min(seconds * 1000, longestTimer),
    )
    try {
      for await (const chunk of source) {
        timer.refresh()
        chunks.push(chunk)
        yield chunk
      }
    } finally {
      clearTimeout(timer)
    }
  }
}

async function* cut(
  source: Readable,
  spans: readonly RowSpan[],
): AsyncGenerator<{ span: RowSpan; text: string }> {
  let next = 0
  let offset = 0
  let parts: Buffer[] = []
  for await (const chunk of source as AsyncIterable<Buffer>) {
    while (next < spans.length) {
      const span = spans[next]!
      if (span.start >= offset + chunk.length) break
      parts.push(chunk.subarray(Math.max(0, span.start - offset), span.end - offset))
      if (span.end > offset + chunk.length) break
      yield { span, text: arrayText(parts) }
      parts = []
      next++
      // A long answer must not keep everything else in the process waiting.
      await turn()
    }
    offset += chunk.length
    if (next >= spans.length) return
  }
}

function arrayText(parts: readonly Buffer[]): string {
  return `[${parts.length === 1 ? parts[0]!.toString() : Buffer.concat(parts).toString()}]`
}
