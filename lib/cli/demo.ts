import { pipeline } from 'node:stream/promises'
import { AzureMonitorReadable } from '../azure-monitor/azure-monitor-readable.ts'
import { type RecordsTable, startEmulators, tableFromRecords } from '../emulators/index.ts'
import { SplunkWritable } from '../splunk/splunk-writable.ts'
import { openFile, readNdjson } from './ndjson.ts'
import { signinColumns, signinRows } from './signin-sample.ts'

export interface DemoOptions {
  /** NDJSON file (also .gz) whose records take the place of the sample. */
  readonly input?: string
  /** The records' time. */
  readonly timeColumn?: string
  /** Print one JSON object as the last line, in place of the table. */
  readonly json?: boolean
}

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

/** Says how many rows went through. On a terminal the line is written over and over, elsewhere only its end is told. */
export type ShowProgress = (rows: number) => void

const sampleSize = 3000

/**
 * The main job, on this machine alone: starts the emulators, reads a security table with a KQL query through a transform
 * into HEC, all over TLS, and counts at both ends.
 */
export async function demo(options: DemoOptions, progress: ShowProgress): Promise<DemoResult> {
  await using emulators = await startEmulators({ hec: { keepEvents: false } })
  const { logAnalytics, entra, hec, ca } = emulators
  const table =
    options.input === undefined ? sampleTable() : await fileTable(options.input, options.timeColumn)
  const name = options.input === undefined ? 'SigninLogs' : 'Records'
  logAnalytics.addTable(name, table.columns, table.rows, { timeColumn: table.timeColumn })

  let read = 0
  const started = performance.now()
  const source = new AzureMonitorReadable({
    workspace_id: '00000000-0000-0000-0000-000000000001',
    query: name,
    start_time: '1970-01-01T00:00:00Z',
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
  const addedTime = table.timeColumn === options.timeColumn ? undefined : table.timeColumn

  await pipeline(
    source,
    // What a user would write: Splunk is paid by the byte, so columns without a value stay at home.
    async function* dropEmptyColumns(rows: AsyncIterable<Row>) {
      for await (const row of rows) {
        progress(++read)
        for (const column of Object.keys(row)) {
          if (row[column] === null || (options.input !== undefined && column === addedTime))
            delete row[column]
        }
        yield row
      }
    },
    sink,
  )
  return {
    read,
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
export function demoTable(result: DemoResult): string {
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

function sampleTable(): Pick<RecordsTable, 'columns' | 'rows' | 'timeColumn'> {
  return { columns: signinColumns, rows: signinRows(sampleSize, new Date()), timeColumn: 'TimeGenerated' }
}

async function fileTable(path: string, timeColumn = 'TimeGenerated'): Promise<RecordsTable> {
  const records: Row[] = []
  for await (const record of readNdjson(openFile(path))) records.push(record)
  return tableFromRecords(records, timeColumn)
}
