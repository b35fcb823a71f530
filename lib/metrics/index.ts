/**
 * What the streams and queries of a process do, over HTTP: for Prometheus, for health checks, and as a page. The entry
 * point `cyber-connectors/metrics`. It needs the packages `prom-client` and `uplot`.
 * @packageDocumentation
 */
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createRequire } from 'node:module'
import { type AddressInfo, isIPv6, type Socket } from 'node:net'
import { ConnectorError, OptionError } from '../core/errors.ts'
import { declareOptions, type OptionDeclaration, type OptionSpecs, option } from '../core/options.ts'
import type { OptionsOf } from '../core/spelling.ts'
import { Activity, lagOf, type Sample, type WindowState } from './activity.ts'
import { type PrometheusMetrics, prometheusMetrics, type QueueDepths } from './prometheus.ts'

export type { QueueDepths } from './prometheus.ts'

interface Address {
  readonly host: string
  readonly port: number
}

interface Queue {
  status(): Promise<QueueDepths>
}

const metricsSpecs = {
  /**
   * Address to listen on, as `host:port`, or a port of the loopback address; port 0 is any free one. There are no
   * passwords: anyone who reaches the address can read it.
   * @default 127.0.0.1:9187
   */
  listen: option.custom<Address, string | number>(
    { form: 'an address such as 127.0.0.1:9187, or a port', parse: addressOf },
    { default: { host: '127.0.0.1', port: 9187 } },
  ),
  /** Queue of a worker, from `openQueue`: its depth becomes a metric. */
  queue: option.custom<Queue>({
    form: 'a queue, as openQueue gives it',
    parse: (value) => (typeof (value as Queue | null)?.status === 'function' ? (value as Queue) : undefined),
  }),
  /**
   * Name of the job, for the page and as label `job_name` of each metric.
   * @default none
   */
  job: option.text(),
  /**
   * Name of the source connector, for the page and so that its series start at zero at once.
   * @default those seen
   */
  source: option.text(),
  /**
   * Name of the sink connector, for the page and so that its series start at zero at once.
   * @default those seen
   */
  sink: option.text(),
} satisfies OptionSpecs

/** Options of the metrics server. */
export type MetricsOptions = OptionsOf<typeof metricsSpecs>

const declaration: OptionDeclaration<typeof metricsSpecs> = declareOptions('metrics', metricsSpecs)

const { version } = createRequire(import.meta.url)('../../package.json') as { version: string }

function addressOf(value: unknown): Address | undefined {
  const [, host = '127.0.0.1', digits] = /^(?:(\[[\da-f:]+\]|[\w.-]+):)?(\d{1,5})$/i.exec(String(value)) ?? []
  const port = Number(digits)
  return digits !== undefined && port <= 65_535 ? { host: host.replace(/[[\]]/g, ''), port } : undefined
}

/** The folder of the page's files, seen from lib, from dist and from the bundle. */
const pageFolder = new URL('../../lib/metrics/page/', import.meta.url)

/** The files of the page. */
const files: Readonly<Record<string, { readonly type: string; readonly url: () => URL }>> = {
  '/': { type: 'text/html', url: () => new URL('page.html', pageFolder) },
  '/page.js': { type: 'text/javascript', url: () => new URL('page.js', pageFolder) },
  '/page.css': { type: 'text/css', url: () => new URL('page.css', pageFolder) },
  '/uplot.js': { type: 'text/javascript', url: () => new URL('uPlot.esm.js', uplotFolder()) },
  '/uplot.css': { type: 'text/css', url: () => new URL('uPlot.min.css', uplotFolder()) },
}

/** The package's main file is CommonJS; the files of the page are in the same folder. */
function uplotFolder(): string {
  return import.meta.resolve('uplot')
}

/** The page loads from this server only, and runs its own scripts only. */
const pageHeaders = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-cache',
}

/** Maximum open pages. */
const mostViewers = 20

/** Milliseconds between two updates of a page. */
const pace = 1000

/** Milliseconds for which the depth of a queue is kept: scrapes and pages share it. */
const queuePace = 2000

/** An open page, and what it has been sent. */
interface Viewer {
  readonly response: ServerResponse
  lastSample: number
  lastChange: number
}

/**
 * Serves `/metrics` for Prometheus, `/health` and `/ready`, and a page at `/`. It covers streams and queries that are made
 * after it. It does not keep the process alive.
 */
export class MetricsServer implements AsyncDisposable {
  /** Its address: `http://127.0.0.1:9187`. */
  readonly url: string
  readonly #server: Server
  readonly #activity = new Activity()
  readonly #prometheus: PrometheusMetrics
  readonly #queue: () => Promise<QueueDepths | undefined>
  readonly #options: Pick<MetricsOptions, 'job' | 'source' | 'sink'>
  /** Undefined unless it listens on the loopback address. */
  readonly #ownNames: ReadonlySet<string> | undefined
  readonly #viewers = new Map<Socket, Viewer>()
  readonly #timer: NodeJS.Timeout

  private constructor(server: Server, { host, port }: Address, { queue, ...options }: MetricsOptions) {
    this.url = `http://${isIPv6(host) ? `[${host}]` : host}:${port}`
    this.#server = server
    this.#options = options
    this.#ownNames = isLoopback(host)
      ? new Set(['localhost', '127.0.0.1', '[::1]', new URL(this.url).hostname])
      : undefined
    this.#queue = keptFor(queuePace, queue)
    this.#prometheus = prometheusMetrics(this.#activity, queue && this.#queue, { ...options, version })
    this.#timer = setInterval(() => void this.#update(this.#viewers.values()), pace).unref()
    server.on('request', (request, response) => void this.#serve(request, response))
  }

  /** @internal Use {@link serveMetrics}. */
  static async start(options: MetricsOptions): Promise<MetricsServer> {
    const { listen, ...others } = declaration.resolve(options)
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
      // Another process may release the address: starting again can help.
      if (code === 'EADDRINUSE')
        throw new ConnectorError('ERR_LISTEN', `metrics: ${problem}`, { cause: error })
      throw new OptionError('metrics', [problem])
    }
    server.unref()
    const { port } = server.address() as AddressInfo
    return new MetricsServer(server, { ...listen, port }, others)
  }

  /** Ends open pages, and stops listening. */
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
    if (!this.#isForUs(request)) {
      refuse(response, 421, 'this address answers to its own names only')
      return
    }
    if (method !== 'GET' && (method !== 'HEAD' || path === '/events')) {
      response.setHeader('allow', path === '/events' ? 'GET' : 'GET, HEAD')
      refuse(response, 405, 'method not allowed')
      return
    }
    try {
      const { unhealthy, unready, state } = this.#activity.standing
      if (path === '/metrics') {
        const { registry } = this.#prometheus
        const text = await registry.metrics()
        response.writeHead(200, { 'content-type': registry.contentType }).end(text)
      } else if (path === '/health') answerProbe(response, state, unhealthy)
      else if (path === '/ready') answerProbe(response, state, unready)
      else if (path === '/events') this.#view(request.socket, response)
      else if (Object.hasOwn(files, path)) {
        const { type, url } = files[path]!
        const body = await readFile(url())
        response.writeHead(200, { ...pageHeaders, 'content-type': `${type}; charset=utf-8` }).end(body)
      } else refuse(response, 404, 'not found')
    } catch (error) {
      if (response.headersSent) response.end()
      else refuse(response, 500, (error as Error).message)
    }
  }

  /**
   * On the loopback address the server answers its own names only: else a foreign page could read it under a name of its
   * own that resolves to this machine (DNS rebinding).
   */
  #isForUs({ headers: { host } }: IncomingMessage): boolean {
    if (!this.#ownNames) return true
    const name = URL.canParse(`http://${host}`) ? new URL(`http://${host}`).hostname : ''
    return this.#ownNames.has(name)
  }

  /** Keeps a page up to date by server-sent events. */
  #view(socket: Socket, response: ServerResponse): void {
    // Requests can be pipelined: one socket could take all places.
    if (this.#viewers.size >= mostViewers || this.#viewers.has(socket)) {
      refuse(response, 503, 'too many pages are open')
      return
    }
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
    const viewer: Viewer = { response, lastSample: 0, lastChange: 0 }
    this.#viewers.set(socket, viewer)
    response.on('close', () => this.#viewers.delete(socket))
    void this.#update([viewer])
  }

  /** Sends pages what is new. */
  async #update(viewers: Iterable<Viewer>): Promise<void> {
    const to = [...viewers]
    if (to.length === 0) return
    const queue = await this.#queue()
    const activity = this.#activity
    const { started, standing, totals, troubles, refusals, queries, lag, connectors } = activity
    const { job, source, sink } = this.#options
    const common = {
      now: Date.now(),
      started,
      process: {
        job,
        version,
        sources: source === undefined ? [...connectors.sources] : [source],
        sinks: sink === undefined ? [...connectors.sinks] : [sink],
      },
      standing,
      totals,
      lag,
      inFlight: Object.fromEntries(activity.inFlight),
      queries: queries.map((query) => ({ ...query, lag: lagOf(query) })),
      troubles,
      refusals,
      queue,
    }
    for (const viewer of to) {
      // A slow reader gets more at a time, and delays no other.
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

function isLoopback(host: string): boolean {
  return /^(127\.|::1$|localhost$)/.test(host)
}

function latest<T extends Sample | WindowState>(
  list: readonly T[],
  of: (one: T) => number,
): number | undefined {
  return list.length === 0 ? undefined : Math.max(...list.map(of))
}

function refuse(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'content-type': 'text/plain' }).end(`${text}\n`)
}

function answerProbe(response: ServerResponse, state: string, reasons: readonly string[]): void {
  const ok = reasons.length === 0
  response
    .writeHead(ok ? 200 : 503, { 'content-type': 'application/json', 'cache-control': 'no-store' })
    .end(`${JSON.stringify({ status: ok ? 'ok' : 'not ok', state, reasons })}\n`)
}

/** Reads the depth of a queue, at most once in this many milliseconds. */
function keptFor(pace: number, queue: MetricsOptions['queue']): () => Promise<QueueDepths | undefined> {
  let readAt = -Infinity
  let depths: Promise<QueueDepths | undefined> = Promise.resolve(undefined)
  return () => {
    if (!queue || performance.now() - readAt < pace) return depths
    readAt = performance.now()
    depths = queue.status().then(
      ({ waiting, active, delayed, completed, failed }) => ({ waiting, active, delayed, completed, failed }),
      () => undefined,
    )
    return depths
  }
}

/**
 * Serves metrics, health and a page of the streams and queries of this process. Call it before they are made.
 *
 *     await using metrics = await serveMetrics({ listen: '127.0.0.1:9187' })
 *     const query = streamingQuery({ source, sink, checkpointLocation: './offsets' })
 *     await query.done
 *
 * @throws OptionError (`ERR_OPTION`) if an option is wrong or `uplot` is not installed; ConnectorError (`ERR_LISTEN`) if
 *   another process has the address
 */
export function serveMetrics(options: MetricsOptions = {}): Promise<MetricsServer> {
  return MetricsServer.start(options)
}
