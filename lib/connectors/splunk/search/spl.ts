/** A command of a search's outer pipeline. */
export interface SplCommand {
  /** In lower case: `search`, `stats`. */
  readonly name: string
  /** Its text with comments, quoted strings and subsearches blanked out; positions stay the same. */
  readonly bare: string
}

/** A search as far as this package needs to parse it. */
export interface Spl {
  /** Whether it begins with a pipe. */
  readonly piped: boolean
  readonly commands: readonly SplCommand[]
  /** Commands within subsearches, in lower case. */
  readonly inner: readonly string[]
}

/** The search is malformed: the message says why. */
export class SplError extends Error {
  override name = 'SplError'
}

const blank = (text: string) => ' '.repeat(text.length)

/**
 * Parses the outer pipeline of a search. It skips quotes, subsearches, macros and comments: Splunk itself validates the
 * search.
 * https://docs.splunk.com/Documentation/Splunk/latest/Search/Aboutsearchlanguagesyntax
 * @throws SplError
 */
export function readSpl(text: string): Spl {
  const segments: string[] = []
  const inner: string[] = []
  let bare = ''
  let nested = ''
  let depth = 0
  const keep = (part: string) => {
    if (depth === 0) bare += part
    else {
      bare += blank(part)
      nested += part
    }
  }
  for (let at = 0; at < text.length; ) {
    const char = text[at]!
    if (text.startsWith('```', at)) {
      const end = text.indexOf('```', at + 3)
      if (end < 0) throw new SplError('a comment (```) has no end')
      keep(blank(text.slice(at, end + 3)))
      at = end + 3
    } else if (char === '"' || char === '`') {
      const end = closing(text, at)
      if (end < 0) throw new SplError(`a ${char === '"' ? 'quotation mark' : 'backtick'} is not closed`)
      keep(withoutText(text, at, end))
      at = end + 1
    } else if (char === '[') {
      if (depth === 0) bare += ' '
      depth++
      nested += '|'
      at++
    } else if (char === ']') {
      if (depth === 0) throw new SplError('a "]" closes nothing')
      bare += ' '
      depth--
      nested += '|'
      at++
    } else if (char === '|' && depth === 0) {
      segments.push(bare)
      bare = ''
      at++
    } else {
      keep(char)
      at++
    }
  }
  if (depth > 0) throw new SplError('a subsearch ("[") is not closed')
  segments.push(bare)
  const piped = segments.length > 1 && segments[0]!.trim() === ''
  const outer = piped ? segments.slice(1) : segments
  for (const segment of nested.split('|')) {
    const name = firstWord(segment)
    if (name) inner.push(name)
  }
  const commands = outer.map((segment, index) => {
    if (segment.trim() === '') {
      throw new SplError(
        outer.length === 1 && !piped
          ? 'is empty'
          : `has nothing ${index === outer.length - 1 ? 'after its last pipe' : 'between two pipes'}`,
      )
    }
    return { name: firstWord(segment), bare: segment }
  })
  return { piped, commands, inner }
}

/** A quoted string blanked out. In a quoted field name only pipes and brackets are. */
function withoutText(text: string, start: number, end: number): string {
  const within = text.slice(start + 1, end)
  const isName = /^\s*[=<>!]/.test(text.slice(end + 1))
  return `${text[start]}${isName ? within.replace(/[|()[\]]/g, ' ') : blank(within)}${text[end]}`
}

function closing(text: string, start: number): number {
  const mark = text[start]!
  for (let at = start + 1; at < text.length; at++) {
    if (mark === '"' && text[at] === '\\') at++
    else if (text[at] === mark) return at
  }
  return -1
}

/** The command at the start of a segment; empty for a macro, or without a word. */
function firstWord(segment: string): string {
  return /^\s*([A-Za-z_][\w-]*)(?![\w:=.*<>!-]|\s*[=<>!])/.exec(segment)?.[1]?.toLowerCase() ?? ''
}

/** Commands that may begin a search without a pipe before them. */
const leading = new Set([
  'search', 'tstats', 'mstats', 'from', 'inputlookup', 'makeresults', 'metadata', 'metasearch', 'mcatalog', 'mpreview',
  'dbinspect', 'eventcount', 'rest', 'savedsearch', 'loadjob', 'datamodel', 'multisearch', 'gentimes', 'pivot', 'union',
  'set', 'walklex', 'typeahead', 'inputcsv', 'history', 'audit',
]) // biome-ignore format: a list

/** Whether the search begins with a command, as the REST API wants it. A macro may expand to one. */
export function beginsWithCommand({ piped, commands }: Spl): boolean {
  const [first] = commands
  if (piped) return first!.name !== '' || /^\s*`/.test(first!.bare)
  return leading.has(first!.name) || /^\s*`/.test(first!.bare)
}

/** Commands whose result is a table over the whole time range. */
const transforming = new Set([
  'stats', 'chart', 'timechart', 'top', 'rare', 'contingency', 'geostats', 'tstats', 'mstats', 'sistats', 'sichart',
  'sitimechart', 'sitop', 'sirare', 'xyseries', 'untable', 'transpose', 'metadata', 'mcatalog', 'eventcount',
  'dbinspect', 'pivot', 'datamodel', 'inputlookup', 'inputcsv', 'makeresults', 'rest', 'loadjob', 'savedsearch',
  'gentimes', 'walklex', 'typeahead', 'anomalousvalue', 'associate', 'correlate', 'history', 'audit', 'fieldsummary',
  'makecontinuous', 'addcoltotals', 'appendcols', 'appendpipe', 'diff', 'set', 'kmeans', 'arules', 'mpreview',
  'metasearch',
]) // biome-ignore format: a list

/** Commands whose rows depend on other rows: several windows would give different rows. `sort` cuts. */
const acrossRows = new Set([
  'eventstats', 'streamstats', 'transaction', 'dedup', 'head', 'tail', 'append', 'cluster', 'outlier', 'anomalies',
  'anomalydetection', 'trendline', 'delta', 'accum', 'autoregress', 'concurrency', 'filldown', 'selfjoin', 'localize',
  'predict', 'x11', 'uniq', 'union', 'join', 'map',
]) // biome-ignore format: a list

/** Commands that change data: a retry would do it twice. */
const writing = new Set([
  'delete', 'collect', 'mcollect', 'meventcollect', 'outputlookup', 'outputcsv', 'outputtext', 'sendemail', 'sendalert',
  'tscollect', 'summaryindex', 'sumindex', 'stash', 'dump', 'runshellscript',
]) // biome-ignore format: a list

/** The first command that makes the result a table, such as `stats`; undefined for a search of events. */
export function transformingCommand({ commands }: Spl): string | undefined {
  return commands.find(({ name }) => transforming.has(name))?.name
}

/** `sort` keeps 10,000 rows, or as many as it says; only `sort 0` keeps all. */
function cutsBySort({ name, bare }: SplCommand): boolean {
  return name === 'sort' && !/^\s*sort\s+(?:limit\s*=\s*)?0(?![\w.])/i.test(bare)
}

/** The first command whose result differs between one window and several. `sort 0` changes no row. */
export function wholeRangeCommand({ commands }: Spl): string | undefined {
  const found = commands.find(
    (command) => transforming.has(command.name) || acrossRows.has(command.name) || cutsBySort(command),
  )
  return found && cutsBySort(found) ? 'sort (without 0)' : found?.name
}

/**
 * Default limits of commands, beyond which they drop rows or values without a message of splunkd.
 * https://docs.splunk.com/Documentation/Splunk/latest/SearchReference
 */
const silentLimits: readonly (readonly [RegExp, string])[] = [
  [/^\s*top\b(?!.*\blimit\s*=)(?!\s+\d)/is, '"top" gives 10 values: set limit=0 for all'],
  [/^\s*rare\b(?!.*\blimit\s*=)(?!\s+\d)/is, '"rare" gives 10 values: set limit=0 for all'],
  [/^\s*(?:head|tail)\s*$/i, '"head" and "tail" keep 10 rows unless they say how many'],
  [
    /^\s*transaction\b/i,
    '"transaction" drops open transactions beyond maxopentxn and maxopenevents (limits.conf)',
  ],
  [
    /^\s*(?:join|append|appendcols|union|set)\b/i,
    'its subsearch gives at most 50,000 rows, found within 60 s',
  ],
  [/^\s*map\b(?!.*\bmaxsearches\s*=)/is, '"map" runs 10 searches: set maxsearches'],
  [/^\s*transpose\s*$/i, '"transpose" turns 5 rows: set 0 for all'],
  [/^\s*\w*stats\b.*\blist\s*\(/is, '"list()" keeps 100 values of a field: use values() or eventstats'],
]

/** Default limits of the commands of a search, for a message to the user. */
export function silentlyCut(spl: Spl): string[] {
  const found: string[] = []
  for (const command of spl.commands) {
    if (cutsBySort(command) && !/^\s*sort\s+(?:limit\s*=\s*)?\d/i.test(command.bare))
      found.push('"sort" keeps 10,000 rows: write sort 0 for all')
    for (const [form, text] of silentLimits) if (form.test(command.bare)) found.push(text)
  }
  return [...new Set(found)]
}

/** The first command that changes something, also in a subsearch. */
export function writingCommand({ commands, inner }: Spl): string | undefined {
  return [...commands.map(({ name }) => name), ...inner].find((name) => writing.has(name))
}

/** Names that set the time range of a search, and replace that of the request. */
const timeModifiers =
  /(?<![\w.:-])"?(_?index_?earliest|_?index_?latest|earliest|latest|earliest_time|latest_time|starttime(?:u)?|endtime(?:u)?|start(?:seconds|minutes|hours|days|months)ago|end(?:seconds|minutes|hours|days|months)ago|(?:seconds|minutes|hours|days|months)ago|searchtimespan(?:seconds|minutes|hours|days|months)|timeformat)"?\s*(?==|[<>])/i

/** Commands whose arguments are conditions on events: `earliest=` in an eval is a field. */
const searching = new Set([
  'search',
  'tstats',
  'mstats',
  'metasearch',
  'from',
  'datamodel',
  'multisearch',
  '',
])

/** A time modifier of the search itself, such as `earliest`. Those of subsearches do not count. */
export function timeModifier({ commands }: Spl): string | undefined {
  for (const { name, bare } of commands) {
    const found = searching.has(name) ? timeModifiers.exec(bare)?.[1] : undefined
    if (found !== undefined) return found
  }
  return undefined
}

/** A string as the value of a field in a `search`. `*` stays a wildcard. */
export function quoted(value: string): string {
  return `"${value.replace(/[\\"]/g, '\\$&')}"`
}

/** Why a value can't be used in a search, or undefined. Macros expand within quotes too. */
export function unsafeValue(value: string): string | undefined {
  if (/[\p{Cc}\u2028\u2029]/u.test(value)) return 'holds a line break or another control character'
  if (value.includes('`')) return 'holds a backtick, which would start a macro'
  return undefined
}

/**
 * Why a string can't be used as a condition in parentheses after `search`, or undefined. Only fields, values, AND, OR,
 * NOT, IN and parentheses are accepted: no pipe, subsearch, macro or time modifier.
 */
export function unsafeFilter(filter: string): string | undefined {
  const control = /[\p{Cc}\u2028\u2029]/u.test(filter.replace(/[\t\r\n]/g, ' '))
  if (control) return 'holds a control character'
  if (filter.includes('`')) return 'holds a backtick, which would start a macro'
  // With an escaped quotation mark the end of a string is ambiguous, so strings must not hide pipes or brackets.
  const escapes = /\\"/.test(filter)
  let bare = ''
  let depth = 0
  for (let at = 0; at < filter.length; at++) {
    const char = filter[at]!
    if (char === '"') {
      const end = closing(filter, at)
      if (end < 0) return 'has a quotation mark that is not closed'
      const text = filter.slice(at + 1, end)
      if (escapes && /[|[\]]/.test(text)) return 'holds a pipe or bracket beside an escaped quotation mark'
      bare += withoutText(filter, at, end)
      at = end
      continue
    }
    if (char === '\\' && filter[at + 1] === '"')
      return 'holds a quotation mark that is escaped outside of quotes'
    if (char === '|') return 'holds a pipe'
    if (char === '[' || char === ']') return 'holds a bracket, which would make a subsearch'
    if (char === '(') depth++
    if (char === ')' && --depth < 0) return 'closes a parenthesis that it does not open'
    bare += char
  }
  if (depth !== 0) return 'has a parenthesis that is not closed'
  const modifier = timeModifiers.exec(bare)?.[1]
  if (modifier !== undefined)
    return `holds the time modifier "${modifier}": the time range is given by options`
  if (/^\s*(AND|OR)\b|\b(AND|OR|NOT)\s*$/.test(bare))
    return 'begins or ends with an operator that needs something there'
  return undefined
}

/** Parts of a composed search. */
export interface SearchParts {
  readonly index?: readonly string[] | undefined
  readonly sourcetype?: string | undefined
  readonly source?: string | undefined
  readonly host?: string | undefined
  readonly search_filter?: string | undefined
}

/** The search composed of its parts, which must be checked before. */
export function composedSearch({ index = [], search_filter, ...fields }: SearchParts): string {
  const indexes = index.map((name) => `index=${quoted(name)}`)
  const parts = ['search']
  if (indexes.length > 0) parts.push(indexes.length === 1 ? indexes[0]! : `(${indexes.join(' OR ')})`)
  for (const name of ['sourcetype', 'source', 'host'] as const) {
    if (fields[name] !== undefined) parts.push(`${name}=${quoted(fields[name])}`)
  }
  if (search_filter !== undefined) parts.push(`(${search_filter})`)
  return parts.join(' ')
}
