import { SearchError, type SearchRow } from './search-row.ts'

export type Predicate = (row: SearchRow) => boolean

/** What a `search` command says. */
export interface SearchExpression {
  readonly predicate: Predicate
  /** Fields that it names. */
  readonly fields: ReadonlySet<string>
  /** `earliest`, `latest`, `_index_earliest`, `_index_latest` written in it. */
  readonly timeModifiers: ReadonlyMap<string, string>
}

interface Token {
  text: string
  kind: 'word' | 'quoted' | 'symbol'
}

const token = /\s*(?:("(?:[^"\\]|\\.)*")|(!=|<=|>=|=|<|>|[(),])|([^\s"=<>!(),]+|!))/y
const timeNames = new Set(['earliest', 'latest', '_index_earliest', '_index_latest'])
const defaultIndex = /^[^_]/

/**
 * Reads the expression of a `search` command: field comparisons, `IN (...)`, words and phrases, AND, OR, NOT,
 * parentheses, `*`. As in Splunk, OR binds closer than AND. @throws SearchError
 */
export function parseSearchExpression(text: string): SearchExpression {
  const tokens = tokenize(text)
  const fields = new Set<string>()
  const timeModifiers = new Map<string, string>()
  let at = 0
  const symbol = (expected: string) => tokens[at]?.kind === 'symbol' && tokens[at]?.text === expected
  const keyword = (expected: string) => tokens[at]?.kind === 'word' && tokens[at]?.text === expected
  const fail = (what: string): never => {
    throw new SearchError(`Error in 'search' command: Unable to parse the search: ${what}.`)
  }

  const all = (): Predicate => {
    const parts: Predicate[] = []
    while (at < tokens.length && !symbol(')')) {
      if (keyword('AND')) at++
      parts.push(any())
    }
    return (row) => parts.every((part) => part(row))
  }
  const any = (): Predicate => {
    const parts = [not()]
    while (keyword('OR')) {
      at++
      parts.push(not())
    }
    return parts.length === 1 ? parts[0]! : (row) => parts.some((part) => part(row))
  }
  const not = (): Predicate => {
    if (keyword('NOT')) {
      at++
      const inner = not()
      return (row) => !inner(row)
    }
    if (symbol('(')) {
      at++
      const inner = all()
      if (!symbol(')')) fail('unbalanced parentheses')
      at++
      return inner
    }
    return term()
  }
  const term = (): Predicate => {
    const name = tokens[at++] ?? fail('the end comes too early')
    if (name.kind === 'symbol') fail(`unexpected '${name.text}'`)
    const operator = tokens[at]
    if (operator?.kind === 'symbol' && /[=<>]/.test(operator.text)) {
      at++
      const value =
        tokens[at++] ?? fail(`Comparator '${operator.text}' is missing a term on the right hand side`)
      if (value.kind === 'symbol')
        fail(`Comparator '${operator.text}' has an invalid term on the right hand side`)
      if (timeNames.has(name.text)) {
        timeModifiers.set(name.text, value.text)
        return () => true
      }
      fields.add(name.text)
      return comparison(name.text, operator.text, value.text)
    }
    if (keyword('IN') && tokens[at + 1]?.text === '(') {
      at += 2
      const values: Predicate[] = []
      while (at < tokens.length && !symbol(')')) {
        if (symbol(',')) at++
        else values.push(comparison(name.text, '=', tokens[at++]!.text))
      }
      at++
      fields.add(name.text)
      return (row) => values.some((value) => value(row))
    }
    const [, indexed, value] = (name.kind === 'word' && /^(\w+)::(.+)$/.exec(name.text)) || []
    if (indexed !== undefined) return comparison(indexed, '=', value!)
    return words(name.text)
  }

  const predicate = all()
  if (at < tokens.length) fail(`unexpected '${tokens[at]!.text}'`)
  return { predicate, fields, timeModifiers }
}

function tokenize(text: string): Token[] {
  const tokens: Token[] = []
  token.lastIndex = 0
  const end = text.trimEnd().length
  while (token.lastIndex < end) {
    const match = token.exec(text)
    if (!match)
      throw new SearchError(`Error in 'search' command: Unable to parse the search: unbalanced quotes.`)
    const [, quoted, symbol, word] = match
    if (quoted !== undefined) tokens.push({ kind: 'quoted', text: unquote(quoted) })
    else if (symbol !== undefined) tokens.push({ kind: 'symbol', text: symbol })
    else tokens.push({ kind: 'word', text: word! })
  }
  return tokens
}

/** The text between quotes. */
export function unquote(text: string): string {
  return /^".*"$/s.test(text) ? text.slice(1, -1).replace(/\\(["\\])/g, '$1') : text
}

function comparison(name: string, operator: string, value: string): Predicate {
  if (operator === '=' || operator === '!=') {
    const form = wildcard(value)
    const test = (row: SearchRow) => {
      // `index=*` leaves the internal indexes out.
      if (name === 'index' && value.startsWith('*') && !defaultIndex.test(String(row['index']))) return false
      const held = row[name]
      return (
        held !== undefined && (Array.isArray(held) ? held.some((one) => form.test(one)) : form.test(held))
      )
    }
    return operator === '=' ? test : (row) => row[name] !== undefined && !test(row)
  }
  const limit = Number(value)
  return (row) => {
    const held = row[name]
    return (held === undefined ? [] : Array.isArray(held) ? held : [held]).some((one) => {
      const order =
        Number.isNaN(limit) || Number.isNaN(Number(one)) ? compare(one, value) : Number(one) - limit
      if (operator === '<') return order < 0
      if (operator === '>') return order > 0
      return operator === '<=' ? order <= 0 : order >= 0
    })
  }
}

function compare(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0
}

/** A value in which `*` stands for any text; case does not count. */
export function wildcard(value: string): RegExp {
  return new RegExp(`^${pattern(value, '.*')}$`, 'is')
}

/** Words stand alone in `_raw`: between letters and digits there is something else. */
function words(text: string): Predicate {
  if (text === '*') return () => true
  const inner = pattern(text, '[^\\s]*')
  const [before, after] = [/^[\p{L}\p{N}]/u.test(text), /[\p{L}\p{N}]$/u.test(text)]
  const form = new RegExp(
    `${before ? '(?<![\\p{L}\\p{N}])' : ''}${inner}${after ? '(?![\\p{L}\\p{N}])' : ''}`,
    'isu',
  )
  return (row) => form.test(String(row['_raw'] ?? ''))
}

function pattern(text: string, any: string): string {
  return text
    .split('*')
    .map((part) => part.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&'))
    .join(any)
}
