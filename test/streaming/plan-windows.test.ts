import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import t from 'tap'
import { boundedDeclaration } from '../../lib/connectors/azure-monitor/options.ts'
import { openStore } from '../../lib/stores/open-store.ts'
import { openBacklog } from '../../lib/streaming/backlog.ts'
import { planWindows } from '../../lib/streaming/plan-windows.ts'
import { AzureTrial } from '../fixtures/azure-trial.ts'
import { redisMissing, startRedis } from '../services/redis.ts'

const day = { start_time: '2024-05-01', end_time: '2024-05-02' }

t.test('windows as plain JSON, which the reader takes back', async (t) => {
  const windows = planWindows({ ...day, partition_duration: '36000' })
  t.same(JSON.parse(JSON.stringify(windows)), windows)
  t.same(
    windows.map(({ start, end }) => [start.slice(11, 19), end.slice(11, 19)]),
    [
      ['00:00:00', '10:00:00'],
      ['10:00:00', '20:00:00'],
      ['20:00:00', '00:00:00'],
    ],
  )
  t.equal(planWindows(day).length, 24)
  t.equal(
    planWindows({ startTime: new Date(day.start_time), endTime: day.end_time, num_partitions: 7 }).length,
    7,
  )
  const hours = planWindows({ timespan: 'PT3H' })
  t.equal(hours.length, 3)
  t.ok(Math.abs(Date.parse(hours.at(-1)!.end) - Date.now()) < 60_000)
  const credential = { getToken: async () => null }
  const values = boundedDeclaration.resolve({ workspace_id: 'w', query: 'T', credential, window: windows[1] })
  t.equal(values.window?.end, BigInt(Date.parse('2024-05-01T20:00:00Z')) * 10_000n)
})

t.test('one options object serves plan and reader', async (t) => {
  t.equal(planWindows({ ...day, workspace_id: 'w', query: 'T', azure_default_credential: true }).length, 24)
  t.throws(() => planWindows({ workspace_id: 'w', num_partitions: 0, window: {} }), {
    code: 'ERR_OPTION',
    problems: [/num_partitions: expected/, /window: is what/, /either timespan or/],
  })
  t.throws(() => planWindows({ start_time: '2024-05-02', end_time: '2024-05-01' }), {
    message: /is not after/,
  })
  t.throws(() => planWindows({ timespan: 'P1D', end_time: '2024-05-01' }), { message: /needs start_time/ })
  t.throws(() => planWindows({ ...day, num_partitions: 1, partition_duration: 1 }), {
    message: /exclude each other/,
  })
  t.throws(() => planWindows({ ...day, partition_duration: 0.001 }), { message: /more than 1000000 windows/ })
  t.same(planWindows({ start_time: '2999-01-01' }), [])
})

t.test('a backlog keeps account of windows done in any order', async (t) => {
  const checkpointLocation = t.testdir()
  const identity = { workspace_id: 'w', query: 'T' }
  const windows = planWindows({ ...day, num_partitions: 4 })
  await t.rejects(openBacklog({ checkpointLocation, identity }), {
    code: 'ERR_CHECKPOINT',
    message: /give windows/,
  })
  {
    await using backlog = await openBacklog({ checkpointLocation, identity, windows })
    t.same(backlog.pending, windows)
    await Promise.all([windows[3], windows[1], windows[1]].map((window) => backlog.commit(window!.id)))
    t.same(backlog.pending, [windows[0], windows[2]])
    await t.rejects(backlog.commit('x'), { code: 'ERR_CHECKPOINT' })
    await t.rejects(openBacklog({ checkpointLocation, identity }), { message: /held by process/ })
  }
  {
    await using backlog = await openBacklog({ checkpointLocation, identity })
    t.same(backlog.pending, [windows[0], windows[2]])
    await backlog.commit(windows[0]!.id)
  }
  {
    await using backlog = await openBacklog({ checkpointLocation, identity, windows })
    t.same(backlog.pending, [windows[2]])
    await backlog.commit(windows[2]!.id)
    t.same(backlog.pending, [])
  }
  await t.rejects(openBacklog({ checkpointLocation, identity, windows: planWindows(day).slice(0, 3) }), {
    message: /other windows/,
  })
  await t.rejects(openBacklog({ checkpointLocation, windows }), { message: /another query/ })
  await t.rejects(openBacklog({ checkpointLocation, windows: [{ ...windows[0]!, end: 'x' }] }), {
    message: /no window/,
  })
  t.ok((await readdir(checkpointLocation)).every((name) => name.startsWith('checkpoint-')))
})

t.test(
  'a backlog in a store, of which one host after the other has it',
  { skip: redisMissing },
  async (t) => {
    const redis = await startRedis()
    t.teardown(() => redis.stop())
    const windows = planWindows({ ...day, num_partitions: 4 })
    const open = (more: object = {}) =>
      openBacklog({ checkpoint: openStore(`${redis.url}/0?name=backlog`), ...more })
    await t.rejects(open(), { code: 'ERR_CHECKPOINT', message: /redis.*give windows/ })
    {
      await using backlog = await open({ windows })
      await t.rejects(open(), { message: /is held by process/ })
      await backlog.commit(windows[2]!.id)
    }
    await using again = await open()
    t.same(again.pending, [windows[0], windows[1], windows[3]])
    for (const wrong of [{}, { checkpoint: openStore('./x'), checkpointLocation: './x' }])
      await t.rejects(openBacklog({ windows, ...wrong }), {
        code: 'ERR_OPTION',
        message: 'backlog: expected either checkpointLocation or checkpoint',
      })
  },
)

/** Reads the windows that it is sent, and answers each with its id and the rows. */
const worker = `
  import { AzureMonitorReadable } from ${JSON.stringify(new URL('../../dist/index.js', import.meta.url))}
  const options = JSON.parse(process.env.OPTIONS)
  process.on('message', async (window) => {
    const rows = await new AzureMonitorReadable({ ...options, window }).toArray()
    process.send({ id: window.id, rows: rows.map(({ n }) => n) })
  })`

t.test('a backlog spread over two processes, one of which dies', async (t) => {
  const trial = await AzureTrial.start(t)
  // A row right at the start of each window, one right before its end, and one in between.
  const options = { ...trial.target, query: 'T' }
  const windows = planWindows({ ...options, ...day, partition_duration: 7200 })
  const instants = windows.flatMap(({ start, end }) => [start, `${start.slice(0, 14)}30:00Z`, before(end)])
  trial.service.addTable(
    'T',
    [
      { name: 'TimeGenerated', type: 'datetime' },
      { name: 'n', type: 'long' },
    ],
    instants.map((instant, n) => [instant, n]),
  )
  const start = () => {
    const child = spawn(process.execPath, ['--input-type=module', '-e', worker], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      env: { ...process.env, OPTIONS: JSON.stringify(options) },
    })
    t.teardown(() => child.kill())
    return child
  }
  const [steady, mortal] = [start(), start()]
  const checkpointLocation = t.testdir()
  const settled: number[] = []

  /** Gives a worker windows until there are none. Each is sent as JSON and committed when it is done. */
  async function feed(child: ChildProcess, queue: unknown[], commit: (id: string) => Promise<void>) {
    for (let window = queue.shift(); window; window = queue.shift()) {
      child.send(window)
      const [{ id, rows }] = (await once(child, 'message')) as [{ id: string; rows: number[] }]
      settled.push(...rows)
      await commit(id)
    }
  }

  let lost: unknown
  {
    await using backlog = await openBacklog({ checkpointLocation, windows })
    const queue: unknown[] = backlog.pending
    const commit = (id: string) => backlog.commit(id)
    await feed(mortal, [queue.pop()], commit)
    lost = queue.shift()
    trial.service.fail({ stall: 'before' })
    mortal.send(lost as object)
    await once(trial.service, 'request')
    mortal.kill('SIGKILL')
    await once(mortal, 'exit')
    await feed(steady, queue.splice(0, 5), commit)
    t.equal(backlog.pending.length, windows.length - 6)
    t.same(backlog.pending[0], lost, 'what the dead one had is not done')
  }
  await using again = await openBacklog({ checkpointLocation })
  await feed(steady, again.pending, (id) => again.commit(id))
  t.same(again.pending, [])
  t.same(
    settled.sort((a, b) => a - b),
    instants.map((_, n) => n),
    'every row once',
  )
})

/** The instant 100 ns before a full hour. */
function before(end: string): string {
  return new Date(Date.parse(end) - 1).toISOString().replace('Z', '9999Z')
}
