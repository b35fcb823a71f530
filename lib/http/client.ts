import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest, type RequestOptions } from 'node:https'
import { isIP } from 'node:net'
import type { Readable } from 'node:stream'
import { urlToHttpOptions } from 'node:url'
import type { Options, Request } from 'got'
import { onAbort } from '../core/on-abort.ts'
import { cleanError, type Redact } from '../core/redaction.ts'
import { version } from '../core/version.ts'
import { type Agents, agentsFor } from './agents.ts'
import { startDeadline } from './deadline.ts'
import type { HttpSettings } from './options.ts'
import { AnswerTooLong, cutOff, type HttpResponse, ResponseBody, unpacked } from './response.ts'

export type { HttpResponse, HttpSettings }
export { AnswerTooLong }

/** Sent with every request. Splunk falls back to HTTP/1.0, without keep-alive, for a client that does not name itself. */
export const userAgent = `cyber-connectors/${version} node/${process.versions.node}`

/** Default maximum of characters that {@link HttpClient.request} reads. */
const defaultLimit = 1_000_000

/** Milliseconds to wait for a body that does not matter, so that its connection can be reused. */
const bodyTimeout = 500

export interface HttpRequest {
  readonly method: string
  readonly url: string
  readonly headers: Readonly<Record<string, string | undefined>>
  /** Its bytes are no longer read after {@link HttpClient.request} has settled. */
  readonly body?: string | Buffer
  readonly signal: AbortSignal
  /** Milliseconds for the whole exchange; with {@link HttpClient.stream} until the answer starts. */
  readonly timeout: number
}

export interface AnswerLimit {
  /** Maximum characters of the body. Default: 1,000,000. A longer body is an error. */
  readonly limit?: number
  /**
   * Ends the exchange at the limit without an error, and returns the start of the body: if only the status matters.
   */
  readonly cut?: boolean
  /**
   * Whether only the head of an answer with this status matters. Then a late, endless, damaged or short body is no fault;
   * the part received within half a second is returned.
   */
  readonly headCounts?: (status: number) => boolean
}

export interface StreamRequest extends HttpRequest {
  /** Maximum pause of the body while it is read, in milliseconds. Default: `timeout`. */
  readonly stallTimeout?: number
  /** Whether a compressed body is unpacked (gzip, deflate, brotli). Default: true. With `false` the header `content-encoding` says how it is packed. */
  readonly decompress?: boolean
}

/** A response whose body is still to be read. */
export interface HttpStream extends Omit<HttpResponse, 'text'> {
  /** Its bytes. Read them to the end or destroy it: it holds a connection until then. */
  readonly body: Readable
}

type Got = typeof import('got')

/** Loaded with the first request: connectors with an Azure client need only the options from here. */
let got: Got | undefined

/** A request of got, and Node's request below it. */
interface Sent {
  readonly wire: Request
  /** Absent until got creates it. */
  readonly native: () => ClientRequest | undefined
}

/**
 * The HTTP client of one connector. It keeps connections alive and goes through the proxy of its settings or of the
 * environment. It never retries (the engines do), follows no redirect (it could send a body or credentials elsewhere),
 * and treats every status as a response.
 *
 * To avoid most of got's overhead, this class prepares got's options once, passes bodies as bytes (got encodes a string
 * three times), reads the answer as a stream, creates Node's request with few options, and handles timeout and abort.
 */
export class HttpClient {
  /** Prepared once; got copies it. */
  #options: Options | undefined
  /** Of the last URL: comparing is cheaper than parsing. */
  #target: { readonly url: string; readonly options: RequestOptions } | undefined
  readonly #redact: Redact
  readonly #agents: Agents
  readonly #closeAgents: () => void

  /** @param redact removes the secrets of the connector from a string, see {@link redactor} */
  constructor(settings: HttpSettings, redact: Redact) {
    this.#redact = redact
    const agents = agentsFor(settings)
    this.#agents = agents.value
    this.#closeAgents = agents.close
  }

  /** Removes the secrets of the connector and the credentials of its proxy from a string. */
  readonly redact: Redact = (text) => this.#agents.redact(this.#redact(text))

  /**
   * Sends a request and reads its answer.
   * @throws AnswerTooLong; AbortError when the signal fires; else an Error, without secrets, with the code of the fault:
   * ECONNRESET, ETIMEDOUT…, see {@link isTransientFault}
   */
  async request(request: HttpRequest & AnswerLimit): Promise<HttpResponse> {
    try {
      got ??= await import('got')
      return await this.#exchange(got, request)
    } catch (error) {
      throw cleanError(error, this.redact)
    }
  }

  /**
   * Sends a request and returns its answer as soon as that starts.
   * @throws AbortError when the signal fires; else an Error, without secrets, with the code of the fault. The body fails
   * in the same way
   */
  async stream(request: StreamRequest): Promise<HttpStream> {
    try {
      got ??= await import('got')
      return await this.#open(got, request)
    } catch (error) {
      throw cleanError(error, this.redact)
    }
  }

  /** Ends all connections. */
  close(): void {
    this.#closeAgents()
  }

  #prepare({ default: { defaults }, Options }: Got): Options {
    const fixed = { isStream: true, retry: { limit: 0 }, throwHttpErrors: false, followRedirect: false }
    return new Options(undefined, fixed, defaults.options)
  }

  #send(got: Got, request: HttpRequest, decompress: boolean): Sent {
    const { url, method, headers, body, signal } = request
    signal.throwIfAborted()
    this.#options ??= this.#prepare(got)
    const options = this.#options
    if (url !== this.#target?.url) {
      options.url = url
      this.#target = { url, options: this.#targetOf(url) }
    }
    const target = this.#target.options
    options.method = method as Options['method']
    options.decompress = decompress
    options.headers = { 'user-agent': userAgent, ...present(headers) }
    const bytes = typeof body === 'string' ? Buffer.from(body) : body
    options.body = bytes
    let native: ClientRequest | undefined
    options.request = (_url, { method, headers }) => {
      const send = target.protocol === 'https:' ? httpsRequest : httpRequest
      native = send({ ...target, method, headers } as RequestOptions)
      return native
    }
    const wire = got.default(undefined, undefined, options) as Request
    options.body = undefined
    if (!bytes) wire.end()
    return { wire, native: () => native }
  }

  /** Node's options for a URL. TLS options belong to the agent: Node would copy each several times. */
  #targetOf(url: string): RequestOptions {
    const { protocol, hostname, port, path } = urlToHttpOptions(new URL(url))
    const secure = protocol === 'https:'
    const { http, https } = this.#agents.for(url)
    return {
      protocol: protocol!,
      host: hostname!,
      port: port || (secure ? 443 : 80),
      path: path!,
      // Otherwise Node checks the certificate against the user's Host header.
      ...(secure && { servername: isIP(hostname!) ? '' : hostname! }),
      agent: secure ? https : http,
    }
  }

  #exchange(got: Got, options: HttpRequest & AnswerLimit): Promise<HttpResponse> {
    const { signal, timeout, limit = defaultLimit, cut = false, headCounts } = options
    const { wire, native } = this.#send(got, options, true)
    return new Promise((resolve, reject) => {
      let head: IncomingMessage | undefined
      let text = ''
      let settled = false
      let bodyTimer: NodeJS.Timeout | undefined
      const settle = (end: () => void) => {
        if (settled) return
        settled = true
        stopDeadline()
        clearTimeout(bodyTimer)
        forget()
        const request = native()
        wire.destroy()
        // An open socket may still read the body.
        if (!request?.socket || request.writableFinished || request.socket.closed) end()
        else request.socket.once('close', end)
      }
      const isAnswered = () => head !== undefined && headCounts?.(head.statusCode!) === true
      const answer = () => settle(() => resolve({ status: head!.statusCode!, headers: head!.headers, text }))
      const fail = (error: unknown) => {
        if (isAnswered() && !signal.aborted) answer()
        else settle(() => reject(error))
      }
      const stopDeadline = startDeadline(timeout, fail)
      const forget = onAbort(signal, fail)
      wire.setEncoding('utf8')
      wire.once('response', (response) => {
        head = response
        if (isAnswered()) bodyTimer = setTimeout(answer, bodyTimeout)
      })
      wire.on('data', (chunk: string) => {
        text += chunk
        if (text.length <= limit) return
        if (cut || isAnswered()) answer()
        else fail(new AnswerTooLong(limit))
      })
      wire.on('end', answer)
      wire.on('error', fail)
      wire.on('close', () => fail(cutOff()))
    })
  }

  #open(got: Got, options: StreamRequest): Promise<HttpStream> {
    const { signal, timeout, stallTimeout = timeout, decompress = true } = options
    const headers = { 'accept-encoding': 'gzip, deflate, br', ...options.headers }
    const { wire } = this.#send(got, { ...options, headers }, false)
    return new Promise((resolve, reject) => {
      const fail = (error: unknown) => {
        stop()
        wire.destroy()
        reject(error)
      }
      const closed = () => fail(cutOff())
      const stopDeadline = startDeadline(timeout, fail)
      const forget = onAbort(signal, fail)
      const stop = () => {
        stopDeadline()
        forget()
        wire.off('error', fail)
        wire.off('close', closed)
        // Got may report another fault after the exchange has ended.
        wire.on('error', () => {})
      }
      wire.on('error', fail)
      wire.on('close', closed)
      wire.once('response', (response) => {
        stop()
        const { statusCode: status, headers } = response
        const clean = (error: unknown) => cleanError(error, this.redact)
        // Bypasses got's stream, which would copy the bytes once more.
        const bytes = response.removeAllListeners('readable')
        const body = new ResponseBody({ bytes, wire, stallTimeout, signal, clean })
        resolve({ status, headers, body: decompress ? unpacked(body, headers) : body })
      })
    })
  }
}

/** Leaves out undefined headers: got would delete them, which makes the object slow. */
function present(headers: HttpRequest['headers']): Record<string, string> {
  const given: Record<string, string> = {}
  for (const name in headers) if (headers[name] !== undefined) given[name] = headers[name]
  return given
}
