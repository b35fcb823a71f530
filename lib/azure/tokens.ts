import type { AccessToken, GetTokenOptions, TokenCredential } from '@azure/identity'
import { ConnectorError, type ErrorDetails } from '../core/errors.ts'
import { onAbort } from '../core/on-abort.ts'
import { cleanError, type Redact } from '../core/redaction.ts'
import { isPassingFault, isPassingStatus } from '../core/retry.ts'
import type { TokenRequests } from './token-requests.ts'

/** A token is asked anew this many milliseconds before it runs out. */
const renewBefore = 120_000

/** No token: the credential was refused, or the token service can't be reached. `code` is ERR_AUTH. */
export class AuthError extends ConnectorError {
  override name = 'AuthError'
  /** Whether it may pass by itself, so that trying again is worth it. */
  readonly #passing: boolean
  readonly #wait: number | undefined
  constructor(message: string, passing: boolean, wait: number | undefined, details: ErrorDetails) {
    super('ERR_AUTH', message, details)
    this.#passing = passing
    this.#wait = wait
  }

  get passing(): boolean {
    return this.#passing
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
  readonly create: (stop: AbortSignal) => Promise<TokenCredential>
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
      requests.fault = undefined
      this.#credential ??= create(this.#stop.signal).catch((error) => {
        this.#credential = undefined
        throw error
      })
      const credential = await this.#credential
      const token = await credential.getToken(`${audience}/.default`, {
        ...options,
        enableCae: true,
        abortSignal: this.#stop.signal,
      })
      if (!token?.token) throw new Error('the credential gave no token')
      this.#token = token
      return token
    } catch (error) {
      throw this.#failure(error)
    }
  }

  #failure(error: unknown): AuthError {
    const { connector, requests } = this.#source
    const { fault } = requests
    // The clients' errors have the status 400 where they got no answer at all.
    const status = fault ? fault.status : statusOf(error)
    const passing =
      status === undefined
        ? isPassingFault(fault?.error ?? error) || isCut(fault?.error)
        : isPassingStatus(status)
    // What happened to the connection says more than what a client made of it, and whether it may pass.
    const cause = cleanError(fault?.error ?? error, this.redact)
    // The clients' texts run over several lines: trace ids, times, advice for other languages.
    const text = fault ? this.redact(fault.text) : cause.message.split(/\r?\n/)[0]
    return new AuthError(`${connector}: no token for Azure: ${text}`, passing, fault?.wait, {
      connector,
      status,
      serviceCode: fault?.serviceCode && this.redact(fault.serviceCode),
      serviceText: text,
      cause,
    })
  }
}

/** The Azure clients' word for an answer that broke off in the middle. */
function isCut(error: unknown): boolean {
  return error instanceof Error && (error as NodeJS.ErrnoException).code === 'PARSE_ERROR'
}

function statusOf(error: unknown): number | undefined {
  for (let at = error, depth = 0; at instanceof Error && depth < 8; at = at.cause, depth++) {
    const { statusCode } = at as { statusCode?: unknown }
    if (typeof statusCode === 'number') return statusCode
  }
  return undefined
}

/** Stops waiting when the signal fires; the promise itself runs on. */
async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  let forget: (() => void) | undefined
  const aborted = new Promise<never>((_, reject) => {
    forget = onAbort(signal, reject)
  })
  try {
    return await Promise.race([promise, aborted])
  } finally {
    forget?.()
  }
}
