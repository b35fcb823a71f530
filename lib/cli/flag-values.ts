import { readFileSync } from 'node:fs'
import type { OptionSpec, Report } from '../core/options.ts'

/** Where the value of a flag comes from: from the command line itself, a variable or a file that it names. */
export type ValueSource = 'given' | 'env' | 'file'

/**
 * The value that a flag gives to an option.
 * @returns undefined where there is none; `report` was told why. What may be a secret is never in it.
 */
export function flagValue(
  flag: string,
  spec: OptionSpec<unknown>,
  source: ValueSource,
  text: string,
  report: Report,
): unknown {
  if (source === 'env') return structured(flag, spec, fromVariable(flag, text, report), report)
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

function fromVariable(flag: string, name: string, report: Report): string | undefined {
  // Whoever puts the secret itself here must not find it in the error.
  if (!/^[A-Za-z_]\w*$/.test(name)) {
    report(`--${flag}-env: expected the name of a variable of the environment`)
    return undefined
  }
  const value = process.env[name]
  if (!value) report(`--${flag}-env: the environment has no variable ${name}, or an empty one`)
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

/** Options that are objects are written as JSON. */
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

function hasPassword(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { username, password } = new URL(text)
  return username !== '' || password !== ''
}
