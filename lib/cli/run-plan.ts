import type { Readable, Writable } from 'node:stream'
import { finished, pipeline } from 'node:stream/promises'
import { DeadLetterOffice } from '../core/dead-letter.ts'
import { parseInstant, ticksPerMillisecond } from '../core/time.ts'
import type { WindowSource } from '../core/window-source.ts'
import { streamingQuery } from '../streaming/streaming-query.ts'
import { checkpointOf } from './job.ts'
import type { BadLine } from './ndjson.ts'
import { openDeadLetter, type Plan } from './plan.ts'
import type { Report } from './report.ts'
import { RowFeed } from './row-feed.ts'
import { standardInput } from './standard-input.ts'
import { StandardOutput } from './standard-output.ts'
import type { StopSignals } from './stop-signals.ts'
import type { Tally } from './tally.ts'

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
    await (plan.streaming ? runStreaming : runBounded)(plan, deadLetter, context)
  } finally {
    if (deadLetter && !deadLetter.destroyed) {
      deadLetter.end()
      await finished(deadLetter)
    }
  }
}

async function runBounded(plan: Plan, deadLetter: Writable | undefined, context: RunContext): Promise<void> {
  const { tally, signals } = context
  const source = plan.makeSource?.()
  if (source) tally.watchSource(source)
  const rows = source ?? standardInput(deadLetter && badLines(deadLetter, tally))
  const feed = new RowFeed(rows, signals.stop, () => tally.read++)
  const sink = makeSink(plan, deadLetter, tally)
  const streams = [feed, ...plan.makeStages(), sink] as unknown as readonly NodeJS.ReadWriteStream[]
  await pipeline(streams, { signal: signals.abort })
  if (feed.failure) throw feed.failure
}

async function runStreaming(
  plan: Plan,
  deadLetter: Writable | undefined,
  { tally, signals, report }: RunContext,
): Promise<void> {
  const { checkpoint, trigger, windows, source: endpoint } = plan.job
  const source = plan.makeSource!() as Readable & WindowSource
  tally.watchSource(source)
  tally.windows = 0
  const at = (timestamp: string) => Number(parseInstant(timestamp)! / ticksPerMillisecond)
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
    sink: () => makeSink(plan, deadLetter, tally),
    ...(checkpointOf(endpoint) === undefined && { checkpointLocation: checkpoint }),
    trigger,
    ...windows,
    signal: signals.abort,
  })
  query.on('start', ({ timestamp }) => {
    tally.committed = at(timestamp)
    report.note('start', `reading on from ${timestamp}`, { offset: timestamp })
  })
  query.on('progress', ({ offset }) => {
    tally.windows!++
    tally.committed = at(offset.timestamp)
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
