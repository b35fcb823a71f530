import { parseSearchExpression, type SearchExpression, unquote, wildcard } from './search-expression.ts'
import { type FieldValue, SearchError, type SearchRow } from './search-row.ts'
import { formatEpoch, parseEpoch } from './time.ts'

/** A step of a search behind its first: rows in, rows out. */
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

/** Cuts a search at its pipes: not at those in quotes, brackets or backticks. @throws SearchError */
export function splitPipes(search: string): string[] {
  const parts: string[] = []
  let start = 0
  const next = /"(?:[^"\\]|\\.)*"|`[^`]*`|[|"[]/g
  for (let match = next.exec(search); match; match = next.exec(search)) {
    if (match[0] === '"') throw new SearchError('Unbalanced quotes.')
    if (match[0] === '[' || match[0].startsWith('`'))
      throw new SearchError('Subsearches and macros are not run here.')
    if (match[0] !== '|') continue
    parts.push(search.slice(start, match.index).trim())
    start = next.lastIndex
  }
  parts.push(search.slice(start).trim())
  return parts
}

/** Reads one command behind a pipe. @throws SearchError where it is none that runs here */
export function parseStage(text: string): Stage {
  const [, name = '', rest = ''] = /^(\S+)\s*([\s\S]*)$/.exec(text) ?? []
  const command = name.toLowerCase()
  const make = Object.hasOwn(commands, command) ? commands[command] : undefined
  if (!make) throw new SearchError(`Unknown search command '${command}'.`)
  return { command, transforming: false, fields: [], ...make(rest.trim()) }
}

type Made = Pick<Stage, 'run'> & Partial<Stage>

const commands: Record<string, (rest: string) => Made> = {
  search: (rest) => {
    const { predicate, fields }: SearchExpression = parseSearchExpression(rest)
    return { fields: [...fields], run: (rows) => filter(rows, predicate) }
  },
  fields: (rest) => {
    const [, sign, list] = /^([+-](?=\s)\s*)?([\s\S]*)$/.exec(rest) ?? []
    const names = nameList(list ?? '', 'fields')
    const forms = names.map(fieldForm)
    const named = (field: string) => forms.some((form) => form.test(field))
    if (sign?.startsWith('-'))
      return { run: (rows) => map(rows, (row) => pick(row, (field) => !named(field))) }
    return {
      fields: names,
      // _raw and _time stay unless they are taken away by name.
      run: (rows) =>
        map(rows, (row) => pick(row, (field) => field === '_raw' || field === '_time' || named(field))),
    }
  },
  table: (rest) => {
    const names = nameList(rest, 'table')
    const forms = names.map(fieldForm)
    return {
      transforming: true,
      fields: names,
      columns: names.some((name) => name.includes('*')) ? undefined : names,
      run: (rows) => map(rows, (row) => pick(row, (field) => forms.some((form) => form.test(field)))),
    }
  },
  head: (rest) => {
    const [, count] = /^(?:limit\s*=\s*)?(\d*)$/.exec(rest) ?? []
    if (count === undefined)
      throw new SearchError(`Error in 'head' command: Expected a number, got '${rest}'.`)
    return { run: (rows) => first(rows, count === '' ? 10 : Number(count)) }
  },
  eval: (rest) => {
    const assignments = splitList(rest).map((text) => {
      const [, quoted, bare, expression] = /^(?:"([^"]+)"|([\w.:]+))\s*=\s*([\s\S]+)$/.exec(text) ?? []
      if (expression === undefined)
        throw new SearchError(`Error in 'eval' command: The expression is malformed.`)
      return { name: quoted ?? bare!, ...evalExpression(expression.trim()) }
    })
    return {
      fields: assignments.flatMap(({ uses }) => uses),
      run: (rows) =>
        map(rows, (row) => {
          const copy = { ...row }
          for (const { name, value } of assignments) {
            const result = value(copy)
            if (result === undefined) delete copy[name]
            else copy[name] = result
          }
          return copy
        }),
    }
  },
  stats,
}

function* filter(rows: Iterable<SearchRow>, predicate: (row: SearchRow) => boolean): Generator<SearchRow> {
  for (const row of rows) if (predicate(row)) yield row
}

function* map(rows: Iterable<SearchRow>, change: (row: SearchRow) => SearchRow): Generator<SearchRow> {
  for (const row of rows) yield change(row)
}

function* first(rows: Iterable<SearchRow>, count: number): Generator<SearchRow> {
  if (count <= 0) return
  let left = count
  for (const row of rows) {
    yield row
    if (--left === 0) return
  }
}

function pick(row: SearchRow, keep: (field: string) => boolean): SearchRow {
  const picked: SearchRow = {}
  for (const field of Object.keys(row)) if (keep(field)) picked[field] = row[field]!
  return picked
}

/** `*` does not stand for internal fields. */
function fieldForm(name: string): RegExp {
  const form = wildcard(name)
  return new RegExp(name.startsWith('*') ? `^(?!_)${form.source.slice(1)}` : form.source, 's')
}

function nameList(text: string, command: string): string[] {
  const names = [...text.matchAll(/"((?:[^"\\]|\\.)*)"|[^\s,"]+/g)].map(([whole, quoted]) => quoted ?? whole)
  if (names.length === 0) throw new SearchError(`Error in '${command}' command: Invalid argument: ''.`)
  return names
}

/** Cuts at commas outside quotes and parentheses. */
function splitList(text: string): string[] {
  const parts: string[] = []
  let [depth, start] = [0, 0]
  for (const match of text.matchAll(/"(?:[^"\\]|\\.)*"|[(),]/g)) {
    if (match[0] === '(') depth++
    else if (match[0] === ')') depth--
    else if (match[0] === ',' && depth === 0) {
      parts.push(text.slice(start, match.index).trim())
      start = match.index + 1
    }
  }
  parts.push(text.slice(start).trim())
  return parts
}

interface Evaluation {
  uses: string[]
  value(row: SearchRow): FieldValue | undefined
}

/** A field, a text, a number, `tostring(x)`, `tonumber(x)`, or `strftime(x, "...")` of seconds and their parts. */
function evalExpression(text: string): Evaluation {
  const [, wanted, argument] = /^(tostring|tonumber)\s*\(([^()]+)\)$/.exec(text) ?? []
  if (wanted !== undefined) return evalExpression(argument!.trim())
  const [, timed, format] = /^strftime\s*\(\s*([\w.']+)\s*,\s*"([^"]*)"\s*\)$/.exec(text) ?? []
  if (timed !== undefined) {
    const inner = evalExpression(timed)
    return { uses: inner.uses, value: (row) => formatTime(inner.value(row), format!) }
  }
  if (/^"(?:[^"\\]|\\.)*"$/s.test(text)) return { uses: [], value: () => unquote(text) }
  if (/^-?\d+(\.\d+)?$/.test(text)) return { uses: [], value: () => text }
  const [, quoted, bare] = /^(?:'([^']+)'|([A-Za-z_][\w.:]*))$/.exec(text) ?? []
  const name = quoted ?? bare
  if (name === undefined)
    throw new SearchError(`Error in 'eval' command: The expression is malformed: ${text}.`)
  return { uses: [name], value: (row) => row[name] }
}

function formatTime(value: FieldValue | undefined, format: string): string | undefined {
  const time = typeof value === 'string' ? parseEpoch(value) : undefined
  if (time === undefined) return undefined
  const fraction = (time % 1_000_000_000n).toString().padStart(9, '0')
  const iso = new Date(Number(time / 1_000_000n)).toISOString()
  const parts: Record<string, string> = {
    s: formatEpoch(time - (time % 1_000_000_000n)),
    Y: iso.slice(0, 4),
    m: iso.slice(5, 7),
    d: iso.slice(8, 10),
    H: iso.slice(11, 13),
    M: iso.slice(14, 16),
    S: iso.slice(17, 19),
    z: '+0000',
    F: iso.slice(0, 10),
    T: iso.slice(11, 19),
    '%': '%',
  }
  return format.replace(/%(\d)?([A-Za-z%])/g, (whole, digits, letter) =>
    letter === 'N' || letter === 'Q' ? fraction.slice(0, Number(digits ?? 3)) : (parts[letter] ?? whole),
  )
}

type Aggregate = (rows: readonly SearchRow[]) => FieldValue | undefined

/** `stats count by ...`, and with it `min`, `max`, `sum`, `dc` and `values` of a field. */
function stats(rest: string): Made {
  const [, aggregatesText = '', byText] = /^([\s\S]*?)(?:\s+by\s+([\s\S]+))?$/i.exec(rest) ?? []
  const by = byText === undefined ? [] : nameList(byText, 'stats')
  const form =
    /\s*,?\s*(count|c|min|max|sum|dc|distinct_count|values)(?:\s*\(\s*([^()\s]*)\s*\))?(?:\s+as\s+("[^"]+"|[\w.]+))?/iy
  const columns: { name: string; field: string | undefined; aggregate: Aggregate }[] = []
  while (form.lastIndex < aggregatesText.trimEnd().length) {
    const match = form.exec(aggregatesText)
    if (!match)
      throw new SearchError(`Error in 'stats' command: The argument '${aggregatesText}' is invalid.`)
    const [, called = '', argument, alias] = match
    const field = argument === undefined || argument === '' || argument === '*' ? undefined : argument
    columns.push({
      name: alias === undefined ? called + (field === undefined ? '' : `(${field})`) : unquote(alias),
      field,
      aggregate: aggregateOf(called.toLowerCase(), field),
    })
  }
  return {
    transforming: true,
    fields: [...by, ...columns.flatMap(({ field }) => field ?? [])],
    columns: [...by, ...columns.map(({ name }) => name)],
    *run(rows) {
      const groups = new Map<string, { keys: string[]; rows: SearchRow[] }>()
      if (by.length === 0) groups.set('', { keys: [], rows: [] })
      for (const row of rows) {
        for (const keys of combinations(by.map((name) => valuesOf(row[name])))) {
          const id = JSON.stringify(keys)
          const group = groups.get(by.length === 0 ? '' : id)
          if (group) group.rows.push(row)
          else groups.set(id, { keys, rows: [row] })
        }
      }
      const sorted = [...groups.values()].sort((left, right) =>
        JSON.stringify(left.keys) < JSON.stringify(right.keys) ? -1 : 1,
      )
      for (const group of sorted) {
        const result: SearchRow = {}
        for (const [at, name] of by.entries()) result[name] = group.keys[at]!
        for (const { name, aggregate } of columns) {
          const value = aggregate(group.rows)
          if (value !== undefined) result[name] = value
        }
        yield result
      }
    },
  }
}

function valuesOf(value: FieldValue | undefined): string[] {
  return value === undefined ? [] : Array.isArray(value) ? value : [value]
}

/** One value of each list, in every way. A row without one of the fields is in no group. */
function combinations(lists: string[][]): string[][] {
  return lists.reduce<string[][]>(
    (ways, list) => ways.flatMap((way) => list.map((one) => [...way, one])),
    [[]],
  )
}

function aggregateOf(name: string, field: string | undefined): Aggregate {
  const texts = (rows: readonly SearchRow[]) => rows.flatMap((row) => valuesOf(row[field!]))
  if (name === 'count' || name === 'c') {
    return (rows) => String(field === undefined ? rows.length : texts(rows).length)
  }
  if (name === 'dc' || name === 'distinct_count') return (rows) => String(new Set(texts(rows)).size)
  if (name === 'values') {
    return (rows) => {
      const sorted = [...new Set(texts(rows))].sort()
      return sorted.length === 0 ? undefined : sorted.length === 1 ? sorted[0] : sorted
    }
  }
  if (name === 'sum') return (rows) => String(texts(rows).reduce((sum, text) => sum + Number(text), 0))
  return (rows) => {
    const sorted = texts(rows).sort((left, right) => Number(left) - Number(right) || (left < right ? -1 : 1))
    return name === 'min' ? sorted[0] : sorted.at(-1)
  }
}
