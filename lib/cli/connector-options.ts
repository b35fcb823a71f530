import { OptionError } from '../core/errors.ts'
import {
  declareOptions,
  isFlag,
  type OptionDeclaration,
  type OptionSpec,
  type OptionSpecs,
  otherSpelling,
} from '../core/options.ts'
import { maker, registered } from '../registry.ts'
import { sinkSpecs } from '../sink/options.ts'
import { withTexts } from './option-texts.ts'

const { dead_letter } = sinkSpecs

/** The options of the endpoint `-`. */
export const standardStreams = {
  source: declareOptions('standard input', {}),
  sink: declareOptions('standard output', { dead_letter }),
}

/** The option declarations of an endpoint: a source may have one for bounded and one for streaming reads. */
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
      if (declaration) found.push(withTexts(`${connector} ${kind}`, declaration))
    } catch (error) {
      if (!(error instanceof OptionError)) throw error
    }
  }
  // Throws the error for an unknown name.
  if (found.length === 0) maker(connector, noun === 'sink' ? 'writable' : 'readable', noun)
  return found
}

/** The connectors of one side; two names of the same connector form one group. */
export function connectorsByDeclaration(noun: 'source' | 'sink') {
  const names = [...registered()]
    .filter(([, { readable, streamReadable, writable }]) =>
      noun === 'sink' ? writable : (readable ?? streamReadable),
    )
    .map(([name]) => name)
  return groupByDeclaration(names, noun)
}

/** Groups the names of the same connector. */
function groupByDeclaration(names: readonly string[], noun: 'source' | 'sink') {
  type Group = { names: string[]; declarations: readonly OptionDeclaration<OptionSpecs>[] }
  const groups = new Map<unknown, Group>()
  for (const name of names) {
    const declarations = declarationsOf(name, noun)
    const key = declarations[0] ?? name
    const group = groups.get(key) ?? { names: [], declarations }
    group.names.push(name)
    groups.set(key, group)
  }
  return [...groups.values()]
}

/**
 * An option as a flag or a job file writes it: a dead letter is the path of a file there.
 * @returns undefined for values that only a program can give, such as a credential object
 */
export function written(spec: OptionSpec<unknown>): OptionSpec<unknown> | undefined {
  if (spec.names === 'dead letter') {
    const doc =
      'File that receives rejected rows, one line of JSON each. Without it, a rejected row ends the run.'
    return { ...spec, doc, schema: { type: 'string', minLength: 1 } }
  }
  return spec.schema === undefined ? undefined : spec
}

/** The options of a declaration that flags and job files accept. */
export function writtenOptions(specs: OptionSpecs): [name: string, spec: OptionSpec<unknown>][] {
  return Object.entries(specs).flatMap(([name, spec]) => {
    const found = written(spec)
    return found ? [[name, found] as [string, OptionSpec<unknown>]] : []
  })
}

/** The given options whose value names a file, checkpoint or dead letter, with the spelling used. */
export function givenByName(
  specs: OptionSpecs,
  options: Readonly<Record<string, unknown>>,
  kind: NonNullable<OptionSpec<unknown>['names']>,
): { name: string; given: string; value: unknown }[] {
  return Object.entries(specs)
    .filter(([, { names }]) => names === kind)
    .flatMap(([name]) =>
      [...new Set([name, otherSpelling(name)])]
        .filter((given) => options[given] !== undefined)
        .map((given) => ({ name, given, value: options[given] })),
    )
}

/** The options of these connectors as sections of `--help`. Without a name, the options of all connectors of that side. */
export function connectorSections(
  { from, to }: { readonly from?: string | undefined; readonly to?: string | undefined },
  notation: Notation,
): string {
  const all = (noun: 'source' | 'sink') => connectorsByDeclaration(noun).map(({ names }) => names[0]!)
  const sources = from === undefined ? all('source') : [from]
  const sinks = to === undefined ? ['-', ...all('sink')] : [to]
  return [
    ...sources.map((name) => connectorSection(name, 'source', notation)),
    ...sinks.map((name) => connectorSection(name, 'sink', notation)),
  ].join('\n\n')
}

function connectorSection(name: string, noun: 'source' | 'sink', notation: Notation): string {
  const group = connectorsByDeclaration(noun).find(({ names }) => names.includes(name))
  const { names, declarations } = group ?? { names: [name], declarations: declarationsOf(name, noun) }
  const options = sideOptions(noun === 'source' ? 'from' : 'to', declarations)
  return optionsHelp(`Options of the ${noun} ${names.join(' or ')}`, options, notation)
}

/** How options are written: as flags of a command, or as members of a job file. */
type Notation = 'flags' | 'members'

/** The options of one connector as a section of `--help`. */
function optionsHelp(
  title: string,
  { specs, prefixes }: Pick<SideOptions, 'specs' | 'prefixes'>,
  notation: Notation,
): string {
  const entries = writtenOptions(specs).map(([name, spec]) => entry(term(name, spec, notation), spec))
  for (const [prefix, spec] of Object.entries(prefixes)) {
    const member = notation === 'flags' ? `--${flagOf(prefix)}<Name>` : `${prefix}<Name>`
    entries.push(entry(notation === 'flags' && spec.secret ? secretTerm(member) : member, spec))
  }
  return entries.length === 0 ? `${title}: none` : `${title}:\n${entries.join('\n')}`
}

/** Help for the members of a job file. */
export function membersHelp(title: string, declaration: OptionDeclaration<OptionSpecs>): string {
  return `${title}:\n${Object.entries(withTexts('job', declaration).specs)
    .map(([name, spec]) => entry(name, spec))
    .join('\n')}`
}

function term(name: string, spec: OptionSpec<unknown>, notation: Notation): string {
  if (notation === 'members') return name
  const flag = `--${flagOf(name)}`
  if (spec.secret) return secretTerm(flag)
  return `${flag}${placeholder(spec)}`
}

const secretTerm = (flag: string) => `${flag}-env <name> | ${flag}-file <path>`

function placeholder(spec: OptionSpec<unknown>): string {
  const { schema, names } = spec
  if (names === 'dead letter') return ' <file>'
  if (isFlag(spec)) return ' [true|false]'
  const choices = schema?.['enum']
  if (Array.isArray(choices)) return ` <${choices.join('|')}>`
  const types = [schema?.['type']].flat()
  if (types.includes('integer')) return ' <n>'
  if (types.includes('number')) return ' <number>'
  return types.includes('object') ? ' <json>' : ' <value>'
}

function entry(term: string, spec: OptionSpec<unknown>): string {
  const fallback = spec.default === undefined ? undefined : textOf(spec.default)
  const notes = [
    spec.required && 'Required.',
    spec.secret && 'A secret: never shown.',
    fallback !== undefined && `Default: ${plain(fallback)}.`,
  ].filter(Boolean)
  return `  ${term}\n${wrap([plain(spec.doc ?? ''), ...notes].join(' '), '      ')}`
}

const textOf = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value))
const plain = (text: string) => text.replaceAll('`', '')

/** Lines of a width that a terminal has, or 100. */
function wrap(text: string, indent: string): string {
  const width = Math.min(process.stdout.columns || 100, 100) - indent.length
  const lines = ['']
  for (const word of text.split(/\s+/)) {
    const line = lines.at(-1)!
    if (line !== '' && line.length + 1 + word.length > width) lines.push(word)
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`
  }
  return lines.map((line) => indent + line).join('\n')
}

export type Side = 'from' | 'to'

/** The options of a connector as source or sink. */
export interface SideOptions {
  readonly side: Side
  readonly specs: OptionSpecs
  readonly prefixes: Readonly<Record<string, OptionSpec<string>>>
}

/** Merges the declarations of a side: for a source, the bounded one and the streaming one, in this order. */
export function sideOptions(
  side: Side,
  declarations: readonly OptionDeclaration<OptionSpecs>[],
): SideOptions {
  const specs: Record<string, OptionSpec<unknown>> = {}
  const prefixes: Record<string, OptionSpec<string>> = {}
  for (const declaration of declarations) {
    for (const [name, spec] of Object.entries(declaration.specs)) {
      const other = specs[name]
      specs[name] = other === undefined || other.doc === spec.doc ? spec : eitherWay(other, spec)
    }
    Object.assign(prefixes, declaration.prefixes)
  }
  return { side, specs, prefixes }
}

/** An option whose meaning differs between bounded and streaming reads. */
function eitherWay(bounded: OptionSpec<unknown>, streaming: OptionSpec<unknown>): OptionSpec<unknown> {
  const fallback = streaming.default === undefined ? '' : ` Default: ${String(streaming.default)}.`
  const doc = `Read once: ${bounded.doc} With a checkpoint: ${streaming.doc}${fallback}`
  return { ...streaming, doc, default: undefined }
}

/** The flag of an option: `batch-size` for `batch_size`, `infer-schema` for `inferSchema`. */
export function flagOf(option: string): string {
  return option.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`).replaceAll('_', '-')
}

/** What `--help` is about: undefined without it, `''` for the short help, `all`, or the name of a connector. */
export type HelpTopic = string | undefined

/**
 * The sections of help on a topic, or on the connectors that a command line names.
 * @returns undefined for the short help
 * @throws OptionError if there is no such connector
 */
export function sectionsOf(
  topic: string,
  { from, to }: { readonly from?: string | undefined; readonly to?: string | undefined },
  notation: Notation,
): string | undefined {
  if (topic === 'all') return connectorSections({}, notation)
  if (topic === '')
    return from === undefined && to === undefined ? undefined : connectorSections({ from, to }, notation)
  const { readable, streamReadable, writable } = registered().get(topic) ?? {}
  const sections = [
    ...(readable || streamReadable ? [connectorSection(topic, 'source', notation)] : []),
    ...(writable ? [connectorSection(topic, 'sink', notation)] : []),
  ]
  if (sections.length > 0) return sections.join('\n\n')
  throw new OptionError('--help', [
    `there is no connector "${topic}"; there are ${[...registered().keys()].join(', ')}`,
  ])
}
