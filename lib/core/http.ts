import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import got, { type Got, type Method } from 'got'
import { Agents } from './agents.ts'
import { option, Refusal } from './options.ts'
import { cleanError, credentialsOf, type Redact, redactor } from './redaction.ts'
import { longestTimer } from './retry.ts'

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

/**
 * One got client for a connector: connections kept alive, no retry of got's own (ours is one for everybody), no redirect
 * followed (it would carry a body or credentials to another place), every status a response.
 */
export class HttpClient {
  readonly #got: Got
  readonly #redact: Redact
  readonly #agents: Agents

  constructor(settings: HttpSettings, redact: Redact) {
    this.#redact = redact
    this.#agents = new Agents(settings.proxy)
    this.#got = got.extend({
      retry: { limit: 0 },
      throwHttpErrors: false,
      followRedirect: false,
      headers: { 'user-agent': userAgent },
      https: {
        rejectUnauthorized: settings.verify_ssl,
        ...(settings.ca === undefined ? {} : { certificateAuthority: settings.ca }),
      },
    })
  }

  /** @throws Error, cleaned of secrets, with the code of the fault: ECONNRESET, ETIMEDOUT… */
  async request({ timeout, ...request }: HttpRequest): Promise<HttpResponse> {
    try {
      const { url, ...options } = request
      const response = await this.#got(url, {
        ...options,
        timeout: { request: Math.min(timeout, longestTimer) },
        agent: this.#agents.for(url),
      })
      return { status: response.statusCode, headers: response.headers, text: response.body }
    } catch (error) {
      const redactProxy = redactor(credentialsOf(this.#agents.proxyFor(request.url)))
      throw cleanError(error, (text) => redactProxy(this.#redact(text)))
    }
  }

  /** Ends all connections. */
  close(): void {
    this.#agents.close()
  }
}
