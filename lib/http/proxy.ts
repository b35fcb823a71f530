import { lookup } from 'node:dns/promises'
import { type ClientRequest, request as httpRequest } from 'node:http'
import { request as httpsRequest, type RequestOptions } from 'node:https'
import { BlockList, isIP, isIPv4, isIPv6, type Socket, type TcpSocketConnectOpts } from 'node:net'
import { rootCertificates } from 'node:tls'
import { domainToASCII } from 'node:url'
import { ConnectorError } from '../core/errors.ts'
import { decoded } from '../core/redaction.ts'
import { isTransientStatus } from '../core/retry.ts'
import { addressTimeout, TimeoutError } from './deadline.ts'

const proxyForm =
  'the URL of a proxy: http://, https://, socks5:// (names resolved here), socks5h:// (by the proxy) or socks4://; without a scheme it is http'

const schemes = new Set(['http:', 'https:', 'socks:', 'socks4:', 'socks4a:', 'socks5:', 'socks5h:'])

/** The URL of a proxy, with a scheme; undefined if the string is none. */
export function parseProxy(text: string): string | undefined {
  const trimmed = text.trim()
  const url = trimmed.includes('://') ? trimmed : `http://${trimmed}`
  if (trimmed === '' || !URL.canParse(url)) return undefined
  const { protocol, hostname, pathname, search, hash } = new URL(url)
  const bare = (pathname === '' || pathname === '/') && search === '' && hash === ''
  return schemes.has(protocol) && hostname !== '' && bare ? url : undefined
}

type Environment = Readonly<Record<string, string | undefined>>

/**
 * The proxy of the environment for a URL, by curl's rules: `https_proxy` or `http_proxy` by the URL's scheme, else
 * `all_proxy`; each in lower or upper case, lower first. `no_proxy` lists exceptions, separated by commas or spaces:
 * hosts with all their subdomains, `*` as a wildcard, IP addresses, CIDR ranges, each with or without a port. Names are
 * not resolved for comparison with addresses.
 * @returns the empty string if there is none
 * @throws ConnectorError ERR_OPTION if the variable holds no proxy
 */
export function proxyFromEnvironment(url: string, environment: Environment = process.env): string {
  const { protocol, hostname, port } = new URL(url)
  const names = [`${protocol.slice(0, -1)}_proxy`, 'all_proxy'].flatMap((name) => [name, name.toUpperCase()])
  const name = names.find((name) => environment[name]?.trim())
  if (!name) return ''
  const direct = environment['no_proxy']?.trim() || environment['NO_PROXY'] || ''
  if (goesDirectly(hostname, port || (protocol === 'https:' ? '443' : '80'), direct)) return ''
  const proxy = parseProxy(environment[name]!)
  if (proxy !== undefined) return proxy
  throw new ConnectorError('ERR_OPTION', `the variable ${name} of the environment: expected ${proxyForm}`)
}

/** Whether a host is on a NO_PROXY list. */
function goesDirectly(hostname: string, port: string, list: string): boolean {
  const host = plainHost(hostname)
  return list.split(/[\s,]+/).some((entry) => {
    const { pattern, port: only } = splitPort(entry)
    return pattern !== '' && (only === undefined || only === port) && matches(pattern, host)
  })
}

/** Lower case, without the brackets of an IPv6 address and the dot at the end of a full name. */
function plainHost(host: string): string {
  return host
    .toLowerCase()
    .replace(/^\[(.*)\](.*)$/, '$1$2')
    .replace(/\.$/, '')
}

/** An entry is split at its last colon, unless that belongs to an IPv6 address. */
function splitPort(entry: string): { pattern: string; port?: string } {
  const [, pattern, port] = /^(\[[^\]]*\]|[^:]*):(\d+)$/.exec(entry) ?? []
  return pattern !== undefined && port !== undefined
    ? { pattern: plainHost(pattern), port: String(Number(port)) }
    : { pattern: plainHost(entry) }
}

function matches(pattern: string, host: string): boolean {
  if (pattern.includes('*')) return glob(pattern).test(host)
  const address = isIP(host)
  if (address !== 0) {
    const [network = '', bits] = pattern.split('/')
    const range = rangeOf(network, bits)
    return range?.check(host, address === 4 ? 'ipv4' : 'ipv6') ?? false
  }
  const name = pattern.replace(/^\./, '')
  const domain = domainToASCII(name) || name
  return host === domain || host.endsWith(`.${domain}`)
}

function glob(pattern: string): RegExp {
  const parts = pattern.split('*').map((part) => part.replace(/[.[\]{}()+?^$|\\]/g, '\\$&'))
  return new RegExp(`^${parts.join('.*')}$`)
}

/** The addresses of `10.0.0.0/8` or of `10.0.0.1`; undefined if it is no address. */
function rangeOf(network: string, bits: string | undefined): BlockList | undefined {
  const family = isIPv4(network) ? 'ipv4' : isIPv6(network) ? 'ipv6' : undefined
  if (!family) return undefined
  const most = family === 'ipv4' ? 32 : 128
  if (bits !== undefined && (!/^\d{1,3}$/.test(bits) || Number(bits) > most)) return undefined
  const range = new BlockList()
  range.addSubnet(network, bits === undefined ? most : Number(bits), family)
  return range
}

/** Maximum time to open a tunnel, in milliseconds. */
const tunnelTimeout = 30_000

export interface TunnelTarget {
  readonly host: string
  readonly port: number
}

/** TLS settings for an https proxy. */
export interface ProxyTls {
  readonly ca?: string | undefined
  readonly verify_ssl: boolean
}

/**
 * A connection to a target through a proxy.
 * @param proxy URL of the proxy, as {@link parseProxy} gives it
 * @throws the fault of the connection to the proxy; Error with code EPROXY if the proxy failed (transient), or ERR_PROXY
 * if it refused. None shows credentials
 */
export function openTunnel(
  proxy: URL,
  target: TunnelTarget,
  tls: ProxyTls,
  signal: AbortSignal,
): Promise<Socket> {
  return proxy.protocol.startsWith('socks')
    ? socksTunnel(proxy, target, signal)
    : httpTunnel(proxy, target, tls, signal)
}

/** A tunnel by the method CONNECT. https://www.rfc-editor.org/rfc/rfc9110#name-connect */
function httpTunnel(proxy: URL, target: TunnelTarget, tls: ProxyTls, signal: AbortSignal): Promise<Socket> {
  const secure = proxy.protocol === 'https:'
  const authority = `${target.host.includes(':') ? `[${target.host}]` : target.host}:${target.port}`
  const options: RequestOptions & { autoSelectFamilyAttemptTimeout: number } = {
    method: 'CONNECT',
    autoSelectFamilyAttemptTimeout: addressTimeout,
    host: bare(proxy.hostname),
    port: proxy.port || (secure ? 443 : 80),
    path: authority,
    headers: { host: authority, ...authorization(proxy) },
    agent: false,
    signal,
    ...(secure && {
      rejectUnauthorized: tls.verify_ssl,
      ...(tls.ca !== undefined && { ca: [...rootCertificates, tls.ca] }),
    }),
  }
  return new Promise((resolve, reject) => {
    const request: ClientRequest = (secure ? httpsRequest : httpRequest)(options)
    request.setTimeout(tunnelTimeout, () =>
      request.destroy(new TimeoutError(tunnelTimeout, `no tunnel of the proxy ${proxy.host}`)),
    )
    request.once('connect', ({ statusCode = 0 }, socket: Socket, head: Buffer) => {
      socket.setTimeout(0)
      if (statusCode >= 200 && statusCode < 300) {
        if (head.length > 0) socket.unshift(head)
        resolve(socket)
        return
      }
      socket.destroy()
      reject(
        proxyError(
          `the proxy ${proxy.host} answered CONNECT ${authority} with status ${statusCode}`,
          isTransientStatus(statusCode),
        ),
      )
    })
    request.once('error', (error) => reject(explained(error, proxy)))
    request.end()
  })
}

/** Node reports "socket hang up" if a proxy ends the connection without an answer. */
function explained(error: NodeJS.ErrnoException, proxy: URL): Error {
  if (error.code !== 'ECONNRESET') return error
  return Object.assign(new Error(`the proxy ${proxy.host} ended the connection: ${error.message}`), {
    code: error.code,
  })
}

function authorization({ username, password }: URL): { 'proxy-authorization'?: string } {
  if (username === '' && password === '') return {}
  const basic = Buffer.from(`${decoded(username)}:${decoded(password)}`)
  return { 'proxy-authorization': `Basic ${basic.toString('base64')}` }
}

/** Permanent faults of a SOCKS proxy. */
const socksRefusal = /authentication|NotAllowed|no accepted|CommandNotSupported|AddressNotSupported/i

/** https://www.rfc-editor.org/rfc/rfc1928 */
async function socksTunnel(proxy: URL, target: TunnelTarget, signal: AbortSignal): Promise<Socket> {
  const { protocol, hostname, port, username, password, host } = proxy
  const { SocksClient } = await import('socks')
  const resolvedHere = protocol === 'socks5:' || protocol === 'socks4:'
  const to = resolvedHere
    ? (await lookup(target.host, { family: protocol === 'socks4:' ? 4 : 0 })).address
    : target.host
  signal.throwIfAborted()
  const client = new SocksClient({
    proxy: {
      host: bare(hostname),
      port: Number(port || 1080),
      type: protocol.startsWith('socks4') ? 4 : 5,
      ...(username !== '' && { userId: decoded(username) }),
      ...(password !== '' && { password: decoded(password) }),
    },
    command: 'connect',
    destination: { host: to, port: target.port },
    timeout: tunnelTimeout,
    // The client takes host and port from `proxy`.
    socket_options: { autoSelectFamilyAttemptTimeout: addressTimeout } as TcpSocketConnectOpts,
  })
  return new Promise((resolve, reject) => {
    client.once('established', ({ socket }) => {
      if (signal.aborted) socket.destroy()
      // The client has paused it.
      socket.resume()
      resolve(socket)
    })
    client.once('error', ({ message }: Error) => {
      // Not as a cause: the error carries the password. The code of a connection fault is in its message.
      const code = /\bE[A-Z]{3,}\b/.exec(message)?.[0]
      const error = proxyError(`the proxy ${host} failed: ${message}`, !socksRefusal.test(message))
      reject(code ? Object.assign(error, { code }) : error)
    })
    client.connect()
  })
}

/** Without the brackets of an IPv6 address. */
function bare(hostname: string): string {
  return hostname.replace(/^\[(.*)\]$/, '$1')
}

function proxyError(message: string, transient: boolean): Error {
  return Object.assign(new Error(message), { code: transient ? 'EPROXY' : 'ERR_PROXY' })
}
