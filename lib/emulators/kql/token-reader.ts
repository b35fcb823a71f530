import { type KqlError, syntaxError } from './errors.ts'
import { type Token, tokenize } from './tokens.ts'

/** Goes through the tokens of a query, and says where one is not what was due. */
export class TokenReader {
  readonly #query: string
  readonly #tokens: Token[]
  #next = 0

  constructor(query: string) {
    this.#query = query
    this.#tokens = tokenize(query)
  }

  peek(ahead = 0): Token {
    return this.#tokens[Math.min(this.#next + ahead, this.#tokens.length - 1)]!
  }

  take(): Token {
    const token = this.peek()
    if (token.kind !== 'end') this.#next++
    return token
  }

  /** Takes the next token if it is this symbol. */
  accept(symbol: string): boolean {
    return this.#is('symbol', symbol)
  }

  /** Takes the next token if it is this word. */
  word(word: string): boolean {
    return this.#is('name', word)
  }

  expect(symbol: string): void {
    if (!this.accept(symbol)) throw this.unexpected()
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

  unexpected(token = this.peek()): KqlError {
    return syntaxError(this.#query, token.offset, token.text)
  }

  #is(kind: Token['kind'], text: string): boolean {
    const token = this.peek()
    if (token.kind !== kind || token.text !== text) return false
    this.#next++
    return true
  }
}
