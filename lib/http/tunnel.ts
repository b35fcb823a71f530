import { lookup } from 'node:dns/promises'
import { type ClientRequest, request as httpRequest } from 'node:http'
import { request as httpsRequest, type RequestOptions } from 'node:https'
import type { Socket } from 'node:net'
import { rootCertificates } from 'node:tls'
import { decoded } from '../core/redaction.ts'
import { isTransientStatus } from '../core/retry.ts'
import { TimeoutError } from './deadline.ts'

/** Milliseconds until a proxy must have made a tunnel. */
const tunnelTimeout = 30_000

export interface TunnelTarget {
  readonly host: string
  readonly port: number
}

/** How the certificate of an https proxy is checked. */
export interface ProxyTls {
  readonly ca?: string | undefined
  readonly verify_ssl: boolean
}

/**
 * A connection to a target through a proxy.
 * @param proxy URL of the proxy, as {@link parseProxy} gives it
 * @throws the fault of the connection to the proxy; Error with code EPROXY where the proxy failed, which is transient, or
 * ERR_PROXY where it refuses. None tells credentials
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
  const options: RequestOptions = {
    method: 'CONNECT',
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

/** Node says "socket hang up" of a proxy that ends the connection in place of an answer. */
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

/** What a SOCKS proxy says that no retry changes. */
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
  })
  return new Promise((resolve, reject) => {
    client.once('established', ({ socket }) => {
      if (signal.aborted) socket.destroy()
      // The client has paused it.
      socket.resume()
      resolve(socket)
    })
    client.once('error', ({ message }: Error) => {
      // Not the error itself: it carries the options, with the password. A fault of the connection is in its text.
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
