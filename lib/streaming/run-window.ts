import { type Duplex, type Readable, Transform, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { ConnectorError, OptionError } from '../core/errors.ts'
import type { Slice } from '../core/slice.ts'
import type { PlainWindow } from '../core/window.ts'
import { Sharing } from '../http/sharing.ts'
import { reportElsewhere } from '../source/events.ts'
import type { SliceSource } from '../source/planner.ts'
import { type QueryPart, WindowError } from './window-error.ts'

/** An async generator function from rows to rows, as `pipeline` accepts it. */
export type RowGenerator = (rows: AsyncIterable<Record<string, unknown>>) => AsyncIterable<unknown>

/** What may stand between source and sink. */
export type TransformStage = Duplex | RowGenerator

/** Makes a window's stages afresh: one or several in order. */
export type MakeTransform<S extends Slice = PlainWindow> = (
  window: S,
) => TransformStage | readonly TransformStage[]

/** Reads windows: a streaming source, or a function that makes the Readable of a window's rows. */
export type WindowSource<S extends Slice = PlainWindow> =
  | Pick<SliceSource<S>, 'readSlice' | 'release'>
  | ((window: S) => Readable)

/** How far a window is. */
export interface WindowProgress {
  /** Rows that the source gave. */
  readonly rowsIn: number
  /** Rows that the sink took: what the transform made of them. */
  readonly rowsOut: number
  /** Requests that source and sink repeated. */
  readonly retries: number
  /** Milliseconds since the window was begun. */
  readonly duration: number
}

export interface RunWindowOptions<S extends Slice = PlainWindow> {
  /**
   * What reads the window, such as an AzureMonitorStreamReadable: one for all windows, since they then share its
   * connections and its token, and their sinks share theirs.
   */
  readonly source: WindowSource<S>
  /** Makes what rows go through: a stream, an async generator function, or a list of these. */
  readonly transform?: MakeTransform<S> | undefined
  /** Makes the Writable that takes the rows. Its `finish` must mean that all rows are safe. */
  readonly sink: (window: S) => Writable
  /** Ends the run at once when it fires, such as when the lock of a job is lost. */
  readonly signal?: AbortSignal | undefined
  /** Called each second while the window runs: to renew a lock, to show progress. */
  readonly onProgress?: ((progress: WindowProgress) => void) | undefined
}

/** Milliseconds from one call of `onProgress` to the next. */
const progressInterval = 1000

/** A window whose rows are on their way. */
export interface OpenWindow<S extends Slice = PlainWindow> {
  readonly window: S
  rows: Readable
  /** Requests that source and sink repeated, over all attempts. */
  retries: number
}

/** How a window is delivered. */
export type DeliveryOptions<S extends Slice> = Omit<RunWindowOptions<S>, 'source'>

/**
 * Delivers windows of one source, each through a pipeline of its own. The sinks share their connections and their token,
 * until `close()`.
 */
export class WindowRunner<S extends Slice = PlainWindow> {
  readonly #source: WindowSource<S>
  readonly #isReported: boolean
  readonly #sharing = new Sharing()

  /** @param isReported whether a query or worker reports the windows, so that their rows are not counted twice */
  constructor(source: WindowSource<S>, isReported = false) {
    this.#source = source
    this.#isReported = isReported
  }

  /** A window, whose rows are asked for at once. */
  open(window: S): OpenWindow<S> {
    const open = { window, rows: this.#read(window), retries: 0 }
    this.#watch(open)
    return open
  }

  /** Asks for the rows of a window again, after it failed. */
  reopen(open: OpenWindow<S>): void {
    open.rows = this.#read(open.window)
    this.#watch(open)
  }

  /** Runs a window once. @throws WindowError, AbortError */
  async run(open: OpenWindow<S>, options: DeliveryOptions<S>): Promise<WindowProgress> {
    const { window, rows } = open
    const { transform, sink: makeSink, signal, onProgress } = options
    const started = performance.now()
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
    const making = <T>(part: QueryPart, make: () => T): T => {
      try {
        return make()
      } catch (error) {
        blame(part)
        throw error
      }
    }
    const rowsIn = new RowCounter()
    let rowsOut = rowsIn
    const progress = (): WindowProgress => ({
      rowsIn: rowsIn.rows,
      rowsOut: rowsOut.rows,
      retries: open.retries,
      duration: performance.now() - started,
    })
    const timer = onProgress && setInterval(() => onProgress(progress()), progressInterval)
    try {
      if (rows.errored) blame('source')
      watch(rows, 'source')
      const stages = making('transform', () => makeStages(transform, window)).map((stage) => {
        if (typeof stage === 'function') return blaming(stage, () => blame('transform'))
        watch(stage, 'transform')
        return stage
      })
      const sink = making('sink', () => checkSink(this.#sharing.within(() => makeSink(window))))
      watch(sink, 'sink')
      sink.on('retry', () => open.retries++)
      if (stages.length > 0) rowsOut = new RowCounter()
      const counted = rowsOut === rowsIn ? [rowsIn] : [rowsIn, ...stages, rowsOut]
      const streams = [rows, ...counted, sink] as unknown as readonly NodeJS.ReadWriteStream[]
      await pipeline(streams, signal ? { signal } : {})
    } catch (error) {
      rows.destroy()
      if (signal?.aborted) throw abortError(signal)
      throw new WindowError(culprit ?? 'sink', asError(error), window)
    } finally {
      clearInterval(timer)
    }
    return progress()
  }

  /** Closes the connections of the source and of its sinks. More windows may follow. */
  close(): void {
    if (typeof this.#source !== 'function') this.#source.release?.()
    this.#sharing.close()
  }

  #read(window: S): Readable {
    return checkRows(
      typeof this.#source === 'function' ? this.#source(window) : this.#source.readSlice(window),
    )
  }

  #watch(open: OpenWindow<S>): void {
    const { rows } = open
    // It may fail before its turn has come; its pipeline sees that.
    rows.on('error', () => {})
    rows.on('retry', () => open.retries++)
    if (this.#isReported) reportElsewhere(rows)
    rows.read(0)
  }
}

/** The runner of each source that `runWindow` was given, for as long as the source lives. */
const runners = new WeakMap<object, WindowRunner<never>>()

/** Idle connections close after some seconds, so a function as a source needs no end. */
function runnerOf<S extends Slice>(source: WindowSource<S>): WindowRunner<S> {
  const known = runners.get(source) as WindowRunner<S> | undefined
  if (known) return known
  const runner = new WindowRunner(source)
  runners.set(source, runner as unknown as WindowRunner<never>)
  ;(source as Partial<NodeJS.EventEmitter>).once?.('close', () => runner.close())
  return runner
}

/**
 * One window's rows through a pipeline of their own, from the source to a sink that is finished: the unit of work for any
 * queue or scheduler. Once it resolves, all rows of the window are acknowledged or dead-lettered.
 *
 *     const source = new AzureMonitorStreamReadable({ workspace_id, query, azure_default_credential: true })
 *     await runWindow(window, { source, sink: () => new SplunkWritable({ url, token }) })
 *
 * @param window one of `planWindows`, or another slice that the source understands
 * @returns how much was read and delivered
 * @throws WindowError whose `verdict` says what is to become of the window, and whose `retryAfter` (milliseconds) how long
 *   the service asked to wait; OptionError for wrong arguments; AbortError once the signal fires
 */
export async function runWindow<S extends Slice = PlainWindow>(
  window: S,
  options: RunWindowOptions<S>,
): Promise<WindowProgress> {
  checkArguments(window, options)
  options.signal?.throwIfAborted()
  const runner = runnerOf(options.source)
  let open: OpenWindow<S>
  try {
    open = runner.open(window)
  } catch (error) {
    throw new WindowError('source', asError(error), window)
  }
  return runner.run(open, options)
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}

function checkArguments({ id }: Slice, { source, transform, sink }: RunWindowOptions<never>): void {
  const problems: string[] = []
  if (typeof id !== 'string' || id === '')
    problems.push('window: expected a window of planWindows, with an id')
  if (typeof source !== 'function' && typeof source?.readSlice !== 'function') {
    problems.push('source: expected a streaming source, or a function that makes a Readable')
  }
  if (transform !== undefined && typeof transform !== 'function') {
    problems.push('transform: expected a function that makes the stages of a window')
  }
  if (typeof sink !== 'function')
    problems.push('sink: expected a function that makes the Writable of a window')
  if (problems.length > 0) throw new OptionError('runWindow', problems)
}

/** The error of what a signal has ended, as Node's own: `cause` is the reason. */
export function abortError(signal: AbortSignal): Error {
  const error = new Error('The operation was aborted', { cause: signal.reason })
  error.name = 'AbortError'
  return Object.assign(error, { code: 'ABORT_ERR' })
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

function checkRows(rows: Readable): Readable {
  if (typeof (rows as Partial<Readable> | undefined)?.pipe !== 'function') {
    throw new ConnectorError('ERR_OPTION', 'source: expected it to make a Readable')
  }
  return rows
}

function makeStages<S extends Slice>(
  transform: MakeTransform<S> | undefined,
  window: S,
): readonly TransformStage[] {
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
