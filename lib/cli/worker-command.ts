import { once } from 'node:events'
import type { Writable } from 'node:stream'
import { finished } from 'node:stream/promises'
import { Command, Option } from 'commander'
import type { Numeric } from '../core/options.ts'
import type { Slice } from '../core/slice.ts'
import type { QueueStatus, WindowQueue } from '../streaming/bullmq/index.ts'
import { exitCodeOf, exitCodes } from './failures.ts'
import { readJobFile } from './job.ts'
import { listenFlag, serveIfAsked } from './optional-parts.ts'
import { openDeadLetter } from './plan.ts'
import {
  loadQueue,
  openQueueOf,
  type QueueFlags,
  type QueueJob,
  queueFlags,
  queueJob,
} from './queue-commands.ts'
import { type JobReport, startReport } from './report.ts'
import { addLogFlags, type LogFlags } from './run-command.ts'
import { StopSignals } from './stop-signals.ts'
import { Tally } from './tally.ts'

const about = `Delivers the windows of a queue until it is stopped. Start any number of workers, on any number of hosts.

SIGTERM returns the windows in flight to the queue and ends the worker. On an error that would fail every window, such as a wrong token, the worker returns its windows, pauses the queue and ends with the exit code of the error; "queue resume" continues.`

interface WorkerFlags extends QueueFlags, LogFlags {
  readonly windowsInFlight?: Numeric
  readonly lockSeconds?: Numeric
  readonly availableNow?: boolean
}

/** Milliseconds between two reads of the queue's status. */
const lookInterval = 2000

/** The command `worker`. @param finish sets the exit code */
export function workerCommand(finish: (code: number) => void): Command {
  const command = new Command('worker').description(about).argument('<job.json>', 'the job file')
  for (const flag of queueFlags()) command.addOption(flag)
  command
    .addOption(
      new Option(
        '--windows-in-flight <windows>',
        "maximum windows of this worker in flight (default: the queue's)",
      ),
    )
    .addOption(
      new Option(
        '--lock-seconds <seconds>',
        'after which another worker gets the window of a dead one',
      ).default('10'),
    )
    .option('--available-now', 'ends once all windows of the queue are done or failed')
    .addOption(listenFlag())
  return addLogFlags(command).action(async (path: string, flags: WorkerFlags) => {
    finish(await work(await queueJob(await readJobFile(path, process.env)), flags))
  })
}

async function work(job: QueueJob, flags: WorkerFlags): Promise<number> {
  const { startWorker } = await loadQueue()
  const source = job.makeSource()
  await using queue = await openQueueOf(flags, source.identity)
  const deadLetter = await openDeadLetter(job.plan)
  const tally = new Tally()
  tally.watchSource(source)
  tally.windows = 0
  const report = startReport(flags.log ?? (process.stderr.isTTY ? 'live' : 'json'), tally, flags.logInterval)
  using signals = new StopSignals((signal) => {
    report.note('stopping', `${signal}: returning the windows in flight to the queue`, { signal })
  })
  const look = watchQueue(queue, tally)
  try {
    await using _metrics = await serveIfAsked(flags.listen, job.plan.job, report, queue)
    const worker = startWorker<Slice>({
      queue,
      source,
      transform: () => [
        async function* counted(rows) {
          for await (const row of rows) {
            tally.read++
            yield row
          }
        },
        ...job.plan.makeStages(),
      ],
      sink: () => makeSink(job, deadLetter, tally),
      windows_in_flight: flags.windowsInFlight,
      lock_seconds: flags.lockSeconds,
      available_now: flags.availableNow,
      signal: signals.stop,
    })
    reportEvents(worker, report, tally)
    await Promise.race([worker.done, aborted(signals.abort)])
    await look.now()
    report.end(signals.exitCode === undefined ? 'done' : 'stopped')
    return signals.abort.aborted ? signals.exitCode! : exitCodes.done
  } catch (error) {
    report.end('failed')
    report.failure(error)
    return exitCodeOf(error)
  } finally {
    look.stop()
    source.destroy()
    if (deadLetter && !deadLetter.destroyed) {
      deadLetter.end()
      await finished(deadLetter)
    }
  }
}

function makeSink({ plan }: QueueJob, deadLetter: Writable | undefined, tally: Tally): Writable {
  const sink = plan.makeSink!(deadLetter)
  tally.watchSink(sink)
  return sink
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, 'abort')
}

type StartedWorker = import('../streaming/bullmq/index.ts').WindowWorker<Slice>

function reportEvents(worker: StartedWorker, report: JobReport, tally: Tally): void {
  worker.on('progress', () => {
    tally.windows!++
  })
  worker.on('retry', ({ window, error, wait, holdAll }) => {
    tally.reruns++
    const who = holdAll ? 'all workers wait' : 'retried in'
    report.note('retry', `${error.message}; ${who} ${Math.ceil(wait / 1000)} s`, {
      window: window.id,
      wait_seconds: wait / 1000,
      hold_all: holdAll,
    })
  })
  worker.on('failed', ({ window, error }) => {
    report.note('failed', error.message, { window: window.id })
  })
  worker.on('stalled', () => report.note('stalled', 'the window of a dead worker is back in the queue'))
  worker.on('queueError', (error) => report.note('queue', error.message))
}

/** Reads the status of the queue at intervals, for the counts that are shown. */
function watchQueue(queue: WindowQueue<Slice>, tally: Tally): { now(): Promise<void>; stop(): void } {
  const now = async () => {
    const status: QueueStatus | undefined = await queue.status().catch(() => undefined)
    if (status) tally.queue = status
  }
  const timer = setInterval(() => void now(), lookInterval)
  void now()
  return { now, stop: () => clearInterval(timer) }
}
