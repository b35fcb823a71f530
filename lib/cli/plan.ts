import { open } from 'node:fs/promises'
import { type Readable, Writable } from 'node:stream'
import { DeadLetterFile } from '../core/dead-letter.ts'
import { OptionError } from '../core/errors.ts'
import { declareOptions, type OptionDeclaration, type OptionSpecs, type Report } from '../core/options.ts'
import { sinkSpecs } from '../core/sink-options.ts'
import { type Connector, maker, type StreamMaker } from '../registry.ts'
import { checkpointOf, type Endpoint, type Job } from './job.ts'
import { loadModules, loadTransforms, type MakeStages } from './transforms.ts'

/** A job whose options are all right, ready to run. */
export interface Plan {
  readonly job: Job
  /** Whether the source is read window by window, its offsets kept. */
  readonly streaming: boolean
  /** Makes the source; undefined for standard input. */
  readonly makeSource: (() => Readable) | undefined
  /** Makes the sink; undefined for standard output. */
  readonly makeSink: ((deadLetter: Writable | undefined) => Writable) | undefined
  readonly makeStages: MakeStages
  /** Where refused rows go. */
  readonly deadLetterPath: string | undefined
}

const { dead_letter } = sinkSpecs({ batch_size: 1, batch_bytes: 1, max_in_flight: 1 })

/** The options of `-`, by what it is. */
export const standardStreams = {
  source: declareOptions('standard input', {}),
  sink: declareOptions('standard output', { dead_letter }),
}

/**
 * Checks all of a job before anything is opened.
 * @throws OptionError that lists the problems of source, sink, transforms and the job as a whole
 */
export async function planJob(job: Job): Promise<Plan> {
  const problems: string[] = []
  const report: Report = (problem) => problems.push(problem)
  await loadModules(job.imports, report)
  const { source, sink } = job
  const streaming =
    job.checkpoint !== undefined || job.trigger !== undefined || checkpointOf(source) !== undefined
  const sourceMaker = resolved(
    'source',
    source,
    streaming ? 'streamReadable' : 'readable',
    source.options,
    report,
  )
  if (streaming && source.connector === '-') report('checkpoint: standard input has no offsets to keep')
  const { deadLetterPath, others } = splitDeadLetter(sink.options, report)
  // The file is made only when the job runs.
  const placeholder = deadLetterPath === undefined ? {} : { dead_letter: new Writable({ objectMode: true }) }
  const sinkMaker = resolved('sink', sink, 'writable', { ...others, ...placeholder }, report)
  const makeStages = await loadTransforms(job.transforms, report)
  if (problems.length > 0) throw new OptionError('job', problems)
  return {
    job,
    streaming,
    makeSource: sourceMaker && (() => sourceMaker.create({ ...source.options })),
    makeSink:
      sinkMaker &&
      ((deadLetter) => sinkMaker.create({ ...others, ...(deadLetter && { dead_letter: deadLetter }) })),
    makeStages,
    deadLetterPath,
  }
}

/** Opens the plan's dead letter. @throws OptionError where its file can't be written */
export async function openDeadLetter({ deadLetterPath }: Plan): Promise<DeadLetterFile | undefined> {
  if (deadLetterPath === undefined) return undefined
  try {
    await (await open(deadLetterPath, 'a', 0o600)).close()
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new OptionError('job', [`dead_letter: can't write ${JSON.stringify(deadLetterPath)} (${code})`])
  }
  return new DeadLetterFile(deadLetterPath)
}

/** Finds a connector and checks its options. @returns undefined for a standard stream, and where something is wrong */
function resolved<K extends keyof Connector>(
  noun: 'source' | 'sink',
  { connector }: Endpoint,
  kind: K,
  options: Readonly<Record<string, unknown>>,
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
    for (const problem of error.problems ?? []) report(`${noun} ${connector}: ${problem}`)
    return undefined
  }
}

/** A program gives a stream as dead letter; here it is the path of a file. */
function splitDeadLetter(
  options: Readonly<Record<string, unknown>>,
  report: Report,
): { deadLetterPath: string | undefined; others: Record<string, unknown> } {
  const { dead_letter, deadLetter, ...others } = options
  if (dead_letter !== undefined && deadLetter !== undefined) {
    report('sink: dead_letter: given twice, as "dead_letter" and as "deadLetter"')
  }
  const path = dead_letter ?? deadLetter
  if (path === undefined) return { deadLetterPath: undefined, others }
  if (typeof path === 'string' && path !== '') return { deadLetterPath: path, others }
  report('sink: dead_letter: expected the path of a file')
  return { deadLetterPath: undefined, others }
}

/** The declarations that the options of an endpoint may be of. */
export function declarationsOf(
  connector: string,
  noun: 'source' | 'sink',
): readonly OptionDeclaration<OptionSpecs>[] {
  if (connector === '-') return [standardStreams[noun]]
  const kinds = noun === 'sink' ? (['writable'] as const) : (['readable', 'streamReadable'] as const)
  const found: OptionDeclaration<OptionSpecs>[] = []
  for (const kind of kinds) {
    try {
      const { declaration } = maker(connector, kind, noun)
      if (declaration) found.push(declaration)
    } catch (error) {
      if (!(error instanceof OptionError)) throw error
    }
  }
  // An unknown name is told of as maker() tells it.
  if (found.length === 0) maker(connector, noun === 'sink' ? 'writable' : 'readable', noun)
  return found
}
