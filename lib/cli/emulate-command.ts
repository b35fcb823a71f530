import { once } from 'node:events'
import { Command } from 'commander'
import { OptionError } from '../core/errors.ts'
import { serialize } from '../core/json.ts'
import { type Emulators, type EmulatorsOptions, startEmulators } from '../emulators/index.ts'
import { readYaml } from './config-file.ts'
import { faultHelp, type PlannedFault, parseFault, type ServiceName, services } from './fault-flag.ts'
import { type SampleTable, sampleTable, type TableSource } from './sample-table.ts'
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

const about = `Runs emulators of all services on this machine: Entra ID, the Log Analytics query API (with a table of sign-ins, or your records), the Logs Ingestion API, Splunk HEC, splunkd's search (over the events that HEC received), a REST recorder, Databricks credentials.

Prints their addresses, tokens and CA file as shell variables. Then prints each event, row and body that they accept as a short line on standard error. SIGINT or SIGTERM ends them and prints the counts of each.`

/** The command `emulate`. @param finish sets the exit code */
export function emulateCommand(finish: (code: number) => void): Command {
  const collect = (text: string, texts: string[] = []) => [...texts, text]
  return new Command('emulate')
    .description(about)
    .option(
      '--input <file>',
      'NDJSON file, also .gz: its records form the table Records of the query API and replace the sample',
    )
    .option('--time-column <name>', "the records' time", 'TimeGenerated')
    .option('--fault <settings>', 'a fault, see below; may be repeated', collect)
    .option(
      '--port <service=port>',
      'the port of a service; may be repeated (default: any free one)',
      collect,
    )
    .option('--settings <file>', 'fixed ports and tokens, see below')
    .option('--ack', 'HEC with indexer acknowledgement')
    .option('--no-tls', 'HEC, search and REST over plain HTTP; the Azure services always use HTTPS')
    .option('--json', 'print one JSON object instead of variables')
    .option('--quiet', 'do not print what they accept')
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
    const rows = 'received' in service ? `, ${service.received} rows accepted` : ''
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
    // Little is kept: the emulators may run for days.
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

/** Settings of a service that can be fixed, besides its port. */
const fixedSettings: Readonly<Record<ServiceName, readonly string[]>> = {
  entra: ['tenant_id', 'client_id', 'client_secret'],
  'log-analytics': [],
  ingestion: [],
  hec: ['token'],
  'splunk-search': ['token', 'username', 'password'],
  rest: ['authorization'],
  databricks: ['token', 'client_id', 'client_secret', 'credential_name'],
}

/** Fixed settings by service. */
type EmulateSettings = Partial<Record<ServiceName, { port?: number; [setting: string]: unknown }>>

const settingsHelp = `The file of --settings is YAML or JSON, a map from services to their port and what they take:
${Object.entries(fixedSettings)
  .map(([name, settings]) => `  ${name}: ${['port', ...settings].join(', ')}`)
  .join('\n')}
As in:
  hec: { port: 8088, token: my-token }
  entra: { tenant_id: my-tenant, client_id: my-client, client_secret: my-secret }`

const isPort = (value: unknown): value is number =>
  Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 65_535

/** @throws OptionError that lists all problems of the file, without its values */
async function readEmulateSettings(path: string): Promise<EmulateSettings> {
  const given = await readYaml(path)
  const problems: string[] = []
  const isMap = (value: unknown): value is Record<string, unknown> =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
  if (!isMap(given)) throw new OptionError(path, ['expected a map from services to their settings'])
  for (const [name, settings] of Object.entries(given)) {
    if (!Object.hasOwn(services, name)) {
      problems.push(`there is no service "${name}"; there are ${Object.keys(services).join(', ')}`)
      continue
    }
    if (!isMap(settings)) {
      problems.push(`${name}: expected a map of settings`)
      continue
    }
    const known = fixedSettings[name as ServiceName]
    for (const [setting, value] of Object.entries(settings)) {
      if (setting === 'port') {
        if (!isPort(value)) problems.push(`${name}: port: expected an integer from 0 to 65535`)
      } else if (!known.includes(setting)) {
        problems.push(`${name}: there is no setting "${setting}"; there are ${['port', ...known].join(', ')}`)
      } else if (typeof value !== 'string' || value === '') {
        problems.push(`${name}: ${setting}: expected a string that is not empty`)
      }
    }
  }
  if (problems.length > 0) throw new OptionError(path, problems)
  return given
}

const width = 120

/** Prints each accepted event, row and request body as one line, cut to a width. */
function sayEvents({ hec, ingestion, rest }: Emulators, say: (line: string) => void): void {
  for (const [name, service] of Object.entries({ hec, ingestion, rest })) {
    service.on('taken', (rows: readonly unknown[]) => {
      for (const row of rows) {
        const text = `${name} ${serialize(row)}`
        say(text.length > width ? `${text.slice(0, width - 1)}…` : text)
      }
    })
  }
}

/** Addresses and credentials of the emulators as environment variables. */
function variables({
  caFile,
  entra,
  logAnalytics,
  ingestion,
  hec,
  splunkSearch,
  rest,
  databricks,
}: Emulators) {
  return {
    NODE_EXTRA_CA_CERTS: caFile,
    AZURE_AUTHORITY_HOST: entra.url,
    AZURE_TENANT_ID: entra.tenant_id,
    AZURE_CLIENT_ID: entra.client_id,
    AZURE_CLIENT_SECRET: entra.client_secret,
    LOG_ANALYTICS_URL: logAnalytics.url,
    INGESTION_URL: ingestion.url,
    SPLUNK_URL: hec.endpoint,
    SPLUNK_TOKEN: hec.token,
    SPLUNKD_URL: splunkSearch.url,
    SPLUNK_AUTH_TOKEN: splunkSearch.token,
    SPLUNK_USERNAME: splunkSearch.username,
    SPLUNK_PASSWORD: splunkSearch.password,
    REST_URL: rest.url,
    DATABRICKS_HOST: databricks.url,
    DATABRICKS_TOKEN: databricks.token,
  }
}

function emulatorsJson(emulators: Emulators, table: SampleTable): string {
  const { name, rows, timeColumn } = table
  return JSON.stringify({ ...variables(emulators), table: { name, rows: rows.length, timeColumn } })
}

function emulatorsText(emulators: Emulators, table: SampleTable): string {
  const lines = Object.entries(variables(emulators)).map(([name, value]) => `export ${name}='${value}'`)
  return `${lines.join('\n')}

# In another shell, with these variables:
# cyber-connectors copy --from azure-monitor --workspace-id any --query ${table.name} --timespan P3650D \\
#   --timestamp-column ${table.timeColumn} --endpoint $LOG_ANALYTICS_URL --authority-host $AZURE_AUTHORITY_HOST \\
#   --tenant-id $AZURE_TENANT_ID --client-id $AZURE_CLIENT_ID --client-secret-env AZURE_CLIENT_SECRET \\
#   --ca $NODE_EXTRA_CA_CERTS --to splunk --url $SPLUNK_URL --token-env SPLUNK_TOKEN
# The table ${table.name} has ${table.rows.length} rows. The emulators are up until this ends (Ctrl-C).`
}
