import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest, type RequestOptions } from 'node:https'
import { isIP } from 'node:net'
import type { Readable } from 'node:stream'
import { urlToHttpOptions } from 'node:url'
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

/** Characters of an answer that {@link HttpClient.request} reads, unless told otherwise. */
const defaultLimit = 1_000_000

/** Milliseconds for the body of an answer whose head says it all, so that its connection can be used again. */
const bodyGrace = 500

export interface HttpRequest {
  readonly method: string
  readonly url: string
  readonly headers: Readonly<Record<string, string | undefined>>
  /** Nobody reads its bytes any more once {@link HttpClient.request} has settled. */
  readonly body?: string | Buffer
  readonly signal: AbortSignal
  /** Milliseconds for the whole exchange; with {@link HttpClient.stream} until the answer begins. */
  readonly timeout: number
}

export interface AnswerLimit {
  /** Characters of the answer's body that are read. Default: 1,000,000. A longer body is an error. */
  readonly limit?: number
  /**
   * Ends the exchange at the limit in place of the error, and returns the start of the body: for answers that are read for
   * their status.
   */
  readonly cut?: boolean
  /**
   * Whether the head of an answer with this status is all that counts: then a body that is late, endless, damaged or of
   * another length is no fault. What came of it within half a second is returned.
   */
  readonly headCounts?: (status: number) => boolean
}

export interface StreamRequest extends HttpRequest {
  /** Milliseconds without a byte of the body, while it is read, after which it fails. Default: `timeout`. */
  readonly stallTimeout?: number
  /** Whether a compressed body is unpacked (gzip, deflate, brotli). Default: true. With `false` the header `content-encoding` says how it is packed. */
  readonly decompress?: boolean
}

/** A response whose body is still to be read. */
export interface HttpStream extends Omit<HttpResponse, 'text'> {
  /** Its bytes. Read them to the end or destroy it: it holds a connection until then. */
  readonly body: Readable
}

/**
 * The HTTP client of one connector, over Node's own. It keeps connections alive and goes through the proxy of its settings
 * or of the environment. It never retries (the engines do), follows no redirect (a body or credentials would go to another
 * place), and treats every status as a response.
 */
export class HttpClient {
  /** Of the last URL: to take one apart costs more than to compare it. */
  #target: { readonly url: string; readonly options: RequestOptions } | undefined
  readonly #redact: Redact
  readonly #agents: Agents
  readonly #closeAgents: () => void

  /** @param redact takes the secrets of the connector out of a text, see {@link redactor} */
  constructor(settings: HttpSettings, redact: Redact) {
    this.#redact = redact
    const agents = agentsFor(settings)
    this.#agents = agents.value
    this.#closeAgents = agents.close
  }

  /** Takes the secrets of the connector and the credentials of its proxy out of a text. */
  readonly redact: Redact = (text) => this.#agents.redact(this.#redact(text))

  /**
   * Sends a request and reads its answer.
   * @throws AnswerTooLong; AbortError when the signal fires; else an Error, cleaned of secrets, with the code of the fault:
   * ECONNRESET, ETIMEDOUT…, see {@link isTransientFault}
   */
  async request(request: HttpRequest & AnswerLimit): Promise<HttpResponse> {
    try {
      return await this.#exchange(request)
    } catch (error) {
      throw cleanError(error, this.redact)
    }
  }

  /**
   * Sends a request and returns its answer as soon as that begins.
   * @throws AbortError when the signal fires; else an Error, cleaned of secrets, with the code of the fault. The body fails
   * in the same way
   */
  async stream(request: StreamRequest): Promise<HttpStream> {
    try {
      return await this.#open(request)
    } catch (error) {
      throw cleanError(error, this.redact)
    }
  }

  /** Ends all connections. */
  close(): void {
    this.#closeAgents()
  }

  #send({ url, method, headers, body, signal }: HttpRequest): ClientRequest {
    signal.throwIfAborted()
    if (url !== this.#target?.url) this.#target = { url, options: this.#targetOf(url) }
    const { options } = this.#target
    const given: Record<string, string> = { 'user-agent': userAgent, 'accept-encoding': 'gzip, deflate, br' }
    for (const name in headers) if (headers[name] !== undefined) given[name] = headers[name]
    const request = (options.protocol === 'https:' ? httpsRequest : httpRequest)({
      ...options,
      method: method.toUpperCase(),
      headers: given,
    })
    request.end(body)
    return request
  }

  /** What Node makes of a URL, without what it does not need: it copies each option several times. */
  #targetOf(url: string): RequestOptions {
    const { protocol, hostname, port, path, auth } = urlToHttpOptions(new URL(url))
    const secure = protocol === 'https:'
    const { http, https } = this.#agents.for(url)
    return {
      protocol: protocol!,
      host: hostname!,
      port: port || (secure ? 443 : 80),
      path: path!,
      ...(auth !== undefined && { auth }),
      // Else the name in a Host header of the user's would be the one that the certificate is checked for.
      ...(secure && { servername: isIP(hostname!) ? '' : hostname! }),
      agent: secure ? https : http,
    }
  }

  #exchange(options: HttpRequest & AnswerLimit): Promise<HttpResponse> {
    const { signal, timeout, limit = defaultLimit, cut = false, headCounts } = options
    const request = this.#send(options)
    return new Promise((resolve, reject) => {
      let head: IncomingMessage | undefined
      let text = ''
      let settled = false
      let grace: NodeJS.Timeout | undefined
      const settle = (end: () => void) => {
        if (settled) return
        settled = true
        stopDeadline()
        clearTimeout(grace)
        forget()
        const { socket } = request
        const sent = request.writableFinished
        if (!sent || !head?.complete) request.destroy()
        // A socket that is closed reads the body no more.
        if (sent || !socket || socket.closed) end()
        else socket.once('close', end)
      }
      const answer = () => settle(() => resolve({ status: head!.statusCode!, headers: head!.headers, text }))
      const fail = (error: unknown) => {
        if (head && headCounts?.(head.statusCode!) && !signal.aborted) answer()
        else settle(() => reject(error))
      }
      const stopDeadline = startDeadline(timeout, fail)
      const forget = onAbort(signal, fail)
      request.on('error', fail)
      request.on('close', () => {
        if (!head) fail(cutOff())
      })
      request.on('response', (response) => {
        head = response
        if (headCounts?.(response.statusCode!)) grace = setTimeout(answer, bodyGrace)
        const body = unpacked(response, response.headers)
        body.setEncoding('utf8')
        body.on('data', (chunk: string) => {
          text += chunk
          if (text.length <= limit) return
          if (cut || headCounts?.(response.statusCode!)) answer()
          else fail(new AnswerTooLong(limit))
        })
        body.on('end', answer)
        body.on('error', fail)
        body.on('close', () => fail(cutOff()))
      })
    })
  }

  #open(options: StreamRequest): Promise<HttpStream> {
    const { signal, timeout, stallTimeout = timeout, decompress = true } = options
    const request = this.#send(options)
    return new Promise((resolve, reject) => {
      const fail = (error: unknown) => {
        stop()
        // Node may report a fault after the one that ended the exchange.
        request.on('error', () => {})
        request.destroy()
        reject(error)
      }
      const closed = () => fail(cutOff())
      const stopDeadline = startDeadline(timeout, fail)
      const forget = onAbort(signal, fail)
      const stop = () => {
        stopDeadline()
        forget()
        request.off('error', fail)
        request.off('close', closed)
      }
      request.on('error', fail)
      request.on('close', closed)
      request.once('response', (response) => {
        const clean = (error: unknown) => cleanError(error, this.redact)
        const body = new ResponseBody({ request, response, stallTimeout, signal, clean })
        stop()
        const { statusCode, headers } = response
        resolve({ status: statusCode!, headers, body: decompress ? unpacked(body, headers) : body })
      })
    })
  }
}
