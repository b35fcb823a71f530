import { type FileHandle, open, rm } from 'node:fs/promises'
import { resolve } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { finished, pipeline } from 'node:stream/promises'
import { ConnectorError } from '../core/errors.ts'
import { serialize } from '../core/json.ts'
import { counted } from '../core/quantities.ts'
import { RowBlock, rowsOfChunk } from '../core/row-block.ts'
import { BatchingWritable } from '../sink/batching-writable.ts'
import { DeadLetterOffice } from '../sink/dead-letter.ts'
import { SourceReadable } from '../source/source-readable.ts'
import type { RowSource } from './ndjson.ts'
import { BadLine, fileInput, ReaderGone, StandardOutput, standardInput } from './ndjson.ts'
import type { Plan } from './plan.ts'
import { type JobReport, StreamNotes } from './report.ts'
import type { StopSignals } from './stop-signals.ts'
import type { Snapshot, Tally } from './tally.ts'
import { TransformFailure, takesBlocks } from './transforms.ts'

/** Counts, signals and report of a run. */
export interface RunContext {
  readonly tally: Tally
  readonly signals: Pick<StopSignals, 'stop' | 'abort'>
  readonly report: JobReport
}

export async function runBounded(
  plan: Plan,
  deadLetter: Writable | undefined,
  context: RunContext,
): Promise<void> {
  const { tally, signals, report } = context
  const stages = stagesOf(plan)
  const notes = new StreamNotes(report)
  const source = plan.makeSource?.()
  if (source) {
    tally.watchSource(source)
    notes.watch(source)
  }
  const onBadLine = deadLetter && badLines(deadLetter, tally)
  const { input } = plan.job
  const rows = source ?? (input ? fileInput(input, onBadLine) : standardInput(onBadLine))
  const halt = new AbortController()
  const sink = makeSink(plan, deadLetter, tally)
  notes.watch(sink)
  const stop = AbortSignal.any([signals.stop, halt.signal])
  const count = (read: number) => {
    tally.read += read
  }
  const blockRows = sink instanceof BatchingWritable && stages.every(takesBlocks) ? rowsOfBlock(stages) : 1
  const feed = new RowFeed(rows, stop, count, { limit: plan.job.limit, blockRows })
  const onFailure = () => {
    if (source) halt.abort()
    else if (!input)
      whenSilent(
        () => tally.read,
        () => halt.abort(),
      )
  }
  const guard = plan.makeSink && new UndeliveredGuard(sink, undeliveredPath(plan), onFailure)
  try {
    const streams = [feed, ...stages, guard ?? sink] as unknown as readonly NodeJS.ReadWriteStream[]
    await pipeline(streams, { signal: signals.abort })
  } catch (error) {
    throw isOurs(error) || signals.abort.aborted ? error : new TransformFailure(error as Error)
  } finally {
    if (guard && !guard.closed) await finished(guard).catch(() => {})
    if (guard && guard.rows > 0) {
      const { path, rows } = guard
      tally.undelivered = rows
      const text = undeliveredText(tally.snapshot(), guard, feed.isWhole, plan.job.transforms.length > 0)
      report.note('undelivered', text, { path, rows, source_was_read_to_its_end: feed.isWhole })
    }
  }
  if (guard?.failure) throw guard.failure
  if (feed.failure) throw feed.failure
}

/** @throws TransformFailure if one can't be made */
function stagesOf(plan: Plan): ReturnType<Plan['makeStages']> {
  try {
    return plan.makeStages()
  } catch (error) {
    throw new TransformFailure(error as Error)
  }
}

/** Rows of a block: few where a transform may take long for each, since those of a block are worked on after a stop too. */
function rowsOfBlock(stages: readonly unknown[]): number {
  return stages.length > 0 ? 64 : 500
}

/** What became of the rows of a run that failed, and how to miss none. */
function undeliveredText(
  { read, delivered = 0, rejected }: Snapshot,
  { path, rows }: UndeliveredGuard,
  isWhole: boolean,
  isTransformed: boolean,
): string {
  const count = (number: number) => number.toLocaleString('en')
  const again = isTransformed ? ' without --transform, which they have passed' : ''
  const rest = isWhole
    ? '.'
    : '. Rows after these were never read: then run it again, which sends the delivered rows twice, or use --checkpoint, which resumes.'
  return `${counted(read, 'row')} read: ${count(delivered)} delivered, ${count(rejected)} rejected, ${count(rows)} in ${path}. To miss none, send that file by copy --from ${path}${again}${rest}`
}

/**
 * Rows still in a pipe are lost when this process ends. So it is read to its end, or until nothing has arrived for a
 * second, for at most a minute.
 */
function whenSilent(count: () => number, stop: () => void): void {
  const started = performance.now()
  let before = -1
  const timer = setInterval(() => {
    const now = count()
    if (now !== before && performance.now() - started < 60_000) {
      before = now
      return
    }
    clearInterval(timer)
    stop()
  }, 1000).unref()
}

/** Whether an error comes from a connector or the command, rather than from a user's transform. */
function isOurs(error: unknown): boolean {
  return [ConnectorError, ReaderGone, BadLine, RowsLost].some((known) => error instanceof known)
}

/** The file for undelivered rows: the one given, one beside the dead letter, or a new one in the working directory. */
function undeliveredPath({ job, deadLetterPath }: Plan): string {
  if (job.undelivered !== undefined) return job.undelivered
  if (deadLetterPath !== undefined) return `${deadLetterPath}.undelivered`
  return resolve(`undelivered-${new Date().toISOString().replaceAll(':', '-')}.ndjson`)
}

export function makeSink(plan: Plan, deadLetter: Writable | undefined, tally: Tally): Writable {
  const sink = plan.makeSink?.(deadLetter) ?? new StandardOutput({ dead_letter: deadLetter })
  tally.watchSink(sink)
  return sink
}

/** Writes unreadable lines to the dead letter. */
function badLines(deadLetter: Writable, tally: Tally): (bad: BadLine) => Promise<void> {
  const office = new DeadLetterOffice(deadLetter)
  return async ({ text, message }) => {
    const reason = { code: 'ERR_ROW', text: message }
    await office.take({ row: text, connector: '-', reason, at: new Date().toISOString() })
    tally.badLines++
    tally.read++
  }
}

/**
 * The rows of a source until it ends, fails or is stopped; the rows read until then are delivered. It is a Readable,
 * because a generator can't be closed while it waits for a row that never arrives. Its chunks are rows, or blocks of them
 * if it may give blocks and the source has batches.
 */
class RowFeed extends Readable {
  /** The error that ended the source. */
  failure: Error | undefined
  /** Whether the source was read to its end. */
  isWhole = false
  readonly #source: RowSource
  /** Rows, or their batches. */
  readonly #read: AsyncIterator<unknown>
  /** Rows of a block at most; 1 gives single rows. */
  readonly #blockRows: number
  /** The rows of the batch at hand, and how many of them are handed on. */
  #batch: readonly unknown[] = []
  #at = 0
  readonly #count: (rows: number) => void
  /** Rows that may still be read. */
  #left: number
  #stopped = false
  #busy = false

  constructor(
    source: RowSource,
    stop: AbortSignal,
    count: (rows: number) => void,
    { limit = Number.POSITIVE_INFINITY, blockRows }: { limit?: number | undefined; blockRows: number },
  ) {
    const isOfBatches = blockRows > 1 && source instanceof SourceReadable
    super({ objectMode: true, highWaterMark: isOfBatches ? 1 : 64 })
    this.#source = source
    this.#blockRows = isOfBatches ? blockRows : 1
    this.#read = isOfBatches ? source.inBatches() : source[Symbol.asyncIterator]()
    this.#count = count
    this.#left = limit
    const halt = () => this.#halt()
    if (stop.aborted) halt()
    else {
      stop.addEventListener('abort', halt, { once: true })
      this.once('close', () => stop.removeEventListener('abort', halt))
    }
  }

  override _read(): void {
    if (this.#busy) return
    this.#busy = true
    this.#pump().catch((error: Error) => {
      // A stopped source may report that as an error.
      if (this.#stopped || this.destroyed) return
      this.failure = error
      this.push(null)
    })
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#source.destroy()
    callback(error)
  }

  async #pump(): Promise<void> {
    for (;;) {
      if (this.#at === this.#batch.length) {
        const { done, value } = await this.#read.next()
        if (this.#stopped || this.destroyed) return
        if (done) {
          this.isWhole = true
          this.push(null)
          return
        }
        this.#batch = this.#blockRows > 1 ? (value as readonly unknown[]) : [value]
        this.#at = 0
      }
      const rows = this.#batch.slice(this.#at, this.#at + Math.min(this.#blockRows, this.#left))
      this.#at += rows.length
      this.#left -= rows.length
      this.#count(rows.length)
      const wantsMore = this.push(this.#blockRows > 1 ? new RowBlock(rows) : rows[0])
      if (this.#left <= 0) {
        this.#halt()
        return
      }
      if (!wantsMore) {
        this.#busy = false
        return
      }
      if (this.#stopped || this.destroyed) return
    }
  }

  #halt(): void {
    if (this.#stopped || this.readableEnded || this.destroyed) return
    this.#stopped = true
    this.#source.destroy()
    this.push(null)
  }
}

type Done = (error?: Error | null) => void

/** Rows that were read and not delivered could not be saved either. */
export class RowsLost extends Error {
  override name = 'RowsLost'
  constructor({ path, rows: saved, failure }: UndeliveredGuard, rows: number, cause: Error) {
    const before = failure ? `. First, the sink failed: ${failure.message}` : ''
    super(`can't save ${rows} undelivered rows to ${path} (${cause.message}); ${saved} are in it${before}`, {
      cause,
    })
  }
}

/** A sink; one of ours lists its unsettled rows. */
type Sink = Writable & { readonly unsettled?: readonly unknown[] }

/**
 * Wraps a sink. After the sink has failed, its unsettled rows and all later rows go to a file, in order, as NDJSON: no
 * row that was read is lost, and the file can be sent again.
 */
class UndeliveredGuard extends Writable {
  /** The error of the sink. */
  failure: Error | undefined
  /** Rows in the file. */
  rows = 0
  path: string
  #file: FileHandle | undefined
  #bytes = 0
  readonly #sink: Sink
  readonly #onFailure: () => void
  /** Resolves once the sink's own rows are in the file. */
  #saved: Promise<void> | undefined

  /** @param onFailure called when the sink has failed, to stop reading */
  constructor(sink: Sink, path: string, onFailure: () => void) {
    super({ objectMode: true, highWaterMark: 1 })
    this.path = path
    this.#sink = sink
    this.#onFailure = onFailure
    sink.on('error', (error) => this.#fail(error))
  }

  override _write(chunk: unknown, _encoding: BufferEncoding, callback: Done): void {
    const sink = this.#sink
    if (this.#saved || sink.destroyed) {
      this.#saveBehindSink(rowsOfChunk(chunk)).then(() => callback(), callback)
      return
    }
    if (!(chunk instanceof RowBlock)) {
      if (sink.write(chunk)) callback()
      else this.#whenFree('drain', callback)
      return
    }
    // A sink counts a block as one row: the next block is written when the sink has placed all rows of this one.
    const go = this.#whenFree('placed', callback)
    sink.write(chunk, go)
  }

  override _final(callback: Done): void {
    if (this.#saved) {
      this.#saved.then(() => callback(), callback)
      return
    }
    this.#sink.end()
    finished(this.#sink)
      .catch((error: Error) => this.#fail(error))
      .then(() => callback(), callback)
  }

  override _destroy(error: Error | null, callback: Done): void {
    const sink = this.#sink
    sink.destroy()
    const closed = sink.closed ? Promise.resolve() : finished(sink, { cleanup: true }).catch(() => {})
    closed
      .then(() => (this.#saved ??= this.#save(sink.unsettled ?? [])))
      .finally(() => this.#file?.close())
      .then(() => callback(error), callback)
  }

  /** Calls back at an event of the sink, at its close, or when the function that it returns is called: once. */
  #whenFree(event: string, callback: Done): () => void {
    const sink = this.#sink
    let isDone = false
    const go = () => {
      if (isDone) return
      isDone = true
      sink.off(event, go).off('close', go)
      callback()
    }
    sink.on(event, go).on('close', go)
    return go
  }

  /** Saves rows that a sink which has failed can no longer take, behind its own. */
  async #saveBehindSink(rows: readonly unknown[]): Promise<void> {
    // It may be destroyed, and its error not be reported yet.
    if (!this.#saved) await finished(this.#sink, { cleanup: true }).catch((error: Error) => this.#fail(error))
    await this.#saved
    await this.#save(rows)
  }

  #fail(error: Error): Promise<void> {
    this.failure ??= error
    if (!this.#saved) {
      const rows = error instanceof ConnectorError ? (error.rows ?? []) : (this.#sink.unsettled ?? [])
      this.#saved = this.#save(rows)
      // Awaited by the next call; until then its rejection must not count as unhandled.
      this.#saved.catch(() => {})
      this.#onFailure()
    }
    return this.#saved
  }

  async #save(rows: readonly unknown[]): Promise<void> {
    if (rows.length === 0) return
    try {
      this.#file ??= await this.#create()
      const text = rows.map((row) => `${serialize(row)}\n`).join('')
      await this.#file.appendFile(text)
      await this.#file.datasync()
      this.#bytes += Buffer.byteLength(text)
      this.rows += rows.length
    } catch (error) {
      // The file keeps whole lines only.
      await this.#file?.truncate(this.#bytes)
      if (this.#file && this.rows === 0) await rm(this.path, { force: true })
      throw new RowsLost(this, rows.length, error as Error)
    }
  }

  /** Creates the file. It never overwrites one, nor follows a symbolic link: an existing name gets a suffix. */
  async #create(): Promise<FileHandle> {
    const create = () => open(this.path, 'wx', 0o600)
    try {
      return await create()
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
      this.path = `${this.path}.${new Date().toISOString().replaceAll(':', '-')}`
      return create()
    }
  }
}
