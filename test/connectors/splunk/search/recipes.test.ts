import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { PassThrough, Writable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { createCertificateAuthority, HecEmulator, startEmulators } from '../../../../lib/emulators/index.ts'
import {
  AzureMonitorReadable,
  SentinelWritable,
  SplunkReadable,
  SplunkStreamReadable,
  SplunkWritable,
  streamingQuery,
} from '../../../../lib/index.ts'
import { addEvents, at, day, reach, startSplunk } from '../../../fixtures/splunk-events.ts'

const upTo = (count: number) => Array.from({ length: count }, (_, n) => n)
const events = upTo(40).map((n) => ({ time: n, n }))

t.test('Splunk to Sentinel, by windows with a checkpoint', async (t) => {
  await using emulators = await startEmulators()
  const { ingestion, entra, ca } = emulators
  const splunk = await startSplunk(t)
  addEvents(splunk, events)
  const checkpointLocation = t.testdir()
  const run = async (until: number) => {
    const query = streamingQuery({
      source: new SplunkStreamReadable({
        ...reach(splunk),
        index: 'main',
        start_time: at(0),
        partition_duration: 10,
        safety_lag_seconds: Date.now() / 1000 - (day + until),
        datetime: 'string',
      }),
      transform: () =>
        async function* (rows: AsyncIterable<Record<string, unknown>>) {
          for await (const { _time, _raw, host } of rows)
            yield { TimeGenerated: _time, RawData: _raw, Host: host }
        },
      sink: () =>
        new SentinelWritable({
          dce: ingestion.url,
          dcr_id: 'dcr-1',
          dcs: 'Custom-Splunk_CL',
          tenant_id: entra.tenant_id,
          client_id: entra.client_id,
          client_secret: entra.client_secret,
          authority_host: entra.url,
          ca,
        }),
      checkpointLocation,
      trigger: 'available_now',
    })
    await query.done
  }
  await run(20)
  const first = ingestion.rows.length
  t.ok(first > 0 && first < 40)
  await run(60)
  t.strictSame(
    ingestion.rows.map((row) => (row as { RawData: string }).RawData).sort(),
    events.map(({ n }) => `n=${n} user=u${n % 5}`).sort(),
    'each event once over both runs',
  )
  t.match(ingestion.rows[0], { TimeGenerated: /^2026-10-08T00:00:\d\d\.000Z$/, Host: /^h\d$/ })
})

t.test('Splunk to Splunk, with times, hosts and sourcetypes as they were', async (t) => {
  const splunk = await startSplunk(t)
  addEvents(splunk, events)
  const hec = await new HecEmulator().start()
  t.teardown(() => hec.close())
  const copy = await startSplunk(t, { hec })
  await pipeline(
    new SplunkReadable({
      ...reach(splunk),
      index: 'main',
      start_time: at(0),
      end_time: at(60),
      datetime: 'string',
    }),
    new SplunkWritable({
      url: hec.url,
      token: hec.token,
      index: 'archive',
      single_event_column: '_raw',
      time_column: '_time',
      host_column: 'host',
      source_column: 'source',
      sourcetype_column: 'sourcetype',
    }),
  )
  const read = (emulator: typeof splunk, index: string) =>
    new SplunkReadable({
      ...reach(emulator),
      index,
      start_time: at(0),
      end_time: at(60),
      schema: { _time: 'datetime', _raw: 'string', host: 'string', sourcetype: 'string', source: 'string' },
    }).toArray()
  t.strictSame(await read(copy, 'archive'), await read(splunk, 'main'))
})

t.test('Splunk to NDJSON on the command line', async (t) => {
  const authority = await createCertificateAuthority()
  const splunk = await startSplunk(t, { tls: await authority.issue() })
  addEvents(splunk, events)
  const ca = `${t.testdir()}/ca.pem`
  writeFileSync(ca, authority.ca)
  const command = fileURLToPath(new URL('../../../../dist/bundle/cli.js', import.meta.url))
  const args = [
    'copy',
    '--from',
    'splunk',
    '--to',
    '-',
    '--splunkd-url',
    splunk.url,
    '--index',
    'main',
    '--start-time',
    at(0),
    '--end-time',
    at(60),
    '--ca',
    ca,
  ]
  const child = spawn(process.execPath, [command, ...args], {
    env: { ...process.env, SPLUNK_AUTH_TOKEN: splunk.token },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  t.equal(code, 0, err)
  const rows = out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  t.strictSame(
    rows.map(({ n }) => Number(n)).sort((a, b) => a - b),
    upTo(40),
  )
  t.equal(rows[0]._time, at(39))
})

t.test('Splunk and Azure Monitor into one sink', async (t) => {
  await using emulators = await startEmulators()
  const { logAnalytics, entra, ca } = emulators
  const splunk = await startSplunk(t)
  addEvents(splunk, events)
  logAnalytics.addTable(
    'SigninLogs',
    [
      { name: 'TimeGenerated', type: 'datetime' },
      { name: 'Id', type: 'long' },
    ],
    upTo(30).map((id) => [at(id), id]),
  )
  const got: Record<string, unknown>[] = []
  const sink = new Writable({
    objectMode: true,
    write(row, _encoding, callback) {
      got.push(row)
      callback()
    },
  })
  const both = new PassThrough({ objectMode: true })
  const range = { start_time: at(0), end_time: at(60) }
  const sources = [
    new SplunkReadable({ ...reach(splunk), index: 'main', ...range }),
    new AzureMonitorReadable({
      workspace_id: 'w',
      query: 'SigninLogs',
      endpoint: logAnalytics.url,
      ca,
      tenant_id: entra.tenant_id,
      client_id: entra.client_id,
      client_secret: entra.client_secret,
      authority_host: entra.url,
      ...range,
    }),
  ]
  const joined = Promise.all(sources.map((source) => pipeline(source, both, { end: false }))).then(() =>
    both.end(),
  )
  await Promise.all([joined, pipeline(both, sink)])
  t.equal(got.filter((row) => '_raw' in row).length, 40)
  t.equal(got.filter((row) => 'Id' in row).length, 30)
})
