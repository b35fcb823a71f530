import { once } from 'node:events'
import { Command } from 'commander'
import { OptionError } from '../core/errors.ts'
import { serialize } from '../core/json.ts'
import { counted } from '../core/quantities.ts'
import { type Emulators, type EmulatorsOptions, startEmulators } from '../emulators/index.ts'
import { readYaml } from './config-file.ts'
import { printable } from './failures.ts'
import { faultHelp, type PlannedFault, parseFault, type ServiceName, services } from './fault-flag.ts'
import { type SampleTable, sampleTable, type TableSource } from './sample-table.ts'
import { securityTables } from './security-samples.ts'
import { StopSignals } from './stop-signals.ts'

interface EmulateFlags {
  readonly input?: string
  readonly timeColumn: string
  readonly fault?: readonly string[]
  readonly port?: readonly string[]
  readonly settings?: string
  readonly state?: string
  readonly ack?: boolean
  readonly tls: boolean
  readonly json?: boolean
  readonly quiet?: boolean
}

const about = `Runs emulators of all services on this machine: Entra ID, the Log Analytics query API (with the tables SigninLogs, SecurityAlert, SecurityEvent and SecurityIncident, or your records), the Logs Ingestion API, Splunk HEC, splunkd's search (over the events that HEC received), a REST recorder, Databricks credentials.

Prints their addresses, tokens and CA file as shell variables. Then prints what they accept on standard error, at most one short line a second. SIGINT or SIGTERM ends them and prints the counts of each.`

/** The command `emulate`. @param finish sets the exit code */
export function emulateCommand(finish: (code: number) => void): Command {
  const collect = (value: string, values: string[] = []) => [...values, value]
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
    .option('--state <folder>', 'keeps CA, ports, tokens and passwords in a folder for the next start')
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
  const now = new Date()
  const table = await sampleTable(flags as TableSource)
  const tables = flags.input === undefined ? [table, ...securityTables(now)] : [table]
  using signals = new StopSignals()
  await using emulators = await startEmulators(optionsOf(flags, ports, settings))
  for (const { name, columns, rows, timeColumn } of tables) {
    emulators.logAnalytics.addTable(name, columns, rows, { timeColumn })
  }
  for (const fault of faults) fault(emulators)
  emulators.splunkSearch.follow(emulators.hec)
  using said = flags.quiet
    ? undefined
    : new SaidEvents(emulators, (line) => process.stderr.write(`${printable(line)}\n`))
  process.stdout.write(
    `${flags.json ? emulatorsJson(emulators, tables) : emulatorsText(emulators, tables)}\n`,
  )
  if (!signals.stop.aborted) await once(signals.stop, 'abort')
  said?.flush()
  const counts = Object.entries(services).map(([name, key]) => {
    const service = emulators[key]
    const rows = 'received' in service ? `, ${counted(service.received, 'row')} accepted` : ''
    return `${name}: ${counted(service.count, 'request')}${rows}`
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
  { ack, tls, state }: EmulateFlags,
  ports: Map<ServiceName, number>,
  settings: EmulateSettings,
): EmulatorsOptions {
  const options: Record<string, object | string> = state === undefined ? {} : { state }
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

/** Prints what the emulators accept: at most one line a second, cut to a width, which counts what it leaves out. */
class SaidEvents implements Disposable {
  readonly #say: (line: string) => void
  #timer: NodeJS.Timeout | undefined
  #last = ''
  #waiting = 0

  constructor({ hec, ingestion, rest }: Emulators, say: (line: string) => void) {
    this.#say = say
    for (const [name, service] of Object.entries({ hec, ingestion, rest })) {
      service.on('taken', (rows: readonly unknown[]) => {
        if (rows.length > 0) this.#take(name, rows)
      })
    }
  }

  /** Prints what waits for its second. */
  flush(): void {
    if (this.#waiting === 0) return
    const more = this.#waiting > 1 ? ` (and ${this.#waiting - 1} more)` : ''
    const most = width - more.length
    this.#say(`${this.#last.length > most ? `${this.#last.slice(0, most - 1)}…` : this.#last}${more}`)
    this.#waiting = 0
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
  }

  #take(name: string, rows: readonly unknown[]): void {
    this.#last = `${name} ${serialize(rows.at(-1))}`
    this.#waiting += rows.length
    if (!this.#timer) this.#sayNow()
  }

  #sayNow(): void {
    this.#timer = undefined
    if (this.#waiting === 0) return
    this.flush()
    this.#timer = setTimeout(() => this.#sayNow(), 1000)
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

function emulatorsJson(emulators: Emulators, tables: readonly SampleTable[]): string {
  const [table] = tables.map(({ name, rows, timeColumn }) => ({ name, rows: rows.length, timeColumn }))
  return JSON.stringify({ ...variables(emulators), table, tables: tables.map(({ name }) => name) })
}

function emulatorsText(emulators: Emulators, tables: readonly SampleTable[]): string {
  const lines = Object.entries(variables(emulators)).map(([name, value]) => `export ${name}='${value}'`)
  const [{ name, timeColumn }] = tables as [SampleTable]
  const counts = tables.map(({ name, rows }) => `${name} (${counted(rows.length, 'row')})`)
  return `${lines.join('\n')}

# In another shell, with these variables:
# cyber-connectors copy --from azure-monitor --workspace-id any --query ${name} --timespan P3650D \\
#   --timestamp-column ${timeColumn} --endpoint $LOG_ANALYTICS_URL --azure-default-credential \\
#   --to splunk --url $SPLUNK_URL --token-env SPLUNK_TOKEN --time-column ${timeColumn}
# Tables: ${counts.join(', ')}. The emulators run until this ends (Ctrl-C).`
}
