import { once } from 'node:events'
import t from 'tap'
import { searchFaults } from '../../../../lib/emulators/index.ts'
import { SplunkReadable } from '../../../../lib/index.ts'
import { addEvents, at, reach, startSplunk } from '../../../fixtures/splunk-events.ts'

const range = { start_time: at(0), end_time: at(60) }
const upTo = (count: number) => Array.from({ length: count }, (_, n) => n)
const counts = (rows: readonly Record<string, unknown>[]) =>
  rows.reduce((sum, { count }) => sum + Number(count), 0)
const query = 'search index=main | stats count by user'

t.test('a transforming search is a job, which is deleted', async (t) => {
  const splunk = await startSplunk(t, { jobPolls: 3 })
  addEvents(
    splunk,
    upTo(50).map((n) => ({ time: n, n })),
  )
  const source = new SplunkReadable({ ...reach(splunk), ...range, query })
  const searches: unknown[] = []
  source.on('search', (event) => searches.push(event))
  const rows = await source.toArray()
  t.equal(rows.length, 5)
  t.equal(counts(rows), 50)
  t.match(searches, [{ mode: 'job', search: query, window: { start: at(0), end: at(60) } }])
  t.equal(searches.length, 1, 'polling is no new search')
  t.equal(splunk.searches[0]!.search, query, 'nothing is added to it')
  t.equal(splunk.searches[0]!.parameters.get('status_buckets'), '0')
  t.equal(source.stats.retries, 0, 'polling is no retry')
  t.equal(splunk.jobsCreated, 1)
  t.equal(splunk.jobCount, 0)
})

t.test('pages in parallel, within bounds, also where the server gives shorter ones', async (t) => {
  for (const maxResultRows of [50_000, 70]) {
    const splunk = await startSplunk(t, { maxResultRows })
    addEvents(
      splunk,
      upTo(1000).map((n) => ({ time: n / 20, n })),
    )
    const source = new SplunkReadable({
      ...reach(splunk),
      ...range,
      query: 'search index=main',
      search_mode: 'job',
      page_rows: 100,
      max_in_flight: 3,
      held_bytes: 5000,
    })
    const rows = await source.toArray()
    t.strictSame(
      rows.map(({ n }) => Number(n)),
      upTo(1000).reverse(),
      'each once, in order, and no stop at 100',
    )
    t.strictSame(rows[0]!['_time'], new Date(at(999 / 20)))
    t.equal(splunk.jobCount, 0)
    t.ok(source.stats.requests >= 13)
  }
})

t.test('export can be forced', async (t) => {
  const splunk = await startSplunk(t)
  addEvents(
    splunk,
    upTo(50).map((n) => ({ time: n, n })),
  )
  const rows = await new SplunkReadable({
    ...reach(splunk),
    ...range,
    query,
    search_mode: 'export',
  }).toArray()
  t.equal(counts(rows), 50)
  t.equal(splunk.jobsCreated, 0)
})

t.test(
  'a job that fails is made anew, one that is cut short is an error: stats can not be halved',
  async (t) => {
    const { fatal, diskQuota, timeLimit } = searchFaults
    const splunk = await startSplunk(t)
    addEvents(
      splunk,
      upTo(50).map((n) => ({ time: n, n })),
    )
    splunk.failSearch(fatal())
    const source = new SplunkReadable({ ...reach(splunk), ...range, query })
    t.equal(counts(await source.toArray()), 50)
    t.equal(source.stats.retries, 1)
    for (const fault of [diskQuota(), timeLimit(), { finalized: true }]) {
      splunk.failSearch(fault)
      await t.rejects(new SplunkReadable({ ...reach(splunk), ...range, query }).toArray(), {
        code: 'ERR_RESULT_TOO_LARGE',
        message: /can not be read in halves/,
      })
    }
    t.equal(splunk.jobCount, 0, 'all are deleted')
  },
)

t.test('a job of events that is cut short is read in halves', async (t) => {
  const splunk = await startSplunk(t)
  addEvents(
    splunk,
    upTo(50).map((n) => ({ time: n, n })),
  )
  splunk.failSearch(searchFaults.diskQuota(3))
  const source = new SplunkReadable({
    ...reach(splunk),
    ...range,
    query: 'search index=main',
    search_mode: 'job',
  })
  t.strictSame(
    (await source.toArray()).map(({ n }) => Number(n)).sort((a, b) => a - b),
    upTo(50),
  )
  t.equal(source.stats.splits, 1)
  t.equal(splunk.jobCount, 0)
})

t.test('quotas are waited for, in both forms', async (t) => {
  for (const quotaForm of ['status', 'message'] as const) {
    const splunk = await startSplunk(t, { quotaForm, maxSearches: 0 })
    addEvents(
      splunk,
      upTo(50).map((n) => ({ time: n, n })),
    )
    const source = new SplunkReadable({ ...reach(splunk), ...range, query })
    source.once('retry', () => {
      splunk.maxSearches = 10
    })
    t.equal(counts(await source.toArray()), 50, quotaForm)
    t.equal(splunk.jobCount, 0)
  }
})

t.test('whatever happens, the job is deleted', async (t) => {
  const splunk = await startSplunk(t, { jobPolls: 1_000_000 })
  addEvents(
    splunk,
    upTo(50).map((n) => ({ time: n, n })),
  )
  const source = new SplunkReadable({ ...reach(splunk), ...range, query })
  const error = source.toArray().catch((error: unknown) => error)
  while (splunk.jobCount === 0) await once(splunk, 'response')
  source.destroy()
  t.match(await error, { name: /Error/ })
  while (splunk.jobCount > 0) await once(splunk, 'response')
  t.equal(splunk.jobsDeleted, 1, 'after destroy() in mid-job')
})

t.test('a job that is gone is made anew', async (t) => {
  const splunk = await startSplunk(t, { jobPolls: 5 })
  addEvents(
    splunk,
    upTo(50).map((n) => ({ time: n, n })),
  )
  const source = new SplunkReadable({ ...reach(splunk), ...range, query })
  const rows = source.toArray()
  while (splunk.jobCount === 0) await once(splunk, 'response')
  // As a restart of splunkd does.
  const sid = (await fetch(`${splunk.url}/services/search/jobs?output_mode=json`, {
    headers: { authorization: `Bearer ${splunk.token}` },
  }).then((response) => response.json())) as { entry: { content: { sid: string } }[] }
  await fetch(`${splunk.url}/services/search/jobs/${sid.entry[0]!.content.sid}?output_mode=json`, {
    method: 'DELETE',
    headers: { authorization: `Bearer ${splunk.token}` },
  })
  t.equal(counts(await rows), 50)
  t.equal(splunk.jobsCreated, 2)
  t.equal(splunk.jobCount, 0)
})

t.test('v1, where there is no v2', async (t) => {
  const splunk = await startSplunk(t, { v2: false })
  addEvents(
    splunk,
    upTo(50).map((n) => ({ time: n, n })),
  )
  t.equal(counts(await new SplunkReadable({ ...reach(splunk), ...range, query }).toArray()), 50)
  t.equal(splunk.jobCount, 0)
})

t.test('a job that fails each time is made again max_retries times, and no more', async (t) => {
  const splunk = await startSplunk(t, { jobPolls: 2 })
  splunk.failSearch({ ...searchFaults.fatal(), times: Number.POSITIVE_INFINITY })
  const source = new SplunkReadable({ ...reach(splunk), ...range, query, max_retries: 2 })
  await t.rejects(source.toArray(), {
    code: 'ERR_QUERY',
    endedBy: 'max_retries',
    message: /the search failed: The search process with sid failed to run/,
  })
  t.equal(splunk.jobsCreated, 3)
  t.equal(source.stats.retries, 2)
  t.equal(splunk.jobCount, 0)
})

t.test('so is one that splunkd forgets at each look', async (t) => {
  const splunk = await startSplunk(t, { jobPolls: 2 })
  splunk.fail({
    match: ({ method, path }) => method === 'GET' && path.includes('/search/jobs/'),
    status: 404,
    body: { messages: [{ type: 'FATAL', text: 'Unknown sid.' }] },
    times: Number.POSITIVE_INFINITY,
  })
  const source = new SplunkReadable({ ...reach(splunk), ...range, query, max_retries: 2 })
  await t.rejects(source.toArray(), { code: 'ERR_QUERY', status: 404, endedBy: 'max_retries' })
  t.equal(splunk.jobsCreated, 3)
})

t.test('a lookup that can not be loaded is reported, and so is what the user accepts', async (t) => {
  const splunk = await startSplunk(t)
  addEvents(
    splunk,
    upTo(50).map((n) => ({ time: n, n })),
  )
  const lookup = { type: 'ERROR', text: '[idx1] Could not load lookup=LOOKUP-dns' } as const
  const own = { type: 'ERROR', text: 'Eventtype "vpn" does not exist or is disabled' } as const
  for (const search_mode of ['export', 'job'] as const) {
    splunk.failSearch({ messages: [lookup, own] })
    const options = { ...reach(splunk), ...range, query: 'search index=main', search_mode, max_retries: 0 }
    const source = new SplunkReadable({ ...options, accept_messages: 'Eventtype "vpn"' })
    const messages: unknown[] = []
    source.on('message', (message) => messages.push(message))
    t.equal((await source.toArray()).length, 50)
    t.match(messages, [lookup, own])
    splunk.failSearch({ messages: [own] })
    await t.rejects(new SplunkReadable(options).toArray(), { code: 'ERR_QUERY' })
  }
})

t.test('an answer without a peer is never taken for whole, whatever its severity', async (t) => {
  const splunk = await startSplunk(t)
  addEvents(
    splunk,
    upTo(50).map((n) => ({ time: n, n })),
  )
  const text =
    'Unable to distribute to peer named idx1 at uri=idx1:8089 because replication was unsuccessful. ReplicationStatus: Failed'
  for (const type of ['INFO', 'WARN'] as const) {
    splunk.failSearch({ messages: [{ type, text }], rows: 30 })
    const source = new SplunkReadable({ ...reach(splunk), ...range, query: 'search index=main' })
    t.equal((await source.toArray()).length, 50)
    t.equal(source.stats.retries, 1)
    splunk.failSearch({ messages: [{ type, text }], rows: 30 })
    const once = new SplunkReadable({
      ...reach(splunk),
      ...range,
      query: 'search index=main',
      max_retries: 0,
    })
    await t.rejects(once.toArray(), { code: 'ERR_QUERY', message: /Unable to distribute to peer/ })
  }
})

t.test('a limit that a command has without being told is reported', async (t) => {
  const splunk = await startSplunk(t)
  splunk.answer(/sort/, [{ n: '1' }])
  const options = { ...reach(splunk), ...range, query: 'search index=main | sort n' }
  const source = new SplunkReadable(options)
  const messages: unknown[] = []
  source.on('message', (message) => messages.push(message))
  t.equal((await source.toArray()).length, 1)
  t.match(messages, [{ type: 'WARN', text: /sort 0/ }])
  t.throws(() => new SplunkReadable({ ...options, num_partitions: 2 }), { message: /"sort \(without 0\)"/ })
})
