import { EventEmitter, once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer, type ServerOptions } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { promisify } from 'node:util'
import { gunzip as gunzipCallback, gunzipSync } from 'node:zlib'
import { type Answer, sendAnswer } from './answer.ts'
import { type CertificateAuthority, createCertificateAuthority } from './certificates.ts'
import { answersItself, type Fault, FaultQueue, type RecordedRequest } from './fault.ts'
import { checkOptions, type Kinds } from './options.ts'

export interface EmulatorOptions {
  /** Default: any free port. It is kept over `close()` and `start()`. */
  port?: number
  /** The address to listen on, and the host in `url`. Default `127.0.0.1`: only this machine reaches it. */
  host?: string
  /** Most bytes of a request's body, as sent and unpacked; a larger one is 413. Default 1 GiB. */
  maxBodyBytes?: number
  /**
   * HTTPS: with a certificate of this authority, with these server options (`key`, `cert`, `requestCert`, ...), or
   * with an authority made for this emulator (`true`; its certificate is `ca`). Default: plain HTTP.
   */
  tls?: boolean | CertificateAuthority | ServerOptions
  /** Whether requests are kept in `requests`. Default true; false for load tests. */
  record?: boolean
  /** Answers of at least this many bytes are gzipped for clients that accept it. Default 256; `Infinity` for never. */
  gzipFrom?: number
  /** Milliseconds that an idle connection is kept open. Default 60,000. */
  keepAliveTimeout?: number
}

const optionKinds: Kinds<EmulatorOptions> = {
  port: 'number',
  host: 'string',
  maxBodyBytes: 'number',
  tls: 'any',
  record: 'boolean',
  gzipFrom: 'number',
  keepAliveTimeout: 'number',
}

export interface EmulatorEvents {
  /** A request came in whole, or was cut by a fault with `reset: 'before'`. Comes before it is served. */
  request: [request: RecordedRequest]
  /** Its answer was handed over to the network. */
  response: [request: RecordedRequest]
  /** Its connection closed before its answer was out: the client left, or a fault cut it. */
  abort: [request: RecordedRequest]
  /** The service took rows or events in from this request. */
  taken: [rows: readonly unknown[], request: RecordedRequest]
}

const gunzip = promisify(gunzipCallback)
const EMPTY = Buffer.alloc(0)
const SMALL = 32_768
const GIBIBYTE = 2 ** 30

/** A local HTTP(S) service that keeps what it was sent and can be told to fail. */
export abstract class Emulator extends EventEmitter<EmulatorEvents> {
  /** Requests in the order in which they came in whole. Empty it at will: `requests.length = 0`. */
  readonly requests: RecordedRequest[] = []
  /** Requests so far, recorded or not. */
  count = 0
  readonly #options: EmulatorOptions
  readonly #faults = new FaultQueue()
  readonly #connections = new WeakMap<Socket, number>()
  #connectionCount = 0
  #server: Server | undefined
  #port: number
  #ca: string | undefined

  /**
   * @param name the service's, for errors
   * @param own the kinds of its own options
   * @throws OptionError for options that it does not know, and for wrong values
   */
  constructor(options: EmulatorOptions = {}, name = 'emulator', own: object = {}) {
    super()
    checkOptions<EmulatorOptions>(name, options, { ...optionKinds, ...own })
    this.#options = options
    this.#port = options.port ?? 0
  }

  /** Serves a request that came in whole. A throw becomes a 500 that shows the error. */
  protected abstract serve(request: RecordedRequest): Answer | Promise<Answer>

  /** The body of the answer to a fault that names a status alone, where the service has one of its own. */
  protected faultBody(_status: number): Answer['body'] {
    return undefined
  }

  /** Begins to listen. */
  async start(): Promise<this> {
    if (this.#server) return this
    const { tls, host = '127.0.0.1' } = this.#options
    const listener = (message: IncomingMessage, response: ServerResponse) =>
      void this.#take(message, response)
    const server = tls ? createTlsServer(await this.#tlsOptions(tls), listener) : createServer(listener)
    server.keepAliveTimeout = this.#options.keepAliveTimeout ?? 60_000
    server.on(tls ? 'secureConnection' : 'connection', (socket: Socket) => {
      this.#connections.set(socket, ++this.#connectionCount)
      // Clients that vanish are part of the job.
      socket.on('error', () => {})
    })
    server.listen(this.#port, host)
    await once(server, 'listening')
    this.#server = server
    this.#port = (server.address() as AddressInfo).port
    return this
  }

  /** Stops listening and cuts all connections. It can be started again, on the same port. */
  async close(): Promise<void> {
    const server = this.#server
    if (!server) return
    this.#server = undefined
    const closed = once(server, 'close')
    server.close()
    server.closeAllConnections()
    await closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** Scheme, host and port, with no slash at the end. Known once started. */
  get url(): string {
    if (this.#port === 0) throw new Error('the emulator is not started: its url is not known yet')
    const host = this.#options.host ?? '127.0.0.1'
    return `${this.#options.tls ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${this.#port}`
  }

  /** PEM of the authority to trust, when it is known here. */
  get ca(): string | undefined {
    return this.#ca
  }

  /** Connections taken so far. */
  get connectionCount(): number {
    return this.#connectionCount
  }

  /** Queues faults. Each request takes the first that matches it. */
  fail(...faults: Fault[]): this {
    this.#faults.add(faults)
    return this
  }

  clearFaults(): this {
    this.#faults.clear()
    return this
  }

  /**
   * Between tests: forgets requests, counts, faults, and what was taken in and registered, and sets all settings back.
   * Address, certificates, tokens and connections stay.
   */
  reset(): this {
    this.requests.length = 0
    this.count = 0
    return this.clearFaults()
  }

  /** Cuts all connections, idle or not, and keeps listening. */
  cutConnections(): void {
    this.#server?.closeAllConnections()
  }

  async #tlsOptions(tls: true | CertificateAuthority | ServerOptions): Promise<ServerOptions> {
    if (tls !== true && !('issue' in tls)) return tls
    const authority = tls === true ? await createCertificateAuthority() : tls
    this.#ca = authority.ca
    const host = this.#options.host
    return authority.issue(
      host === undefined ? undefined : [...new Set([host, 'localhost', '127.0.0.1', '::1'])],
    )
  }

  async #take(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = parseUrl(message.url)
    const request: RecordedRequest = {
      method: message.method ?? 'GET',
      path: url.pathname,
      query: url.searchParams,
      headers: message.headers,
      body: EMPTY,
      wireBytes: 0,
      at: Date.now(),
      connection: this.#connections.get(message.socket) ?? 0,
    }
    // By the clock of the program, which a test may have set.
    response.setHeader('date', new Date().toUTCString())
    response.once('close', () => {
      if (response.writableFinished) return
      this.emit('abort', request)
    })
    response.once('finish', () => this.emit('response', request))
    const early = this.#faults.take(request, 'head')
    if (early?.reset === 'before') {
      this.#note(request, early)
      message.socket.destroy()
      return
    }
    try {
      const most = this.#options.maxBodyBytes ?? GIBIBYTE
      const wire = await readBody(message, response, most, early?.slowRead)
      request.wireBytes = wire?.length ?? most
      if (!wire || !(await decodeBody(request, wire, most))) {
        this.#note(request, early)
        response.writeHead(413, { connection: 'close' }).end()
        request.status = 413
        return
      }
    } catch {
      return // The client left while it was sending.
    }
    const fault = early ?? this.#faults.take(request, 'end')
    this.#note(request, fault)
    try {
      await this.#answer(request, response, fault)
    } catch (error) {
      // The client left in mid answer, or the emulator has a bug, which must show in the test that met it.
      if (response.headersSent || response.destroyed) response.destroy()
      else response.writeHead(500).end(error instanceof Error ? error.stack : String(error))
    }
  }

  #note(request: RecordedRequest, fault: Fault | undefined): void {
    if (fault) request.fault = fault
    this.count++
    if (this.#options.record !== false) this.requests.push(request)
    this.emit('request', request)
  }

  async #answer(request: RecordedRequest, response: ServerResponse, fault: Fault | undefined): Promise<void> {
    if (fault?.stall === 'before') return
    const answer = fault && answersItself(fault) ? this.#faultAnswer(fault) : await this.serve(request)
    if (fault?.headers) answer.headers = { ...answer.headers, ...fault.headers }
    if (fault?.delay) await waitWhileOpen(fault.delay, response)
    if (response.destroyed) return
    if (fault?.reset === 'after') {
      response.destroy()
      return
    }
    request.status = answer.status
    await sendAnswer(response, request, answer, this.#options.gzipFrom ?? 256, fault)
  }

  #faultAnswer(fault: Fault): Answer {
    const status = fault.status ?? (fault.retryAfter === undefined ? 200 : 429)
    return {
      status,
      body: fault.body ?? this.faultBody(status),
      headers: fault.retryAfter === undefined ? {} : { 'retry-after': String(fault.retryAfter) },
    }
  }
}

function parseUrl(target: string | undefined): URL {
  try {
    return new URL(target ?? '/', 'http://emulator')
  } catch {
    return new URL('http://emulator/')
  }
}

/** The body as sent, or undefined if it exceeds `most` bytes. */
async function readBody(
  message: IncomingMessage,
  response: ServerResponse,
  most: number,
  bytesPerSecond: number | undefined,
): Promise<Buffer | undefined> {
  const chunks: Buffer[] = []
  let length = 0
  if (bytesPerSecond) {
    for await (const chunk of message) {
      chunks.push(chunk)
      length += chunk.length
      if (length > most) return undefined
      await waitWhileOpen((chunk.length * 1000) / bytesPerSecond, response)
    }
  } else {
    await new Promise<void>((resolve, reject) => {
      message.on('data', (chunk: Buffer) => {
        length += chunk.length
        if (length <= most) chunks.push(chunk)
        else resolve()
      })
      message.once('end', resolve)
      message.once('error', reject)
    })
    if (length > most) return undefined
  }
  return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)
}

/** @returns whether the body is not too large when unpacked */
async function decodeBody(request: RecordedRequest, wire: Buffer, most: number): Promise<boolean> {
  request.body = wire
  if (request.headers['content-encoding']?.trim().toLowerCase() !== 'gzip') return true
  const options = { maxOutputLength: most }
  try {
    request.body = wire.length < SMALL ? gunzipSync(wire, options) : await gunzip(wire, options)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') return false
    request.brokenGzip = true
  }
  return true
}

/** Waits, but not longer than the connection lives. */
function waitWhileOpen(ms: number, response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    if (response.destroyed) return resolve()
    const finish = () => {
      clearTimeout(timer)
      response.off('close', finish)
      resolve()
    }
    const timer = setTimeout(finish, ms)
    response.once('close', finish)
  })
}

/** The items whose key was there before, in order: each further time counts. Default key: all of the item. */
export function repeated<Item>(items: readonly Item[], keyOf: (item: Item) => unknown = wholeItem): Item[] {
  const seen = new Set<unknown>()
  return items.filter((item) => {
    const key = keyOf(item)
    return seen.size === seen.add(key).size
  })
}

function wholeItem(item: unknown): string {
  return JSON.stringify(item, (_key, value) => (typeof value === 'bigint' ? `${value}n` : value))
}
