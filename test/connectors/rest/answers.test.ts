// What an endpoint's answer says of the rows: its status, whatever its body is or does, and what `accept` makes of it.
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { gzipSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { type RestOptions, RestWritable } from '../../../lib/connectors/rest/index.ts'
import { RestEmulator } from '../../../lib/emulators/index.ts'
import { deliver, LetterBox } from '../../fixtures/sink-trial.ts'

const quick = { initial_backoff: 0.001, max_backoff: 0.002, linger_ms: 1 }

/** A server that answers each request, whose body must be JSON without a line feed, with raw bytes. */
async function rawServer(t: Test, answer: (socket: Socket) => void) {
  const bodies: string[] = []
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => {}))
    let received = ''
    socket.on('data', (chunk) => {
      received += chunk
      const [head = '', body] = received.split('\r\n\r\n')
      const length = Number(/content-length: (\d+)/i.exec(head)?.[1])
      if (body === undefined || body.length < length) return
      received = ''
      bodies.push(body)
      answer(socket)
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as { port: number }).port}/hook`, bodies }
}

const bytes = (text: string) => Buffer.from(text, 'latin1')
const answers: [name: string, answer: (socket: Socket) => void][] = [
  ...['gzip', 'deflate', 'br'].map((coding): (typeof answers)[number] => [
    `a body that is no ${coding}, though it says so`,
    (socket) =>
      socket.write(`HTTP/1.1 200 OK\r\ncontent-encoding: ${coding}\r\ncontent-length: 4\r\n\r\nnope`),
  ]),
  [
    'gzip that is cut short',
    (socket) => {
      const body = gzipSync('x'.repeat(1000)).subarray(0, 20)
      socket.write(`HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: ${body.length}\r\n\r\n`)
      socket.write(body)
    },
  ],
  ['204 with a body', (socket) => socket.write('HTTP/1.1 204 No Content\r\ncontent-length: 4\r\n\r\nbody')],
  [
    'a body shorter than its length, and the connection closed',
    (socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 400\r\n\r\nshort'),
  ],
  [
    'a chunk that is none',
    (socket) => socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nnot-a-length\r\n'),
  ],
  [
    'a body without an end',
    (socket) => {
      socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n')
      const more = () => {
        if (!socket.destroyed)
          socket.write(bytes(`10000\r\n${'x'.repeat(0x10000)}\r\n`), () => setImmediate(more))
      }
      more()
    },
  ],
]

t.test('a 2xx is the answer, whatever its body is or does: each row is sent once', async (t) => {
  for (const [name, answer] of answers) {
    const { url, bodies } = await rawServer(t, answer)
    const sink = new RestWritable({ url, ...quick, request_timeout: 5 })
    t.equal(await deliver([{ id: 1 }, { id: 2 }], sink), undefined, name)
    t.same(bodies, ['{"id":1}', '{"id":2}'], name)
    t.match(sink.stats, { delivered: 2, retries: 0 }, name)
  }
})

async function service(t: Test) {
  const rest = await new RestEmulator().start()
  t.teardown(() => rest.close())
  return rest
}

t.test('409 with an idempotency key: the first request is still at work', async (t) => {
  const rest = await service(t)
  let conflicts = 3
  rest.answer = () =>
    conflicts-- > 0
      ? { status: 409, headers: { 'retry-after': '0' }, body: { error: 'in progress' } }
      : undefined
  const options = { url: rest.url, ...quick, batch_size: 4, idempotency_header: 'Idempotency-Key' }
  const sink = new RestWritable(options)
  t.equal(await deliver([{ id: 0 }, { id: 1 }, { id: 2 }, { id: 3 }], sink), undefined)
  t.equal(rest.requests.length, 4)
  t.equal(
    new Set(rest.requests.map(({ headers }) => headers['idempotency-key'])).size,
    1,
    'never halved under new keys',
  )
  t.equal(new Set(rest.requests.map(({ body }) => body.toString())).size, 1)
  t.match(sink.stats, { delivered: 4, retries: 3, rejected: 0 })
})

t.test('a key is that of the rows: those of an error, sent again, have the same', async (t) => {
  const rest = await service(t)
  for (const http_format of ['json', 'ndjson', 'multipart'] as const) {
    rest.reset()
    const batch_size = http_format === 'multipart' ? 1 : 2
    const options = {
      url: rest.url,
      ...quick,
      http_format,
      batch_size,
      max_retries: 1,
      idempotency_header: 'X-Key',
    }
    const key = () => rest.requests.map(({ headers }) => headers['x-key'])
    rest.answer = () => ({ status: 503, headers: { 'retry-after': '0' } })
    const error = await deliver([{ id: 0 }, { id: 1 }], new RestWritable(options))
    t.match(error, { code: 'ERR_DELIVERY', rows: [{ id: 0 }, { id: 1 }] }, http_format)
    const [first, again] = rest.requests
    t.equal(first!.body.toString(), again!.body.toString(), 'a retry has the same bytes')
    const failed = key()[0]
    rest.answer = undefined
    rest.requests.length = 0
    t.equal(await deliver(error!.rows!, new RestWritable(options)), undefined)
    t.equal(key()[0], failed, http_format)
  }
})

t.test('a row that holds the boundary of multipart is refused, not sent as other fields', async (t) => {
  const rest = await service(t)
  const options = { url: rest.url, ...quick, http_format: 'multipart' } as const
  t.equal(await deliver([{ id: 0 }], new RestWritable(options)), undefined)
  const [, boundary] = /boundary=(\S+)/.exec(rest.requests[0]!.headers['content-type']!)!
  const planted = `x\r\n--${boundary}\r\nContent-Disposition: form-data; name="admin"\r\n\r\ntrue`
  const error = await deliver([{ note: planted }], new RestWritable(options))
  t.match(error, { code: 'ERR_ROW', message: /note: the boundary/ })
  t.equal(rest.requests.length, 1)
})

t.test('`accept`', async (t) => {
  const rest = await service(t)
  const rows = [{ id: 0 }, { id: 1 }, { id: 2 }]
  const send = async (options: Partial<RestOptions>) => {
    const sink = new RestWritable({ url: rest.url, ...quick, ...options })
    const error = await deliver(rows, sink)
    return { error, stats: sink.stats, requests: rest.requests.splice(0).length }
  }
  const redirect = { status: 302, headers: { location: 'https://elsewhere.example/echo' } }

  await t.test(
    'statuses besides 2xx; a redirect is never followed, nor are its rows sent again',
    async (t) => {
      rest.answer = () => redirect
      t.match(await send({ accept: [302] }), {
        error: undefined,
        stats: { delivered: 3, retries: 0 },
        requests: 3,
      })
      t.match(await send({ accept: '302' }), { error: undefined, stats: { delivered: 3 }, requests: 3 })
      t.match(await send({ accept: [303] }), { error: { code: 'ERR_DELIVERY', status: 302 }, requests: 1 })
      rest.answer = undefined
      t.match(
        await send({ accept: [302] }),
        { error: undefined, stats: { delivered: 3 } },
        '2xx stays accepted',
      )
    },
  )

  await t.test('a function, for an API that reports failures inside of a 200', async (t) => {
    const teams = (_status: number, body: string) => (/HTTP error 429/.test(body) ? 'retry' : undefined)
    let busy = 2
    rest.answer = () =>
      busy-- > 0
        ? { status: 200, body: 'Webhook message delivery failed with error: HTTP error 429' }
        : undefined
    t.match(await send({ accept: teams, batch_size: 3 }), {
      error: undefined,
      stats: { delivered: 3, retries: 2 },
      requests: 3,
    })
    const bodies: string[] = []
    rest.answer = ({ body }) => ({ status: 200, body: { ok: !body.toString().includes('"id":1') } })
    const dead_letter = new LetterBox()
    const byRow = (status: number, body: string) => {
      bodies.push(`${status} ${body}`)
      return (JSON.parse(body) as { ok: boolean }).ok ? 'accepted' : 'refused'
    }
    t.match(await send({ accept: byRow, batch_size: 3, dead_letter }), {
      error: undefined,
      stats: { rejected: 1 },
    })
    t.match(dead_letter.letters, [{ row: { id: 1 } }])
    t.ok(bodies.includes('200 {"ok":false}'))
    t.match(await send({ accept: () => 'fatal', batch_size: 3 }), {
      error: { code: 'ERR_DELIVERY', message: /`accept` finds the answer permanent \(200: /, rows },
      requests: 1,
    })
    rest.answer = () => ({ status: 404 })
    t.match(await send({ accept: () => 'retry', max_retries: 1 }), {
      error: { code: 'ERR_DELIVERY' },
      requests: 2,
    })
    t.match(await send({ accept: () => undefined }), {
      error: { code: 'ERR_DELIVERY', status: 404 },
      requests: 1,
    })
  })

  await t.test('a function that is wrong ends the stream, with all rows', async (t) => {
    t.match(await send({ accept: (() => 'ok') as never, batch_size: 3 }), {
      error: {
        code: 'ERR_OPTION',
        message: /accept: the function returned .*; expected "accepted", "retry"/,
        rows,
      },
    })
    const broken = () => {
      throw new TypeError('no such member')
    }
    t.match(await send({ accept: broken, batch_size: 3 }), {
      error: { code: 'ERR_DELIVERY', message: /no such member/, rows },
    })
  })

  for (const accept of [[], '', 'ok', [99], [600], ['2xx'], 302.5, {}])
    t.throws(() => new RestWritable({ url: rest.url, accept: accept as never }), {
      code: 'ERR_OPTION',
      message: /accept: .*expected statuses from 200 to 599/,
    })
})

t.test('a server that asks for a wait of years: given up at once, within max_retry_seconds', async (t) => {
  const rest = await new RestEmulator().start()
  t.teardown(() => rest.close())
  rest.fail({ status: 503, headers: { 'retry-after': '315360000' }, times: Infinity })
  const sink = new RestWritable({ url: rest.url, ...quick, max_retry_seconds: 20 })
  t.match(await deliver([{ a: 1 }], sink), {
    code: 'ERR_DELIVERY',
    message: /gave up after 1 attempt: .*\(ended by max_retry_seconds: 20\)/,
    rows: [{ a: 1 }],
  })
  t.equal(rest.requests.length, 1, 'no attempt after a wait')
})
