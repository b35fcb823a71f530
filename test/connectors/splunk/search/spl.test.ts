import fc from 'fast-check'
import t from 'tap'
import {
  beginsWithCommand,
  composedSearch,
  quoted,
  readSpl,
  silentlyCut,
  timeModifier,
  transformingCommand,
  unsafeFilter,
  unsafeValue,
  wholeRangeCommand,
  writingCommand,
} from '../../../../lib/connectors/splunk/search/spl.ts'
import { scaled } from '../../../fixtures/scale.ts'

t.test('a search begins with a command, or with a pipe and one', (t) => {
  for (const text of [
    'search index=main',
    ' search error | stats count',
    '| tstats count where index=main',
    '|inputlookup users.csv',
    'tstats count',
    '| `my_macro(1)` | head 5',
    '`base` error',
  ]) {
    t.ok(beginsWithCommand(readSpl(text)), text)
  }
  for (const text of [
    'index=main',
    'error 500',
    'index = main | stats count',
    'sourcetype="x"',
    '"search"',
    '*',
    'index!=x',
  ]) {
    t.notOk(beginsWithCommand(readSpl(text)), text)
  }
  t.end()
})

t.test('what no search can be', (t) => {
  for (const [text, why] of [
    ['', /empty/],
    ['search a |', /after its last pipe/],
    ['search a || stats count', /between two pipes/],
    ['search "a', /quotation mark/],
    ['search [ search a', /subsearch/],
    ['search a ]', /closes nothing/],
    ['search `a', /backtick/],
    ['search a ``` note', /comment/],
  ] as const) {
    t.throws(() => readSpl(text), why, text)
  }
  t.end()
})

t.test('commands are told from words, quotes, subsearches and comments', (t) => {
  const names = (text: string) => readSpl(text).commands.map(({ name }) => name)
  t.strictSame(names('search a "| stats count" | eval x="|" | table x'), ['search', 'eval', 'table'])
  t.strictSame(names('search [ search b | stats count | fields c ] | head 1'), ['search', 'head'])
  t.strictSame(names('search a ``` | delete ``` | STATS count'), ['search', 'stats'])
  t.strictSame(names(String.raw`search a="x\" | delete \"" | rex "\|"`), ['search', 'rex'])
  t.equal(readSpl('search ")|"=1 "a"=2').commands[0]!.bare, 'search "  "=1 "a"=2')
  t.equal(transformingCommand(readSpl('search a | timechart span=1h count')), 'timechart')
  t.equal(transformingCommand(readSpl('search a [ search b | stats count ]')), undefined)
  t.equal(transformingCommand(readSpl('search stats | eval top=1 | fields rare')), undefined)
  t.equal(wholeRangeCommand(readSpl('search a | dedup host')), 'dedup')
  for (const sort of ['sort 0 _time', 'sort limit=0 - _time', 'SORT 0 -n, +m'])
    t.equal(wholeRangeCommand(readSpl(`search a | ${sort} | eval x=1`)), undefined, sort)
  for (const sort of ['sort _time', 'sort - _time', 'sort 500 n', 'sort 0x', 'sort limit=10 n'])
    t.equal(wholeRangeCommand(readSpl(`search a | ${sort}`)), 'sort (without 0)', sort)
  t.equal(wholeRangeCommand(readSpl('search a | join host [search b]')), 'join')
  t.equal(writingCommand(readSpl('search a | eval x=1 | collect index=b')), 'collect')
  t.equal(writingCommand(readSpl('search a [ search b | outputlookup c ]')), 'outputlookup')
  t.equal(writingCommand(readSpl('search delete | eval collect="outputlookup"')), undefined)
  t.end()
})

t.test('time modifiers of the search itself', (t) => {
  for (const text of [
    'search index=main earliest=-1d',
    'search index=main latest = now',
    'search EARLIEST=-1d',
    'search (a OR _index_earliest=-1h)',
    'search "earliest"=-1d',
    'search a starttimeu=1',
    'search a hoursago=2',
    '| tstats count where index=a earliest=-1h',
    'search a | search latest=now',
  ]) {
    t.ok(timeModifier(readSpl(text)), text)
  }
  for (const text of [
    'search myearliest=1',
    'search earliest',
    'search "earliest=-1d"',
    'search a | eval earliest=1',
    'search a | stats earliest(_time) as earliest',
    'search a [ search b earliest=-1h ]',
    'search a.latest=1',
  ]) {
    t.equal(timeModifier(readSpl(text)), undefined, text)
  }
  t.end()
})

t.test('a search of parts', (t) => {
  t.equal(composedSearch({ index: ['main'] }), 'search index="main"')
  t.equal(
    composedSearch({
      index: ['a', 'b'],
      sourcetype: 'x:y',
      source: 'C:\\log "1"',
      host: 'h*',
      search_filter: 'a=1 OR b=2',
    }),
    String.raw`search (index="a" OR index="b") sourcetype="x:y" source="C:\\log \"1\"" host="h*" (a=1 OR b=2)`,
  )
  t.equal(quoted('a"b\\'), String.raw`"a\"b\\"`)
  t.equal(unsafeValue('plain text | with [pipe]'), undefined)
  t.ok(unsafeValue('a`b`'))
  t.ok(unsafeValue('a\nb'))
  t.end()
})

t.test('what a search_filter may be', (t) => {
  for (const filter of [
    'status=500',
    'status>=500 (user=a OR user="b c") NOT host=x*',
    'status IN (500, 503)',
    '"failed | login"',
    'path="C:\\\\temp"',
    'earliestseen=1',
    '"earliest=-1d"',
    '")"=1',
  ]) {
    t.equal(unsafeFilter(filter), undefined, filter)
  }
  for (const filter of [
    'a | delete',
    'a [ search b ]',
    'a ] | delete [',
    '`macro`',
    '"a `macro`"',
    'a earliest=-10y',
    'a "earliest"=-10y',
    '"a earliest=-10y"=1',
    'a _index_latest = now',
    'a) OR index=secret (b',
    '(a',
    'a "b',
    'a\\" | delete "',
    '"a\\" | delete "',
    'OR index=secret',
    'a OR',
    'a\u0000b',
  ]) {
    t.type(unsafeFilter(filter), 'string', filter)
  }
  t.end()
})

t.test('no value leaves its place: what is composed reads back as one search command', (t) => {
  const nasty = fc
    .array(
      fc.constantFrom(
        '"',
        '\\',
        '|',
        '[',
        ']',
        '(',
        ')',
        '`',
        '\n',
        ' ',
        '=',
        '*',
        'a',
        'OR',
        'NOT',
        ' earliest=',
        'index=x',
        '| delete ',
      ),
      { maxLength: 12 },
    )
    .map((parts) => parts.join(''))
    .filter((text) => text.trim() !== '')
  fc.assert(
    fc.property(nasty, nasty, (value, filter) => {
      const parts = {
        index: ['main'],
        ...(unsafeValue(value) === undefined ? { source: value } : {}),
        ...(unsafeFilter(filter) === undefined ? { search_filter: filter } : {}),
      }
      const spl = readSpl(composedSearch(parts))
      if (spl.commands.length !== 1 || spl.inner.length !== 0 || timeModifier(spl) !== undefined) return false
      // Nothing outside of quotes can end the parentheses around the filter.
      let depth = 0
      return [...spl.commands[0]!.bare].every((char) => {
        depth += char === '(' ? 1 : char === ')' ? -1 : 0
        return depth >= 0
      })
    }),
    { numRuns: scaled(300, 20_000) },
  )
  t.end()
})

t.test('limits that commands have without being told', (t) => {
  const cut: [string, RegExp][] = [
    ['search a | sort - _time', /10,000 rows: write sort 0/],
    ['search a | top host', /"top" gives 10/],
    ['search a | rare showperc=f host', /"rare" gives 10/],
    ['search a | head', /10 rows/],
    ['search a | transaction host', /maxopentxn/],
    ['search a | join host [search b | fields host]', /50,000 rows/],
    ['search a | map search="search $host$"', /10 searches/],
    ['search a | stats list(user) by host', /100 values/],
  ]
  for (const [text, form] of cut) t.match(silentlyCut(readSpl(text)).join('; '), form, text)
  for (const text of [
    'search a | sort 0 - _time',
    'search a | sort 100 n',
    'search a | top limit=0 host',
    'search a | top 5 host',
    'search a | head 20',
    'search a | stats values(user) by host',
    'search a "| top host"',
  ]) {
    t.strictSame(silentlyCut(readSpl(text)), [], text)
  }
  t.end()
})
