import { type ClientRequest, Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { createSecureContext, type SecureContext } from 'node:tls'
import { credentialsOf, type Redact, redactor } from '../core/redaction.ts'
import { defaultConnectionAge, type HttpSettings, httpSpecs } from './options.ts'
import { openTunnel, proxyFromEnvironment, type TunnelTarget } from './proxy.ts'
import { ownOrShared } from './sharing.ts'

/** Splunk closes an idle connection after 12 s when it is busy: ours are closed before. */
const idleSocketTimeout = 10_000

/** Milliseconds for each address of a host: Node's 250 ms end every attempt at one that is far away. */
export const addressTimeout = 2500

/** After these the connection is not used again: behind a balancer the next one may come to a member that is well. */
const statusesThatEndConnections = new Set([401, 403, 429, 502, 503, 504])

export interface AgentPair {
  readonly http: HttpAgent
  readonly https: HttpsAgent
}

/** The connections of a stream: its own, or those of all streams of its query that have the same settings. */
export function agentsFor(settings: HttpSettings): { readonly value: Agents; close(): void } {
  const names = Object.keys(httpSpecs) as (keyof HttpSettings)[]
  return ownOrShared('connections', names.map((name) => settings[name]), () => new Agents(settings)) // biome-ignore format: a line
}

/** The connections of one connector: kept alive up to an age, through a proxy where there is one. */
export class Agents {
  readonly #settings: HttpSettings & { readonly verify_ssl: boolean }
  /** By proxy; the empty text stands for none. */
  readonly #pairs = new Map<string, AgentPair>()
  /** What the last URL got: the environment is slow to look into. */
  #last: { readonly url: string; readonly pair: AgentPair } | undefined
  #secureContext: SecureContext | undefined
  #ended = new AbortController()

  constructor(settings: HttpSettings) {
    const { verify_ssl, ca } = settings
    this.#settings =
      typeof verify_ssl === 'string'
        ? { ...settings, verify_ssl: true, ca: ca ?? verify_ssl }
        : { ...settings, verify_ssl }
  }

  /** Takes the credentials of the proxies that were used out of a text. */
  redact: Redact = (text) => text

  /**
   * The proxy that requests to this URL go through: the one of the options, else that of the environment; the empty text
   * for none.
   * @throws ConnectorError ERR_OPTION where the environment holds something else than a proxy
   */
  proxyFor(url: string): string {
    return this.#settings.proxy ?? proxyFromEnvironment(url)
  }

  for(url: string): AgentPair {
    if (url !== this.#last?.url) this.#last = { url, pair: this.#pairFor(this.proxyFor(url)) }
    return this.#last.pair
  }

  /** Connections that no proxy stands between. */
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

  /** Certificates are read once and not for each connection. Undefined: Node's own. */
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

/** What every agent has, and the types of Node lack: `addRequest` is how a request comes to its agent. */
interface AgentMethods {
  addRequest(request: ClientRequest, options: object): void
  keepSocketAlive(socket: Duplex): boolean
}

/** A connection is not used again when it is older than so many milliseconds, or after a status that says to try elsewhere. */
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

/** Gives up connecting after some seconds, as a fault that is transient. */
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
