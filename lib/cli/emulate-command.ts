import { once } from 'node:events'
import { Command } from 'commander'
import { OptionError } from '../core/errors.ts'
import { type EmulatorsOptions, startEmulators } from '../emulators/index.ts'
import { type EmulateSettings, isPort, readEmulateSettings, settingsHelp } from './emulate-settings.ts'
import { sayEvents } from './emulated-events.ts'
import { emulatorsJson, emulatorsText } from './emulators-text.ts'
import { faultHelp, type PlannedFault, parseFault, type ServiceName, services } from './fault-flag.ts'
import { sampleTable, type TableSource } from './sample-table.ts'
import { StopSignals } from './stop-signals.ts'

interface EmulateFlags {
  readonly input?: string
  readonly timeColumn: string
  readonly fault?: readonly string[]
  readonly port?: readonly string[]
  readonly settings?: string
  readonly ack?: boolean
  readonly tls: boolean
  readonly json?: boolean
  readonly quiet?: boolean
}

const about = `Starts stand-ins of all services on this machine, and keeps them up: Entra ID, the Log Analytics query API (with a table of sign-ins, or your records), the Logs Ingestion API, Splunk HEC and splunkd's search (over what HEC takes in), a REST recorder, Databricks credentials.

Prints their addresses, tokens and the CA file to trust, as variables that a shell can take in. Then each event, row and body that they take in is printed as it comes, a short line each, on standard error. SIGINT or SIGTERM ends them; then the counts of what each took in are printed.`

/** The command `emulate`. @param finish takes the exit code */
export function emulateCommand(finish: (code: number) => void): Command {
  const collect = (text: string, texts: string[] = []) => [...texts, text]
  return new Command('emulate')
    .description(about)
    .option(
      '--input <file>',
      'NDJSON file, also .gz, for the table Records of the query API, in place of the sample',
    )
    .option('--time-column <name>', "the records' time", 'TimeGenerated')
    .option('--fault <settings>', 'something that goes wrong, see below; may be repeated', collect)
    .option(
      '--port <service=port>',
      'a port of its own for a service; may be repeated (default: any free one)',
      collect,
    )
    .option('--settings <file>', 'ports and tokens that stay the same each time, see below')
    .option('--ack', 'HEC with indexer acknowledgement')
    .option('--no-tls', 'HEC, search and REST over plain HTTP; the Azure services are HTTPS always')
    .option('--json', 'print one JSON object in place of variables')
    .option('--quiet', 'do not print what comes in')
    .addHelpText('after', `\n${settingsHelp}\n\n${faultHelp}`)
    .action(async (flags: EmulateFlags) => finish(await emulate(flags)))
}

async function emulate(flags: EmulateFlags): Promise<number> {
  const problems: string[] = []
  const faults = (flags.fault ?? []).flatMap((text): PlannedFault[] => {
    try {
      return [parseFault(text)]
    } catch (error) {
      problems.push(`--fault: ${(error as Error).message}`)
      return []
    }
  })
  const ports = parsePorts(flags.port ?? [], problems)
  if (problems.length > 0) throw new OptionError('emulate', problems)
  const settings = flags.settings === undefined ? {} : await readEmulateSettings(flags.settings)
  const table = await sampleTable(flags as TableSource)
  using signals = new StopSignals()
  await using emulators = await startEmulators(optionsOf(flags, ports, settings))
  emulators.logAnalytics.addTable(table.name, table.columns, table.rows, { timeColumn: table.timeColumn })
  for (const fault of faults) fault(emulators)
  emulators.splunkSearch.follow(emulators.hec)
  if (!flags.quiet) sayEvents(emulators, (line) => process.stderr.write(`${line}\n`))
  process.stdout.write(`${flags.json ? emulatorsJson(emulators, table) : emulatorsText(emulators, table)}\n`)
  if (!signals.stop.aborted) await once(signals.stop, 'abort')
  const counts = Object.entries(services).map(([name, key]) => {
    const service = emulators[key]
    const rows = 'received' in service ? `, ${service.received} rows taken in` : ''
    return `${name}: ${service.count} requests${rows}`
  })
  process.stderr.write(`${counts.join('\n')}\n`)
  return 0
}

function parsePorts(given: readonly string[], problems: string[]): Map<ServiceName, number> {
  const ports = new Map<ServiceName, number>()
  for (const text of given) {
    const [name = '', port = ''] = text.split('=')
    if (!Object.hasOwn(services, name) || !/^\d{1,5}$/.test(port) || !isPort(Number(port))) {
      problems.push(
        `--port: expected <service>=<port>, of ${Object.keys(services).join(', ')}; got "${text}"`,
      )
    } else ports.set(name as ServiceName, Number(port))
  }
  return ports
}

function optionsOf(
  { ack, tls }: EmulateFlags,
  ports: Map<ServiceName, number>,
  settings: EmulateSettings,
): EmulatorsOptions {
  const options: Record<string, object> = {}
  for (const [name, key] of Object.entries(services)) {
    const port = ports.get(name as ServiceName)
    const own = key === 'hec' || key === 'splunkSearch' || key === 'rest'
    // Little is kept of what comes in: it may be up for days.
    options[key] = {
      record: false,
      ...settings[name as ServiceName],
      ...(port !== undefined && { port }),
      ...(own && !tls && { tls: false }),
      ...(key === 'hec' && { ack: ack ?? false, keepEvents: false }),
      ...(key === 'splunkSearch' && { maxEvents: 100_000 }),
      ...((key === 'ingestion' || key === 'rest') && { keepRows: false }),
    }
  }
  return options
}
