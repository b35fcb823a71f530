import { syntaxError } from './kql-errors.ts'
import { type Cell, type ColumnType, toCell } from './kql-values.ts'

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
const typedLiteral =
  /(datetime|date|timespan|time|long|int|real|double|decimal|bool|boolean|guid)\s*\(\s*([^()]*?)\s*\)/iy
const dynamicLiteral = /dynamic\s*\(/iy
const string = /@'(?:[^']|'')*'|@"(?:[^"]|"")*"|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"/y
const quotedName = /\[\s*('(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")\s*\]/y
const number = /\d+(?:\.\d+)?(?:[eE][+-]?\d+)?([a-zA-Z]*)/y
const word = /[A-Za-z_$][\w$]*(?:-[A-Za-z]+(?<=\bproject-(?:away|keep|rename|reorder)))?/y
const symbol = /in~|![A-Za-z_]+~?|==|!=|<>|<=|>=|=~|!~|\.\.|[|=<>()[\],;.+\-*/%:]/y
const insensitiveIn = /in~/y

const literalTypes: Record<string, ColumnType> = {
  datetime: 'datetime',
  date: 'datetime',
  timespan: 'timespan',
  time: 'timespan',
  long: 'long',
  int: 'int',
  real: 'real',
  double: 'real',
  decimal: 'decimal',
  bool: 'bool',
  boolean: 'bool',
  guid: 'guid',
}

type Reader = (query: string, match: RegExpExecArray) => Omit<Token, 'offset'>

/** In the order in which they are tried. */
const readers: [form: RegExp, read: Reader][] = [
  [
    typedLiteral,
    (query, { 0: text, 1: name, 2: written, index }) =>
      literal(query, index, text, literalTypes[name!.toLowerCase()]!, written!),
  ],
  [
    dynamicLiteral,
    (query, { 0: opening, index }) => {
      const text = query.slice(index, closingParenthesis(query, index + opening.length))
      return literal(query, index, text, 'dynamic', text.slice(opening.length, -1).trim())
    },
  ],
  [string, (_, { 0: text }) => ({ kind: 'literal', text, type: 'string', cell: unquote(text) })],
  [quotedName, (_, { 1: quoted }) => ({ kind: 'name', text: unquote(quoted!) })],
  [number, readNumber],
  [insensitiveIn, (_, { 0: text }) => ({ kind: 'symbol', text })],
  [word, (_, { 0: text }) => ({ kind: 'name', text })],
  [symbol, (_, { 0: text }) => ({ kind: 'symbol', text })],
]

/** Cuts a query into tokens. Its last one is of kind `end`. @throws KqlError */
export function tokenize(query: string): Token[] {
  const tokens: Token[] = []
  let offset = 0
  while (true) {
    space.lastIndex = offset
    if (space.test(query)) offset = space.lastIndex
    if (offset >= query.length) break
    const token = readToken(query, offset, tokens.at(-1))
    tokens.push(token)
    offset = token.end
  }
  tokens.push({ kind: 'end', text: '', offset: query.length })
  return tokens
}

function readToken(query: string, offset: number, before: Token | undefined): Token & { end: number } {
  for (const [form, read] of readers) {
    if (form === quotedName && isValue(before)) continue
    form.lastIndex = offset
    const match = form.exec(query)
    if (!match) continue
    const token = read(query, match)
    // A dynamic literal ends where its parenthesis does.
    return {
      ...token,
      offset,
      end: Math.max(form.lastIndex, token.type === 'dynamic' ? offset + token.text.length : 0),
    }
  }
  throw syntaxError(query, offset, query[offset]!)
}

function literal(
  query: string,
  offset: number,
  text: string,
  type: ColumnType,
  written: string,
): Omit<Token, 'offset'> {
  const cell = readLiteral(type, written)
  if (cell === undefined) throw syntaxError(query, offset, text)
  return { kind: 'literal', text, type, cell }
}

/** After a value, `['x']` is a member of it, not a name. */
function isValue(token: Token | undefined): boolean {
  if (!token) return false
  const word =
    /^(where|filter|by|project.*|extend|and|or|asc|desc|distinct|between|in|summarize|on|print|has.*|contains.*)$/
  return token.kind === 'symbol'
    ? /^[)\]]$/.test(token.text)
    : token.kind === 'name' && !word.test(token.text)
}

function readLiteral(type: ColumnType, text: string): Cell | undefined {
  if (text === 'null') return null
  const quoted = /^(['"]).*\1$/.test(text) ? text.slice(1, -1) : text
  try {
    switch (type) {
      case 'bool':
        return /^(true|1)$/i.test(text) ? true : /^(false|0)$/i.test(text) ? false : undefined
      case 'int':
        return toCell(Number(text), 'int')
      case 'real':
        if (/^nan$/i.test(text)) return Number.NaN
        if (/^[+-]?inf$/i.test(text))
          return text.startsWith('-') ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY
        return Number.isNaN(Number(text)) ? undefined : Number(text)
      case 'dynamic':
        JSON.parse(text)
        return text
      default:
        return toCell(quoted, type)
    }
  } catch {
    return undefined
  }
}

function readNumber(query: string, { 0: text, 1: unit, index }: RegExpExecArray): Omit<Token, 'offset'> {
  if (unit) return literal(query, index, text, 'timespan', text)
  return literal(query, index, text, /[.e]/i.test(text) ? 'real' : 'long', text)
}

const escapes: Record<string, string> = { n: '\n', r: '\r', t: '\t', b: '\b', f: '\f', '0': '\0' }

function unquote(text: string): string {
  if (text.startsWith('@')) {
    const quote = text[1]!
    return text.slice(2, -1).replaceAll(quote + quote, quote)
  }
  return text
    .slice(1, -1)
    .replace(/\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(.))/g, (_, wide, narrow, other) =>
      other === undefined
        ? String.fromCharCode(Number.parseInt(wide ?? narrow, 16))
        : (escapes[other] ?? other),
    )
}

function closingParenthesis(query: string, from: number): number {
  let depth = 1
  const next = /"(?:[^"\\]|\\.)*"|[()]/g
  next.lastIndex = from
  for (let match = next.exec(query); match; match = next.exec(query)) {
    if (match[0] === '(') depth++
    else if (match[0] === ')' && --depth === 0) return next.lastIndex
  }
  throw syntaxError(query, query.length, '')
}
