import t from 'tap'
import {
  earliestQuery,
  generatedDuring,
  ingestionTimeQuery,
} from '../../../lib/connectors/azure-monitor/query-windows.ts'
import { firstInstant, lastInstant, parseInstant } from '../../../lib/core/time.ts'

const window = {
  start: parseInstant('2024-05-01T00:00:00.1234567Z')!,
  end: parseInstant('2024-05-01T01:00:00Z')!,
}
const filter =
  '| where ingestion_time() >= datetime(2024-05-01T00:00:00.1234567Z) and ingestion_time() < datetime(2024-05-01T01:00:00.000Z)'

t.test('a query that begins with a table gets the window right after it', async (t) => {
  for (const [query, expected] of [
    ['T', `T\n${filter}\n`],
    ['T | where A == "x;y"', `T\n${filter}\n | where A == "x;y"`],
    ['  // what\n T_1// first\n| take 1', `  // what\n T_1\n${filter}\n// first\n| take 1`],
    ["['My table'] | take 1", `['My table']\n${filter}\n | take 1`],
    ['["a\\"b"]|count', `["a\\"b"]\n${filter}\n|count`],
    ['T;', `T\n${filter}\n;`],
    ['T | join kind=inner (U | take 1) on Id', `T\n${filter}\n | join kind=inner (U | take 1) on Id`],
  ] as const) {
    t.equal(ingestionTimeQuery(query)?.(window), expected)
  }
})

t.test('a query that refers to the window by name gets it bound', async (t) => {
  const bound =
    'let window_start = datetime(2024-05-01T00:00:00.1234567Z);\nlet window_end = datetime(2024-05-01T01:00:00.000Z);\n'
  for (const query of [
    'union T, U | where ingestion_time() >= window_start and ingestion_time() < window_end',
    'let f = () { T | where ingestion_time() between (window_start .. window_end) }; f()',
    'T | where ingestion_time() >= window_start and ingestion_time() < window_end',
  ]) {
    t.equal(ingestionTimeQuery(query)?.(window), bound + query)
  }
})

t.test('any other query is refused', async (t) => {
  for (const query of [
    'union T, U',
    'union (T), (U) | take 1',
    'search "x"',
    'let x = 1; T | take x',
    'f()',
    'f(1) | take 1',
    'workspace("w").T | take 1',
    'print window_start',
    'T; U',
    'union T, U // window_start window_end',
    'union T, U | where A == "window_start" and B == @\'window_end\'',
    'union T, U | where A > window_started and B < window_end',
    '(T | take 1)',
    '',
  ]) {
    t.equal(ingestionTimeQuery(query), undefined, query)
  }
})

t.test('the earliest instant', async (t) => {
  t.equal(
    earliestQuery('let x = 1;\nT | where A == ";" ; // the end;\n', { column: 'TimeGenerated' }),
    `let x = 1;\nT | where A == ";"\n| summarize earliest = min(['TimeGenerated'])`,
  )
  t.equal(earliestQuery('T // all', { column: "it's" }), "T\n| summarize earliest = min(['it\\'s'])")
  t.equal(earliestQuery('T | take 1', 'ingestion_time'), 'T\n| summarize earliest = min(ingestion_time())')
  t.equal(earliestQuery('union T, U', 'ingestion_time'), undefined)
})

t.test('the bound by the time of generation is wide, and within what a datetime holds', async (t) => {
  const wide = generatedDuring(window)
  t.equal(wide.start, parseInstant('2024-04-28T00:00:00.1234567Z'))
  t.equal(wide.end, parseInstant('2024-05-03T01:00:00Z'))
  t.same(generatedDuring({ start: firstInstant, end: lastInstant }), {
    start: firstInstant,
    end: lastInstant,
  })
})
