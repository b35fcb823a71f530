import { readFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import { LineCounter, parseDocument } from 'yaml'
import { OptionError } from '../core/errors.ts'

/**
 * Reads a file of YAML, of which JSON is a part.
 * @param path the file, or `-` for standard input
 * @throws OptionError with line and column of each fault, and none of the text
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
    const hint = unquoted ? `; a \${NAME} stands in quotes: "\${NAME}"` : ''
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
