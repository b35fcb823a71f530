import { AsyncLocalStorage } from 'node:async_hooks'
import type { HttpClient, PipelineRequest, PipelineResponse } from '@azure/core-rest-pipeline'
import { isTransientFault, isTransientStatus, retryAfter } from '../../core/retry.ts'
import type { Agents } from '../../http/agents.ts'

/** Milliseconds that one request for a token may take. */
const requestTimeout = 30_000

/** What went wrong with a request for a token. */
export interface TokenFault {
  readonly host: string
  /** The service's own words, or what happened to the connection. */
  readonly text: string
  /** Whether it is transient. */
  readonly transient: boolean
  readonly status?: number
  /** `invalid_client` and the like. */
  readonly serviceCode?: string | undefined
  /** Milliseconds that the service asked to wait. */
  readonly wait?: number | undefined
  readonly error?: unknown
}

/** Who asks for a token at the moment, and what ends its requests. */
const asking = new AsyncLocalStorage<{ requests: TokenRequests; stop: AbortSignal }>()
let askers = 0

/**
 * Sends the requests of a credential of `@azure/identity` over our connections, and watches them. The credential's own
 * errors do not tell a wrong tenant from a service that is away for a moment ("endpoints_resolution_error"), so what
 * really happened is noted here. It stands in place of the HTTP client of the credential: policies that a credential is
 * given do not reach its requests to a managed identity.
 */
export class TokenRequests {
  readonly #agents: Agents
  /** What happened since the last {@link forget}, one a host, the latest at the end. */
  #faults: TokenFault[] = []
  /** Link-local hosts (managed identities) that answered at any time: there is one on this machine. */
  readonly #present = new Set<string>()

  get faults(): readonly TokenFault[] {
    return this.#faults
  }

  forget(): void {
    this.#faults = []
  }

  /** @param agents the connections that requests go over */
  constructor(agents: Agents) {
    this.#agents = agents
  }

  /**
   * Runs what asks for a token. Its requests are sent and watched here, whoever made the credential: for managed
   * identities MSAL keeps the HTTP client of the first credential of the process, long after that one is closed.
   * @param stop ends requests under way
   */
  async during<T>(stop: AbortSignal, ask: () => Promise<T>): Promise<T> {
    askers++
    try {
      return await asking.run({ requests: this, stop }, ask)
    } finally {
      // While it is in use, Node 20 does more for each promise of the process.
      if (--askers === 0) asking.disable()
    }
  }

  /**
   * The HTTP client for a credential, good within {@link during}.
   * @param base what sends in the end
   */
  static client(base: HttpClient): HttpClient {
    return {
      sendRequest: async (request) => {
        const by = asking.getStore()
        if (!by) throw new Error('a token is asked for outside of TokenRequests.during')
        return by.requests.#send(base, request, by.stop)
      },
    }
  }

  async #send(base: HttpClient, request: PipelineRequest, stop: AbortSignal): Promise<PipelineResponse> {
    const { host, hostname, protocol } = new URL(request.url)
    // Managed identities are asked over plain http on the machine itself: no proxy.
    request.agent = protocol === 'https:' ? this.#agents.for(request.url).https : this.#agents.direct.http
    // On Node 20 the client hangs for good when a gzip body is cut, and abort does not help.
    request.headers.set('Accept-Encoding', 'identity')
    const until = AbortSignal.timeout(requestTimeout)
    const signals = [stop, until, request.abortSignal as AbortSignal | undefined]
    request.abortSignal = AbortSignal.any(signals.filter((signal) => signal !== undefined))
    const local = hostname.startsWith('169.254.')
    this.#faults = this.#faults.filter((fault) => fault.host !== host)
    try {
      const response = await base.sendRequest(request)
      const { status, bodyAsText, headers } = response
      if (local) this.#present.add(host)
      const answer = { status, body: bodyAsText ?? '', header: headers.get('retry-after') }
      const fault = faultIn(answer, host, protocol === 'http:')
      if (fault) this.#faults.push(fault)
      return response
    } catch (error) {
      // Most machines have no managed identity: then nobody answers there, which is no fault.
      const { code } = error as NodeJS.ErrnoException
      if (local && !this.#present.has(host) && code !== 'ECONNRESET' && code !== 'PARSE_ERROR') throw error
      this.#faults.push(
        until.aborted
          ? {
              host,
              text: `${host} did not answer within ${requestTimeout / 1000} s`,
              error: until.reason,
              transient: true,
            }
          : {
              host,
              text: `the request to ${host} failed: ${error instanceof Error ? error.message : String(error)}`,
              error,
              // The probe of a managed identity has a time limit of its own, and is aborted by it.
              transient: isTransientFault(error) || (local && !stop.aborted),
            },
      )
      throw error
    }
  }
}

/**
 * Entra's codes of transient faults, which come with status 400 too.
 * https://learn.microsoft.com/entra/identity-platform/reference-error-codes
 */
const transientCodes = new Set([90006, 90012, 90024, 90025, 90033, 90055])
/** https://www.rfc-editor.org/rfc/rfc6749#section-4.1.2.1 */
const transientErrors = new Set(['temporarily_unavailable', 'server_error'])

/** Whether the words of an error of Entra, or of what a library made of it, say that it is transient. */
export function saysTransient(text: string): boolean {
  if ([...transientErrors].some((word) => text.includes(word))) return true
  return [...text.matchAll(/AADSTS(\d+)/g)].some(([, code]) => transientCodes.has(Number(code)))
}

/** What managed identities answer while they come up: they are to be asked again. */
const identityComesUp = new Set([404, 410])

/** What is wrong with an answer, if anything. */
function faultIn(
  { status, body, header }: { status: number; body: string; header: string | undefined },
  host: string,
  managedIdentity: boolean,
): TokenFault | undefined {
  const fields = fieldsOf(body)
  if (status < 400) {
    return fields ? undefined : { host, status, text: `${host} answered with something that is no JSON`, transient: true } // biome-ignore format: a line
  }
  const { error, error_description: description, error_codes: codes } = fields ?? {}
  const words = typeof description === 'string' ? description.split(/\r?\n| Trace ID:/)[0] : undefined
  return {
    host,
    text: words || `${host} answered with status ${status}`,
    transient:
      isTransientStatus(status) ||
      (managedIdentity && identityComesUp.has(status)) ||
      (typeof error === 'string' && transientErrors.has(error)) ||
      (Array.isArray(codes) && codes.some((code) => transientCodes.has(Number(code)))) ||
      saysTransient(words ?? ''),
    status,
    serviceCode: typeof error === 'string' ? error : undefined,
    wait: retryAfter(header),
  }
}

/** The fields of a JSON object; undefined for anything else: a gateway's page, a part of a body. */
function fieldsOf(body: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(body)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}
