import { readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { OptionError } from '../core/errors.ts'
import { fillFromEnvironment } from './environment.ts'
import { type Endpoint, type Job, jobOptions } from './job.ts'

/** Options that name a file or directory: relative ones start at the job file. */
const pathOptions = ['ca', 'dead_letter', 'deadLetter', 'checkpointLocation', 'checkpoint_location']

/**
 * Reads a job file: JSON, in which `${NAME}` stands for a variable of the environment.
 * @throws OptionError that lists all that is wrong with it
 */
export async function readJobFile(path: string, environment: NodeJS.ProcessEnv): Promise<Job> {
  const problems: string[] = []
  const given = fillFromEnvironment(await readJson(path), environment, (problem) => problems.push(problem))
  let job: ReturnType<typeof jobOptions.resolve>
  try {
    job = jobOptions.resolve(withoutSchema(given))
  } catch (error) {
    if (!(error instanceof OptionError)) throw error
    throw new OptionError(path, [...problems, ...(error.problems ?? [])])
  }
  if (problems.length > 0) throw new OptionError(path, problems)
  const folder = dirname(resolve(path))
  const absolute = (relative: string) => resolve(folder, relative)
  const { source, sink, transforms = [], imports = [], checkpoint, trigger } = job
  const { read_ahead, max_retries, initial_backoff, max_backoff } = job
  return {
    source: located(source, absolute),
    sink: located(sink, absolute),
    transforms: transforms.map(absolute),
    imports: imports.map(absolute),
    checkpoint: checkpoint === undefined ? undefined : absolute(checkpoint),
    trigger,
    windows: { read_ahead, max_retries, initial_backoff, max_backoff },
  }
}

async function readJson(path: string): Promise<unknown> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    throw new OptionError(path, [`can't be read (${(error as NodeJS.ErrnoException).code})`])
  }
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new OptionError(path, [`is not JSON: ${whereOf(error as Error, text)}`])
  }
}

/** Where JSON breaks off. Node's message shows the text around it, and that may be a secret. */
function whereOf(error: Error, text: string): string {
  const position = Number(/position (\d+)/.exec(error.message)?.[1] ?? text.length)
  const before = text.slice(0, position).split('\n')
  return `line ${before.length}, column ${before.at(-1)!.length + 1}`
}

/** `$schema` is for editors. */
function withoutSchema(given: unknown): unknown {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) return given
  const { $schema: _, ...job } = given as Record<string, unknown>
  return job
}

function located({ connector, options }: Endpoint, absolute: (path: string) => string): Endpoint {
  const entries = Object.entries(options).map(([name, value]) => {
    const isPath = pathOptions.includes(name) && typeof value === 'string' && value !== ''
    return [name, isPath && !value.includes('-----BEGIN') ? absolute(value) : value]
  })
  return { connector, options: Object.fromEntries(entries) }
}
