import { once } from 'node:events'
import { createServer, get, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib'
import t from 'tap'
import { cleanError, credentialsOf, redacted, redactor, urlSecrets } from '../../lib/core/redaction.ts'
import { createCertificateAuthority, RestEmulator } from '../../lib/emulators/index.ts'
import { Agents } from '../../lib/http/agents.ts'
import { HttpClient, type HttpSettings } from '../../lib/http/client.ts'
import { plainText } from '../../lib/http/response.ts'
import { LocalProxy } from '../fixtures/proxy.ts'
import { everythingOf } from '../fixtures/sink-trial.ts'

interface Teardown {
  teardown(close: () => unknown): void
}

function clientFor(t: Teardown, settings: Partial<HttpSettings> = {}, secrets: string[] = []): HttpClient {
  const client = new HttpClient({ verify_ssl: true, ...settings }, redactor(secrets))
  t.teardown(() => client.close())
  return client
}

function post(client: HttpClient, url: string, signal = new AbortController().signal, timeout = 5000) {
  return client.request({
    method: 'POST',
    url,
    headers: { 'x-none': undefined },
    body: '{}',
    signal,
    timeout,
  })
}

const never = new AbortController().signal

async function startRest(t: Teardown, options = {}): Promise<RestEmulator> {
  const rest = await new RestEmulator(options).start()
  t.teardown(() => rest.close())
  return rest
}

t.test('a client names itself, keeps its connection and follows no redirect', async (t) => {
  const rest = await startRest(t)
  const client = clientFor(t)
  t.match(await post(client, `${rest.url}/a`), { status: 200 })
  for (const status of [301, 302, 303, 307, 308]) {
    rest.fail({ status, headers: { location: `${rest.url}/elsewhere` }, body: '' })
    t.match(await post(client, `${rest.url}/a`), { status })
  }
  rest.fail({ status: 500, body: 'text' })
  t.match(
    await post(client, `${rest.url}/a`),
    { status: 500, text: 'text' },
    'each status is a response, not tried again',
  )
  t.equal(rest.count, 7)
  t.ok(rest.requests.every(({ path }) => path === '/a'))
  t.match(rest.requests[0]?.headers['user-agent'], /^cyber-connectors\/\d+\.\d+\.\d+ node\/\d+/)
  t.equal(rest.connectionCount, 1)
})

t.test('long answers', async (t) => {
  const rest = await startRest(t)
  const client = clientFor(t)
  const long = { status: 200, body: 'x'.repeat(5_000_000) }
  const ask = (more: object) =>
    client.request({ method: 'GET', url: rest.url, headers: {}, signal: never, timeout: 5000, ...more })
  rest.fail(long, long, long, long)
  const tooLong = { name: 'AnswerTooLong', code: 'ERR_ANSWER_TOO_LONG' }
  await t.rejects(ask({}), { ...tooLong, message: 'the answer has more than 1000000 characters' })
  await t.rejects(ask({ limit: 4_999_999 }), tooLong)
  t.equal((await ask({ limit: 5_000_000 })).text.length, 5_000_000)
  const { text } = await ask({ cut: true })
  t.ok(text.length >= 1_000_000 && text.length < 1_200_000, `${text.length} characters`)
  t.match(await post(clientFor(t), rest.url), { status: 200 })
  // Each of these would take minutes if all of it were searched for tags.
  for (const tag of ['<', '<style>', '<a <']) t.ok(plainText(tag.repeat(1_000_000)).length <= 200)
  t.equal(
    plainText('<html><style>b{}</style><title>t</title>\n<h1 id="1">Not\tFound</h1></html>'),
    'Not Found',
  )
})

t.test('an idle connection is closed before 12 s, and does not keep the process alive', async (t) => {
  const server = createServer((_request, response) => void response.end('ok')).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  const agents = new Agents({ verify_ssl: true })
  const agent = agents.for(url).http
  const [response] = await once(get(url, { agent }), 'response')
  response.resume()
  const socket: Socket & { timeout?: number } = response.socket
  await once(response, 'end')
  await new Promise((resolve) => setImmediate(resolve))
  const free = Object.values(agent.freeSockets).flat()
  t.same(free, [socket])
  t.ok((socket.timeout ?? 0) > 0 && (socket.timeout ?? 0) < 12_000, `closed after ${socket.timeout} ms`)
  t.notOk((socket as unknown as { _handle: { hasRef(): boolean } })._handle.hasRef(), 'unreferenced')
  socket.emit('timeout')
  await once(socket, 'close')
  t.same(Object.values(agent.freeSockets).flat(), [])
  agents.close()
})

t.test('faults, time-out, abort', async (t) => {
  const rest = await startRest(t)
  const client = clientFor(t)
  for (const reset of ['before', 'after', 'within'] as const) {
    rest.fail({ reset, body: 'a longer body' })
    await t.rejects(post(client, rest.url), { code: 'ECONNRESET' })
  }
  rest.fail({ stall: 'before', times: 2 })
  await t.rejects(post(client, rest.url, undefined, 30), { name: 'TimeoutError', code: 'ETIMEDOUT' })
  const controller = new AbortController()
  const aborted = post(client, rest.url, controller.signal)
  await once(rest, 'request')
  controller.abort()
  await t.rejects(aborted, { name: 'AbortError' })
  await t.rejects(post(client, rest.url, controller.signal), { name: 'AbortError' }, 'aborted before')
  t.match(
    await post(client, rest.url, undefined, 1e12).catch((error) => error),
    { status: 200 },
    'a very long time',
  )
})

t.test('closing ends the connections', async (t) => {
  const rest = await startRest(t)
  rest.fail({ stall: 'before' })
  const client = clientFor(t)
  const cut = post(client, rest.url).catch((error) => error)
  await once(rest, 'request')
  client.close()
  t.match(await cut, { code: 'ECONNRESET' })
})

t.test('TLS', async (t) => {
  const authority = await createCertificateAuthority()
  const rest = await startRest(t, { tls: authority })
  t.match(await post(clientFor(t, { ca: authority.ca }), rest.url), { status: 200 })
  t.match(await post(clientFor(t, { verify_ssl: false }), rest.url), { status: 200 })
  await t.rejects(post(clientFor(t), rest.url), { code: /CERT|UNABLE_TO_VERIFY/ })
  const other = await createCertificateAuthority()
  await t.rejects(post(clientFor(t, { ca: other.ca }), rest.url), { code: /CERT|UNABLE_TO_VERIFY/ })
})

t.test('proxy', async (t) => {
  const authority = await createCertificateAuthority()
  const secure = await startRest(t, { tls: authority })
  const plain = await startRest(t)
  const proxy = await new LocalProxy().start()
  t.teardown(() => proxy.close())
  const url = `http://ann:pass%20word1@127.0.0.1:${proxy.port}`
  const basic = `Basic ${Buffer.from('ann:pass word1').toString('base64')}`

  await t.test('by option', async (t) => {
    const client = clientFor(t, { proxy: url, ca: authority.ca })
    t.match(await post(client, `${secure.url}/x`), { status: 200 })
    t.match(await post(client, `${secure.url}/x`), { status: 200 })
    t.same(proxy.asked, [`CONNECT ${secure.url.replace('https://', '')}`], 'one tunnel, kept')
    for (let time = 0; time < 3; time++) {
      t.match(await post(client, `${plain.url}/x`), { status: 200 })
    }
    t.same(proxy.asked.slice(1), [`CONNECT ${plain.url.replace('http://', '')}`], 'plain HTTP too')
    t.same(
      plain.requests.map(({ body }) => body.toString()),
      ['{}', '{}', '{}'],
    )
    t.same(proxy.authorizations, [basic, basic])
    for (const { headers } of [...secure.requests, ...plain.requests]) {
      t.equal(headers['proxy-authorization'], undefined, 'the service does not see it')
    }
    await t.rejects(
      post(clientFor(t, { proxy: url }), secure.url),
      { code: /CERT|UNABLE_TO_VERIFY/ },
      'checked through a tunnel too',
    )
  })

  await t.test('by environment, and not for NO_PROXY', async (t) => {
    proxy.asked.length = 0
    const kept = { ...process.env }
    t.teardown(() => {
      process.env = kept
    })
    Object.assign(process.env, { HTTPS_PROXY: url, HTTP_PROXY: url, NO_PROXY: 'example.com' })
    t.match(await post(clientFor(t, { ca: authority.ca }), secure.url), { status: 200 })
    t.match(await post(clientFor(t), plain.url), { status: 200 })
    t.equal(proxy.asked.length, 2)
    process.env['NO_PROXY'] = '127.0.0.1'
    t.match(await post(clientFor(t, { ca: authority.ca }), secure.url), { status: 200 })
    t.equal(proxy.asked.length, 2)
  })

  await t.test('that refuses, or is not there: no password in the error', async (t) => {
    proxy.refuse = 407
    await t.rejects(post(clientFor(t, { proxy: url, ca: authority.ca }), secure.url), { code: 'ERR_PROXY', message: / answered CONNECT .* with status 407$/ }) // biome-ignore format: a line
    const away = await new LocalProxy().start()
    const nowhere = `http://ann:pass%20word1@localhost:${away.port}`
    await away.close()
    for (const target of [secure.url, plain.url]) {
      const error = await post(clientFor(t, { proxy: nowhere, ca: authority.ca }), target).catch(
        (error) => error,
      )
      t.match(error, { code: 'ECONNREFUSED', message: /ECONNREFUSED/ })
      t.notMatch(everythingOf(error), /pass( |%20)word1/)
    }
    const kept = { ...process.env }
    t.teardown(() => {
      process.env = kept
    })
    process.env['HTTPS_PROXY'] = 'ftp://ann:pass%20word1@nowhere'
    const error = await post(clientFor(t, { ca: authority.ca }), secure.url).catch((error) => error)
    t.type(error, Error)
    t.notMatch(everythingOf(error), /pass( |%20)word1/)
  })
})

t.test('redaction', async (t) => {
  const redact = redactor(['s3cret', 'a"b c', undefined, '', 's3cret-longer'])
  t.equal(redact('x s3cret s3cret-longer s3cret'), `x ${redacted} ${redacted} ${redacted}`)
  t.equal(redact('a"b c a%22b%20c a\\"b c'), `${redacted} ${redacted} ${redacted}`, 'in a URL and in JSON')
  t.equal(redactor([])('text'), 'text')
  t.same(credentialsOf('http://proxy:3128'), [])
  t.ok(credentialsOf('http://ann:pass%20word1@proxy').includes('pass word1'))
  t.ok(credentialsOf('http://ann:100%@proxy').includes('100%'))
  t.same(credentialsOf('no url'), ['no url'])
  const parts = urlSecrets('https://ann:p%40ss@hook.example/p%C3%A4th-long-enough')
  for (const part of ['p@ss', '/päth-long-enough', Buffer.from('ann:p@ss').toString('base64')])
    t.ok(parts.includes(part), part)
  t.ok(urlSecrets('https://hook.example/webhook/abcdefgh12345?key=verysecret').includes('abcdefgh12345'))

  const inner = Object.assign(new TypeError('inner s3cret'), {
    code: 'EINNER',
    request: { headers: 's3cret' },
  })
  const error = Object.assign(new Error('outer s3cret', { cause: inner }), {
    code: 'EOUTER',
    options: { password: 's3cret' },
  })
  const clean = cleanError(error, redact)
  t.match(clean, {
    name: 'Error',
    message: `outer ${redacted}`,
    code: 'EOUTER',
    cause: { name: 'TypeError', message: `inner ${redacted}`, code: 'EINNER' },
  })
  t.match(clean.stack, `outer ${redacted}`)
  t.notMatch(everythingOf(clean), 's3cret')
  t.match(cleanError('a text s3cret', redact), { message: `a text ${redacted}` })
  const cycle = new Error('cycle')
  cycle.cause = cycle
  t.match(cleanError(cycle, redact), { message: 'cycle' })
  const several = new AggregateError([new Error('one s3cret'), new Error('two')])
  t.match(cleanError(several, redact), { message: `one ${redacted}; two` }, 'all addresses of a host failed')
})

/** A server that answers each request by itself. */
async function serve(
  t: Teardown,
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<string> {
  const server = createServer(answer).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
}

t.test('a streamed answer', async (t) => {
  const open = (client: HttpClient, url: string, more: object = {}) =>
    client.stream({ method: 'GET', url, headers: {}, signal: never, timeout: 5000, ...more })
  const long = 'row \u00e4\n'.repeat(1_000_000)

  await t.test('comes whole, however long and however packed', async (t) => {
    const packed = { gzip: gzipSync(long), 'x-gzip': gzipSync(long), deflate: deflateSync(long), br: brotliCompressSync(long, { params: { 1: 1 } }) } // biome-ignore format: a table
    let agent: string | undefined
    const url = await serve(t, ({ url, headers }, response) => {
      agent = headers['user-agent']
      const encoding = url!.slice(1) as keyof typeof packed
      if (encoding in packed) response.writeHead(206, { 'content-encoding': encoding })
      response.end(packed[encoding] ?? long)
    })
    const client = clientFor(t)
    for (const encoding of ['', ...Object.keys(packed)]) {
      const { status, body } = await open(client, `${url}${encoding}`)
      t.equal(status, encoding ? 206 : 200)
      t.ok((await text(body)) === long, encoding)
    }
    t.match(agent, /^cyber-connectors/)
    const { headers, body } = await open(client, `${url}gzip`, { decompress: false })
    t.equal(headers['content-encoding'], 'gzip')
    const bytes = Buffer.concat(await body.toArray())
    t.ok(bytes.equals(packed.gzip))
  })

  await t.test('is read as it is asked for, and its connection is used again', async (t) => {
    let sent = 0
    let connections = 0
    const sockets = new Set<Socket>()
    const url = await serve(t, (request, response) => {
      if (!sockets.has(request.socket)) connections++
      sockets.add(request.socket)
      const more = () => {
        while (sent < 50_000_000) {
          sent += 65_536
          if (!response.write(Buffer.alloc(65_536))) return void response.once('drain', more)
        }
        response.end()
      }
      more()
    })
    const client = clientFor(t)
    const { body } = await open(client, url, { stallTimeout: 60_000 })
    await once(body, 'readable')
    t.ok(sent < 25_000_000, `${sent} bytes were sent of a body that nobody reads`)
    let bytes = 0
    for await (const chunk of body) bytes += (chunk as Buffer).length
    t.equal(bytes, sent)
    sent = 49_999_999
    await text((await open(client, url)).body)
    t.equal(connections, 1)
  })

  await t.test('faults, silence, abort', async (t) => {
    let answers = 0
    const closed = new Set<string>()
    const url = await serve(t, ({ url, socket }, response) => {
      answers++
      socket.once('close', () => closed.add(url!))
      if (url === '/silent') return
      response.writeHead(200, url === '/gzip' ? { 'content-encoding': 'gzip' } : { 'x-secret': 's3cret' })
      response.write(url === '/gzip' ? gzipSync(long).subarray(0, 1000) : 's3cret, but a body')
      if (url === '/cut' || url === '/gzip') setImmediate(() => socket.destroy())
    })
    const client = clientFor(t, {}, ['s3cret'])
    // Long enough for the request to be with the server, which has to see its connection end.
    await t.rejects(open(client, `${url}silent`, { timeout: 300 }), {
      name: 'TimeoutError',
      code: 'ETIMEDOUT',
    })
    for (const path of ['cut', 'gzip']) {
      const { body } = await open(client, `${url}${path}`)
      const error = await text(body).catch((error) => error)
      t.match(error, { code: 'ECONNRESET' }, path)
      t.notMatch(everythingOf(error), 's3cret')
      t.ok(body.destroyed)
    }
    const stalled = await open(client, `${url}stalled`, { stallTimeout: 20 })
    await t.rejects(text(stalled.body), { name: 'TimeoutError', code: 'ETIMEDOUT', message: 'no byte of the answer came within 0.02 s' }) // biome-ignore format: a line
    const controller = new AbortController()
    const { body } = await open(client, `${url}aborted`, { signal: controller.signal })
    const read = text(body)
    controller.abort()
    await t.rejects(read, { name: 'AbortError' })
    await t.rejects(open(client, url, { signal: controller.signal }), { name: 'AbortError' })
    const dropped = await open(client, `${url}dropped`)
    dropped.body.destroy()
    while (closed.size < answers) await new Promise((resolve) => setImmediate(resolve))
    t.equal(answers, 6, 'whoever lets go of a body ends its connection')
    const refused = await open(client, url.replace(/\d+\/$/, '9/')).catch((error) => error)
    t.match(refused, { code: 'ECONNREFUSED' })
  })

  await t.test('a slow reader is no silent server', async (t) => {
    const url = await serve(t, ({ url }, response) => {
      if (url === '/silent') response.writeHead(200).flushHeaders()
      else response.end(Buffer.alloc(10_000_000))
    })
    const client = clientFor(t)
    const { body } = await open(client, url, { stallTimeout: 300 })
    const reader = body[Symbol.asyncIterator]()
    await reader.next()
    // Until a server has been silent for too long.
    const silent = await open(client, `${url}silent`, { stallTimeout: 300 })
    await t.rejects(text(silent.body), { code: 'ETIMEDOUT' })
    let bytes = 0
    for await (const chunk of { [Symbol.asyncIterator]: () => reader }) bytes += (chunk as Buffer).length
    t.ok(bytes > 9_000_000)
  })
})
