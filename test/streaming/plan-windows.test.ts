import { readdir } from 'node:fs/promises'
import t from 'tap'
import { boundedDeclaration } from '../../lib/azure-monitor/options.ts'
import { openBacklog } from '../../lib/streaming/backlog.ts'
import { planWindows } from '../../lib/streaming/plan-windows.ts'

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
  t.throws(() => planWindows({ workspaceid: 'w', num_partitions: 0, window: {} }), {
    code: 'ERR_OPTION',
    problems: [
      /"workspaceid".*workspace_id/,
      /num_partitions/,
      /window: expected/,
      /window: is what/,
      /either timespan or/,
    ],
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
