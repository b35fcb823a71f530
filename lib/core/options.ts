import { OptionError } from './errors.ts'
import { nearest } from './nearest-name.ts'

/**
 * One option and its check. Its text is the comment at its declaration: editors show it, and the build reads it for
 * `--help`, the job schema and the tables of the guides.
 *
 * @typeParam T the checked value
 * @typeParam G what a caller may give
 * @typeParam R whether it must be given
 */
export interface OptionSpec<T, G = unknown, R extends boolean = boolean> {
  /** Expected form, in words: `an integer of 1 or more`. */
  readonly form: string
  /** JSON Schema of what a job file may give; absent if only a program can give it (a stream, a credential). */
  readonly schema?: Readonly<Record<string, unknown>>
  readonly required: R
  readonly secret: boolean
  /** Whether to keep space around a string. */
  readonly verbatim: boolean
  readonly default: T | undefined
  /** What the value refers to, if it is more than a plain value. */
  readonly names: Named | undefined
  /** Text for `--help` of a connector from another package: the build reads only comments of this one. */
  readonly doc?: string | undefined
  /** Returns the checked value, or `undefined` if it does not have the form. Throws a {@link Refusal} to say more. */
  readonly parse: (value: unknown) => T | undefined
  /** Never set: carries the type of what a caller may give. */
  readonly given?: G | undefined
}

/**
 * What an option refers to: a `file`, whose path a job file may give relative to itself; the `checkpoint`, a directory; the `consumer group` whose offsets a service keeps; the
 * `dead letter`, which is a stream in a program, and the path of a file in a job file or flag.
 */
export type Named = 'file' | 'checkpoint' | 'dead letter' | 'consumer group'

/** Why a value is rejected, if "expected …" is not enough. */
export class Refusal extends Error {}

export interface OptionConfig<T> {
  readonly required?: true
  readonly secret?: true
  /** Keeps space around a string: for queries, which identify a checkpoint. */
  readonly verbatim?: true
  readonly default?: T
  readonly names?: Named
  /** Text for `--help`, of a connector from another package. */
  readonly doc?: string
}

/** The checked value: present if the option is required or has a default. */
type Present<T, C> = C extends { required: true } | { default: NonNullable<unknown> } ? T : T | undefined

type IsRequired<C> = C extends { required: true } ? true : false

export type OptionSpecs = Readonly<Record<string, OptionSpec<unknown>>>

/** The checked values of a declaration. */
export type OptionValues<S extends OptionSpecs> = {
  -readonly [K in keyof S]: S[K] extends OptionSpec<infer T> ? T : never
}

/** The check of values of one kind. */
export interface OptionKind<T> {
  /** Expected form, in words. */
  readonly form: string
  readonly schema?: Readonly<Record<string, unknown>>
  /** Returns undefined for a value that it rejects. */
  parse(value: unknown): T | undefined
}

function spec<T, G, C extends OptionConfig<T>>(
  kind: OptionKind<T>,
  config?: C,
): OptionSpec<Present<T, C>, G, IsRequired<C>> {
  return {
    ...kind,
    required: config?.required ?? false,
    secret: config?.secret ?? false,
    verbatim: config?.verbatim ?? false,
    default: config?.default,
    names: config?.names,
    doc: config?.doc,
  } as OptionSpec<Present<T, C>, G, IsRequired<C>>
}

/** A number, also from a decimal string, as Spark gives it; undefined for anything else. */
function decimal(value: unknown): number | undefined {
  if (typeof value === 'number') return Number.isFinite(value) ? value : undefined
  // No number that is meant has as many digits; a longer text is not even matched.
  if (typeof value !== 'string' || value.length > 400) return undefined
  if (!/^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?$/i.test(value.trim())) return undefined
  const parsed = Number(value)
  return Number.isFinite(parsed) ? parsed : undefined
}

function flag(value: unknown): boolean | undefined {
  if (typeof value === 'boolean') return value
  const word = typeof value === 'string' ? value.trim().toLowerCase() : undefined
  return word === 'true' ? true : word === 'false' ? false : undefined
}

/** Whether an option is true or false. */
export function isFlag({ parse }: OptionSpec<unknown>): boolean {
  return parse === flag
}

function httpUrl(value: unknown): string | undefined {
  if (value instanceof URL) value = value.href
  if (typeof value !== 'string' || !URL.canParse(value)) return undefined
  const { protocol, hostname } = new URL(value)
  return (protocol === 'https:' || protocol === 'http:') && hostname ? value : undefined
}

function names(value: unknown): string[] | undefined {
  const list = typeof value === 'string' ? value.split(',').map((name) => name.trim()) : value
  if (!Array.isArray(list) || !list.every((name) => typeof name === 'string')) return undefined
  return (list as string[]).filter((name) => name !== '')
}

/** The kinds of option. The config says whether it is required or secret, and its default. */
export const option = {
  text: <const C extends OptionConfig<string> = object>(config?: C) =>
    spec<string, string, C>(
      {
        form: 'a string that is not empty',
        schema: { type: 'string', minLength: 1 },
        parse: (value) => (typeof value === 'string' && value.trim() !== '' ? value : undefined),
      },
      config,
    ),

  url: <const C extends OptionConfig<string> = object>(config?: C) =>
    spec<string, string | URL, C>(
      { form: 'an http or https URL', schema: { type: 'string' }, parse: httpUrl },
      config,
    ),

  integer: <const C extends OptionConfig<number> & { min: number }>(config: C) =>
    spec<number, Numeric, C>(
      {
        form: `an integer of ${config.min} or more`,
        schema: { type: ['integer', 'string'], minimum: config.min },
        parse(value) {
          const number = decimal(value)
          return number !== undefined && Number.isSafeInteger(number) && number >= config.min
            ? number
            : undefined
        },
      },
      config,
    ),

  /** A number in the unit of the option's text; fractions are accepted, 0 only with `zero`. */
  amount: <const C extends OptionConfig<number> & { zero?: true } = object>(config?: C) =>
    spec<number, Numeric, C>(
      {
        form: config?.zero ? 'a number of 0 or more' : 'a number greater than 0',
        schema: { type: ['number', 'string'], minimum: 0 },
        parse(value) {
          const number = decimal(value)
          return number !== undefined && (number > 0 || (number === 0 && config?.zero)) ? number : undefined
        },
      },
      config,
    ),

  flag: <const C extends OptionConfig<boolean> = object>(config?: C) =>
    spec<boolean, boolean | 'true' | 'false', C>(
      {
        form: 'true or false',
        schema: { anyOf: [{ type: 'boolean' }, { enum: ['true', 'false'] }] },
        parse: flag,
      },
      config,
    ),

  oneOf: <const V extends string, const C extends OptionConfig<NoInfer<V>> = object>(
    choices: readonly V[],
    config?: C,
  ) =>
    spec<V, V, C>(
      {
        form: `one of ${choices.map((choice) => `"${choice}"`).join(', ')}`,
        schema: { enum: choices },
        parse(value) {
          const wanted = typeof value === 'string' ? value.trim().toLowerCase() : value
          return choices.find((choice) => choice.toLowerCase() === wanted)
        },
      },
      config,
    ),

  /** Column names, as a list or as one string with commas. */
  columns: <const C extends OptionConfig<readonly string[]> = object>(config?: C) =>
    spec<readonly string[], string | readonly string[], C>(
      {
        form: 'column names, as a list or as a string separated by commas',
        schema: { anyOf: [{ type: 'string' }, { type: 'array', items: { type: 'string' } }] },
        parse: names,
      },
      config,
    ),

  custom,
}

/** A number, or its decimal string as Spark and the environment give it. */
export type Numeric = number | `${number}`

/**
 * An option of any other kind.
 * @typeParam T the checked value
 * @typeParam G what a caller may give: `custom<Ticks, string | Date>(instant)`. Default: the checked value.
 */
function custom<T, G = T>(
  kind: OptionKind<T>,
  config: OptionConfig<T> & { readonly required: true },
): OptionSpec<T, G, true>
function custom<T, G = T>(
  kind: OptionKind<T>,
  config: OptionConfig<T> & { readonly default: T },
): OptionSpec<T, G, false>
function custom<T, G = T>(kind: OptionKind<T>, config?: OptionConfig<T>): OptionSpec<T | undefined, G, false>
function custom<T>(kind: OptionKind<T>, config?: OptionConfig<T>): OptionSpec<T | undefined> {
  return spec(kind, config)
}

/** Options of Node's own streams, for the constructor of the stream. */
export const nodeStreamSpecs = {
  /** Maximum rows that the stream buffers before `write` or the source waits. */
  highWaterMark: option.integer({ min: 0 }),
  /** Signal that destroys the stream. */
  signal: option.custom<AbortSignal>({
    form: 'an AbortSignal',
    parse: (value) => (value instanceof AbortSignal ? value : undefined),
  }),
  /**
   * Whether the stream emits 'close'.
   * @default true
   */
  emitClose: option.flag(),
  /**
   * Whether a rejection of an async listener destroys the stream.
   * @default false
   */
  captureRejections: option.flag(),
} satisfies OptionSpecs

export type StreamOptionValues = OptionValues<typeof nodeStreamSpecs>

export interface OptionDeclaration<S extends OptionSpecs> {
  readonly connector: string
  readonly specs: S
  readonly prefixes: Readonly<Record<string, OptionSpec<string>>>
  /** Checks the given options. @throws OptionError with all problems together */
  resolve(given: unknown): OptionValues<S> & StreamOptionValues & { prefixed: Record<string, string> }
}

/** Reports one problem of an option or of several together. */
export type Report = (problem: string) => void

/** The other spelling of an option's name: `batch_size` for `batchSize` and the reverse. */
export function otherSpelling(name: string): string {
  return name.includes('_')
    ? name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())
    : name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}

/** A value for an error: short, and never a secret. */
function shown(value: unknown, secret: boolean): string {
  if (secret) return `a secret ${typeof value}`
  if (typeof value === 'string') {
    // An invalid URL may still hold a password.
    const safe = value.replace(/\/\/[^/?#]*@/, '//[redacted]@')
    return JSON.stringify(safe.length > 100 ? `${safe.slice(0, 100)}…` : safe)
  }
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'an array' : 'an object'
  return typeof value === 'bigint' ? `${value}n` : String(value)
}

function read<T>(
  name: string,
  { parse, form, secret, verbatim }: OptionSpec<T>,
  value: unknown,
  report: Report,
): T | undefined {
  try {
    // Secrets from files and the environment end with a line break.
    const parsed = parse(typeof value === 'string' && !verbatim ? value.trim() : value)
    if (parsed === undefined) report(`${name}: expected ${form}, got ${shown(value, secret)}`)
    return parsed
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    report(`${name}: ${error.message}`)
    return undefined
  }
}

/**
 * Declares a connector's options: one place for their checks, types and docs.
 *
 * @param check checks the values together. It receives the valid values even if another option is wrong, so that one
 *   error has all problems. `given` has the names of all given options, also wrong ones, so that these are not reported
 *   as missing.
 * @param prefixes open families of text options, such as `http_header_<Name>`
 */
export function declareOptions<const S extends OptionSpecs>(
  connector: string,
  specs: S,
  check?: (values: Partial<OptionValues<S>>, report: Report, given: ReadonlySet<string>) => void,
  prefixes: Readonly<Record<string, OptionSpec<string>>> = {},
): OptionDeclaration<S> {
  const all: OptionSpecs = { ...specs, ...nodeStreamSpecs }
  const canonical = new Map<string, string>()
  for (const name of Object.keys(all)) canonical.set(otherSpelling(name), name)
  for (const name of Object.keys(all)) canonical.set(name, name)

  return {
    connector,
    specs,
    prefixes,
    resolve(given) {
      const problems: string[] = []
      const report: Report = (problem) => problems.push(problem)
      if (given !== undefined && (typeof given !== 'object' || given === null || Array.isArray(given))) {
        throw new OptionError(connector, [
          `expected an object of options, got ${Array.isArray(given) ? 'an array' : given === null ? 'null' : `a ${typeof given}`}`,
        ])
      }
      const values: Record<string, unknown> = {}
      const prefixed: Record<string, string> = {}
      const spelled = new Map<string, string>()
      for (const [key, value] of Object.entries(given ?? {})) {
        if (value === undefined) continue
        const prefix = Object.keys(prefixes).find((start) => key.startsWith(start) && key !== start)
        const name = canonical.get(key)
        if (name === undefined && prefix !== undefined) {
          spelled.set(key, key)
          const parsed = read(key, prefixes[prefix]!, value, report)
          if (parsed !== undefined) prefixed[key.slice(prefix.length)] = parsed
        } else if (name === undefined) {
          const proposal = nearest(key, [...Object.keys(all), ...canonical.keys()])
          report(`unknown option "${key}"${proposal ? `; did you mean "${proposal}"?` : ''}`)
        } else if (spelled.has(name)) {
          report(`${name}: given twice, as "${spelled.get(name)}" and as "${key}"`)
        } else {
          spelled.set(name, key)
          const parsed = read(name, all[name]!, value, report)
          if (parsed !== undefined) values[name] = parsed
        }
      }
      for (const [name, { required, form, default: fallback }] of Object.entries(all)) {
        if (spelled.has(name)) continue
        if (required) report(`${name}: is required (${form})`)
        else values[name] = fallback
      }
      check?.(values as Partial<OptionValues<S>>, report, new Set(spelled.keys()))
      if (problems.length > 0) throw new OptionError(connector, problems)
      return { ...values, prefixed } as ReturnType<OptionDeclaration<S>['resolve']>
    },
  }
}

/** The given stream options, for the constructor of a Node stream. Without `signal`: if it is aborted already,
 * `super()` would destroy the stream before its fields exist. */
export function streamOptions(values: StreamOptionValues): Record<string, unknown> {
  const { highWaterMark, emitClose, captureRejections } = values
  return Object.fromEntries(
    Object.entries({ highWaterMark, emitClose, captureRejections }).filter(
      ([, value]) => value !== undefined,
    ),
  )
}
