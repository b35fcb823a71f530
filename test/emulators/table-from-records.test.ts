import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { openFile, readNdjson } from '../../lib/cli/ndjson.ts'
import { parseJson } from '../../lib/core/exact-json.ts'
import { serialize } from '../../lib/core/json.ts'
import { LogAnalyticsEmulator } from '../../lib/emulators/log-analytics/log-analytics.ts'
import { type RecordsTable, tableFromRecords } from '../../lib/emulators/log-analytics/table-from-records.ts'
import { recordSets } from '../fixtures/record-sets.ts'
import { scaled } from '../fixtures/scale.ts'

type Rows = Record<string, unknown>[]

/** The table's rows as they come back from the query API, each value read by the type of its column. */
async function throughTheApi(logs: LogAnalyticsEmulator, table: RecordsTable, records: Rows): Promise<Rows> {
  logs.addTable('T', table.columns, table.rows, { timeColumn: table.timeColumn })
  const response = await fetch(`${logs.url}/v1/workspaces/w/query`, {
    method: 'POST',
    headers: { authorization: 'Bearer x' },
    body: '{"query":"T"}',
  })
  const body = parseJson(await response.text()) as {
    tables: [{ columns: { name: string; type: string }[]; rows: unknown[][] }]
  }
  const [{ columns, rows }] = body.tables
  return rows.map((cells, index) => {
    const row: Record<string, unknown> = {}
    for (const [place, { name, type }] of columns.entries()) {
      if (!Object.hasOwn(records[index]!, name) && cells[place] === null) continue
      const value = cells[place]
      const read = type === 'dynamic' && value !== null ? parseJson(value as string) : value
      Object.defineProperty(row, name, { value: read, enumerable: true, configurable: true, writable: true })
    }
    return row
  })
}

async function start(t: { teardown(after: () => unknown): void }): Promise<LogAnalyticsEmulator> {
  const logs = await new LogAnalyticsEmulator({ maxRows: 1e9, maxBytes: 1e12 }).start()
  t.teardown(() => logs.close())
  return logs
}

t.test('types are found from the values', (t) => {
  const typesOf = (...values: unknown[]) => {
    const [column] = tableFromRecords(
      values.map((v) => ({ v })),
      'v',
    ).columns
    return column!.digits === undefined ? column!.type : `${column!.type}(${column!.digits})`
  }
  const cases: [values: unknown[], type: string][] = [
    [[true, false, null], 'bool'],
    [[1, -5], 'long'],
    [[1, 2n ** 63n - 1n], 'long'],
    [[2n ** 63n], 'dynamic'],
    [[1, 0.5], 'real'],
    [[1e300], 'real'],
    [[-0], 'real'],
    [[0.5, 2n ** 60n], 'dynamic'],
    [['a', ''], 'string'],
    [['a', 1], 'dynamic'],
    [[{ a: 1 }], 'dynamic'],
    [[[1]], 'dynamic'],
    [[null], 'string'],
    [['2024-05-01T00:00:00Z', '2024-05-01T00:00:00.1Z', '2024-05-01T00:00:00.1234567Z'], 'datetime'],
    [['2024-05-01T00:00:00.100Z', '2024-05-01T00:00:00.123Z'], 'datetime(3)'],
    [['2024-05-01T00:00:00.120000Z'], 'datetime(6)'],
    [['2024-05-01T00:00:00.1Z', '2024-05-01T00:00:00.120Z'], 'string'],
    [['2024-05-01T00:00:00.12345678Z'], 'string'],
    [['2024-05-01T00:00:00+00:00'], 'string'],
    [['2024-05-01 00:00:00'], 'string'],
    [['2024-05-01'], 'string'],
    [['2024-02-30T00:00:00Z'], 'string'],
    [['2024-05-01T00:00:00Z', 'soon'], 'string'],
  ]
  for (const [values, type] of cases) t.equal(typesOf(...values), type, JSON.stringify(values.map(String)))
  t.end()
})

t.test('the time column', (t) => {
  const iso = tableFromRecords([{ at: '2024-05-01T00:00:00.5Z' }, {}], 'at')
  t.match(iso, { timeColumn: 'at', untimed: 1 })
  t.equal(iso.columns.length, 1)
  const noon = BigInt(Date.parse('2024-05-01T12:00:00Z')) * 10_000n
  for (const at of [
    '2024-05-01 12:00:00',
    '2024-05-01T14:00:00+02:00',
    1714564800,
    1714564800000,
    1714564800000n,
  ]) {
    const added = tableFromRecords([{ TimeGenerated: 'x', at }, { at: 'never' }, {}], 'at')
    t.match(added, { timeColumn: 'TimeGenerated_', untimed: 2 })
    t.same(added.columns.at(-1), { name: 'TimeGenerated_', type: 'datetime' })
    t.same(
      added.rows.map((row) => row.at(-1)),
      [noon, null, null],
    )
  }
  t.equal(tableFromRecords([{ at: -0.5 }], 'at').rows[0]?.at(-1), -5_000_000n)
  t.match(tableFromRecords([], 'at'), { rows: [], untimed: 0 })
  t.end()
})

t.test('each value comes back as it was', async (t) => {
  const logs = await start(t)
  const value = fc.oneof(
    // As a file gives it: integers beyond 2^53 are bigints.
    fc.jsonValue().map((value) => parseJson(JSON.stringify(value))),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).filter((n) => !Number.isSafeInteger(Number(n))),
    fc
      .date({ noInvalidDate: true, min: new Date(0), max: new Date('2100-01-01T00:00:00Z') })
      .map((date) => date.toISOString()),
  )
  const column = fc.oneof(
    fc.constantFrom('a', 'b', 'id.orig_h', '@x', '__proto__', 'q\'uo"te', ' '),
    fc.string({ unit: 'binary', maxLength: 3 }),
  )
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.dictionary(column, value, { maxKeys: 5 }), { maxLength: 6 }),
      async (records) => {
        const table = tableFromRecords(records, 'a')
        const back = await throughTheApi(logs, table, records)
        const known = ({ ...row }: Record<string, unknown>) => {
          if (table.timeColumn !== 'a') delete row[table.timeColumn]
          return row
        }
        assert.deepStrictEqual(
          back.map(known),
          records.map((record) => ({ ...record })),
        )
      },
    ),
    { numRuns: scaled(50, 150) },
  )
})

for (const { file, path, timeColumn, count } of recordSets) {
  t.test(`records: ${file}`, async (t) => {
    const records: Rows = []
    for await (const record of readNdjson(openFile(path))) records.push(record)
    t.equal(records.length, count)
    const table = tableFromRecords(records, timeColumn)
    t.match(table, { timeColumn, untimed: 0 })
    t.match(table.columns.find(({ name }) => name === timeColumn)?.type, 'datetime')
    const back = await throughTheApi(await start(t), table, records)
    const plain = (row: object) => Object.entries(row).sort(([a], [b]) => (a < b ? -1 : 1))
    const different = records.filter((record, index) => {
      const [was, is] = [plain(record), plain(back[index]!)]
      return was.some(([name, value], place) => {
        const [otherName, other] = is[place] ?? []
        return otherName !== name || (other !== value && !sameJson(other, value))
      })
    })
    t.same(different.slice(0, 1), [])
    t.equal(back.length, count)
  })
}

function sameJson(left: unknown, right: unknown): boolean {
  return typeof left === 'object' && typeof right === 'object' && serialize(left) === serialize(right)
}
