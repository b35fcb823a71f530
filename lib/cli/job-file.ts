import { dirname, resolve } from 'node:path'
import { OptionError } from '../core/errors.ts'
import { otherSpelling } from '../core/options.ts'
import { type WindowSettings, windowSpecs } from '../streaming/query-options.ts'
import { fillFromEnvironment } from './environment.ts'
import { type Job, jobOptions } from './job.ts'
import { readYaml } from './read-yaml.ts'

/**
 * Reads a job file: YAML or JSON, in which `${NAME}` stands for a variable of the environment, `${NAME:-default}` for one
 * that may be missing.
 * @param path the file, or `-` for standard input
 * @throws OptionError that lists all that is wrong with it
 */
export async function readJobFile(path: string, environment: NodeJS.ProcessEnv): Promise<Job> {
  const problems: string[] = []
  const given = fillFromEnvironment(await readYaml(path), environment, (problem) => problems.push(problem))
  let job: ReturnType<typeof jobOptions.resolve>
  try {
    job = jobOptions.resolve(withoutSchema(given))
  } catch (error) {
    if (!(error instanceof OptionError)) throw error
    throw new OptionError(path, [...problems, ...(error.problems ?? [])])
  }
  if (problems.length > 0) throw new OptionError(path, problems)
  const folder = path === '-' ? process.cwd() : dirname(resolve(path))
  const absolute = (relative: string) => resolve(folder, relative)
  const { source, sink, transforms = [], imports = [], checkpoint, trigger, undelivered } = job
  return {
    name: path,
    source,
    sink,
    undelivered: undelivered === undefined ? undefined : absolute(undelivered),
    folder,
    transforms: transforms.map(absolute),
    imports: imports.map(absolute),
    checkpoint: checkpoint === undefined || isUrl(checkpoint) ? checkpoint : absolute(checkpoint),
    trigger,
    // Those that were given: what has a default asks for no checkpoint.
    windows: Object.fromEntries(
      Object.keys(windowSpecs)
        .filter((name) => [name, otherSpelling(name)].some((each) => Object.hasOwn(given as object, each)))
        .map((name) => [name, job[name as keyof WindowSettings]]),
    ),
  }
}

/** One letter before the colon is a drive of Windows. */
function isUrl(place: string): boolean {
  return /^[a-z][a-z0-9+.-]+:/i.test(place)
}

/** `$schema` is for editors. */
function withoutSchema(given: unknown): unknown {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) return given
  const { $schema: _, ...job } = given as Record<string, unknown>
  return job
}
