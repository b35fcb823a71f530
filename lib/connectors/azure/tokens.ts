import { AsyncLocalStorage } from 'node:async_hooks'
import type { Readable } from 'node:stream'
import type { AccessToken, GetTokenOptions, TokenCredential } from '@azure/core-auth'
import type { HttpClient, PipelineRequest, PipelineResponse } from '@azure/core-rest-pipeline'
import { ConnectorError, type ErrorDetails } from '../../core/errors.ts'
import { jsonObject } from '../../core/json.ts'
import { untilAborted } from '../../core/on-abort.ts'
import { cleanError, type Redact, redactor } from '../../core/redaction.ts'
import { isTransientFault, isTransientStatus, retryAfter } from '../../core/retry.ts'
import type { Agents } from '../../http/agents.ts'
import { noteOf } from '../../source/packed.ts'

/** A token is renewed this many milliseconds before it expires. */
const renewBefore = 120_000

/** No token: the credential was refused, or the token service can't be reached. `code` is ERR_AUTH. */
export class AuthError extends ConnectorError {
  override name = 'AuthError'
  readonly #transient: boolean
  readonly #wait: number | undefined
  constructor(message: string, transient: boolean, wait: number | undefined, details: ErrorDetails) {
    super('ERR_AUTH', message, details)
    this.#transient = transient
    this.#wait = wait
  }

  get transient(): boolean {
    return this.#transient
  }

  /** Milliseconds that the token service asked to wait. */
  get wait(): number | undefined {
    return this.#wait
  }
}

export interface TokenSource {
  /** The connector that errors name. */
  readonly connector: string
  /** The resource that the token is for, without `/.default`. */
  readonly audience: string
  /** Makes the credential. Called again after {@link AzureTokens.invalidate}: credentials keep tokens of their own. */
  readonly create: () => Promise<TokenCredential>
  /** Sends and observes the credential's requests. */
  readonly requests: TokenRequests
  readonly redact: Redact
}

/**
 * The tokens of one connector for one resource: cached until shortly before they expire, requested once for all waiting
 * requests, and requested again when the service refuses one.
 */
export class AzureTokens implements TokenCredential {
  readonly #source: TokenSource
  readonly #stop = new AbortController()
  #credential: Promise<TokenCredential> | undefined
  #token: AccessToken | undefined
  /** By `performance.now()`: the time of day may be set back. */
  #freshUntil = 0
  /** The last two tokens: late answers quote the one before, also those that refuse it. */
  #issued: readonly string[] = []
  #redactTokens: Redact = (text) => text
  #pending: Promise<AccessToken> | undefined

  constructor(source: TokenSource) {
    this.#source = source
  }

  /**
   * A token valid for at least two minutes, if the token service issues such.
   * @throws AuthError, and AbortError when the signal fires
   */
  async get(signal: AbortSignal): Promise<AccessToken> {
    signal.throwIfAborted()
    const token = this.#token
    if (token && this.#isFresh(token)) return token
    this.#pending ??= this.#ask({}).finally(() => {
      this.#pending = undefined
    })
    return untilAborted(this.#pending, signal)
  }

  /** For the Azure clients. They would cache the token; it expires at once for them, so that they ask each time. */
  async getToken(_scopes?: string | string[], options: GetTokenOptions = {}): Promise<AccessToken> {
    const signal = (options.abortSignal as AbortSignal | undefined) ?? this.#stop.signal
    // Claims come with a challenge of the service: the current token no longer suffices.
    const token = options.claims
      ? await untilAborted(this.#ask({ claims: options.claims }), signal)
      : await this.get(signal)
    return { ...token, expiresOnTimestamp: 0 }
  }

  /** Drops the current token, because the service refused it. `refused` spares a newer one. */
  invalidate(refused: string | undefined): void {
    if (refused !== undefined && this.#token && this.#token.token !== refused) return
    this.#token = undefined
    this.#credential = undefined
  }

  /** Removes the secrets of the credential and the current token from a string. */
  redact: Redact = (text) => this.#redactTokens(this.#source.redact(text))

  close(): void {
    this.#stop.abort()
  }

  /** By both clocks: one may be set back, the other stands still while the machine is suspended. */
  #isFresh({ expiresOnTimestamp }: AccessToken): boolean {
    return performance.now() < this.#freshUntil && expiresOnTimestamp - renewBefore > Date.now()
  }

  async #ask(options: { claims?: string }): Promise<AccessToken> {
    const { create, audience, requests } = this.#source
    try {
      requests.forget()
      this.#credential ??= create().catch((error) => {
        this.#credential = undefined
        throw error
      })
      const credential = await this.#credential
      const { signal } = this.#stop
      const asked = { ...options, enableCae: true, abortSignal: signal }
      const token = await requests.during(signal, () => credential.getToken(`${audience}/.default`, asked))
      if (!token?.token) throw new Error('the credential gave no token')
      this.#token = token
      this.#issued = [token.token, ...this.#issued.slice(0, 1)]
      this.#redactTokens = redactor(this.#issued)
      this.#freshUntil = performance.now() + token.expiresOnTimestamp - Date.now() - renewBefore
      return token
    } catch (error) {
      const failure = this.#failure(error)
      // MSAL caches a service's error, and repeats it for a minute without a request.
      if (failure.transient) this.#credential = undefined
      throw failure
    }
  }

  #failure(error: unknown): AuthError {
    const { connector, requests } = this.#source
    const { faults } = requests
    // The fault of the request is more precise than the client's error, and shows whether it is transient.
    const fault = faults.findLast(({ transient }) => transient) ?? faults.at(-1)
    // The clients' errors have status 400 if there was no answer at all.
    const status = fault ? fault.status : statusOf(error)
    const transient = fault ? fault.transient : isTransientFailure(error, status)
    const text = reasonOf(error, fault, this.redact)
    return new AuthError(`${connector}: no token for Azure: ${text}`, transient, fault?.wait, {
      connector,
      status,
      serviceCode: fault?.serviceCode && this.redact(fault.serviceCode),
      serviceText: text,
      cause: cleanError(fault?.error ?? error, this.redact),
    })
  }
}

/** An error with its causes, and those of each credential of a chain. */
function* errorsIn(error: unknown, depth = 0): Generator<Error> {
  if (!(error instanceof Error) || depth > 8) return
  yield error
  yield* errorsIn(error.cause, depth + 1)
  for (const inner of waysOf(error)) yield* errorsIn(inner, depth + 1)
}

/** The errors of the credentials of a DefaultAzureCredential or another chain. */
function waysOf(error: unknown): readonly Error[] {
  const { errors } = error as { errors?: unknown }
  return Array.isArray(errors) ? errors.filter((each) => each instanceof Error) : []
}

/** Whether a failure is transient, by the clients' errors alone: a credential of the user gives nothing else. */
function isTransientFailure(error: unknown, status: number | undefined): boolean {
  if (status !== undefined && isTransientStatus(status)) return true
  return [...errorsIn(error)].some((each) => {
    const { statusCode, status = statusCode, errorCode } = each as Record<string, unknown> & Error
    if (typeof status === 'number' && isTransientStatus(status)) return true
    // MSAL's code for a managed identity whose answer was incomplete.
    if (errorCode === 'network_error' || /ManagedIdentityCredential: Network unreachable/.test(each.message))
      return true
    return saysTransient(each.message) || isTransientFault(each)
  })
}

/** One line that says why there is no token; for a chain, why each credential failed. */
function reasonOf(error: unknown, fault: TokenFault | undefined, redact: Redact): string {
  const ways = waysOf(error)
  const happened = fault && redact(fault.text)
  if (ways.length < 2) return happened ?? firstLine(ways[0] ?? error, redact)
  const said = ways.map((way, at) => `(${at + 1}) ${firstLine(way, redact)}`).join('; ')
  const why = happened !== undefined && !said.includes(happened) ? `; ${happened}` : ''
  return `none of ${ways.length} ways to sign in worked: ${said}${why}`
}

/**
 * The clients' messages have several lines: trace ids, times, advice for other languages. Redacted before cutting,
 * because a part of a secret would not be recognized.
 */
function firstLine(error: unknown, redact: Redact): string {
  const text = error instanceof Error ? cleanError(error, redact).message : redact(String(error))
  return (text.split(/\r?\n| Trace ID:| To (?:troubleshoot|mitigate)\b/)[0] ?? '').trim().slice(0, 300)
}

function statusOf(error: unknown): number | undefined {
  for (const each of errorsIn(error)) {
    const { statusCode } = each as { statusCode?: unknown }
    if (typeof statusCode === 'number') return statusCode
  }
  return undefined
}

/** Timeout of one token request, in milliseconds. */
const requestTimeout = 30_000

/** The fault of one token request. */
export interface TokenFault {
  readonly host: string
  /** The service's message, or the fault of the connection. */
  readonly text: string
  readonly transient: boolean
  readonly status?: number
  /** `invalid_client` and the like. */
  readonly serviceCode?: string | undefined
  /** Milliseconds that the service asked to wait. */
  readonly wait?: number | undefined
  readonly error?: unknown
}

/** Context of the token request that is running, and the signal that ends it. */
const requestContext = new AsyncLocalStorage<{ requests: TokenRequests; stop: AbortSignal }>()
let running = 0

/**
 * Sends the requests of a credential of `@azure/identity` over our connections, and records their faults. The
 * credential's own errors do not distinguish a wrong tenant from a service outage ("endpoints_resolution_error"). This
 * replaces the HTTP client of the credential, because its policies do not reach requests to a managed identity.
 */
export class TokenRequests {
  readonly #agents: Agents
  /** Faults since the last {@link forget}, one for each host, the latest last. */
  #faults: TokenFault[] = []
  /** Link-local hosts (managed identities) that have answered: this machine has one. */
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
   * Runs `ask`, and sends and observes its requests for any credential: for managed identities MSAL keeps the HTTP
   * client of the first credential of the process, long after that one is closed.
   * @param stop ends requests in flight
   */
  async during<T>(stop: AbortSignal, ask: () => Promise<T>): Promise<T> {
    running++
    try {
      return await requestContext.run({ requests: this, stop }, ask)
    } finally {
      // While it is enabled, every promise of the process costs more on Node 20.
      if (--running === 0) requestContext.disable()
    }
  }

  /**
   * The HTTP client for a credential, usable within {@link during}.
   * @param base the client that sends
   */
  static client(base: HttpClient): HttpClient {
    return {
      sendRequest: async (request) => {
        const by = requestContext.getStore()
        if (!by) throw new Error('a token is asked for outside of TokenRequests.during')
        return by.requests.#send(base, request, by.stop)
      },
    }
  }

  async #send(base: HttpClient, request: PipelineRequest, stop: AbortSignal): Promise<PipelineResponse> {
    const { host, hostname, protocol } = new URL(request.url)
    // Managed identities answer over plain http on the machine itself: no proxy.
    request.agent = protocol === 'https:' ? this.#agents.for(request.url).https : this.#agents.direct.http
    // On Node 20 the client hangs forever when a gzip body is cut, and abort does not help.
    request.headers.set('Accept-Encoding', 'identity')
    const until = AbortSignal.timeout(requestTimeout)
    const signals = [stop, until, request.abortSignal as AbortSignal | undefined]
    request.abortSignal = AbortSignal.any(signals.filter((signal) => signal !== undefined))
    // The client would read an answer of any length.
    request.streamResponseStatusCodes = new Set([Number.POSITIVE_INFINITY])
    const local = hostname.startsWith('169.254.')
    this.#faults = this.#faults.filter((fault) => fault.host !== host)
    try {
      const response = await base.sendRequest(request)
      const body = response.readableStreamBody as Readable | undefined
      if (body) response.bodyAsText = await noteOf(body, false)
      delete response.readableStreamBody
      const { status, bodyAsText, headers } = response
      if (local) this.#present.add(host)
      const answer = { status, body: bodyAsText ?? '', header: headers.get('retry-after') }
      const fault = faultIn(answer, host, protocol === 'http:')
      if (fault) this.#faults.push(fault)
      return response
    } catch (error) {
      // Most machines have no managed identity: no answer there is not a fault.
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
              // The probe of a managed identity is aborted by its own time limit.
              transient: isTransientFault(error) || (local && !stop.aborted),
            },
      )
      throw error
    }
  }
}

/**
 * Entra's codes of transient faults, also with status 400.
 * https://learn.microsoft.com/entra/identity-platform/reference-error-codes
 */
const transientCodes = new Set([90006, 90012, 90024, 90025, 90033, 90055])
/** https://www.rfc-editor.org/rfc/rfc6749#section-4.1.2.1 */
const transientErrors = new Set(['temporarily_unavailable', 'server_error'])

/** Whether an error message of Entra, or a library's version of it, names a transient fault. */
function saysTransient(text: string): boolean {
  if ([...transientErrors].some((word) => text.includes(word))) return true
  return [...text.matchAll(/AADSTS(\d+)/g)].some(([, code]) => transientCodes.has(Number(code)))
}

/** Statuses of a managed identity that is starting: retried. */
const identityStarting = new Set([404, 410])

/** The fault of an answer, if any. */
function faultIn(
  { status, body, header }: { status: number; body: string; header: string | undefined },
  host: string,
  managedIdentity: boolean,
): TokenFault | undefined {
  const fields = jsonObject(body)
  if (status < 400) {
    return fields ? undefined : { host, status, text: `${host} answered with something that is not JSON`, transient: true } // biome-ignore format: a line
  }
  const { error, error_description: description, error_codes: codes } = fields ?? {}
  const words = typeof description === 'string' ? description.split(/\r?\n| Trace ID:/)[0] : undefined
  return {
    host,
    text: words || `${host} answered with status ${status}`,
    transient:
      isTransientStatus(status) ||
      (managedIdentity && identityStarting.has(status)) ||
      (typeof error === 'string' && transientErrors.has(error)) ||
      (Array.isArray(codes) && codes.some((code) => transientCodes.has(Number(code)))) ||
      saysTransient(words ?? ''),
    status,
    serviceCode: typeof error === 'string' ? error : undefined,
    wait: retryAfter(header),
  }
}
