import t from 'tap'
import { searchFaults } from '../../../../lib/emulators/index.ts'
import { createReadable, SplunkReadable, type SplunkReadableOptions } from '../../../../lib/index.ts'
import { addEvents, at, reach, startSplunk } from '../../../fixtures/splunk-events.ts'

const range = { start_time: at(0), end_time: at(60) }

const numbers = (rows: readonly Record<string, unknown>[]) =>
  rows.map(({ n }) => Number(n)).sort((a, b) => a - b)
const upTo = (count: number) => Array.from({ length: count }, (_, n) => n)

t.test('events of a range, each with its fields, newest first', async (t) => {
  const splunk = await startSplunk(t)
  addEvents(
    splunk,
    upTo(10).map((n) => ({ time: n + 0.123456, n })),
  )
  const rows = await new SplunkReadable({ ...reach(splunk), index: 'main', ...range }).toArray()
  t.strictSame(numbers(rows), upTo(10))
  const [first] = rows
  t.strictSame(first!['_time'], new Date(at(9.123)))
  t.strictSame(first!['_indextime'], new Date(at(10)))
  t.match(first, { _raw: 'n=9 user=u4', host: 'h0', index: 'main', sourcetype: 'test', n: '9', user: 'u4' })
  t.strictSame(
    Object.keys(first!).filter((name) => name.startsWith('zz')),
    [],
    'what we added is off again',
  )
  t.equal(splunk.searches[0]!.kind, 'export')
  t.equal(splunk.searches[0]!.version, 2)
  t.equal(splunk.searches[0]!.parameters.get('allow_partial_results'), 'false')
})

t.test('by name, and in parts', async (t) => {
  const splunk = await startSplunk(t)
  addEvents(
    splunk,
    upTo(60).map((n) => ({ time: n, n })),
  )
  const options: SplunkReadableOptions = { ...reach(splunk), query: 'search index=main', ...range }
  const source = createReadable('splunk', { ...options, partition_duration: 7 })
  const windows: string[] = []
  source.on('window', ({ id }) => windows.push(id))
  t.strictSame(numbers(await source.toArray()), upTo(60))
  t.equal(windows.length, 9)
  t.ok(splunk.peakSearches <= 2, `${splunk.peakSearches} searches at once`)
})

t.test('all the digits of a second, as text', async (t) => {
  for (const timeForm of ['zone', 'offset'] as const) {
    const splunk = await startSplunk(t, { timeForm })
    splunk.addEvents([{ time: '1791417600.123456789' as never, index: 'main', event: 'n=1' }])
    const read = { ...reach(splunk), index: 'main', ...range, datetime: 'string' } as const
    const [row] = await new SplunkReadable(read).toArray()
    t.equal(row!['_time'], '2026-10-08T00:00:00.123456789Z')
  }
})

t.test('a search without results is whole', async (t) => {
  for (const lastRow of ['row', 'line', 'both'] as const) {
    const splunk = await startSplunk(t, { lastRow: lastRow === 'row' ? 'both' : lastRow })
    t.strictSame(await new SplunkReadable({ ...reach(splunk), index: 'main', ...range }).toArray(), [])
    t.equal(splunk.searches.length, 1)
  }
})

t.test('whole or nothing: faults of an answer', async (t) => {
  const { quota, diskQuota, timeLimit, peerFailed, fatal } = searchFaults
  const faults = [
    ['previews', { previews: 2 }, 0],
    ['no lastrow', { noLastRow: true, rows: 3 }, 1],
    ['a cut in mid-line', { cutLine: true, rows: 5 }, 1],
    ['quota as a message', quota(), 1],
    ['a peer that failed', peerFailed(4), 1],
    ['a search that died', fatal(), 1],
    ['a full disk quota', diskQuota(2), 0],
    ['the time limit', timeLimit(2), 0],
  ] as const
  for (const [name, fault, retries] of faults) {
    const splunk = await startSplunk(t)
    addEvents(
      splunk,
      upTo(20).map((n) => ({ time: n, n })),
    )
    splunk.failSearch(fault)
    const source = new SplunkReadable({ ...reach(splunk), index: 'main', ...range })
    t.strictSame(numbers(await source.toArray()), upTo(20), name)
    t.equal(source.stats.retries, retries, `${name}: retries`)
    t.equal(source.stats.splits, name.includes('disk') || name.includes('time') ? 1 : 0, `${name}: splits`)
  }
})

t.test('both forms of the quota hold the whole source', async (t) => {
  for (const quotaForm of ['status', 'message'] as const) {
    const splunk = await startSplunk(t, { quotaForm, maxSearches: 0 })
    addEvents(
      splunk,
      upTo(20).map((n) => ({ time: n, n })),
    )
    const source = new SplunkReadable({ ...reach(splunk), index: 'main', ...range, num_partitions: 4 })
    source.once('retry', () => {
      splunk.maxSearches = 1000
    })
    t.strictSame(numbers(await source.toArray()), upTo(20), quotaForm)
    t.ok(source.stats.retries > 0)
  }
})

t.test('a message that the time range was substituted is an error', async (t) => {
  const splunk = await startSplunk(t)
  splunk.failSearch({
    messages: [{ type: 'INFO', text: 'Your timerange was substituted based on your search string' }],
  })
  await t.rejects(new SplunkReadable({ ...reach(splunk), query: 'search index=main', ...range }).toArray(), {
    code: 'ERR_QUERY',
    message: /time range of its own/,
  })
})

t.test('a wrong search is refused at once, with its message', async (t) => {
  const splunk = await startSplunk(t)
  const source = new SplunkReadable({ ...reach(splunk), query: 'search index=main | nonsense', ...range })
  await t.rejects(source.toArray(), {
    code: 'ERR_QUERY',
    status: 400,
    serviceText: "Unknown search command 'nonsense'.",
  })
  t.equal(source.stats.retries, 0)
})

t.test('v1, where there is no v2, and that alone', async (t) => {
  const splunk = await startSplunk(t, { v2: false })
  addEvents(
    splunk,
    upTo(20).map((n) => ({ time: n, n })),
  )
  const source = new SplunkReadable({
    ...reach(splunk),
    index: 'main',
    ...range,
    num_partitions: 3,
    max_in_flight: 1,
  })
  t.strictSame(numbers(await source.toArray()), upTo(20))
  t.strictSame(
    splunk.searches.map(({ version }) => version),
    [1, 1, 1],
  )
  t.equal(source.stats.requests, 4, 'the missing endpoint is asked for once')
  const broken = await startSplunk(t)
  broken.fail({ status: 500, times: 1 } as never)
  addEvents(
    broken,
    upTo(3).map((n) => ({ time: n, n })),
  )
  t.strictSame(
    numbers(await new SplunkReadable({ ...reach(broken), index: 'main', ...range }).toArray()),
    upTo(3),
  )
  t.ok(broken.searches.every(({ version }) => version === 2))
})

t.test('app and owner', async (t) => {
  const splunk = await startSplunk(t)
  await new SplunkReadable({ ...reach(splunk), index: 'main', ...range, app: 'search' }).toArray()
  await new SplunkReadable({
    ...reach(splunk),
    index: 'main',
    ...range,
    app: 'my app',
    owner: 'eve',
  }).toArray()
  t.strictSame(
    splunk.searches.map(({ app, owner }) => [owner, app]),
    [
      ['nobody', 'search'],
      ['eve', 'my app'],
    ],
  )
})

t.test('the identity of an event', async (t) => {
  const splunk = await startSplunk(t)
  addEvents(
    splunk,
    upTo(20).map((n) => ({ time: n, n })),
  )
  const read = { ...reach(splunk), index: 'main', ...range, event_id: true }
  const rows = await new SplunkReadable(read).toArray()
  t.equal(new Set(rows.map(({ _bkt, _cd }) => `${_bkt} ${_cd}`)).size, 20)
  const { index, ...rest } = read
  await t.rejects(new SplunkReadable({ ...rest, query: `search index=${index} | table n` }).toArray(), {
    code: 'ERR_RESULT',
    message: /_bkt and _cd/,
  })
})

t.test('a search that drops its time is read in one window, and refused in several', async (t) => {
  const splunk = await startSplunk(t)
  addEvents(
    splunk,
    upTo(20).map((n) => ({ time: n, n })),
  )
  const read = { ...reach(splunk), query: 'search index=main | table n', ...range }
  t.strictSame(await new SplunkReadable(read).toArray().then(numbers), upTo(20))
  await t.rejects(new SplunkReadable({ ...read, num_partitions: 2 }).toArray(), {
    code: 'ERR_RESULT',
    message: /no _time/,
  })
})
