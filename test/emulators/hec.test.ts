import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import http from 'node:http'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { hecCodes } from '../../lib/emulators/hec-codes.ts'
import { HecEmulator, type HecEmulatorOptions, type RecordedRequest } from '../../lib/emulators/index.ts'
import { scaled } from '../fixtures/scale.ts'

/** What a started emulator needs of a test. */
interface Test {
  teardown(close: () => Promise<void>): void
}

interface Reply {
  status: number
  code?: number
  number?: number
  ackId?: number
  text: string
  headers: Headers
  body: string
}

async function start(t: Test, options: HecEmulatorOptions = {}): Promise<HecEmulator> {
  const hec = await new HecEmulator(options).start()
  t.teardown(() => hec.close())
  return hec
}

/** Asks the collector; `Authorization` is set unless given (null: none). */
async function ask(
  hec: HecEmulator,
  path: string,
  body?: string | Buffer,
  { method = body === undefined ? 'GET' : 'POST', headers = {} as Record<string, string | null> } = {},
): Promise<Reply> {
  const all = new Headers()
  for (const [name, value] of Object.entries({ authorization: `Splunk ${hec.token}`, ...headers })) {
    if (value !== null) all.set(name, value)
  }
  const init: RequestInit = { method, headers: all }
  if (body !== undefined) init.body = typeof body === 'string' ? body : new Uint8Array(body)
  const response = await fetch(`${hec.url}/services/collector${path}`, init)
  const text = await response.text()
  const reply: Reply = { status: response.status, headers: response.headers, body: text, text: '' }
  if (!response.headers.get('content-type')?.startsWith('application/json')) return reply
  const json = JSON.parse(text) as Record<string, never>
  return {
    ...reply,
    text: json['text'] ?? '',
    ...('code' in json ? { code: json['code'] } : {}),
    ...('invalid-event-number' in json ? { number: json['invalid-event-number'] } : {}),
    ...('ackId' in json ? { ackId: json['ackId'] } : {}),
  }
}

const events = (...names: string[]) => names.map((event) => JSON.stringify({ event })).join('\n')
const taken = (hec: HecEmulator) => hec.events.map(({ event }) => event)

t.test('takes events in, every form of body', async (t) => {
  const hec = await start(t)
  t.equal(hec.endpoint, `${hec.url}/services/collector/event`)
  const envelope = {
    time: 1433188255.5,
    host: 'h',
    source: 's',
    sourcetype: 'st',
    index: 'main',
    event: { a: 'x}{"y\\', list: [1, { b: null }] },
    fields: { severity: 'Info', hosts: ['a', 'b'], n: 1 },
  }
  t.match(await ask(hec, '/event', JSON.stringify(envelope)), { status: 200, code: 0, text: 'Success' })
  t.strictSame(hec.events, [envelope])
  hec.events.length = 0

  const forms: [string, string][] = [
    ['/event', '{"event":"a"}{"event":"b"}'],
    ['/event', ' \r\n{"event":"a"}\n\n{"event":"b"}\n'],
    ['', '{"event":"a"}\t{"event":"b"}'],
    ['/event/1.0', '[{"event":"a"},{"event":"b"}]'],
    ['/', '{\n "event": "a"\n}\n{\n "event": "b"\n}'],
  ]
  for (const [path, body] of forms) {
    hec.events.length = 0
    const reply = await ask(hec, path, body)
    t.match(reply, { status: 200, code: 0 }, body)
    t.notOk('ackId' in reply)
    t.strictSame(taken(hec), ['a', 'b'])
  }
  hec.events.length = 0
  t.match(
    await ask(hec, '/event', gzipSync(events('zipped', 'Zür')), { headers: { 'content-encoding': 'gzip' } }),
    { code: 0 },
  )
  t.strictSame(taken(hec), ['zipped', 'Zür'])
  t.ok(hec.requests.at(-1)!.wireBytes > 0)

  hec.events.length = 0
  await ask(
    hec,
    '/event',
    '{"event":{"id":9223372036854775807,"small":5,"real":0.30000000000000004},"time":"1.5"}[]',
  )
  t.strictSame(hec.events, [
    { event: { id: 9223372036854775807n, small: 5, real: 0.30000000000000004 }, time: '1.5' },
  ])
  hec.events.length = 0
  await ask(hec, '/event', '[{"event":{"id":-9223372036854775808}},{"event":0}]')
  t.strictSame(taken(hec), [{ id: -9223372036854775808n }, 0])
  for (const value of [false, 0, ['x'], {}]) {
    t.equal(
      (await ask(hec, '/event', JSON.stringify({ event: value }))).code,
      0,
      `event ${JSON.stringify(value)}`,
    )
  }
  t.equal(hec.received, 1 + 10 + 2 + 1 + 2 + 4)
})

t.test('raw, health, OPTIONS, unknown paths', async (t) => {
  const hec = await start(t, { indexes: ['main'] })
  const raw = await ask(hec, '/raw?index=main&sourcetype=st&source=s&host=h', 'line 1\r\nline 2\n\nline 3')
  t.match(raw, { code: 0 })
  const metadata = { host: 'h', source: 's', sourcetype: 'st', index: 'main' }
  t.strictSame(
    hec.events,
    ['1', '2', '3'].map((n) => ({ ...metadata, event: `line ${n}` })),
  )
  t.match(await ask(hec, '/raw/1.0', '\n'), { code: 5 })
  t.match(await ask(hec, '/raw?index=other', 'x'), { code: 7, status: 400 })

  const health = (path = '', authorization: string | null = `Splunk ${hec.token}`) =>
    ask(hec, `/health${path}`, undefined, { headers: { authorization } })
  t.match(await health(), { status: 200, code: 17, text: 'HEC is healthy' })
  t.match(await health('/1.0', null), { code: 17 }, 'no token needed')
  t.match(await health('', 'Splunk wrong'), { status: 400, code: 21 })
  hec.tokenDisabled = true
  t.match(await health(), { status: 400, code: 22 })
  t.match(await ask(hec, '/event', events('x')), { status: 403, code: 1 })
  hec.tokenDisabled = false
  hec.ackServiceDown = true
  t.match(await health(), { code: 17 })
  t.match(await health('?ack=true'), { status: 503, code: 19 })
  hec.queuesFull = true
  t.match(await health(), { status: 503, code: 18 })
  t.match(await health('?ack=true'), { status: 503, code: 20 })
  t.match(await ask(hec, '/event', events('x')), { status: 503, code: 9 })
  hec.shuttingDown = true
  t.match(await health(), { status: 503, code: 23 })
  t.match(await ask(hec, '/event', events('x')), { status: 503, code: 23 })

  for (const [path, allow] of [
    ['/event', 'POST,OPTIONS'],
    ['/ack', 'POST,OPTIONS'],
    ['/health', 'GET,HEAD,OPTIONS'],
  ] as const) {
    const reply = await ask(hec, path, undefined, { method: 'OPTIONS', headers: { authorization: null } })
    t.match(reply, { status: 200, body: '' })
    t.equal(reply.headers.get('allow'), allow)
  }
  const text = 'The requested URL was not found on this server.'
  t.match(await ask(hec, '/nowhere', events('x')), { status: 404, code: 404, text })
  t.match(await ask(hec, '/event'), { status: 405, code: 404, text })
})

t.test('authorization and channel', async (t) => {
  const hec = await start(t)
  const withHeaders = (headers: Record<string, string | null>, query = '') =>
    ask(hec, `/event${query}`, events('x'), { headers })
  t.match(await withHeaders({ authorization: null }), { status: 401, code: 2 })
  t.match(await withHeaders({ authorization: hec.token }), { status: 401, code: 3 })
  t.match(await withHeaders({ authorization: `Bearer ${hec.token}` }), { status: 401, code: 3 })
  t.match(await withHeaders({ authorization: 'Splunk other' }), { status: 403, code: 4 })
  t.match(await withHeaders({}, `?token=${hec.token}`), { status: 400, code: 16 })
  t.match(await withHeaders({ 'x-splunk-request-channel': 'not a guid' }), { status: 400, code: 11 })
  t.equal(hec.received, 0)
  t.match(await withHeaders({ authorization: `Basic ${btoa(`x:${hec.token}`)}` }), { code: 0 })
  t.match(await withHeaders({ 'x-splunk-request-channel': randomUUID() }), { code: 0 })
  t.match(await withHeaders({}, `?channel=${randomUUID().toUpperCase()}`), { code: 0 })
  hec.token = 'rotated'
  t.match(await withHeaders({}), { code: 0 })
})

t.test('a body that is wrong at object 1: what came before it is taken in', async (t) => {
  const cases: [string, string, { code: number; number?: number; taken: string[] }][] = [
    ['cut JSON', '{"event":', { code: 6, number: 1, taken: ['a'] }],
    ['not JSON', '{"event":tru}', { code: 6, number: 1, taken: ['a'] }],
    ['a comma', ',{"event":"b"}', { code: 6, number: 1, taken: ['a'] }],
    ['text', '"b"', { code: 6, number: 1, taken: ['a'] }],
    ['an array', '[{"event":"b"}]', { code: 6, number: 1, taken: ['a'] }],
    ['too large', `{"event":"${'x'.repeat(200)}"}`, { code: 6, number: 1, taken: ['a'] }],
    ['too large in bytes only', `{"event":"${'€'.repeat(40)}"}`, { code: 6, number: 1, taken: ['a'] }],
    ['fields in an array', '{"event":"b","fields":[1]}', { code: 6, number: 1, taken: ['a'] }],
    ['index not allowed', '{"event":"b","index":"other"}', { code: 7, number: 2, taken: ['a'] }],
    ['no event', '{"time":1}', { code: 12, number: 1, taken: ['a'] }],
    ['empty object', '{}', { code: 12, number: 1, taken: ['a'] }],
    ['blank', '{"event":""}', { code: 13, number: 1, taken: ['a'] }],
    ['space', '{"event":" \\n"}', { code: 13, number: 1, taken: ['a'] }],
    ['null', '{"event":null}', { code: 13, number: 1, taken: ['a'] }],
    ['nested fields', '{"event":"b","fields":{"a":{"b":1}}}', { code: 15, number: 1, taken: ['a'] }],
    ['nested in a list', '{"event":"b","fields":{"a":[{"b":1}]}}', { code: 15, number: 1, taken: ['a'] }],
    ['fields alone', '{"fields":{"metric_name:x":1}}', { code: 0, taken: ['a', 'c'] }],
    ['an unknown key', '{"event":"b","severity":1}', { code: 0, taken: ['a'] }],
  ]
  for (const [name, bad, expected] of cases) {
    const hec = await start(t, { indexes: ['main'], maxEventSize: 100 })
    const reply = await ask(hec, '/event', `{"event":"a","index":"main"}\n${bad}\n{"event":"c"}`)
    t.equal(reply.code, expected.code, name)
    t.equal(reply.status, expected.code === 0 ? 200 : 400)
    t.equal(reply.number, expected.number, `${name}: number`)
    t.strictSame(taken(hec), expected.taken, `${name}: taken in`)
    if (expected.code === 0) continue
    const alone = await ask(hec, '/event', bad === '[{"event":"b"}]' ? '[1]' : bad)
    t.match(alone, { code: expected.code, number: expected.code === 7 ? 1 : 0 }, `${name}: alone`)
    t.equal(hec.received, 1)
  }
  const hec = await start(t)
  t.match(
    await ask(hec, '/event', '{"event":"b","severity":1}'),
    { status: 400, code: 5 },
    'an unknown key, alone',
  )
  t.match(await ask(hec, '/event', ''), { status: 400, code: 5 })
  t.match(await ask(hec, '/event', ' \n'), { status: 400, code: 5 })
  t.match(await ask(hec, '/event', '[]'), { status: 400, code: 5 })
  hec.refuse = ({ event }) => (event === 'b' ? 7 : undefined)
  t.match(await ask(hec, '/event', events('a', 'b', 'c')), { code: 7, number: 2 })
  t.strictSame(taken(hec), ['a'])
})

t.test('sizes and encodings', async (t) => {
  const hec = await start(t, { maxContentLength: 1000 })
  const large = await ask(hec, '/event', events('x'.repeat(1000)))
  t.match(large, { status: 413, body: /^<!doctype html>/ })
  t.match(large.headers.get('content-type'), 'text/html')
  const packed = gzipSync(events('x'.repeat(1000)))
  t.equal((await ask(hec, '/event', packed, { headers: { 'content-encoding': 'gzip' } })).status, 413)
  t.match(await ask(hec, '/event', packed, { headers: { 'content-encoding': 'deflate' } }), {
    status: 415,
    body: /<html>/,
  })
  t.match(await ask(hec, '/event', packed.subarray(0, 20), { headers: { 'content-encoding': 'gzip' } }), {
    code: 6,
    number: 0,
  })
  t.equal(hec.received, 0)
  t.match(await ask(await start(t), '/event', events('x'.repeat(5 * 1024 * 1024))), { code: 6, number: 0 })
})

t.test('codes on demand', async (t) => {
  const hec = await start(t)
  for (const [text, [status, words]] of Object.entries(hecCodes)) {
    const code = Number(text)
    hec.answerCode(code)
    t.match(await ask(hec, '/event', events('x')), { status, code, text: words })
    t.equal(hec.events.splice(0).length, [0, 24, 25].includes(code) ? 1 : 0, `code ${code}`)
  }
  hec.answerCode(26, { times: 2, retryAfter: 3 }).answerCode(9)
  const limited = await ask(hec, '/event', events('x'))
  t.equal(limited.status, 429)
  t.equal(limited.headers.get('retry-after'), '3')
  t.equal((await ask(hec, '/event', events('x'))).code, 26)
  const busy = await ask(hec, '/event', events('x'))
  t.equal(busy.code, 9)
  t.notOk('number' in busy)
  t.equal((await ask(hec, '/event', events('x'))).code, 0)

  hec.events.length = 0
  for (const [code, number] of [
    [6, 2],
    [7, 3],
    [9, 2],
    [12, 2],
    [13, 2],
    [15, 2],
    [8, undefined],
  ] as const) {
    hec.failRow(2, code)
    t.equal((await ask(hec, '/event', events('a', 'b'))).code, 0, 'a body too short for it passes')
    const reply = await ask(hec, '/event', events('a', 'b', 'c', 'd'))
    t.equal(reply.code, code)
    t.equal(reply.number, number)
    t.strictSame(taken(hec), ['a', 'b', 'a', 'b'], `code ${code}`)
    hec.events.length = 0
  }
  hec.failRow(1, 6, 2)
  t.match(
    await ask(hec, '/event', `{"event":""}${events('b')}`),
    { code: 13, number: 0 },
    'an earlier error goes first',
  )
  t.match(await ask(hec, '/event', events('a', 'b')), { code: 6, number: 1 })
  t.match(await ask(hec, '/event', events('a', 'b')), { code: 6, number: 1 })
  t.match(await ask(hec, '/event', events('a', 'b')), { code: 0 })
  const oneBased = await start(t, { busyBase: 1 })
  t.match(await ask(oneBased.failRow(2, 9), '/event', events('a', 'b', 'c')), { code: 9, number: 3 })
})

t.test('acknowledgement', async (t) => {
  const hec = await start(t, { ack: true, ackAfterPolls: 1 })
  const channel = randomUUID()
  const other = randomUUID()
  const on = (channel: string | null) => ({ headers: { 'x-splunk-request-channel': channel } })
  const send = (channel: string | null, body = events('x')) => ask(hec, '/event', body, on(channel))
  const acks = async (channel: string, ...ids: number[]) => {
    const { body } = await ask(hec, '/ack', JSON.stringify({ acks: ids }), on(channel))
    return (JSON.parse(body) as { acks: unknown }).acks
  }
  t.match(await send(null), { status: 400, code: 10 })
  t.match(await send('x'), { status: 400, code: 11 })
  t.match(await ask(hec, '/raw', 'x'), { code: 10 })
  t.match(await send(channel), { code: 0, ackId: 0 })
  t.match(await send(channel), { code: 0, ackId: 1 })
  t.match(await send(other), { code: 0, ackId: 0 })
  t.match(await ask(hec, '/raw', 'line', on(other)), { code: 0, ackId: 1 })
  t.equal(hec.pendingAcks, 4)
  t.strictSame(await acks(channel, 0, 5), { 0: false, 5: false }, 'the first poll')
  t.strictSame(await acks(channel, 0, 1), { 0: true, 1: false })
  t.strictSame(await acks(channel, 0, 1), { 0: false, 1: true }, 'true is said once')
  t.strictSame(await acks(randomUUID(), 0, 1), { 0: false, 1: false }, 'a channel never seen')
  t.equal(hec.acknowledged, 2)
  const kept = hec.requests.filter(({ status }) => status === 200)
  t.strictSame(kept.map(({ ackId }) => ackId), [0, 1, 0, 1, undefined, undefined, undefined, undefined]) // biome-ignore format: a list
  t.strictSame(kept.slice(4).map(({ acknowledged }) => acknowledged), [[], [0], [1], []]) // biome-ignore format: a list
  t.match(await ask(hec, '/ack', '{"acks":[0]}'), { code: 10 })
  t.match(await ask(hec, '/ack', '{"ack":[0]}', on(channel)), { code: 6 })
  t.match(await ask(hec, '/ack', '', on(channel)), { code: 5 })

  t.match(await send(channel, `${events('x')}{}`), { code: 12, number: 1, ackId: 2 }, 'both: refused in part')
  t.notOk('ackId' in (await send(channel, '{}')), 'nothing was taken in')
  t.match((await hec.answerCode(25)) && (await send(channel)), { code: 25, ackId: 3 })

  const before = hec.received
  hec.loseBatches().withholdAcks()
  t.match(await send(channel), { ackId: 4 })
  t.equal(hec.received, before, 'lost')
  t.match(await send(channel), { ackId: 5 })
  t.equal(hec.received, before + 1)
  for (let i = 0; i < 3; i++) t.strictSame(await acks(channel, 4, 5), { 4: false, 5: false })
  hec.resetChannels()
  t.match(await send(channel), { ackId: 0 }, 'ids begin anew')

  const off = await start(t)
  t.match(await ask(off, '/ack', '{"acks":[0]}', on(channel)), { status: 400, code: 14 })
  const slow = await start(t, { ack: true, ackDelay: 3_600_000 })
  await ask(slow, '/event', events('x'), on(channel))
  t.match(await ask(slow, '/ack', '{"acks":[0]}', on(channel)), { body: '{"acks":{"0":false}}' })
})

t.test('a load balancer with cookies', async (t) => {
  const hec = await start(t, { ack: true, cookies: true })
  const channel = { 'x-splunk-request-channel': randomUUID() }
  const first = await ask(hec, '/event', events('x'), { headers: channel })
  const cookie = first.headers.getSetCookie()[0]!.split(';')[0]!
  t.match(await ask(hec, '/event', events('x'), { headers: { ...channel, cookie: `a=b; ${cookie}` } }), {
    ackId: 1,
  })
  t.match(
    await ask(hec, '/event', events('x'), { headers: channel }),
    { ackId: 0 },
    'without it: another indexer',
  )
  const poll = (headers: Record<string, string>) => ask(hec, '/ack', '{"acks":[0,1]}', { headers })
  t.equal((await poll(channel)).body, '{"acks":{"0":false,"1":false}}')
  t.equal((await poll({ ...channel, cookie })).body, '{"acks":{"0":true,"1":true}}')
})

t.test('faults, events, duplicates', async (t) => {
  const hec = await start(t)
  hec.fail({ reset: 'after' })
  await t.rejects(ask(hec, '/event', events('a', 'b')))
  await ask(hec, '/event', events('a', 'b', 'c'))
  t.strictSame(
    hec.duplicates().map(({ event }) => event),
    ['a', 'b'],
  )
  t.equal(hec.duplicates(({ event }) => event === 'c').length, 3)
  const [batch, request] = (await Promise.all([once(hec, 'taken'), ask(hec, '/event', events('d'))]))[0] as [
    unknown[],
    RecordedRequest,
  ]
  t.strictSame(batch, [{ event: 'd' }])
  t.equal(request.path, '/services/collector/event')
})

t.test('counting only', async (t) => {
  const hec = await start(t, { keepEvents: false, record: false, ack: true })
  const on = { headers: { 'x-splunk-request-channel': randomUUID() } }
  const bodies: [string, number][] = [
    [events('a'), 1],
    [events('a', 'b', 'c'), 3],
    [`${events('a', 'b')}\n`, 2],
    ['{"event":"}{"}{"event":{"a":{}}}', 2],
    ['{"event":"a"}\r\n{"event":"b"}', 2],
  ]
  let expected = 0
  for (const [body, count] of bodies) {
    t.match(await ask(hec, '/event', body, on), { code: 0 })
    expected += count
    t.equal(hec.received, expected, body)
  }
  t.match(await ask(hec.failRow(2, 6), '/event', events('a', 'b', 'c'), on), {
    code: 6,
    number: 2,
    ackId: bodies.length,
  })
  t.equal(hec.received, expected + 2)
  t.match(await ask(hec.failRow(0, 6), '/event', events('a', 'b'), on), { code: 6, number: 0 })
  t.match(await ask(hec, '/event', ' ', on), { code: 5 })
  t.equal(hec.received, expected + 2)
  t.strictSame(hec.events, [])

  const body = Array.from({ length: 500 }, (_, i) =>
    JSON.stringify({ event: { i, text: 'x'.repeat(420) } }),
  ).join('\n')
  const agent = new http.Agent({ keepAlive: true, maxSockets: 4 })
  t.teardown(() => agent.destroy())
  const headers = { authorization: `Splunk ${hec.token}`, ...on.headers }
  const count = scaled(20_000, 200_000)
  const from = performance.now()
  const before = hec.received
  await Promise.all(
    Array.from({ length: count / 500 }, async () => {
      const request = http.request(hec.endpoint, { method: 'POST', agent, headers }).end(body)
      const [response] = (await once(request, 'response')) as [http.IncomingMessage]
      await once(response.resume(), 'end')
    }),
  )
  t.equal(hec.received, before + count)
  t.comment(
    `${Math.round(count / ((performance.now() - from) / 1000))} rows/s, client and service in one process`,
  )
})
