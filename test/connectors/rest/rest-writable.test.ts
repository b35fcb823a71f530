import fc from 'fast-check'
import t, { type Test } from 'tap'
import type { RestOptions } from '../../../lib/connectors/rest/index.ts'
import { RestWritable } from '../../../lib/connectors/rest/index.ts'
import type { EitherSpelling } from '../../../lib/core/spelling.ts'
import type { Fault } from '../../../lib/emulators/index.ts'
import { RestEmulator } from '../../../lib/emulators/index.ts'
import { scaled } from '../../fixtures/scale.ts'
import {
  deliver,
  everythingOf,
  LetterBox,
  onChannels,
  runSchedule,
  schedules,
  soak,
  watch,
} from '../../fixtures/sink-trial.ts'

const quick = { initial_backoff: 0.001, max_backoff: 0.002, linger_ms: 20 }

async function service(t: Test, options?: ConstructorParameters<typeof RestEmulator>[0]) {
  const rest = await new RestEmulator(options).start()
  t.teardown(() => rest.close())
  return rest
}

t.test('each format and method: what is sent', async (t) => {
  const rest = await service(t)
  const rows = [
    { a: 1, text: 'Zürich', at: new Date(0), none: null, nothing: undefined },
    { a: 9007199254740993n, deep: { list: [1, 'x'] } },
  ]
  const json = [
    '{"a":1,"text":"Zürich","at":"1970-01-01T00:00:00.000Z","none":null}',
    '{"a":9007199254740993,"deep":{"list":[1,"x"]}}',
  ]
  type Sent = { method?: string; type?: string; body?: string; query?: string }
  const cases: [Partial<EitherSpelling<RestOptions>>, Sent[]][] = [
    [{}, json.map((body) => ({ body, type: 'application/json', method: 'POST' }))],
    [{ batch_size: '2' }, [{ body: `[${json.join(',')}]` }]],
    // One row alone is an array too: the receiver need not tell the two apart.
    [{ batch_size: 3, http_method: 'put' }, [{ body: `[${json.join(',')}]`, method: 'PUT' }]],
    [
      { http_format: 'ndjson', batch_size: 2 },
      [{ body: `${json.join('\n')}\n`, type: 'application/x-ndjson' }],
    ],
    [
      { http_format: 'ndjson', http_method: 'patch' },
      json.map((row) => ({ body: `${row}\n`, method: 'PATCH' })),
    ],
    [
      { url_query_params: 'a', batch_size: 2 },
      [
        { body: `[{${json[0]!.slice(7)}]`, query: 'fixed=%20x&a=1' },
        { body: `[{${json[1]!.slice(22)}]`, query: 'fixed=%20x&a=9007199254740993' },
      ],
    ],
    [
      { url_query_params: '*' },
      [{ body: '{}', query: 'fixed=%20x&a=1&text=Z%C3%BCrich&at=1970-01-01T00%3A00%3A00.000Z&none=' }, {}],
    ],
    [
      { http_format: 'form-data' },
      [
        {
          body: 'a=1&text=Z%C3%BCrich&at=1970-01-01T00%3A00%3A00.000Z&none=',
          type: 'application/x-www-form-urlencoded',
        },
        { body: 'a=9007199254740993&deep=%7B%22list%22%3A%5B1%2C%22x%22%5D%7D' },
      ],
    ],
    [
      { http_method: 'get', url_query_params: ['*'] },
      [
        {
          method: 'GET',
          body: '',
          query: 'fixed=%20x&a=1&text=Z%C3%BCrich&at=1970-01-01T00%3A00%3A00.000Z&none=',
        },
        {
          method: 'GET',
          body: '',
          query: 'fixed=%20x&a=9007199254740993&deep=%7B%22list%22%3A%5B1%2C%22x%22%5D%7D',
        },
      ],
    ],
    [
      { httpFormat: 'json', headers: { 'Content-Type': 'application/vnd.api+json' } },
      json.map((body) => ({ body, type: 'application/vnd.api+json' })),
    ],
  ]
  for (const [options, sent] of cases) {
    rest.requests.length = 0
    const targets: string[] = []
    const sink = new RestWritable({ url: `${rest.url}/hook?fixed=%20x#part`, ...quick, ...options })
    t.equal(await deliver(rows, sink), undefined)
    for (const { query } of rest.requests) targets.push(query.toString())
    t.match(
      rest.requests.map((request) => ({
        method: request.method,
        type: request.headers['content-type'],
        body: request.body.toString(),
        query: request.query.toString(),
      })),
      sent.map(({ query, ...rest }) => ({
        ...rest,
        ...(rest.body !== undefined && { query: new URLSearchParams(query ?? 'fixed=%20x').toString() }),
      })),
      JSON.stringify(options),
    )
    t.equal(rest.requests.length, sent.length)
    t.ok(rest.requests.every(({ headers }) => headers['user-agent']?.startsWith('cyber-connectors/')))
  }
  rest.rows.length = 0
  t.equal(await deliver(rows, new RestWritable({ url: rest.url, http_format: 'multipart' })), undefined)
  t.match(rest.requests.at(-1)?.headers['content-type'], /^multipart\/form-data; boundary=/)
  t.strictSame(rest.rows, [
    { a: '1', text: 'Zürich', at: '1970-01-01T00:00:00.000Z', none: '' },
    { a: '9007199254740993', deep: '{"list":[1,"x"]}' },
  ])
})

t.test('a row is refused where it lacks a query parameter, or get would lose a column of it', async (t) => {
  const rest = await service(t)
  const rows = [{ a: 1 }, { a: 2, b: 3 }, { b: 4 }, { a: undefined }, { a: null, b: undefined }]
  const cases: [Partial<RestOptions>, string[], number][] = [
    [
      { http_method: 'get', url_query_params: 'a' },
      ['b: would be lost: get sends no body, and url_query_params does not name it'],
      2,
    ],
    [{ url_query_params: 'a' }, [], 3],
  ]
  for (const [options, lost, received] of cases) {
    rest.received = 0
    const dead_letter = new LetterBox()
    t.equal(await deliver(rows, new RestWritable({ url: rest.url, ...options, dead_letter })), undefined)
    const missing = 'a: is missing, and url_query_params names it'
    t.strictSame(dead_letter.letters.map(({ reason }) => reason.text), [...lost, missing, missing]) // biome-ignore format: a list
    t.equal(rest.received, received)
  }
})

t.test('a row that has no form is refused, the others go on', async (t) => {
  const rest = await service(t)
  for (const options of [
    {},
    { http_format: 'form-data' },
    { http_format: 'multipart' },
    { http_method: 'get', url_query_params: '*' },
  ] as const) {
    const dead_letter = new LetterBox()
    const sink = new RestWritable({ url: rest.url, ...quick, ...options, dead_letter })
    rest.received = 0
    t.equal(
      await deliver([{ a: 1 }, { when: new Date(Number.NaN) }, { run: () => {} }, 'text', { a: 2 }], sink),
      undefined,
    )
    t.equal(rest.received, 2)
    t.match(dead_letter.letters, [
      { connector: 'rest', reason: { code: 'ERR_ROW', text: /^when is an invalid Date/ } },
      { reason: { text: /^run is a function/ } },
      { row: 'text', reason: { text: /a row \(a plain object\), got a string/ } },
    ])
  }
  const error = await deliver([{ a: 1 }, { when: new Date(Number.NaN) }], new RestWritable({ url: rest.url }))
  t.match(error, { code: 'ERR_ROW', connector: 'rest', rows: [{}] })
})

t.test('headers, connections, certificates', async (t) => {
  const rest = await service(t, { tls: true, authorization: 'Bearer abc' })
  const ok = new RestWritable({
    url: rest.url,
    ca: rest.ca!,
    http_header_Authorization: 'Bearer abc',
    'http_header_X-Kind': 'alerts',
    headers: { Accept: 'text/plain' },
  })
  t.equal(await deliver([{ a: 1 }, { a: 2 }, { a: 3 }], ok), undefined)
  t.match(
    rest.requests.map(({ headers }) => headers),
    Array(3).fill({ 'x-kind': 'alerts', accept: 'text/plain' }),
  )
  t.equal(rest.connectionCount, 1, 'one connection for all')
  const wrong = await deliver([{ a: 1 }], new RestWritable({ url: rest.url, verify_ssl: false }))
  t.match(wrong, {
    code: 'ERR_AUTH',
    status: 401,
    rows: [{ a: 1 }],
    message: /the credentials were refused \(401/,
  })
  const untrusted = await deliver([{ a: 1 }], new RestWritable({ url: rest.url, ...quick }))
  t.match(untrusted, { code: 'ERR_DELIVERY', rows: [{ a: 1 }], message: /certificate/ })
  t.match(untrusted?.cause, { code: /CERT|ISSUER|VERIFY/ })
})

t.test('what each status means', async (t) => {
  const rest = await service(t)
  const rows = [{ id: 0 }, { id: 1 }, { id: 2 }, { id: 3 }]
  const accepted = { requests: 1, received: 4 }
  // A status is given once; the service then takes everything in. A status for ever is what `always` stands for.
  const cases: [
    Fault,
    { requests: number; received: number; code?: string; dead?: number; retries?: number; message?: RegExp },
  ][] = [
    ...[200, 201, 202, 204, 299].map((status): (typeof cases)[number] => [
      { status },
      { requests: 1, received: 0 },
    ]),
    ...[408, 429, 500, 502, 503, 504].map((status): (typeof cases)[number] => [
      { status, retryAfter: 0 },
      { ...accepted, requests: 2, retries: 1 },
    ]),
    // The head of the answer says that the rows are in.
    [{ reset: 'within' }, accepted],
    ...(['before', 'after'] as const).map((reset): (typeof cases)[number] => [
      { reset },
      { requests: 2, received: reset === 'before' ? 4 : 8, retries: 1 },
    ]),
    [{ status: 413 }, { requests: 3, received: 4 }],
    // A firewall may say 401 or 403 of one row: those that pass show that the credentials hold.
    ...[400, 401, 402, 403, 409, 414, 418, 422, 431, 451].map((status): (typeof cases)[number] => [
      { status },
      { requests: 3, received: 4 },
    ]),
    ...[401, 403].map((status): (typeof cases)[number] => [
      { status, times: Infinity },
      { requests: 7, received: 0, code: 'ERR_AUTH', message: /credentials were refused/ },
    ]),
    ...[407].map((status): (typeof cases)[number] => [
      { status },
      { requests: 1, received: 0, code: 'ERR_AUTH', message: /credentials were refused/ },
    ]),
    ...[404, 405, 406, 410, 415].map((status): (typeof cases)[number] => [
      { status },
      { requests: 1, received: 0, code: 'ERR_DELIVERY', message: /the endpoint does not take/ },
    ]),
    ...[501, 505].map((status): (typeof cases)[number] => [
      { status },
      { requests: 1, received: 0, code: 'ERR_DELIVERY', message: /the server failed/ },
    ]),
    ...[301, 302, 303, 307, 308].map((status): (typeof cases)[number] => [
      { status, headers: { location: 'https://elsewhere.example/secret-place' } },
      {
        requests: 1,
        received: 0,
        code: 'ERR_DELIVERY',
        message: /redirects to https:\/\/elsewhere\.example; redirects are not followed/,
      },
    ]),
    [
      { status: 307, headers: { location: '/other' } },
      { requests: 1, received: 0, code: 'ERR_DELIVERY', message: /to another path of itself/ },
    ],
    [{ status: 300 }, { requests: 1, received: 0, code: 'ERR_DELIVERY', message: /the server redirects; / }],
    [
      { status: 503, times: Infinity, retryAfter: 0 },
      {
        requests: 3,
        received: 0,
        code: 'ERR_DELIVERY',
        retries: 2,
        message: /gave up after 3 attempts: 503/,
      },
    ],
    [
      { status: 400, times: Infinity },
      {
        requests: 7,
        received: 0,
        code: 'ERR_DELIVERY',
        message: /4 rows in a row got the same refusal, and none was ever accepted/,
      },
    ],
    [
      // The second half goes row by row: what its size means is known by then.
      { status: 413, times: Infinity },
      { requests: 6, received: 0, dead: 4 },
    ],
  ]
  for (const [fault, { message, ...counts }] of cases) {
    rest.clearFaults().fail(fault)
    rest.count = 0
    rest.received = 0
    const dead_letter = new LetterBox()
    const sink = new RestWritable({ url: rest.url, ...quick, batch_size: 4, max_retries: 2, dead_letter })
    const watched = watch(sink)
    const error = await deliver(rows, sink)
    const name = JSON.stringify(fault)
    t.strictSame(
      {
        requests: rest.count,
        received: rest.received,
        code: error?.code,
        dead: dead_letter.letters.length,
        retries: watched.retries.length,
      },
      { code: undefined, dead: 0, retries: 0, ...counts },
      name,
    )
    if (message) t.match(error, { message, connector: 'rest' }, name)
    t.strictSame(error?.rows ?? [], error ? rows : [], name)
    t.match(
      dead_letter.letters.map(({ reason }) => reason),
      Array(dead_letter.letters.length).fill({ status: fault.status }),
      name,
    )
    t.match(
      sink.stats,
      { written: 4, rejected: counts.dead ?? 0, requests: counts.requests, inFlight: 0 },
      name,
    )
    t.equal(sink.stats.delivered, error ? 0 : 4 - (counts.dead ?? 0), name)
  }
})

t.test('rows at fault are found among those of a batch', async (t) => {
  const rest = await service(t)
  rest.answer = ({ body }) =>
    /"bad":true/.test(body.toString()) ? { status: 422, body: { error: 'no such field' } } : undefined
  const rows = Array.from({ length: 50 }, (_, id) => ({ id, bad: id === 7 || id === 31 }))
  const dead_letter = new LetterBox()
  const sink = new RestWritable({ url: rest.url, batch_size: 50, dead_letter })
  t.equal(await deliver(rows, sink), undefined)
  t.strictSame(
    rest.rows,
    rows.filter(({ bad }) => !bad),
    'the others are in once, in order',
  )
  t.match(dead_letter.letters, [
    { row: { id: 7 }, reason: { status: 422, text: '{"error":"no such field"}' } },
    { row: { id: 31 } },
  ])
  t.ok(rest.count < 25, `${rest.count} requests`)
  const error = await deliver(rows, new RestWritable({ url: rest.url, batch_size: 50 }))
  t.match(error, { code: 'ERR_REJECTED', status: 422, message: /^rest: a row was refused: / })
  t.match(error?.rows?.[0], { id: 7 })

  // Of a batch full of rows at fault each is refused by itself, at little more than a request a row.
  rest.count = 0
  const all = new LetterBox()
  const many = Array.from({ length: 300 }, (_, id) => ({ id, bad: id > 0 }))
  t.equal(
    await deliver(many, new RestWritable({ url: rest.url, batch_size: 300, dead_letter: all })),
    undefined,
  )
  t.equal(all.letters.length, 299)
  t.ok(rest.count < 330, `${rest.count} requests`)
})

t.test('a batch closes before its body would pass batch_bytes', async (t) => {
  const rest = await service(t)
  for (const http_format of ['json', 'ndjson'] as const) {
    rest.requests.length = 0
    const rows = Array.from({ length: 100 }, (_, id) => ({ id, pad: 'ü'.repeat(id % 7) }))
    t.equal(
      await deliver(
        rows,
        new RestWritable({ url: rest.url, http_format, batch_size: 1000, batch_bytes: 300 }),
      ),
      undefined,
    )
    const sizes = rest.requests.map(({ body }) => body.length)
    t.ok(
      sizes.every((size) => size <= 300),
      `${sizes}`,
    )
    t.ok(
      sizes.slice(0, -1).every((size) => size > 300 - 40),
      'and not much before',
    )
  }
})

t.test('the idempotency key stays with the rows', async (t) => {
  const rest = await service(t)
  const keys = () => rest.requests.map(({ headers }) => headers['idempotency-key'])
  rest.fail({ status: 500 }, { reset: 'after' }, { status: 503, retryAfter: 0 })
  const options = { url: rest.url, ...quick, batch_size: 2, idempotency_header: 'Idempotency-Key' }
  t.equal(await deliver([{ a: 1 }, { a: 2 }, { a: 3 }], new RestWritable(options)), undefined)
  const [first, ...others] = keys()
  t.match(first, /^[0-9a-f-]{36}$/)
  t.strictSame(others.slice(0, 3), [first, first, first], 'over retries')
  t.not(others[3], first, 'another for the next batch')
  t.equal(others.length, 4)
  rest.requests.length = 0
  rest.fail({ status: 413 })
  t.equal(await deliver([{ a: 1 }, { a: 2 }], new RestWritable(options)), undefined)
  t.equal(new Set(keys()).size, 3, 'the halves of a batch have keys of their own')
  rest.requests.length = 0
  const alone = { ...options, batch_size: 1 }
  for (let time = 0; time < 2; time++)
    t.equal(await deliver([{ a: 1 }, { a: 1 }], new RestWritable(alone)), undefined)
  const [one, other, ...again] = keys()
  t.not(one, other, 'rows that are alike are two events')
  t.same(again, [one, other], 'and have their keys again in a later stream')
})

t.test('Retry-After, in seconds and as a date', async (t) => {
  const rest = await service(t)
  const start = Date.now()
  const soon = new Date(Math.ceil(Date.now() / 1000) * 1000 + 2000)
  rest.fail(
    { status: 503, retryAfter: '0' },
    { status: 429, retryAfter: 0.05 },
    { status: 429, retryAfter: new Date(0).toUTCString() },
    { status: 503, retryAfter: soon.toUTCString() },
    { status: 503, retryAfter: 'soon' },
  )
  const sink = new RestWritable({ url: rest.url, ...quick })
  const { retries } = watch(sink)
  t.equal(await deliver([{ a: 1 }], sink), undefined)
  t.strictSame(
    retries.slice(0, 2).map(({ wait }) => wait),
    [1, 50],
    '0 is not below our own first wait',
  )
  t.ok(retries[2]!.wait <= 2, 'one that has passed leaves it to us')
  t.ok(
    retries[3]!.wait > 0 && retries[3]!.wait <= soon.getTime() - start + 1000,
    'a date, by the clock of the answer, which has whole seconds',
  )
  t.ok(rest.requests[4]!.at >= soon.getTime() - 20, 'not before that date')
  t.ok(retries[4]!.wait <= 2, 'one that can not be read leaves it to us')
})

t.test('options: all problems at once', async (t) => {
  const url = 'https://x.example/hook'
  const problems = (options: object) => {
    try {
      new RestWritable(options as RestOptions)
      return []
    } catch (error) {
      t.match(error, { name: 'OptionError', code: 'ERR_OPTION', connector: 'rest' })
      return (error as { problems: string[] }).problems
    }
  }
  t.strictSame(problems({}), ['url: is required (an http or https URL)'])
  t.strictSame(problems({ url, httpMethod: 'delete', http_format: 'xml', batch_size: 0, urll: 1 }), [
    'http_method: expected one of "post", "put", "patch", "get", got "delete"',
    'http_format: expected one of "json", "ndjson", "form-data", "multipart", got "xml"',
    'batch_size: expected an integer of 1 or more, or "auto", got 0',
    'unknown option "urll"; did you mean "url"?',
  ])
  t.strictSame(problems({ url, http_method: 'get', http_format: 'ndjson', batch_size: '5' }), [
    'url_query_params: is required with http_method "get", which sends no body',
    'http_format: "ndjson" has no place with http_method "get", which sends no body',
    'batch_size: http_method "get" sends one row a request, so it must be 1',
  ])
  t.strictSame(
    problems({
      url,
      http_format: 'multipart',
      batch_size: 2,
      http_header_content_type: 'ok',
      headers: { 'content-type': 'x' },
    }),
    [
      'headers: "content-type": with http_format "multipart" the client sets it, with the boundary in it',
      'batch_size: http_format "multipart" sends one row a request, so it must be 1',
    ],
  )
  t.strictSame(
    problems({
      url,
      headers: { Authorization: 'a', 'x-a': 'b' },
      http_header_authorization: 'c',
      'http_header_bad name': 'd',
      'http_header_Content-Length': '5',
      http_header_X: 'new\nline',
      http_header_Y: 7,
      idempotency_header: 'X-A',
    }),
    [
      'http_header_X: has a character in it that a header can not carry',
      'http_header_Y: expected a string, got a secret number',
      'http_header_authorization: the same header is given by headers: "Authorization"',
      'http_header_bad name: "bad name" is not the name of a header',
      'http_header_Content-Length: this header is set by the client alone',
      'idempotency_header: the same header is given by headers: "x-a"',
    ],
  )
  t.strictSame(problems({ url: 'https://ann:pw@x.example', http_header_Authorization: 'c' }), [
    'http_header_Authorization: the same header is given by the user and password in url',
  ])
  t.strictSame(problems({ url, headers: ['a'] }), [
    'headers: expected an object of header names and strings, got a secret object',
  ])
  t.strictSame(problems({ url, headers: { a: 1 } }), ['headers: expected a string as the value of "a"'])
})

t.test('nothing shows the webhook, its query, a header or the password of a proxy', async (t) => {
  const secrets = [
    's3cr3t-hook-path',
    'c0nfidential',
    'sig-9f8e7d6c',
    'hunter2-header',
    'pr0xy-pass',
    'hidden-target',
    'über-s3cr3t',
    Buffer.from('user:c0nfidential').toString('base64'),
  ]
  const rest = await service(t)
  const path = '/webhook/s3cr3t-hook-path/c0nfidential'
  const hook = `${rest.url}${path}?sig=sig-9f8e7d6c`
  const headers = { Authorization: 'Bearer hunter2-header' }
  const echo = (request: { path: string; query: URLSearchParams; headers: object }) =>
    `<html>${request.path}?${request.query} ${encodeURIComponent(request.path)} ${JSON.stringify(request.headers)} ${'c0nfidential '.repeat(50)}</html>`
  const seen: unknown[] = []
  let errors = 0
  const run = async (options: Partial<RestOptions>, rows: unknown[] = [{ a: 1 }, { a: 2 }]) => {
    const sink = new RestWritable({
      url: hook,
      headers,
      ...quick,
      max_retries: 1,
      request_timeout: 5,
      ...options,
    } as RestOptions)
    const watched = watch(sink)
    const error = await deliver(rows, sink)
    if (error) errors++
    seen.push(sink, sink.stats, watched, error)
    return error
  }
  seen.push(
    await onChannels(async () => {
      for (const status of [400, 401, 404, 413, 429, 500, 501]) {
        rest.answer = (request) => ({ status, body: echo(request), headers: { 'retry-after': '0' } })
        t.ok(await run({}), `${status}`)
        await run({ dead_letter: new LetterBox(), batch_size: 2 })
      }
      rest.answer = () => ({
        status: 302,
        headers: { location: `https://elsewhere.example/hidden-target${path}` },
        body: path,
      })
      t.match(await run({}), { message: /elsewhere/ })
      rest.answer = undefined
      for (const fault of [{ reset: 'before' }, { reset: 'after' }] as const) {
        rest.clearFaults().fail({ ...fault, times: Infinity })
        t.match(await run({}), { code: 'ERR_DELIVERY' })
      }
      rest.clearFaults().fail({ stall: 'before', times: Infinity })
      t.match(await run({ request_timeout: 0.05 }), { message: /no answer within 0\.05 s/ })
      rest.clearFaults()
      t.match(await run({ url: `http://127.0.0.1:1${path}` }), { cause: { code: 'ECONNREFUSED' } })
      t.match(await run({ url: hook.replace('http:', 'https:') }), { code: 'ERR_DELIVERY' })
      t.ok(await run({ url: `http://user:c0nfidential@no-such-host.invalid${path}`, headers: {} }))
      rest.answer = (request) => ({
        status: 400,
        body: `${request.headers.authorization} ${decodeURIComponent(request.path)} ${request.query.get('more')}`,
      })
      const withUser = `${hook.replace('//', '//user:c0nfidential@')}&more=%C3%BCber-s3cr3t`
      t.ok(await run({ url: withUser.replace('s3cr3t-hook', 's3cr3t%2Dhook'), headers: {} }))
      rest.answer = undefined
      t.ok(await run({ proxy: 'http://user:pr0xy-pass@127.0.0.1:1/', url: hook }))
      rest.answer = () => ({ status: 407, body: 'pr0xy-pass' })
      t.ok(
        await run({
          proxy: `${rest.url.replace('//', '//user:pr0xy-pass@')}/`,
          url: 'https://localhost:1/s3cr3t-hook-path',
        }),
      )
      rest.answer = undefined
      t.ok(await run({}, ['not a row']))
      const cut = new RestWritable({ url: hook, headers })
      rest.fail({ stall: 'before' })
      rest.once('request', () => cut.destroy())
      t.match(await deliver([{ a: 1 }], cut), { code: 'ERR_ABORTED', rows: [{ a: 1 }] })
      seen.push(cut)
    }),
  )
  for (const wrong of [
    { url: `ftp://x${path}` },
    { url: 'http://s3cr3t-hook-path c0nfidential' },
    { url: hook, headers: { a: 'hunter2-header\n' } },
    { url: hook, http_header_a: 'hunter2-header\n', proxy: 'pr0xy-pass' },
    { url: hook, headers: 'hunter2-header' },
  ]) {
    try {
      new RestWritable(wrong as unknown as RestOptions)
      t.fail('expected an OptionError')
    } catch (error) {
      seen.push(error)
    }
  }
  t.ok(errors > 15)
  const text = everythingOf(...seen)
  for (const secret of secrets) t.notOk(text.includes(secret), `${secret} does not show`)
  t.ok(text.includes('[redacted]'), 'the search has seen texts that held them')
})

t.test(
  'whatever goes wrong: each row is settled or listed, and comes twice only where an answer was lost',
  async (t) => {
    const rest = await service(t)
    rest.answer = ({ body }) => (/"refused":true/.test(body.toString()) ? { status: 400 } : undefined)
    const faults: fc.Arbitrary<Fault> = fc.oneof(
      {
        weight: 6,
        arbitrary: fc
          .constantFrom(408, 425, 429, 500, 502, 503, 504, 507, 520, 529, 599)
          .map((status) => ({ status, retryAfter: 0 })),
      },
      {
        weight: 4,
        arbitrary: fc
          .constantFrom('before' as const, 'within' as const, 'after' as const)
          .map((reset) => ({ reset })),
      },
      {
        weight: 1,
        arbitrary: fc.constantFrom('before' as const, 'after' as const).map((reset) => ({ reset, times: 4 })),
      },
      { weight: 2, arbitrary: fc.constantFrom(413, 422).map((status) => ({ status })) },
      { weight: 1, arbitrary: fc.constantFrom(401, 404, 302).map((status) => ({ status })) },
      { weight: 1, arbitrary: fc.constant({ truncate: true }) },
    )
    await fc.assert(
      fc.asyncProperty(
        schedules(faults),
        fc.constantFrom('json' as const, 'ndjson' as const),
        (schedule, http_format) =>
          runSchedule(schedule, rest, (dead_letter) => {
            const { batch_size, max_in_flight, max_retries } = schedule
            return new RestWritable({
              url: rest.url,
              ...quick,
              linger_ms: 1,
              http_format,
              batch_size,
              max_in_flight,
              max_retries,
              dead_letter,
            })
          }),
      ),
      { numRuns: scaled(30, 150) },
    )
    t.pass('all schedules')
  },
)

t.test('a long stream with faults does not grow in memory', async (t) => {
  const count = scaled(10_000, 200_000)
  const rest = await service(t, { record: false, keepRows: false })
  let requests = 0
  rest.answer = () =>
    ++requests % scaled(5, 50) === 0 ? { status: 503, headers: { 'retry-after': '0' } } : undefined
  for (let after = scaled(2, 10); after < scaled(40, 400); after += scaled(4, 40))
    rest.fail({ reset: after % scaled(8, 20) ? 'before' : 'after', after })
  const sink = new RestWritable({ url: rest.url, ...quick, batch_size: 500, max_in_flight: 4 })
  const grown = await soak(count, sink)
  t.ok(grown < 8_000_000, `grew by ${(grown / 1e6).toFixed(1)} MB`)
  t.ok(rest.received >= count)
  t.match(sink.stats, { written: count, delivered: count })
  t.ok(sink.stats.retries > 10)
})
