import { readFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import { LineCounter, parseDocument, type YAMLParseError } from 'yaml'
import { OptionError } from '../core/errors.ts'

/**
 * Reads a YAML file; JSON is valid YAML.
 * @param path the file, or `-` for standard input
 * @throws OptionError with line and column of each fault, without quoting the file: it may hold secrets
 */
export async function readYaml(path: string): Promise<unknown> {
  const source = await readText(path)
  if (source.trim() === '') throw new OptionError(path, ['is empty'])
  const lines = new LineCounter()
  let errors: readonly YAMLParseError[]
  try {
    const document = parseDocument(source, { lineCounter: lines, prettyErrors: false })
    errors = document.errors
    if (errors.length === 0) return withoutCycles(document.toJS(), path)
  } catch (error) {
    if (error instanceof OptionError) throw error
    // Aliases that multiply, or a nesting that exceeds the stack.
    const problem =
      error instanceof RangeError ? 'is nested too deeply' : 'has aliases that expand without end'
    throw new OptionError(path, [problem])
  }
  const problems = errors.slice(0, 10).map(({ code, pos }) => {
    const { line, col } = lines.linePos(pos[0])
    const fault = code.toLowerCase().replaceAll('_', ' ')
    const unquoted = /(^|[\s:,[])\$\{\w/.test(source.split('\n')[line - 1] ?? '')
    const hint = unquoted ? `; put \${NAME} in quotes: "\${NAME}"` : ''
    return `is not JSON or YAML: line ${line}, column ${col} (${fault})${hint}`
  })
  throw new OptionError(path, problems)
}

/** Returns a value if it is a tree. @throws OptionError if an alias leads back to a collection that contains it */
function withoutCycles(value: unknown, path: string, above: ReadonlySet<unknown> = new Set()): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (above.has(value)) throw new OptionError(path, ['has an alias inside of its own anchor'])
  const within = new Set(above).add(value)
  for (const member of Object.values(value)) withoutCycles(member, path, within)
  return value
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
  report: (problem: string, place: string) => void,
  place = '',
): unknown {
  if (typeof value === 'string') {
    return replaceVariables(value, (inner) => {
      // As in a shell, the default also replaces an empty value.
      const at = inner.indexOf(':-')
      const [name, fallback] = at < 0 ? [inner] : [inner.slice(0, at), inner.slice(at + 2)]
      const found = fallback === undefined ? environment[name] : environment[name] || fallback
      if (!/^[A-Za-z_]\w*$/.test(name)) report(`${place}: "\${${name}}" is not the name of a variable`, place)
      else if (found === undefined) report(`${place}: the environment has no variable ${name}`, place)
      else if (found === '' && fallback === undefined)
        report(`${place}: the variable ${name} is empty`, place)
      return found
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

/** Replaces each `${…}` once, in time that grows with the length alone. @param lookUp undefined keeps what is there */
function replaceVariables(text: string, lookUp: (inner: string) => string | undefined): string {
  let result = ''
  let from = 0
  for (;;) {
    const at = text.indexOf('${', from)
    if (at < 0) return result + text.slice(from)
    if (at > from && text[at - 1] === '$') {
      result += `${text.slice(from, at - 1)}\${`
      from = at + 2
      continue
    }
    const end = text.indexOf('}', at)
    if (end < 0) return result + text.slice(from)
    result += text.slice(from, at) + (lookUp(text.slice(at + 2, end)) ?? text.slice(at, end + 1))
    from = end + 1
  }
}
