import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { Method, Options, Request } from 'got'
import { Agents } from './agents.ts'
import { startDeadline } from './deadline.ts'
import { onAbort } from './on-abort.ts'
import { option, Refusal } from './options.ts'
import { cleanError, credentialsOf, type Redact, redactor } from './redaction.ts'

/** TLS and proxy options of every connector that speaks HTTP through got. */
export const httpSpecs = {
  ca: option.custom<string>(
    {
      form: 'CA certificates in PEM form, or the path of a file that holds them',
      type: 'string | Buffer',
      schema: { type: 'string' },
      parse: readCertificates,
    },
    { doc: "CA certificates to trust in place of the system's: PEM text, or the path of a PEM file." },
  ),
  verify_ssl: option.flag({
    default: true,
    doc: 'Whether the certificate of the server is checked. `false` lets anybody in between read and change what is sent.',
  }),
  proxy: option.url({
    secret: true,
    defaultText: 'from the environment',
    doc: 'URL of an HTTP proxy. Without it HTTPS_PROXY, HTTP_PROXY and NO_PROXY count.',
  }),
}

function readCertificates(value: unknown): string | undefined {
  if (typeof value !== 'string' && !Buffer.isBuffer(value)) return undefined
  const text = value.toString()
  if (text.includes('-----BEGIN CERTIFICATE-----')) return text
  if (text.includes('\n') || text.trim() === '') return undefined
  let file: string
  try {
    file = readFileSync(text, 'utf8')
  } catch (error) {
    throw new Refusal(
      `can't read the CA file ${JSON.stringify(text)} (${(error as NodeJS.ErrnoException).code})`,
    )
  }
  if (!file.includes('-----BEGIN CERTIFICATE-----'))
    throw new Refusal(`${JSON.stringify(text)} holds no PEM certificate`)
  return file
}

const { name, version } = createRequire(import.meta.url)('../../package.json') as {
  name: string
  version: string
}

/** Sent with every request. Splunk falls back to HTTP/1.0, without keep-alive, for a client that does not name itself. */
export const userAgent = `${name}/${version} node/${process.versions.node}`

/** Characters of an answer that are kept, about. None that means something is longer, and memory has to hold it. */
const longestAnswer = 1_000_000

export interface HttpSettings {
  readonly ca?: string | undefined
  readonly verify_ssl: boolean
  readonly proxy?: string | undefined
}

export interface HttpRequest {
  readonly method: Method
  readonly url: string
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body?: string | Buffer
  readonly signal: AbortSignal
  /** Milliseconds for the whole exchange. */
  readonly timeout: number
}

export interface HttpResponse {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly text: string
}

/** A request and its response. */
export interface HttpExchange extends HttpResponse {
  /** Whether the whole body was handed to the system: a server may answer before. */
  readonly bodySent: boolean
}

type Got = typeof import('got')

/** Loaded with the first request: a connector that speaks by an Azure client needs only the options from here. */
let got: Got | undefined

/**
 * One got client for a connector: connections kept alive, no retry of got's own (ours is one for everybody), no redirect
 * followed (it would carry a body or credentials to another place), every status a response.
 *
 * What got costs for a request is mostly what it does beside the request: so it is given options that are prepared once,
 * bodies as bytes (of a text it would make bytes three times), and is read as a stream; time limit and abort are ours.
 */
export class HttpClient {
  readonly #settings: HttpSettings
  /** Of the last request. Got takes a copy. */
  #options: Options | undefined
  #url: string | undefined
  readonly #redact: Redact
  readonly #agents: Agents

  constructor(settings: HttpSettings, redact: Redact) {
    this.#redact = redact
    this.#agents = new Agents(settings.proxy)
    this.#settings = settings
  }

  /** @throws Error, cleaned of secrets, with the code of the fault: ECONNRESET, ETIMEDOUT… */
  async request(request: HttpRequest): Promise<HttpExchange> {
    try {
      got ??= await import('got')
      const response = await this.#exchange(got, request)
      if (response.status < 300) return response
      // It may be the proxy that answers, and quotes what it was sent.
      return { ...response, text: this.#redactProxy(request.url)(response.text) }
    } catch (error) {
      const redactProxy = this.#redactProxy(request.url)
      throw cleanError(error, (text) => redactProxy(this.#redact(text)))
    }
  }

  #redactProxy(url: string): Redact {
    return redactor(credentialsOf(this.#agents.proxyFor(url)))
  }

  /** Ends all connections. */
  close(): void {
    this.#agents.close()
  }

  #prepare({ default: { defaults }, Options }: Got): Options {
    const { verify_ssl, ca } = this.#settings
    const https = {
      rejectUnauthorized: verify_ssl,
      ...(ca === undefined ? {} : { certificateAuthority: ca }),
    }
    const fixed = {
      isStream: true,
      retry: { limit: 0 },
      throwHttpErrors: false,
      followRedirect: false,
      https,
    }
    return new Options(undefined, fixed, defaults.options)
  }

  #exchange(got: Got, { url, method, headers, body, signal, timeout }: HttpRequest): Promise<HttpExchange> {
    signal.throwIfAborted()
    this.#options ??= this.#prepare(got)
    const options = this.#options
    if (url !== this.#url) {
      options.url = url
      options.agent = this.#agents.for(url)
      this.#url = url
    }
    options.method = method
    options.headers = { 'user-agent': userAgent, ...present(headers) }
    const bytes = typeof body === 'string' ? Buffer.from(body) : body
    options.body = bytes
    const request = got.default(undefined, undefined, options) as Request
    request.options.createNativeRequestOptions = nativeOptions
    options.body = undefined
    if (!bytes) request.end()
    return new Promise((resolve, reject) => {
      let text = ''
      let settled = false
      const settle = () => {
        settled = true
        stopDeadline()
        forget()
        request.destroy()
      }
      const cut = (error: unknown) => {
        if (settled) return
        settle()
        reject(error)
      }
      const stopDeadline = startDeadline(timeout, cut)
      const forget = onAbort(signal, cut)
      request.setEncoding('utf8')
      request.on('data', (chunk: string) => {
        if (text.length < longestAnswer) text += chunk
      })
      request.on('error', cut)
      request.on('close', () => {
        if (!settled) cut(new Error('the request was closed before it was answered'))
      })
      request.on('end', () => {
        const { response } = request
        if (settled || !response) return
        const bodySent = request.uploadProgress.transferred === (bytes?.length ?? 0)
        settle()
        resolve({ status: response.statusCode, headers: response.headers, text, bodySent })
      })
    })
  }
}

/** Without those that are undefined: got would delete them, which makes the object slow from then on. */
function present(headers: HttpRequest['headers']): Record<string, string> {
  const given: Record<string, string> = {}
  for (const name in headers) if (headers[name] !== undefined) given[name] = headers[name]
  return given
}

/**
 * What Node's request is made of: got would hand it some forty options, nearly all undefined, that Node then copies twice
 * and makes the name of the connection of.
 */
function nativeOptions(this: Options): ReturnType<Options['createNativeRequestOptions']> {
  const { method, headers, https, agent } = this
  const { protocol } = this.url as URL
  return {
    method,
    headers,
    agent: protocol === 'https:' ? agent.https : agent.http,
    ca: https.certificateAuthority,
    rejectUnauthorized: https.rejectUnauthorized,
  } as unknown as ReturnType<Options['createNativeRequestOptions']>
}
