import { cp, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { AzureMonitorStreamReadable } from '../../lib/connectors/azure-monitor/azure-monitor-stream-readable.ts'
import { createCertificateAuthority, LogAnalyticsEmulator } from '../../lib/emulators/index.ts'
import { openBacklog } from '../../lib/streaming/backlog.ts'
import { streamingQuery } from '../../lib/streaming/streaming-query.ts'

/** Checkpoints as the version before this one left them: of a query that failed in its fourth window, of a backlog. */
const recorded = (name: string) =>
  fileURLToPath(new URL(`../fixtures/checkpoint-version-1/${name}`, import.meta.url))

t.test('a recorded query goes on in the window where it failed', async (t) => {
  const directory = join(t.testdir(), 'offsets')
  await cp(recorded('query'), directory, { recursive: true })
  const authority = await createCertificateAuthority()
  const logs = new LogAnalyticsEmulator({ tls: await authority.issue() })
  t.teardown(() => logs.close())
  const instant = (minute: number) => new Date(Date.UTC(2024, 4, 1, 0, minute)).toISOString()
  logs.addTable(
    'T',
    [
      { name: 'TimeGenerated', type: 'datetime' },
      { name: 'Id', type: 'long' },
    ],
    Array.from({ length: 60 }, (_, minute) => [instant(minute), minute]),
  )
  await logs.start()
  const ids: number[] = []
  const done: string[] = []
  const query = streamingQuery({
    source: new AzureMonitorStreamReadable({
      workspace_id: 'w',
      query: 'T',
      endpoint: logs.url,
      ca: authority.ca,
      credential: { getToken: async () => ({ token: 'any', expiresOnTimestamp: Date.now() + 3_600_000 }) },
      start_time: 'latest',
      partition_duration: 600,
      safety_lag_seconds: 0,
    }),
    sink: () =>
      new Writable({
        objectMode: true,
        write({ Id }: { Id: number }, _, callback) {
          ids.push(Id)
          callback()
        },
      }),
    checkpointLocation: directory,
    trigger: 'available_now',
  })
  query.on('progress', ({ window }) => {
    done.push(window.id)
    if (done.length === 3) query.stop()
  })
  await query.done
  t.same(done.slice(0, 3), [
    '2024-05-01T00:30:00.000Z/2024-05-01T00:40:00.000Z',
    '2024-05-01T00:40:00.000Z/2024-05-01T00:50:00.000Z',
    '2024-05-01T00:50:00.000Z/2024-05-01T01:00:00.000Z',
  ])
  t.same(
    ids,
    Array.from({ length: 30 }, (_, index) => 30 + index),
  )
  const names = (await readdir(directory)).sort()
  t.match(await readFile(join(directory, names.at(-1)!), 'utf8'), /"version":2,/)
})

t.test('a recorded backlog has the windows that were open', async (t) => {
  const directory = join(t.testdir(), 'backlog')
  await cp(recorded('backlog'), directory, { recursive: true })
  const hours = async () => {
    await using backlog = await openBacklog({ checkpointLocation: directory, identity: { job: 'j' } })
    return backlog.pending.map(({ start }) => Number(start.slice(11, 13)))
  }
  t.same(await hours(), [0, 2, 4, 5])
  {
    await using backlog = await openBacklog({ checkpointLocation: directory, identity: { job: 'j' } })
    await backlog.commit(backlog.pending[2]!.id)
  }
  t.same(await hours(), [0, 2, 5])
})
