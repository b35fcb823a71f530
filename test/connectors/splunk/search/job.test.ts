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
