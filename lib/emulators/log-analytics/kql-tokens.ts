import { type Cell, type ColumnType, toCell } from './cells.ts'

/** A query that the service refuses. `line` counts from 1, `pos` from 0, as the service does. */
export class KqlError extends Error {
  override name = 'KqlError'
  readonly kind: 'SyntaxError' | 'SemanticError'
  readonly inner: { code: string; message: string; line?: number; pos?: number; token?: string }

  constructor(kind: KqlError['kind'], inner: KqlError['inner']) {
    super(inner.message)
    this.kind = kind
    this.inner = inner
  }

  /** The body that the service answers with, status 400. @param hint what the emulator has to add */
  body(hint: string): object {
    const message =
      this.kind === 'SyntaxError'
        ? 'A recognition error occurred in the query.'
        : 'A semantic error occurred.'
    const innererror = { ...this.inner, message: `${this.inner.message} ${hint}` }
    return {
      error: {
        message: 'The request had some invalid properties',
        code: 'BadArgumentError',
        correlationId: crypto.randomUUID(),
        innererror: { code: this.kind, message, innererror },
      },
    }
  }
}

export function semanticError(message: string, code = 'SEM0100'): KqlError {
  return new KqlError('SemanticError', { code, message })
}

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
const symbol = /!in\b|==|!=|<=|>=|[|=<>()[\],;.+\-*/%:]/y

type Reader = (match: RegExpExecArray) => Omit<Token, 'offset'> | undefined

/** In the order in which they are tried. */
const readers: [form: RegExp, read: Reader][] = [
  [typedLiteral, ([text, name, written]) => literal(text, name!.toLowerCase() as ColumnType, written!)],
  [string, ([text]) => ({ kind: 'literal', text, type: 'string', cell: unquote(text) })],
  [quotedName, ([, quoted]) => ({ kind: 'name', text: unquote(quoted!) })],
  [number, ([text, unit]) => literal(text, unit ? 'timespan' : text.includes('.') ? 'real' : 'long', text)],
  [symbol, ([text]) => ({ kind: 'symbol', text })],
  [word, ([text]) => ({ kind: 'name', text })],
]

function literal(text: string, type: ColumnType, given: string): Omit<Token, 'offset'> | undefined {
  const written = given.replace(/^(['"])(.*)\1$/, '$2')
  const values: Partial<Record<ColumnType, unknown>> = {
    bool: written.toLowerCase() === 'true',
    int: Number(written),
    real: Number(written),
  }
  try {
    return {
      kind: 'literal',
      text,
      type,
      cell: toCell(written === 'null' ? null : (values[type] ?? written), type),
    }
  } catch {
    return undefined
  }
}

function unquote(text: string): string {
  if (text.startsWith('@')) return text.slice(2, -1).replaceAll(text[1]!.repeat(2), text[1]!)
  return text
    .slice(1, -1)
    .replace(/\\(.)/g, (_, sign) => ({ n: '\n', r: '\r', t: '\t' })[sign as string] ?? sign)
}

/** Goes through the tokens of a query, and says where one is not what was due. */
export class TokenReader {
  readonly #query: string
  readonly #tokens: Token[]
  #next = 0

  /** @throws KqlError where the text is no token */
  constructor(query: string) {
    this.#query = query
    this.#tokens = this.#tokenize()
  }

  peek(ahead = 0): Token {
    return this.#tokens[Math.min(this.#next + ahead, this.#tokens.length - 1)]!
  }

  take(): Token {
    const token = this.peek()
    if (token.kind !== 'end') this.#next++
    return token
  }

  /** Takes the next token if it is this symbol or word. */
  accept(text: string): boolean {
    const token = this.peek()
    if (token.kind === 'literal' || token.text !== text || token.kind === 'end') return false
    this.#next++
    return true
  }

  expect(text: string): void {
    if (!this.accept(text)) throw this.unexpected()
  }

  name(): string {
    const token = this.take()
    if (token.kind !== 'name') throw this.unexpected(token)
    return token.text
  }

  list<Item>(item: () => Item): Item[] {
    const items = [item()]
    while (this.accept(',')) items.push(item())
    return items
  }

  unexpected({ offset, text: token } = this.peek()): KqlError {
    const before = this.#query.slice(0, offset)
    const [line, pos] = [before.split('\n').length, offset - (before.lastIndexOf('\n') + 1)]
    const message = `Query could not be parsed at '${token}' on line [${line},${pos}]`
    return new KqlError('SyntaxError', { code: 'SYN0002', message, line, pos, token })
  }

  #tokenize(): Token[] {
    const tokens: Token[] = []
    for (let offset = 0; ; ) {
      space.lastIndex = offset
      if (space.test(this.#query)) offset = space.lastIndex
      if (offset >= this.#query.length) break
      const found = readers.find(([form]) => {
        form.lastIndex = offset
        return form.test(this.#query)
      })
      const text = found ? this.#query.slice(offset, found[0].lastIndex) : this.#query[offset]!
      if (found) found[0].lastIndex = offset
      const token = found?.[1](found[0].exec(this.#query)!)
      if (!token) throw this.unexpected({ kind: 'symbol', text, offset })
      tokens.push({ ...token, offset })
      offset += text.length
    }
    tokens.push({ kind: 'end', text: '', offset: this.#query.length })
    return tokens
  }
}
