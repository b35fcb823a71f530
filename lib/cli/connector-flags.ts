import { readFileSync } from 'node:fs'
import { type Command, Option } from 'commander'
import { isFlag, type OptionSpec, type Report } from '../core/options.ts'
import { flagOf, type Side, type SideOptions, writtenOptions } from './connector-options.ts'

/** Options by name, as the flags gave them. */
type GivenOptions = Record<Side, Record<string, unknown>>

/**
 * Adds a flag for each option of both connectors. `--from-x` and `--to-x` set one of them; a plain `--x` sets each
 * connector that has the option and no flag of its own. The value can also come from `--x-env NAME` or `--x-file PATH`.
 *
 * @param argv the command line, to find the members of option families such as `http_header_<Name>`
 * @returns a function that returns the options, to be called after the command has parsed
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
    // A secret flag without a value must reach the error that explains how to give secrets.
    const preset = isFlag(spec) ? 'true' : ''
    const form = preset || spec.secret ? '[value]' : '<value>'
    command.addOption(new Option(`--${flag} ${form}`).preset(preset).argParser(take('given')))
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
    // The command's own flag of this name means something else.
    if (command.options.some(({ long }) => long === `--${flag}`)) continue
    add(flag, spec, (value) => {
      for (const side of sides) plain[side][name] = value
    })
  }
  return () => ({ from: { ...plain.from, ...own.from }, to: { ...plain.to, ...own.to } })
}

/** The members of option families on the command line: `http_header_X-Key` for `--http-header-X-Key-env`. */
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

/** Rewrites flags to their declared spelling: `--batch_size` and `--batchSize` as `--batch-size`. */
export function canonicalFlags(argv: readonly string[], options: readonly Option[]): string[] {
  const known = new Map(options.map((option) => [option.long, option]))
  const spelled: string[] = []
  for (let index = 0; index < argv.length; index++) {
    const token = argv[index]!
    if (token === '--') return [...spelled, ...argv.slice(index)]
    const [flag = '', ...value] = token.split('=')
    const canonical = known.has(flag) ? flag : `--${flagOf(flag.slice(2))}`
    const option = flag.startsWith('--') ? known.get(canonical) : undefined
    spelled.push(option ? [canonical, ...value].join('=') : token)
    // The next argument is the value, even if it looks like a flag.
    const next = argv[index + 1]
    if (option?.required && value.length === 0 && next !== undefined) {
      spelled.push(next)
      index++
    }
  }
  return spelled
}

/** The origin of a flag's value: the command line, an environment variable, or a file. */
type ValueSource = 'given' | 'env' | 'file'

/**
 * The value that a flag gives to an option.
 * @returns undefined if the value is unusable; the reason was reported, without the value if it may be a secret
 */
function flagValue(
  flag: string,
  spec: OptionSpec<unknown>,
  source: ValueSource,
  text: string,
  report: Report,
): unknown {
  if (source === 'env') return structured(flag, spec, variable(`--${flag}-env`, text, report), report)
  if (source === 'file') return structured(flag, spec, fromFile(flag, text, report), report)
  if (spec.secret || hasPassword(text)) {
    const what = spec.secret ? 'it is a secret' : 'it has a user or password in it'
    report(
      `--${flag}: ${what}, and a flag shows in the process list and in the shell's history. Give --${flag}-env NAME (a variable of the environment) or --${flag}-file PATH`,
    )
    return undefined
  }
  return structured(flag, spec, text, report)
}

/** The value of an environment variable that a flag names. @returns undefined after reporting a problem */
export function variable(flag: string, name: string, report: Report): string | undefined {
  // A user may have put the secret itself here: the error does not quote it.
  if (!/^[A-Za-z_]\w*$/.test(name)) {
    report(`${flag}: expected the name of a variable of the environment`)
    return undefined
  }
  const value = process.env[name]
  if (!value) report(`${flag}: the environment has no variable ${name}, or an empty one`)
  return value || undefined
}

function fromFile(flag: string, path: string, report: Report): string | undefined {
  try {
    const text = readFileSync(path, 'utf8').replace(/\r?\n$/, '')
    if (text === '') report(`--${flag}-file: ${JSON.stringify(path)} is empty`)
    return text || undefined
  } catch (error) {
    report(`--${flag}-file: can't read ${JSON.stringify(path)} (${(error as NodeJS.ErrnoException).code})`)
    return undefined
  }
}

/** Parses the JSON of options that are objects. */
function structured(
  flag: string,
  { schema }: OptionSpec<unknown>,
  text: string | undefined,
  report: Report,
): unknown {
  if (text === undefined || schema?.['type'] !== 'object') return text
  try {
    return JSON.parse(text)
  } catch {
    report(`--${flag}: expected a JSON object`)
    return undefined
  }
}

/** Whether a URL holds a user or password, which a flag would show in the process list. */
export function hasPassword(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { username, password } = new URL(text)
  return username !== '' || password !== ''
}
