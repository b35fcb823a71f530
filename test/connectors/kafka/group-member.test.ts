import * as client from '@platformatic/kafka'
import t, { type Test } from 'tap'
import type { KafkaCluster } from '../../../lib/connectors/kafka/cluster.ts'
import { KafkaFailure } from '../../../lib/connectors/kafka/failure.ts'
import { GroupPlanner, type GroupValues } from '../../../lib/connectors/kafka/group.ts'
import { GroupMember } from '../../../lib/connectors/kafka/group-member.ts'
import { kafkaSlice, PartitionNotes } from '../../../lib/connectors/kafka/planner.ts'

const { signal } = new AbortController()

/** A member whose clock the test moves, and a coordinator whose generations and heartbeats the test decides. */
function member(t: Test, session_timeout_seconds: number) {
  const state = { now: 0, generation: 1, heartbeats: 0, beat: async () => {}, commit: (): unknown => ({}) }
  t.intercept(performance, 'now', { value: () => state.now * 1000 })
  const metadata = client.Writer.create()
    .appendInt16(1)
    .appendArray(['t'], (writer, topic) => writer.appendString(topic, false), false, false)
    .appendBytes(null, false)
    .appendArray([], () => {}, false, false).buffer
  const answers: Record<string, (args: never[]) => unknown> = {
    FindCoordinator: () => ({ coordinators: [{ host: 'here', port: 1 }] }),
    JoinGroup: () => ({ memberId: 'm', generationId: state.generation, leader: 'm', members: [{ memberId: 'm', metadata }] }), // biome-ignore format: a line
    SyncGroup: (args) => ({ assignment: (args[6]![0] as { assignment: Buffer }).assignment }),
    Heartbeat: () => {
      state.heartbeats++
      return state.beat()
    },
    OffsetCommit: () => state.commit(),
    LeaveGroup: () => ({}),
  }
  const cluster = {
    client: async () => client,
    topics: async () => new Map([['t', { name: 't', id: '', partitions: [{}, {}] }]]),
    call: async (_broker: unknown, name: string, args: never[]) => answers[name]!(args),
    close() {},
  } as unknown as KafkaCluster
  const seen: unknown[] = []
  const settings = { group_id: 'g', topics: ['t'], session_timeout_seconds, max_retry_seconds: 10, initial_backoff: 0.01, max_backoff: 0.01 } // biome-ignore format: a line
  const made = new GroupMember(cluster, settings, {
    assigned: async (_assignment, isContinuous) => void seen.push(isContinuous),
    lost: () => seen.push('lost'),
    retry: () => {},
  })
  t.teardown(() => made.close())
  return { made, state, seen }
}

const refusal = (kafkaCode: string) => new KafkaFailure('ERR_QUERY', kafkaCode, { kafkaCode })

t.test('a member that was frozen asks before it goes on, at nine tenths of its session', async (t) => {
  const { made, state, seen } = member(t, 3600)
  await made.place(signal)
  state.now = 0.89 * 3600
  await made.place(signal)
  t.equal(state.heartbeats, 0)
  state.now = 0.91 * 3600
  state.beat = async () => {
    throw refusal('UNKNOWN_MEMBER_ID')
  }
  const stop = new AbortController()
  const asked = made.place(stop.signal)
  await new Promise((resolve) => setImmediate(resolve))
  t.equal(state.heartbeats, 1)
  t.same(seen, [false, 'lost'], 'others may have its partitions')
  stop.abort()
  await t.rejects(asked)
})

t.test('its session counts from when a heartbeat was sent, not from the answer', async (t) => {
  const { made, state } = member(t, 3600)
  await made.place(signal)
  state.now = 3600
  state.beat = async () => {
    if (state.heartbeats === 1) state.now = 2 * 3600
  }
  await made.place(signal)
  t.equal(state.heartbeats, 2, 'the first answer took a whole session')
})

t.test('partitions are the same as before only from one generation to the next', async (t) => {
  for (const [next, isContinuous] of [
    [2, true],
    [3, false],
  ] as const) {
    // biome-ignore format: a table
    const { made, state, seen } = member(t, 0.3)
    await made.place(signal)
    state.generation = next
    state.beat = async () => {
      state.beat = async () => {}
      throw refusal('REBALANCE_IN_PROGRESS')
    }
    while (seen.length < 2) await new Promise((resolve) => setTimeout(resolve, 10))
    t.same(seen, [false, isContinuous], `generation ${next} after 1`)
    await made.close()
  }
})

t.test('a commit that meets a rebalance is not done, and says so', async (t) => {
  const { made, state, seen } = member(t, 0.3)
  const offsets = new Map([['t', new Map([[0, 5]])]])
  state.commit = () => {
    state.generation++
    throw refusal('REBALANCE_IN_PROGRESS')
  }
  t.equal(await made.commit(offsets, signal), false)
  t.same(seen, [false, true], 'it has joined again: the same commit may be right now')
  state.commit = () => ({})
  t.equal(await made.commit(offsets, signal), true)
  state.commit = () => {
    throw refusal('ILLEGAL_GENERATION')
  }
  t.equal(await made.commit(offsets, signal), false)
  t.equal(seen.at(-1), 'lost')
})

t.test('a slice whose partition was taken away is not done', async (t) => {
  const nothing = () => {}
  const hooks = { lost: nothing, lag: nothing, rebalanced: nothing, retry: nothing }
  const ask = async () => ({ cluster: 'c', offsets: { t: { 0: 10 } } })
  const planner = new GroupPlanner(ask, {} as GroupValues, new PartitionNotes(), hooks)
  const offset = { cluster: 'c', offsets: {} }
  t.same(planner.advance(offset, kafkaSlice('t', 0, 0, 10, 1)), { cluster: 'c', offsets: {} })
  t.notOk(await planner.confirm(kafkaSlice('t', 0, 0, 10, 1), signal), 'what is left of it is not read')
})
