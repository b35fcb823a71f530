import { createReadStream } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { Ajv } from 'ajv'
import fc from 'fast-check'
import t from 'tap'
import { readNdjson } from '../../../lib/cli/ndjson.ts'
import { azureColumnName, ColumnNames, columnFault } from '../../../lib/connectors/sentinel/column-names.ts'
import { type SentinelTemplateOptions, sentinelTemplate } from '../../../lib/connectors/sentinel/template.ts'
import { deploymentTemplate } from '../../fixtures/arm-schemas.ts'

const folder = fileURLToPath(new URL('../../../fixtures/sentinel/', import.meta.url))
const valid = new Ajv({ strict: false, allErrors: true }).compile(deploymentTemplate)

const sample = (name: string) => readNdjson(createReadStream(`${folder}${name}.ndjson`))
const principal_id = '00000000-0000-4000-a000-000000000001'

const samples: [name: string, options: SentinelTemplateOptions][] = [
  ['zeek-dns', { table: 'ZeekDns_CL', time_column: 'ts', workspace_id: '/subscriptions/s/resourceGroups/g/providers/Microsoft.OperationalInsights/workspaces/soc', principal_id }],
  ['windows-events', { table: 'WindowsEvents_CL', time_column: '@timestamp', plan: 'Basic', dce: true }],
  ['sign-ins', { table: 'SignIns_CL' }],
] // biome-ignore format: a table

for (const [name, options] of samples) {
  t.test(`the template of ${name} is valid, and as recorded`, async (t) => {
    const { template, report } = await sentinelTemplate(sample(name), options)
    t.ok(valid(template), JSON.stringify(valid.errors))
    const text = `${JSON.stringify({ report, template }, null, 2)}\n`
    const path = `${folder}${name}.template.json`
    if (process.env['RECORD'] === '1') {
      await mkdir(folder, { recursive: true })
      await writeFile(path, text)
    }
    t.equal(text, await readFile(path, 'utf8'))
  })
}

t.test('types are widened over all rows; what is in doubt is said', async (t) => {
  const typesOf = async (...values: unknown[]) => {
    const { columns, report } = await sentinelTemplate(
      values.map((v) => ({ v })),
      { table: 'T_CL' },
    )
    const doubt = report.find((line) => line.startsWith('v: '))
    return doubt === undefined ? columns[0]!.type : `${columns[0]!.type}, ${doubt.slice(3)}`
  }
  const cases: [values: unknown[], type: string][] = [
    [[true, false, null], 'boolean'],
    [[1, -5, 2_147_483_647], 'int'],
    [[1, 2_147_483_648], 'long'],
    [[1, 2n ** 60n], 'long'],
    [[1, 0.5], 'real'],
    [[0.5, 2n ** 60n], 'real, has integers and fractions; real, which rounds integers beyond 2^53'],
    [[1, 'a'], 'string, has int values and string values; string'],
    [[1, 2n ** 70n], 'string, has integers beyond 64 bits; string'],
    [['2026-01-01T00:00:00Z', '2026-01-01T00:00:00.1234567+01:00', new Date()], 'datetime'],
    [['2026-01-01 00:00:00'], 'string, looks like a time without a time zone; string'],
    [['2026-01-01T00:00:00Z', 'soon'], 'string'],
    [['2026-02-30T00:00:00Z'], 'string'],
    [[{ a: 1 }, [1]], 'dynamic'],
    [[{ a: 1 }, 'a'], 'dynamic, has objects or arrays and string values; dynamic'],
    [[null], 'string, has no value in the sample; string'],
  ]
  for (const [values, type] of cases)
    t.equal(await typesOf(...values), type, JSON.stringify(values.map(String)))
})

t.test('times: a datetime, text, seconds, milliseconds, none', async (t) => {
  const transformOf = async (row: object, time_column?: string) => {
    const { template } = await sentinelTemplate([row], { table: 'T_CL', time_column })
    t.ok(valid(template))
    const rule = (template['resources'] as { properties: { dataFlows: { transformKql: string }[] } }[]).at(-1)
    return rule?.properties.dataFlows[0]?.transformKql
  }
  const extend = (time: string) => `source | extend TimeGenerated = ${time}, EventTime = ${time}`
  t.equal(await transformOf({ at: '2026-01-01T00:00:00Z' }, 'at'), extend('at'))
  t.equal(await transformOf({ at: 'Jan 1' }, 'at'), extend('todatetime(at)'))
  t.equal(await transformOf({ 'a.t': 1_767_225_600.5 }, 'a.t'), extend('datetime(1970-01-01) + a_t * 1s'))
  t.equal(await transformOf({ at: 1_767_225_600_000 }, 'at'), extend('datetime(1970-01-01) + at * 1ms'))
  t.equal(
    await transformOf({ TimeGenerated: '2026-01-01T00:00:00Z' }),
    'source | extend EventTime = TimeGenerated',
  )
  t.equal(await transformOf({ a: 1 }), 'source | extend TimeGenerated = now()')
  t.match(
    await transformOf({ EventTime: 'x', at: '2026-01-01T00:00:00Z' }, 'at'),
    /EventTime_ = at$/,
    'a column of the sample keeps its name',
  )
})

t.test('wrong options, an empty sample, two columns that become one', async (t) => {
  const failure = (rows: object[], options: object) =>
    sentinelTemplate(rows, options as SentinelTemplateOptions).catch((error) => error.problems?.join('\n'))
  t.match(
    await failure([{ a: 1 }], { table: 'Zeek', plan: 'Gold', principal_id: 'me' }),
    /table: expected a letter.*\nplan: expected "Analytics".*\nprincipal_id: expected the object id/,
  )
  t.match(await failure([], { table: 'T_CL' }), /the sample has no rows/)
  t.match(
    await failure([{ a: 1 }], { table: 'T_CL', time_column: 'b' }),
    /time_column: the sample has no column "b"/,
  )
  t.match(
    await failure([{ 'id.orig_h': 1 }, { id_orig_h: 2 }], { table: 'T_CL' }),
    /the columns "id.orig_h" and "id_orig_h" both become id_orig_h/,
  )
})

t.test('names become columns, the same way each time', (t) => {
  const cases: [name: string, column: string][] = [
    ['id.orig_h', 'id_orig_h'],
    ['_path', 'path'],
    ['__write_ts', 'write_ts'],
    ['@timestamp', 'timestamp'],
    ['Type', 'Type_'],
    ['id', 'id_'],
    ['TimeGenerated', 'TimeGenerated'],
    ['4625', 'c_4625'],
    ['größe in €', 'gr__e_in__'],
    ['東京', 'c_'],
    ['', 'c_'],
    ['a-b', 'a_b'],
  ]
  for (const [name, column] of cases) t.equal(azureColumnName(name), column, name)
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 80 }), (name) => {
      const column = azureColumnName(name)
      return (
        columnFault(column) === undefined &&
        column === azureColumnName(name) &&
        azureColumnName(column) === column
      )
    }),
    { numRuns: 500 },
  )
  const long = 'a'.repeat(60)
  t.equal(azureColumnName(long).length, 45)
  t.not(azureColumnName(long), azureColumnName(`${long}b`), 'two long names stay two')
  const names = new ColumnNames()
  t.same(names.rename({ 'a.b': 1, c: 2 }), { a_b: 1, c: 2 })
  const row = { c: 2 }
  t.equal(names.rename(row), row)
  t.throws(() => names.rename({ a_b: 1 }), /"a\.b" and "a_b" both become a_b/)
  t.end()
})
