import { Option } from 'commander'
import { OptionError } from '../core/errors.ts'
import type { MetricsOptions, MetricsServer } from '../metrics/index.ts'
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

/** Loads what only those need who watch a job. @throws OptionError where it is not installed */
async function loadMetrics(): Promise<typeof import('../metrics/index.ts')> {
  try {
    return await import('../metrics/index.ts')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error
    throw new OptionError('--listen', [
      'needs the packages prom-client and uplot: npm install prom-client@^15 uplot@^1',
    ])
  }
}
