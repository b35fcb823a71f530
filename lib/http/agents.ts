import { type ClientRequest, Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { createSecureContext, type SecureContext } from 'node:tls'
import { credentialsOf, type Redact, redactor } from '../core/redaction.ts'
import { addressTimeout } from './deadline.ts'
import { defaultConnectionAge, type HttpSettings, httpSpecs, tlsOptions } from './options.ts'
import { openTunnel, proxyFromEnvironment, type TunnelTarget } from './proxy.ts'
import { ownOrShared } from './sharing.ts'

/** Below the 12 s after which a busy Splunk closes an idle connection. */
const idleSocketTimeout = 10_000

/** Statuses that retire a connection: behind a balancer the next one may reach a healthy member. */
const statusesThatEndConnections = new Set([401, 403, 429, 502, 503, 504])

export interface AgentPair {
  readonly http: HttpAgent
  readonly https: HttpsAgent
}

/** The connections of a stream: its own, or shared by the streams of its query with the same settings. */
export function agentsFor(settings: HttpSettings): { readonly value: Agents; close(): void } {
  const names = Object.keys(httpSpecs) as (keyof HttpSettings)[]
  return ownOrShared('connections', names.map((name) => settings[name]), () => new Agents(settings)) // biome-ignore format: a line
}

/** The connections of one connector: kept alive up to an age, through a proxy if there is one. */
export class Agents {
  readonly #settings: HttpSettings & { readonly verify_ssl: boolean }
  /** By proxy; the empty string is a direct connection. */
  readonly #pairs = new Map<string, AgentPair>()
  /** Agents of the last URL, cached because reading the environment is slow. */
  #last: { readonly url: string; readonly pair: AgentPair } | undefined
  #secureContext: SecureContext | undefined
  #ended = new AbortController()

  constructor(settings: HttpSettings) {
    const { ca, rejectUnauthorized: verify_ssl } = tlsOptions(settings)
    this.#settings = { ...settings, ca, verify_ssl }
  }

  /** Removes the credentials of the used proxies from a string. */
  redact: Redact = (text) => text

  /**
   * The proxy for requests to this URL, from the options or else the environment; the empty string if there is none.
   * @throws ConnectorError ERR_OPTION if the environment variable holds no proxy
   */
  proxyFor(url: string): string {
    return this.#settings.proxy ?? proxyFromEnvironment(url)
  }

  for(url: string): AgentPair {
    if (url !== this.#last?.url) this.#last = { url, pair: this.#pairFor(this.proxyFor(url)) }
    return this.#last.pair
  }

  /** Connections without a proxy. */
  get direct(): AgentPair {
    return this.#pairFor('')
  }

  #pairFor(proxy: string): AgentPair {
    let pair = this.#pairs.get(proxy)
    if (!pair) {
      const redact = this.redact
      const redactThis = redactor(credentialsOf(proxy))
      this.redact = (text) => redactThis(redact(text))
      const kept = { keepAlive: true, timeout: idleSocketTimeout, scheduling: 'lifo' as const, autoSelectFamilyAttemptTimeout: addressTimeout } // biome-ignore format: a line
      const secureContext = this.#context()
      const http = new HttpAgent(kept)
      const https = new HttpsAgent({
        ...kept,
        rejectUnauthorized: this.#settings.verify_ssl,
        ...(secureContext && { secureContext }),
      })
      for (const agent of [http, https]) {
        if (proxy) this.#tunnel(agent, new URL(proxy))
        else if (this.#settings.connect_timeout) limitConnecting(agent, this.#settings.connect_timeout)
        retire(agent, (this.#settings.max_connection_seconds ?? defaultConnectionAge) * 1000)
      }
      pair = { http, https }
      this.#pairs.set(proxy, pair)
    }
    return pair
  }

  /** Parsed once, not for each connection. Undefined: Node's own certificates. */
  #context(): SecureContext | undefined {
    const { ca, cert, key, passphrase } = this.#settings
    if (ca === undefined && cert === undefined) return undefined
    this.#secureContext ??= createSecureContext({ ca, cert, key, passphrase })
    return this.#secureContext
  }

  /** Each connection of the agent goes through a tunnel, also for plain http. */
  #tunnel(agent: HttpAgent, proxy: URL): void {
    const connect = agent.createConnection.bind(agent) as (options: object) => Duplex
    agent.createConnection = (options, callback) => {
      const target = { host: options.host ?? 'localhost', port: Number(options.port) } satisfies TunnelTarget
      openTunnel(proxy, target, this.#settings, this.#ended.signal).then(
        (socket) => {
          const secure = agent instanceof HttpsAgent
          try {
            callback?.(null, secure ? connect({ ...options, socket }) : socket)
          } catch (error) {
            socket.destroy()
            callback?.(error as Error, undefined as never)
          }
        },
        (error: Error) => callback?.(error, undefined as never),
      )
      return undefined
    }
  }

  /** Ends all connections, also those in use. */
  close(): void {
    this.#ended.abort()
    this.#ended = new AbortController()
    for (const { http, https } of this.#pairs.values()) {
      http.destroy()
      https.destroy()
    }
    this.#pairs.clear()
    this.#last = undefined
  }
}

/** Methods of every agent that Node's types lack. `addRequest` receives each request. */
interface AgentMethods {
  addRequest(request: ClientRequest, options: object): void
  keepSocketAlive(socket: Duplex): boolean
}

/** Stops reuse of a connection older than `maxAge` milliseconds, or after a status that retires it. */
function retire(agent: HttpAgent, maxAge: number): void {
  const born = new WeakMap<Duplex, number>()
  const spent = new WeakSet<Duplex>()
  const asks = agent as unknown as AgentMethods
  const addRequest = asks.addRequest.bind(agent)
  asks.addRequest = (request, options) => {
    request.once('socket', (socket) => {
      if (!born.has(socket)) born.set(socket, performance.now())
    })
    request.once('response', ({ statusCode = 0, socket }) => {
      if (statusesThatEndConnections.has(statusCode)) spent.add(socket)
    })
    addRequest(request, options)
  }
  const keepSocketAlive = asks.keepSocketAlive.bind(agent)
  asks.keepSocketAlive = (socket) => {
    const age = performance.now() - (born.get(socket) ?? 0)
    return !spent.has(socket) && age < maxAge && keepSocketAlive(socket)
  }
}

/** Limits the time to connect, in seconds; exceeding it is a transient fault. */
function limitConnecting(agent: HttpAgent, seconds: number): void {
  const connect = agent.createConnection.bind(agent)
  agent.createConnection = (...args) => {
    const socket = connect(...args) as Socket
    const timer = setTimeout(() => {
      const error = new Error(`no connection within connect_timeout (${seconds} s)`)
      socket.destroy(Object.assign(error, { code: 'ETIMEDOUT' }))
    }, seconds * 1000)
    const event = agent instanceof HttpsAgent ? 'secureConnect' : 'connect'
    for (const end of [event, 'close']) socket.once(end, () => clearTimeout(timer))
    return socket
  }
}
