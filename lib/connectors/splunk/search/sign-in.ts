import { ConnectorError } from '../../../core/errors.ts'
import { isTransientStatus } from '../../../core/retry.ts'
import type { SourceVerdict } from '../../../core/verdict.ts'
import type { HttpClient } from '../../../http/client.ts'
import { plainText, waitOf } from '../../../http/response.ts'
import { messagesIn } from './messages.ts'
import { type SearchValues, tokenVariable } from './options.ts'

export type SignInValues = Pick<
  SearchValues,
  'splunkd_url' | 'splunkd_token' | 'auth_scheme' | 'username' | 'password' | 'read_timeout'
>

type Header = SourceVerdict<string>

/** Gives the authorization header of requests. Session keys are asked for when they are needed, and again when one ends. */
export class SignIn {
  readonly #values: SignInValues
  /** The header that stays; undefined for session keys. */
  readonly #fixed: string | undefined
  #session: Promise<Header> | undefined
  #current: string | undefined
  readonly #keys: string[] = []

  constructor(values: SignInValues) {
    this.#values = values
    const { splunkd_token = environmentToken(values), auth_scheme, username, password } = values
    if (username === undefined) this.#fixed = `${auth_scheme} ${splunkd_token}`
    else if (auth_scheme === 'Basic') {
      this.#fixed = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
    }
  }

  /** All that must not be seen, session keys among them. */
  get secrets(): string[] {
    const { splunkd_token, password } = this.#values
    const basic = this.#fixed?.startsWith('Basic ') ? [this.#fixed.slice(6)] : []
    const given = [splunkd_token, environmentToken(this.#values), password].filter(
      (secret) => secret !== undefined,
    )
    return [...given, ...basic, ...this.#keys]
  }

  /** Whether another try can help where this header was refused: then a new session key is asked for. */
  renew(header: string): boolean {
    if (this.#fixed !== undefined) return false
    if (this.#current === header) {
      this.#current = undefined
      this.#session = undefined
    }
    return true
  }

  /** The header for a request. Requests that come at once wait for the same session key. */
  header(http: HttpClient, onRequest: () => void, signal: AbortSignal): Promise<Header> {
    if (this.#fixed !== undefined) return Promise.resolve({ kind: 'accepted', value: this.#fixed })
    if (this.#session) return this.#session
    onRequest()
    const session = this.#login(http, signal)
    this.#session = session
    session.then(
      (answer) => {
        if (answer.kind === 'accepted') this.#current = answer.value
        else if (this.#session === session) this.#session = undefined
      },
      () => {
        if (this.#session === session) this.#session = undefined
      },
    )
    return session
  }

  /** https://docs.splunk.com/Documentation/Splunk/latest/RESTREF/RESTaccess#auth.2Flogin */
  async #login(http: HttpClient, signal: AbortSignal): Promise<Header> {
    const { splunkd_url, username = '', password = '', read_timeout } = this.#values
    const response = await http.request({
      method: 'POST',
      url: new URL('/services/auth/login', splunkd_url).href,
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({ username, password, output_mode: 'json' }).toString(),
      signal,
      timeout: read_timeout * 1000,
    })
    const { status, text } = response
    const key = status === 200 ? sessionKey(text) : undefined
    if (key !== undefined) {
      // Two are enough: an answer that is under way may still quote the one before.
      if (this.#keys.push(key) > 2) this.#keys.shift()
      return { kind: 'accepted', value: `Splunk ${key}` }
    }
    const said = http.redact(saidBy(text))
    const details = { connector: 'splunk', status, serviceText: said || undefined }
    const message = `splunk: signing in as ${JSON.stringify(username)} failed: status ${status}${said ? `: ${said}` : ''}`
    const error = new ConnectorError('ERR_AUTH', message, details)
    return isTransientStatus(status)
      ? { kind: 'retry', error, ...waitOf(response) }
      : { kind: 'fatal', error }
  }
}

function environmentToken({ splunkd_token, username }: SignInValues): string | undefined {
  return splunkd_token === undefined && username === undefined ? process.env[tokenVariable] : undefined
}

/** The key in an answer, which old versions give as XML alone. */
function sessionKey(text: string): string | undefined {
  try {
    const { sessionKey } = JSON.parse(text) as { sessionKey?: unknown }
    return typeof sessionKey === 'string' && sessionKey !== '' ? sessionKey : undefined
  } catch {
    return /<sessionKey>([^<\s]+)<\/sessionKey>/.exec(text)?.[1]
  }
}

/** What splunkd says in the body of an answer that is no result. */
export function saidBy(text: string): string {
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch {
    return plainText(text)
  }
  const messages = messagesIn(body).map(({ text }) => text.trim())
  const other = (body as { text?: unknown } | null)?.text
  return messages.join('; ') || plainText(typeof other === 'string' ? other : text)
}
