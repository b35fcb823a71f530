import { type Duplex, type Readable, Transform, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { ConnectorError } from '../core/errors.ts'
import type { PlainWindow } from '../core/window.ts'
import type { QuerySettings, RowGenerator, TransformStage } from './query-options.ts'
import { type QueryPart, WindowFailure } from './streaming-error.ts'

/** What went through one window's pipeline. */
export interface RunResult {
  readonly rowsIn: number
  readonly rowsOut: number
}

/**
 * One window's rows through a pipeline of their own, from source to a sink that is finished.
 * @param onRetry told whenever the sink repeats a request
 * @throws WindowFailure that names the part that failed first
 */
export async function runWindow(
  window: PlainWindow,
  source: Readable,
  { transform, sink: makeSink }: Pick<QuerySettings, 'transform' | 'sink'>,
  onRetry: () => void,
  signal: AbortSignal,
): Promise<RunResult> {
  let culprit: QueryPart | undefined
  // A pipeline destroys all its streams with the error of the one that failed: the first to have one is that one.
  const blame = (part: QueryPart) => {
    culprit ??= part
  }
  const watch = (stream: NodeJS.EventEmitter, part: QueryPart) => {
    stream.on('error', () => blame(part))
    // Some end too early without an error.
    stream.on('close', () => {
      const { readableEnded = true, writableFinished = true } = stream as Partial<Duplex>
      if (!readableEnded || !writableFinished) blame(part)
    })
  }
  if (source.errored) blame('source')
  watch(source, 'source')
  const rowsIn = new RowCounter()
  let rowsOut = rowsIn
  try {
    const stages = attempt('transform', () => makeStages(transform, window)).map((stage) => {
      if (typeof stage === 'function') return blaming(stage, () => blame('transform'))
      watch(stage, 'transform')
      return stage
    })
    const sink = attempt('sink', () => checkSink(makeSink(window)))
    watch(sink, 'sink')
    sink.on('retry', onRetry)
    if (stages.length > 0) rowsOut = new RowCounter()
    const counted = rowsOut === rowsIn ? [rowsIn] : [rowsIn, ...stages, rowsOut]
    await pipeline([source, ...counted, sink] as unknown as readonly NodeJS.ReadWriteStream[], { signal })
  } catch (error) {
    source.destroy()
    if (error instanceof WindowFailure) throw error
    const cause = error instanceof Error ? error : new Error(String(error))
    throw new WindowFailure(culprit ?? 'sink', cause)
  }
  return { rowsIn: rowsIn.rows, rowsOut: rowsOut.rows }
}

/** Counts what passes. */
class RowCounter extends Transform {
  rows = 0

  constructor() {
    super({ objectMode: true })
  }

  override _transform(
    row: unknown,
    _encoding: BufferEncoding,
    callback: (error: null, row: unknown) => void,
  ): void {
    this.rows++
    callback(null, row)
  }
}

function attempt<T>(part: QueryPart, make: () => T): T {
  try {
    return make()
  } catch (error) {
    throw new WindowFailure(part, error instanceof Error ? error : new Error(String(error)))
  }
}

function makeStages(transform: QuerySettings['transform'], window: PlainWindow): readonly TransformStage[] {
  if (!transform) return []
  const made = transform(window)
  const stages = Array.isArray(made) ? (made as readonly TransformStage[]) : [made as TransformStage]
  for (const stage of stages) {
    if (typeof stage === 'function') continue
    if (typeof (stage as Partial<Duplex> | undefined)?.pipe !== 'function') {
      throw new ConnectorError(
        'ERR_OPTION',
        'transform: expected it to make streams or async generator functions',
      )
    }
    if (stage.destroyed || stage.writableEnded) {
      throw new ConnectorError('ERR_OPTION', 'transform: expected it to make new streams for each window')
    }
  }
  return stages
}

function checkSink(sink: Writable): Writable {
  if (typeof (sink as Partial<Writable> | undefined)?.write !== 'function') {
    throw new ConnectorError('ERR_OPTION', 'sink: expected it to make a Writable')
  }
  if (sink.destroyed || sink.writableEnded) {
    throw new ConnectorError('ERR_OPTION', 'sink: expected it to make a new Writable for each window')
  }
  return sink
}

/**
 * The generator, telling of its failure before the pipeline does. One that returns early drops the rest of the window:
 * by itself that would destroy the source and fail the pipeline.
 */
function blaming(stage: RowGenerator, blame: () => void): RowGenerator {
  return async function* (rows) {
    const iterator = rows[Symbol.asyncIterator]()
    try {
      yield* stage({ [Symbol.asyncIterator]: () => ({ next: () => iterator.next() }) })
      while (!(await iterator.next()).done);
    } catch (error) {
      blame()
      throw error
    } finally {
      await iterator.return?.()
    }
  }
}
