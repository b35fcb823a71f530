import { formatEpoch, parseEpoch, type SearchRow, valuesOf } from './events.ts'

/** An error of a search: what splunkd says in a FATAL message. */
export class SearchError extends Error {
  override name = 'SearchError'
}

/** What the emulator runs, for the message of a search that is refused. */
export const runs =
  'search by fields and words, fields, table, head, eval of copies, fillnull, bin of _time, and stats'

/** A step of a search: rows in, rows out. */
export interface Stage {
  readonly command: string
  /** Ends with rows that are no events any more. */
  readonly transforming: boolean
  /** Fields that it names: they are worked out though nobody asks for all. */
  readonly fields: readonly string[]
  /** The order of columns in its results, where it sets one. */
  readonly columns?: readonly string[] | undefined
  run(rows: Iterable<SearchRow>): Iterable<SearchRow>
}

/** Reads the commands of a search. @throws SearchError for one that does not run here */
export function parseStages(search: string): Stage[] {
  const parts = splitPipes(search)
  if (parts[0] === '') parts.shift()
  return parts.map((text) => {
    const [, name = '', rest = ''] = /^(\S+)\s*([\s\S]*)$/.exec(text) ?? []
    const command = name.toLowerCase()
    const make = Object.hasOwn(commands, command) ? commands[command] : undefined
    if (!make) throw new SearchError(`Unknown search command '${command}'.`)
    return { command, transforming: false, fields: [], ...make(rest.trim()) }
  })
}

/** The commands at the end of a search that only add and choose fields: a client's own, behind its user's. */
export function closingStages(search: string): Stage[] {
  const stages: Stage[] = []
  try {
    for (const part of splitPipes(search).slice(1).reverse()) {
      const [stage] = parseStages(part)
      if (stage?.command !== 'eval' && stage?.command !== 'fields') break
      stages.unshift(stage)
    }
  } catch {
    // From here on it is the user's.
  }
  return stages
}

/** Cuts a search at its pipes: not at those in quotes. @throws SearchError */
function splitPipes(search: string): string[] {
  const parts: string[] = []
  let start = 0
  const next = /"(?:[^"\\]|\\.)*"|[|"[`]/g
  for (let match = next.exec(search); match; match = next.exec(search)) {
    if (match[0] === '"') throw new SearchError('Unbalanced quotes.')
    if (match[0] === '[' || match[0] === '`') throw new SearchError('Subsearches and macros do not run here.')
    if (match[0] !== '|') continue
    parts.push(search.slice(start, match.index).trim())
    start = next.lastIndex
  }
  parts.push(search.slice(start).trim())
  return parts
}

const commands: Record<string, (rest: string) => Pick<Stage, 'run'> & Partial<Stage>> = {
  search: (rest) => {
    const { predicate, fields } = new SearchExpression(rest)
    return { fields: [...fields], run: (rows) => filter(rows, predicate) }
  },
  fields: (rest) => {
    const [, sign, list = ''] = /^([+-](?=\s)\s*)?([\s\S]*)$/.exec(rest) ?? []
    const names = nameList(list, 'fields')
    const named = fieldTest(names)
    if (sign?.startsWith('-')) return { run: (rows) => pick(rows, (field) => !named(field)) }
    // _raw and _time stay unless they are taken away by name.
    return {
      fields: names,
      run: (rows) => pick(rows, (field) => field === '_raw' || field === '_time' || named(field)),
    }
  },
  table: (rest) => {
    const names = nameList(rest, 'table')
    return { transforming: true, fields: names, columns: names, run: (rows) => pick(rows, fieldTest(names)) }
  },
  head: (rest) => {
    if (!/^\d*$/.test(rest))
      throw new SearchError(`Error in 'head' command: Expected a number, got '${rest}'.`)
    return { run: (rows) => first(rows, rest === '' ? 10 : Number(rest)) }
  },
  eval: (rest) => {
    const copies = rest.split(',').map((text) => {
      const [, name, quoted, bare] =
        /^\s*([\w.]+)\s*=\s*(?:'([^']+)'|([A-Za-z_][\w.:]*))\s*$/.exec(text) ?? []
      const field = quoted ?? bare
      if (!name || !field)
        throw new SearchError(`Error in 'eval' command: The expression is malformed: ${text.trim()}.`)
      return { name, field }
    })
    return {
      fields: copies.map(({ field }) => field),
      run: (rows) =>
        map(rows, (row) => {
          const copy = { ...row }
          for (const { name, field } of copies) {
            if (copy[field] === undefined) delete copy[name]
            else copy[name] = copy[field]
          }
          return copy
        }),
    }
  },
  fillnull: (rest) => {
    const [, value = '0', names] = /^(?:value="([^"]*)"\s+)?(.+)$/s.exec(rest) ?? []
    const fields = nameList(names ?? '', 'fillnull')
    const filled = Object.fromEntries(fields.map((field) => [field, value]))
    return { fields, run: (rows) => map(rows, (row) => ({ ...filled, ...row })) }
  },
  bin: (rest) => {
    const [, amount, unit = 's'] = /^(?:_time\s+)?span=(\d+)([smhd]?)(?:\s+_time)?$/.exec(rest) ?? []
    if (amount === undefined)
      throw new SearchError(`Error in 'bin' command: The argument '${rest}' is invalid.`)
    const span = BigInt(amount) * { s: 1n, m: 60n, h: 3_600n, d: 86_400n }[unit]! * 1_000_000_000n
    return {
      run: (rows) =>
        map(rows, (row) => {
          const time = parseEpoch(String(row['_time']))
          return time === undefined
            ? row
            : { ...row, _time: formatEpoch(time - (((time % span) + span) % span)) }
        }),
    }
  },
  stats,
}

/** `stats count by ...`, and with it `dc`, `sum`, `min` and `max` of a field. */
function stats(rest: string): Pick<Stage, 'run'> & Partial<Stage> {
  const [, aggregatesText = '', byText] = /^([\s\S]*?)(?:\s+by\s+([\s\S]+))?$/i.exec(rest) ?? []
  const by = byText === undefined ? [] : nameList(byText, 'stats')
  const form =
    /\s*,?\s*(count|dc|sum|min|max)(?:\s*\(\s*("[^"]*"|[^()\s]*)\s*\))?(?:\s+as\s+("[^"]+"|[\w.]+))?(?=[\s,]|$)/iy
  const columns: { name: string; field: string | undefined; of: Aggregate }[] = []
  while (form.lastIndex < aggregatesText.trimEnd().length) {
    const [, called = '', argument, alias] = form.exec(aggregatesText) ?? []
    if (!called)
      throw new SearchError(`Error in 'stats' command: The argument '${aggregatesText}' is invalid.`)
    const field = argument ? unquote(argument) : undefined
    const name = alias === undefined ? called + (field === undefined ? '' : `(${field})`) : unquote(alias)
    columns.push({ name, field, of: aggregates[called.toLowerCase()]! })
  }
  return {
    transforming: true,
    fields: [...by, ...columns.flatMap(({ field }) => field ?? [])],
    columns: [...by, ...columns.map(({ name }) => name)],
    *run(rows) {
      const groups = new Map<string, { keys: string[]; rows: SearchRow[] }>()
      if (by.length === 0) groups.set('[]', { keys: [], rows: [] })
      for (const row of rows) {
        for (const keys of combinations(by.map((name) => valuesOf(row[name])))) {
          const id = JSON.stringify(keys)
          const group = groups.get(id) ?? { keys, rows: [] }
          groups.set(id, group)
          group.rows.push(row)
        }
      }
      for (const [, group] of [...groups].sort(([left], [right]) => (left < right ? -1 : 1))) {
        const result: SearchRow = {}
        for (const [at, name] of by.entries()) result[name] = group.keys[at]!
        for (const { name, field, of } of columns) {
          const value = of(group.rows.flatMap((row) => (field === undefined ? [''] : valuesOf(row[field]))))
          if (value !== undefined) result[name] = value
        }
        yield result
      }
    },
  }
}

type Aggregate = (values: readonly string[]) => string | undefined

const aggregates: Record<string, Aggregate> = {
  count: (values) => String(values.length),
  dc: (values) => String(new Set(values).size),
  sum: (values) => String(values.reduce((total, value) => total + Number(value), 0)),
  min: (values) => sorted(values)[0],
  max: (values) => sorted(values).at(-1),
}

function sorted(values: readonly string[]): string[] {
  return [...values].sort((left, right) => Number(left) - Number(right) || (left < right ? -1 : 1))
}

/** One value of each list, in every way. A row without one of the fields is in no group. */
function combinations(lists: string[][]): string[][] {
  return lists.reduce<string[][]>(
    (ways, list) => ways.flatMap((way) => list.map((one) => [...way, one])),
    [[]],
  )
}

type Predicate = (row: SearchRow) => boolean

const token = /\s*(?:("(?:[^"\\]|\\.)*")|(!=|=|[()])|([^\s"=!()]+|!))/y

/** What a `search` command says: comparisons, words and phrases, AND, OR, NOT, parentheses, `*`. OR binds closest. */
class SearchExpression {
  readonly predicate: Predicate
  /** Fields that it names. */
  readonly fields = new Set<string>()
  readonly #tokens: { text: string; kind: 'word' | 'quoted' | 'symbol' }[] = []
  #at = 0

  /** @throws SearchError */
  constructor(text: string) {
    token.lastIndex = 0
    while (token.lastIndex < text.trimEnd().length) {
      const [, quoted, symbol, word] = token.exec(text) ?? []
      if (quoted !== undefined) this.#tokens.push({ kind: 'quoted', text: unquote(quoted) })
      else if (symbol !== undefined) this.#tokens.push({ kind: 'symbol', text: symbol })
      else if (word !== undefined) this.#tokens.push({ kind: 'word', text: word })
      else throw unparsable('unbalanced quotes')
    }
    this.predicate = this.#all()
    if (this.#at < this.#tokens.length) throw unparsable(`unexpected '${this.#tokens[this.#at]!.text}'`)
  }

  #accept(kind: 'word' | 'symbol', text: string): boolean {
    const next = this.#tokens[this.#at]
    if (next?.kind !== kind || next.text !== text) return false
    this.#at++
    return true
  }

  #all(): Predicate {
    const parts: Predicate[] = []
    while (this.#at < this.#tokens.length && this.#tokens[this.#at]!.text !== ')') {
      this.#accept('word', 'AND')
      parts.push(this.#any())
    }
    return (row) => parts.every((part) => part(row))
  }

  #any(): Predicate {
    const parts = [this.#not()]
    while (this.#accept('word', 'OR')) parts.push(this.#not())
    return (row) => parts.some((part) => part(row))
  }

  #not(): Predicate {
    if (this.#accept('word', 'NOT')) {
      const inner = this.#not()
      return (row) => !inner(row)
    }
    if (!this.#accept('symbol', '(')) return this.#term()
    const inner = this.#all()
    if (!this.#accept('symbol', ')')) throw unparsable('unbalanced parentheses')
    return inner
  }

  #term(): Predicate {
    const name = this.#tokens[this.#at++]
    if (!name || name.kind === 'symbol') throw unparsable(`unexpected '${name?.text ?? 'end'}'`)
    const same = this.#accept('symbol', '=')
    if (!same && !this.#accept('symbol', '!=')) return words(name.text)
    const value = this.#tokens[this.#at++]
    if (!value || value.kind === 'symbol') throw unparsable('a comparator has no term on its right hand side')
    this.fields.add(name.text)
    const equal = comparison(name.text, value.text)
    return same ? equal : (row) => row[name.text] !== undefined && !equal(row)
  }
}

function unparsable(what: string): SearchError {
  return new SearchError(`Error in 'search' command: Unable to parse the search: ${what}.`)
}

function comparison(name: string, value: string): Predicate {
  const form = new RegExp(`^${pattern(value)}$`, 'is')
  // `index=*` leaves the internal indexes out.
  const internal = (row: SearchRow) =>
    name === 'index' && value.startsWith('*') && String(row['index']).startsWith('_')
  return (row) => !internal(row) && valuesOf(row[name]).some((one) => form.test(one))
}

/** Words stand alone in `_raw`: between letters and digits there is something else. */
function words(text: string): Predicate {
  const [before, after] = [/^[\p{L}\p{N}]/u.test(text), /[\p{L}\p{N}]$/u.test(text)]
  const form = new RegExp(
    `${before ? '(?<![\\p{L}\\p{N}])' : ''}${pattern(text)}${after ? '(?![\\p{L}\\p{N}])' : ''}`,
    'isu',
  )
  return (row) => form.test(String(row['_raw'] ?? ''))
}

/** `*` stands for any text. */
function pattern(text: string): string {
  const parts = text.split('*').map((part) => part.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&'))
  return parts.join('.*')
}

function unquote(text: string): string {
  return /^".*"$/s.test(text) ? text.slice(1, -1).replace(/\\(["\\])/g, '$1') : text
}

function nameList(text: string, command: string): string[] {
  const names = [...text.matchAll(/"((?:[^"\\]|\\.)*)"|[^\s,"]+/g)].map(([whole, quoted]) => quoted ?? whole)
  if (names.length === 0) throw new SearchError(`Error in '${command}' command: Invalid argument: ''.`)
  return names
}

/** `*` does not stand for internal fields. */
function fieldTest(names: readonly string[]): (field: string) => boolean {
  const forms = names.map(
    (name) => new RegExp(`^${name.startsWith('*') ? '(?!_)' : ''}${pattern(name)}$`, 's'),
  )
  return (field) => forms.some((form) => form.test(field))
}

function pick(rows: Iterable<SearchRow>, keep: (field: string) => boolean): Iterable<SearchRow> {
  return map(rows, (row) => Object.fromEntries(Object.entries(row).filter(([field]) => keep(field))))
}

function* filter(rows: Iterable<SearchRow>, predicate: Predicate): Generator<SearchRow> {
  for (const row of rows) if (predicate(row)) yield row
}

function* map(rows: Iterable<SearchRow>, change: (row: SearchRow) => SearchRow): Generator<SearchRow> {
  for (const row of rows) yield change(row)
}

function* first(rows: Iterable<SearchRow>, count: number): Generator<SearchRow> {
  let left = count
  if (left <= 0) return
  for (const row of rows) {
    yield row
    if (--left === 0) return
  }
}
