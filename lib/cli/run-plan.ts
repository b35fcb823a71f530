import type { Writable } from 'node:stream'
import { finished } from 'node:stream/promises'
import { offsetText } from '../core/slice.ts'
import { openStore } from '../stores/open-store.ts'
import { streamingQuery } from '../streaming/streaming-query.ts'
import { openDeadLetter, type Plan } from './plan.ts'
import { StreamNotes } from './report.ts'
import { makeSink, type RunContext, runBounded } from './run-bounded.ts'

/**
 * Runs a job to its end, or until a signal stops it; rows in flight are delivered first.
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

async function runStreaming(
  plan: Plan,
  deadLetter: Writable | undefined,
  { tally, signals, report }: RunContext,
): Promise<void> {
  const { checkpoint, trigger, windows } = plan.job
  const source = plan.makeStream!()
  const notes = new StreamNotes(report)
  tally.watchSource(source)
  notes.watch(source)
  tally.windows = 0
  const query = streamingQuery({
    source,
    transform: () => [
      async function* counted(rows: AsyncIterable<Record<string, unknown>>) {
        for await (const row of rows) {
          tally.noteRead()
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
    if (lag !== undefined) tally.committed = performance.now() - lag
  })
  query.on('idle', () => {
    if (query.offset && !('timestamp' in query.offset)) tally.noteCaughtUp()
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
