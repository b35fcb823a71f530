import { declareOptions, type OptionSpecs, option, Refusal } from '../core/options.ts'
import { queryOptions, type Trigger, type WindowSettings, windowSpecs } from '../streaming/query-options.ts'
import type { InputFile } from './file-input.ts'
import { endpointOf } from './path-source.ts'

/** A connector with its options as the user wrote them; `-` for standard input or output, which has none but these. */
export interface Endpoint {
  readonly connector: string
  readonly options: Readonly<Record<string, unknown>>
}

/** What is to be moved from where to where. */
export interface Job {
  readonly source: Endpoint
  readonly sink: Endpoint
  /** Paths of modules, each with `#name` where it is not the default export. */
  readonly transforms: readonly string[]
  /** Directory of the offsets. With it, or a trigger, the job is a streaming one. */
  readonly checkpoint?: string | undefined
  readonly trigger?: Trigger | undefined
  /** Whether a source is read on as rows come, without a checkpoint too. */
  readonly follow?: boolean | undefined
  /** How the windows of a streaming job are run. Default: as `streamingQuery` does by itself. */
  readonly windows?: Partial<WindowSettings> | undefined
  /** Paths of modules that are loaded first, such as one that registers a connector. */
  readonly imports: readonly string[]
  /** What errors are headed by: the command, or the job file. Default: job. */
  readonly name?: string | undefined
  /** File for rows that were read and not delivered, of a job that reads once. */
  readonly undelivered?: string | undefined
  /** File of rows in place of standard input, where the source is `-`. */
  readonly input?: InputFile | undefined
  /** Where relative paths among the options of source and sink start. Default: the working directory. */
  readonly folder?: string | undefined
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
  type: 'string | { connector: string; options?: Record<string, unknown> }',
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
  type: 'readonly string[]',
  schema: { type: 'array', items: { type: 'string', minLength: 1 } },
  parse: (value: unknown) =>
    Array.isArray(value) && value.every((each) => typeof each === 'string' && each !== '')
      ? (value as string[])
      : undefined,
}

/** The members of a job file. */
export const jobSpecs = {
  source: option.custom<Endpoint, { doc: string; required: true }>(endpoint('source'), {
    required: true,
    doc: 'Where rows come from: a connector and its options, or "-" for NDJSON on standard input.',
  }),
  sink: option.custom<Endpoint, { doc: string; required: true }>(endpoint('sink'), {
    required: true,
    doc: 'Where rows go to: a connector and its options, or "-" for NDJSON on standard output.',
  }),
  transforms: option.custom<readonly string[]>(paths, {
    doc: 'Modules that rows go through, in order, by their paths; "./mask.mjs#name" for an export that is not the default one. Each exports an async generator function from rows to rows, or a function that makes a stream or such a generator function afresh for each run.',
  }),
  checkpoint: option.text({
    doc: 'Directory or store where offsets are kept: a path, or a https:, postgres: or redis: URL. With it the source is read window by window, each committed when its rows are delivered, and a job that is started again goes on where it stood.',
  }),
  trigger: queryOptions.specs.trigger,
  ...windowSpecs,
  undelivered: option.text({
    defaultText: 'beside the dead letter, else a file of its own in the working directory',
    doc: 'File that takes the rows of a job that reads once which were read and not delivered when it failed, a line of JSON each, in order. They are sent again by `copy --from FILE`.',
  }),
  imports: option.custom<readonly string[]>(paths, {
    doc: 'Modules that are loaded first, by their paths: such as one that adds a connector by `register`.',
  }),
} satisfies OptionSpecs

/** The declaration of a job file. */
export const jobOptions = declareOptions('job', jobSpecs)
