import t, { type Test } from 'tap'
import type { Column } from '../../lib/emulators/index.ts'
import { startEmulators } from '../../lib/emulators/index.ts'
import {
  type VerifiedInterval,
  type VerifyEnd,
  type VerifyOptions,
  verify,
} from '../../lib/streaming/verify.ts'

const hour = 3_600_000
const start = Date.parse('2026-03-02T00:00:00Z')
const range = { start_time: '2026-03-02T00:00:00Z', end_time: '2026-03-02T06:00:00Z' }

interface Event {
  readonly uid: string
  readonly n: number
  readonly time: number
}

/** Events of six hours, one of which is empty. */
const events: Event[] = Array.from({ length: 5000 }, (_, n) => {
  const at = Math.floor((n * 5 * hour) / 5000)
  return { uid: `C${n.toString(36)}`, n, time: start + at + (at >= 2 * hour ? hour : 0) }
})

async function services(t: Test) {
  const emulators = await startEmulators()
  t.teardown(() => emulators.close())
  const { entra, logAnalytics, splunkSearch, ca } = emulators
  const { tenant_id, client_id, client_secret } = entra
  const splunk: VerifyEnd = {
    connector: 'splunk',
    options: {
      splunkd_url: splunkSearch.url,
      splunkd_token: splunkSearch.token,
      ca,
      index: 'main',
      sourcetype: 'zeek',
    },
  }
  const azure: VerifyEnd = {
    connector: 'azure-monitor',
    options: {
      workspace_id: 'w', query: 'Zeek_CL // all', endpoint: logAnalytics.url, authority_host: entra.url, tenant_id, client_id, client_secret, ca,
    },
    time_column: 'EventTime',
  } // biome-ignore format: a table
  const columns: Column[] = [
    { name: 'TimeGenerated', type: 'datetime' },
    { name: 'EventTime', type: 'datetime' },
    { name: 'Uid', type: 'string' },
    { name: 'n', type: 'long' },
  ]
  /** Puts events into Splunk. */
  const index = (given: readonly Event[]) =>
    splunkSearch.addEvents(
      given.map(({ uid, n, time }) => ({
        time: time / 1000,
        sourcetype: 'zeek',
        event: JSON.stringify({ uid, n }),
      })),
    )
  /** Puts rows into the table, whose TimeGenerated is the time of ingestion. */
  const store = (given: readonly Event[]) =>
    logAnalytics.addTable(
      'Zeek_CL',
      columns,
      given.map(({ uid, n, time }) => [new Date(), new Date(time), uid, n]),
    )
  return { ...emulators, splunk, azure, index, store, columns }
}

async function intervals(source: VerifyEnd, destination: VerifyEnd, options: Partial<VerifyOptions> = {}) {
  const found: VerifiedInterval[] = []
  for await (const interval of verify(source, destination, { ...range, ...options })) found.push(interval)
  return found
}

t.test('Splunk and Sentinel agree, by count and by key', async (t) => {
  const { splunk, azure, index, store } = await services(t)
  index(events)
  store(events)
  for (const key of [[], ['uid=Uid'], ['uid=Uid', 'n']]) {
    const found = await intervals(splunk, azure, { key })
    t.same(
      found.map(({ start, source, destination, agrees }) => [
        start.slice(11, 16),
        source,
        destination,
        agrees,
      ]),
      [
        ['00:00', 1000, 1000, true],
        ['01:00', 1000, 1000, true],
        ['03:00', 1000, 1000, true],
        ['04:00', 1000, 1000, true],
        ['05:00', 1000, 1000, true],
      ],
      `by ${key.join()}`,
    )
  }
  const cut = await intervals(splunk, azure, {
    start_time: '2026-03-02T01:30:00Z',
    end_time: '2026-03-02T03:30:00Z',
  })
  t.match(cut, [
    { start: '2026-03-02T01:30:00.000Z', end: '2026-03-02T02:00:00.000Z', source: 500, agrees: true },
    { start: '2026-03-02T03:00:00.000Z', end: '2026-03-02T03:30:00.000Z', source: 500, agrees: true },
  ])
})

t.test('200 rows deleted and 50 doubled in the destination: exactly these intervals and keys', async (t) => {
  const { splunk, azure, index, store } = await services(t)
  index(events)
  // From the second hour and the last; in the fourth and, as many as are gone, in the last.
  const gone = new Set([...events.slice(1200, 1360), ...events.slice(4900, 4940)].map(({ uid }) => uid))
  const doubled = [...events.slice(2100, 2110), ...events.slice(4000, 4040)]
  store([...events.filter(({ uid }) => !gone.has(uid)), ...doubled])

  const counted = await intervals(splunk, azure)
  t.same(
    counted.filter(({ agrees }) => !agrees).map(({ start, difference }) => [start.slice(11, 16), difference]),
    [
      ['01:00', -160],
      ['03:00', 10],
    ],
    'by counts alone the last hour agrees: 40 are gone from it and 40 there twice',
  )
  const found = await intervals(splunk, azure, { key: 'uid=Uid' })
  t.same(
    found.map(({ start, difference, agrees, missing, doubled }) => [
      start.slice(11, 16),
      difference,
      agrees,
      missing.length,
      doubled.length,
    ]),
    [
      ['00:00', 0, true, 0, 0],
      ['01:00', -160, false, 160, 0],
      ['03:00', 10, false, 0, 10],
      ['04:00', 0, true, 0, 0],
      ['05:00', 0, false, 40, 40],
    ],
  )
  const keysOf = (what: 'missing' | 'doubled') =>
    new Set(found.flatMap((interval) => interval[what].map(({ key }) => key[0])))
  t.same(keysOf('missing'), gone)
  t.same(keysOf('doubled'), new Set(doubled.map(({ uid }) => uid)))
  t.match(found[1]?.missing[0], { source: 1, destination: 0 })
  t.match(found[2]?.doubled[0], { source: 1, destination: 2 })
})

t.test('rows that are read, such as those of a file, against either', async (t) => {
  const { splunk, azure, index, store } = await services(t)
  index(events)
  store(events.slice(1))
  const rows = (form: (time: number) => unknown): VerifyEnd => ({
    rows: () => events.map(({ uid, time }) => ({ uid, ts: form(time) })),
    time_column: 'ts',
  })
  for (const form of [
    (time: number) => new Date(time),
    (time: number) => time / 1000,
    (time: number) => time,
    (time: number) => new Date(time).toISOString(),
  ]) {
    t.ok((await intervals(rows(form), splunk, { key: 'uid', by: 900 })).every(({ agrees }) => agrees))
  }
  const found = await intervals(
    rows((time) => new Date(time)),
    azure,
    { key: 'uid=Uid', by: 86_400 },
  )
  t.match(found, [{ difference: -1, missing: [{ key: ['C0'], source: 1, destination: 0 }], doubled: [] }])
})

t.test('a destination that is not there yet is waited for', async (t) => {
  const { splunk, azure, index, store, logAnalytics } = await services(t)
  index(events.slice(0, 100))
  store(events.slice(0, 90))
  // The rest arrives once the destination has been counted.
  logAnalytics.once('response', () => store(events.slice(0, 100)))
  const [interval] = await intervals(splunk, azure, { settle: 0.2 })
  t.match(interval, { source: 100, destination: 100, agrees: true })
})

t.test('wrong options are reported together', async (t) => {
  const end: VerifyEnd = { rows: () => [], time_column: 'ts' }
  const wrong = { start_time: 'soon', end_time: '2026-01-01', by: 7, settle: -1, key: 'a=' } as VerifyOptions
  const failure = (options: VerifyOptions) =>
    verify(end, end, options)
      .next()
      .then(
        () => undefined,
        (error) => error,
      )
  const all = await failure(wrong)
  t.equal(all.code, 'ERR_OPTION')
  for (const problem of [
    /start_time/,
    /by: expected a number of seconds that divides a day/,
    /settle/,
    /key/,
  ]) {
    t.match(all.problems.join('\n'), problem)
  }
  const turned = await failure({ start_time: '2026-01-02', end_time: '2026-01-01' })
  t.match(turned.problems, [/end_time: is not after start_time/])
})
