import { readFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import { LineCounter, parseDocument } from 'yaml'
import { OptionError } from '../core/errors.ts'
import type { Report } from '../core/options.ts'

/**
 * Reads a YAML file; JSON is valid YAML.
 * @param path the file, or `-` for standard input
 * @throws OptionError with line and column of each fault, without quoting the file: it may hold secrets
 */
export async function readYaml(path: string): Promise<unknown> {
  const source = await readText(path)
  const lines = new LineCounter()
  const document = parseDocument(source, { lineCounter: lines, prettyErrors: false })
  if (document.errors.length === 0) return document.toJS()
  const problems = document.errors.map(({ code, pos }) => {
    const { line, col } = lines.linePos(pos[0])
    const fault = code.toLowerCase().replaceAll('_', ' ')
    const unquoted = /(^|[\s:,[])\$\{\w/.test(source.split('\n')[line - 1] ?? '')
    const hint = unquoted ? `; put \${NAME} in quotes: "\${NAME}"` : ''
    return `is not JSON or YAML: line ${line}, column ${col} (${fault})${hint}`
  })
  throw new OptionError(path, problems.slice(0, 10))
}

async function readText(path: string): Promise<string> {
  try {
    return path === '-' ? await text(process.stdin) : await readFile(path, 'utf8')
  } catch (error) {
    throw new OptionError(path, [`can't be read (${(error as NodeJS.ErrnoException).code})`])
  }
}

/**
 * Replaces each `${NAME}` and `${NAME:-default}` in the strings of a JSON value by the variable's value. `$${` is an
 * escaped `${`.
 * @param report called for each variable that is missing, with the member that names it
 */
export function fillFromEnvironment(
  value: unknown,
  environment: NodeJS.ProcessEnv,
  report: Report,
  place = '',
): unknown {
  if (typeof value === 'string') {
    return value.replace(/\$(\$\{)|\$\{([^}]*)\}/g, (whole, escaped: string | undefined, inner: string) => {
      if (escaped !== undefined) return escaped
      // As in a shell, the default also replaces an empty value.
      const [, name = inner, fallback] = /^([^:]*):-(.*)$/s.exec(inner) ?? []
      const found = fallback === undefined ? environment[name] : environment[name] || fallback
      if (!/^[A-Za-z_]\w*$/.test(name)) report(`${place}: "\${${name}}" is not the name of a variable`)
      else if (found === undefined) report(`${place}: the environment has no variable ${name}`)
      else if (found === '' && fallback === undefined) report(`${place}: the variable ${name} is empty`)
      return found ?? whole
    })
  }
  if (Array.isArray(value)) {
    return value.map((member, index) =>
      fillFromEnvironment(member, environment, report, `${place}[${index}]`),
    )
  }
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => [
      key,
      fillFromEnvironment(member, environment, report, place === '' ? key : `${place}.${key}`),
    ]),
  )
}
