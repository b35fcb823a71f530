import { syntaxError } from './kql-errors.ts'
import { type Token, tokenize } from './kql-tokens.ts'
import type { Cell, ColumnType } from './kql-values.ts'

export type Expression =
  | { kind: 'literal'; type: ColumnType; cell: Cell }
  | { kind: 'name'; name: string }
  | { kind: 'call'; name: string; arguments: Expression[] }
  | { kind: 'binary'; operator: string; left: Expression; right: Expression }
  | { kind: 'minus'; operand: Expression }
  | { kind: 'between'; negated: boolean; value: Expression; low: Expression; high: Expression }
  | { kind: 'in'; negated: boolean; caseless: boolean; value: Expression; list: Expression[] }
  | { kind: 'member'; object: Expression; key: string | number }

export interface NamedExpression {
  name?: string
  expression: Expression
}

export interface SortKey {
  expression: Expression
  descending: boolean
  nullsFirst: boolean
}

export type Operator =
  | { kind: 'where'; predicate: Expression }
  | { kind: 'project' | 'extend' | 'distinct'; columns: NamedExpression[] }
  | { kind: 'project-away' | 'project-keep'; names: string[] }
  | { kind: 'project-rename'; columns: NamedExpression[] }
  | { kind: 'take'; count: Expression }
  | { kind: 'count' | 'getschema' }
  | { kind: 'summarize'; aggregates: NamedExpression[]; by: NamedExpression[] }
  | { kind: 'sort'; keys: SortKey[]; take?: Expression }

export interface Pipeline {
  source: { table: string } | { print: NamedExpression[] } | { pipeline: Pipeline }
  operators: Operator[]
}

export type Statement =
  | { kind: 'let'; name: string; value: { pipeline: Pipeline } | { expression: Expression } }
  | { kind: 'query'; pipeline: Pipeline }

/** Reads a query: `let` statements and one or more queries, with `;` between. @throws KqlError */
export function parseQuery(query: string): Statement[] {
  return new Parser(query).statements()
}

const textOperators =
  /^!?(has|has_cs|contains|contains_cs|startswith|startswith_cs|endswith|endswith_cs)$|^matches$/

class Parser {
  readonly #query: string
  readonly #tokens: Token[]
  #next = 0

  constructor(query: string) {
    this.#query = query
    this.#tokens = tokenize(query)
  }

  statements(): Statement[] {
    const found: Statement[] = []
    while (this.#peek().kind !== 'end') {
      found.push(this.#statement())
      if (!this.#accept(';')) break
    }
    if (this.#peek().kind !== 'end' || !found.some(({ kind }) => kind === 'query')) throw this.#unexpected()
    return found
  }

  #statement(): Statement {
    if (!this.#word('let')) return { kind: 'query', pipeline: this.#pipeline() }
    const name = this.#name()
    this.#expect('=')
    // A name alone may be a table or a scalar; what it is shows when it is used.
    const start = this.#next
    if (this.#peek().kind === 'name' && this.#tokens[this.#next + 1]?.text === '|') {
      return { kind: 'let', name, value: { pipeline: this.#pipeline() } }
    }
    if (this.#peek().text === '(') {
      this.#next++
      if (this.#peek().kind === 'name' && this.#tokens[this.#next + 1]?.text === '|') {
        this.#next = start
        return { kind: 'let', name, value: { pipeline: this.#pipeline() } }
      }
      this.#next = start
    }
    return { kind: 'let', name, value: { expression: this.#expression() } }
  }

  #pipeline(): Pipeline {
    let source: Pipeline['source']
    if (this.#accept('(')) {
      source = { pipeline: this.#pipeline() }
      this.#expect(')')
    } else if (this.#word('print')) {
      source = { print: this.#list(() => this.#named()) }
    } else {
      source = { table: this.#name() }
    }
    const operators: Operator[] = []
    while (this.#accept('|')) operators.push(this.#operator())
    return { source, operators }
  }

  #operator(): Operator {
    const token = this.#take()
    if (token.kind !== 'name') throw this.#unexpected(token)
    switch (token.text) {
      case 'where':
      case 'filter':
        return { kind: 'where', predicate: this.#expression() }
      case 'project':
      case 'extend':
        return { kind: token.text, columns: this.#list(() => this.#named()) }
      case 'distinct':
        if (this.#accept('*')) return { kind: 'distinct', columns: [] }
        return { kind: 'distinct', columns: this.#list(() => this.#named()) }
      case 'project-away':
      case 'project-keep':
        return { kind: token.text, names: this.#list(() => this.#name()) }
      case 'project-rename':
        return { kind: 'project-rename', columns: this.#list(() => this.#named()) }
      case 'take':
      case 'limit':
        return { kind: 'take', count: this.#expression() }
      case 'count':
      case 'getschema':
        return { kind: token.text }
      case 'summarize':
        return this.#summarize()
      case 'sort':
      case 'order':
        this.#expectWord('by')
        return { kind: 'sort', keys: this.#list(() => this.#sortKey()) }
      case 'top': {
        const take = this.#expression()
        this.#expectWord('by')
        return { kind: 'sort', keys: [this.#sortKey()], take }
      }
      default:
        throw this.#unexpected(token)
    }
  }

  #summarize(): Operator {
    const aggregates = this.#peek().text === 'by' ? [] : this.#list(() => this.#named())
    const by = this.#word('by') ? this.#list(() => this.#named()) : []
    return { kind: 'summarize', aggregates, by }
  }

  #sortKey(): SortKey {
    const expression = this.#expression()
    const descending = !this.#word('asc')
    if (descending) this.#word('desc')
    let nullsFirst = !descending
    if (this.#word('nulls')) {
      nullsFirst = this.#word('first')
      if (!nullsFirst) this.#expectWord('last')
    }
    return { expression, descending, nullsFirst }
  }

  #named(): NamedExpression {
    if (this.#peek().kind === 'name' && this.#tokens[this.#next + 1]?.text === '=') {
      const name = this.#name()
      this.#expect('=')
      return { name, expression: this.#expression() }
    }
    return { expression: this.#expression() }
  }

  #expression(): Expression {
    return this.#chain(['or'], () => this.#chain(['and'], () => this.#comparison()))
  }

  #comparison(): Expression {
    const left = this.#sum()
    const token = this.#peek()
    const operator = token.text
    if (token.kind === 'literal') return left
    if (/^(==|!=|<>|<|<=|>|>=|=~|!~)$/.test(operator)) {
      this.#next++
      return { kind: 'binary', operator: operator === '<>' ? '!=' : operator, left, right: this.#sum() }
    }
    if (textOperators.test(operator)) {
      this.#next++
      if (operator === 'matches') this.#expectWord('regex')
      return { kind: 'binary', operator, left, right: this.#sum() }
    }
    if (/^!?between$/.test(operator)) {
      this.#next++
      this.#expect('(')
      const low = this.#sum()
      this.#expect('..')
      const high = this.#sum()
      this.#expect(')')
      return { kind: 'between', negated: operator.startsWith('!'), value: left, low, high }
    }
    if (/^!?in~?$/.test(operator)) {
      this.#next++
      this.#expect('(')
      const list = this.#list(() => this.#expression())
      this.#expect(')')
      return {
        kind: 'in',
        negated: operator.startsWith('!'),
        caseless: operator.endsWith('~'),
        value: left,
        list,
      }
    }
    return left
  }

  #sum(): Expression {
    return this.#chain(['+', '-'], () => this.#chain(['*', '/', '%'], () => this.#unary()))
  }

  #chain(operators: string[], operand: () => Expression): Expression {
    let left = operand()
    while (this.#peek().kind !== 'literal' && operators.includes(this.#peek().text)) {
      left = { kind: 'binary', operator: this.#take().text, left, right: operand() }
    }
    return left
  }

  #unary(): Expression {
    if (this.#accept('-')) return { kind: 'minus', operand: this.#unary() }
    let expression = this.#primary()
    while (true) {
      if (this.#accept('.')) {
        expression = { kind: 'member', object: expression, key: this.#name() }
      } else if (this.#accept('[')) {
        const token = this.#take()
        if (token.kind !== 'literal' || (token.type !== 'string' && token.type !== 'long')) {
          throw this.#unexpected(token)
        }
        expression = { kind: 'member', object: expression, key: token.cell as string | number }
        this.#expect(']')
      } else {
        return expression
      }
    }
  }

  #primary(): Expression {
    const token = this.#take()
    if (token.kind === 'literal') return { kind: 'literal', type: token.type!, cell: token.cell! }
    if (token.text === '(' && token.kind === 'symbol') {
      const expression = this.#expression()
      this.#expect(')')
      return expression
    }
    if (token.kind !== 'name') throw this.#unexpected(token)
    if (this.#accept('(')) {
      const list = this.#peek().text === ')' ? [] : this.#list(() => this.#expression())
      this.#expect(')')
      return { kind: 'call', name: token.text, arguments: list }
    }
    if (/^(true|false)$/i.test(token.text)) {
      return { kind: 'literal', type: 'bool', cell: token.text.toLowerCase() === 'true' }
    }
    return { kind: 'name', name: token.text }
  }

  #list<Item>(item: () => Item): Item[] {
    const items = [item()]
    while (this.#accept(',')) items.push(item())
    return items
  }

  #name(): string {
    const token = this.#take()
    if (token.kind !== 'name') throw this.#unexpected(token)
    return token.text
  }

  #peek(): Token {
    return this.#tokens[this.#next]!
  }

  #take(): Token {
    const token = this.#peek()
    if (token.kind !== 'end') this.#next++
    return token
  }

  #accept(symbol: string): boolean {
    const token = this.#peek()
    if (token.kind !== 'symbol' || token.text !== symbol) return false
    this.#next++
    return true
  }

  #word(word: string): boolean {
    const token = this.#peek()
    if (token.kind !== 'name' || token.text !== word) return false
    this.#next++
    return true
  }

  #expect(symbol: string): void {
    if (!this.#accept(symbol)) throw this.#unexpected()
  }

  #expectWord(word: string): void {
    if (!this.#word(word)) throw this.#unexpected()
  }

  #unexpected(token = this.#peek()) {
    return syntaxError(this.#query, token.offset, token.text)
  }
}
