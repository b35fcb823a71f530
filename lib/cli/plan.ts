import { open } from 'node:fs/promises'
import { resolve } from 'node:path'
import { type Readable, Writable } from 'node:stream'
import { OptionError } from '../core/errors.ts'
import { type Named, type OptionSpecs, otherSpelling, type Report } from '../core/options.ts'
import { type Connector, maker, type StreamingSource, type StreamMaker } from '../registry.ts'
import { DeadLetterFile } from '../sink/dead-letter.ts'
import { declarationsOf, givenByName, standardStreams } from './connector-options.ts'
import type { Endpoint, Job } from './job.ts'
import { loadModules, loadTransforms, type MakeStages } from './transforms.ts'

/** A job with valid options, ready to run. */
export interface Plan {
  readonly job: Job
  /** Makes the source of a bounded job; undefined for standard input and streaming jobs. */
  readonly makeSource: (() => Readable) | undefined
  /** Makes the source of a streaming job, which reads window by window and keeps offsets. */
  readonly makeStream: (() => StreamingSource) | undefined
  /** Makes the sink; undefined for standard output. */
  readonly makeSink: ((deadLetter: Writable | undefined) => Writable) | undefined
  readonly makeStages: MakeStages
  /** Where refused rows go. */
  readonly deadLetterPath: string | undefined
}

/**
 * Checks a job before anything is opened.
 * @throws OptionError that lists all problems of source, sink, transforms and job
 */
export async function planJob(job: Job): Promise<Plan> {
  const problems = [...(job.problems ?? [])]
  const report: Report = (problem) => problems.push(problem)
  await loadModules(job.imports, report)
  const source = located(job, 'source')
  const sink = located(job, 'sink')
  const streaming = isStreaming(job, source, report)
  const letter = splitDeadLetter(source, 'source', report)
  const sample = { ...letter.others, ...(letter.deadLetter && { [letter.deadLetter.name]: neverWritten() }) }
  const isStream = streaming || job.follow === true
  const readable = isStream ? undefined : resolved('source', source, 'readable', sample, job, report)
  const stream = isStream ? resolved('source', source, 'streamReadable', sample, job, report) : undefined
  // A dead letter file is open only during a write, so nothing needs closing.
  const sourceOptions = () => ({
    ...letter.others,
    ...(isWrittenAsItStands(job, source, sink) && { rows: 'json' }),
    ...(letter.deadLetter && { [letter.deadLetter.name]: new DeadLetterFile(letter.deadLetter.path) }),
  })
  if (job.limit !== undefined && streaming)
    report('limit: a job with a checkpoint moves whole windows; leave out one of them')
  if (job.follow && source.connector === '-') report('follow: standard input is always read to its end')
  if (streaming && source.connector === '-') report('checkpoint: standard input has no offsets to keep')
  const { deadLetter, others } = splitDeadLetter(sink, 'sink', report)
  const placeholder = deadLetter ? { [deadLetter.name]: neverWritten() } : {}
  const writable = resolved('sink', sink, 'writable', { ...others, ...placeholder }, job, report)
  const makeStages = await loadTransforms(job.transforms, report)
  if (problems.length > 0) throw new OptionError(job.name ?? 'job', problems)
  return {
    job: { ...job, source, sink },
    makeSource:
      (readable && (() => readable.create(sourceOptions()))) ??
      // Followed without a checkpoint, the source is one endless stream.
      (streaming ? undefined : stream && (() => stream.create(sourceOptions()))),
    makeStream: streaming ? stream && (() => stream.create(sourceOptions())) : undefined,
    makeSink:
      writable &&
      ((stream) =>
        writable.create({ ...others, ...(deadLetter && stream && { [deadLetter.name]: stream }) })),
    makeStages,
    deadLetterPath: deadLetter?.path,
  }
}

/** Sinks that write a row's text unchanged. */
const sinksOfText = new Set(['-', 'splunk', 'rest', 'ms-sentinel', 'sentinel'])

/** Options by which rows are no longer the lines of a file. */
const changing = new Set([
  'rows',
  'format',
  'schema',
  'filepathcolumn',
  'fileoffsetcolumn',
  'filemodificationtimecolumn',
])

/** Whether lines of JSON go from files to a sink with nothing in between: then no row is parsed. */
function isWrittenAsItStands({ transforms }: Job, source: Endpoint, sink: Endpoint): boolean {
  const isChanged = ([name, value]: [string, unknown]) =>
    changing.has(name.replaceAll('_', '').toLowerCase()) && !(name === 'format' && value === 'ndjson')
  return (
    source.connector === 'files' &&
    sinksOfText.has(sink.connector) &&
    transforms.length === 0 &&
    !Object.entries(source.options).some(isChanged)
  )
}

/** Opens the plan's dead letter. @throws OptionError if its file can't be written */
export async function openDeadLetter({ deadLetterPath, job }: Plan): Promise<DeadLetterFile | undefined> {
  if (deadLetterPath === undefined) return undefined
  try {
    await (await open(deadLetterPath, 'a', 0o600)).close()
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new OptionError(job.name ?? 'job', [
      `dead_letter: can't write ${JSON.stringify(deadLetterPath)} (${code})`,
    ])
  }
  return new DeadLetterFile(deadLetterPath)
}

/** Whether the job or its source has a checkpoint, or the service keeps the offsets of a consumer group. */
function isStreaming({ checkpoint, trigger, windows = {} }: Job, source: Endpoint, report: Report): boolean {
  const specs = specsOf(source, 'source')
  const keeps = (kind: Named) => givenByName(specs, source.options, kind).length > 0
  if (checkpoint !== undefined || keeps('checkpoint') || keeps('consumer group')) return true
  for (const [name, value] of Object.entries({ trigger, ...windows })) {
    if (value !== undefined) report(`${name}: needs a checkpoint`)
  }
  return false
}

/** An endpoint of the job, with paths in its options resolved against the job's folder. */
function located({ folder, ...job }: Job, noun: 'source' | 'sink'): Endpoint {
  const endpoint = job[noun]
  if (folder === undefined) return endpoint
  const specs = specsOf(endpoint, noun)
  const options: Record<string, unknown> = { ...endpoint.options }
  for (const kind of ['file', 'checkpoint', 'dead letter'] as const) {
    for (const { given, value } of givenByName(specs, options, kind)) {
      // A certificate may be given inline instead of by its path.
      const absolute = (path: unknown) =>
        typeof path === 'string' && path !== '' && !path.includes('-----BEGIN') ? resolve(folder, path) : path
      options[given] = Array.isArray(value) ? value.map(absolute) : absolute(value)
    }
  }
  return { ...endpoint, options }
}

/** All options of an endpoint. None if its connector is unknown or declares no options. */
function specsOf({ connector }: Endpoint, noun: 'source' | 'sink'): OptionSpecs {
  try {
    return Object.assign({}, ...declarationsOf(connector, noun).map(({ specs }) => specs)) as OptionSpecs
  } catch (error) {
    if (!(error instanceof OptionError)) throw error
    return {}
  }
}

/** Finds a connector and checks its options. @returns undefined for a standard stream, or after reporting a problem */
function resolved<K extends keyof Connector>(
  noun: 'source' | 'sink',
  { connector }: Endpoint,
  kind: K,
  options: Readonly<Record<string, unknown>>,
  { unresolved }: Job,
  report: Report,
): NonNullable<Connector[K]> | undefined {
  try {
    if (connector === '-') {
      standardStreams[noun].resolve(options)
      return undefined
    }
    const found = maker(connector, kind, kind === 'streamReadable' ? 'streaming source' : noun)
    const { declaration } = found as StreamMaker<unknown>
    declaration?.resolve(options)
    return found
  } catch (error) {
    if (!(error instanceof OptionError)) throw error
    for (const problem of error.problems ?? []) {
      const option = problem.split(':')[0]!
      // A missing variable is reported already.
      const names = [option, otherSpelling(option)].map((name) => `${noun}.options.${name}`)
      if (!names.some((name) => unresolved?.has(name))) report(`${noun} ${connector}: ${problem}`)
    }
    return undefined
  }
}

/** A placeholder for the dead letter while options are checked: its file is created only when the job runs. */
function neverWritten(): Writable {
  return new Writable({ objectMode: true })
}

/** Separates the dead letter, which is a path here and a stream in a program, from the other options. */
function splitDeadLetter(
  endpoint: Endpoint,
  noun: 'source' | 'sink',
  report: Report,
): { deadLetter: { name: string; path: string } | undefined; others: Record<string, unknown> } {
  const found = givenByName(specsOf(endpoint, noun), endpoint.options, 'dead letter')
  const others = { ...endpoint.options }
  for (const { given } of found) delete others[given]
  const [first, second] = found
  if (!first) return { deadLetter: undefined, others }
  const { name, given, value } = first
  if (second) report(`${noun}: ${name}: given twice, as "${given}" and as "${second.given}"`)
  if (typeof value === 'string' && value !== '') return { deadLetter: { name, path: value }, others }
  report(`${noun}: ${name}: expected the path of a file`)
  return { deadLetter: undefined, others }
}
