import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { HttpsProxyAgent } from 'https-proxy-agent'
import { getProxyForUrl } from 'proxy-from-env'

/** Splunk closes an idle connection after 12 s when it is busy: ours are closed before. */
const idleSocketTimeout = 10_000

export interface AgentPair {
  readonly http: HttpAgent
  readonly https: HttpsAgent
}

/** The connections of one connector: kept alive, through a proxy where there is one. */
export class Agents {
  readonly #proxy: string | undefined
  /** By proxy; the empty text stands for none. */
  readonly #pairs = new Map<string, AgentPair>()
  /** What the last URL got: the environment is slow to look into. */
  #last: { readonly url: string; readonly pair: AgentPair } | undefined

  /** @param proxy URL of a proxy for everything; without it HTTPS_PROXY, HTTP_PROXY and NO_PROXY count */
  constructor(proxy: string | undefined) {
    this.#proxy = proxy
  }

  /** The proxy that requests to this URL go through; the empty text for none. */
  proxyFor(url: string): string {
    return this.#proxy ?? getProxyForUrl(url)
  }

  for(url: string): AgentPair {
    if (url !== this.#last?.url) this.#last = { url, pair: this.#pairFor(url) }
    return this.#last.pair
  }

  #pairFor(url: string): AgentPair {
    const proxy = this.proxyFor(url)
    let pair = this.#pairs.get(proxy)
    if (!pair) {
      const options = { keepAlive: true, timeout: idleSocketTimeout, scheduling: 'lifo' as const }
      // A tunnel for plain HTTP as well: http-proxy-agent 7 sends the head of a POST twice over a kept connection.
      pair = proxy
        ? {
            http: new HttpsProxyAgent(proxy, options),
            https: new HttpsProxyAgent(proxy, options) as unknown as HttpsAgent,
          }
        : { http: new HttpAgent(options), https: new HttpsAgent(options) }
      this.#pairs.set(proxy, pair)
    }
    return pair
  }

  /** Ends all connections, also those in use. */
  close(): void {
    for (const { http, https } of this.#pairs.values()) {
      http.destroy()
      https.destroy()
    }
    this.#pairs.clear()
    this.#last = undefined
  }
}
