import fc from 'fast-check'
import t from 'tap'
import type { SplunkOptions } from '../../../lib/connectors/splunk/index.ts'
import type { EitherSpelling } from '../../../lib/core/spelling.ts'
import { formatSeconds, parseInstant } from '../../../lib/core/time.ts'
import { createCertificateAuthority } from '../../../lib/emulators/index.ts'
import { scaled } from '../../fixtures/scale.ts'
import { deliver, LetterBox, type Row } from '../../fixtures/sink-trial.ts'
import { rowsOf, splunkSink, startHec } from '../../fixtures/splunk-trial.ts'

interface Teardown {
  teardown(close: () => Promise<void>): void
}

/** The body that rows become, and why rows are refused. */
async function wire(t: Teardown, rows: unknown[], options: Partial<EitherSpelling<SplunkOptions>> = {}) {
  const hec = await startHec(t)
  const box = new LetterBox()
  const error = await deliver(rows, splunkSink(hec, { dead_letter: box, ...options }))
  if (error) throw error
  return {
    body: hec.requests[0]?.body.toString() ?? '',
    refused: box.letters.map(({ reason }) => reason.text),
    requests: hec.requests,
    events: hec.events,
  }
}

t.test('the envelope of each combination of columns and times', async (t) => {
  const times: [string, unknown, string][] = [
    ['Date', new Date('2023-11-14T22:13:20.120Z'), '1700000000.12'],
    ['ISO text', '2023-11-14T23:13:20.1234567+01:00', '1700000000.1234567'],
    ['integer', 1_700_000_000, '1700000000'],
    ['float', 1_700_000_000.25, '1700000000.25'],
    ['bigint', 1_700_000_000n, '1700000000'],
  ]
  const inRow: Record<string, string> = {
    Date: '"2023-11-14T22:13:20.120Z"',
    'ISO text': '"2023-11-14T23:13:20.1234567+01:00"',
    integer: '1700000000',
    float: '1700000000.25',
    bigint: '1700000000',
  }
  for (const [name, at, time] of times) {
    for (const single of [false, true]) {
      for (const indexed of [false, true]) {
        for (const removed of [false, true]) {
          const options: Record<string, unknown> = { time_column: 'at' }
          if (single) options.single_event_column = 'message'
          if (indexed) options.indexed_fields = 'user, big'
          if (removed) options.remove_indexed_fields = 'TRUE'
          const row = {
            at,
            user: 'ann',
            big: 12_345_678_901_234_567_890n,
            message: 'a "b"\n',
            none: undefined,
          }
          const { body } = await wire(t, [row], options)
          const columns = [`"at":${inRow[name]}`]
          if (!(indexed && removed)) columns.push('"user":"ann"', '"big":12345678901234567890')
          columns.push('"message":"a \\"b\\"\\n"')
          const event = single ? '"a \\"b\\"\\n"' : `{${columns.join(',')}}`
          const fields = indexed ? ',"fields":{"user":"ann","big":12345678901234567890}' : ''
          t.equal(
            body,
            `{"time":${time},"sourcetype":"${single ? 'text' : '_json'}","event":${event}${fields}}`,
            JSON.stringify({ name, single, indexed, removed }),
          )
        }
      }
    }
  }
})

t.test('time', async (t) => {
  t.test('now, where no column is named', async (t) => {
    const before = Date.now() / 1000
    const { events } = await wire(t, [{ id: 0 }])
    const time = events[0]?.time as number
    t.ok(time >= before && time <= Date.now() / 1000)
  })

  const values: [unknown, string | undefined][] = [
    [0, '0'],
    [-0, '0'],
    [0.1 + 0.2, '0.30000000000000004'],
    [1e-7, '0.0000001'],
    [-1.5, '-1.5'],
    [253_402_300_799, '253402300799'],
    [new Date(-1500), '-1.5'],
    [new Date(0), '0'],
    ['1970-01-01', '0'],
    ['1970-01-01T00:00:01.000000100Z', '1.0000001'],
    ['1970-01-01 00:00:01.123456789Z', '1.1234567'],
    ['1970-01-01T00:00:01,5', '1.5'],
    [-5n, '-5'],
    [1_700_000_000_000, undefined],
    [1_700_000_000_000n, undefined],
    [10n ** 30n, undefined],
    [Number.NaN, undefined],
    [Number.POSITIVE_INFINITY, undefined],
    [new Date(Number.NaN), undefined],
    ['', undefined],
    ['yesterday', undefined],
    ['1700000000', '1700000000'],
    [' 1700000000.25 ', '1700000000.25'],
    ['253402300799', '253402300799'],
    ['253402300800', undefined],
    ['1700000000000', undefined],
    // A date, a year, or seconds: in doubt.
    ['20231114', undefined],
    ['2023', undefined],
    ['20231114221320', undefined],
    ['20231114T221320Z', '1700000000'],
    ['20231114T2213Z', '1699999980'],
    ['20231114T231320.123456789+0100', '1700000000.1234567'],
    ['20231114T221320', '1700000000'],
    ['20230230T000000Z', undefined],
    ['20231114T256020Z', undefined],
    ['2016-12-31T23:59:60Z', '1483228800'],
    ['2016-12-31T23:59:60.5Z', '1483228800.5'],
    ['2017-01-01T08:59:60+09:00', '1483228800'],
    ['20161231T235960Z', '1483228800'],
    ['2016-12-30T23:59:60Z', undefined],
    ['2016-12-31T22:59:60Z', undefined],
    ['2016-12-31T23:59:61Z', undefined],
    ['2023-02-30T00:00:00Z', undefined],
    ['2023-02-03T00:00:00+99:00', undefined],
    [null, undefined],
    [undefined, undefined],
    [true, undefined],
    [{}, undefined],
    [[1], undefined],
  ]
  for (const [at, time] of values) {
    const { body, refused } = await wire(t, [{ id: 1, at }], { timeColumn: 'at' })
    if (time === undefined) {
      t.equal(body, '')
      t.match(refused, [/^at: /], `refused: ${refused[0]}`)
    } else t.ok(body.startsWith(`{"time":${time},`), `${body} has ${time}`)
  }
  const { refused } = await wire(t, [{ constructor: 1 }, {}], { time_column: 'toString' })
  t.match(
    refused,
    [/^toString: expected a Date.*undefined/, /^toString: /],
    'what objects inherit is no column',
  )
})

t.test('metadata', async (t) => {
  const fixed = { index: 'i', source: 's', host: 'h', sourcetype: 'st' }
  const start = (body: string) => body.slice(body.indexOf(',') + 1, body.indexOf(',"event"'))
  t.equal(
    start((await wire(t, [{ id: 1 }], fixed)).body),
    '"host":"h","source":"s","sourcetype":"st","index":"i"',
  )
  for (const [name, value] of Object.entries(fixed)) {
    const { events } = await wire(t, [{ id: 1 }], { [name]: value })
    t.same({ ...events[0], time: 0 }, { time: 0, sourcetype: '_json', [name]: value, event: { id: 1 } })
  }

  const columns = { index_column: 'i', source_column: 's', hostColumn: 'h', sourcetype_column: 't' }
  const rows = [
    { i: 'i1', s: 's1', h: 'h1', t: 't1' },
    { i: 'i2', s: null, t: undefined },
  ]
  const { events, requests } = await wire(t, rows, { ...columns, ...fixed })
  t.equal(requests.length, 1, 'a batch may mix them')
  t.match(events, [
    { index: 'i1', source: 's1', host: 'h1', sourcetype: 't1', event: rows[0] },
    { index: 'i2', source: 's', host: 'h', sourcetype: 'st' },
  ])
  t.match((await wire(t, [{ i: 5 }], { index_column: 'i' })).refused, [
    /^i: expected a string for index, got the number 5/,
  ])
  t.match((await wire(t, [{}], { index_column: 'constructor' })).events, [{ event: {} }])
})

t.test('auto_extract_timestamp: no time is sent, and Splunk is asked to find it', async (t) => {
  for (const [options, body] of [
    [{}, '{"sourcetype":"_json","event":{"id":0}}'],
    [{ host: 'h' }, '{"host":"h","sourcetype":"_json","event":{"id":0}}'],
    [{ index_column: 'to' }, '{"sourcetype":"_json","event":{"id":0}}'],
  ] as const) {
    const { requests, events, ...sent } = await wire(t, [{ id: 0 }], {
      auto_extract_timestamp: true,
      ...options,
    })
    t.equal(sent.body, body)
    t.equal(requests[0]?.query.toString(), 'auto_extract_timestamp=true')
    t.equal(events.length, 1)
  }
  const { requests } = await wire(t, [{ id: 0 }])
  t.equal(requests[0]?.query.toString(), '')
  for (const options of [{ time_column: 't' }, { mode: 'raw', single_event_column: 'x' }] as const) {
    const hec = await startHec(t)
    t.throws(() => splunkSink(hec, { auto_extract_timestamp: true, ...options }), {
      message: /auto_extract_timestamp: .* no place/,
    })
  }
})

t.test('fields are flat', async (t) => {
  const fields = async (row: Row, columns: string | string[]) => {
    const { events, refused } = await wire(t, [row], { indexed_fields: columns })
    return refused[0] ?? events[0]?.fields
  }
  const at = new Date(0)
  t.same(await fields({ a: { b: { c: 1 }, d: 'x', n: null }, e: true }, ['a', 'e', 'missing']), {
    'a.b.c': 1,
    'a.d': 'x',
    e: true,
  })
  t.same(await fields({ a: [1, 'b', at], at, big: 2n ** 60n, nan: Number.NaN }, 'a,at,big,nan'), {
    a: [1, 'b', at.toISOString()],
    at: at.toISOString(),
    big: 2n ** 60n,
    nan: 'NaN',
  })
  t.same(await fields({ u: new URL('https://example.com/') }, 'u'), { u: 'https://example.com/' })
  t.same(await fields({ a: null }, 'a'), undefined)
  t.same(await fields({ a: 1 }, ' , '), undefined)
  t.same(await fields(JSON.parse('{"__proto__": "data"}'), '__proto__'), JSON.parse('{"__proto__": "data"}'))
  t.same(await fields({ n: { x: { y: 1, z: 2 }, w: 3 } }, 'n.x'), { 'n.x.y': 1, 'n.x.z': 2 })
  t.same(await fields({ n: { x: 1 }, 'n.x': 2 }, 'n.x'), { 'n.x': 2 }, 'a column of that name comes first')
  t.same(await fields({ n: { x: 1 }, 'n.x': 2 }, 'n, n.x'), { 'n.x': [1, 2] }, 'two values of one name')
  t.same(await fields({ n: { x: 1 } }, 'n, n.x, n.y, n.x.z'), { 'n.x': 1 })
  t.same(await fields({ n: { 'x.y': 1, x: { y: [1, 2] } } }, 'n'), { 'n.x.y': [1, 2] })
  t.same(await fields({ b: Buffer.from('xyz'), l: [new Uint8Array(1)] }, 'b,l'), { b: 'eHl6', l: ['AA=='] })
  const { events } = await wire(t, [{ n: { x: 1, y: { z: 2 } }, 'm.q': 3, k: 4 }], {
    indexed_fields: 'n.x, n.y.z, m.q, k.l',
    remove_indexed_fields: true,
  })
  t.same(events[0]?.event, { n: { y: {} }, k: 4 }, 'nested values are left out of the event too')
  t.same(events[0]?.fields, { 'n.x': 1, 'n.y.z': 2, 'm.q': 3 })
  t.match(await fields({ a: [{ b: 1 }] }, 'a'), /^a: an indexed field can't hold objects/)
  t.match(await fields({ a: [[1]] }, 'a'), /^a: /)
  t.match(await fields({ a: { m: new Map([[1, 2]]) } }, 'a'), /^a.m is a Map/)
  const { refused } = await wire(t, [{ id: 1, f: () => {} }], {
    indexed_fields: 'f',
    remove_indexed_fields: true,
  })
  t.match(refused, [/^f is a function/])
  const cycle: Row = { id: 1 }
  cycle['c'] = { cycle }
  t.match((await wire(t, [cycle], { indexed_fields: 'c', remove_indexed_fields: true })).refused, [
    /^c.cycle.*too deep/,
  ])
})

t.test('events', async (t) => {
  t.test('only the seven keys that HEC knows, whatever the columns are called', async (t) => {
    const row = JSON.parse('{"time":1,"event":2,"fields":3,"other":4,"__proto__":{"x":5},"constructor":6}')
    const { body, events } = await wire(t, [row, { event: 'x' }])
    t.same(Object.keys(JSON.parse(body.split('\n')[0]!)).sort(), ['event', 'sourcetype', 'time'])
    t.equal(events.length, 2)
    t.ok(body.includes('"__proto__":{"x":5}'))
    const { body: without } = await wire(t, [row], { indexed_fields: 'other', remove_indexed_fields: 'true' })
    t.ok(without.includes('"__proto__":{"x":5},"constructor":6}'))
    t.ok(without.endsWith('"fields":{"other":4}}'))
  })

  t.test('blank ones are refused before they are sent', async (t) => {
    for (const value of ['', '  ', '\n\t', null, undefined]) {
      const { refused, requests } = await wire(t, [{ message: value }], { single_event_column: 'message' })
      t.match(refused, [/^message: is blank/])
      t.equal(requests.length, 0)
    }
  })

  t.test('of one column, that is no text', async (t) => {
    for (const [value, text] of [
      [5, '5'],
      [false, 'false'],
      [{ a: 1n }, '{"a":1}'],
      [[1], '[1]'],
      [2n ** 70n, '1180591620717411303424'],
    ] as const) {
      const { body } = await wire(t, [{ message: value }], { single_event_column: 'message' })
      t.ok(body.endsWith(`"event":${text}}`), body)
    }
    const { refused } = await wire(t, [{ message: () => {} }], { single_event_column: 'message' })
    t.match(refused, ['message is a function, which has no form in JSON'])
  })

  t.test('a row refused here does not touch those around it', async (t) => {
    const { events, refused, requests } = await wire(t, [{ at: 1 }, { at: 'x' }, { at: 3 }], {
      time_column: 'at',
    })
    t.same(
      events.map(({ time }) => time),
      [1, 3],
    )
    t.equal(refused.length, 1)
    t.equal(requests.length, 1)
  })
})

t.test('batches', async (t) => {
  const lines = (body: Buffer) => body.toString().split('\n').length
  t.test('batch_size, 50 by default', async (t) => {
    const { requests } = await wire(t, rowsOf(120), { max_in_flight: 1 })
    t.same(
      requests.map(({ body }) => lines(body)),
      [50, 50, 20],
    )
    const { requests: small } = await wire(t, rowsOf(5), { batchSize: '2', max_in_flight: 1 })
    t.same(
      small.map(({ body }) => lines(body)),
      [2, 2, 1],
    )
  })
  t.test('batch_bytes is never passed, but by a row that is larger itself', async (t) => {
    const options = { time_column: 'at', batch_bytes: 300, max_in_flight: 1, compression: 'none' } as const
    const rows = [80, 80, 80, 80, 500, 80].map((length, at) => ({ at, text: 'é'.repeat(length / 2) }))
    const { requests, events } = await wire(t, rows, options)
    t.same(
      events.map(({ time }) => time),
      [0, 1, 2, 3, 4, 5],
    )
    t.same(
      requests.map(({ body }) => lines(body)),
      [2, 2, 1, 1],
    )
    t.ok(requests.every(({ body }) => body.length <= 300 || lines(body) === 1))
    const length = requests[0]!.body.length
    const { requests: exact } = await wire(t, rows, { ...options, batch_bytes: length })
    t.equal(lines(exact[0]!.body), 2, 'exactly full')
    const { requests: less } = await wire(t, rows, { ...options, batch_bytes: length - 1 })
    t.equal(lines(less[0]!.body), 1)
  })
  t.test('linger_ms', async (t) => {
    const hec = await startHec(t)
    const never = splunkSink(hec, { linger_ms: 1e12 })
    never.write({ id: 2 })
    const sink = splunkSink(hec, { linger_ms: 20 })
    sink.write({ id: 0 })
    sink.write({ id: 1 })
    await new Promise((resolve) => sink.once('batch', resolve))
    t.equal(lines(hec.requests[0]!.body), 2)
    t.equal(hec.count, 1, 'a very long time is not cut down to none')
    sink.end()
    never.end()
    await new Promise((resolve) => never.once('finish', resolve))
    t.equal(hec.count, 2)
  })
  t.test('max_in_flight', async (t) => {
    for (const max_in_flight of [1, 3]) {
      const hec = await startHec(t)
      hec.fail({ delay: 20, times: Infinity })
      let most = 0
      const sink = splunkSink(hec, { batch_size: 1, max_in_flight })
      hec.on('request', () => {
        most = Math.max(most, sink.stats.inFlight)
      })
      t.equal(await deliver(rowsOf(8), sink), undefined)
      t.equal(most, max_in_flight)
      t.equal(hec.connectionCount, max_in_flight, 'connections are kept')
    }
  })
  t.test('stats', async (t) => {
    const hec = await startHec(t)
    hec.answerCode(9)
    const sink = splunkSink(hec, { dead_letter: new LetterBox(), time_column: 'at' })
    const { stats } = sink
    await deliver([{ at: 1 }, { at: 'x' }, { at: 2 }], sink)
    t.same(stats, { written: 3, delivered: 2, rejected: 1, requests: 2, retries: 1, inFlight: 0, bytes: hec.bytes / 2 - 1 }) // biome-ignore format: one object
  })
})

t.test('the request', async (t) => {
  t.test('its headers', async (t) => {
    const { requests } = await wire(t, rowsOf(2), { batch_size: 1 })
    const [first, second] = requests.map(({ headers }) => headers)
    t.equal(requests[0]?.path, '/services/collector/event')
    t.match(first?.['user-agent'], /^cyber-connectors\/\d.* node\/\d/)
    t.match(first?.authorization, /^Splunk [0-9a-f-]{36}$/)
    t.match(first?.['content-type'], 'application/json')
    t.match(first?.['x-splunk-request-channel'], /^[0-9a-f]{8}-[0-9a-f]{4}-4/)
    t.equal(second?.['x-splunk-request-channel'], first?.['x-splunk-request-channel'])
    t.equal(first?.['content-encoding'], undefined, 'a small body is sent as it is')
    t.equal(first?.cookie, undefined)
  })
  t.test('channel', async (t) => {
    const channel = 'DE0A2F84-3B8B-4A5B-8C1C-0123456789ab'
    const { requests } = await wire(t, rowsOf(1), { channel })
    t.equal(requests[0]?.headers['x-splunk-request-channel'], channel)
  })
  t.test('compression', async (t) => {
    const rows = Array.from({ length: 50 }, (_, id) => ({ id, text: 'the same text again and again' }))
    for (const compression of ['gzip', 'none'] as const) {
      const { requests, events } = await wire(t, rows, { compression })
      t.equal(requests[0]?.headers['content-encoding'], compression === 'gzip' ? 'gzip' : undefined)
      t.equal(requests[0]!.wireBytes < requests[0]!.body.length, compression === 'gzip')
      t.equal(events.length, 50)
    }
  })
  t.test('url', async (t) => {
    const hec = await startHec(t)
    for (const [path, event, health] of [
      ['', '/services/collector/event', '/services/collector/health'],
      ['/', '/services/collector/event', '/services/collector/health'],
      ['/services/collector', '/services/collector', '/services/collector/health'],
      ['/services/collector/', '/services/collector', '/services/collector/health'],
      ['/services/collector/event', '/services/collector/event', '/services/collector/health'],
      ['/services/collector/event/1.0#x', '/services/collector/event/1.0', '/services/collector/health'],
    ] as const) {
      hec.requests.length = 0
      const sink = splunkSink(hec, { url: hec.url + path })
      await sink.healthy()
      t.equal(await deliver(rowsOf(1), sink), undefined)
      t.same(
        hec.requests.map(({ path }) => path),
        [health, event],
        path,
      )
    }
    hec.requests.length = 0
    const url = new URL(`${hec.url}/services/collector/event?auto_extract_timestamp=true`)
    const sink = splunkSink(hec, { url, ack: true, ack_timeout: 0.1 })
    await sink.healthy()
    await deliver(rowsOf(1), sink)
    t.match(
      hec.requests.map(({ query }) => `${query}`),
      ['auto_extract_timestamp=true&ack=true', 'auto_extract_timestamp=true'],
    )
  })
  t.test('over TLS: ca, verify_ssl', async (t) => {
    const authority = await createCertificateAuthority()
    const hec = await startHec(t, { tls: authority })
    t.equal(await deliver(rowsOf(1), splunkSink(hec, { ca: authority.ca })), undefined)
    t.equal(await deliver(rowsOf(1), splunkSink(hec, { verify_ssl: 'false' })), undefined)
    const error = await deliver(rowsOf(1), splunkSink(hec))
    t.match(error, { code: 'ERR_DELIVERY', message: /certificate/, rows: [{ id: 0 }] })
    t.equal(error?.attempts, undefined, 'it is not tried again')
    t.equal(hec.count, 2)
  })
})

t.test('raw mode', async (t) => {
  const rows = [
    { line: 'one', i: 'a' },
    { line: 'two é', i: 'a' },
    { line: 'three', i: 'b' },
    { line: 'four' },
  ]
  const options = { mode: 'raw', single_event_column: 'line', index_column: 'i', host: 'h 1' } as const
  const { requests, events } = await wire(t, rows, { ...options, max_in_flight: 1 })
  t.same(
    requests.map(({ path, query, body }) => [
      path,
      query.get('index'),
      query.get('host'),
      query.get('sourcetype'),
      body.toString(),
    ]),
    [
      ['/services/collector/raw', 'a', 'h 1', 'text', 'one\ntwo é'],
      ['/services/collector/raw', 'b', 'h 1', 'text', 'three'],
      ['/services/collector/raw', null, 'h 1', 'text', 'four'],
    ],
  )
  t.match(requests[0]?.headers, { 'content-type': 'text/plain; charset=utf-8' })
  t.equal(events.length, 4)
  const { refused } = await wire(t, [{ line: 5 }, { line: ' ' }, {}], options)
  t.match(refused, [/^line: expected a string, got the number 5/, /blank/, /blank/])
  const hec = await startHec(t)
  for (const path of [
    '/services/collector/raw',
    '/services/collector/event',
    '/services/collector/raw/1.0?a=b',
  ]) {
    hec.requests.length = 0
    t.equal(await deliver([{ line: 'x' }], splunkSink(hec, { ...options, url: hec.url + path })), undefined)
    t.equal(hec.requests[0]?.path, '/services/collector/raw')
    t.equal(hec.requests[0]?.query.get('host'), 'h 1')
  }
  t.equal(hec.requests[0]?.query.get('a'), 'b')
})

t.test('an instant in the usual form is read by its digits: as the calendar has it', async (t) => {
  const sink = splunkSink(await startHec(t), { time_column: 't' })
  t.teardown(() => sink.destroy())
  const sent = (text: string) => {
    try {
      return sink.preview([{ t: text }])
    } catch {
      return 'refused'
    }
  }
  const number = (most: number, digits: number) =>
    fc.nat(most).map((value) => String(value).padStart(digits, '0'))
  // The second 60 may be a leap second, which is tested elsewhere.
  const instants = fc
    .tuple(
      number(9999, 4),
      number(13, 2),
      number(32, 2),
      number(25, 2),
      number(60, 2),
      number(59, 2),
      fc.nat(7),
    )
    .chain(([year, month, day, hour, minute, second, digits]) =>
      number(10 ** digits - 1, digits).map(
        (fraction) =>
          `${year}-${month}-${day}T${hour}:${minute}:${second === '60' ? '61' : second}${digits > 0 ? `.${fraction}` : ''}Z`,
      ),
    )
  fc.assert(
    fc.property(fc.array(instants, { minLength: 1, maxLength: 4 }), (texts) => {
      for (const text of texts) {
        const instant = parseInstant(text)
        const told = /"time":([^,]*),/.exec(sent(text))?.[1]
        const expected = instant === undefined ? undefined : formatSeconds(instant)
        if (told !== expected) throw new Error(`${text}: ${told}, expected ${expected}`)
      }
    }),
    { numRuns: scaled(1000, 50_000) },
  )
})
