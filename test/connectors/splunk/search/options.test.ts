import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import t from 'tap'
import { createCertificateAuthority } from '../../../../lib/emulators/index.ts'
import { SplunkReadable, type SplunkReadableOptions, SplunkStreamReadable } from '../../../../lib/index.ts'
import { addEvents, at, reach, startSplunk } from '../../../fixtures/splunk-events.ts'

const good = {
  splunkd_url: 'https://splunk:8089',
  splunkd_token: 'eyJraWQ.eyJpc3M.c2ln',
  query: 'search index=main',
  timespan: 'PT1H',
}

function problems(options: object): readonly string[] {
  try {
    new SplunkReadable(options as SplunkReadableOptions)
  } catch (error) {
    return (error as { problems: readonly string[] }).problems
  }
  return []
}

t.test('bad input is refused before anything is sent, each with its reason', (t) => {
  const { query, ...parts } = good
  const table: [object, RegExp][] = [
    [{ ...good, splunkd_url: 'https://splunk:8000' }, /Splunk Web/],
    [{ ...good, splunkd_url: 'https://splunk/en-US/app/search' }, /Splunk Web/],
    [{ ...good, splunkd_url: 'https://splunk:8088' }, /HEC/],
    [{ ...good, splunkd_url: 'https://splunk:8089/services/collector' }, /HEC/],
    [{ ...good, splunkd_url: 'https://eve:pw@splunk:8089' }, /user or password/],
    [{ ...good, splunkd_url: 'splunk:8089' }, /http or https URL/],
    [{ ...good, splunkd_token: 'Bearer abc' }, /begins with a scheme/],
    [{ ...good, splunkd_token: 'a b' }, /space/],
    [{ ...good, splunkd_token: '5c8e0a4f-1c7b-4d6e-9b8a-0123456789ab' }, /HEC/],
    [{ ...good, splunkd_token: undefined }, /splunkd_token: is required/],
    [{ ...good, username: 'eve', password: 'x' }, /exclude each other/],
    [{ ...good, splunkd_token: undefined, username: 'eve' }, /go together/],
    [
      { ...good, splunkd_token: undefined, username: 'eve', password: 'x', auth_scheme: 'Bearer' },
      /needs a splunkd_token/,
    ],
    [{ ...good, auth_scheme: 'Basic' }, /needs username and password/],
    [{ ...good, query: 'index=main' }, /does not begin with a command: write "search index=main/],
    [{ ...good, query: 'error 500' }, /does not begin with a command/],
    [{ ...good, query: 'search a |' }, /after its last pipe/],
    [{ ...good, query: 'search "a' }, /quotation mark is not closed/],
    [{ ...good, query: 'search index=main earliest=-1d' }, /time modifier "earliest"/],
    [{ ...good, query: 'search index=main _index_latest=now' }, /time modifier "_index_latest"/],
    [{ ...good, query: 'search index=main | delete' }, /changes data/],
    [{ ...good, query: 'search index=main | stats count', num_partitions: 2 }, /"stats".*several windows/],
    [
      { ...good, query: 'search index=main | dedup host', partition_duration: 60 },
      /"dedup".*several windows/,
    ],
    [{ ...good, query: 'search index=main | stats count', event_id: true }, /has no events/],
    [{ ...good, query: 'search index=main | stats count', window_by: 'index_time' }, /no index time/],
    [parts, /query: is required/],
    [{ ...parts, search_filter: 'a=1' }, /search_filter: needs an index/],
    [{ ...parts, index: 'ma in' }, /index: expected the name of an index/],
    [{ ...parts, index: 'main" | delete "' }, /index: expected/],
    [{ ...parts, index: '-x' }, /index: expected/],
    [{ ...parts, index: [] }, /index: expected/],
    [{ ...parts, index: 'main', source: 'a`b`' }, /backtick/],
    [{ ...parts, index: 'main', host: 'a\nb' }, /control character/],
    [{ ...parts, index: 'main', search_filter: 'a | delete' }, /holds a pipe/],
    [{ ...parts, index: 'main', search_filter: 'a) OR index=secret (b' }, /closes a parenthesis/],
    [{ ...parts, index: 'main', search_filter: '[search b]' }, /subsearch/],
    [{ ...parts, index: 'main', search_filter: 'a earliest=-1y' }, /time modifier/],
    [{ ...good, page_rows: 50_001 }, /page_rows: expected an integer of 1 to 50000/],
    [{ ...good, output_mode: 'xml' }, /output_mode/],
    [{ ...good, cert: '-----BEGIN CERTIFICATE-----' }, /cert: needs key/],
    [{ ...good, look_back_seconds: -1 }, /look_back_seconds/],
    [{ ...good, schema: { a: 'text' } }, /type of column "a"/],
    [{ ...good, schema: { a: 'long' }, inferSchema: true }, /exclude each other/],
    [{ ...good, timespan: undefined }, /time range is missing/],
    [{ ...good, splunkd_uri: 'x' }, /did you mean "splunkd_url"/],
  ]
  for (const [options, reason] of table) {
    const found = problems(options)
    t.ok(
      found.some((problem) => reason.test(problem)),
      `${reason}: ${found.join('; ') || 'no problem was found'}`,
    )
  }
  t.strictSame(problems(good), [])
  t.end()
})

t.test('what PySpark users carry over', (t) => {
  t.strictSame(
    problems({
      splunkd_url: 'https://splunk:8089',
      splunkd_token: 'abc',
      auth_scheme: 'Bearer',
      index: '_internal,win-*',
      sourcetype: 'WinEventLog:Security',
      search_filter: 'EventCode=4625 OR user="NT AUTHORITY\\\\SYSTEM"',
      start_time: '2026-10-08T00:00:00+02:00',
      end_time: '2026-10-09T00:00:00Z',
      num_partitions: '4',
      inferSchema: 'true',
      mode: 'failfast',
      output_mode: 'json',
      verify_ssl: 'false',
      read_timeout: '300',
      max_retries: '3',
      initial_backoff: '1.0',
    }),
    [],
  )
  new SplunkStreamReadable({
    splunkd_url: 'https://splunk:8089',
    splunkd_token: 'abc',
    index: 'main',
    start_time: 'latest',
    partition_duration: '3600',
    safety_lag_seconds: '60',
    allow_transforming_queries: 'false',
  })
  t.end()
})

t.test('no secret shows in an error', (t) => {
  const text = problems({
    ...good,
    splunkd_token: 's3cret s3cret',
    password: 's3cret',
    username: 'eve',
  }).join()
  t.notMatch(text, /s3cret/)
  t.end()
})

t.test(
  'options of PySpark: the time range wins over the number of windows, the query over its parts',
  async (t) => {
    const authority = await createCertificateAuthority()
    const splunk = await startSplunk(t, { tls: await authority.issue() })
    addEvents(splunk, [{ time: 30, n: 1 }])
    const ca = `${t.testdir({ 'ca.pem': authority.ca })}/ca.pem`
    const warned = once(process, 'warning')
    const source = new SplunkReadable({
      ...reach(splunk),
      verify_ssl: ca,
      query: 'search index=main',
      index: 'other',
      start_time: at(0),
      end_time: at(60),
      num_partitions: 3,
      partition_duration: 30,
      output_mode: 'json_rows',
      connect_timeout: 10,
      read_timeout: 300,
    } as SplunkReadableOptions)
    t.match((await warned)[0], {
      code: 'CYBER_CONNECTORS_OPTION_UNUSED',
      message: 'splunk: query is used; it replaces index',
    })
    t.match(await source.toArray(), [{ n: '1' }])
    t.equal(splunk.searches.length, 2, 'two windows of 30 s')
    t.match(problems({ ...good, verify_ssl: ca, ca }), [/ca and a path as verify_ssl exclude each other/])
    t.match(problems({ ...good, verify_ssl: `${ca}.none` }), [/verify_ssl: can't read the CA file/])
  },
)

t.test('connect_timeout: a server that takes connections and says nothing', async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  const sockets: Socket[] = []
  server.on('connection', (socket) => sockets.push(socket.on('error', () => {})))
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  const source = new SplunkReadable({
    ...good,
    splunkd_url: `https://127.0.0.1:${port}`,
    connect_timeout: 0.05,
    max_retries: 1,
    initial_backoff: 0.01,
  } as SplunkReadableOptions)
  await t.rejects(source.toArray(), {
    code: 'ERR_QUERY',
    message: /no connection within connect_timeout \(0.05 s\)/,
  })
  t.equal(sockets.length, 2)
})
