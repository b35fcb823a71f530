import { resolve } from 'node:path'
import type { Writable } from 'node:stream'
import { finished, pipeline } from 'node:stream/promises'
import { ConnectorError } from '../core/errors.ts'
import type { Offset } from '../core/slice.ts'
import { DeadLetterOffice } from '../sink/dead-letter.ts'
import { openStore } from '../stores/open-store.ts'
import { streamingQuery } from '../streaming/streaming-query.ts'
import { fileInput } from './file-input.ts'
import { BadLine } from './ndjson.ts'
import { openDeadLetter, type Plan } from './plan.ts'
import type { Report } from './report.ts'
import { RetryNotes } from './retry-notes.ts'
import { RowFeed } from './row-feed.ts'
import { standardInput } from './standard-input.ts'
import { ReaderGone, StandardOutput } from './standard-output.ts'
import type { StopSignals } from './stop-signals.ts'
import type { Tally } from './tally.ts'
import { TransformFailure } from './transform-failure.ts'
import { UndeliveredGuard } from './undelivered.ts'

/** What a run is told, and tells. */
export interface RunContext {
  readonly tally: Tally
  readonly signals: Pick<StopSignals, 'stop' | 'abort'>
  readonly report: Report
}

/**
 * Runs a job to its end, or until it is told to stop: then what is under way is delivered first.
 * @throws the error of the stream that failed
 */
export async function runPlan(plan: Plan, context: RunContext): Promise<void> {
  const deadLetter = await openDeadLetter(plan)
  try {
    await (plan.makeStream ? runStreaming : runBounded)(plan, deadLetter, context)
  } finally {
    if (deadLetter && !deadLetter.destroyed) {
      deadLetter.end()
      await finished(deadLetter)
    }
  }
}

async function runBounded(plan: Plan, deadLetter: Writable | undefined, context: RunContext): Promise<void> {
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
  // Whoever reads standard output has the rows, or has gone.
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
    // Where a transform could not be made, no pipeline has closed them.
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
 * What stands in a pipe is lost once this process has ended: so it is read until it ends or nothing has come for a second,
 * a minute at most.
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

/** Whether an error comes from a connector or the command itself, and not from a transform of the user's. */
function isOurs(error: unknown): boolean {
  return error instanceof ConnectorError || error instanceof ReaderGone || error instanceof BadLine
}

/** Where rows go that were read and not delivered: as told, beside the dead letter, or in the working directory. */
function undeliveredPath({ job, deadLetterPath }: Plan): string {
  if (job.undelivered !== undefined) return job.undelivered
  if (deadLetterPath !== undefined) return `${deadLetterPath}.undelivered`
  return resolve(`undelivered-${new Date().toISOString().replaceAll(':', '-')}.ndjson`)
}

async function runStreaming(
  plan: Plan,
  deadLetter: Writable | undefined,
  { tally, signals, report }: RunContext,
): Promise<void> {
  const { checkpoint, trigger, windows } = plan.job
  const source = plan.makeStream!()
  const notes = new RetryNotes(report)
  tally.watchSource(source)
  notes.watch(source)
  tally.windows = 0
  const query = streamingQuery({
    source,
    transform: () => [
      async function* counted(rows: AsyncIterable<Record<string, unknown>>) {
        for await (const row of rows) {
          tally.read++
          yield row
        }
      },
      ...plan.makeStages(),
    ],
    sink: () => {
      const sink = makeSink(plan, deadLetter, tally)
      notes.watch(sink)
      return sink
    },
    ...(source.checkpointLocation === undefined &&
      checkpoint !== undefined && { checkpoint: openStore(checkpoint) }),
    trigger,
    ...windows,
    signal: signals.abort,
  })
  query.on('start', (offset) => {
    report.note('start', `reading on from ${offsetText(offset)}`, { offset: offsetText(offset) })
  })
  query.on('progress', ({ lag }) => {
    tally.windows!++
    if (lag !== undefined) tally.committed = Date.now() - lag
  })
  query.on('retry', ({ window, part, error, attempts, wait }) => {
    tally.reruns++
    const text = `${part} failed, the window ${window.id} is run again in ${Math.round(wait / 1000)} s: ${error.message}`
    report.note('retry', text, { window: window.id, part, attempts, wait_seconds: wait / 1000 })
  })
  const stop = () => void query.stop().catch(() => {})
  if (signals.stop.aborted) stop()
  signals.stop.addEventListener('abort', stop, { once: true })
  try {
    await query.done
  } finally {
    signals.stop.removeEventListener('abort', stop)
    source.destroy()
  }
}

/** An offset may name thousands of files. */
const longestOffset = 200

/** An offset as text: the time that it stands at, or whatever else a source counts by. */
function offsetText(offset: Offset): string {
  const [value, ...others] = Object.values(offset)
  if (typeof value === 'string' && others.length === 0) return value
  const text = JSON.stringify(offset)
  return text.length > longestOffset ? `${text.slice(0, longestOffset)}…` : text
}

function makeSink(plan: Plan, deadLetter: Writable | undefined, tally: Tally): Writable {
  const sink = plan.makeSink?.(deadLetter) ?? new StandardOutput({ dead_letter: deadLetter })
  tally.watchSink(sink)
  return sink
}

/** Puts lines that can't be read into the dead letter. */
function badLines(deadLetter: Writable, tally: Tally): (bad: BadLine) => Promise<void> {
  const office = new DeadLetterOffice(deadLetter)
  return async ({ text, message }) => {
    const reason = { code: 'ERR_ROW', text: message }
    await office.take({ row: text, connector: '-', reason, at: new Date().toISOString() })
    tally.badLines++
    tally.read++
  }
}
