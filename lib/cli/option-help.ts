import type { OptionSpec, OptionSpecs } from '../core/options.ts'
import type { SideOptions } from './connector-flags.ts'
import { flagOf } from './flag-names.ts'
import { writtenOptions } from './written-option.ts'

/** How options are written: as flags of a command, or as members of a job file. */
export type Notation = 'flags' | 'members'

/** The options of one connector as a section of `--help`. */
export function optionsHelp(
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

/** The members of a declaration as they stand in a job file. */
export function membersHelp(title: string, specs: OptionSpecs): string {
  return `${title}:\n${Object.entries(specs)
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

function placeholder({ schema, type, names }: OptionSpec<unknown>): string {
  if (names === 'dead letter') return ' <file>'
  if (type.startsWith('boolean')) return ' [true|false]'
  const choices = schema?.['enum']
  if (Array.isArray(choices)) return ` <${choices.join('|')}>`
  const types = [schema?.['type']].flat()
  if (types.includes('integer')) return ' <n>'
  if (types.includes('number')) return ' <number>'
  return types.includes('object') ? ' <json>' : ' <value>'
}

function entry(term: string, spec: OptionSpec<unknown>): string {
  const fallback = spec.defaultText ?? (spec.default === undefined ? undefined : textOf(spec.default))
  const notes = [
    spec.required && 'Required.',
    spec.secret && 'A secret: never shown.',
    fallback !== undefined && `Default: ${plain(fallback)}.`,
  ].filter(Boolean)
  return `  ${term}\n${wrap([plain(spec.doc), ...notes].join(' '), '      ')}`
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
