import { createInterface } from 'node:readline'
import t from 'tap'
import { startEmulators } from '../../lib/emulators/index.ts'
import { command, RunningCommand } from '../fixtures/command.ts'
import { QueueTrial } from '../fixtures/queue-trial.ts'
import { redisMissing, startRedis } from '../services/redis.ts'

/** What a command tells on an address of its own, once it has done enough. */
async function told(url: string, path: string, enough: RegExp): Promise<string> {
  for (;;) {
    const text = await (await fetch(url + path)).text()
    if (enough.test(text)) return text
  }
}

t.test('run --listen: metrics, health and a page, until it ends', async (t) => {
  const emulators = await startEmulators()
  t.teardown(() => emulators.close())
  const { entra, logAnalytics, hec, ca } = emulators
  logAnalytics.addTable(
    'T',
    [
      { name: 'TimeGenerated', type: 'datetime' },
      { name: 'Id', type: 'long' },
    ],
    Array.from({ length: 100 }, (_, id) => [new Date(Date.UTC(2024, 0, 1) + id * 60_000), id]),
  )
  const folder = t.testdir({
    'ca.pem': ca,
    'job.json': JSON.stringify({
      source: {
        connector: 'azure-monitor',
        options: {
          workspace_id: 'any',
          query: 'T',
          endpoint: logAnalytics.url,
          authority_host: entra.url,
          tenant_id: entra.tenant_id,
          client_id: entra.client_id,
          client_secret: entra.client_secret,
          ca: 'ca.pem',
          start_time: '2024-01-01',
          partition_duration: 3600,
          safety_lag_seconds: (Date.now() - Date.UTC(2024, 0, 1, 2)) / 1000,
        },
      },
      sink: { connector: 'splunk', options: { url: hec.url, token: hec.token, ca: 'ca.pem' } },
      checkpoint: 'offsets',
    }),
  })
  const run = new RunningCommand(['run', 'job.json', '--log', 'json', '--listen', '0'], { cwd: folder })
  const { url } = (await run.progress(({ event }) => event === 'listening')) as unknown as { url: string }
  t.match(url, /^http:\/\/127\.0\.0\.1:\d+$/)
  const metrics = await told(
    url,
    '/metrics',
    /rows_read_total\{connector="azure-monitor",job_name="job"\} 100$/m,
  )
  t.match(metrics, /^cyber_connectors_rows_delivered_total\{connector="splunk",job_name="job"\} 100$/m)
  t.match(await told(url, '/health', /ok/), /^\{"status":"ok","state":"[a-z ]+","reasons":\[\]\}/)
  t.match(await told(url, '/', /html/), /<title>cyber-connectors<\/title>/)

  const { port } = new URL(url)
  const second = await command(['run', 'job.json', '--log', 'json', '--listen', port], { cwd: folder })
  t.match(second, { code: 1, stderr: /listen: can't listen on 127\.0\.0\.1:\d+ \(EADDRINUSE\)/ })
  t.match(await command(['run', 'job.json', '--log', 'off', '--listen', 'nowhere'], { cwd: folder }), {
    code: 2,
    stderr: /listen: expected an address such as 127.0.0.1:9187, or a port, got "nowhere"/,
  })

  run.child.kill('SIGTERM')
  t.match(await run.ended, { code: 0 })
  await t.rejects(fetch(url))
  for (const secret of [hec.token, entra.client_secret]) t.notMatch(metrics, secret)
})

t.test('worker --listen tells the depth of the queue', { skip: redisMissing }, async (t) => {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  const trial = await QueueTrial.start(t.testdir(), 8, 5)
  t.teardown(() => trial.close())
  const job = await trial.job()
  const queue = ['--queue', redis.url, '--name', 'a']
  await trial.run('plan', job, ...queue, '--rate', '100')
  const worker = trial.start('worker', job, ...queue, '--log', 'json', '--listen', '0')
  let url = ''
  for await (const line of createInterface({ input: worker.child.stderr! })) {
    const { event, url: at } = JSON.parse(line)
    if (event !== 'listening') continue
    url = at
    break
  }
  const metrics = await told(url, '/metrics', /queue_windows\{state="completed",job_name="job"\} 8$/m)
  t.match(
    metrics,
    /^cyber_connectors_windows_total\{connector="azure-monitor",outcome="done",job_name="job"\} 8$/m,
  )
  worker.child.kill('SIGTERM')
  t.match(await worker.ended, { code: 0 })
})
