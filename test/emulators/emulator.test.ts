import { once } from 'node:events'
import http, { type IncomingMessage } from 'node:http'
import https from 'node:https'
import { networkInterfaces } from 'node:os'
import { Readable } from 'node:stream'
import { buffer, json, text } from 'node:stream/consumers'
import { gunzipSync, gzipSync } from 'node:zlib'
import t from 'tap'
import type { Answer } from '../../lib/emulators/answer.ts'
import { createCertificateAuthority, Emulator, type RecordedRequest } from '../../lib/emulators/index.ts'

const BODY = { text: 'x'.repeat(2000) }

class Echo extends Emulator {
  taken: string[] = []
  protected serve(request: RecordedRequest): Answer {
    this.taken.push(request.body.toString())
    if (request.path === '/stream')
      return { status: 200, body: Readable.from([Buffer.from('first,'), Buffer.from('second')]) }
    if (request.path === '/empty') return { status: 204 }
    if (request.path === '/bug') throw new Error('a bug')
    return { status: 200, body: BODY }
  }
}

interface Options extends https.RequestOptions {
  body?: string | Buffer
}

/** One request over `node:http(s)`; resolves with the head of the answer. */
async function ask(url: string, { body, ...options }: Options = {}): Promise<IncomingMessage> {
  const request = (url.startsWith('https') ? https : http).request(url, {
    method: body === undefined ? 'GET' : 'POST',
    ...options,
  })
  request.end(body)
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  return response
}

t.test('serves, records, gzips', async (t) => {
  const echo = await new Echo().start()
  t.teardown(() => echo.close())

  const plain = await ask(`${echo.url}/a%20b?api%2Dversion=1&x=%C3%A9`, { body: 'hello' })
  t.same(await json(plain), BODY)
  t.notOk(plain.headers['content-encoding'])
  t.equal(Number(plain.headers['content-length']), JSON.stringify(BODY).length)
  t.equal(echo.count, 1)
  const [first] = echo.requests
  t.match(first, { method: 'POST', path: '/a%20b', wireBytes: 5, connection: 1, status: 200 })
  t.equal(first?.query.get('api-version'), '1')
  t.equal(first?.query.get('x'), 'é')
  t.equal(first?.body.toString(), 'hello')

  for (const accept of ['gzip', 'GZIP', 'deflate, GZip;q=0.5', 'x-gzip']) {
    const response = await ask(echo.url, { headers: { 'accept-encoding': accept } })
    t.equal(response.headers['content-encoding'], 'gzip', accept)
    t.same(JSON.parse(gunzipSync(await buffer(response)).toString()), BODY)
  }
  for (const refuse of ['identity', 'gzip;q=0', 'deflate', 'gzip;q=0.0, deflate']) {
    const response = await ask(echo.url, { headers: { 'accept-encoding': refuse } })
    t.notOk(response.headers['content-encoding'], refuse)
    response.resume()
  }
  const streamed = await ask(`${echo.url}/stream`, { headers: { 'accept-encoding': 'gzip' } })
  t.equal(gunzipSync(await buffer(streamed)).toString(), 'first,second')
  t.equal(await text(await ask(`${echo.url}/stream`)), 'first,second')
  const empty = await ask(`${echo.url}/empty`, { headers: { 'accept-encoding': 'gzip' } })
  t.equal(empty.statusCode, 204)
  t.notOk(empty.headers['content-length'])
  t.match(await text(await ask(`${echo.url}/bug`)), 'a bug')
  t.equal(await text(await ask(echo.url, { method: 'HEAD' })), '')

  echo.taken.length = 0
  const packed = gzipSync('packed')
  await ask(echo.url, { body: packed, headers: { 'content-encoding': 'gzip' } })
  const large = 'y'.repeat(1_000_000)
  await ask(echo.url, { body: gzipSync(large), headers: { 'content-encoding': 'GZIP' } })
  await ask(echo.url, { body: packed.subarray(0, 12), headers: { 'content-encoding': 'gzip' } })
  t.strictSame(echo.taken.slice(0, 2), ['packed', large])
  t.match(echo.requests.at(-3), { wireBytes: packed.length })
  t.equal(echo.requests.at(-1)?.brokenGzip, true)
})

t.test('keep-alive, restart on the same port, events', async (t) => {
  const echo = await new Echo({ record: false }).start()
  t.teardown(() => echo.close())
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
  t.teardown(() => agent.destroy())
  for (let i = 0; i < 3; i++) await text(await ask(echo.url, { agent }))
  t.equal(echo.connectionCount, 1)
  t.equal(echo.count, 3)
  t.equal(echo.requests.length, 0)
  const { url } = echo
  await echo.close()
  await echo.close()
  await t.rejects(ask(url), { code: 'ECONNREFUSED' })
  const requested = once(echo, 'request')
  const answered = once(echo, 'response')
  await (await echo.start()).start()
  t.equal(echo.url, url)
  await text(await ask(`${url}/again`))
  t.match((await requested)[0], { path: '/again' })
  t.match((await answered)[0], { path: '/again', status: 200 })
  t.throws(() => new Echo().url, /not started/)
  await echo[Symbol.asyncDispose]()
})

t.test('listens on the loopback alone; a body beyond the limit is 413, as sent and unpacked', async (t) => {
  const echo = await new Echo({ maxBodyBytes: 10_000 }).start()
  t.teardown(() => echo.close())
  t.match(echo.url, /^http:\/\/127\.0\.0\.1:/)
  const outside = Object.values(networkInterfaces())
    .flatMap((all) => all ?? [])
    .find(({ internal, family }) => !internal && family === 'IPv4')
  if (outside) {
    const url = `http://${outside.address}:${new URL(echo.url).port}`
    await t.rejects(ask(url), { code: 'ECONNREFUSED' }, 'no other address of this machine answers')
  }
  const headers = { 'content-encoding': 'gzip' }
  const answers = await Promise.all([
    ask(echo.url, { body: 'x'.repeat(10_000) }),
    ask(echo.url, { body: 'x'.repeat(10_001) }),
    ask(echo.url, { body: gzipSync('x'.repeat(10_000)), headers }),
    ask(echo.url, { body: gzipSync('x'.repeat(10_000_000)), headers }),
  ])
  t.same(
    answers.map(({ statusCode }) => statusCode),
    [200, 413, 200, 413],
  )
  t.equal(echo.taken.length, 2, 'the service sees none of what is too large')
})

t.test('TLS', async (t) => {
  const started = performance.now()
  const authority = await createCertificateAuthority()
  const first = await new Echo({ tls: authority }).start()
  t.teardown(() => first.close())
  t.comment(`authority and service: ${Math.round(performance.now() - started)} ms`)
  t.equal(first.ca, authority.ca)
  const { port } = new URL(first.url)
  for (const host of ['127.0.0.1', 'localhost']) {
    t.same(await json(await ask(`https://${host}:${port}`, { ca: authority.ca })), BODY, host)
  }
  await t.rejects(ask(first.url), { code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' })

  const own = await new Echo({ tls: true }).start()
  t.teardown(() => own.close())
  await (await ask(own.url, { ca: own.ca })).resume()
  await t.rejects(ask(own.url, { ca: authority.ca }))

  const client = await authority.issue(['a client'])
  const mutual = await new Echo({
    tls: { ...(await authority.issue()), ca: authority.ca, requestCert: true, rejectUnauthorized: true },
  }).start()
  t.teardown(() => mutual.close())
  t.equal((await ask(mutual.url, { ca: authority.ca, ...client })).statusCode, 200)
  await t.rejects(ask(mutual.url, { ca: authority.ca }).then(text))
})

for (const tls of [false, true]) {
  t.test(`faults over ${tls ? 'https' : 'http'}`, async (t) => {
    const echo = await new Echo({ tls }).start()
    t.teardown(() => echo.close())
    const call = async (options: Options = {}, path = '/') => {
      const response = await ask(echo.url + path, { body: 'row', ca: echo.ca, ...options })
      return { status: response.statusCode, headers: response.headers, body: await text(response) }
    }
    const takenBy = async (run: () => Promise<unknown>) => {
      echo.taken.length = 0
      await run()
      return echo.taken.length
    }

    t.test('an answer of its own, one-shot, in order', async (t) => {
      echo.fail(
        { status: 503, body: 'busy', headers: { 'X-Why': 'test' } },
        { retryAfter: 7 },
        { body: { a: 1 } },
      )
      const taken = await takenBy(async () => {
        t.match(await call(), { status: 503, body: 'busy', headers: { 'x-why': 'test' } })
        t.match(await call(), { status: 429, headers: { 'retry-after': '7' } })
        t.match(await call(), { status: 200, body: '{"a":1}' })
      })
      t.equal(taken, 0, 'the service saw none of them')
      t.equal((await call()).status, 200)
      echo.fail({ headers: { 'set-cookie': 'a=1' } })
      t.match(
        await call(),
        { body: JSON.stringify(BODY), headers: { 'set-cookie': ['a=1'] } },
        'headers alone are added',
      )
    })

    t.test('match, times, after', async (t) => {
      echo.fail({ match: '/b', status: 500, times: 2 }, { match: /c$/g, status: 501, after: 1 })
      echo.fail({ match: (request) => request.body.length > 3, status: 502, times: Infinity })
      const statuses: (number | undefined)[] = []
      for (const path of ['/a', '/b', '/c', '/b', '/b', '/c', '/c'])
        statuses.push((await call({}, path)).status)
      t.strictSame(statuses, [200, 500, 200, 500, 200, 501, 200])
      t.equal((await call({ body: 'long' })).status, 502)
      t.equal((await call({ body: 'long' })).status, 502)
      t.match(echo.requests.at(-1), { fault: { status: 502 }, status: 502 })
      echo.clearFaults()
      t.equal((await call({ body: 'long' })).status, 200)
    })

    t.test('reset', async (t) => {
      for (const reset of ['before', 'within', 'after'] as const) {
        echo.fail({ reset })
        const taken = await takenBy(() =>
          t.rejects(call({ body: 'z'.repeat(300_000) }), { code: /ECONNRESET|EPIPE/ }, reset),
        )
        t.equal(taken, reset === 'before' ? 0 : 1, reset)
        t.match(echo.requests.at(-1), { fault: { reset } })
      }
      echo.fail({ reset: 'within' })
      const response = await ask(echo.url, { body: 'row', ca: echo.ca })
      t.equal(response.statusCode, 200, 'the head comes')
      await t.rejects(text(response), { code: 'ECONNRESET' })
      echo.fail({ reset: 'within' })
      await t.rejects(call({}, '/empty'), Error, 'an answer without a body is cut too')
      echo.fail({ reset: 'within' })
      await t.rejects(call({}, '/stream'), { code: 'ECONNRESET' })
    })

    t.test('truncate', async (t) => {
      echo.fail({ truncate: true })
      t.throws(() => JSON.parse(''), 'as a control')
      const { body } = await call()
      t.equal(body.length, JSON.stringify(BODY).length >> 1)
      echo.fail({ truncate: true })
      const cut = await buffer(
        await ask(echo.url, { body: 'row', ca: echo.ca, headers: { 'accept-encoding': 'gzip' } }),
      )
      t.throws(() => gunzipSync(cut), { code: 'Z_BUF_ERROR' })
    })

    t.test('stall, until the client leaves', async (t) => {
      for (const stall of ['before', 'within'] as const) {
        echo.fail({ stall })
        const aborted = once(echo, 'abort')
        const leave = new AbortController()
        const [request] = [call({ signal: leave.signal })]
        const [seen] = (await once(echo, 'request')) as [RecordedRequest]
        t.equal(seen.fault?.stall, stall)
        leave.abort()
        await t.rejects(request)
        t.equal((await aborted)[0], seen)
      }
      echo.fail({ stall: 'before' })
      const silent = t.rejects(call(), { code: 'ECONNRESET' })
      await once(echo, 'request')
      echo.cutConnections()
      await silent
    })

    t.test('delay and slow reading', async (t) => {
      echo.fail({ delay: 60 })
      let from = performance.now()
      t.equal(await takenBy(() => call()), 1)
      t.ok(performance.now() - from >= 55)
      echo.fail({ slowRead: 2_000_000, status: 202 })
      from = performance.now()
      t.equal((await call({ body: Buffer.alloc(200_000) })).status, 202)
      t.ok(performance.now() - from >= 95)
      t.equal(echo.requests.at(-1)?.body.length, 200_000)
      echo.fail({ delay: 3_600_000 })
      const waiting = t.rejects(call())
      await once(echo, 'request')
      await echo.close()
      await waiting
      t.pass('close does not wait for a delay')
    })
  })
}
