import { open } from 'node:fs/promises'
import { resolve } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { finished, pipeline } from 'node:stream/promises'
import { ConnectorError } from '../core/errors.ts'
import { serialize } from '../core/json.ts'
import { DeadLetterOffice } from '../sink/dead-letter.ts'
import type { RowSource } from './ndjson.ts'
import { BadLine, fileInput, ReaderGone, StandardOutput, standardInput } from './ndjson.ts'
import type { Plan } from './plan.ts'
import { type JobReport, RetryNotes } from './report.ts'
import type { StopSignals } from './stop-signals.ts'
import type { Tally } from './tally.ts'
import { TransformFailure } from './transforms.ts'

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
  const notes = new RetryNotes(report)
  const source = plan.makeSource?.()
  if (source) {
    tally.watchSource(source)
    notes.watch(source)
  }
  const onBadLine = deadLetter && badLines(deadLetter, tally)
  const { input } = plan.job
  const rows = source ?? (input ? fileInput(input, onBadLine) : standardInput(onBadLine))
  const halt = new AbortController()
  const feed = new RowFeed(rows, AbortSignal.any([signals.stop, halt.signal]), () => tally.read++)
  const sink = makeSink(plan, deadLetter, tally)
  notes.watch(sink)
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
    const streams = [
      feed,
      ...plan.makeStages(),
      guard ?? sink,
    ] as unknown as readonly NodeJS.ReadWriteStream[]
    await pipeline(streams, { signal: signals.abort })
  } catch (error) {
    // If a transform could not be made, no pipeline has closed them.
    for (const stream of [feed, guard ?? sink]) stream.destroy()
    throw isOurs(error) || signals.abort.aborted ? error : new TransformFailure(error as Error)
  } finally {
    if (guard && !guard.closed) await finished(guard).catch(() => {})
    if (guard && guard.rows > 0) {
      const { path, rows } = guard
      tally.undelivered = rows
      const how = `send them again by --from ${path}${plan.job.transforms.length > 0 ? ', without --transform: they have gone through it' : ''}`
      report.note('undelivered', `${rows} rows that were read and not delivered are in ${path}: ${how}`, {
        path,
        rows,
      })
    }
  }
  if (guard?.failure) throw guard.failure
  if (feed.failure) throw feed.failure
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
  return error instanceof ConnectorError || error instanceof ReaderGone || error instanceof BadLine
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
 * because a generator can't be closed while it waits for a row that never arrives.
 */
class RowFeed extends Readable {
  /** The error that ended the source. */
  failure: Error | undefined
  readonly #source: RowSource
  readonly #rows: AsyncIterator<unknown>
  readonly #count: () => void
  #stopped = false
  #busy = false

  constructor(source: RowSource, stop: AbortSignal, count: () => void) {
    super({ objectMode: true, highWaterMark: 64 })
    this.#source = source
    this.#rows = source[Symbol.asyncIterator]()
    this.#count = count
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
      const { done, value } = await this.#rows.next()
      if (this.#stopped || this.destroyed) return
      if (done) {
        this.push(null)
        return
      }
      this.#count()
      if (!this.push(value)) {
        this.#busy = false
        return
      }
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
  readonly path: string
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

  override _write(row: unknown, _encoding: BufferEncoding, callback: Done): void {
    if (this.#saved) {
      this.#saved.then(() => this.#save([row])).then(() => callback(), callback)
      return
    }
    if (this.#sink.write(row)) {
      callback()
      return
    }
    const go = () => {
      this.#sink.off('drain', go).off('close', go)
      callback()
    }
    this.#sink.on('drain', go).on('close', go)
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
      .then(() => callback(error), callback)
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
    const file = await open(this.path, this.rows === 0 ? 'w' : 'a', 0o600)
    try {
      await file.appendFile(rows.map((row) => `${serialize(row)}\n`).join(''))
      await file.datasync()
    } finally {
      await file.close()
    }
    this.rows += rows.length
  }
}
