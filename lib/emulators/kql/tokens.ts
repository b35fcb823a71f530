import { type Cell, type ColumnType, toCell } from '../log-analytics-cells.ts'
import { syntaxError } from './errors.ts'

export interface Token {
  kind: 'name' | 'literal' | 'symbol' | 'end'
  /** As written; of a `['name']` the name alone. */
  text: string
  offset: number
  /** Of a literal. */
  type?: ColumnType
  cell?: Cell
}

const space = /(?:\s+|\/\/[^\n]*)+/y
const typedLiteral = /(datetime|timespan|long|int|real|bool|guid)\s*\(\s*([^()]*?)\s*\)/iy
const string = /@'(?:[^']|'')*'|@"(?:[^"]|"")*"|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"/y
const quotedName = /\[\s*('(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")\s*\]/y
const number = /\d+(?:\.\d+)?([a-zA-Z]*)/y
const word = /[A-Za-z_$][\w$]*/y
const symbol = /![A-Za-z_]+|==|!=|<=|>=|=~|!~|\.\.|[|=<>()[\],;.+\-*/%:]/y

type Reader = (match: RegExpExecArray) => Omit<Token, 'offset'> | undefined

/** In the order in which they are tried. */
const readers: [form: RegExp, read: Reader][] = [
  [
    typedLiteral,
    ([text, name, written]) => literal(text, name!.toLowerCase() as ColumnType, unquoted(written!)),
  ],
  [string, ([text]) => ({ kind: 'literal', text, type: 'string', cell: unquote(text) })],
  [quotedName, ([, quoted]) => ({ kind: 'name', text: unquote(quoted!) })],
  [number, ([text, unit]) => literal(text, unit ? 'timespan' : text.includes('.') ? 'real' : 'long', text)],
  [symbol, ([text]) => ({ kind: 'symbol', text })],
  [word, ([text]) => ({ kind: 'name', text })],
]

/** Cuts a query into tokens. Its last one is of kind `end`. @throws KqlError */
export function tokenize(query: string): Token[] {
  const tokens: Token[] = []
  let offset = 0
  while (true) {
    space.lastIndex = offset
    if (space.test(query)) offset = space.lastIndex
    if (offset >= query.length) break
    const token = readToken(query, offset)
    tokens.push(token)
    offset = token.end
  }
  tokens.push({ kind: 'end', text: '', offset: query.length })
  return tokens
}

function readToken(query: string, offset: number): Token & { end: number } {
  for (const [form, read] of readers) {
    form.lastIndex = offset
    const match = form.exec(query)
    if (!match) continue
    const token = read(match)
    if (!token) throw syntaxError(query, offset, match[0])
    return { ...token, offset, end: form.lastIndex }
  }
  throw syntaxError(query, offset, query[offset]!)
}

function literal(text: string, type: ColumnType, written: string): Omit<Token, 'offset'> | undefined {
  try {
    const value = /^(true|false)$/i.test(written)
      ? written.toLowerCase() === 'true'
      : type === 'int' || (type === 'real' && !/nan|inf/i.test(written))
        ? Number(written)
        : written
    return { kind: 'literal', text, type, cell: toCell(written === 'null' ? null : value, type) }
  } catch {
    return undefined
  }
}

function unquoted(text: string): string {
  return /^(['"]).*\1$/.test(text) ? text.slice(1, -1) : text
}

const escapes: Record<string, string> = { n: '\n', r: '\r', t: '\t', b: '\b', f: '\f', '0': '\0' }

function unquote(text: string): string {
  if (text.startsWith('@')) return text.slice(2, -1).replaceAll(text[1]!.repeat(2), text[1]!)
  return text
    .slice(1, -1)
    .replace(/\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(.))/g, (_, wide, narrow, other) =>
      other === undefined
        ? String.fromCharCode(Number.parseInt(wide ?? narrow, 16))
        : (escapes[other] ?? other),
    )
}
