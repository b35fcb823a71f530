import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createCertificateAuthority } from './certificates.ts'
import { DatabricksEmulator, type DatabricksEmulatorOptions } from './databricks.ts'
import { EntraEmulator, type EntraEmulatorOptions } from './entra.ts'
import { HecEmulator, type HecEmulatorOptions } from './hec.ts'
import { IngestionEmulator, type IngestionEmulatorOptions } from './ingestion.ts'
import { LogAnalyticsEmulator, type LogAnalyticsEmulatorOptions } from './log-analytics/log-analytics.ts'
import { checkOptions, type Kinds } from './options.ts'
import { RestEmulator, type RestEmulatorOptions } from './rest.ts'
import type { SplunkSearchEmulatorOptions } from './splunk-search/splunk-search.ts'
import { SplunkSearchEmulator } from './splunk-search/splunk-search.ts'

/** Options for each service. All are HTTPS unless told `tls: false`; the Azure ones know the tokens of `entra`. */
export interface EmulatorsOptions {
  /**
   * Folder that keeps the certificate authority, ports, tokens and passwords for the next start, readable by its owner
   * alone. `caFile` is then its `ca.pem`. Default: none, all are new at each start.
   */
  state?: string
  entra?: EntraEmulatorOptions
  logAnalytics?: LogAnalyticsEmulatorOptions
  ingestion?: IngestionEmulatorOptions
  hec?: HecEmulatorOptions
  /** It searches what `hec` takes in, if that keeps its events. */
  splunkSearch?: Omit<SplunkSearchEmulatorOptions, 'hec'>
  rest?: RestEmulatorOptions
  databricks?: Omit<DatabricksEmulatorOptions, 'entra'>
}

const serviceKinds: Kinds<EmulatorsOptions> = {
  state: 'string',
  entra: 'object',
  logAnalytics: 'object',
  ingestion: 'object',
  hec: 'object',
  splunkSearch: 'object',
  rest: 'object',
  databricks: 'object',
}

/** All services, running, under one certificate authority. */
export interface Emulators extends AsyncDisposable {
  /** PEM of the authority to trust. */
  readonly ca: string
  /** The same in a file, for `NODE_EXTRA_CA_CERTS`. `close()` removes it, unless `state` keeps it. */
  readonly caFile: string
  readonly entra: EntraEmulator
  readonly logAnalytics: LogAnalyticsEmulator
  readonly ingestion: IngestionEmulator
  readonly hec: HecEmulator
  readonly splunkSearch: SplunkSearchEmulator
  readonly rest: RestEmulator
  readonly databricks: DatabricksEmulator
  /** Between tests: `reset()` of each. */
  reset(): void
  close(): Promise<void>
}

/** Starts all services. @throws the error of a port that is in use */
export async function startEmulators(options: EmulatorsOptions = {}): Promise<Emulators> {
  checkOptions<EmulatorsOptions>('services', options, serviceKinds)
  const { state } = options
  const authority = await createCertificateAuthority(state)
  const kept = state === undefined ? {} : await readState(state)
  const tls = await authority.issue()
  const folder = state === undefined ? await mkdtemp(join(tmpdir(), 'cyber-connectors-')) : resolve(state)
  const caFile = join(folder, 'ca.pem')
  if (state === undefined) await writeFile(caFile, authority.ca)
  const entra = new EntraEmulator({ tls, ...kept.entra, ...options.entra })
  const hec = new HecEmulator({ tls, ...kept.hec, ...options.hec })
  const splunkSearch = new SplunkSearchEmulator({ tls, ...kept.splunkSearch, ...options.splunkSearch })
  if (options.hec?.keepEvents !== false) splunkSearch.follow(hec)
  const services = {
    entra,
    logAnalytics: new LogAnalyticsEmulator({ tls, entra, ...kept.logAnalytics, ...options.logAnalytics }),
    ingestion: new IngestionEmulator({ tls, entra, ...kept.ingestion, ...options.ingestion }),
    hec,
    splunkSearch,
    rest: new RestEmulator({ tls, ...kept.rest, ...options.rest }),
    databricks: new DatabricksEmulator({ tls, entra, ...kept.databricks, ...options.databricks }),
  }
  const reset = () => {
    for (const service of Object.values(services)) service.reset()
  }
  const close = async () => {
    await Promise.all(Object.values(services).map((service) => service.close()))
    if (state === undefined) await rm(folder, { recursive: true, force: true })
  }
  try {
    await Promise.all(Object.values(services).map((service) => service.start()))
    if (state !== undefined) await writeState(state, services)
  } catch (error) {
    await close()
    throw error
  }
  return { ca: authority.ca, caFile, ...services, reset, close, [Symbol.asyncDispose]: close }
}

/** What stays from start to start, by emulator. */
const keptSettings = {
  entra: ['tenant_id', 'client_id', 'client_secret'],
  logAnalytics: [],
  ingestion: [],
  hec: ['token'],
  splunkSearch: ['token', 'username', 'password'],
  rest: [],
  databricks: ['token', 'client_id', 'client_secret', 'credential_name'],
} as const

type Service = keyof typeof keptSettings

const stateFile = 'emulators.json'

/** @throws Error for a file that is none of ours: it is not overwritten */
async function readState(folder: string): Promise<Partial<Record<Service, Record<string, never>>>> {
  const path = join(folder, stateFile)
  try {
    return JSON.parse(await readFile(path, 'utf8'))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {}
    if (!(error instanceof SyntaxError)) throw error
    throw new Error(`${path} is not the state of emulators; remove it, or choose another folder`)
  }
}

async function writeState(folder: string, services: Record<Service, { url: string }>): Promise<void> {
  const kept = Object.entries(keptSettings).map(([name, settings]) => {
    const service = services[name as Service]
    const values = settings.map((setting) => [setting, service[setting as 'url']])
    return [name, { port: Number(new URL(service.url).port), ...Object.fromEntries(values) }]
  })
  await writeFile(join(folder, stateFile), JSON.stringify(Object.fromEntries(kept), null, 2), { mode: 0o600 })
}
