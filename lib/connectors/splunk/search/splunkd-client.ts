import { ConnectorError, type ErrorDetails, QueryError } from '../../../core/errors.ts'
import { cleanError, credentialsOf, redactor } from '../../../core/redaction.ts'
import { isTransientFault, isTransientStatus } from '../../../core/retry.ts'
import type { SourceFailure, SourceVerdict } from '../../../core/verdict.ts'
import { HttpClient, type HttpSettings, type HttpStream } from '../../../http/client.ts'
import { headerOf, waitOf } from '../../../http/response.ts'
import { isPacked, unpacked } from './body-bytes.ts'
import { decisive, messagesIn } from './messages.ts'
import { SignIn, type SignInValues, saidBy } from './sign-in.ts'

export interface SplunkdValues extends SignInValues, HttpSettings {
  readonly app?: string | undefined
  readonly owner?: string | undefined
  readonly compression: 'gzip' | 'none'
}

export interface SplunkdRequest {
  readonly method: 'GET' | 'POST' | 'DELETE'
  /** Below `/services` or the namespace: `search/jobs`. */
  readonly path: string
  readonly parameters?: Readonly<Record<string, string>>
  readonly signal: AbortSignal
}

/** Bytes of an answer that is no result: all that is looked at of it. */
const longestNote = 1_000_000

/** Single requests to one splunkd, signed in. */
export class SplunkdClient {
  readonly #values: SplunkdValues
  readonly #http: HttpClient
  readonly #signIn: SignIn
  readonly #onRequest: () => void
  readonly #base: string
  readonly #ended = new AbortController()

  constructor(values: SplunkdValues, onRequest: () => void) {
    this.#values = values
    this.#onRequest = onRequest
    this.#signIn = new SignIn(values)
    const fromUrl = credentialsOf(values.splunkd_url)
    this.#http = new HttpClient(values, (text) => redactor([...this.#signIn.secrets, ...fromUrl])(text))
    this.#base = baseOf(values)
  }

  redact(text: string): string {
    return this.#http.redact(text)
  }

  /** Sends one request. Its answer's body is yet to be read, and may be compressed by gzip. */
  async open({ method, path, parameters = {}, signal }: SplunkdRequest): Promise<SourceVerdict<HttpStream>> {
    try {
      const header = await this.#signIn.header(this.#http, this.#onRequest, this.#ended.signal)
      signal.throwIfAborted()
      if (header.kind !== 'accepted') return header
      this.#onRequest()
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
      if (status === 200 || status === 201) return { kind: 'accepted', value: response }
      const text = await noteOf(response)
      return this.#refused(response, text, header.value)
    } catch (error) {
      signal.throwIfAborted()
      return this.fault(error)
    }
  }

  /** Sends one request whose answer is a small JSON document. */
  async ask(request: SplunkdRequest): Promise<SourceVerdict<unknown>> {
    const opened = await this.open(request)
    if (opened.kind !== 'accepted') return opened
    let text: string
    try {
      text = await noteOf(opened.value)
    } catch (error) {
      request.signal.throwIfAborted()
      return this.fault(error)
    }
    try {
      return { kind: 'accepted', value: JSON.parse(text) as unknown }
    } catch {
      return { kind: 'retry', error: this.error(`the answer can not be read: ${saidBy(text)}`) }
    }
  }

  /** What follows from a fault of the connection. */
  fault(error: unknown): SourceFailure {
    if (error instanceof ConnectorError) return { kind: 'fatal', error }
    const cause = cleanError(error, (text) => this.redact(text))
    const failure = this.error(`no whole answer came: ${cause.message}`, { cause })
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
    const said = this.redact(saidBy(text))
    const details: ErrorDetails = { connector: 'splunk', status, serviceText: said || undefined }
    const shown = `status ${status}${said ? `: ${said}` : ''}`
    const messages = messagesIn(parsed(text))
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
    return `. It leads elsewhere${location ? ' (Splunk Web does so)' : ''}: splunkd_url must be the management URL, such as https://host:8089`
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

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** The text of a small answer, cut where it is not small. */
async function noteOf(response: HttpStream): Promise<string> {
  const { body } = response
  const parts: Buffer[] = []
  let size = 0
  for await (const chunk of unpacked(body, isPacked(response))) {
    parts.push(chunk)
    size += chunk.length
    if (size > longestNote) break
  }
  body.destroy()
  return Buffer.concat(parts).toString()
}
