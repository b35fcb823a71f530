import { existsSync } from 'node:fs'
import { buffer } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import { isDeepStrictEqual } from 'node:util'
import t from 'tap'
import { AzureMonitorReadable } from '../../lib/azure-monitor/azure-monitor-readable.ts'
import { openFile, readNdjson } from '../../lib/cli/ndjson.ts'
import { startEmulators, tableFromRecords } from '../../lib/emulators/index.ts'
import { SplunkWritable } from '../../lib/splunk/splunk-writable.ts'
import { command } from '../fixtures/command.ts'

type Row = Record<string, unknown>

const folder = fileURLToPath(new URL('../../../shared/data/', import.meta.url))
const skip = existsSync(folder) ? false : 'the folder ../shared/data with the real records is not here'

for (const { file, timeColumn, count, long } of [
  { file: 'windows-events.ndjson.gz', timeColumn: '@timestamp', count: 25_993, long: 'Keywords' },
  { file: 'zeek-dns.ndjson.gz', timeColumn: 'ts', count: 53_615, long: undefined },
]) {
  t.test(`${file}: each of ${count} records arrives value for value`, { skip }, async (t) => {
    const records: Row[] = []
    for await (const record of readNdjson(openFile(folder + file))) records.push(record)
    t.equal(records.length, count)
    if (long) t.ok(records.filter((record) => typeof record[long] === 'bigint').length > 25_000)

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

  t.test(`${file}: the same by the demo`, { skip }, async (t) => {
    const { code, stdout, stderr } = await command([
      ...['demo', '--input', folder + file, '--time-column', timeColumn, '--json'],
    ])
    t.equal(code, 0, stderr)
    t.match(JSON.parse(stdout.trim().split('\n').at(-1)!), {
      read: count,
      delivered: count,
      received: count,
      rejected: 0,
    })
  })
}

t.test('standard input to standard output: byte for byte', { skip }, async (t) => {
  const bytes = await buffer(openFile(`${folder}windows-events.ndjson.gz`))
  const { code, stdout, stderr } = await command(['copy', '--from', '-', '--to', '-'], { input: bytes })
  t.equal(code, 0, stderr)
  t.ok(Buffer.from(stdout).equals(bytes))
})

/** A table has null where a record has no such column: the two can't be told apart in a query's result. */
function withoutNulls(row: Row): Row {
  return Object.fromEntries(Object.entries(row).filter(([, value]) => value !== null))
}
