import { createRequire } from 'node:module'
import { pipeline, type Readable, type Transform } from 'node:stream'
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib'
import type { Method, Options, Request, Response } from 'got'
import { onAbort } from '../core/on-abort.ts'
import { cleanError, type Redact } from '../core/redaction.ts'
import { type Agents, agentsFor } from './agents.ts'
import { cutOff, ResponseBody } from './body.ts'
import { startDeadline } from './deadline.ts'
import type { HttpSettings } from './options.ts'
import { type HttpResponse, headerOf } from './response.ts'

export type { HttpResponse, HttpSettings }

const { name, version } = createRequire(import.meta.url)('../../package.json') as {
  name: string
  version: string
}

/** Sent with every request. Splunk falls back to HTTP/1.0, without keep-alive, for a client that does not name itself. */
export const userAgent = `${name}/${version} node/${process.versions.node}`

/** Characters of an answer that {@link HttpClient.request} reads, unless told otherwise. */
const defaultLimit = 1_000_000

export interface HttpRequest {
  readonly method: Method
  readonly url: string
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body?: string | Buffer
  readonly signal: AbortSignal
  /** Milliseconds for the whole exchange; with {@link HttpClient.stream} until the answer begins. */
  readonly timeout: number
}

export interface AnswerLimit {
  /** Characters of the answer's body that are read. Default: 1,000,000. A longer body is an error. */
  readonly limit?: number
  /** Keeps the beginning of a longer body in place of the error: for answers of which the status alone counts. */
  readonly cut?: boolean
}

/** A request and its response. */
export interface HttpExchange extends HttpResponse {
  /** Whether the whole body was handed to the system: a server may answer before. */
  readonly bodySent: boolean
}

export interface StreamRequest extends HttpRequest {
  /** Milliseconds without a byte of the body, while it is read, after which it fails. Default: `timeout`. */
  readonly stallTimeout?: number
  /** Whether a compressed body is unpacked (gzip, deflate, brotli). Default: true. With `false` the header `content-encoding` says how it is packed. */
  readonly decompress?: boolean
}

/** A response whose body is still to be read. */
export interface HttpStream extends Omit<HttpResponse, 'text'> {
  /** Its bytes. Whoever has it reads it to the end or destroys it: it holds a connection until then. */
  readonly body: Readable
}

/** The answer is longer than the request allows. */
export class AnswerTooLong extends Error {
  override name = 'AnswerTooLong'
  readonly code = 'ERR_ANSWER_TOO_LONG'
  constructor(limit: number) {
    super(`the answer has more than ${limit} characters`)
  }
}

type Got = typeof import('got')

/** Loaded with the first request: a connector that speaks by an Azure client needs only the options from here. */
let got: Got | undefined

/**
 * The HTTP client of one connector. It keeps connections alive and goes through the proxy of its settings or of the
 * environment. It never retries (the engines do), follows no redirect (a body or credentials would go to another place),
 * and treats every status as a response.
 *
 * Most of what got costs is beside the request itself: so got is given options that are prepared once and bodies as bytes
 * (of a text it makes bytes three times), and is read as a stream; time limit and abort are handled here.
 */
export class HttpClient {
  /** Of the last request. Got takes a copy. */
  #options: Options | undefined
  #url: string | undefined
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
  async request(request: HttpRequest & AnswerLimit): Promise<HttpExchange> {
    try {
      got ??= await import('got')
      return await this.#exchange(got, request)
    } catch (error) {
      throw cleanError(error, this.redact)
    }
  }

  /**
   * Sends a request and gives its answer as soon as that begins.
   * @throws AbortError when the signal fires; else an Error, cleaned of secrets, with the code of the fault. The body fails
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
    const fixed = {
      isStream: true,
      retry: { limit: 0 },
      throwHttpErrors: false,
      followRedirect: false,
    }
    return new Options(undefined, fixed, defaults.options)
  }

  #send(
    got: Got,
    { url, method, headers, body, signal }: HttpRequest,
    decompress: boolean,
  ): { wire: Request; length: number } {
    signal.throwIfAborted()
    this.#options ??= this.#prepare(got)
    const options = this.#options
    if (url !== this.#url) {
      options.url = url
      options.agent = this.#agents.for(url)
      this.#url = url
    }
    options.method = method
    options.decompress = decompress
    options.headers = { 'user-agent': userAgent, ...present(headers) }
    const bytes = typeof body === 'string' ? Buffer.from(body) : body
    options.body = bytes
    const wire = got.default(undefined, undefined, options) as Request
    wire.options.createNativeRequestOptions = nativeOptions
    options.body = undefined
    if (!bytes) wire.end()
    return { wire, length: bytes?.length ?? 0 }
  }

  #exchange(got: Got, request: HttpRequest & AnswerLimit): Promise<HttpExchange> {
    const { signal, timeout, limit = defaultLimit, cut } = request
    const { wire, length } = this.#send(got, request, true)
    return new Promise((resolve, reject) => {
      let text = ''
      let settled = false
      const settle = () => {
        settled = true
        stopDeadline()
        forget()
        wire.destroy()
      }
      const fail = (error: unknown) => {
        if (settled) return
        settle()
        reject(error)
      }
      const stopDeadline = startDeadline(timeout, fail)
      const forget = onAbort(signal, fail)
      wire.setEncoding('utf8')
      wire.on('data', (chunk: string) => {
        if (text.length < limit || !cut) text += chunk
        if (text.length > limit && !cut) fail(new AnswerTooLong(limit))
      })
      wire.on('error', fail)
      wire.on('close', () => {
        if (!settled) fail(cutOff())
      })
      wire.on('end', () => {
        const { response } = wire
        if (settled || !response) return
        const bodySent = wire.uploadProgress.transferred === length
        settle()
        resolve({ status: response.statusCode, headers: response.headers, text, bodySent })
      })
    })
  }

  #open(got: Got, request: StreamRequest): Promise<HttpStream> {
    const { signal, timeout, stallTimeout = timeout, decompress = true } = request
    const headers = { 'accept-encoding': 'gzip, deflate, br', ...request.headers }
    const { wire } = this.#send(got, { ...request, headers }, false)
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
        // Got may report a fault after the one that ended the exchange.
        wire.on('error', () => {})
      }
      wire.on('error', fail)
      wire.on('close', closed)
      wire.once('response', (response: Response) => {
        stop()
        const { statusCode: status, headers } = response
        const clean = (error: unknown) => cleanError(error, this.redact)
        // Taken past got's stream, which would copy them once more.
        const bytes = response.removeAllListeners('readable')
        const body = new ResponseBody({ bytes, wire, stallTimeout, signal, clean })
        resolve({ status, headers, body: decompress ? unpacked(body, headers) : body })
      })
    })
  }
}

/** The body without the compression that its headers tell. */
function unpacked(body: Readable, headers: HttpResponse['headers']): Readable {
  const unpack = unpackers.get(headerOf({ headers }, 'content-encoding')?.trim().toLowerCase() ?? '')
  // The stream that is given carries the error itself.
  return unpack ? pipeline(body, unpack(), () => {}) : body
}

const unpackers = new Map<string, () => Transform>([
  ['gzip', createGunzip],
  ['x-gzip', createGunzip],
  ['deflate', createInflate],
  ['br', createBrotliDecompress],
])

/** Without those that are undefined: got would delete them, which makes the object slow from then on. */
function present(headers: HttpRequest['headers']): Record<string, string> {
  const given: Record<string, string> = {}
  for (const name in headers) if (headers[name] !== undefined) given[name] = headers[name]
  return given
}

/**
 * What Node's request is made of, TLS being the agent's: got would hand it some forty options, nearly all undefined, that Node then copies twice
 * and makes the name of the connection of.
 */
function nativeOptions(this: Options): ReturnType<Options['createNativeRequestOptions']> {
  const { method, headers, agent } = this
  const { protocol } = this.url as URL
  return {
    method,
    headers,
    agent: protocol === 'https:' ? agent.https : agent.http,
  } as unknown as ReturnType<Options['createNativeRequestOptions']>
}
