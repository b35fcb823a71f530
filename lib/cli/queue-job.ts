import type { Readable } from 'node:stream'
import { Option } from 'commander'
import { OptionError } from '../core/errors.ts'
import { otherSpelling } from '../core/options.ts'
import type { Offset, Slice } from '../core/slice.ts'
import { rangeSpecs } from '../source/options.ts'
import type { SliceSource } from '../source/slice-source.ts'
import type { QueueOptions, WindowQueue } from '../streaming/bullmq/index.ts'
import { planWindows } from '../streaming/plan-windows.ts'
import type { Job } from './job.ts'
import { loadPackages } from './load-packages.ts'
import { type Plan, planJob } from './plan.ts'

export interface QueueFlags {
  readonly queue?: string
  readonly name?: string
  readonly concurrency?: string
  readonly rate?: string
}

/** A job whose windows go through a queue. */
export interface QueueJob {
  readonly plan: Plan
  /** The options of the source that are about the range, and not about how it is read. */
  readonly range: Readonly<Record<string, unknown>>
  makeSource(): Readable & SliceSource<Slice, Offset>
}

export const queueFlags = () => [
  new Option(
    '--queue <url>',
    'redis://, rediss:// or postgres:// URL of the server that keeps the queue',
  ).env('CYBER_CONNECTORS_QUEUE'),
  nameFlag(),
  new Option('--concurrency <windows>', 'windows under way at once, over all workers (default: 4)'),
  new Option('--rate <windows>', 'windows begun a second, over all workers (default: 6)'),
]

export const nameFlag = () =>
  new Option('--name <name>', 'tells the queues of one server apart').default('cyber-connectors')

/** Checks a job that is to go through a queue: its source must be one that is read slice by slice. @throws OptionError */
export async function queueJob(job: Job): Promise<QueueJob> {
  const ranges = new Set(Object.keys(rangeSpecs).flatMap((name) => [name, otherSpelling(name)]))
  const options = Object.entries(job.source.options)
  const range = Object.fromEntries(options.filter(([name]) => ranges.has(name)))
  const others = Object.fromEntries(options.filter(([name]) => !ranges.has(name)))
  const source = { ...job.source, options: others }
  // The queue is what keeps account: any checkpoint makes it a job that is read slice by slice.
  const plan = await planJob({ ...job, source, checkpoint: '.', trigger: undefined, windows: undefined })
  return { plan, range, makeSource: () => plan.makeStream!() as Readable & SliceSource<Slice, Offset> }
}

/** The slices of a job: the windows of its range, or, without one, what its source plans itself. */
export async function slicesOf({ range }: QueueJob, source: SliceSource<Slice, Offset>) {
  if (Object.keys(range).length > 0) return planWindows(range) as Iterable<Slice>
  return source.slices(await source.initialOffset(), await source.latestOffset())
}

/** Opens the queue of a command. @throws OptionError, CheckpointError */
export async function openQueueOf(
  { queue: url, name, concurrency, rate }: QueueFlags,
  identity?: QueueOptions['identity'],
): Promise<WindowQueue<Slice>> {
  if (url === undefined) throw new OptionError('flags', ['--queue: is required (or CYBER_CONNECTORS_QUEUE)'])
  const { openQueue } = await loadQueue()
  return openQueue<Slice>({ url, name, identity, concurrency, rate })
}

/** @throws OptionError where the packages are not installed */
export function loadQueue(): Promise<typeof import('../streaming/bullmq/index.ts')> {
  const needs =
    'needs the packages bullmq and ioredis (for Redis) or pg (for PostgreSQL): npm install bullmq ioredis'
  return loadPackages('queue', needs, () => import('../streaming/bullmq/index.ts'))
}
