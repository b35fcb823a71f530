import { createPrivateKey } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import {
  type AddressInfo,
  connect,
  createServer as createTcpServer,
  type Server,
  Socket,
  type TcpSocketConnectOpts,
} from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import t from 'tap'
import { KafkaReadable } from '../../lib/connectors/kafka/index.ts'
import { RestWritable } from '../../lib/connectors/rest/index.ts'
import { SplunkWritable } from '../../lib/connectors/splunk/index.ts'
import { redactor } from '../../lib/core/redaction.ts'
import { isTransientFault } from '../../lib/core/retry.ts'
import { createCertificateAuthority, RestEmulator } from '../../lib/emulators/index.ts'
import { HttpClient } from '../../lib/http/client.ts'
import type { HttpSettings } from '../../lib/http/options.ts'
import { LocalProxy } from '../fixtures/proxy.ts'
import { everythingOf } from '../fixtures/sink-trial.ts'
import { SocksProxy } from '../fixtures/socks-proxy.ts'

interface Teardown {
  teardown(close: () => unknown): void
}

const { signal } = new AbortController()

function clientFor(t: Teardown, settings: Partial<HttpSettings> = {}): HttpClient {
  const client = new HttpClient({ verify_ssl: true, ...settings }, redactor([]))
  t.teardown(() => client.close())
  return client
}

function get(client: HttpClient, url: string, timeout = 5000) {
  return client.request({ method: 'GET', url, headers: {}, signal, timeout })
}

async function listen(t: Teardown, server: Server): Promise<number> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => sockets.add(socket))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return (server.address() as AddressInfo).port
}

async function rest(t: Teardown, options = {}): Promise<RestEmulator> {
  const emulator = await new RestEmulator(options).start()
  t.teardown(() => emulator.close())
  return emulator
}

/** The options with which Node opens connections from now on. */
function openings(t: Teardown): TcpSocketConnectOpts[] {
  const seen: TcpSocketConnectOpts[] = []
  const { connect } = Socket.prototype
  t.teardown(() => {
    Socket.prototype.connect = connect
  })
  Socket.prototype.connect = function (this: Socket, ...given: unknown[]) {
    const [first] = given.flat() as [TcpSocketConnectOpts]
    if (typeof first === 'object') seen.push(first)
    return Reflect.apply(connect, this, given)
  } as typeof connect
  return seen
}

t.test('each address of a host has seconds to answer, not the 250 ms of Node', async (t) => {
  const authority = await createCertificateAuthority()
  const [secure, plain] = [await rest(t, { tls: authority }), await rest(t)]
  const [http, socks] = [await new LocalProxy().start(), await new SocksProxy().start()]
  t.teardown(() => Promise.all([http.close(), socks.close()]))
  const { key, cert } = await authority.issue()
  const secureProxy = createSecureServer({ key, cert }).on('connect', (_, socket) => socket.end('HTTP/1.1 503 Busy\r\n\r\n')) // biome-ignore format: a line
  const proxies = [
    '',
    `http://127.0.0.1:${http.port}`,
    `https://127.0.0.1:${await listen(t, secureProxy)}`,
    `socks5h://127.0.0.1:${socks.port}`,
  ]
  const seen = openings(t)
  for (const proxy of proxies) {
    for (const { url } of [secure, plain]) {
      seen.length = 0
      await get(clientFor(t, { ca: authority.ca, proxy }), url).catch(() => {})
      const { port } = new URL(proxy || url)
      const to = seen.filter((options) => String(options.port) === port)
      t.equal(to.length, 1, `${proxy} to ${url}: one connection`)
      t.ok(to[0]!.autoSelectFamilyAttemptTimeout! >= 2000, `${proxy} to ${url}`)
    }
  }
  seen.length = 0
  const broker = { bootstrap_servers: secure.url.replace('https://', ''), ca: authority.ca }
  const messages = new KafkaReadable({ ...broker, subscribe: 'any', max_retries: 0, request_timeout: 1 })
  await rejection(messages.toArray())
  t.ok(seen.length > 0)
  t.ok(seen.every(({ autoSelectFamilyAttemptTimeout }) => autoSelectFamilyAttemptTimeout! >= 2000), 'Kafka') // biome-ignore format: a line
})

t.test('after which statuses a connection is used again', async (t) => {
  const emulator = await rest(t)
  for (const [status, again] of [[200, true], [204, true], [400, true], [401, false], [404, true], [408, true], [413, true], [429, false], [500, true], [502, false], [503, false], [504, false], [507, true]] as const) {
    const client = clientFor(t)
    const before = emulator.connectionCount
    emulator.fail({ status, body: '' })
    await get(client, emulator.url)
    await get(client, emulator.url)
    t.equal(emulator.connectionCount - before, again ? 1 : 2, String(status))
    emulator.fail({ status, body: 'a body' })
    const { body } = await client.stream({ method: 'GET', url: emulator.url, headers: {}, signal, timeout: 5000 })
    await body.toArray()
    await get(client, emulator.url)
    t.equal(emulator.connectionCount - before, again ? 1 : 3, `${status}, streamed`)
  } // biome-ignore format: a table
})

t.test('behind a balancer a retry comes to another member', async (t) => {
  let asked: number[] = []
  const members = await Promise.all(
    [503, 200, 200].map((status, member) =>
      listen(
        t,
        createServer((request, response) => {
          asked.push(member)
          request.resume().on('end', () => response.writeHead(status).end())
        }),
      ),
    ),
  )
  let connections = 0
  const balancer = createTcpServer((socket) => {
    const member = connect(members[connections++ % members.length]!, '127.0.0.1')
    for (const each of [socket, member]) each.on('error', () => {})
    socket.pipe(member).pipe(socket)
  })
  const url = `http://127.0.0.1:${await listen(t, balancer)}/`
  await pipeline([{ n: 1 }, { n: 2 }], new RestWritable({ url, initial_backoff: 0.001, max_backoff: 0.002 }))
  t.same(asked, [0, 1, 1], 'one attempt at the member that is down; what is well is kept')
  asked = []
  const young = new RestWritable({ url, initial_backoff: 0.001, max_backoff: 0.002, max_connection_seconds: 1e-6 }) // biome-ignore format: a line
  await pipeline([{ n: 1 }, { n: 2 }, { n: 3 }, { n: 4 }], young)
  t.same([...new Set(asked)].sort(), [0, 1, 2], 'with a maximum age the load spreads')
})

t.test('what a server, a TLS handshake and a proxy do may pass', async (t) => {
  const authority = await createCertificateAuthority()
  const { key, cert } = await authority.issue()
  const secure = await rest(t, { tls: authority })
  const proxy = await new LocalProxy().start()
  t.teardown(() => proxy.close())
  const fault = async (url: string, settings: Partial<HttpSettings> = {}) => {
    const error = await get(clientFor(t, { ca: authority.ca, ...settings }), url, 2000).catch(
      (error) => error,
    )
    t.type(error, Error)
    return [error.code, isTransientFault(error)]
  }
  const port = (server: (socket: Socket) => void) => listen(t, createTcpServer((socket) => server(socket.on('error', () => {})))) // biome-ignore format: a line
  const clear = await port((socket) => socket.once('data', () => socket.end('HTTP/1.1 503 Busy\r\n\r\n')))
  t.match(await fault(`https://127.0.0.1:${clear}`), [/EPROTO|ERR_SSL_/, true], 'clear text instead of TLS')
  const alert = await port((socket) => socket.once('data', () => socket.end(Buffer.from([21, 3, 3, 0, 2, 2, 80])))) // biome-ignore format: a line
  t.match(await fault(`https://127.0.0.1:${alert}`), [/EPROTO|ERR_SSL_/, true], 'a TLS alert: internal error')
  const ends = await port((socket) => socket.once('data', () => socket.end()))
  t.match(await fault(`https://127.0.0.1:${ends}`), ['ECONNRESET', true], 'ends in the handshake')
  t.match(await fault(`http://127.0.0.1:${ends}`), ['ECONNRESET', true], 'ends without an answer')
  t.match(await fault(secure.url, { proxy: `http://127.0.0.1:${ends}` }), ['ECONNRESET', true], 'a proxy that ends CONNECT') // biome-ignore format: a line
  const garbage = await port((socket) => socket.once('data', () => socket.end('garbage\r\n\r\n')))
  t.match(await fault(secure.url, { proxy: `http://127.0.0.1:${garbage}` }), [/^HPE_/, true], 'a proxy that answers garbage') // biome-ignore format: a line
  const half = await port((socket) => socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\n')))
  t.match(
    await fault(secure.url, { proxy: `http://127.0.0.1:${half}` }),
    ['ECONNRESET', true],
    'half an answer',
  )
  const through = { proxy: `http://127.0.0.1:${proxy.port}` }
  for (const [status, code, transient] of [[400, 'ERR_PROXY', false], [403, 'ERR_PROXY', false], [407, 'ERR_PROXY', false], [429, 'EPROXY', true], [500, 'EPROXY', true], [502, 'EPROXY', true], [503, 'EPROXY', true], [504, 'EPROXY', true]] as const) {
    proxy.refuse = status
    t.match(await fault(secure.url, through), [code, transient], `CONNECT: ${status}`)
  } // biome-ignore format: a table
  proxy.refuse = undefined
  const silent = await port(() => {})
  t.match(
    await fault(secure.url, { proxy: `http://127.0.0.1:${silent}` }),
    ['ETIMEDOUT', true],
    'a silent proxy',
  )

  await t.test('certificates are final', async (t) => {
    const other = await createCertificateAuthority()
    const elsewhere = await authority.issue(['elsewhere.example'])
    const name = await listen(
      t,
      createSecureServer(elsewhere, (_, response) => response.end()),
    )
    for (const settings of [{}, through]) {
      t.match(await fault(secure.url, { ca: other.ca, ...settings }), [/CERT|UNABLE_TO/, false])
      t.match(await fault(`https://127.0.0.1:${name}`, settings), ['ERR_TLS_CERT_ALTNAME_INVALID', false])
    }
    t.match(await fault(secure.url, { ca: undefined }), [/CERT|UNABLE_TO/, false])
  })

  await t.test('a proxy with TLS of its own', async (t) => {
    const server = createSecureServer({ key, cert })
    server.on('connect', ({ url }, socket) => {
      const [host, port] = url!.split(':')
      const target = connect(Number(port), host, () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n')
        socket.pipe(target).pipe(socket)
      })
      for (const each of [socket, target]) each.on('error', () => {})
    })
    const url = `https://127.0.0.1:${await listen(t, server)}`
    t.match(await get(clientFor(t, { proxy: url, ca: authority.ca }), secure.url), { status: 200 })
    t.match(await fault(secure.url, { proxy: url, ca: undefined }), [/CERT|UNABLE_TO/, false])
  })
})

t.test('SOCKS', async (t) => {
  const authority = await createCertificateAuthority()
  const [secure, plain] = [await rest(t, { tls: authority }), await rest(t)]
  const proxy = await new SocksProxy().start()
  t.teardown(() => proxy.close())
  const { ca } = authority
  const client = clientFor(t, { ca, proxy: `socks5h://127.0.0.1:${proxy.port}` })
  for (const { url } of [secure, plain]) {
    const target = `${url.replace('127.0.0.1', 'localhost')}/x`
    t.match(await get(client, target), { status: 200 })
    t.match(await get(client, target), { status: 200 })
  }
  const ports = [secure, plain].map(({ url }) => new URL(url).port)
  t.same(proxy.asked, [`name localhost:${ports[0]}`, `name localhost:${ports[1]}`], 'one tunnel each, kept')
  const resolved = clientFor(t, { ca, proxy: `socks5://127.0.0.1:${proxy.port}` })
  t.match(await get(resolved, `https://127.0.0.1:${ports[0]}`), { status: 200 })
  t.equal(proxy.asked.at(-1), `address 127.0.0.1:${ports[0]}`)

  proxy.login = 'ann:pass word1'
  const login = (password: string) =>
    clientFor(t, { ca, proxy: `socks5h://ann:${password}@127.0.0.1:${proxy.port}` })
  t.match(await get(login('pass%20word1'), secure.url), { status: 200 })
  const wrong = await get(login('pass%20word2'), secure.url).catch((error) => error)
  t.match(wrong, { code: 'ERR_PROXY' })
  t.notOk(isTransientFault(wrong))
  t.notMatch(everythingOf(wrong), /pass( |%20)word2/)
  proxy.login = undefined
  for (const [refuse, transient] of [[1, true], [2, false], [3, true], [4, true], [5, true], [7, false], ['end', true]] as const) {
    proxy.refuse = refuse
    const error = await get(login('x'), secure.url).catch((error) => error)
    t.equal(isTransientFault(error), transient, `${refuse}: ${error.message}`)
  } // biome-ignore format: a table
  const nobody = await get(clientFor(t, { proxy: 'socks5://127.0.0.1:9' }), plain.url).catch((error) => error)
  t.match(nobody, { code: 'ECONNREFUSED' })
})

function rejection(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => undefined,
    (error: unknown) => error,
  )
}

t.test('client certificates', async (t) => {
  const authority = await createCertificateAuthority()
  const server = await authority.issue()
  const { key, cert } = await authority.issue(['client'])
  const other = await (await createCertificateAuthority()).issue(['client'])
  const common = { ca: authority.ca, requestCert: true, rejectUnauthorized: true }
  const secure = createSecureServer({ ...server, ...common }, (request, response) => {
    request.resume().on('end', () => response.end('{"text":"Success","code":0}'))
  })
  const url = `https://127.0.0.1:${await listen(t, secure)}/services/collector/event`
  const proxy = await new LocalProxy().start()
  t.teardown(() => proxy.close())
  const { ca } = authority
  const locked = createPrivateKey(key).export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'open s3same' }) // biome-ignore format: a line
  const folder = await mkdtemp(join(tmpdir(), 'certificates-'))
  const files = { cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') }
  await writeFile(files.cert, cert)
  await writeFile(files.key, locked)

  const write = (options: object) => pipeline([{ n: 1 }], new RestWritable({ url, ...options }))
  await write({ ca, cert, key })
  await write({ ca, cert, key: locked, passphrase: 'open s3same' })
  await write({ ca, ...files, passphrase: 'open s3same' })
  await write({ ca, cert, key, proxy: `http://127.0.0.1:${proxy.port}` })
  await pipeline([{ n: 1 }], new SplunkWritable({ url, token: 't', ca, cert: Buffer.from(cert), key }))
  // What a server says of it is often no more than a failed handshake, which may pass.
  for (const wrong of [{}, other])
    t.match(await rejection(write({ ca, ...wrong, max_retries: 0 })), { code: 'ERR_DELIVERY' })
  for (const alert of [42, 43, 44, 45, 46, 48, 49]) {
    const refusing = createTcpServer((socket) =>
      socket.on('error', () => {}).once('data', () => socket.end(Buffer.from([21, 3, 3, 0, 2, 2, alert]))),
    )
    const error = await rejection(write({ url: `https://127.0.0.1:${await listen(t, refusing)}`, max_retries: 1 })) // biome-ignore format: a line
    t.match(error, { message: new RegExp(`alert number ${alert}`), attempts: undefined }, `final: ${alert}`)
  }

  const problem = (options: object) => {
    try {
      new RestWritable({ url, ...options }).destroy()
      return undefined
    } catch (error) {
      t.notMatch(everythingOf(error), /open s|PRIVATE KEY-----\s*M/)
      return (error as { problems: string[] }).problems
    }
  }
  t.same(problem({ cert }), ['cert: needs key, which is missing'])
  t.same(problem({ key }), ['key: needs cert, which is missing'])
  t.same(problem({ passphrase: 'open sesame' }), ['passphrase: needs key, which is missing'])
  t.same(problem({ cert, key: other.key }), ['key: is not the private key of cert'])
  t.same(problem({ cert, key: locked }), ['key: is encrypted: give its passphrase'])
  // About one wrong passphrase in 256 gives bytes that look well until they are read as a key.
  for (let wrong = 0; wrong < 100; wrong++)
    t.same(problem({ cert, key: locked, passphrase: `open sesame ${wrong}` }), [
      'key: the passphrase does not open it',
    ])
  t.same(problem({ cert: key, key }), ['cert: holds no PEM certificate'])
  t.same(problem({ ca: key }), ['ca: holds no PEM certificate'])
  t.match(problem({ cert: '/no/such/file', key }), [/^cert: can't read the certificate file "\/no\/such\/file" \(ENOENT\)$/]) // biome-ignore format: a line
  t.match(problem({ cert, key: files.cert }), [/^key: ".*cert\.pem" holds no PEM private key$/])
})
