import { AsyncLocalStorage } from 'node:async_hooks'
import type { Readable } from 'node:stream'
import type { AccessToken, GetTokenOptions, TokenCredential } from '@azure/core-auth'
import type { HttpClient, PipelineRequest, PipelineResponse } from '@azure/core-rest-pipeline'
import { ConnectorError, type ErrorDetails } from '../../core/errors.ts'
import { jsonObject } from '../../core/json.ts'
import { untilAborted } from '../../core/on-abort.ts'
import { cleanError, type Redact } from '../../core/redaction.ts'
import { isTransientFault, isTransientStatus, retryAfter } from '../../core/retry.ts'
import type { Agents } from '../../http/agents.ts'
import { noteOf } from '../../source/packed.ts'

/** A token is asked anew this many milliseconds before it runs out. */
const renewBefore = 120_000

/** No token: the credential was refused, or the token service can't be reached. `code` is ERR_AUTH. */
export class AuthError extends ConnectorError {
  override name = 'AuthError'
  /** Whether it is transient, so that trying again is worth it. */
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
  /** What is known about the requests behind it. */
  readonly requests: TokenRequests
  readonly redact: Redact
}

/**
 * The tokens of one connector for one resource: kept until shortly before they run out, asked for once however many
 * requests wait for them, and asked anew when the service refused one.
 */
export class AzureTokens implements TokenCredential {
  readonly #source: TokenSource
  readonly #stop = new AbortController()
  #credential: Promise<TokenCredential> | undefined
  #token: AccessToken | undefined
  #pending: Promise<AccessToken> | undefined

  constructor(source: TokenSource) {
    this.#source = source
  }

  /**
   * A token that is good for at least two minutes, where the token service gives such.
   * @throws AuthError, and AbortError when the signal fires
   */
  async get(signal: AbortSignal): Promise<AccessToken> {
    signal.throwIfAborted()
    const token = this.#token
    if (token && token.expiresOnTimestamp - renewBefore > Date.now()) return token
    this.#pending ??= this.#ask({}).finally(() => {
      this.#pending = undefined
    })
    return untilAborted(this.#pending, signal)
  }

  /** For the Azure clients. They would keep the token; to them it runs out at once, so that they ask each time. */
  async getToken(_scopes?: string | string[], options: GetTokenOptions = {}): Promise<AccessToken> {
    const signal = (options.abortSignal as AbortSignal | undefined) ?? this.#stop.signal
    // Claims come with a challenge of the service, which says that the token at hand is no longer enough.
    const token = options.claims
      ? await untilAborted(this.#ask({ claims: options.claims }), signal)
      : await this.get(signal)
    return { ...token, expiresOnTimestamp: 0 }
  }

  /** Lets go of the token at hand, because the service refused it. `refused` spares a newer one. */
  invalidate(refused: string | undefined): void {
    if (refused !== undefined && this.#token && this.#token.token !== refused) return
    this.#token = undefined
    this.#credential = undefined
  }

  /** Takes the secrets of the credential, and the token at hand, out of a text. */
  redact: Redact = (text) => {
    const clean = this.#source.redact(text)
    return this.#token ? clean.replaceAll(this.#token.token, '[redacted]') : clean
  }

  close(): void {
    this.#stop.abort()
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
      return token
    } catch (error) {
      const failure = this.#failure(error)
      // MSAL keeps what a service said of its own trouble, and says it again for a minute without asking.
      if (failure.transient) this.#credential = undefined
      throw failure
    }
  }

  #failure(error: unknown): AuthError {
    const { connector, requests } = this.#source
    const { faults } = requests
    // What happened to the requests says more than what a client made of it, and whether that is transient.
    const fault = faults.findLast(({ transient }) => transient) ?? faults.at(-1)
    // The clients' errors have the status 400 where they got no answer at all.
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

/** The errors inside of an error: its cause, and those of each way that a chain of credentials tried. */
function* errorsIn(error: unknown, depth = 0): Generator<Error> {
  if (!(error instanceof Error) || depth > 8) return
  yield error
  yield* errorsIn(error.cause, depth + 1)
  for (const inner of waysOf(error)) yield* errorsIn(inner, depth + 1)
}

/** What each way of a DefaultAzureCredential or of another chain said. */
function waysOf(error: unknown): readonly Error[] {
  const { errors } = error as { errors?: unknown }
  return Array.isArray(errors) ? errors.filter((each) => each instanceof Error) : []
}

/** Whether a failure is transient, by the errors of the clients alone: a credential of the user tells no more. */
function isTransientFailure(error: unknown, status: number | undefined): boolean {
  if (status !== undefined && isTransientStatus(status)) return true
  return [...errorsIn(error)].some((each) => {
    const { statusCode, status = statusCode, errorCode } = each as Record<string, unknown> & Error
    if (typeof status === 'number' && isTransientStatus(status)) return true
    // MSAL's word for a managed identity that is there, but whose answer did not come whole.
    if (errorCode === 'network_error' || /ManagedIdentityCredential: Network unreachable/.test(each.message))
      return true
    return saysTransient(each.message) || isTransientFault(each)
  })
}

/** One line that says why there is no token; of a chain, why by each way. */
function reasonOf(error: unknown, fault: TokenFault | undefined, redact: Redact): string {
  const ways = waysOf(error)
  const happened = fault && redact(fault.text)
  if (ways.length < 2) return happened ?? firstLine(ways[0] ?? error, redact)
  const said = ways.map((way, at) => `(${at + 1}) ${firstLine(way, redact)}`).join('; ')
  const why = happened !== undefined && !said.includes(happened) ? `; ${happened}` : ''
  return `none of ${ways.length} ways to sign in worked: ${said}${why}`
}

/**
 * The clients' texts run over several lines: trace ids, times, advice for other languages. Redacted before it is cut: a
 * part of a secret would not be recognized.
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
    // The client itself would read an answer of any length.
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
function saysTransient(text: string): boolean {
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
  const fields = jsonObject(body)
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
