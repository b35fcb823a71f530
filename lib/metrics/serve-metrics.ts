import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { type AddressInfo, isIPv6 } from 'node:net'
import { OptionError } from '../core/errors.ts'
import { declareOptions, option } from '../core/options.ts'
import { Activity, type Sample, type WindowState } from './activity.ts'
import { health, readiness, type Standing } from './health.ts'
import { type PrometheusMetrics, prometheusMetrics, type QueueDepths } from './prometheus.ts'

export interface MetricsOptions {
  /**
   * Address to listen on, as `host:port`, or a port of the loopback address; port 0 takes a free one. Anybody who reaches it
   * can read it, so others than this machine need a reason. Default: `127.0.0.1:9187`.
   */
  listen?: string | number | undefined
  /** The queue of a worker, such as `openQueue` gives: its depth is told too. */
  queue?: { status(): Promise<QueueDepths> } | undefined
}

const declaration = declareOptions('metrics', {
  listen: option.custom(
    { form: 'an address such as 127.0.0.1:9187, or a port', type: 'string | number', parse: addressOf },
    { default: { host: '127.0.0.1', port: 9187 }, doc: 'Address to listen on.' },
  ),
  queue: option.custom(
    {
      form: 'a queue, as openQueue gives it',
      type: 'object',
      parse: (value): MetricsOptions['queue'] =>
        typeof (value as MetricsOptions['queue'])?.status === 'function'
          ? (value as MetricsOptions['queue'])
          : undefined,
    },
    { doc: 'The queue whose depth is told.' },
  ),
})

interface Address {
  readonly host: string
  readonly port: number
}

function addressOf(value: unknown): Address | undefined {
  const [, host = '127.0.0.1', digits] = /^(?:(\[[\da-f:]+\]|[\w.-]+):)?(\d{1,5})$/i.exec(String(value)) ?? []
  const port = Number(digits)
  return digits !== undefined && port <= 65_535 ? { host: host.replace(/[[\]]/g, ''), port } : undefined
}

/** The folder of the page's files: it is the same from lib, from dist and from the bundle. */
const pageFolder = new URL('../../lib/metrics/page/', import.meta.url)

/** The files that the page is made of. */
const files: Readonly<Record<string, { readonly type: string; readonly url: () => URL }>> = {
  '/': { type: 'text/html', url: () => new URL('page.html', pageFolder) },
  '/page.js': { type: 'text/javascript', url: () => new URL('page.js', pageFolder) },
  '/page.css': { type: 'text/css', url: () => new URL('page.css', pageFolder) },
  '/uplot.js': { type: 'text/javascript', url: () => new URL('uPlot.esm.js', uplotFolder()) },
  '/uplot.css': { type: 'text/css', url: () => new URL('uPlot.min.css', uplotFolder()) },
}

/** Its package names its CommonJS file, in the folder of all others. */
function uplotFolder(): string {
  return import.meta.resolve('uplot')
}

/** The page asks nobody else, and runs nothing but its own files. */
const pageHeaders = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-cache',
}

/** Pages that may look on at the same time. */
const mostViewers = 20

/** Milliseconds from one state that a page is sent to the next. */
const pace = 1000

/** Milliseconds for which the counts of a queue are good: scrapes and pages share them. */
const queuePace = 2000

/** Someone who looks at the page, and what of it is there already. */
interface Viewer {
  readonly response: ServerResponse
  lastSample: number
  lastChange: number
}

/**
 * Tells what the streams and queries of this process do: `/metrics` for Prometheus, `/health` and `/ready`, and a page at
 * `/`. It knows those that are made after it. It does not keep the process alive.
 */
export class MetricsServer implements AsyncDisposable {
  /** Where it listens: `http://127.0.0.1:9187`. */
  readonly url: string
  readonly #server: Server
  readonly #activity: Activity
  readonly #prometheus: PrometheusMetrics
  readonly #queue: () => Promise<QueueDepths | undefined>
  readonly #viewers = new Set<Viewer>()
  readonly #timer: NodeJS.Timeout

  private constructor(
    server: Server,
    { host, port }: Address,
    activity: Activity,
    queue: MetricsOptions['queue'],
  ) {
    this.url = `http://${isIPv6(host) ? `[${host}]` : host}:${port}`
    this.#server = server
    this.#activity = activity
    this.#queue = lookedAtNowAndThen(queue)
    this.#prometheus = prometheusMetrics(activity, queue && this.#queue)
    this.#timer = setInterval(() => void this.#show(), pace).unref()
    server.on('request', (request, response) => void this.#serve(request, response))
  }

  /** @internal Use {@link serveMetrics}. */
  static async start(options: MetricsOptions): Promise<MetricsServer> {
    const { listen, queue } = declaration.resolve(options)
    try {
      uplotFolder()
    } catch {
      throw new OptionError('metrics', ['needs the package uplot: npm install uplot@^1'])
    }
    const server = createServer()
    server.listen(listen)
    try {
      await once(server, 'listening')
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      const problem = `listen: can't listen on ${listen.host}:${listen.port} (${code ?? message})`
      throw new OptionError('metrics', [problem])
    }
    server.unref()
    const { port } = server.address() as AddressInfo
    return new MetricsServer(server, { ...listen, port }, new Activity(), queue)
  }

  /** Ends the pages that are open, and listens no more. */
  async close(): Promise<void> {
    clearInterval(this.#timer)
    this.#prometheus.close()
    this.#activity.close()
    if (!this.#server.listening) return
    const closed = once(this.#server, 'close')
    this.#server.close()
    this.#server.closeAllConnections()
    await closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method, url = '/' } = request
    const [path = '/'] = url.split('?')
    if (method !== 'GET' && method !== 'HEAD') {
      response.writeHead(405, { allow: 'GET, HEAD' }).end()
      return
    }
    try {
      if (path === '/metrics') {
        const { registry } = this.#prometheus
        const text = await registry.metrics()
        response.writeHead(200, { 'content-type': registry.contentType }).end(text)
      } else if (path === '/health') tell(response, health(this.#activity))
      else if (path === '/ready') tell(response, readiness(this.#activity))
      else if (path === '/events') this.#view(response)
      else if (Object.hasOwn(files, path)) {
        const { type, url } = files[path]!
        const body = await readFile(url())
        response.writeHead(200, { ...pageHeaders, 'content-type': `${type}; charset=utf-8` }).end(body)
      } else response.writeHead(404, { 'content-type': 'text/plain' }).end('not found\n')
    } catch (error) {
      if (!response.headersSent) response.writeHead(500, { 'content-type': 'text/plain' })
      response.end(`${(error as Error).message}\n`)
    }
  }

  /** Keeps a page up to date by server-sent events. */
  #view(response: ServerResponse): void {
    if (this.#viewers.size >= mostViewers) {
      response.writeHead(503, { 'content-type': 'text/plain' }).end('too many pages are open\n')
      return
    }
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
    const viewer: Viewer = { response, lastSample: 0, lastChange: 0 }
    this.#viewers.add(viewer)
    response.on('close', () => this.#viewers.delete(viewer))
    void this.#show(viewer)
  }

  /** Sends what is new to those who look on. */
  async #show(...viewers: Viewer[]): Promise<void> {
    const to = viewers.length > 0 ? viewers : [...this.#viewers]
    if (to.length === 0) return
    const queue = await this.#queue()
    const activity = this.#activity
    const { started, totals, troubles, refusals, queries, lag } = activity
    const now = Date.now()
    const standing = { health: health(activity), ready: readiness(activity) }
    const inFlight = Object.fromEntries(activity.inFlight)
    const common = { now, started, ...standing, totals, lag, inFlight, queries, troubles, refusals, queue }
    for (const viewer of to) {
      // Who reads slowly gets more at a time, and holds nothing up.
      if (viewer.response.writableNeedDrain) continue
      const samples = activity.samples.filter(({ at }) => at > viewer.lastSample)
      const windows = activity.windows.filter(({ change }) => change > viewer.lastChange)
      const state = { first: viewer.lastSample === 0, ...common, samples, windows }
      viewer.lastSample = latest(samples, ({ at }) => at) ?? (viewer.lastSample || 1)
      viewer.lastChange = latest(windows, ({ change }) => change) ?? viewer.lastChange
      viewer.response.write(`data: ${JSON.stringify(state)}\n\n`)
    }
  }
}

function latest<T extends Sample | WindowState>(
  list: readonly T[],
  of: (one: T) => number,
): number | undefined {
  return list.length === 0 ? undefined : Math.max(...list.map(of))
}

function tell(response: ServerResponse, { ok, reasons }: Standing): void {
  response
    .writeHead(ok ? 200 : 503, { 'content-type': 'application/json', 'cache-control': 'no-store' })
    .end(`${JSON.stringify({ status: ok ? 'ok' : 'not ok', reasons })}\n`)
}

/** The counts of a queue, not asked for more often than each two seconds. */
function lookedAtNowAndThen(queue: MetricsOptions['queue']): () => Promise<QueueDepths | undefined> {
  let looked = -Infinity
  let counts: Promise<QueueDepths | undefined> = Promise.resolve(undefined)
  return () => {
    if (!queue || performance.now() - looked < queuePace) return counts
    looked = performance.now()
    counts = queue.status().then(
      ({ waiting, active, delayed, completed, failed }) => ({ waiting, active, delayed, completed, failed }),
      () => undefined,
    )
    return counts
  }
}

/**
 * Listens, and tells what the streams and queries of this process do. Call it before they are made.
 *
 *     await using metrics = await serveMetrics({ listen: '127.0.0.1:9187' })
 *     const query = streamingQuery({ source, sink, checkpointLocation: './offsets' })
 *     await query.done
 *
 * @throws OptionError (`ERR_OPTION`): an option is wrong, the address is taken, or `uplot` is not installed
 */
export function serveMetrics(options: MetricsOptions = {}): Promise<MetricsServer> {
  return MetricsServer.start(options)
}
