import { createPrivateKey } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createSecureContext } from 'node:tls'
import { option, Refusal, type Report } from '../core/options.ts'
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
  readonly verify_ssl: boolean
  /** URL of a proxy for everything. Default: by the environment. */
  readonly proxy?: string | undefined
  /** Seconds after which a connection is not used again. Default: 300. */
  readonly max_connection_seconds?: number | undefined
}

/** Seconds. */
export const defaultConnectionAge = 300

/** TLS, proxy and connection options of every connector that speaks HTTP. Check them by {@link checkHttpOptions}. */
export const httpSpecs = {
  ca: option.custom<string>(
    {
      form: 'CA certificates in PEM form, or the path of a file that holds them',
      type: 'string | Buffer',
      schema: { type: 'string' },
      parse: pem('CERTIFICATE', 'CA', 'PEM certificate'),
    },
    {
      names: 'file',
      doc: "CA certificates to trust in place of the system's: PEM text, or the path of a PEM file.",
    },
  ),
  cert: option.custom<string>(
    {
      form: 'a certificate in PEM form, or the path of a file that holds it',
      type: 'string | Buffer',
      schema: { type: 'string' },
      parse: pem('CERTIFICATE', 'certificate', 'PEM certificate'),
    },
    {
      names: 'file',
      doc: 'Client certificate, its chain after it, for servers that ask for one: PEM text, or the path of a PEM file. Goes with `key`.',
    },
  ),
  key: option.custom<string>(
    {
      form: 'a private key in PEM form, or the path of a file that holds it',
      type: 'string | Buffer',
      schema: { type: 'string' },
      parse: pem('(?:[A-Z]+ )*PRIVATE KEY', 'key', 'PEM private key'),
    },
    {
      names: 'file',
      secret: true,
      doc: 'Private key of `cert`: PEM text, or the path of a PEM file.',
    },
  ),
  passphrase: option.text({ secret: true, doc: 'Passphrase of `key`, where that is encrypted.' }),
  verify_ssl: option.flag({
    default: true,
    doc: 'Whether the certificate of the server is checked. `false` lets anybody in between read and change what is sent.',
  }),
  proxy: option.custom<string>(
    {
      form: 'an http, https or socks URL',
      type: 'string | URL',
      schema: { type: 'string' },
      parse: (value) => (/^\s*\w+:\/\//.test(String(value)) ? parseProxy(String(value)) : undefined),
    },
    {
      secret: true,
      defaultText: 'from the environment',
      doc: 'URL of a proxy: http, https, socks4, socks5 (names resolved here) or socks5h (by the proxy). Without it the variables HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY count, in lower case too; NO_PROXY takes hosts (with their subdomains), `*`, addresses and CIDR ranges.',
    },
  ),
  max_connection_seconds: option.amount({
    default: defaultConnectionAge,
    doc: 'Age in seconds after which a connection is not used again, so that load spreads over the members behind a balancer. After 429, 502, 503 and 504 it is not used again either.',
  }),
}

/** Reports what is wrong with a client certificate, before anything is sent. */
export function checkHttpOptions(
  { cert, key, passphrase }: Partial<HttpSettings>,
  report: Report,
  given: ReadonlySet<string>,
): void {
  if (given.has('cert') !== given.has('key')) {
    report(
      given.has('cert') ? 'cert: goes with key, which is missing' : 'key: goes with cert, which is missing',
    )
    return
  }
  if (given.has('passphrase') && !given.has('key')) report('passphrase: goes with key, which is missing')
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

/** Tried, as OpenSSL's error does not tell: of some wrong passphrases it says that what they gave is no key. */
function opens(key: string, passphrase: string | undefined): boolean {
  try {
    createPrivateKey({ key, passphrase })
    return true
  } catch {
    return false
  }
}

/** Reads PEM text, or a file of it. */
function pem(label: string, name: string, what: string): (value: unknown) => string | undefined {
  const begin = new RegExp(`-----BEGIN ${label}-----`)
  return (value) => {
    if (typeof value !== 'string' && !Buffer.isBuffer(value)) return undefined
    const text = value.toString()
    if (begin.test(text)) return text
    // What was meant as PEM may be a secret: only a path is shown.
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
