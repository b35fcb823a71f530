import type { Readable } from 'node:stream'
import { Command, Option } from 'commander'
import { OptionError } from '../core/errors.ts'
import { type Numeric, otherSpelling } from '../core/options.ts'
import { counted, durationText } from '../core/quantities.ts'
import type { Json, Offset, Slice } from '../core/slice.ts'
import { rangeSpecs } from '../source/options.ts'
import type { SliceSource } from '../source/planner.ts'
import type { QueueOptions, WindowQueue } from '../streaming/bullmq/index.ts'
import { planWindows } from '../streaming/plan-windows.ts'
import { hasPassword } from './connector-flags.ts'
import { exitCodes, printable } from './failures.ts'
import { type Job, readJobFile } from './job.ts'
import { loadPackages } from './optional-parts.ts'
import { type Plan, planJob } from './plan.ts'

const about = `Adds the windows of a job to a queue, for any number of workers.

The job's source gives the range by "timespan", or "start_time" and "end_time", and the windows by "partition_duration" or "num_partitions". Planning again keeps the windows that are already there, waiting or done.`

/** The command `plan`. @param finish sets the exit code */
export function planCommand(finish: (code: number) => void): Command {
  const command = new Command('plan').description(about).argument('<job.json>', 'the job file')
  for (const flag of queueFlags()) command.addOption(flag)
  command.option('--replace', 'removes all windows of the queue first, done or not')
  return command.action(async (path: string, flags: QueueFlags & { replace?: true }) => {
    const job = await queueJob(await readJobFile(path, process.env))
    const source = job.makeSource()
    try {
      await using queue = await openQueueOf(flags, source.identity)
      if (flags.replace) await queue.clear()
      const { windows, laid } = await layWindows(job, source, queue)
      const { planned, added } = await queue.plan(windows, laid)
      process.stdout.write(
        `${counted(planned, 'window')} planned, ${added.toLocaleString('en')} of them new, in the queue ${queue.name}\n`,
      )
      finish(exitCodes.done)
    } finally {
      source.destroy()
    }
  })
}

type Finish = (code: number) => void

/** The command `queue` with its subcommands. @param finish sets the exit code */
export function queueCommand(finish: Finish): Command {
  const command = new Command('queue').description('Shows and controls a queue of windows.')
  const add = (
    name: string,
    summary: string,
    act: (queue: WindowQueue<Slice>, json: boolean) => Promise<string>,
  ) => {
    const each = command
      .command(name)
      .summary(summary)
      .description(summary)
      .argument(
        '[url]',
        'redis://, rediss:// or postgres:// URL of the server that keeps the queue (default: the variable CYBER_CONNECTORS_QUEUE)',
      )
      .addOption(nameFlag())
    if (name === 'status') each.option('--json', 'as JSON')
    each.action(
      async (given: string | undefined, { name, json = false }: { name: string; json?: boolean }) => {
        const url = given ?? process.env['CYBER_CONNECTORS_QUEUE']
        await using queue = await openQueueOf({ queue: url, name }, undefined, 'url')
        process.stdout.write(`${printable(await act(queue, json))}\n`)
        finish(exitCodes.done)
      },
    )
  }
  add('status', 'shows how far a queue is, and which windows failed', statusText)
  add('retry', 'queues failed windows again', async (queue) => {
    const count = await queue.retry()
    return `${counted(count, 'window')} ${count === 1 ? 'is' : 'are'} back in the queue`
  })
  add('pause', 'starts no more windows; those in flight continue', async (queue) => {
    await queue.pause()
    return `the queue ${queue.name} is paused`
  })
  add('resume', 'starts windows again', async (queue) => {
    await queue.resume()
    return `the queue ${queue.name} goes on`
  })
  return command
}

async function statusText(queue: WindowQueue<Slice>, json: boolean): Promise<string> {
  const status = await queue.status()
  const failures = await queue.failed()
  if (json) return JSON.stringify({ ...status, failures })
  const { total, waiting, active, delayed, completed, failed, paused, secondsLeft } = status
  const left =
    secondsLeft === undefined || secondsLeft === 0
      ? ''
      : `, about ${durationText(Math.ceil(secondsLeft))} left`
  const lines = [
    `${completed} of ${counted(total, 'window')} done${left}${paused ? '; the queue is paused' : ''}`,
    `${waiting} waiting, ${active} in flight, ${delayed} delayed, ${failed} failed`,
    ...failures.map(({ window, reason }) => `failed: ${window.id}: ${reason}`),
  ]
  return lines.join('\n')
}

export interface QueueFlags {
  readonly queue?: string | undefined
  readonly name?: string
  readonly concurrency?: Numeric
  readonly rate?: Numeric
}

/** A job whose windows a queue distributes. */
export interface QueueJob {
  readonly plan: Plan
  /** The source's options that define the range. */
  readonly range: Readonly<Record<string, unknown>>
  makeSource(): Readable & SliceSource<Slice, Offset>
}

export const queueFlags = () => [
  new Option(
    '--queue <url>',
    'redis://, rediss:// or postgres:// URL of the server that keeps the queue',
  ).env('CYBER_CONNECTORS_QUEUE'),
  nameFlag(),
  new Option('--concurrency <windows>', 'maximum windows in flight, over all workers (default: 4)'),
  new Option('--rate <windows>', 'maximum windows started a second, over all workers (default: 6)'),
]

const nameFlag = () =>
  new Option('--name <name>', 'name of the queue on its server').default('cyber-connectors')

/** Checks a job for a queue: its source must read slice by slice. @throws OptionError */
export async function queueJob(job: Job): Promise<QueueJob> {
  const ranges = new Set(Object.keys(rangeSpecs).flatMap((name) => [name, otherSpelling(name)]))
  const options = Object.entries(job.source.options)
  const range = Object.fromEntries(options.filter(([name]) => ranges.has(name)))
  const others = Object.fromEntries(options.filter(([name]) => !ranges.has(name)))
  const source = { ...job.source, options: others }
  if (job.sink.connector === '-')
    throw new OptionError('job', ['sink: expected one that workers can write to, got "-", standard output'])
  // The queue keeps the offsets; a placeholder checkpoint makes the job a streaming one.
  const plan = await planJob({ ...job, source, checkpoint: '.', trigger: undefined, windows: undefined })
  return { plan, range, makeSource: () => plan.makeStream!() as Readable & SliceSource<Slice, Offset> }
}

/** What the windows of a queue were laid from: the options of the range, and the start and end that they meant then. */
interface Laid {
  readonly range: string
  readonly start: string
  readonly end: string
}

/**
 * The windows of a job's range, or without a range those that its source plans. A range like the last two days means
 * other windows each time; what it meant the first time is kept in the queue and counts.
 * @throws OptionError if the queue was planned for another range
 */
async function layWindows(
  { range }: QueueJob,
  source: SliceSource<Slice, Offset>,
  queue: WindowQueue<Slice>,
): Promise<{ windows: Iterable<Slice> | AsyncIterable<Slice>; laid?: Json }> {
  if (Object.keys(range).length === 0) {
    const { planner } = source
    const until = await planner.latestOffset(new AbortController().signal)
    return { windows: planner.slices(await source.initialOffset(), until) }
  }
  const text = JSON.stringify(Object.entries(range).sort(([a], [b]) => (a < b ? -1 : 1)))
  const before = (await queue.plannedFrom()) as unknown as Laid | undefined
  if (before === undefined) {
    const windows = planWindows(range)
    const [first, last] = [windows[0], windows.at(-1)]
    return { windows, ...(first && last && { laid: { range: text, start: first.start, end: last.end } }) }
  }
  const { start, end } = before
  if (before.range !== text) {
    throw new OptionError('plan', [
      `the queue ${queue.name} has the windows from ${start} to ${end} of another range: give this plan a --name of its own, or --replace them`,
    ])
  }
  const names = new Set(['timespan', 'start_time', 'startTime', 'end_time', 'endTime'])
  const others = Object.fromEntries(Object.entries(range).filter(([name]) => !names.has(name)))
  return { windows: planWindows({ ...others, start_time: start, end_time: end }), laid: { ...before } }
}

/** Opens the queue of a command. @throws OptionError, CheckpointError */
export async function openQueueOf(
  { queue: url, name, concurrency, rate }: QueueFlags,
  identity?: QueueOptions['identity'],
  flag = '--queue',
): Promise<WindowQueue<Slice>> {
  if (url === undefined) throw new OptionError('flags', [`${flag}: is required (or CYBER_CONNECTORS_QUEUE)`])
  if (hasPassword(url) && url !== process.env['CYBER_CONNECTORS_QUEUE'])
    throw new OptionError('flags', [
      `${flag}: it has a user or password in it, and a flag shows in the process list and in the shell's history. Set the variable CYBER_CONNECTORS_QUEUE instead`,
    ])
  const { openQueue } = await loadQueue()
  return openQueue<Slice>({ url, name, identity, concurrency, rate })
}

/** @throws OptionError if the packages are not installed */
export function loadQueue(): Promise<typeof import('../streaming/bullmq/index.ts')> {
  const needs =
    'needs the packages bullmq and ioredis (for Redis) or pg (for PostgreSQL): npm install bullmq ioredis'
  return loadPackages('queue', needs, () => import('../streaming/bullmq/index.ts'))
}
