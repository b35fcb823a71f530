import { ConnectorError, type ErrorDetails, QueryError } from '../../../core/errors.ts'
import { jsonObject, jsonOrUndefined } from '../../../core/json.ts'
import { cleanError, credentialsOf, redactor } from '../../../core/redaction.ts'
import { isTransientFault, isTransientStatus } from '../../../core/retry.ts'
import type { SourceFailure, SourceVerdict } from '../../../core/verdict.ts'
import { HttpClient, type HttpSettings, type HttpStream } from '../../../http/client.ts'
import { headerOf, plainText, waitOf } from '../../../http/response.ts'
import { isGzip, noteOf } from '../../../source/packed.ts'
import type { SourceObserver } from '../../../source/protocol.ts'
import { decisive, messagesIn } from './messages.ts'
import { type SearchValues, tokenVariable } from './options.ts'

export interface SplunkdValues extends SignInValues, HttpSettings {
  readonly app?: string | undefined
  readonly owner?: string | undefined
  readonly compression: 'gzip' | 'none'
  readonly accept_messages?: readonly string[] | undefined
}

export interface SplunkdRequest {
  readonly method: 'GET' | 'POST' | 'DELETE'
  /** Below `/services` or the namespace: `search/jobs`. */
  readonly path: string
  readonly parameters?: Readonly<Record<string, string>>
  readonly signal: AbortSignal
}

/** Single authenticated requests to one splunkd. */
export class SplunkdClient {
  readonly #values: SplunkdValues
  readonly #http: HttpClient
  readonly #signIn: SignIn
  readonly #observer: Pick<SourceObserver, 'request' | 'answered'>
  readonly #base: string
  readonly #ended = new AbortController()
  /** Whether this splunkd has only the endpoints of version 1. */
  #isOld = false

  constructor(values: SplunkdValues, observer: Pick<SourceObserver, 'request' | 'answered'>) {
    this.#values = values
    this.#observer = observer
    this.#signIn = new SignIn(values)
    const fromUrl = credentialsOf(values.splunkd_url)
    this.#http = new HttpClient(values, (text) => redactor([...this.#signIn.secrets, ...fromUrl])(text))
    this.#base = baseOf(values)
  }

  /** Parts of messages that the user accepts as harmless. */
  get accepted(): readonly string[] {
    return this.#values.accept_messages ?? []
  }

  redact(text: string): string {
    return this.#http.redact(text)
  }

  /** Sends one request. The body of the answer is still unread, and may be gzip. */
  async open({ method, path, parameters = {}, signal }: SplunkdRequest): Promise<SourceVerdict<HttpStream>> {
    try {
      const header = await this.#signIn.header(this.#http, () => this.#observer.request(), this.#ended.signal)
      signal.throwIfAborted()
      if (header.kind !== 'accepted') return header
      this.#observer.request()
      const query = new URLSearchParams({ ...parameters, output_mode: 'json' }).toString()
      const inBody = method === 'POST'
      const response = await this.#http.stream({
        method,
        url: `${this.#base}/${path}${inBody ? '' : `?${query}`}`,
        headers: {
          authorization: header.value,
          'accept-encoding': this.#values.compression === 'gzip' ? 'gzip' : 'identity',
          'content-type': inBody ? 'application/x-www-form-urlencoded' : undefined,
        },
        ...(inBody ? { body: query } : {}),
        signal,
        timeout: this.#values.read_timeout * 1000,
        decompress: false,
      })
      const { status } = response
      this.#observer.answered(headerOf(response, 'date'))
      if (status === 200 || status === 201) return { kind: 'accepted', value: response }
      const text = await noteOf(response.body, isPacked(response))
      return this.#refused(response, text, header.value)
    } catch (error) {
      signal.throwIfAborted()
      return this.fault(error)
    }
  }

  /** Sends one request to an endpoint of version 2 (`search/v2/…`), or to that of version 1 if there is no other. */
  async openLatest(request: SplunkdRequest): Promise<SourceVerdict<HttpStream>> {
    if (!this.#isOld) {
      const opened = await this.open(request)
      if (opened.kind !== 'fatal' || opened.error.status !== 404) return opened
    }
    const opened = await this.open({ ...request, path: request.path.replace('search/v2/', 'search/') })
    if (opened.kind === 'accepted') this.#isOld = true
    return opened
  }

  /** Sends one request whose answer is a small JSON document. */
  async ask(request: SplunkdRequest): Promise<SourceVerdict<unknown>> {
    const opened = await this.open(request)
    if (opened.kind !== 'accepted') return opened
    let text: string
    try {
      text = await noteOf(opened.value.body, isPacked(opened.value))
    } catch (error) {
      request.signal.throwIfAborted()
      return this.fault(error)
    }
    const value = jsonOrUndefined(text)
    if (value !== undefined) return { kind: 'accepted', value }
    return { kind: 'retry', error: this.error(`the answer can not be read: ${saidBy(this.redact(text))}`) }
  }

  /** The verdict of a connection fault. */
  fault(error: unknown): SourceFailure {
    if (error instanceof ConnectorError) return { kind: 'fatal', error }
    const cause = cleanError(error, (text) => this.redact(text))
    const failure = this.error(`no complete answer: ${cause.message}`, { cause })
    return isTransientFault(error) ? { kind: 'retry', error: failure } : { kind: 'fatal', error: failure }
  }

  error(message: string, details: ErrorDetails = {}): QueryError {
    return new QueryError('ERR_QUERY', `splunk: ${this.redact(message)}`, { connector: 'splunk', ...details })
  }

  /** Ends all connections. */
  close(): void {
    this.#ended.abort()
    this.#http.close()
  }

  #refused(response: HttpStream, text: string, header: string): SourceFailure {
    const { status } = response
    const said = saidBy(this.redact(text))
    const details: ErrorDetails = { connector: 'splunk', status, serviceText: said || undefined }
    const shown = `status ${status}${said ? `: ${said}` : ''}`
    const messages = messagesIn(jsonOrUndefined(text))
    const isBusy = decisive(messages)?.meaning === 'busy'
    if (isBusy) {
      const error = this.error(`too many searches run: ${shown}`, details)
      return { kind: 'retry', error, ...waitOf(response), holdAll: true }
    }
    if (status === 401 || status === 403) {
      const error = new ConnectorError(
        'ERR_AUTH',
        `splunk: splunkd refused the ${status === 401 ? 'credentials' : 'request'}: ${shown}`,
        details,
      )
      return { kind: status === 401 && this.#signIn.renew(header) ? 'again' : 'fatal', error }
    }
    // 204: the results are not there yet.
    if (status < 300 || isTransientStatus(status)) {
      return { kind: 'retry', error: this.error(`splunkd failed: ${shown}`, details), ...waitOf(response) }
    }
    const hint = hintFor(status, headerOf(response, 'location'))
    return { kind: 'fatal', error: this.error(`splunkd refused the request: ${shown}${hint}`, details) }
  }
}

function hintFor(status: number, location: string | undefined): string {
  if (status >= 300 && status < 400) {
    return `. It redirects${location ? ' (as Splunk Web does)' : ''}: splunkd_url must be the management URL, such as https://host:8089`
  }
  return status === 404 ? '. Is splunkd_url the management URL, such as https://host:8089?' : ''
}

function baseOf({ splunkd_url, app, owner }: SplunkdValues): string {
  const url = new URL(splunkd_url)
  const path = url.pathname.replace(/\/services(NS)?(\/.*)?$/, '').replace(/\/+$/, '')
  const namespace =
    app === undefined && owner === undefined
      ? 'services'
      : `servicesNS/${encodeURIComponent(owner ?? 'nobody')}/${encodeURIComponent(app ?? '-')}`
  return `${url.origin}${path}/${namespace}`
}

function isPacked(response: HttpStream): boolean {
  return isGzip(headerOf(response, 'content-encoding'))
}

export type SignInValues = Pick<
  SearchValues,
  'splunkd_url' | 'splunkd_token' | 'auth_scheme' | 'username' | 'password' | 'read_timeout'
>

type Header = SourceVerdict<string>

/** Authorization header of requests. Signs in for a session key when needed, and again when it expires. */
class SignIn {
  readonly #values: SignInValues
  /** The constant header; undefined for session keys. */
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

  /** All secrets, including session keys. */
  get secrets(): string[] {
    const { splunkd_token, password } = this.#values
    const basic = this.#fixed?.startsWith('Basic ') ? [this.#fixed.slice(6)] : []
    const given = [splunkd_token, environmentToken(this.#values), password].filter(
      (secret) => secret !== undefined,
    )
    return [...given, ...basic, ...this.#keys]
  }

  /** Whether a retry can help after this header was refused: then the next request gets a new session key. */
  renew(header: string): boolean {
    if (this.#fixed !== undefined) return false
    if (this.#current === header) {
      this.#current = undefined
      this.#session = undefined
    }
    return true
  }

  /** The header for a request. Concurrent requests wait for the same session key. */
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
      // Two are enough: an answer in flight may still quote the one before.
      if (this.#keys.push(key) > 2) this.#keys.shift()
      return { kind: 'accepted', value: `Splunk ${key}` }
    }
    const said = saidBy(http.redact(text))
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

/** The session key of an answer. Old versions answer only in XML. */
function sessionKey(text: string): string | undefined {
  const members = jsonObject(text)
  if (!members) return /<sessionKey>([^<\s]+)<\/sessionKey>/.exec(text)?.[1]
  const { sessionKey } = members
  return typeof sessionKey === 'string' && sessionKey !== '' ? sessionKey : undefined
}

/** The messages in the body of an answer without results. Redact first: it is cut. */
function saidBy(text: string): string {
  const body = jsonObject(text)
  const messages = messagesIn(body).map(({ text }) => text.trim())
  const other = body?.['text']
  return messages.join('; ') || plainText(typeof other === 'string' ? other : text)
}
