import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createCertificateAuthority } from './certificates.ts'
import { DatabricksEmulator, type DatabricksEmulatorOptions } from './databricks.ts'
import { EntraEmulator, type EntraEmulatorOptions } from './entra.ts'
import { HecEmulator, type HecEmulatorOptions } from './hec.ts'
import { IngestionEmulator, type IngestionEmulatorOptions } from './ingestion.ts'
import { LogAnalyticsEmulator, type LogAnalyticsEmulatorOptions } from './log-analytics/log-analytics.ts'
import { RestEmulator, type RestEmulatorOptions } from './rest.ts'
import type { SplunkSearchEmulatorOptions } from './splunk-search/splunk-search.ts'
import { SplunkSearchEmulator } from './splunk-search/splunk-search.ts'

/** Options for each service. All are HTTPS unless told `tls: false`; the Azure ones know the tokens of `entra`. */
export interface EmulatorsOptions {
  entra?: EntraEmulatorOptions
  logAnalytics?: LogAnalyticsEmulatorOptions
  ingestion?: IngestionEmulatorOptions
  hec?: HecEmulatorOptions
  /** It searches what `hec` takes in, if that keeps its events. */
  splunkSearch?: Omit<SplunkSearchEmulatorOptions, 'hec'>
  rest?: RestEmulatorOptions
  databricks?: Omit<DatabricksEmulatorOptions, 'entra'>
}

/** All services, running, under one certificate authority. */
export interface Emulators extends AsyncDisposable {
  /** PEM of the authority to trust. */
  readonly ca: string
  /** The same in a file, for `NODE_EXTRA_CA_CERTS`. It goes with `close()`. */
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

/** Starts all services. */
export async function startEmulators(options: EmulatorsOptions = {}): Promise<Emulators> {
  const authority = await createCertificateAuthority()
  const tls = await authority.issue()
  const folder = await mkdtemp(join(tmpdir(), 'cyber-connectors-'))
  const caFile = join(folder, 'ca.pem')
  await writeFile(caFile, authority.ca)
  const entra = new EntraEmulator({ tls, ...options.entra })
  const hec = new HecEmulator({ tls, ...options.hec })
  const splunkSearch = new SplunkSearchEmulator({ tls, ...options.splunkSearch })
  if (options.hec?.keepEvents !== false) splunkSearch.follow(hec)
  const services = {
    entra,
    logAnalytics: new LogAnalyticsEmulator({ tls, entra, ...options.logAnalytics }),
    ingestion: new IngestionEmulator({ tls, entra, ...options.ingestion }),
    hec,
    splunkSearch,
    rest: new RestEmulator({ tls, ...options.rest }),
    databricks: new DatabricksEmulator({ tls, entra, ...options.databricks }),
  }
  const reset = () => {
    for (const service of Object.values(services)) service.reset()
  }
  const close = async () => {
    await Promise.all(Object.values(services).map((service) => service.close()))
    await rm(folder, { recursive: true, force: true })
  }
  try {
    await Promise.all(Object.values(services).map((service) => service.start()))
  } catch (error) {
    await close()
    throw error
  }
  return { ca: authority.ca, caFile, ...services, reset, close, [Symbol.asyncDispose]: close }
}
