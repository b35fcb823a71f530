import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import t from 'tap'
import { openQueue } from '../../lib/streaming/bullmq/index.ts'
import { command } from '../fixtures/command.ts'
import { QueueTrial, type Started } from '../fixtures/queue-trial.ts'
import { redisMissing, startRedis } from '../services/redis.ts'

/** Waits until a worker says a line that matches. */
async function said({ child }: Started, pattern: RegExp): Promise<void> {
  const lines = createInterface({ input: child.stderr! })
  for await (const line of lines) if (pattern.test(line)) return
  throw new Error(`it never said ${pattern}`)
}

t.test('a backlog by commands', { skip: redisMissing }, async (t) => {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  const trial = await QueueTrial.start(t.testdir(), 8, 5)
  t.teardown(() => trial.close())
  const to = (name: string) => ['--queue', redis.url, '--name', name]
  const status = async (name: string) => {
    const queue = await openQueue({ url: redis.url, name })
    try {
      return await queue.status()
    } finally {
      await queue.close()
    }
  }

  await t.test('a wrong secret: nothing fails, exit code 3, and it goes on once it is right', async (t) => {
    const right = await trial.job()
    t.match(await trial.run('plan', right, ...to('a'), '--rate', '100'), {
      code: 0,
      stdout: /^8 windows planned, 8 of them new, in the queue a$/m,
    })
    t.match(await trial.run('plan', right, ...to('a')), { stdout: /^8 windows planned, 0 of them new/ })
    const wrong = await trial.job({ source: { client_secret: 'wrong-secret-word' } })
    const refused = await trial.run('worker', wrong, ...to('a'), '--log', 'json')
    t.match(refused, { code: 3, stderr: /ERR_AUTH/ })
    t.notMatch(refused.stderr, /wrong-secret-word/)
    const { stdout } = await trial.run('queue', 'status', redis.url, '--name', 'a', '--json')
    t.match(JSON.parse(stdout), { total: 8, waiting: 8, active: 0, failed: 0, paused: true })
    t.match(await trial.run('queue', 'status', redis.url, '--name', 'a'), {
      stdout: /^0 of 8 windows done; the queue is paused\n8 waiting, 0 in flight, 0 delayed, 0 failed$/m,
    })
    t.match(await trial.run('queue', 'resume', redis.url, '--name', 'a'), {
      code: 0,
      stdout: 'the queue a goes on\n',
    })
    const tokens = trial.entra.count
    const done = await trial.run('worker', await trial.job(), ...to('a'), '--available-now', '--log', 'json')
    t.equal(done.code, 0, done.stderr)
    t.match(JSON.parse(done.stderr.trim().split('\n').at(-1)!), {
      event: 'end',
      outcome: 'done',
      read: 40,
      delivered: 40,
      windows: 8,
      queue: { done: 8, failed: 0, total: 8, paused: false },
    })
    t.equal(trial.seen().size, 40)
    t.ok(trial.entra.count - tokens <= 3, 'one token for all windows')
  })

  await t.test('the live line shows the whole queue', async (t) => {
    const job = await trial.job()
    await trial.run('plan', job, ...to('live'), '--rate', '100')
    const { code, stderr } = await trial.run('worker', job, ...to('live'), '--available-now', '--log', 'live')
    t.equal(code, 0, stderr)
    t.match(stderr, /\d of 8 windows/)
    t.match(stderr, /done: 40 rows read, 40 delivered/)
  })

  await t.test('SIGTERM hands the windows back', async (t) => {
    const job = await trial.job()
    await trial.run('plan', job, ...to('b'), '--rate', '100')
    trial.logs.fail({ stall: 'before', times: Infinity })
    const worker = trial.start('worker', job, ...to('b'), '--log', 'json')
    await once(trial.logs, 'request')
    worker.child.kill('SIGTERM')
    const { code, stderr } = await worker.ended
    t.equal(code, 0, stderr)
    t.match(stderr, /returning the windows in flight/)
    trial.logs.clearFaults()
    t.match(await status('b'), { total: 8, waiting: 8, active: 0, delayed: 0, failed: 0, paused: false })
    t.match(await trial.run('queue', 'pause', redis.url, '--name', 'b'), {
      stdout: 'the queue b is paused\n',
    })
    t.match(await status('b'), { paused: true })
  })

  await t.test('a destination that is away for a while: no window fails', async (t) => {
    const job = await trial.job({ sink: { max_retries: 0, initial_backoff: 0.01 } })
    await trial.run('plan', job, ...to('c'), '--rate', '100')
    await trial.hec.close()
    const worker = trial.start('worker', job, ...to('c'), '--available-now', '--log', 'json')
    await said(worker, /"event":"retry".*all workers wait/)
    await trial.hec.start()
    const { code, stderr } = await worker.ended
    t.equal(code, 0, stderr)
    t.match(await status('c'), { completed: 8, failed: 0 })
  })

  await t.test('windows that will not go through are told, and put back', async (t) => {
    const job = await trial.job()
    await trial.run('plan', job, ...to('d'), '--rate', '100')
    trial.hec.fail({ status: 400, body: { text: 'Invalid data format', code: 6 }, times: Infinity })
    t.equal((await trial.run('worker', job, ...to('d'), '--available-now', '--log', 'off')).code, 0)
    trial.hec.clearFaults()
    t.match(await trial.run('queue', 'status', redis.url, '--name', 'd'), {
      stdout: /8 failed\nfailed: 2024-05-01T.*ERR_REJECTED/,
    })
    t.match(await trial.run('queue', 'retry', redis.url, '--name', 'd'), {
      stdout: '8 windows are back in the queue\n',
    })
    t.equal((await trial.run('worker', job, ...to('d'), '--available-now', '--log', 'off')).code, 0)
    t.match(await status('d'), { completed: 8, failed: 0 })
  })

  await t.test('plan twice is one plan', async (t) => {
    const range = (timespan: string) => ({
      start_time: undefined,
      end_time: undefined,
      partition_duration: 3600,
      timespan,
    })
    const plan = async (path: string, ...flags: string[]) =>
      trial.run('plan', path, ...to('f'), '--rate', '100', ...flags)
    const job = await trial.job({ source: range('P2D') })
    t.match(await plan(job), { code: 0, stdout: /^48 windows planned, 48 of them new/ })
    t.match(await plan(job), { code: 0, stdout: /^48 windows planned, 0 of them new/ }, 'seconds later')
    const other = await trial.job({ source: range('P1D') })
    t.match(await plan(other), { code: 2, stderr: /has the windows from .* of another range: .*--replace/ })
    t.match(await plan(other, '--replace'), { code: 0, stdout: /^24 windows planned, 24 of them new/ })
  })

  await t.test('what is wrong is told before anything is done', async (t) => {
    const job = await trial.job({ source: { workspaceid: 'w' } })
    t.match(await trial.run('plan', job, ...to('e')), { code: 2, stderr: /"workspaceid".*workspace_id/ })
    for (const args of [
      ['plan', 'screen.json', ...to('e')],
      ['worker', 'screen.json', ...to('e')],
    ]) {
      const screen = { ...JSON.parse(await readFile(await trial.job(), 'utf8')), sink: '-' }
      const cwd = t.testdir({ 'screen.json': JSON.stringify(screen) })
      const refused = await command(args, { cwd, env: process.env })
      t.match(refused, { code: 2, stderr: /sink: expected one that workers can write to, got "-"/ })
    }
    t.match(await trial.run('worker', await trial.job()), { code: 2, stderr: /--queue: is required/ })
    t.match(await trial.run('queue', 'status', 'http://host'), {
      code: 2,
      stderr: /^ +url: expected a redis/m,
    })
    const url = 'postgres://u:secret-word@127.0.0.1:1/x'
    for (const args of [
      ['queue', 'status', url],
      ['plan', job, '--queue', url],
    ]) {
      const refused = await trial.run(...args)
      t.match(refused, { code: 2, stderr: /a user or password in it.*CYBER_CONNECTORS_QUEUE/ })
      t.notMatch(refused.stdout + refused.stderr, 'secret-word')
    }
    const env = { CYBER_CONNECTORS_QUEUE: url }
    t.match(await command(['queue', 'status'], { env }), { code: 4, stderr: /ERR_CHECKPOINT/ })
  })
})
