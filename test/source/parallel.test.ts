import { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import t from 'tap'
import { AzureMonitorStreamReadable } from '../../lib/connectors/azure-monitor/azure-monitor-stream-readable.ts'
import { streamingQuery } from '../../lib/streaming/streaming-query.ts'
import { AzureTrial } from '../fixtures/azure-trial.ts'

const begin = Date.parse('2026-01-01T00:00:00Z')
const columns = [
  { name: 'TimeGenerated', type: 'datetime' },
  { name: 'Id', type: 'int' },
] as const
/** A row in each of 24 hours. */
const rows = Array.from({ length: 24 }, (_, id) => [new Date(begin + (id + 0.5) * 3_600_000), id])
const range = { start_time: new Date(begin), end_time: new Date(begin + 24 * 3_600_000) }

/** Queries that each take a while, and how many were under way at once, at each that came. */
async function slowQueries(t: Parameters<typeof AzureTrial.start>[0]) {
  const trial = await AzureTrial.start(t)
  trial.service.addTable('T', columns, rows as never)
  trial.service.fail({ delay: 150, times: 1000 })
  const underWay = new Set<unknown>()
  const counts: number[] = []
  trial.service.on('request', (request) => {
    underWay.add(request)
    counts.push(underWay.size)
  })
  for (const end of ['response', 'abort'] as const)
    trial.service.on(end, (request) => underWay.delete(request))
  return { trial, counts }
}

const ids = (given: unknown[]) => given.map((row) => (row as { Id: number }).Id)
const all = rows.map(([, id]) => id)

t.test('24 windows, four queries under way at once by default, in order', async (t) => {
  const { trial, counts } = await slowQueries(t)
  for (const [name, options, most] of [
    ['num_partitions', { num_partitions: 24 }, 4],
    ['partition_duration', { partition_duration: 3600 }, 4],
    ['max_in_flight', { num_partitions: 24, max_in_flight: 2 }, 2],
    ['one at a time', { partition_duration: 3600, max_in_flight: 1 }, 1],
  ] as const) {
    counts.length = 0
    const read = await trial.source({ ...options, timespan: undefined, ...range }).toArray()
    t.same(ids(read), all, name)
    t.equal(counts.length, 24, `${name}: ${counts.join(' ')}`)
    t.equal(Math.max(...counts), most, `${name}: as many as allowed, and no more`)
  }
})

t.test('a stream in a plain pipeline, and streamingQuery with read_ahead beyond it', async (t) => {
  const { trial, counts } = await slowQueries(t)
  const options = {
    ...trial.target,
    ...trial.signedIn,
    query: 'T',
    start_time: range.start_time,
    partition_duration: 3600,
    // Up to the end of the day, whenever that was.
    safety_lag_seconds: (Date.now() - range.end_time.getTime()) / 1000,
    available_now: true,
  }
  const taken: number[] = []
  const into = () =>
    new Writable({
      objectMode: true,
      write(row: { Id: number }, _encoding, callback) {
        taken.push(row.Id)
        callback()
      },
    })
  await pipeline(new AzureMonitorStreamReadable(options), into())
  t.same(taken.splice(0), all)
  t.equal(Math.max(...counts.splice(0)), 4)

  for (const [settings, most] of [
    [{ read_ahead: 10 }, 4],
    [{ windows_in_flight: 4 }, 4],
    [{ windows_in_flight: 1 }, 2],
  ] as const) {
    const query = streamingQuery({
      source: new AzureMonitorStreamReadable({ ...options, checkpointLocation: t.testdir({}) }),
      sink: into,
      ...settings,
    })
    await query.done
    t.same(
      taken.splice(0).sort((a, b) => a - b),
      all,
    )
    t.equal(Math.max(...counts.splice(0)), most, JSON.stringify(settings))
  }
})
