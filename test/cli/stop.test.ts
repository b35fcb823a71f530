import { once } from 'node:events'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { type HecEvent, startEmulators } from '../../lib/emulators/index.ts'
import { command, lastLine, RunningCommand, variable } from '../fixtures/command.ts'

const emulators = await startEmulators({ hec: { tls: false } })
t.teardown(() => emulators.close())
const { entra, logAnalytics, hec, caFile } = emulators
const env = { CLIENT_SECRET: entra.client_secret, HEC_TOKEN: hec.token }
const toSplunk = ['--to', 'splunk', '--url', hec.endpoint, '--token-env', 'HEC_TOKEN']

t.beforeEach(() => {
  hec.events.length = 0
  hec.clearFaults()
})

const ids = (events: readonly HecEvent[]) => events.map(({ event }) => (event as { id: number }).id)

for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  t.test(`${signal}: what was read is delivered, and the exit code tells of the signal`, async (t) => {
    // A batch that would wait for an hour: only the clean stop sends it.
    const running = new RunningCommand(
      ['copy', '--from', '-', ...toSplunk, '--linger-ms', '3600000', '--log-interval', '0.05'],
      { env },
    )
    running.child.stdin.write('{"id":1}\n{"id":2}\n{"id":3}\n{"id":')
    await running.progress(({ read }) => read === 3)
    t.equal(hec.events.length, 0)
    running.child.kill(signal)
    const ended = await running.ended
    t.equal(ended.code, code, ended.stderr)
    t.same(ids(hec.events), [1, 2, 3])
    t.match(lastLine(ended.stderr, 'stopping'), { signal })
    t.match(lastLine(ended.stderr, 'end'), { outcome: 'stopped', read: 3, delivered: 3 })
  })
}

t.test(
  'a second signal ends what does not settle; one right after the first, as npm sends it, does not',
  async (t) => {
    hec.fail({ stall: 'before' })
    const arrived = once(hec, 'request')
    const running = new RunningCommand(
      ['copy', '--from', '-', ...toSplunk, '--linger-ms', '1', '--log-interval', '0.1'],
      {
        env,
      },
    )
    running.child.stdin.write('{"id":1}\n')
    await arrived
    running.child.kill('SIGINT')
    running.child.kill('SIGINT')
    const stopping = await running.progress(({ event }) => event === 'stopping')
    const later = Date.parse(String(stopping['at'])) + 400
    await running.progress(({ event, at }) => event === 'progress' && Date.parse(String(at)) > later)
    running.child.kill('SIGINT')
    const ended = await running.ended
    t.equal(ended.code, 130, ended.stderr)
    t.match(lastLine(ended.stderr, 'end'), { outcome: 'failed', read: 1, delivered: 0 })
  },
)

t.test(
  'a streaming job: SIGTERM commits the window under way, the next start goes on after it',
  async (t) => {
    const hour = (n: number) => new Date(Date.UTC(2024, 0, 1) + n * 3_600_000)
    logAnalytics.addTable(
      'Events',
      [
        { name: 'TimeGenerated', type: 'datetime' },
        { name: 'id', type: 'long' },
      ],
      Array.from({ length: 200 }, (_, id) => [new Date(hour(0).getTime() + id * 1_800_000), id]),
    )
    const folder = t.testdir({
      'mark.mjs': `export default async function* (rows) { for await (const row of rows) yield { ...row, marked: true } }`,
    })
    await mkdir(join(folder, 'jobs'))
    const job = {
      $schema: './job.schema.json',
      source: {
        connector: 'azure-monitor',
        options: {
          workspace_id: 'any',
          query: 'Events',
          endpoint: logAnalytics.url,
          authority_host: entra.url,
          tenant_id: entra.tenant_id,
          client_id: entra.client_id,
          client_secret: variable('CLIENT_SECRET'),
          ca: caFile,
          start_time: hour(0).toISOString(),
          partition_duration: 36_000,
        },
      },
      transforms: ['../mark.mjs'],
      sink: {
        connector: 'splunk',
        options: { url: hec.endpoint, token: variable('HEC_TOKEN'), batch_size: 100 },
      },
      checkpoint: './offsets',
      trigger: { interval_seconds: 3600 },
    }
    const file = join(folder, 'jobs', 'job.json')
    await writeFile(file, JSON.stringify(job))

    // The answer to the second window waits until the signal is there.
    hec.fail({ after: 1, stall: 'before' })
    const twice = new Promise<void>((resolve) => {
      hec.on('request', () => hec.count >= 2 && resolve())
    })
    hec.count = 0
    const first = new RunningCommand(['run', file, '--log-interval', '0.05'], { env })
    await twice
    first.child.kill('SIGTERM')
    await first.progress(({ event }) => event === 'stopping')
    // Cut, the request is sent again, and this time it is answered.
    hec.cutConnections()
    const stopped = await first.ended
    t.equal(stopped.code, 0, stopped.stderr)
    t.match(lastLine(stopped.stderr, 'end'), {
      outcome: 'stopped',
      windows: 2,
      read: 40,
      delivered: 40,
      retries: 1,
    })
    t.ok((lastLine(stopped.stderr, 'end')?.['lag_seconds'] as number) > 86_400)
    t.same(
      ids(hec.events).sort((a, b) => a - b),
      Array.from({ length: 40 }, (_, id) => id),
    )
    const states = (await readdir(join(folder, 'jobs', 'offsets')))
      .filter((name) => name.startsWith('checkpoint-'))
      .sort()
    t.match(await readFile(join(folder, 'jobs', 'offsets', states.at(-1)!), 'utf8'), '2024-01-01T20:00:00')

    await writeFile(file, JSON.stringify({ ...job, trigger: 'once' }))
    const once_ = await command(['run', file], { env })
    t.equal(once_.code, 0, once_.stderr)
    t.match(lastLine(once_.stderr, 'end'), { outcome: 'done', windows: 1, read: 20 })

    await writeFile(
      file,
      JSON.stringify({
        ...job,
        trigger: 'once',
        source: { ...job.source, options: { ...job.source.options, query: 'Events | where id > 1' } },
      }),
    )
    const foreign = await command(['run', file], { env })
    t.equal(foreign.code, 4)
    t.match(lastLine(foreign.stderr, 'error'), {
      code: 'ERR_CHECKPOINT',
      message: /belongs to another query/,
    })
    t.same(
      ids(hec.events).sort((a, b) => a - b),
      Array.from({ length: 60 }, (_, id) => id),
      'each row once',
    )
    t.ok(hec.events.every(({ event }) => (event as { marked: boolean }).marked))
  },
)
