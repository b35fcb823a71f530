import { parse } from 'node:path'
import { Option } from 'commander'
import { OptionError } from '../core/errors.ts'
import type { MetricsOptions, MetricsServer } from '../metrics/index.ts'
import type { Job } from './job.ts'
import type { JobReport } from './report.ts'

export const listenFlag = () =>
  new Option(
    '--listen <address>',
    'serves /metrics for Prometheus, /health, /ready and a page at /, such as 127.0.0.1:9187; a port alone is one of the loopback address',
  )

/** Serves metrics if the command has `--listen`. @throws OptionError */
export async function serveIfAsked(
  listen: string | undefined,
  { name, source, sink }: Job,
  report: JobReport,
  queue?: MetricsOptions['queue'],
): Promise<MetricsServer | undefined> {
  if (listen === undefined) return undefined
  const { serveMetrics } = await loadMetrics()
  const server = await serveMetrics({
    listen,
    queue,
    job: name === undefined || name === '-' ? undefined : parse(name).name,
    source: source.connector,
    sink: sink.connector,
  })
  report.note('listening', `metrics and a page at ${server.url}`, { url: server.url })
  return server
}

/** @throws OptionError if the packages are not installed */
function loadMetrics(): Promise<typeof import('../metrics/index.ts')> {
  const needs = 'needs the packages prom-client and uplot: npm install prom-client@^15 uplot@^1'
  return loadPackages('--listen', needs, () => import('../metrics/index.ts'))
}

/**
 * Loads a module that needs optional packages.
 *
 * @param what the flag or command that needs them, for the error
 * @param needs the packages, and the command that installs them
 * @throws OptionError if one is not installed
 */
export async function loadPackages<T>(what: string, needs: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error
    throw new OptionError(what, [needs])
  }
}
