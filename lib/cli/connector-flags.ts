import { type Command, Option } from 'commander'
import type { OptionDeclaration, OptionSpec, OptionSpecs, Report } from '../core/options.ts'
import { flagOf } from './flag-names.ts'
import { flagValue, type ValueSource } from './flag-values.ts'
import { writtenOptions } from './written-option.ts'

export type Side = 'from' | 'to'

/** The options that a connector takes as source or sink. */
export interface SideOptions {
  readonly side: Side
  readonly specs: OptionSpecs
  readonly prefixes: Readonly<Record<string, OptionSpec<string>>>
}

/** What the flags gave: options by their names. */
export type GivenOptions = Record<Side, Record<string, unknown>>

/** Joins what a source takes when it is read once and as a streaming one, in this order. */
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

/** An option that means one thing to a source read once and another to a streaming one. */
function eitherWay(bounded: OptionSpec<unknown>, streaming: OptionSpec<unknown>): OptionSpec<unknown> {
  const fallback = streaming.default === undefined ? '' : ` Default: ${String(streaming.default)}.`
  const doc = `Read once: ${bounded.doc} With a checkpoint: ${streaming.doc}${fallback}`
  return { ...streaming, doc, default: undefined, defaultText: undefined }
}

/**
 * Adds a flag for each option of both connectors. `--from-x` and `--to-x` are for one of them; a plain `--x` goes to each
 * that has the option and was not given its own. The value can also come from `--x-env NAME` or `--x-file PATH`.
 *
 * @param argv the command line, for families of options such as `http_header_<Name>`, whose names only it knows
 * @returns what the flags gave, once the command has parsed
 */
export function addConnectorFlags(
  command: Command,
  sides: readonly SideOptions[],
  argv: readonly string[],
  report: Report,
): () => GivenOptions {
  const plain: GivenOptions = { from: {}, to: {} }
  const own: GivenOptions = { from: {}, to: {} }
  const add = (flag: string, spec: OptionSpec<unknown>, put: (value: unknown) => void) => {
    let given = false
    const take = (source: ValueSource) => (text: string) => {
      if (given) report(`--${flag}: given twice`)
      given = true
      const value = flagValue(flag, spec, source, text, report)
      if (value !== undefined) put(value)
    }
    // A secret that is refused may stand without its value: the reason is to come all the same.
    const isFlag = spec.type.startsWith('boolean')
    const form = isFlag || spec.secret ? '[value]' : '<value>'
    command.addOption(new Option(`--${flag} ${form}`).preset(isFlag ? 'true' : '').argParser(take('given')))
    command.addOption(new Option(`--${flag}-env <name>`).argParser(take('env')))
    command.addOption(new Option(`--${flag}-file <path>`).argParser(take('file')))
  }
  const shared = new Map<string, { flag: string; spec: OptionSpec<unknown>; sides: Side[] }>()
  for (const { side, specs, prefixes } of sides) {
    const named = writtenOptions(specs).map(([name, spec]) => ({ name, spec, flag: flagOf(name) }))
    for (const { name, spec, flag } of [...named, ...familyMembers(prefixes, argv)]) {
      add(`${side}-${flag}`, spec, (value) => {
        own[side][name] = value
      })
      const entry = shared.get(name) ?? { flag, spec, sides: [] }
      entry.sides.push(side)
      shared.set(name, entry)
    }
  }
  for (const [name, { flag, spec, sides }] of shared) {
    add(flag, spec, (value) => {
      for (const side of sides) plain[side][name] = value
    })
  }
  return () => ({ from: { ...plain.from, ...own.from }, to: { ...plain.to, ...own.to } })
}

/** The members of families that the command line has: `http_header_X-Key` for `--http-header-X-Key-env`. */
function familyMembers(prefixes: SideOptions['prefixes'], argv: readonly string[]) {
  const found = new Map<string, { name: string; spec: OptionSpec<unknown>; flag: string }>()
  for (const [prefix, spec] of Object.entries(prefixes)) {
    const start = flagOf(prefix)
    const form = new RegExp(`^--(?:from-|to-)?${start}([^=]+?)(?:-(?:env|file))?(?:=|$)`)
    for (const token of argv) {
      const member = form.exec(token)?.[1]
      if (member !== undefined) found.set(member, { name: prefix + member, spec, flag: start + member })
    }
  }
  return [...found.values()]
}
