import t from 'tap'
import { AzureMonitorReadable } from '../../../lib/connectors/azure-monitor/azure-monitor-readable.ts'
import type { AzureMonitorReadableOptions } from '../../../lib/connectors/azure-monitor/options.ts'
import { boundedDeclaration } from '../../../lib/connectors/azure-monitor/options.ts'
import { listTables, tableSchema } from '../../../lib/connectors/azure-monitor/tables.ts'
import { formatInstant } from '../../../lib/core/time.ts'
import { requestedWindow } from '../../../lib/source/options.ts'
import { AzureTrial } from '../../fixtures/azure-trial.ts'

const credential = { getToken: async () => ({ token: 'x', expiresOnTimestamp: 0 }) }
const base = { workspace_id: 'w', query: 'T', credential }

function problems(options: unknown): readonly string[] {
  try {
    new AzureMonitorReadable(options as AzureMonitorReadableOptions).destroy()
    return []
  } catch (error) {
    const { name, code, problems } = error as { name: string; code: string; problems: readonly string[] }
    t.match({ name, code }, { name: 'OptionError', code: 'ERR_OPTION' })
    return problems
  }
}

const window = (options: Record<string, unknown>) => {
  const { start, end } = requestedWindow(boundedDeclaration.resolve({ ...base, ...options }))
  return {
    start,
    end,
    seconds: Number(end - start) / 1e7,
    text: `${formatInstant(start)}/${formatInstant(end)}`,
  }
}

t.test('nothing, and everything wrong at once', async (t) => {
  const missing = [
    'query: is required (a string that is not empty)',
    'workspace_id: is required, unless resource_id is given',
    /^no way to sign in is complete/,
    'the time range is missing: give timespan, or start_time, or a window',
  ]
  t.match(problems({}), missing)
  t.match(problems(undefined), missing)
  for (const options of [null, 'x', 1, []]) t.match(problems(options), [/expected an object of options/])
  t.match(
    problems({
      workspace_id: 'a/b',
      resource_id: 'x',
      qery: 'T',
      query: ' ',
      timespan: '1 day',
      num_partitions: 0,
      numPartitions: 2,
      inferSchema: 'maybe',
      max_retries: -1,
      initial_backoff: 0,
      min_partition_seconds: 'abc',
      request_timeout: '-1',
      datetime: 'iso',
      azure_default_credential: 'true',
    }),
    [
      'workspace_id: expected the id of a Log Analytics workspace, got "a/b"',
      /^resource_id: expected the id of an Azure resource/,
      'unknown option "qery"; did you mean "query"?',
      'query: expected a string that is not empty, got " "',
      'timespan: expected an ISO 8601 duration, such as P1D or PT30M, got "1 day"',
      'num_partitions: expected an integer of 1 or more, got 0',
      'num_partitions: given twice, as "num_partitions" and as "numPartitions"',
      'inferSchema: expected true or false, got "maybe"',
      'max_retries: expected an integer of 0 or more, got -1',
      'initial_backoff: expected a number greater than 0, got 0',
      'min_partition_seconds: expected a number greater than 0, got "abc"',
      'request_timeout: expected a number greater than 0, got "-1"',
      'datetime: expected one of "date", "string", got "iso"',
      'workspace_id and resource_id exclude each other',
    ],
  )
  for (const num_partitions of [1.5, 'abc', -1, ''])
    t.match(problems({ ...base, timespan: 'P1D', num_partitions }), [/num_partitions/])
})

t.test('the time range: one way to say it', async (t) => {
  const [start_time, end_time, timespan] = ['2024-05-01', '2024-05-02', 'P1D']
  const range = { start: start_time, end: end_time }
  t.strictSame(problems({ ...base, timespan, start_time }), ['timespan and start_time exclude each other'])
  t.strictSame(problems({ ...base, timespan, window: range }), ['timespan and window exclude each other'])
  t.strictSame(problems({ ...base, timespan, end_time }), ['end_time: needs start_time'])
  t.strictSame(problems({ ...base, end_time }), [
    'the time range is missing: give timespan, or start_time, or a window',
    'end_time: needs start_time',
  ])
  t.strictSame(problems({ ...base, start_time: end_time, end_time: start_time }), [
    'end_time: 2024-05-01T00:00:00.000Z is not after start_time 2024-05-02T00:00:00.000Z',
  ])
  t.match(problems({ ...base, start_time, end_time: start_time }), [/is not after/])
  t.match(problems({ ...base, start_time: '2999-01-01' }), [
    /start_time: 2999-01-01T00:00:00.000Z is not before now, and no end_time is given/,
  ])
  t.strictSame(problems({ ...base, start_time: '2999-01-01', end_time: '2999-01-02' }), [])
  for (const wrong of [
    {},
    [],
    'x',
    { start: start_time },
    { start: end_time, end: start_time },
    { start: 1, end: 2 },
    { ...range, id: 'x' },
  ]) {
    t.match(problems({ ...base, window: wrong }), [/window: expected a window \{ start, end \}/])
  }
})

t.test('instants: any offset, up to 7 digits of a second', async (t) => {
  const end_time = '2024-06-01T00:00:00.0000001+00:00'
  for (const [start_time, expected] of [
    ['2024-05-01', '2024-05-01T00:00:00.000Z'],
    ['2024-05-01T02:00:00.1234567+02:00', '2024-05-01T00:00:00.1234567Z'],
    ['2024-04-30T18:30:00-0530', '2024-05-01T00:00:00.000Z'],
    ['2024-05-01 00:00', '2024-05-01T00:00:00.000Z'],
    [new Date('2024-05-01'), '2024-05-01T00:00:00.000Z'],
  ] as const) {
    t.equal(window({ start_time, end_time }).text, `${expected}/2024-06-01T00:00:00.0000001Z`)
  }
  for (const start_time of [
    '',
    'now',
    'yesterday',
    '2024',
    '2024-02-30',
    '2024-05-01T25:00',
    '2024-05-01T00:00:00.12345678Z',
    '1714521600',
    1714521600,
    new Date(Number.NaN),
    null,
    true,
  ]) {
    t.match(
      problems({ ...base, start_time }),
      [/start_time: expected an ISO 8601 instant/],
      String(start_time),
    )
  }
})

t.test(
  'durations: weeks to fractions of seconds; months and years are refused with the reason',
  async (t) => {
    for (const [timespan, seconds] of [
      ['P1W', 604_800],
      ['P1D', 86_400],
      ['PT1H', 3_600],
      ['PT1M', 60],
      ['PT1S', 1],
      ['PT0.0000001S', 1e-7],
      ['P1DT2H3M4.5S', 93_784.5],
      ['PT1,5H', 5_400],
      ['p2dt1m', 172_860],
    ] as const) {
      const before = BigInt(Date.now()) * 10_000n
      const range = window({ timespan })
      t.equal(range.seconds, seconds, timespan)
      t.ok(range.end >= before && range.end <= BigInt(Date.now()) * 10_000n, 'back from now')
    }
    for (const timespan of ['P1M', 'P1Y', 'P1Y2M3D', 'P1Y2M3DT4H', 'P0.5Y']) {
      t.match(problems({ ...base, timespan }), [
        new RegExp(
          `timespan: years and months differ in length, so "${timespan}" is not an exact span: give it in weeks`,
        ),
      ])
    }
    for (const timespan of [
      '',
      'P',
      'PT',
      '1D',
      'P1',
      'PT1D',
      'P1H',
      'PT0S',
      'P0D',
      '-P1D',
      'P-1D',
      'P1D ago',
      86_400,
    ]) {
      t.match(problems({ ...base, timespan }), [/timespan: expected an ISO 8601 duration/], String(timespan))
    }
  },
)

t.test('texts for numbers and flags, camelCase, Node options', async (t) => {
  const values = boundedDeclaration.resolve({
    workspaceId: ' 0-1 ',
    query: 'T',
    credential,
    startTime: '2024-05-01',
    numPartitions: '4',
    infer_schema: 'FALSE',
    schema: { a: 'long' },
    maxRetries: '0',
    initialBackoff: '0.5',
    minPartitionSeconds: '1.5',
    highWaterMark: '7',
  })
  t.match(values, {
    workspace_id: '0-1',
    num_partitions: 4,
    inferSchema: false,
    max_retries: 0,
    initial_backoff: 0.5,
    min_partition_seconds: 1.5,
    highWaterMark: 7,
  })
  const defaults = boundedDeclaration.resolve({ ...base, timespan: 'P1D' })
  t.match(defaults, {
    num_partitions: 1,
    inferSchema: true,
    max_retries: undefined,
    max_retry_seconds: 300,
    initial_backoff: 1,
    min_partition_seconds: 60,
    timestamp_column: 'TimeGenerated',
    datetime: 'date',
    azure_cloud: 'public',
  })
  const source = new AzureMonitorReadable({ ...base, timespan: 'P1D', highWaterMark: 7 })
  t.equal(source.readableHighWaterMark, 7)
  source.destroy()
})

t.test('what is asked for: workspace or resource, the query as it is', async (t) => {
  const trial = await AzureTrial.start(t)
  const columns = [
    { name: 'TimeGenerated', type: 'datetime' },
    { name: 'n', type: 'long' },
  ] as const
  trial.service
    .addTable('T', columns, [['2024-05-01T12:00:00Z', 1]])
    .addTable('B', [columns[0], { name: 'x', type: 'real' }])
  const resource_id =
    '/subscriptions/s-1/resourceGroups/rg/providers/Microsoft.Compute/virtualMachines/vm 1'.replace(' ', '-')
  const query = 'let a = 1;\nT // a comment\n| where n == 1;'
  t.equal(
    (await trial.read({ workspace_id: undefined, resource_id, query, request_timeout: 9000 })).length,
    1,
  )
  const [request] = trial.service.requests
  t.equal(decodeURIComponent(request!.path), `/v1${resource_id}/query`)
  t.strictSame(JSON.parse(request!.body.toString()), {
    query,
    timespan: '2024-05-01T00:00:00.000Z/2024-05-02T00:00:00.000Z',
  })
  t.match(request!.headers, {
    prefer: 'wait=600',
    'accept-encoding': 'GZIP',
    'user-agent': /cyber-connectors/,
  })
  trial.service.requests.length = 0
  await trial.read({
    request_timeout: 20,
    start_time: '2024-05-01T00:00:00.0001Z',
    end_time: '2024-05-01T00:00:00.0002Z',
  })
  t.equal(trial.service.requests[0]!.path, '/v1/workspaces/workspace-1/query')
  t.equal(trial.service.requests[0]!.headers['prefer'], 'wait=20')
  t.equal(
    JSON.parse(trial.service.requests[0]!.body.toString()).timespan,
    '2024-05-01T00:00:00.000Z/2024-05-01T00:00:00.001Z',
  )

  t.test('tables', async (t) => {
    const { workspace_id, ...target } = trial.target
    const t_columns = [
      { name: 'TimeGenerated', type: 'datetime' },
      { name: 'n', type: 'long' },
    ]
    t.strictSame(await listTables({ ...target, workspace_id }), [
      { name: 'B', columns: [t_columns[0], { name: 'x', type: 'real' }] },
      { name: 'T', columns: t_columns },
    ])
    t.equal((await listTables({ ...target, resource_id })).length, 2)
    const last = trial.service.requests.at(-1)!
    t.strictSame([last.method, decodeURIComponent(last.path)], ['GET', `/v1${resource_id}/metadata`])
    t.strictSame(await tableSchema('T', trial.target), t_columns)
    trial.service.fail({ status: 503 })
    t.strictSame(
      await tableSchema('T', { ...trial.target, initial_backoff: 0.001 }),
      t_columns,
      'tried again as a query is',
    )
    await t.rejects(tableSchema('Nowhere', trial.target), { code: 'ERR_QUERY', message: /Nowhere/ })
    const asked = trial.service.count
    for (const name of [
      '',
      'T | take 1',
      'T\n',
      '1T',
      'T;',
      "T'",
      'a.b',
      '../../x',
      'x'.repeat(300),
      undefined as never,
      {} as never,
    ]) {
      await t.rejects(tableSchema(name, trial.target), {
        code: 'ERR_OPTION',
        message: /table: expected a table's name/,
      })
    }
    await t.rejects(listTables({ ...trial.target, resource_id } as never), {
      code: 'ERR_OPTION',
      message: /exclude each other/,
    })
    await t.rejects(listTables({ ...trial.target, query: 'T' } as never), {
      message: /unknown option "query"/,
    })
    t.equal(trial.service.count, asked, 'nothing was asked')
    await t.rejects(listTables({ ...trial.target, client_secret: 'wrong' }), { code: 'ERR_AUTH' })
    await t.rejects(listTables({ ...trial.target, signal: AbortSignal.abort() }), { name: 'AbortError' })
    trial.service.fail({
      body: {
        tables: [
          {
            name: 'P',
            columns: [
              { name: 'ColumnName', type: 'string' },
              { name: 'ColumnType', type: 'string' },
            ],
            rows: [['a', 'quaternion']],
          },
        ],
      },
    })
    await t.rejects(tableSchema('T', trial.target), {
      code: 'ERR_RESULT',
      message: /the schema of T can not be read/,
    })
  })
})
