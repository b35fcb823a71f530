import { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { HttpStream } from '../../../http/client.ts'
import { HeldBody } from '../../../source/held-body.ts'
import { gunzip, isPacked, unpacked } from './body-bytes.ts'
import { exportedResults } from './export-rows.ts'
import { type ExportSummary, ExportSurvey } from './export-survey.ts'

/** An export answer that has come in: its bytes as they came, and what its lines say about it. */
export class ExportAnswer {
  readonly summary: ExportSummary
  readonly #held: HeldBody
  readonly #packed: boolean

  private constructor(held: HeldBody, packed: boolean, summary: ExportSummary) {
    this.#held = held
    this.#packed = packed
    this.summary = summary
  }

  /**
   * Takes a body in. Its connection is closed, and what is held is freed, where that fails.
   * @param memory bytes that are held in memory, see {@link HeldBody}
   * @throws Error of the connection, of zlib or of the file system; AbortError
   */
  static async receive(response: HttpStream, memory: number, signal: AbortSignal): Promise<ExportAnswer> {
    const { body } = response
    const held = new HeldBody({ memory })
    try {
      const packed = isPacked(response)
      const survey = new ExportSurvey()
      const keeping = async function* (chunks: AsyncIterable<Buffer>) {
        for await (const chunk of chunks) {
          const kept = held.write(chunk)
          if (kept) await kept
          yield chunk
        }
      }
      if (packed) await pipeline(body, keeping, gunzip(), surveying(survey), { signal })
      else await pipeline(body, surveying(survey, held), { signal })
      await held.end()
      return new ExportAnswer(held, packed, survey.end())
    } catch (error) {
      held.release()
      signal.throwIfAborted()
      throw error
    } finally {
      body.destroy()
    }
  }

  get bytes(): number {
    return this.#held.bytes
  }

  /** Its results, previews left out. @throws SyntaxError */
  results(): AsyncGenerator<Record<string, unknown>[]> {
    return exportedResults(unpacked(this.#held.chunks(), this.#packed))
  }

  release(): void {
    this.#held.release()
  }
}

/** @param held what keeps the bytes too */
function surveying(survey: ExportSurvey, held?: HeldBody): Writable {
  return new Writable({
    write(chunk: Buffer, _encoding, callback) {
      survey.write(chunk)
      const kept = held?.write(chunk)
      if (kept) kept.then(() => callback(), callback)
      else callback()
    },
  })
}
