import { pipeline } from 'node:stream/promises'
import { AzureMonitorReadable } from '../azure-monitor/azure-monitor-readable.ts'
import { firstInstant, formatInstant, lastInstant } from '../core/time.ts'
import { startEmulators } from '../emulators/index.ts'
import { SplunkWritable } from '../splunk/splunk-writable.ts'
import { sampleTable, type TableSource } from './sample-table.ts'
import type { Tally } from './tally.ts'

/** What the demo counted. */
export interface DemoResult {
  /** Rows that came out of the source. */
  readonly read: number
  /** Rows that the sink says are acknowledged. */
  readonly delivered: number
  /** Events that the HEC emulator counted. */
  readonly received: number
  readonly rejected: number
  readonly seconds: number
}

type Row = Record<string, unknown>

/**
 * The main job, on this machine alone: starts the emulators, reads a security table with a KQL query through a transform
 * into HEC, all over TLS, and counts at both ends.
 */
export async function demo(options: TableSource, tally: Tally, signal: AbortSignal): Promise<DemoResult> {
  const table = await sampleTable(options)
  await using emulators = await startEmulators({ hec: { keepEvents: false, record: false } })
  const { logAnalytics, entra, hec, ca } = emulators
  logAnalytics.addTable(table.name, table.columns, table.rows, { timeColumn: table.timeColumn })

  const started = performance.now()
  const source = new AzureMonitorReadable({
    workspace_id: '00000000-0000-0000-0000-000000000001',
    query: table.name,
    // Whatever the times of the records are.
    start_time: formatInstant(firstInstant),
    end_time: formatInstant(lastInstant),
    timestamp_column: table.timeColumn,
    datetime: 'string',
    tenant_id: entra.tenant_id,
    client_id: entra.client_id,
    client_secret: entra.client_secret,
    authority_host: entra.url,
    endpoint: logAnalytics.url,
    ca,
  })
  const sink = new SplunkWritable({ url: hec.endpoint, token: hec.token, index: 'demo', ca, batch_size: 500 })
  tally.watchSource(source)
  tally.watchSink(sink)
  // Made by us so that the query has a time to go by, where the records' own is no datetime.
  const addedTime =
    table.timeColumn === (options.timeColumn ?? 'TimeGenerated') ? undefined : table.timeColumn

  await pipeline(
    source,
    // What a user would write: Splunk is paid by the byte, so columns without a value stay at home.
    async function* dropEmptyColumns(rows: AsyncIterable<Row>) {
      for await (const row of rows) {
        tally.read++
        for (const column of Object.keys(row)) {
          if (row[column] === null || column === addedTime) delete row[column]
        }
        yield row
      }
    },
    sink,
    { signal },
  )
  return {
    read: tally.read,
    delivered: sink.stats.delivered,
    received: hec.received,
    rejected: sink.stats.rejected,
    seconds: Math.round(performance.now() - started) / 1000,
  }
}

/** Whether each row that was read arrived. */
export function isComplete({ read, delivered, received, rejected }: DemoResult): boolean {
  return delivered + rejected === read && received === delivered
}

/** The result as a short table. */
export function resultTable(result: DemoResult): string {
  const lines = [
    ['read from Azure Monitor', result.read],
    ['sent to Splunk and acknowledged', result.delivered],
    ['refused', result.rejected],
    ['counted by HEC', result.received],
  ] as const
  const rate = Math.round(result.read / Math.max(result.seconds, 0.001))
  const rows = lines.map(([what, count]) => `${what.padEnd(34)}${count.toLocaleString('en').padStart(12)}`)
  const verdict = isComplete(result)
    ? 'Every row arrived.'
    : 'The counts differ: rows are missing or came twice.'
  return [...rows, '', `${verdict} ${result.seconds} s, ${rate.toLocaleString('en')} rows/s.`].join('\n')
}
