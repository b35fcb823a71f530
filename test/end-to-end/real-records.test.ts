import { buffer } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { isDeepStrictEqual } from 'node:util'
import t from 'tap'
import { openFile, readNdjson } from '../../lib/cli/ndjson.ts'
import { AzureMonitorReadable } from '../../lib/connectors/azure-monitor/azure-monitor-readable.ts'
import { SplunkWritable } from '../../lib/connectors/splunk/index.ts'
import { startEmulators, tableFromRecords } from '../../lib/emulators/index.ts'
import { command } from '../fixtures/command.ts'
import { recordSets } from '../fixtures/record-sets.ts'

type Row = Record<string, unknown>

for (const { file, path, timeColumn, count, long } of recordSets) {
  t.test(`${file}: each of ${count} records arrives value for value`, async (t) => {
    const records: Row[] = []
    for await (const record of readNdjson(openFile(path))) records.push(record)
    t.equal(records.length, count)
    if (long) {
      t.ok(records.filter((record) => typeof record[long.column] === 'bigint').length >= long.count)
    }

    await using emulators = await startEmulators({ hec: { record: false } })
    const { logAnalytics, entra, hec, ca } = emulators
    const table = tableFromRecords(records, timeColumn)
    t.equal(table.untimed, 0)
    logAnalytics.addTable('Records', table.columns, table.rows, { timeColumn: table.timeColumn })
    const sink = new SplunkWritable({
      url: hec.endpoint,
      token: hec.token,
      ca,
      batch_size: 500,
      max_in_flight: 1,
    })
    await pipeline(
      new AzureMonitorReadable({
        workspace_id: 'any',
        query: 'Records',
        start_time: '1970-01-01T00:00:00Z',
        timestamp_column: table.timeColumn,
        datetime: 'string',
        tenant_id: entra.tenant_id,
        client_id: entra.client_id,
        client_secret: entra.client_secret,
        authority_host: entra.url,
        endpoint: logAnalytics.url,
        ca,
      }),
      async function* withoutAddedTime(rows: AsyncIterable<Row>) {
        for await (const row of rows) {
          if (table.timeColumn !== timeColumn) delete row[table.timeColumn]
          yield row
        }
      },
      sink,
    )
    t.equal(sink.stats.delivered, count)
    t.equal(hec.received, count)
    let differing = 0
    for (const [index, record] of records.entries()) {
      const event = withoutNulls(hec.events[index]?.event as Row)
      if (isDeepStrictEqual(event, withoutNulls(record))) continue
      if (differing++ < 3) t.same(event, withoutNulls(record), `record ${index + 1}`)
    }
    t.equal(differing, 0, 'events that differ from their record')
  })

  t.test(`${file}: the same by the demo`, async (t) => {
    const { code, stdout, stderr } = await command([
      ...['demo', '--input', path, '--time-column', timeColumn, '--json'],
    ])
    t.equal(code, 0, stderr)
    t.match(JSON.parse(stdout.trim().split('\n').at(-1)!), {
      read: count,
      delivered: count,
      received: count,
      rejected: 0,
    })
  })

  if (!long) continue
  t.test(`${file}: standard input to standard output, byte for byte`, async (t) => {
    const bytes = await buffer(openFile(path))
    const { code, stdout, stderr } = await command(['copy', '--from', '-', '--to', '-'], { input: bytes })
    t.equal(code, 0, stderr)
    t.ok(Buffer.from(stdout).equals(bytes))
  })
}

/** A table has null where a record has no such column: the two can't be told apart in a query's result. */
function withoutNulls(row: Row): Row {
  return Object.fromEntries(Object.entries(row).filter(([, value]) => value !== null))
}
