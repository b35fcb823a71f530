import { LogsQueryClient } from '@azure/monitor-query'
import fc from 'fast-check'
import t from 'tap'
import { type Column, DynamicText } from '../../lib/emulators/log-analytics/cells.ts'
import {
  LogAnalyticsEmulator,
  type LogAnalyticsEmulatorOptions,
} from '../../lib/emulators/log-analytics/log-analytics.ts'
import { queryTimeout } from '../../lib/emulators/log-analytics/response.ts'
import { scaled } from '../fixtures/scale.ts'

const headers = { authorization: 'Bearer x', 'content-type': 'application/json' }

interface Table {
  name: string
  columns: { name: string; type: string }[]
  rows: unknown[][]
}

interface Body {
  tables: Table[]
  error?: {
    code: string
    message: string
    innererror?: Body['error']
    details?: { innererror: Body['error'] }[]
  }
}

interface Reply {
  status: number
  text: string
  body: Body
}

async function ask(
  logs: LogAnalyticsEmulator,
  query: unknown,
  more: object = {},
  prefer = '',
): Promise<Reply> {
  const response = await fetch(`${logs.url}/v1/workspaces/w/query`, {
    method: 'POST',
    headers: { ...headers, prefer },
    body: JSON.stringify({ query, ...more }),
  })
  const text = await response.text()
  return { status: response.status, text, body: JSON.parse(text) as Body }
}

/** The rows of the query's first table. */
async function rows(logs: LogAnalyticsEmulator, query: string, more: object = {}): Promise<unknown[][]> {
  const { status, text, body } = await ask(logs, query, more)
  if (status !== 200) throw new Error(text)
  return body.tables[0]!.rows
}

const everyType: Column[] = [
  { name: 'TimeGenerated', type: 'datetime' },
  { name: 'Flag', type: 'bool' },
  { name: 'Small', type: 'int' },
  { name: 'Big', type: 'long' },
  { name: 'Ratio', type: 'real' },
  { name: 'Price', type: 'decimal' },
  { name: 'Text', type: 'string' },
  { name: 'Id', type: 'guid' },
  { name: 'Took', type: 'timespan' },
  { name: 'More', type: 'dynamic' },
]

async function start(t: Tap, options: LogAnalyticsEmulatorOptions = {}): Promise<LogAnalyticsEmulator> {
  const logs = await new LogAnalyticsEmulator(options).start()
  t.teardown(() => logs.close())
  return logs
}
type Tap = { teardown(after: () => unknown): void }

t.test('cells on the wire, and what the official client makes of them', async (t) => {
  const logs = await start(t, { tls: true })
  const id = 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'
  logs.addTable('Every', everyType, [
    [
      '2024-05-01T00:00:00.1234567Z',
      true,
      -1,
      9223372036854775807n,
      Number.NaN,
      '1.50',
      'é"\n\u2028',
      id.toUpperCase(),
      '1.02:03:04.0000005',
      { a: [9007199254740993n] },
    ],
    [new Date(1_714_521_600_500), false, 7, 12, Number.NEGATIVE_INFINITY, '2', '', id, 100_000_000n, 'text'],
    ['2024-05-01T00:00:00Z', null, null, 5n, 0.1, null, null, null, null, new DynamicText('not JSON')],
    {},
  ])
  const client = new LogsQueryClient(
    { getToken: async () => ({ token: 'x', expiresOnTimestamp: Date.now() + 3_600_000 }) },
    { endpoint: logs.url, tlsOptions: { ca: logs.ca! } },
  )
  let wire = ''
  const result = await client.queryWorkspace(
    'w',
    'Every',
    { duration: 'P3650D' },
    {
      serverTimeoutInSeconds: 60,
      includeQueryStatistics: true,
      onResponse: (response) => {
        wire = response.bodyAsText ?? ''
      },
    },
  )
  t.equal(
    wire,
    `{"tables":[{"name":"PrimaryResult","columns":${JSON.stringify(everyType)},"rows":[` +
      `["2024-05-01T00:00:00.1234567Z",true,-1,9223372036854775807,"NaN","1.50","é\\"\\n\u2028","${id}","1.02:03:04.0000005","{\\"a\\":[9007199254740993]}"],` +
      `["2024-05-01T00:00:00.5Z",false,7,12,"-Infinity","2","","${id}","00:00:10","\\"text\\""],` +
      `["2024-05-01T00:00:00Z",null,null,5,0.1,null,null,null,null,"not JSON"]` +
      ']}],"statistics":{"query":{"executionTime":0.01}}}',
  )
  t.match(result, { status: 'Success' })
  if (result.status !== 'Success') return
  const [first, , third] = result.tables[0]!.rows
  t.same(first?.[0], new Date('2024-05-01T00:00:00.123Z'), 'the client loses 100 ns digits')
  t.equal(third?.[9], 'not JSON')
  t.match(logs.requests[0]?.headers, {
    prefer: 'wait=60,include-statistics=true',
    'content-type': 'application/json',
  })
  t.match(logs.queries[0], { target: 'w', query: 'Every', timespan: 'P3650D', wait: 60 })

  const byResource = await client.queryResource('/subscriptions/s/resourceGroups/g', 'Every | count', {
    duration: 'P3650D',
  })
  t.match(byResource, { tables: [{ columnDescriptors: [{ name: 'Count', type: 'long' }], rows: [[3]] }] })
  t.equal(logs.queries[1]?.target, '/subscriptions/s/resourceGroups/g')
  await t.rejects(client.queryWorkspace('w', 'Every | frobnicate', { duration: 'P1D' }), {
    statusCode: 400,
    code: 'BadArgumentError',
  })
})

t.test('KQL', async (t) => {
  const logs = await start(t, { now: () => Date.parse('2024-05-02T00:00:00Z') })
  logs.addTable(
    'Events',
    [
      { name: 'TimeGenerated', type: 'datetime' },
      { name: 'N', type: 'long' },
      { name: 'Name', type: 'string' },
      { name: 'Score', type: 'real' },
      { name: 'id.orig_h', type: 'string' },
      { name: '@odd', type: 'dynamic' },
    ],
    [
      [
        '2024-05-01T00:00:00.0000001Z',
        1,
        'Alpha one',
        0.5,
        '10.0.0.1',
        { user: { name: 'ann' }, list: [4, 5] },
      ],
      ['2024-05-01T01:00:00Z', 9007199254740993n, 'beta', null, '10.0.0.2', null],
      ['2024-05-01T02:00:00Z', 3, 'alphabet', 2.5, null, 'word'],
      [null, null, 'BETA', -1, '10.0.0.1', 7],
    ],
    { ingestedAt: (_, index) => `2024-05-01T0${index}:30:00.0000007Z` },
  )
  const names = async (query: string) => (await rows(logs, `Events\n${query}\n| project N`)).map(([n]) => n)
  const wheres: [condition: string, expected: unknown[]][] = [
    ['N == 1', [1]],
    ['N != 1', [9007199254740992, 3, null]],
    ['N == 9007199254740993', [9007199254740992]],
    ['N == 9007199254740992', []],
    ['N > 1 and N <= 3', [3]],
    ['N < 2 or Name == "beta"', [1, 9007199254740992]],
    ['not(N > 1)', [1]],
    ['N in (1, 3)', [1, 3]],
    ['N !in (1, 3)', [9007199254740992, null]],
    ['TimeGenerated == datetime(2024-05-01T00:00:00.0000001Z)', [1]],
    ['TimeGenerated > datetime(2024-05-01 00:00:00.0000001)', [9007199254740992, 3]],
    ['TimeGenerated <= datetime("2024-05-01T03:00:00.00+02:00")', [1, 9007199254740992]],
    ['ingestion_time() >= datetime(2024-05-01T01:30:00.0000007Z)', [9007199254740992, 3, null]],
    ['["id.orig_h"] == "10.0.0.1" // a comment', [1, null]],
    ['["@odd"] == "word"', [3]],
    ['N > 1 and (Name == "beta" or Score > 2)', [9007199254740992, 3]],
    [`Name == @"beta" or Name == 'al\\phabet'`, [9007199254740992, 3]],
  ]
  for (const [condition, expected] of wheres) t.same(await names(`| where ${condition}`), expected, condition)

  const queries: [query: string, columns: string, expected: unknown[][]][] = [
    ['Events | count', 'Count:long', [[4]]],
    ['Events | take 1 | project Name', 'Name:string', [['Alpha one']]],
    ['Events | limit 0 | project Name', 'Name:string', []],
    ['Events | project X = N, Name | take 1', 'X:long,Name:string', [[1, 'Alpha one']]],
    [
      'Events | extend T = ingestion_time() | project T | take 1',
      'T:datetime',
      [['2024-05-01T00:30:00.0000007Z']],
    ],
    [
      'Events | extend Name = N, B = N == 1 | project N, Name, B | take 1',
      'N:long,Name:long,B:bool',
      [[1, 1, true]],
    ],
    [
      'Events | summarize min(TimeGenerated), max(TimeGenerated), count()',
      'min_TimeGenerated:datetime,max_TimeGenerated:datetime,count_:long',
      [['2024-05-01T00:00:00.0000001Z', '2024-05-01T02:00:00Z', 4]],
    ],
    [
      'Events | where false | summarize a = min(TimeGenerated), n = count()',
      'a:datetime,n:long',
      [[null, 0]],
    ],
    ['let lowest = 2; let T = Events | where N > lowest; T | project N', 'N:long', [[9007199254740992], [3]]],
    ['let T = Events; let U = T | take 2;\nU | count;', 'Count:long', [[2]]],
    [
      'Events | getschema | where ColumnName == "N"',
      'ColumnName:string,ColumnOrdinal:int,ColumnType:string',
      [['N', 1, 'long']],
    ],
    [
      'Events | where N > 0 | summarize n = count(), count_distinct(Name) by bin(TimeGenerated, 2h)',
      'TimeGenerated:datetime,n:long,count_distinct_Name:long',
      [
        ['2024-05-01T00:00:00Z', 2, 2],
        ['2024-05-01T02:00:00Z', 1, 1],
      ],
    ],
    [
      'Events | summarize n = count() by Host = ["id.orig_h"]',
      'Host:string,n:long',
      [
        ['10.0.0.1', 2],
        ['10.0.0.2', 1],
        [null, 1],
      ],
    ],
  ]
  for (const [query, columns, expected] of queries) {
    const { body, text } = await ask(logs, query)
    const table = body.tables?.[0]
    if (!table) {
      t.fail(`${query}: ${text}`)
      continue
    }
    t.equal(table.columns.map(({ name, type }) => `${name}:${type}`).join(), columns, query)
    t.same(table.rows, expected, query)
  }
})

t.test('queries that are refused, in the words of the service', async (t) => {
  const logs = await start(t)
  logs.addTable(
    'T',
    [
      { name: 'A', type: 'long' },
      { name: 'D', type: 'datetime' },
    ],
    [],
  )
  const inner = (reply: Reply) => reply.body.error?.innererror?.innererror
  const syntax: [query: string, line: number, position: number, token: string][] = [
    ['T | join U on A', 1, 4, 'join'],
    ['T\n| where A ==\n| take 1', 3, 0, '|'],
    ['T | where A == "open', 1, 15, '"'],
    ['T | take 1 extra', 1, 11, 'extra'],
    ['T | where A > datetime(2024-13-01)', 1, 14, 'datetime(2024-13-01)'],
    ['T | where A > 5parsecs', 1, 14, '5parsecs'],
    ['', 1, 0, ''],
    ['let a = 1', 1, 9, ''],
    ['T | sort by A', 1, 4, 'sort'],
    ['T | where A in ()', 1, 16, ')'],
    ['T | where A == A.b', 1, 16, '.'],
    ['T | where (A == 1', 1, 17, ''],
    ['T | where A == dynamic({"a"', 1, 23, '{'],
    ['T # A', 1, 2, '#'],
  ]
  for (const [query, line, pos, token] of syntax) {
    const reply = await ask(logs, query)
    t.equal(reply.status, 400)
    t.match(
      reply.body.error,
      {
        code: 'BadArgumentError',
        message: 'The request had some invalid properties',
        innererror: {
          code: 'SyntaxError',
          innererror: {
            code: 'SYN0002',
            message: `Query could not be parsed at '${token}' on line [${line},${pos}] (This is the emulator. `,
            line,
            pos,
            token,
          },
        },
      },
      query,
    )
  }
  const semantic: [query: string, code: string, message: string][] = [
    [
      'Nope | take 1',
      'SEM0100',
      "'take' operator: Failed to resolve table or column expression named 'Nope'",
    ],
    ['T | where B == 1', 'SEM0100', "'where' operator: Failed to resolve scalar expression named 'B'"],
    [
      'T | project __proto__',
      'SEM0100',
      "'project' operator: Failed to resolve scalar expression named '__proto__'",
    ],
    [
      'T | where D > "2024-05-01"',
      'SEM0064',
      'Cannot compare values of types datetime and string. Try adding explicit casts',
    ],
    ['T | where D > ago(1d)', 'SEM0260', "Unknown function: 'ago'."],
    ['T | where constructor(A)', 'SEM0260', "Unknown function: 'constructor'."],
    ['T | take D', 'SEM0100', "'take' operator: Failed to resolve scalar expression named 'D'"],
    ['T | where A', 'SEM0005', "'where' operator: the predicate must be of type bool"],
    ['T | summarize A', 'SEM0220', "'summarize' operator: the expression is not an aggregate"],
    ['T | summarize avg(A)', 'SEM0220', "'summarize' operator: the expression is not an aggregate"],
  ]
  for (const [query, code, message] of semantic) {
    const reply = await ask(logs, query)
    t.equal(reply.status, 400, query)
    t.equal(reply.body.error?.innererror?.code, 'SemanticError')
    t.match(inner(reply), { code, message }, query)
    t.match(
      inner(reply)?.message,
      /It runs tables with let, where, .* register an answer: logAnalytics\.answer\(/,
    )
  }
  for (const [query, more] of [
    [5, {}],
    [undefined, {}],
    ['T', { timespan: 'yesterday' }],
    ['T', { timespan: 'a/b/c' }],
  ] as const) {
    t.match(await ask(logs, query, more), { status: 400, body: { error: { code: 'BadArgumentError' } } })
  }
  const post = (path: string, init: RequestInit = {}) =>
    fetch(logs.url + path, { method: 'POST', headers, ...init })
  t.equal((await post('/v1/workspaces/w/query', { body: 'no JSON' })).status, 400)
  t.equal((await post('/v2/workspaces/w/query')).status, 404)
  t.equal((await post('/v1/workspaces/w/query', { headers: {} })).status, 401)
  t.equal((await fetch(`${logs.url}/v1/workspaces/w/query`, { headers })).status, 405)
  const metadata = await fetch(`${logs.url}/v1/workspaces/w/metadata`, { headers })
  t.match(await metadata.json(), { tables: [{ name: 'T', columns: [{ name: 'A', type: 'long' }, {}] }] })
  t.throws(() => logs.addTable('Bad', [{ name: 'A', type: 'int' }], [['x']]), {
    message: 'Bad.A: x is no int',
  })
  t.throws(() => logs.append('T', [{ B: 1 }]), { message: 'T has no column B' })
  t.throws(() => logs.append('T', [[1, null, 3]]), { message: /2 columns, the row 3/ })
  t.throws(() => logs.append('Nope', []), RangeError)
  t.throws(() => logs.append('T', [], { ingestedAt: 'soon' }), TypeError)
})

t.test('answers that are registered: by text, pattern, test; types, windows, what follows', async (t) => {
  const logs = await start(t, { bounds: 'exclusive', now: () => Date.parse('2024-05-02T00:00:00Z') })
  const incidents = 'SecurityIncident\n| summarize arg_max(TimeGenerated, *) by Id'
  const columns: Column[] = [
    { name: 'TimeGenerated', type: 'datetime' },
    { name: 'Id', type: 'long' },
    { name: 'More', type: 'dynamic' },
  ]
  const hour = (count: number) => `2024-05-01T0${count}:00:00Z`
  logs.answer(
    incidents,
    [[hour(1), 1, { a: 1 }], { TimeGenerated: hour(2), Id: 9007199254740993n }, [hour(3), 3, null]],
    {
      columns,
      ingestedAt: (_, index) => hour(index + 5),
    },
  )
  const whole = await ask(logs, incidents)
  t.same(whole.body.tables[0]?.columns, columns)
  t.same(whole.body.tables[0]?.rows[0], [hour(1), 1, '{"a":1}'])
  t.match(whole.text, /9007199254740993/)
  const ids = async (query: string, more: object = {}) =>
    (await rows(logs, `${query} | project Id`, more)).flat()
  t.same(
    await ids('SecurityIncident  | summarize arg_max(TimeGenerated, *) by Id', {
      timespan: `${hour(1)}/${hour(3)}`,
    }),
    [1, 9007199254740992],
  )
  t.same(await ids(`${incidents}\n| where Id > 1 | take 1`), [9007199254740992])
  t.same(await rows(logs, `${incidents} | count`), [[3]])
  t.equal((await ask(logs, `${incidents}entity`)).status, 400, 'a longer word is another query')
  t.equal((await ask(logs, `${incidents} | join T on Id`)).status, 400, 'what follows has to be run')

  // A pattern or a test answers the whole query; a window by ingestion time in it counts.
  logs.answer(/\bjoin\b/, [{ TimeGenerated: hour(1), Text: 'a', At: new Date(hour(2)), N: 0.5 }], {
    ingestedAt: hour(4),
  })
  const joined = (start: number, end: number) =>
    `T | where ingestion_time() >= datetime(${hour(start)}) and ingestion_time() < datetime(${hour(end)}) | join U on Id`
  const { tables } = (await ask(logs, joined(4, 5))).body
  t.same(tables[0], {
    name: 'PrimaryResult',
    columns: [
      { name: 'TimeGenerated', type: 'datetime' },
      { name: 'Text', type: 'string' },
      { name: 'At', type: 'datetime' },
      { name: 'N', type: 'real' },
    ],
    rows: [[hour(1), 'a', hour(2), 0.5]],
  })
  t.same(await rows(logs, joined(3, 4)), [])
  t.same(await rows(logs, 'T | join U on Id', { timespan: `${hour(2)}/${hour(3)}` }), [])
  logs.answer(
    ({ query }) => query.startsWith('union'),
    ({ start, end }, { target }) => [{ Start: start, End: end, Target: target }],
  )
  t.same(await rows(logs, 'union T, U', { timespan: `${hour(2)}/${hour(3)}` }), [[hour(2), hour(3), 'w']])
  logs.answer('union T, U', [{ N: 1 }])
  t.same(await rows(logs, 'union T, U;'), [[1]], 'the newest answer is taken')
  t.throws(() => logs.answer('x', [[1]]), /need `columns`/)
  t.throws(() => logs.answer('x', [['x']], { columns: [{ name: 'A', type: 'long' }] }), {
    message: 'answer.A: x is no long',
  })
})

t.test('the timespan cuts by the time column at 100 ns; its end may be in or out', async (t) => {
  let now = Date.parse('2024-05-01T12:00:00Z')
  const logs = await start(t, { now: () => now })
  const time = Date.parse('2024-05-01T00:00:00Z')
  const columns: Column[] = [
    { name: 'TimeGenerated', type: 'datetime' },
    { name: 'N', type: 'long' },
  ]
  const span = (from: number, to: number) =>
    `${new Date(time + from).toISOString()}/${new Date(time + to).toISOString()}`
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.integer({ min: 0, max: 4 }), fc.constantFrom(-1, 0, 1)), { maxLength: 20 }),
      fc.boolean(),
      fc.integer({ min: 0, max: 4 }),
      fc.integer({ min: 0, max: 4 }),
      fc.constantFrom('inclusive' as const, 'exclusive' as const),
      async (places, sorted, from, to, bounds) => {
        const ticks = places.map(([ms, tick]) => BigInt(time + ms) * 10_000n + BigInt(tick))
        if (sorted) ticks.sort((a, b) => (a < b ? -1 : a > b ? 1 : 0))
        logs.addTable(
          'T',
          columns,
          ticks.map((tick, n) => [tick, n]),
        )
        logs.bounds = bounds
        const [start, end] = [BigInt(time + from) * 10_000n, BigInt(time + to) * 10_000n]
        const inside = [...ticks.keys()].filter(
          (n) => ticks[n]! >= start && (bounds === 'inclusive' ? ticks[n]! <= end : ticks[n]! < end),
        )
        const found = await rows(logs, 'T | project N', { timespan: span(from, to) })
        t.same(
          found,
          inside.map((n) => [n]),
        )
      },
    ),
    { numRuns: scaled(20, 60) },
  )
  logs.bounds = 'exclusive'
  const hours = Array.from({ length: 12 }, (_, hour) => [new Date(time + hour * 3_600_000), hour])
  logs.addTable('T', columns, hours, { ingestedAt: '2024-05-01T11:00:00Z' })
  const count = async (timespan?: string, table = 'T') =>
    (await rows(logs, `${table} | count`, { timespan }))[0]?.[0]
  t.equal(await count(), 12)
  t.equal(await count(''), 12)
  t.equal(await count('PT2H'), 2)
  t.equal(await count('PT2H/2024-05-01T10:00:00Z'), 2)
  t.equal(await count('2024-05-01T10:00:00Z/PT1H'), 1)

  // Another time column, and a table with none.
  logs.addTable(
    'Zeek',
    [{ name: 'ts', type: 'datetime' }],
    hours.map(([ts]) => [ts]),
    { timeColumn: 'ts' },
  )
  t.equal(await count('PT2H', 'Zeek'), 2)
  logs.addTable('Untimed', [{ name: 'N', type: 'long' }], [[1], [2]])
  t.equal(await count('PT2H', 'Untimed'), 2)

  // Rows come into sight when they are taken in.
  logs.append('T', [{ TimeGenerated: '2024-05-01T01:00:00Z', N: 99 }], { ingestedAt: '2024-05-01T13:00:00Z' })
  t.equal(await count(), 12)
  now += 3_600_000
  t.equal(await count(), 13)
  t.same(await rows(logs, 'T | where ingestion_time() > datetime(2024-05-01T12:00:00Z) | project N'), [[99]])
  logs.append('T', [[null, 100]])
  t.equal(await count(), 14)
  t.equal(logs.rowCount('T'), 14)
  t.equal(await count('P10D'), 13, 'a row with no time is in no timespan')
  t.same(await rows(logs, 'T | where N == 100 | project ingestion_time()'), [['2024-05-01T13:00:00Z']])
})

t.test('results that are not whole', async (t) => {
  const logs = await start(t, { maxRows: 3 })
  logs.addTable('T', [{ name: 'A', type: 'string' }], [['a'], ['b'], ['c'], ['d']])
  const tooLarge = (limit: string) => ({
    code: 'PartialError',
    message: 'There were some errors when processing your query.',
    details: [
      {
        code: 'EngineError',
        message: 'Something went wrong processing your query on the server.',
        innererror: {
          code: '-2133196797',
          message: `The results of this query exceed the set limit of ${limit}, so not all records were returned (E_QUERY_RESULT_SET_TOO_LARGE, 0x80DA0003, see https://aka.ms/kustoquerylimits for more information and possible solutions).`,
          severity: 2,
          severityName: 'Error',
        },
      },
    ],
  })
  const cut = await ask(logs, 'T')
  t.equal(cut.status, 200)
  t.same(cut.body.tables[0]?.rows, [['a'], ['b'], ['c']])
  t.same(cut.body.error, tooLarge('3 records'))
  t.equal(cut.text.indexOf('"error"') > cut.text.indexOf('"rows"'), true, 'the error comes last')
  t.notOk((await ask(logs, 'T | take 3')).body.error)
  logs.maxRows = 500_000
  logs.maxBytes = 12
  const bytes = await ask(logs, 'T')
  t.same(bytes.body.tables[0]?.rows, [['a'], ['b']], 'a row is 6 bytes with its comma')
  t.same(bytes.body.error, tooLarge('12 bytes'))
  logs.maxBytes = 64_000_000

  logs.failPartly({ rows: 1, match: ({ query }) => query === 'T' })
  t.notOk((await ask(logs, 'T | take 2')).body.error, 'not the query that was meant')
  const partly = await ask(logs, 'T')
  t.same(partly.body.tables[0]?.rows, [['a']])
  t.match(partly.body.error?.details?.[0]?.innererror?.message, /memory budget/)
  t.notOk((await ask(logs, 'T')).body.error, 'once')
  const error = { code: 'PartialError', message: 'cancelled' }
  logs.failPartly({ error, times: 2 })
  t.same((await ask(logs, 'T')).body.error, error)
  logs.clearFaults()
  t.notOk((await ask(logs, 'T')).body.error)

  logs.fail(queryTimeout(), { status: 429, retryAfter: 7 }, { truncate: true })
  t.match(await ask(logs, 'T'), {
    status: 504,
    body: { error: { code: 'GatewayTimeout', innererror: { message: 'Kusto query timed out' } } },
  })
  const throttled = await fetch(`${logs.url}/v1/workspaces/w/query`, {
    method: 'POST',
    headers,
    body: '{"query":"T"}',
  })
  t.equal(throttled.status, 429)
  t.equal(throttled.headers.get('retry-after'), '7')
  await t.rejects(ask(logs, 'T'), SyntaxError)
})

t.test('large results are streamed; odd columns', async (t) => {
  const logs = await start(t)
  const time = Date.parse('2024-05-01T00:00:00Z')
  logs.addTable(
    'Many',
    [
      { name: 'TimeGenerated', type: 'datetime' },
      { name: 'N', type: 'long' },
      { name: 'Text', type: 'string' },
    ],
    Array.from({ length: 50_000 }, (_, index) => [new Date(time + index), index, 'x'.repeat(50)]),
  )
  const timespan = `${new Date(time + 10_000).toISOString()}/${new Date(time + 10_009).toISOString()}`
  t.same(
    await rows(logs, 'Many | project N', { timespan }),
    Array.from({ length: 10 }, (_, n) => [10_000 + n]),
  )
  const { body } = await ask(logs, 'Many')
  t.equal(body.tables[0]?.rows.length, 50_000)
  t.same(body.tables[0]?.rows[49_999], [new Date(time + 49_999).toISOString(), 49_999, 'x'.repeat(50)])

  logs.addTable('None', [], [[], []])
  t.same((await ask(logs, 'None')).body.tables, [{ name: 'PrimaryResult', columns: [], rows: [[], []] }])
  const odd: Column[] = [
    { name: '__proto__', type: 'long' },
    { name: 'constructor', type: 'long' },
    { name: 'constructor', type: 'long' },
  ]
  logs.addTable('Odd', odd, [[1, 2, 3], JSON.parse('{"__proto__":4}')])
  t.same((await ask(logs, 'Odd')).body.tables[0]?.rows, [
    [1, 2, 3],
    [4, null, null],
  ])
})
