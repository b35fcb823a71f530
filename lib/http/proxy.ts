import { BlockList, isIP, isIPv4, isIPv6 } from 'node:net'
import { domainToASCII } from 'node:url'
import { ConnectorError } from '../core/errors.ts'

const proxyForm =
  'the URL of a proxy: http://, https://, socks5:// (names resolved here), socks5h:// (by the proxy) or socks4://; without a scheme it is http'

const schemes = new Set(['http:', 'https:', 'socks:', 'socks4:', 'socks4a:', 'socks5:', 'socks5h:'])

/** The URL of a proxy, with a scheme. Undefined where the text is none. */
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
 * The proxy for a URL by the environment, as curl has it: `https_proxy` or `http_proxy` by the URL's scheme, else
 * `all_proxy`; each in lower or upper case, the lower one first. `no_proxy` lists, with commas or spaces between, what
 * goes directly: hosts with all their subdomains, `*` for any text, IP addresses, CIDR ranges, each with or without a
 * port. Names are not resolved to compare them with addresses.
 * @returns the empty text where there is none
 * @throws ConnectorError ERR_OPTION where the variable holds no proxy
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

/** The addresses of `10.0.0.0/8` or of `10.0.0.1`; undefined where it is no address. */
function rangeOf(network: string, bits: string | undefined): BlockList | undefined {
  const family = isIPv4(network) ? 'ipv4' : isIPv6(network) ? 'ipv6' : undefined
  if (!family) return undefined
  const most = family === 'ipv4' ? 32 : 128
  if (bits !== undefined && (!/^\d{1,3}$/.test(bits) || Number(bits) > most)) return undefined
  const range = new BlockList()
  range.addSubnet(network, bits === undefined ? most : Number(bits), family)
  return range
}
