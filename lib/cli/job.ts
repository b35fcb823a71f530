import { dirname, resolve } from 'node:path'
import { OptionError } from '../core/errors.ts'
import {
  declareOptions,
  type OptionSpec,
  type OptionSpecs,
  option,
  otherSpelling,
  Refusal,
} from '../core/options.ts'
import { registered } from '../registry.ts'
import { type Trigger, triggerSpecs, type WindowSettings, windowSpecs } from '../streaming/query-options.ts'
import { fillFromEnvironment, readYaml } from './config-file.ts'
import type { InputFile } from './ndjson.ts'

/** A connector with its options as the user wrote them; the connector `-` is standard input or output. */
export interface Endpoint {
  readonly connector: string
  readonly options: Readonly<Record<string, unknown>>
}

/** A source, a sink, and how rows move from one to the other. */
export interface Job {
  readonly source: Endpoint
  readonly sink: Endpoint
  /** Paths of modules, with `#name` for an export other than the default. */
  readonly transforms: readonly string[]
  /** Where offsets are kept: a directory, or the URL of a store. With it the job is a streaming one. */
  readonly checkpoint?: string | undefined
  readonly trigger?: Trigger | undefined
  /** Whether the source keeps reading new rows, with or without a checkpoint. */
  readonly follow?: boolean | undefined
  /** How the windows of a streaming job run. Default: the defaults of `streamingQuery`. */
  readonly windows?: Partial<WindowSettings> | undefined
  /** Paths of modules to load first, such as one that registers a connector. */
  readonly imports: readonly string[]
  /** Heads error messages: the command or the job file. Default: job. */
  readonly name?: string | undefined
  /** File for rows that a bounded job read and did not deliver. */
  readonly undelivered?: string | undefined
  /** A file that replaces standard input if the source is `-`. */
  readonly input?: InputFile | undefined
  /** Most rows that a job without a checkpoint reads. Default: all. */
  readonly limit?: number | undefined
  /** How `verify` reads the destination back. */
  readonly verify?: VerifySettings | undefined
  /** Base of relative paths in the options of source and sink. Default: the working directory. */
  readonly folder?: string | undefined
  /** Problems of the job file, to be reported with those of its options. */
  readonly problems?: readonly string[] | undefined
  /** Members without a value because a variable is missing, such as `source.options.url`. */
  readonly unresolved?: ReadonlySet<string> | undefined
}

/** How the destination of a job is read back, and by which time its rows are counted. */
export interface VerifySettings {
  /** Source that reads it. Default: the connector of the sink. */
  readonly connector?: string
  readonly options?: Readonly<Record<string, unknown>>
  /** Column of the destination with the time of an event. */
  readonly time_column?: string
  /** Column of the source with the time of an event. */
  readonly source_time_column?: string
}

const verifySettings = {
  form: 'an object of connector, options, time_column and source_time_column',
  schema: {
    type: 'object',
    additionalProperties: false,
    properties: {
      connector: { type: 'string' },
      options: { type: 'object' },
      time_column: { type: 'string' },
      source_time_column: { type: 'string' },
    },
  },
  parse(value: unknown): VerifySettings | undefined {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
    const { options, ...names } = value as Record<string, unknown>
    const known = ['connector', 'time_column', 'source_time_column']
    const right = Object.entries(names).every(
      ([name, each]) => known.includes(name) && typeof each === 'string',
    )
    const object =
      options === undefined || (typeof options === 'object' && options !== null && !Array.isArray(options))
    return right && object ? (value as VerifySettings) : undefined
  },
}

const endpointSchema = (names: string) => ({
  type: 'object',
  required: ['connector'],
  additionalProperties: false,
  properties: {
    connector: { type: 'string', description: `Registered name of the ${names}.` },
    options: { type: 'object' },
  },
})

const endpoint = (noun: 'source' | 'sink') => ({
  form: `"-" or an object { "connector": …, "options": { … } }`,
  schema: { anyOf: [{ const: '-' }, endpointSchema(noun)] },
  parse(value: unknown): Endpoint | undefined {
    if (typeof value === 'string') {
      if (value === '-') return { connector: '-', options: {} }
      const { connector, path } = noun === 'source' ? endpointOf(value) : { connector: value }
      if (path !== undefined) return { connector, options: { path } }
      throw new Refusal(
        `expected "-" or an object; for a connector: { "connector": "${value}", "options": { … } }`,
      )
    }
    if (typeof value !== 'object' || value === null) return undefined
    const { connector, options = {}, ...others } = value as Record<string, unknown>
    const [stranger] = Object.keys(others)
    if (stranger !== undefined)
      throw new Refusal(`has an unknown member "${stranger}"; it takes "connector" and "options"`)
    if (typeof connector !== 'string' || connector === '') throw new Refusal('lacks "connector"')
    if (typeof options !== 'object' || options === null || Array.isArray(options)) {
      throw new Refusal('expected "options" to be an object')
    }
    return { connector, options: options as Record<string, unknown> }
  },
})

const paths = {
  form: 'a list of paths',
  schema: { type: 'array', items: { type: 'string', minLength: 1 } },
  parse: (value: unknown) =>
    Array.isArray(value) && value.every((each) => typeof each === 'string' && each !== '')
      ? (value as string[])
      : undefined,
}

/** The members of a job file. */
const jobSpecs = {
  /** Source of the rows: a connector and its options, or "-" for NDJSON on standard input. */
  source: option.custom<Endpoint>(endpoint('source'), { required: true }),
  /** Sink of the rows: a connector and its options, or "-" for NDJSON on standard output. */
  sink: option.custom<Endpoint>(endpoint('sink'), { required: true }),
  /**
   * Paths of modules that transform rows, in order; "./mask.mjs#name" names an export other than the default. Each
   * exports an async generator function from rows to rows, or a function that makes a new stream or such a generator
   * function for each run.
   */
  transforms: option.custom<readonly string[]>(paths),
  /**
   * Directory or store of the offsets: a path, or a https:, postgres: or redis: URL. With it the job reads window by
   * window, commits each when its rows are delivered, and a restarted job resumes after the last committed window.
   */
  checkpoint: option.text(),
  ...triggerSpecs,
  ...windowSpecs,
  /**
   * File for the rows that a job without a checkpoint had read and not delivered when it failed, one line of JSON each,
   * in order. `copy --from FILE` sends them again.
   * @default beside the dead letter, else a new file in the working directory
   */
  undelivered: option.text(),
  /**
   * How `verify` reads the destination back: connector and options of a source (default: those that follow from the
   * sink), and the columns with the time of an event.
   */
  verify: option.custom<VerifySettings>(verifySettings),
  /** Paths of modules to load first, such as one that registers a connector. */
  imports: option.custom<readonly string[]>(paths),
} satisfies OptionSpecs

/** The declaration of a job file. */
export const jobOptions = declareOptions('job', jobSpecs)

/**
 * Reads a job file, YAML or JSON, and replaces `${NAME}` and `${NAME:-default}` by environment variables.
 * @param path the file, or `-` for standard input
 * @returns the job with the problems of its members, which `planJob` reports together with all others
 * @throws OptionError if it is no YAML
 */
export async function readJobFile(path: string, environment: NodeJS.ProcessEnv): Promise<Job> {
  const problems: string[] = []
  const unresolved = new Set<string>()
  const given = fillFromEnvironment(withoutSchema(await readYaml(path)), environment, (problem, place) => {
    problems.push(problem)
    unresolved.add(place)
  })
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw new OptionError(path, ['expected a job: an object with "source" and "sink"'])
  let job: ReturnType<typeof jobOptions.resolve>
  try {
    job = jobOptions.resolve(given)
  } catch (error) {
    if (!(error instanceof OptionError)) throw error
    const own = error.problems?.filter((problem) => !unresolved.has(problem.split(':')[0]!)) ?? []
    problems.push(...own)
    job = jobOptions.resolve(validMembers(given as Record<string, unknown>))
  }
  const folder = path === '-' ? process.cwd() : dirname(resolve(path))
  const absolute = (relative: string) => resolve(folder, relative)
  const { source, sink, transforms = [], imports = [], checkpoint, trigger, undelivered, verify } = job
  return {
    name: path,
    source,
    sink,
    verify,
    undelivered: undelivered === undefined ? undefined : absolute(undelivered),
    folder,
    problems,
    unresolved,
    transforms: transforms.map(absolute),
    imports: imports.map(absolute),
    checkpoint: checkpoint === undefined || isUrl(checkpoint) ? checkpoint : absolute(checkpoint),
    trigger,
    // Only those given: an option at its default must not require a checkpoint.
    windows: Object.fromEntries(
      Object.keys(checkpoint === undefined && problems.length > 0 ? {} : windowSpecs)
        .filter((name) => [name, otherSpelling(name)].some((each) => Object.hasOwn(given as object, each)))
        .map((name) => [name, job[name as keyof WindowSettings]]),
    ),
  }
}

/** The members that are valid; a standard stream replaces an invalid source or sink. */
function validMembers(given: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const valid: Record<string, unknown> = {}
  for (const [name, spec] of Object.entries<OptionSpec<unknown>>(jobSpecs)) {
    const value = given[name] ?? given[otherSpelling(name)]
    try {
      if (spec.parse(value) !== undefined) valid[name] = value
    } catch {
      // Reported already.
    }
  }
  // Without its source, members that only fit a streaming one would be reported for nothing.
  return valid['source'] === undefined ? { source: '-', sink: valid['sink'] ?? '-' } : { sink: '-', ...valid }
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

/**
 * The connector that names a source, or the path of files in its place: what looks like a path or a pattern. A file or
 * folder that happens to have the name of a mistyped connector is not read.
 */
export function endpointOf(from: string): { connector: string; path?: string }
export function endpointOf(from: string | undefined): { connector: string | undefined; path?: string }
export function endpointOf(from: string | undefined): { connector: string | undefined; path?: string } {
  const isPath = from !== undefined && !registered().has(from) && from !== '-' && /[/\\*?.]/.test(from)
  return isPath ? { connector: 'files', path: from } : { connector: from }
}
