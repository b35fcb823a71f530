import { once } from 'node:events'
import { LogsQueryClient, LogsQueryResultStatus } from '@azure/monitor-query'
import t from 'tap'
import { AzureMonitorReadable } from '../../../lib/connectors/azure-monitor/azure-monitor-readable.ts'
import type { StandardSchema } from '../../../lib/core/standard-schema.ts'
import { DynamicText } from '../../../lib/emulators/log-analytics/cells.ts'
import { AzureTrial, type Row } from '../../fixtures/azure-trial.ts'

const time = '2024-05-01T12:00:00Z'
const columns = [
  { name: 'TimeGenerated', type: 'datetime' },
  { name: 'bool', type: 'bool' },
  { name: 'int', type: 'int' },
  { name: 'long', type: 'long' },
  { name: 'real', type: 'real' },
  { name: 'decimal', type: 'decimal' },
  { name: 'string', type: 'string' },
  { name: 'datetime', type: 'datetime' },
  { name: 'timespan', type: 'timespan' },
  { name: 'guid', type: 'guid' },
  { name: 'dynamic', type: 'dynamic' },
] as const
const guid = '6f9619ff-8b86-d011-b42d-00c04fc964ff'
const nulls = Array(10).fill(null)
const rows = [
  [
    time,
    true,
    -2147483648,
    9007199254740991,
    0.1,
    '1.5',
    'text',
    '2024-05-01T00:00:00.1234567Z',
    '00:00:10',
    guid,
    { a: [1] },
  ],
  [
    time,
    false,
    2147483647,
    9007199254740992n,
    'NaN',
    '0.1234567890123456789',
    '',
    '2024-05-01T00:00:00Z',
    '1.02:03:04.0000005',
    guid,
    [1, 'b'],
  ],
  [
    time,
    true,
    0,
    9223372036854775807n,
    'Infinity',
    '-12345678901234567890',
    '"\\\u2028\u0000é😀',
    '0001-01-01T00:00:00Z',
    '-00:00:01',
    guid,
    12,
  ],
  [
    time,
    true,
    0,
    -9223372036854775808n,
    '-Infinity',
    '100000',
    'null',
    '9999-12-31T23:59:59.9999999Z',
    '00:00:00',
    guid,
    'plain',
  ],
  [
    time,
    true,
    0,
    -1,
    -0,
    '0',
    '12',
    '1969-12-31T23:59:59.9999999Z',
    '00:00:00',
    guid,
    new DynamicText('no JSON'),
  ],
  [
    time,
    true,
    0,
    0,
    1.7976931348623157e308,
    '0.000',
    ' ',
    '2024-02-29T00:00:00.001Z',
    '00:00:00',
    guid,
    { __proto__: null, id: 12345678901234567890n },
  ],
  [time, ...nulls],
]

t.test('cells, type by type, beside those of the official client', async (t) => {
  const trial = await AzureTrial.start(t)
  trial.service.addTable('T', columns, rows)
  const ours = await trial.read()
  t.equal(ours.length, rows.length)
  const texts = await trial.read({ datetime: 'string' })

  const { ca, entra, logAnalytics } = trial.emulators
  const token = entra.issueToken('https://api.loganalytics.io').token
  const credential = { getToken: async () => ({ token, expiresOnTimestamp: Date.now() + 3_600_000 }) }
  const client = new LogsQueryClient(credential, { endpoint: logAnalytics.url, tlsOptions: { ca } })
  const result = await client.queryWorkspace('w', 'T', { duration: 'P10000D' })
  if (result.status !== LogsQueryResultStatus.Success) throw new Error('the official client failed')
  const theirs = result.tables[0]!.rows
  const column = (name: string) => ({
    ours: ours.map((row) => row[name]),
    theirs: theirs.map((row) => row[columns.findIndex((column) => column.name === name)] as unknown),
  })

  for (const name of ['bool', 'int', 'string', 'timespan', 'guid']) {
    t.strictSame(column(name).ours, column(name).theirs, name)
  }

  t.test('long: theirs is wrong beyond 2^53, ours a bigint', async (t) => {
    const { ours, theirs } = column('long')
    t.strictSame(ours, [
      9007199254740991,
      9007199254740992n,
      9223372036854775807n,
      -9223372036854775808n,
      -1,
      0,
      null,
    ])
    t.strictSame(
      theirs.map((value) => value ?? null),
      [9007199254740991, 2 ** 53, 2 ** 63, -(2 ** 63), -1, 0, null],
    )
  })

  t.test('real: theirs leaves the specials as texts, ours are numbers', async (t) => {
    const { ours, theirs } = column('real')
    t.strictSame(ours, [
      0.1,
      Number.NaN,
      Number.POSITIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
      -0,
      1.7976931348623157e308,
      null,
    ])
    t.strictSame(theirs.slice(1, 4), ['NaN', 'Infinity', '-Infinity'])
  })

  t.test('decimal: theirs is text, ours a number where that loses no digit', async (t) => {
    const { ours, theirs } = column('decimal')
    t.strictSame(ours, [1.5, '0.1234567890123456789', '-12345678901234567890', 100000, 0, 0, null])
    t.strictSame(theirs.slice(0, 2), ['1.5', '0.1234567890123456789'])
  })

  t.test('datetime: theirs makes 1970 of null, ours does not; with "string" no digit is lost', async (t) => {
    const { ours, theirs } = column('datetime')
    t.strictSame(ours.slice(0, 6), theirs.slice(0, 6))
    t.equal(ours[6], null)
    t.strictSame(theirs[6], new Date(0))
    t.strictSame(
      texts.map((row) => row['datetime']),
      rows.map((row) => row[7]),
    )
  })

  t.test('dynamic: as theirs, but for integers beyond 2^53', async (t) => {
    const { ours, theirs } = column('dynamic')
    t.strictSame(ours, [{ a: [1] }, [1, 'b'], 12, 'plain', 'no JSON', { id: 12345678901234567890n }, null])
    t.strictSame(theirs.slice(0, 5), ours.slice(0, 5))
    t.strictSame(theirs[5], { id: Number('12345678901234567890') })
  })
})

t.test('names of columns, tables, and results with nothing in them', async (t) => {
  const trial = await AzureTrial.start(t)
  const answer = (body: object) => trial.service.fail({ body })

  t.test('names that objects have, and names that come twice', async (t) => {
    const names = ['__proto__', 'constructor', 'toString', 'a', 'a', 'a_1', 'a', '__proto__', '']
    answer({
      tables: [
        { name: 'T', columns: names.map((name) => ({ name, type: 'long' })), rows: [names.map((_, i) => i)] },
      ],
    })
    const [row] = await trial.read()
    t.equal(Object.getPrototypeOf(row), Object.prototype)
    t.strictSame(Object.entries(row!), [
      ['__proto__', 0],
      ['constructor', 1],
      ['toString', 2],
      ['a', 3],
      ['a_2', 4],
      ['a_1', 5],
      ['a_3', 6],
      ['__proto___1', 7],
      ['', 8],
    ])
  })

  t.test('several tables: the rows of all, one after the other, each with its own columns', async (t) => {
    answer({
      tables: [
        { name: 'PrimaryResult', columns: [{ name: 'a', type: 'long' }], rows: [[1], [2]] },
        { name: 'Empty', columns: [{ name: 'x', type: 'string' }], rows: [] },
        { name: 'Second', columns: [{ name: 'b', type: 'string' }], rows: [['z']] },
      ],
    })
    const source = trial.source()
    const seen: unknown[] = []
    source.on('schema', ({ table, columns }) => seen.push([table, columns]))
    for await (const row of source) seen.push(row)
    t.strictSame(
      seen,
      [
        ['PrimaryResult', [{ name: 'a', type: 'long' }]],
        ['Empty', [{ name: 'x', type: 'string' }]],
        ['Second', [{ name: 'b', type: 'string' }]],
        { a: 1 },
        { a: 2 },
        { b: 'z' },
      ].sort((a, b) => order(a) - order(b)),
    )
  })

  t.test('no rows, no columns, no tables, no content', async (t) => {
    const schemas: unknown[] = []
    const read = async () => {
      const source = trial.source()
      source.on('schema', (schema) => schemas.push(schema.columns.length))
      return source.toArray()
    }
    answer({ tables: [{ name: 'T', columns: [{ name: 'a', type: 'long' }], rows: [] }] })
    t.strictSame(await read(), [])
    answer({ tables: [{ name: 'T', columns: [], rows: [[], []] }] })
    t.strictSame(await read(), [{}, {}])
    answer({ tables: [] })
    t.strictSame(await read(), [])
    trial.service.fail({ status: 204 })
    t.strictSame(await read(), [])
    t.strictSame(schemas, [1, 0])
  })

  t.test(
    'a type that is not known is taken as it comes; a cell that is none of its column is an error',
    async (t) => {
      const table = (type: string, cell: unknown) => ({
        tables: [{ name: 'T', columns: [{ name: 'a', type }], rows: [[1], [cell]] }],
      })
      answer(table('vector', [1, 2]))
      t.strictSame(await trial.read(), [{ a: 1 }, { a: [1, 2] }])
      for (const [type, cell] of [
        ['long', 'x'],
        ['long', 1.5],
        ['int', 2 ** 31],
        ['long', '9223372036854775808'],
        ['real', 'x'],
        ['bool', 2],
      ] as const) {
        answer(table(type, cell))
        const { error, rows } = await trial.failure()
        t.match(error, {
          code: 'ERR_RESULT',
          message: `row 2 of table T: column "a" holds ${JSON.stringify(cell)}, which is no ${type}`,
        })
        t.equal(rows.length, 0)
      }
      answer({
        tables: [{ name: 'T', columns: [{ name: 'a', type: 'datetime' }], rows: [['2024-02-30T00:00:00Z']] }],
      })
      t.match((await trial.failure()).error, {
        code: 'ERR_RESULT',
        message: /"2024-02-30T00:00:00Z", which is no datetime/,
      })
    },
  )

  t.test('other forms that the service has or had', async (t) => {
    answer({
      tables: [
        {
          name: 'T',
          columns: ['bool', 'long', 'real', 'datetime', 'datetime', 'dynamic', 'date'].map((type, i) => ({
            name: `c${i}`,
            type,
          })),
          rows: [
            [
              1,
              '12',
              3,
              '2024-05-01T02:00:00+02:00',
              '0099-05-01T00:00:00Z',
              { big: 1 },
              '2024-05-01 00:00:00',
            ],
          ],
        },
      ],
    })
    t.strictSame(await trial.read(), [
      {
        c0: true,
        c1: 12,
        c2: 3,
        c3: new Date('2024-05-01T00:00:00Z'),
        c4: new Date('0099-05-01T00:00:00Z'),
        c5: { big: 1 },
        c6: new Date('2024-05-01T00:00:00Z'),
      },
    ])
  })
})

/** Where in the sequence of events a thing belongs: each schema before the rows of its table. */
function order(thing: unknown): number {
  if (Array.isArray(thing)) return { PrimaryResult: 0, Empty: 3, Second: 4 }[thing[0] as 'Empty']
  return 'a' in (thing as Row) ? (thing as { a: number }).a : 5
}

t.test('schema as columns and types', async (t) => {
  const trial = await AzureTrial.start(t)
  trial.service.addTable('T', columns, rows.slice(0, 1))
  const one = async (schema: Record<string, unknown>, more: Record<string, unknown> = {}) =>
    (await trial.read({ schema, ...more }))[0]

  t.test('casts; what is missing is null, what is not listed left out; order as listed', async (t) => {
    const source = trial.source({
      schema: {
        long: 'string',
        nowhere: 'int',
        bool: 'string',
        int: 'real',
        decimal: 'Decimal',
        dynamic: 'string',
        real: 'string',
        TimeGenerated: 'string',
      },
    })
    let told: unknown
    source.on('schema', (schema) => {
      told = schema.columns
    })
    const [row] = await source.toArray()
    t.strictSame(row, {
      long: '9007199254740991',
      nowhere: null,
      bool: 'true',
      int: -2147483648,
      decimal: 1.5,
      dynamic: '{"a":[1]}',
      real: '0.1',
      TimeGenerated: '2024-05-01T12:00:00Z',
    })
    t.match(told, [
      { name: 'long', type: 'string' },
      { name: 'nowhere', type: 'int' },
    ])
    t.same(
      await one({
        bool: 'long',
        timespan: 'time',
        guid: 'uuid',
        datetime: 'date',
        string: 'dynamic',
        dynamic: 'dynamic',
      }),
      {
        bool: 1,
        timespan: '00:00:10',
        guid,
        datetime: new Date('2024-05-01T00:00:00.123Z'),
        string: 'text',
        dynamic: { a: [1] },
      },
    )
    t.same(await one({ datetime: 'datetime' }, { datetime: 'string', inferSchema: false }), {
      datetime: '2024-05-01T00:00:00.1234567Z',
    })
  })

  t.test('texts become numbers, booleans and instants where they are such', async (t) => {
    const texts = {
      t1: ' 12 ',
      t2: '-9223372036854775808',
      t3: '1e3',
      t4: 'TRUE',
      t5: '2024-05-01',
      t6: '0.5',
      t7: '{"a":1}',
    }
    trial.service.addTable(
      'S',
      [columns[0], ...Object.keys(texts).map((name) => ({ name, type: 'string' as const }))],
      [{ TimeGenerated: time, ...texts }],
    )
    t.strictSame(
      await one(
        { t1: 'int', t2: 'long', t3: 'real', t4: 'bool', t5: 'datetime', t6: 'decimal', t7: 'dynamic' },
        { query: 'S' },
      ),
      {
        t1: 12,
        t2: -9223372036854775808n,
        t3: 1000,
        t4: true,
        t5: new Date('2024-05-01'),
        t6: 0.5,
        t7: { a: 1 },
      },
    )
    const wrong = [
      ['t3', 'long'],
      ['t3', 'int'],
      ['t2', 'int'],
      ['t4', 'real'],
      ['t4', 'decimal'],
      ['t1', 'bool'],
      ['t4', 'datetime'],
      ['t4', 'guid'],
      ['t4', 'timespan'],
    ] as const
    for (const [column, type] of wrong) {
      const { error } = await trial.failure({ query: 'S', schema: { [column]: type } })
      t.match(error, {
        code: 'ERR_RESULT',
        message: new RegExp(`row 1 of table PrimaryResult: column "${column}" holds .* is no ${type}`),
      })
    }
    for (const [column, type] of [
      ['real', 'long'],
      ['int', 'datetime'],
      ['long', 'guid'],
    ] as const) {
      t.match(
        (await trial.failure({ schema: { [column]: type } })).error,
        { code: 'ERR_RESULT' },
        `${column} as ${type}`,
      )
    }
  })

  t.test('a __proto__ that is asked for is data', async (t) => {
    const schema = JSON.parse('{"__proto__":"long","int":"int"}')
    const row = await one(schema)
    t.strictSame(Object.entries(row!), [
      ['__proto__', null],
      ['int', -2147483648],
    ])
  })

  t.test('types that there are not, and no columns', async (t) => {
    t.throws(() => trial.source({ schema: { a: 'int64' } }), {
      code: 'ERR_OPTION',
      message: /schema: the type of column "a" must be one of bool, .*, got "int64"/,
    })
    t.throws(() => trial.source({ schema: { a: 1 } }), { code: 'ERR_OPTION' })
    t.throws(() => trial.source({ schema: {} }), { message: /schema: has no columns/ })
    for (const schema of [[], 'x', 1, null])
      t.throws(() => trial.source({ schema }), { message: /schema: expected an object/ })
    t.throws(() => trial.source({ inferSchema: false }), {
      message: /schema: is required with inferSchema: false/,
    })
  })
})

/** As zod, valibot and arktype give it: checks a row, and makes another one of it. */
function standard<T>(check: (row: Row) => T | string, async = false): StandardSchema<unknown, T> {
  const validate = (row: unknown) => {
    const value = check(row as Row)
    return typeof value === 'string'
      ? { issues: [{ message: value, path: ['dynamic', { key: 'a' }, 0] }, { message: 'whole' }] }
      : { value }
  }
  return {
    '~standard': {
      version: 1,
      vendor: 'test',
      validate: async ? async (row) => validate(row) : validate,
    },
  }
}

t.test('schema as a Standard Schema', async (t) => {
  const trial = await AzureTrial.start(t)
  trial.service.addTable('T', columns, rows.slice(0, 3))
  for (const async of [false, true]) {
    const schema = standard((row) => ({ twice: (row['int'] as number) * 2 }), async)
    t.strictSame(await trial.read({ schema }), [{ twice: -4294967296 }, { twice: 4294967294 }, { twice: 0 }])
    const picky = standard((row) => (row['int'] === 0 ? 'expected more' : row), async)
    const { error, rows } = await trial.failure({ schema: picky })
    t.match(error, {
      code: 'ERR_RESULT',
      message: /row 3 of table PrimaryResult does not fit the schema: dynamic\.a\.0: expected more; whole$/,
    })
    t.equal(rows.length, 0)
  }
  t.match((await trial.failure({ schema: standard(() => 1) })).error, {
    code: 'ERR_RESULT',
    message: /something that is no object/,
  })
  const callable = Object.assign(
    () => {},
    standard((row) => ({ n: row['int'] })),
  )
  t.strictSame((await trial.read({ schema: callable }))[2], { n: 0 }, 'arktype schemas are functions')
})

t.test('the type of rows follows the schema', async (t) => {
  const trial = await AzureTrial.start(t)
  trial.service.addTable('T', columns, rows.slice(0, 1))
  const options = { ...trial.target, query: 'T', start_time: '2024-05-01' }
  const source = new AzureMonitorReadable({
    ...options,
    schema: { long: 'long', datetime: 'date', dynamic: 'dynamic', bool: 'boolean' },
  })
  for await (const row of source) {
    const long: number | bigint | null = row.long
    const datetime: Date | null = row.datetime
    const bool: boolean | null = row.bool
    // @ts-expect-error: a datetime is no number
    const wrong: number = row.datetime
    // @ts-expect-error: there is no such column
    row.nowhere
    t.match(
      { long, datetime, bool, wrong },
      { long: 9007199254740991, datetime: Date, bool: true, wrong: Date },
    )
  }
  for await (const row of new AzureMonitorReadable({
    ...options,
    datetime: 'string',
    schema: { datetime: 'datetime' },
  })) {
    const text: string | null = row.datetime
    t.equal(text, '2024-05-01T00:00:00.1234567Z')
  }
  for await (const row of new AzureMonitorReadable({ ...options, schema: standard(() => ({ n: 1 })) })) {
    const n: number = row.n
    t.equal(n, 1)
  }
  for await (const row of new AzureMonitorReadable(options)) {
    const cell: unknown = row['long']
    t.equal(cell, 9007199254740991)
  }
  const array: { int: number | null }[] = await new AzureMonitorReadable({
    ...options,
    schema: { int: 'int' },
  }).toArray()
  t.strictSame(array, [{ int: -2147483648 }])
  const flowing = new AzureMonitorReadable({ ...options, schema: { int: 'int' } })
  flowing.on('data', ({ int }: { int: number | null }) => t.equal(int, -2147483648))
  flowing.on('schema', ({ columns }) => t.strictSame(columns, [{ name: 'int', type: 'int' }]))
  await once(flowing, 'end')
  const paused = new AzureMonitorReadable({ ...options, schema: { int: 'int' } })
  const row = await new Promise<{ int: number | null } | null>((resolve) => {
    paused.once('readable', () => resolve(paused.read()))
  })
  t.strictSame(row, { int: -2147483648 })
  paused.destroy()
})

t.test('tables of other plans are asked at /search; a column says which table a row is of', async (t) => {
  const trial = await AzureTrial.start(t)
  const columns = [{ name: 'TimeGenerated', type: 'datetime' }] as const
  trial.service.addTable('Basic_CL', columns, [['2024-05-01T12:00:00Z']])
  const query = 'Basic_CL'
  const rows = await trial.read({ query, basic_tables: 'true', table_column: 'Table' })
  t.match(rows, [{ Table: 'PrimaryResult' }])
  t.match(trial.service.requests.at(-1), { path: '/v1/workspaces/workspace-1/search', method: 'POST' })
  trial.service.fail({
    body: {
      tables: [
        { name: 'A', columns: [{ name: '__proto__', type: 'string' }], rows: [['a']] },
        { name: 'B', columns: [{ name: 'Table', type: 'long' }], rows: [[2]] },
      ],
    },
  })
  const source = trial.source({ table_column: '__proto__' })
  const schemas: unknown[] = []
  source.on('schema', (schema) => schemas.push(schema))
  const named = (await source.toArray()) as object[]
  t.strictSame(
    named.map((row) => Object.entries(row)),
    [
      [['__proto__', 'A']],
      [
        ['Table', 2],
        ['__proto__', 'B'],
      ],
    ],
  )
  t.match(schemas, [
    { table: 'A', columns: [{ name: '__proto__', type: 'string' }] },
    { table: 'B', columns: [{ name: 'Table' }, { name: '__proto__' }] },
  ])
})
