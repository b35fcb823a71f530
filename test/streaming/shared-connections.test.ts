import { once } from 'node:events'
import { finished } from 'node:stream/promises'
import t, { type Test } from 'tap'
import { Sharing } from '../../lib/http/sharing.ts'
import {
  AzureMonitorStreamReadable,
  planWindows,
  RestWritable,
  runWindow,
  SentinelWritable,
  SplunkWritable,
  streamingQuery,
} from '../../lib/index.ts'
import type { SinkOptions } from '../../lib/sink/options.ts'
import { openQueue, startWorker } from '../../lib/streaming/bullmq/index.ts'
import { AzureTrial } from '../fixtures/azure-trial.ts'
import { redisMissing, startRedis } from '../services/redis.ts'

const range = { start_time: '2024-05-01T00:00:00Z', end_time: '2024-05-01T01:00:00Z' }
const windows = planWindows({ ...range, partition_duration: 60 })
const rule = { dcr_id: 'dcr-00000000000000000000000000000001', dcs: 'Custom-T' }

/** A row a minute for an hour, and sinks for each window: what there is, and how much of it was used. */
async function trial(t: Test) {
  const trial = await AzureTrial.start(t, { ingestion: { rules: { [rule.dcr_id]: [rule.dcs] } } })
  const { emulators, target } = trial
  const { entra, logAnalytics, ingestion, hec, rest, ca } = emulators
  const rows = windows.map(({ start }, n) => [start, n])
  trial.service.addTable(
    'T',
    [
      { name: 'TimeGenerated', type: 'datetime' },
      { name: 'n', type: 'long' },
    ],
    rows,
  )
  const { tenant_id, client_id, client_secret, authority_host } = target
  const signIn = { tenant_id, client_id, client_secret, authority_host }
  const sinks = {
    splunk: (more: SinkOptions = {}) => new SplunkWritable({ url: hec.url, token: hec.token, ca, ...more }),
    rest: (more: SinkOptions = {}) => new RestWritable({ url: rest.url, ca, batch_size: 100, ...more }),
    sentinel: (more: SinkOptions = {}) =>
      new SentinelWritable({ ...signIn, ...rule, dce: ingestion.url, ca, ...more }),
  }
  const source = () =>
    new AzureMonitorStreamReadable({
      ...target,
      query: 'T',
      start_time: range.start_time,
      partition_duration: 60,
      // It ends in the last minute, as the clock goes on.
      safety_lag_seconds: (Date.now() - Date.parse('2024-05-01T00:59:57Z')) / 1000,
      available_now: true,
    })
  const used = () => ({
    queries: logAnalytics.connectionCount,
    tokens: entra.tokensIssued,
    splunk: hec.connectionCount,
    rest: rest.connectionCount,
    sentinel: ingestion.connectionCount,
    delivered: hec.events.length + rest.received + ingestion.received,
  })
  return { sinks, source, used, emulators }
}

t.test('sixty windows of a query: a connection and a token for all of their sinks', async (t) => {
  for (const name of ['splunk', 'rest', 'sentinel'] as const) {
    const { sinks, source, used } = await trial(t)
    await streamingQuery({ source: source(), sink: () => sinks[name](), checkpointLocation: t.testdir() })
      .done
    const { queries, tokens, delivered, ...connections } = used()
    t.equal(delivered, 60)
    t.equal(connections[name], 1, `one connection to ${name}`)
    t.equal(tokens, name === 'sentinel' ? 2 : 1, 'one token for the source, and one for the sinks')
    t.ok(queries <= 4, `${queries} connections for queries`)
  }
})

t.test('windows that a queue of the user hands to runWindow', async (t) => {
  const { sinks, source, used } = await trial(t)
  const reader = source()
  for (const window of windows) await runWindow(window, { source: reader, sink: () => sinks.sentinel() })
  t.match(used(), { delivered: 60, tokens: 2, sentinel: 1 })
  t.ok(used().queries <= 4)
  reader.destroy()
})

t.test('sinks of other settings, and those of no query, have their own', async (t) => {
  const { sinks, source, used, emulators } = await trial(t)
  const { hec, ca } = emulators
  let made = 0
  const sink = () =>
    new SplunkWritable({ url: hec.url, token: hec.token, ca, max_connection_seconds: 100 + (made++ % 2) })
  await streamingQuery({ source: source(), sink, checkpointLocation: t.testdir() }).done
  t.match(used(), { splunk: 2, delivered: 60 })
  for (let n = 0; n < 3; n++) {
    const alone = sinks.splunk()
    alone.end({ n })
    await new Promise((resolve) => alone.once('close', resolve))
  }
  t.equal(used().splunk, 5)
})

t.test('a sink that is destroyed cuts its request, though others use the same connections', async (t) => {
  const { sinks, emulators } = await trial(t)
  const { hec, rest, ingestion } = emulators
  for (const [name, service] of Object.entries({ splunk: hec, rest, sentinel: ingestion })) {
    const make = sinks[name as keyof typeof sinks]
    const sharing = new Sharing()
    const [one, other] = sharing.within(() => [make({ request_timeout: 3600 }), make()] as const)
    service.fail({ stall: 'before' })
    one.on('error', () => {})
    one.end({ n: 1 })
    await once(service, 'request')
    const cut = once(service, 'abort')
    const closed = new Promise((resolve) => one.once('close', resolve))
    one.destroy()
    await Promise.all([cut, closed])
    t.match(one.unsettled, [{ n: 1 }])
    other.end({ n: 2 })
    await finished(other)
    t.equal(other.stats.delivered, 1, name)
    sharing.close()
  }
})

t.test('a worker of a queue', { skip: redisMissing }, async (t) => {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  const { sinks, source, used } = await trial(t)
  const reader = source()
  await using queue = await openQueue({
    url: redis.url,
    name: 'shared',
    identity: reader.identity,
    concurrency: 2,
    rate: 1000,
  })
  await queue.plan(windows)
  await startWorker({ queue, source: reader, sink: () => sinks.sentinel(), available_now: true }).done
  reader.destroy()
  const { tokens, sentinel, delivered } = used()
  t.equal(delivered, 60)
  t.equal(tokens, 2)
  t.ok(sentinel <= 2, `${sentinel} connections for two windows at a time`)
})
