import https from 'node:https'
import t from 'tap'
import {
  createCertificateAuthority,
  HecEmulator,
  SplunkSearchEmulator,
  type SplunkSearchEmulatorOptions,
  searchFaults,
  startEmulators,
} from '../../../lib/emulators/index.ts'

interface Test {
  teardown(close: () => Promise<void>): void
}

interface Reply {
  status: number
  body: string
  /** The body as JSON; undefined where it is none. */
  // biome-ignore lint/suspicious/noExplicitAny: JSON of any form
  json: any
  /** The body as lines of JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: JSON of any form
  lines: any[]
}

const day = Date.parse('2026-10-08T00:00:00Z') / 1000
const second = (count: number) => new Date((day + count) * 1000)

async function start(t: Test, options: SplunkSearchEmulatorOptions = {}): Promise<SplunkSearchEmulator> {
  const splunk = await new SplunkSearchEmulator(options).start()
  t.teardown(() => splunk.close())
  return splunk
}

interface Ask {
  form?: Record<string, string>
  method?: string
  authorization?: string | null
}

async function ask(
  splunk: SplunkSearchEmulator,
  path: string,
  { form, method, authorization }: Ask = {},
): Promise<Reply> {
  const headers: Record<string, string> = {}
  if (authorization !== null) headers['authorization'] = authorization ?? `Bearer ${splunk.token}`
  const response = await fetch(`${splunk.url}${path}`, {
    method: method ?? (form ? 'POST' : 'GET'),
    headers,
    ...(form && { body: new URLSearchParams(form) }),
  })
  return replyOf(response.status, await response.text())
}

function replyOf(status: number, body: string): Reply {
  const parse = (text: string) => {
    try {
      return JSON.parse(text)
    } catch {
      return undefined
    }
  }
  const lines = body.split('\n').filter((line) => line.trim() !== '')
  return { status, body, json: parse(body), lines: lines.map(parse) }
}

const search = (
  splunk: SplunkSearchEmulator,
  spl: string,
  more: Record<string, string> = {},
  version = 'v2/',
) =>
  ask(splunk, `/services/search/${version}jobs/export`, {
    form: { search: spl, output_mode: 'json', ...more },
  })

const found = async (splunk: SplunkSearchEmulator, spl: string, more: Record<string, string> = {}) => {
  const { lines } = await search(splunk, spl, more)
  return lines.filter(({ preview, result }) => preview === false && result).map(({ result }) => result)
}

/** `n` of the events that a search finds. */
const numbers = async (splunk: SplunkSearchEmulator, spl: string, more: Record<string, string> = {}) =>
  (await found(splunk, `${spl} | fields n`, more)).map(({ n }) => Number(n))

t.test('over TLS, what a collector took in is found, by v2 and v1', async (t) => {
  await using emulators = await startEmulators()
  const { hec, splunkSearch: splunk, ca } = emulators
  t.match(splunk.url, /^https:/)
  const post = (url: string, body: string, authorization: string) =>
    new Promise<Reply>((resolve, reject) => {
      const request = https.request(
        url,
        { method: 'POST', ca, headers: { authorization } },
        async (response) => {
          let text = ''
          for await (const chunk of response) text += chunk
          resolve(replyOf(response.statusCode!, text))
        },
      )
      request.once('error', reject).end(body)
    })
  const events = [
    {
      time: day + 1.5,
      host: 'a',
      index: 'web',
      sourcetype: 'json',
      event: { user: 'eve', id: 1 },
      fields: { n: '1' },
    },
    { time: day + 2, host: 'b', index: 'web', event: 'user="bob" n=2' },
  ]
  await post(hec.endpoint, events.map((event) => JSON.stringify(event)).join('\n'), `Splunk ${hec.token}`)
  t.equal(splunk.eventCount, 2)
  for (const version of ['v2/', '']) {
    const { status, lines } = await post(
      `${splunk.url}/services/search/${version}jobs/export`,
      new URLSearchParams({ search: 'search index=web', output_mode: 'json' }).toString(),
      `Bearer ${splunk.token}`,
    )
    t.equal(status, 200)
    t.match(lines, [
      {
        preview: false,
        offset: 0,
        result: { host: 'b', _raw: 'user="bob" n=2', index: 'web', _time: '2026-10-08 00:00:02.000 GMT' },
      },
      {
        preview: false,
        offset: 1,
        lastrow: true,
        result: { host: 'a', _raw: '{"user":"eve","id":1}', _time: '2026-10-08 00:00:01.500 GMT' },
      },
      { preview: false, lastrow: true },
    ])
    t.notOk('user' in lines[0].result, 'fields that nobody names are not worked out')
  }
})

t.test('signing in: token, session keys, basic', async (t) => {
  const splunk = await start(t, { password: 'changeme' })
  const info = (authorization: string | null) =>
    ask(splunk, '/services/server/info?output_mode=json', { authorization })
  const basic = (user: string, password: string) =>
    `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
  for (const authorization of [
    `Bearer ${splunk.token}`,
    `Splunk ${splunk.token}`,
    basic('admin', 'changeme'),
  ]) {
    const { status, json } = await info(authorization)
    t.equal(status, 200)
    t.match(json.entry[0].content, { version: '10.0.0', serverName: String })
  }
  for (const authorization of [null, 'Bearer wrong', 'Splunk wrong', basic('admin', 'wrong'), 'Bearer']) {
    const { status, json } = await info(authorization)
    t.equal(status, 401, String(authorization))
    t.same(json, { messages: [{ type: 'WARN', text: 'call not properly authenticated' }] })
  }
  const login = (password: string, mode = 'json') =>
    ask(splunk, '/services/auth/login', {
      form: { username: 'admin', password, output_mode: mode },
      authorization: null,
    })
  t.match((await login('wrong')).json, {
    messages: [{ type: 'WARN', code: 'incorrect_username_or_password', text: 'Login failed' }],
  })
  t.equal((await login('wrong')).status, 401)
  t.match((await login('changeme', 'xml')).body, /<sessionKey>[^<]+<\/sessionKey>/)
  const key = (await login('changeme')).json.sessionKey
  t.equal((await info(`Splunk ${key}`)).status, 200)
  t.equal((await info(`Bearer ${key}`)).status, 401, 'a session key is no bearer token')
  splunk.expireSessions()
  t.equal((await info(`Splunk ${key}`)).status, 401)
  t.equal(
    (await ask(splunk, '/services/authentication/current-context?output_mode=json')).json.entry[0].content
      .username,
    'admin',
  )
})

t.test('searches by fields, words, AND, OR, NOT, wildcards', async (t) => {
  const splunk = await start(t)
  splunk.addEvents([
    {
      time: day + 1,
      index: 'web',
      sourcetype: 'access',
      host: 'www1',
      event: { n: 1, status: 200, user: 'Alice', tags: ['x', 'y'] },
    },
    {
      time: day + 2,
      index: 'web',
      sourcetype: 'access',
      host: 'www2',
      event: { n: 2, status: 404, deep: { er: 'v' } },
    },
    {
      time: day + 3,
      index: 'os',
      sourcetype: 'syslog',
      host: 'db1',
      event: 'n=3 sshd: Failed password for root',
    },
    {
      time: day + 4,
      index: '_internal',
      sourcetype: 'splunkd',
      host: 'db1',
      event: 'n=4 all well, user="Bob Smith"',
    },
  ])
  const cases: [spl: string, found: number[]][] = [
    ['search index=web', [2, 1]],
    ['search index=*', [3, 2, 1]],
    ['search index=_*', [4]],
    ['search index=* OR index=_*', [4, 3, 2, 1]],
    ['search host=www*', [2, 1]],
    ['search host="WWW1"', [1]],
    ['search status!=200', [2]],
    ['search NOT status=200', [4, 3, 2]],
    ['search index=web status=200 OR status=404 host=www2', [2]],
    ['search (index=web host=www1) OR sourcetype=syslog', [3, 1]],
    ['search tags{}=y', [1]],
    ['search deep.er=v', [2]],
    ['search failed', [3]],
    ['search "failed password"', [3]],
    ['search fail', []],
    ['search fail*', [3]],
    ['search user="bob smith"', [4]],
    ['search user=*', [4, 1]],
    ['search index = web AND NOT ( status = 404 )', [1]],
    ['search *', [4, 3, 2, 1]],
    ['search index=web | search status=404', [2]],
    ['search index=web | head 1', [2]],
  ]
  for (const [spl, expected] of cases) t.same(await numbers(splunk, spl), expected, spl)
  t.match(await found(splunk, 'search tags{}=x'), [{ 'tags{}': ['x', 'y'], host: 'www1' }])
})

t.test(
  'time bounds: inclusive at the start, exclusive at the end, to the nanosecond; index time',
  async (t) => {
    const splunk = await start(t, { now: () => second(3600) })
    splunk.addEvents(
      ['1', '1.000000001', '1.999999999', '2', '3'].map((time, n) => {
        const [whole, fraction = ''] = time.split('.')
        return { time: `${day + Number(whole)}.${fraction}`, event: { n, at: n } }
      }),
      (event) => second(100 + 10 * Number((event.event as { n: number }).n)),
    )
    const at = (count: string) =>
      `${day + Number(count.split('.')[0])}${count.includes('.') ? `.${count.split('.')[1]}` : ''}`
    const cases: [bounds: Record<string, string>, found: number[]][] = [
      [{ earliest_time: at('1'), latest_time: at('2') }, [2, 1, 0]],
      [{ earliest_time: at('1.000000001'), latest_time: at('1.999999999') }, [1]],
      [{ earliest_time: '0' }, [4, 3, 2, 1, 0]],
      [{ index_earliest: at('110'), index_latest: at('130') }, [2, 1]],
      [{ index_earliest: at('110'), earliest_time: at('2') }, [4, 3]],
    ]
    for (const [bounds, expected] of cases)
      t.same(await numbers(splunk, 'search *', bounds), expected, JSON.stringify(bounds))
    const inclusive = await start(t, { indexBounds: 'inclusive' })
    inclusive.addEvents([{ time: day, event: { n: 1 } }], second(130))
    t.same(await numbers(inclusive, 'search *', { index_latest: at('130') }), [1])

    const wrong = await search(splunk, 'search *', { earliest_time: 'yesterday' })
    t.equal(wrong.status, 400)
    t.match(wrong.json, { messages: [{ type: 'FATAL', text: /^Invalid earliest_time\. / }] })
  },
)

t.test('fields, table, eval of a copy, bin, stats', async (t) => {
  const splunk = await start(t)
  splunk.addEvents([
    { time: `${day + 1}.123456789`, host: 'a', event: { n: 1, user: 'eve' } },
    { time: day + 2, host: 'a', event: { n: 20, user: 'bob' } },
    { time: day + 3, host: 'b', event: { n: 3, user: ['eve', 'bob'] } },
  ])
  const [last, , first] = await found(splunk, 'search * | eval at=_time, who=user | fields *, _indextime')
  t.match(first, {
    at: `${day + 1}.123456789`,
    who: 'eve',
    _time: '2026-10-08 00:00:01.123 GMT',
    user: 'eve',
  })
  t.match(last, { at: `${day + 3}`, 'user{}': ['eve', 'bob'], _indextime: String, _raw: String })
  t.notOk('_bkt' in first, '* does not stand for internal fields')
  t.match(await found(splunk, 'search host=b | fields _bkt _cd'), [{ _bkt: /^main~/, _cd: /:2$/ }])
  t.same(await found(splunk, 'search host=a | table host n'), [
    { host: 'a', n: '20' },
    { host: 'a', n: '1' },
  ])
  t.same(await found(splunk, 'search host=b | fields - _* user{} source* splunk_server linecount index'), [
    { host: 'b', n: '3' },
  ])
  t.same(await found(splunk, 'search * | stats count by host'), [
    { host: 'a', count: '2' },
    { host: 'b', count: '1' },
  ])
  t.same(
    await found(
      splunk,
      'search * | stats count as c, max(n) as most, dc("user{}") as users by host | head 1',
    ),
    [{ host: 'a', c: '2', most: '20', users: '0' }],
  )
  t.same(await found(splunk, 'search * | bin _time span=2s | stats count by _time'), [
    { _time: '2026-10-08 00:00:00.000 GMT', count: '1' },
    { _time: '2026-10-08 00:00:02.000 GMT', count: '2' },
  ])
  t.same(await found(splunk, 'search host=none | stats count min(_time)'), [{ count: '0' }])
  t.same(await found(splunk, 'search * | stats min(_indextime) as first | fields nothing'), [{}])
})

t.test('searches that can not be run say what can be done', async (t) => {
  const splunk = await start(t)
  for (const spl of [
    'search * | timechart count',
    '| makeresults',
    'index=main',
    'search [search x]',
    'search `macro`',
    'search a="b',
    'search (a',
    'search a=',
    'search * | eval x=case(1,2)',
    'search * | bin n span=2',
    'search * | stats p95(x)',
  ]) {
    const { status, json } = await search(splunk, spl)
    t.equal(status, 400, spl)
    t.match(json.messages, [
      {
        type: 'FATAL',
        text: /runs search by fields and words, .*register an answer: splunkSearch\.answer\(/,
      },
    ])
  }
  t.match((await search(splunk, '')).json, { messages: [{ type: 'FATAL', text: 'Empty search.' }] })
})

t.test('registered answers: text, pattern, test; windows; what follows is run', async (t) => {
  const splunk = await start(t)
  const rows = [
    { _time: second(1), n: 1, list: ['a', 'b'] },
    { _time: day + 2, n: 2n },
    { _time: '2026-10-08T00:00:03Z', n: 3, none: null },
    { n: 4, _indextime: day },
  ]
  splunk.answer('search index=x  |  timechart count', rows)
  splunk.answer(/tstats/, () => [{ _time: second(500), n: 9 }])
  splunk.answer(
    ({ search }) => search.includes('| collect'),
    ({ start, end }, { kind }) => [{ n: Number(start), end, kind }],
  )
  t.same(await numbers(splunk, 'search index=x | timechart count'), [1, 2, 3, 4])
  t.same(await numbers(splunk, 'search index=x | timechart count | head 2'), [1, 2])
  t.same(
    await numbers(splunk, 'search index=x | timechart count', {
      earliest_time: String(day + 2),
      latest_time: String(day + 3),
    }),
    [2, 4],
  )
  const all = await found(splunk, 'search index=x | timechart count | eval at=_time | fields *')
  t.match(all, [{ at: String(day + 1), list: ['a', 'b'], _time: '2026-10-08 00:00:01.000 GMT' }])
  t.notOk('none' in all[2])
  t.match(
    await found(splunk, '| tstats count by x | eval at=_time | fields at n', { latest_time: String(day) }),
    [{ at: String(day + 500), n: '9' }],
  )
  t.same(await numbers(splunk, 'search x | collect y', { earliest_time: '5' }), [5_000])
  t.equal(
    (await search(splunk, 'search index=x | timechart counts')).status,
    400,
    'a longer word is another query',
  )
})

t.test('a job: states, pages of 100 and of 50,000, messages, deleted', async (t) => {
  const splunk = await start(t, { jobPolls: 2 })
  splunk.answer(
    '| gentimes',
    Array.from({ length: 60_000 }, (_, n) => ({ n })),
  )
  const made = await ask(splunk, '/servicesNS/nobody/search/search/jobs', {
    form: { search: '| gentimes', output_mode: 'json', max_count: '55000' },
  })
  t.equal(made.status, 201)
  t.match(splunk.searches, [{ owner: 'nobody', app: 'search', kind: 'job' }])
  const { sid } = made.json
  const job = (rest: string, more: Ask = {}) => ask(splunk, `/services/search/v2/jobs/${sid}${rest}`, more)
  t.equal((await job('/results?output_mode=json')).status, 204, 'no results yet')
  const states: string[] = []
  for (let at = 0; at < 3; at++)
    states.push((await job('?output_mode=json')).json.entry[0].content.dispatchState)
  t.same(states, ['QUEUED', 'RUNNING', 'DONE'])
  t.match((await job('?output_mode=json')).json.entry[0].content, {
    isDone: true,
    isFailed: false,
    resultCount: 55_000,
    doneProgress: 1,
    messages: [],
  })
  const page = async (query: string) => (await job(`/results?output_mode=json${query}`)).json
  t.equal((await page('')).results.length, 100)
  t.equal((await page('&count=0')).results.length, 50_000)
  t.equal((await page('&count=200000&offset=50000')).results.length, 5_000)
  t.match(await page('&count=2&offset=150'), {
    preview: false,
    init_offset: 150,
    fields: [{ name: 'n' }],
    results: [{ n: '150' }, { n: '151' }],
  })
  t.equal((await page('&offset=60000')).results.length, 0)
  t.same((await job('/results?output_mode=json_rows&count=1')).json, {
    preview: false,
    init_offset: 0,
    messages: [],
    fields: ['n'],
    rows: [['0']],
  })
  t.equal(
    (await job('/results', { form: { count: '3', output_mode: 'json' } })).json.results.length,
    3,
    'by POST, as the SDKs ask',
  )
  t.equal(splunk.jobCount, 1)
  t.equal((await job('?output_mode=json', { method: 'DELETE' })).status, 200)
  t.same([splunk.jobCount, splunk.jobsCreated, splunk.jobsDeleted], [0, 1, 1])
  const gone = await job('?output_mode=json')
  t.equal(gone.status, 404)
  t.same(gone.json, { messages: [{ type: 'FATAL', text: 'Unknown sid.' }] })
})

t.test('jobs: oneshot, by time; those that fail or end early', async (t) => {
  let now = day * 1000
  const splunk = await start(t, { now: () => now })
  splunk.addEvents([1, 2, 3].map((n) => ({ time: day - n, event: { n } })))
  const make = (more: Record<string, string> = {}) =>
    ask(splunk, '/services/search/jobs', {
      form: { search: 'search * | fields n', output_mode: 'json', ...more },
    })
  const state = async (sid: string) =>
    (await ask(splunk, `/services/search/v2/jobs/${sid}?output_mode=json`)).json?.entry?.[0].content
  t.match((await make({ exec_mode: 'oneshot' })).json, {
    results: [{ n: '1', _time: '2026-10-07T23:59:59.000+00:00' }, {}, {}],
  })
  splunk.jobPolls = 0
  const old = (await make({ id: 'mine' })).json.sid
  t.equal(old, 'mine')
  t.match(await state(old), { isDone: true })
  now += 601_000
  t.equal(await state(old), undefined, 'gone after ten minutes')
  splunk.failSearch(searchFaults.diskQuota(2), searchFaults.fatal())
  const early = (await make()).json.sid
  t.match(await state(early), {
    isFinalized: true,
    resultCount: 2,
    messages: [{ type: 'WARN', text: /auto-finalized/ }],
  })
  t.match((await ask(splunk, `/services/search/v2/jobs/${early}/results?output_mode=json`)).json, {
    messages: [{ type: 'WARN' }],
    results: [{}, {}],
  })
  const failed = (await make()).json.sid
  t.match(await state(failed), {
    dispatchState: 'FAILED',
    isFailed: true,
    isDone: true,
    messages: [{ type: 'FATAL' }],
  })
  await ask(splunk, `/services/search/v2/jobs/${early}/control`, {
    form: { action: 'cancel', output_mode: 'json' },
  })
  t.equal(await state(early), undefined)
})

t.test(
  'faults of an export: previews, messages, no lastrow, cuts, both forms of the quota and of _time',
  async (t) => {
    const splunk = await start(t)
    splunk.addEvents([1, 2, 3, 4].map((n) => ({ time: day + n, event: { n } })))
    splunk.failSearch({ previews: 2 })
    const previews = await search(splunk, 'search * | fields n')
    t.same(
      previews.lines.map(({ preview, offset }) => [preview, offset]),
      [
        [true, 0],
        [true, 1],
        [true, 0],
        [true, 1],
        [true, 2],
        [true, 3],
        [false, 0],
        [false, 1],
        [false, 2],
        [false, 3],
        [false, undefined],
      ],
    )
    t.match(previews.body, /\n\n/, 'with empty lines')
    const stats = (await search(splunk, 'search * | stats count')).lines
    t.same(
      stats.map(({ preview }) => preview),
      [true, false, false],
      'a transforming search has previews by itself',
    )
    t.same(
      (await search(splunk, 'search * | stats count', { preview: 'false' })).lines.map(
        ({ preview }) => preview,
      ),
      [false, false],
    )

    splunk.failSearch(searchFaults.diskQuota(2))
    const quota = (await search(splunk, 'search * | fields n')).lines
    t.match(quota, [
      { offset: 0 },
      { messages: [{ type: 'WARN', text: /disk usage limit/ }] },
      { offset: 1, lastrow: true },
      { lastrow: true },
    ])
    splunk.failSearch(searchFaults.peerFailed(1), searchFaults.fatal('Out of luck.', 1), { noLastRow: true })
    t.match((await search(splunk, 'search *')).lines, [
      { messages: [{ type: 'ERROR', text: /incomplete/ }] },
      { lastrow: true },
      { lastrow: true },
    ])
    const fatal = (await search(splunk, 'search *')).lines
    t.match(fatal, [{ messages: [{ type: 'FATAL', text: 'Out of luck.' }] }, { offset: 0 }])
    t.notOk(fatal.some(({ lastrow }) => lastrow))
    t.notOk((await search(splunk, 'search *')).lines.some(({ lastrow }) => lastrow))

    splunk.failSearch({ cutLine: true, match: 'n=1' })
    t.equal(
      (await search(splunk, 'search *')).lines.at(-1).lastrow,
      true,
      'not the search that the fault is for',
    )
    const cut = await search(splunk, 'search n=1')
    t.equal(cut.status, 200)
    t.same(cut.lines, [undefined])
    t.notOk(cut.body.endsWith('\n'))

    splunk.failSearch(searchFaults.quota())
    t.match((await search(splunk, 'search *')).lines, [
      { messages: [{ type: 'WARN', text: /maximum number of concurrent historical searches/ }] },
    ])
    splunk.maxSearches = 0
    const refused = await search(splunk, 'search *')
    t.equal(refused.status, 503)
    t.match(refused.json, {
      messages: [{ type: 'FATAL', text: /maximum number of concurrent historical searches/ }],
    })
    splunk.quotaForm = 'message'
    t.match(await search(splunk, 'search *'), { status: 200, lines: [{ messages: [{ type: 'WARN' }] }] })
    splunk.maxSearches = 1

    splunk.timeForm = 'offset'
    t.match((await found(splunk, 'search n=1'))[0], { _time: '2026-10-08T00:00:01.000+00:00' })
    splunk.lastRow = 'line'
    t.same(
      (await search(splunk, 'search n=1')).lines.map(({ lastrow }) => lastrow),
      [undefined, true],
    )
    splunk.lastRow = 'row'
    t.same(
      (await search(splunk, 'search n=1')).lines.map(({ lastrow }) => lastrow),
      [true],
    )
    t.same((await search(splunk, 'search n=99')).lines, [{ preview: false, lastrow: true }])
  },
)

t.test('v2 answered by 404; faults of the connection; what runs at a time is counted', async (t) => {
  const splunk = await start(t, { v2: false })
  splunk.addEvents([{ time: day, event: 'x'.repeat(1000) }])
  const old = await search(splunk, 'search *')
  t.equal(old.status, 404)
  t.same(old.json, { messages: [{ type: 'ERROR', text: 'Not Found' }] })
  t.equal((await search(splunk, 'search *', {}, '')).status, 200)
  t.match((await ask(splunk, '/services/server/info')).body, /<s:key name="version">8\.2\.0<\/s:key>/)
  t.equal((await ask(splunk, '/services/nothing')).status, 404)
  t.equal((await ask(splunk, '/en-US/app/search')).status, 404)
  splunk.fail(
    { match: 'export', reset: 'within' },
    { match: 'export', status: 503, retryAfter: 7, body: 'busy' },
  )
  await t.rejects(search(splunk, 'search *', {}, ''))
  t.match(await search(splunk, 'search *', {}, ''), { status: 503, body: 'busy' })
  splunk.fail({ match: 'export', delay: 100, times: 3 })
  await Promise.all([1, 2, 3].map(() => search(splunk, 'search *', {}, '')))
  t.equal(splunk.peakSearches, 3)
  t.equal(splunk.runningSearches, 0)
})

t.test('the oldest events go', async (t) => {
  const splunk = await start(t, { maxEvents: 10, record: false })
  splunk.addEvents(Array.from({ length: 30 }, (_, n) => ({ time: day + n, event: { n } })))
  t.equal(splunk.eventCount, 10)
  t.equal((await numbers(splunk, 'search *'))[0], 29)
  t.equal(splunk.searches.length, 0)
})

t.test('a collector that keeps nothing is followed when asked for', async (t) => {
  const authority = await createCertificateAuthority()
  const hec = await new HecEmulator({ keepEvents: false }).start()
  t.teardown(() => hec.close())
  const splunk = await start(t, { hec, tls: false })
  await fetch(hec.endpoint, {
    method: 'POST',
    headers: { authorization: `Splunk ${hec.token}` },
    body: '{"event":"one two"}',
  })
  t.equal(splunk.eventCount, 1)
  t.match(await found(splunk, 'search two'), [{ _raw: 'one two', index: 'main', sourcetype: 'httpevent' }])
  t.ok(authority.ca)
})
