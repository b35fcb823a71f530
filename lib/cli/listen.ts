import { Option } from 'commander'
import type { MetricsOptions, MetricsServer } from '../metrics/index.ts'
import { loadPackages } from './load-packages.ts'
import type { Report } from './report.ts'

export const listenFlag = () =>
  new Option(
    '--listen <address>',
    'serves /metrics for Prometheus, /health, /ready and a page at /, such as 127.0.0.1:9187; a port alone is one of the loopback address',
  )

/** Serves the metrics of a command, where it was told to. @throws OptionError */
export async function serveIfAsked(
  listen: string | undefined,
  report: Report,
  queue?: MetricsOptions['queue'],
): Promise<MetricsServer | undefined> {
  if (listen === undefined) return undefined
  const { serveMetrics } = await loadMetrics()
  const server = await serveMetrics({ listen, queue })
  report.note('listening', `metrics and a page at ${server.url}`, { url: server.url })
  return server
}

/** @throws OptionError where the packages are not installed */
function loadMetrics(): Promise<typeof import('../metrics/index.ts')> {
  const needs = 'needs the packages prom-client and uplot: npm install prom-client@^15 uplot@^1'
  return loadPackages('--listen', needs, () => import('../metrics/index.ts'))
}
