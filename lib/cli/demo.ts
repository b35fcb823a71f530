import { createHash } from 'node:crypto'
import { pipeline } from 'node:stream/promises'
import { Command } from 'commander'
import { AzureMonitorReadable } from '../connectors/azure-monitor/azure-monitor-readable.ts'
import { SplunkWritable } from '../connectors/splunk/index.ts'
import { SplunkReadable } from '../connectors/splunk/splunk-readable.ts'
import { serialize } from '../core/json.ts'
import { firstInstant, formatInstant, lastInstant } from '../core/time.ts'
import { startEmulators } from '../emulators/index.ts'
import { exitCodes } from './failures.ts'
import { LiveLine } from './report.ts'
import { sampleTable, type TableSource } from './sample-table.ts'
import { StopSignals } from './stop-signals.ts'
import { Tally } from './tally.ts'

const about = `Reads a table of sign-ins from an Azure Monitor emulator through a transform into a Splunk HEC emulator, on this machine alone, all over TLS. Then searches for what was delivered and compares row for row. Ends with what was read, acknowledged, counted by HEC and found; exit code 1 if these differ.`

/** The command `demo`. @param finish sets the exit code */
export function demoCommand(finish: (code: number) => void): Command {
  return new Command('demo')
    .description(about)
    .option('--input <file>', 'NDJSON file, also .gz, whose records take the place of the sample')
    .option('--time-column <name>', "the records' time", 'TimeGenerated')
    .option('--json', 'print one JSON object as the last line instead of the table')
    .action(async (options: TableSource & { readonly json?: boolean }) => {
      const tally = new Tally()
      const line = process.stderr.isTTY ? new LiveLine(tally) : undefined
      using signals = new StopSignals()
      try {
        const result = await demo(options, tally, signals.stop)
        line?.close()
        console.log(options.json ? JSON.stringify(result) : resultTable(result))
        finish(isComplete(result) ? exitCodes.done : exitCodes.failed)
      } catch (error) {
        line?.close()
        if (!signals.stop.aborted) throw error
        finish(signals.exitCode!)
      }
    })
}

/** What the demo counted. */
interface DemoResult {
  /** Rows that came out of the source. */
  readonly read: number
  /** Rows that the sink says are acknowledged. */
  readonly delivered: number
  /** Events that the HEC emulator counted. */
  readonly received: number
  readonly rejected: number
  /** Events that a search finds afterwards, each the same as a row that was sent. */
  readonly found: number
  readonly seconds: number
}

type Row = Record<string, unknown>

/**
 * The main job, on this machine alone: starts the emulators, reads a security table with a KQL query through a transform
 * into HEC, all over TLS, and counts at both ends. Then searches for the delivered rows and compares row for row.
 */
export async function demo(options: TableSource, tally: Tally, signal: AbortSignal): Promise<DemoResult> {
  const table = await sampleTable(options)
  await using emulators = await startEmulators({ hec: { keepEvents: false, record: false } })
  const { logAnalytics, entra, hec, splunkSearch, ca } = emulators
  splunkSearch.follow(hec)
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
  // The emulator adds a datetime column if the records' own time is a string; it is not part of the records.
  const addedTime =
    table.timeColumn === (options.timeColumn ?? 'TimeGenerated') ? undefined : table.timeColumn

  const sent = new RowCounts()
  const began = Date.now()
  await pipeline(
    source,
    // A transform as a user would write it: Splunk is paid by the byte, so empty columns are dropped.
    async function* dropEmptyColumns(rows: AsyncIterable<Row>) {
      for await (const row of rows) {
        tally.read++
        for (const column of Object.keys(row)) {
          if (row[column] === null || column === addedTime) delete row[column]
        }
        sent.add(serialize(row))
        yield row
      }
    },
    sink,
    { signal },
  )
  const search = new SplunkReadable({
    splunkd_url: splunkSearch.url,
    splunkd_token: splunkSearch.token,
    index: 'demo',
    // By the time of arrival, which has whole seconds.
    window_by: 'index_time',
    start_time: new Date(began - 1000),
    end_time: new Date(Date.now() + 1000),
    schema: { _raw: 'string' },
    ca,
    signal,
  })
  let found = 0
  for await (const { _raw } of search) if (_raw !== null && sent.take(_raw)) found++
  return {
    read: tally.read,
    delivered: sink.stats.delivered,
    received: hec.received,
    rejected: sink.stats.rejected,
    found,
    seconds: Math.round(performance.now() - started) / 1000,
  }
}

/** Counts equal rows by their digest, without holding the rows. */
class RowCounts {
  readonly #counts = new Map<string, number>()

  add(text: string): void {
    const key = digest(text)
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1)
  }

  /** Removes one such row. @returns whether there was one */
  take(text: string): boolean {
    const key = digest(text)
    const count = this.#counts.get(key) ?? 0
    if (count > 0) this.#counts.set(key, count - 1)
    return count > 0
  }
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('base64')
}

/** Whether each row that was read arrived. */
function isComplete({ read, delivered, received, rejected, found }: DemoResult): boolean {
  return delivered + rejected === read && received === delivered && found === delivered
}

/** The result as a short table. */
export function resultTable(result: DemoResult): string {
  const lines = [
    ['read from Azure Monitor', result.read],
    ['sent to Splunk and acknowledged', result.delivered],
    ['refused', result.rejected],
    ['counted by HEC', result.received],
    ['found by a search, the same', result.found],
  ] as const
  const rate = Math.round(result.read / Math.max(result.seconds, 0.001))
  const rows = lines.map(([what, count]) => `${what.padEnd(34)}${count.toLocaleString('en').padStart(12)}`)
  const verdict = isComplete(result)
    ? result.read === 0
      ? 'There was no row to read.'
      : 'Every row arrived.'
    : 'The counts differ: rows are missing or came twice.'
  return [
    ...rows,
    '',
    `${verdict} ${result.seconds} s, ${rate.toLocaleString('en')} rows/s.`,
    '',
    'These services were emulators on this machine. Next: --input FILE moves records of your own; `cyber-connectors',
    'emulate` keeps the emulators up to try things on; `cyber-connectors copy --help` moves rows of real services.',
  ].join('\n')
}
