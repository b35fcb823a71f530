import { createPrivateKey } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createSecureContext } from 'node:tls'
import { type OptionSpecs, option, Refusal, type Report } from '../core/options.ts'
import type { OptionsOf } from '../core/spelling.ts'
import { parseProxy } from './proxy.ts'

/** Connections, TLS and proxy of one client. {@link httpSpecs} gives them from options. */
export interface HttpSettings {
  /** CA certificates to trust in place of the system's, PEM. */
  readonly ca?: string | undefined
  /** Client certificate with its chain, PEM; goes with `key`. */
  readonly cert?: string | undefined
  /** Private key of `cert`, PEM. */
  readonly key?: string | undefined
  /** Passphrase of `key`. */
  readonly passphrase?: string | undefined
  /** Whether the certificate of the server is checked. */
  readonly verify_ssl: boolean | string
  /** URL of a proxy for everything. Default: by the environment. */
  readonly proxy?: string | undefined
  /** Maximum age of a connection, in seconds. Default: 300. */
  readonly max_connection_seconds?: number | undefined
  /** Maximum time to connect, TLS included, in seconds. Default: no separate limit. */
  readonly connect_timeout?: number | undefined
}

/** Seconds. */
export const defaultConnectionAge = 300

const readCa = pem('CERTIFICATE', 'CA', 'PEM certificate')

/** TLS, proxy and connection options of every connector that speaks HTTP. Check them by {@link checkHttpOptions}. */
export const httpSpecs = {
  /** CA certificates to trust in place of the system's: PEM, or the path of a PEM file. */
  ca: option.custom<string, string | Buffer>(
    {
      form: 'CA certificates in PEM form, or the path of a file that holds them',
      schema: { type: 'string' },
      parse: readCa,
    },
    { names: 'file' },
  ),
  /** Client certificate followed by its chain: PEM, or the path of a PEM file. Needs `key`. */
  cert: option.custom<string, string | Buffer>(
    {
      form: 'a certificate in PEM form, or the path of a file that holds it',
      schema: { type: 'string' },
      parse: pem('CERTIFICATE', 'certificate', 'PEM certificate'),
    },
    { names: 'file' },
  ),
  /** Private key of `cert`: PEM, or the path of a PEM file. */
  key: option.custom<string, string | Buffer>(
    {
      form: 'a private key in PEM form, or the path of a file that holds it',
      schema: { type: 'string' },
      parse: pem('(?:[A-Z]+ )*PRIVATE KEY', 'key', 'PEM private key'),
    },
    { names: 'file', secret: true },
  ),
  /** Passphrase of an encrypted `key`. */
  passphrase: option.text({ secret: true }),
  /**
   * Whether to check the certificate of the server; a path of a PEM file with CA certificates works like `ca`. With
   * `false` anyone on the network path can read and change the traffic.
   * @default true
   */
  verify_ssl: option.custom<boolean | string>(
    {
      form: 'true, false, or the path of a file with CA certificates',
      schema: { type: ['boolean', 'string'] },
      parse: (value) =>
        /^\s*(true|false)\s*$/i.test(String(value)) ? /true/i.test(String(value)) : readCa(value),
    },
    { default: true },
  ),
  /**
   * Proxy URL: http, https, socks4, socks5 (names resolved here) or socks5h (names resolved by the proxy). NO_PROXY
   * holds hosts (with their subdomains), `*`, addresses and CIDR ranges; names of variables may be in lower case.
   * @default HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY of the environment
   */
  proxy: option.custom<string, string | URL>(
    {
      form: 'an http, https or socks URL',
      schema: { type: 'string' },
      parse: (value) => (/^\s*\w+:\/\//.test(String(value)) ? parseProxy(String(value)) : undefined),
    },
    { secret: true },
  ),
  /**
   * Maximum age of a connection, in seconds, so that load spreads over the members behind a load balancer. A connection
   * that answered 401, 403, 429, 502, 503 or 504 is not reused either.
   * @default 300
   */
  max_connection_seconds: option.amount({ default: defaultConnectionAge }),
} satisfies OptionSpecs

/** Options of every connector that speaks HTTP. */
export type HttpOptions = OptionsOf<typeof httpSpecs>

/** TLS as Node's `tls.connect` accepts it. A path as `verify_ssl` has become the certificates of `ca`. */
export function tlsOptions({ ca, cert, key, passphrase, verify_ssl }: HttpSettings) {
  const isCa = typeof verify_ssl === 'string'
  return {
    rejectUnauthorized: isCa || verify_ssl,
    ca: isCa ? (ca ?? verify_ssl) : ca,
    cert,
    key,
    passphrase,
  }
}

/** Reports what is wrong with a client certificate, before anything is sent. */
export function checkHttpOptions(
  { cert, key, passphrase, verify_ssl }: Partial<HttpSettings>,
  report: Report,
  given: ReadonlySet<string>,
): void {
  if (typeof verify_ssl === 'string' && given.has('ca'))
    report('ca and a path as verify_ssl exclude each other')
  if (given.has('cert') !== given.has('key')) {
    report(given.has('cert') ? 'cert: needs key, which is missing' : 'key: needs cert, which is missing')
    return
  }
  if (given.has('passphrase') && !given.has('key')) report('passphrase: needs key, which is missing')
  if (cert === undefined || key === undefined) return
  try {
    createSecureContext({ cert, key, passphrase })
  } catch (error) {
    const { code = '', message } = error as NodeJS.ErrnoException
    // OpenSSL's words: "key values mismatch".
    const text = /MISMATCH/.test(code)
      ? 'key: is not the private key of cert'
      : /ENCRYPTED/.test(key) && !opens(key, passphrase)
        ? `key: ${passphrase === undefined ? 'is encrypted: give its passphrase' : 'the passphrase does not open it'}`
        : `cert, key: can't be used (${code || message})`
    report(text)
  }
}

/** Tries the passphrase, because OpenSSL's error is unclear: for some wrong passphrases it reports an invalid key. */
function opens(key: string, passphrase: string | undefined): boolean {
  try {
    createPrivateKey({ key, passphrase })
    return true
  } catch {
    return false
  }
}

/** Reads PEM text, or a file of it. */
export function pem(label: string, name: string, what: string): (value: unknown) => string | undefined {
  const begin = new RegExp(`-----BEGIN ${label}-----`)
  return (value) => {
    if (typeof value !== 'string' && !Buffer.isBuffer(value)) return undefined
    const text = value.toString()
    if (begin.test(text)) return text
    // Malformed PEM may be a secret: an error shows only a path.
    if (/-----|\n/.test(text)) throw new Refusal(`holds no ${what}`)
    if (text.trim() === '') return undefined
    let file: string
    try {
      file = readFileSync(text, 'utf8')
    } catch (error) {
      throw new Refusal(
        `can't read the ${name} file ${JSON.stringify(text)} (${(error as NodeJS.ErrnoException).code})`,
      )
    }
    if (!begin.test(file)) throw new Refusal(`${JSON.stringify(text)} holds no ${what}`)
    return file
  }
}
