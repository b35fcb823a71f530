import type * as client from '@platformatic/kafka'
import { untilAborted } from '../../core/on-abort.ts'
import { pause, RetryBudget, type RetryPolicy } from '../../core/retry.ts'
import type { KafkaCluster } from './cluster.ts'
import type { BrokerAddress } from './connection-options.ts'
import { KafkaFailure } from './failure.ts'
import {
  type Assignment,
  assignPartitions,
  readAssignment,
  readSubscription,
  writeAssignment,
  writeSubscription,
} from './group-messages.ts'

export interface GroupSettings extends RetryPolicy {
  readonly group_id: string
  readonly topics: readonly string[]
  readonly session_timeout_seconds: number
}

/** What a member reports. */
export interface GroupListener {
  /**
   * Partitions are assigned.
   * @param isContinuous whether this member was one all the time, so that no other had the partitions that it keeps
   */
  assigned(assignment: Assignment, isContinuous: boolean): Promise<void>
  /** It is no member any more: others may have its partitions. */
  lost(): void
  /** A request is made again. */
  retry(error: KafkaFailure, attempts: number, wait: number): void
}

/** The group's generation that a commit belongs to: brokers refuse those of a member that has lost its place. */
interface Membership {
  readonly memberId: string
  readonly generation: number
}

/** Answers that say: another generation has begun, or this member is none. */
const rebalances = new Set(['REBALANCE_IN_PROGRESS', 'ILLEGAL_GENERATION', 'UNKNOWN_MEMBER_ID', 'MEMBER_ID_REQUIRED', 'FENCED_INSTANCE_ID']) // biome-ignore format: a list
const coordinatorMoved = new Set(['NOT_COORDINATOR', 'COORDINATOR_NOT_AVAILABLE'])

const protocolName = 'roundrobin'

/** Commits without being a member. */
const notMember: Membership = { memberId: '', generation: -1 }

/** Answers that end a membership. */
function isRebalance(error: unknown): error is KafkaFailure {
  return error instanceof KafkaFailure && rebalances.has(String(error.serviceCode))
}

/**
 * A member of a consumer group: joins, sends heartbeats, joins again when the group is rebalanced, commits offsets.
 * Members that lead a group leave partitions where they are, as far as that is fair.
 */
export class GroupMember {
  readonly #cluster: KafkaCluster
  readonly #settings: GroupSettings
  readonly #listener: GroupListener
  readonly #stop = new AbortController()
  #membership: Membership | undefined
  #memberId = ''
  #closed: Promise<void> | undefined
  #owned: Assignment = []
  /** The last generation in which this member got its partitions. */
  #generation = 0
  #coordinator: BrokerAddress | undefined
  /** When the broker last heard of this member for certain, by `performance.now()`. */
  #heard = 0
  #stable = deferred<Membership>()
  #running: Promise<void> | undefined
  #failure: unknown

  /** @param cluster has connections of its own: a broker answers nothing else while it waits for all members to join */
  constructor(cluster: KafkaCluster, settings: GroupSettings, listener: GroupListener) {
    this.#cluster = cluster
    this.#settings = settings
    this.#listener = listener
  }

  /** Resolves while this member has its place in the group for certain. @throws KafkaFailure if the group can't be joined */
  async place(signal: AbortSignal): Promise<Membership> {
    this.#running ??= this.#run()
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure
      signal.throwIfAborted()
      const membership = await untilAborted(this.#stable.promise, signal)
      // A process that was frozen may have lost its place without knowing it.
      if (this.#isFresh) return membership
      await this.#heartbeat(membership, signal).catch(() => {})
      if (!this.#isFresh) await pause(100, signal)
    }
  }

  /**
   * Commits offsets, unless this member has lost its place.
   * @returns whether they are committed
   */
  async commit(
    offsets: ReadonlyMap<string, ReadonlyMap<number, number>>,
    signal: AbortSignal,
  ): Promise<boolean> {
    const topics = [...offsets].map(([name, partitions]) => ({
      name,
      partitions: [...partitions].map(([partitionIndex, offset]) => ({
        partitionIndex,
        committedOffset: BigInt(offset),
        committedLeaderEpoch: -1,
        committedMetadata: '',
      })),
    }))
    for (const budget = new RetryBudget(this.#settings); ; ) {
      // Once it has left, it may commit as long as the group has no member.
      const { memberId, generation } = this.#stop.signal.aborted ? notMember : await this.place(signal)
      budget.begin()
      try {
        const coordinator = await this.#findCoordinator(signal)
        const { group_id } = this.#settings
        await this.#cluster.call(
          coordinator,
          'OffsetCommit',
          [group_id, generation, memberId, null, topics],
          signal,
        )
        return true
      } catch (error) {
        if (!isRebalance(error)) {
          await this.#waitToRetry(error, budget, signal)
        } else if (error.serviceCode === 'REBALANCE_IN_PROGRESS') {
          // The same partitions may be assigned again: then the commit is still right.
          await this.#rejoin(generation, signal)
          return false
        } else {
          this.#end(generation)
          return false
        }
      }
    }
  }

  /** The offsets that the group has committed; partitions without one are left out. */
  async committed(assignment: Assignment, signal: AbortSignal): Promise<Map<string, number>> {
    const topics = assignment.map(({ topic, partitions }) => ({
      name: topic,
      partitionIndexes: [...partitions],
    }))
    for (const budget = new RetryBudget(this.#settings); ; ) {
      budget.begin()
      try {
        const coordinator = await this.#findCoordinator(signal)
        const group = { groupId: this.#settings.group_id, memberId: null, memberEpoch: -1, topics }
        // Stable: waits for the offsets of open transactions.
        const { groups } = await this.#cluster.call(coordinator, 'OffsetFetch', [[group], true], signal)
        const found = new Map<string, number>()
        for (const { name, partitions } of groups[0]?.topics ?? [])
          for (const { partitionIndex, committedOffset } of partitions)
            if (committedOffset >= 0n) found.set(`${name}/${partitionIndex}`, Number(committedOffset))
        return found
      } catch (error) {
        await this.#waitToRetry(error, budget, signal)
      }
    }
  }

  /** Leaves the group, so that others get its partitions at once. */
  close(): Promise<void> {
    this.#closed ??= this.#leave()
    return this.#closed
  }

  async #leave(): Promise<void> {
    this.#stop.abort(new Error('closed'))
    await this.#running
    this.#membership = undefined
    // During a rebalance too: its place would hold the others up until the session has run out.
    if (this.#memberId !== '' && this.#coordinator) {
      const leaving = AbortSignal.timeout(2000)
      const { group_id } = this.#settings
      const members = [{ memberId: this.#memberId, groupInstanceId: null, reason: 'closed' }]
      await this.#cluster.call(this.#coordinator, 'LeaveGroup', [group_id, members], leaving).catch(() => {})
    }
    this.#cluster.close()
  }

  get #session(): number {
    return this.#settings.session_timeout_seconds * 1000
  }

  get #isFresh(): boolean {
    return performance.now() - this.#heard < this.#session * 0.9
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop
    try {
      for (;;) {
        const membership = await this.#join(signal)
        await this.#beat(membership, signal)
      }
    } catch (error) {
      if (signal.aborted) return
      this.#failure = error
      this.#stable.reject(error)
      this.#stable.promise.catch(() => {})
      this.#listener.lost()
    }
  }

  /** Sends heartbeats until another generation begins. */
  async #beat(membership: Membership, signal: AbortSignal): Promise<void> {
    const interval = Math.min(3000, this.#session / 3)
    for (const budget = new RetryBudget(this.#settings); this.#membership === membership; ) {
      await pause(interval, signal)
      if (this.#membership !== membership) return
      budget.begin()
      try {
        await this.#heartbeat(membership, signal)
        budget.progress()
      } catch (error) {
        if (isRebalance(error)) return
        await this.#waitToRetry(error, budget, signal)
      }
    }
  }

  async #heartbeat({ generation, memberId }: Membership, signal: AbortSignal): Promise<void> {
    const sent = performance.now()
    try {
      const coordinator = await this.#findCoordinator(signal)
      await this.#cluster.call(
        coordinator,
        'Heartbeat',
        [this.#settings.group_id, generation, memberId, null],
        signal,
      )
      this.#heard = sent
    } catch (error) {
      if (isRebalance(error)) {
        // A member all the same: it is asked to join again.
        if (error.serviceCode === 'REBALANCE_IN_PROGRESS') this.#unsettle()
        else this.#end(generation)
      }
      throw error
    }
  }

  /** The place is no longer certain, until the group is joined again. */
  #unsettle(): void {
    if (!this.#membership) return
    this.#membership = undefined
    this.#stable = deferred()
  }

  /** This member has lost its place: others may have its partitions. */
  #end(generation: number): void {
    if (this.#membership && this.#membership.generation !== generation) return
    this.#unsettle()
    this.#memberId = ''
    this.#owned = []
    this.#listener.lost()
  }

  /** Waits for the generation after this one. */
  async #rejoin(generation: number, signal: AbortSignal): Promise<void> {
    if (this.#membership?.generation === generation) this.#unsettle()
    await this.place(signal)
  }

  /** Joins until this member has its partitions. */
  async #join(signal: AbortSignal): Promise<Membership> {
    for (const budget = new RetryBudget(this.#settings); ; ) {
      budget.begin()
      try {
        const sent = performance.now()
        const joined = await this.#joinOnce(signal)
        const { memberId, generation, assignment } = joined
        // Of a generation in between it would not know who had its partitions.
        const isContinuous = this.#owned.length > 0 && generation === this.#generation + 1
        this.#generation = generation
        this.#heard = sent
        this.#owned = assignment
        await this.#listener.assigned(assignment, isContinuous)
        const membership = { memberId, generation }
        this.#membership = membership
        this.#stable.resolve(membership)
        return membership
      } catch (error) {
        if (!isRebalance(error)) {
          await this.#waitToRetry(error, budget, signal)
        } else if (error.serviceCode === 'UNKNOWN_MEMBER_ID' || error.serviceCode === 'ILLEGAL_GENERATION') {
          this.#memberId = ''
          this.#owned = []
          this.#listener.lost()
        }
      }
    }
  }

  async #joinOnce(signal: AbortSignal) {
    const library = await this.#cluster.client()
    const { group_id, topics } = this.#settings
    const coordinator = await this.#findCoordinator(signal)
    const metadata = writeSubscription(library, { topics, owned: this.#owned })
    const protocols = [{ name: protocolName, metadata }]
    const join = (memberId: string) =>
      this.#cluster.call(coordinator, 'JoinGroup', [group_id, this.#session, this.#session, memberId, null, 'consumer', protocols, ''], signal) // biome-ignore format: a line
    let joined: Awaited<ReturnType<typeof join>>
    try {
      joined = await join(this.#memberId)
    } catch (error) {
      // A first call only gives the id.
      const memberId = error instanceof KafkaFailure ? error.memberId : undefined
      if (memberId === undefined) throw error
      this.#memberId = memberId
      joined = await join(memberId)
    }
    this.#memberId = joined.memberId!
    const { generationId: generation, leader, members } = joined
    const assignments = leader === this.#memberId ? await this.#assign(library, members, signal) : []
    const args = [group_id, generation, this.#memberId, null, 'consumer', joined.protocolName ?? protocolName, assignments] // biome-ignore format: a line
    const { assignment } = await this.#cluster.call(coordinator, 'SyncGroup', args as never, signal)
    return { memberId: this.#memberId, generation, assignment: readAssignment(library, assignment) }
  }

  /** Shares partitions among members: the task of the one that leads. */
  async #assign(
    library: typeof client,
    members: readonly { readonly memberId: string; readonly metadata?: Buffer | null }[],
    signal: AbortSignal,
  ) {
    const subscriptions = new Map(
      members.map(({ memberId, metadata }) => [memberId, readSubscription(library, metadata!)]),
    )
    const names = [...new Set([...subscriptions.values()].flatMap(({ topics }) => topics))]
    const topics = await this.#cluster.topics(names, signal)
    const counts = new Map([...topics.values()].map(({ name, partitions }) => [name, partitions.length]))
    return [...assignPartitions(subscriptions, counts)].map(([memberId, assignment]) => ({
      memberId,
      assignment: writeAssignment(library, assignment),
    }))
  }

  async #findCoordinator(signal: AbortSignal): Promise<BrokerAddress> {
    if (this.#coordinator) return this.#coordinator
    const { group_id } = this.#settings
    const { coordinators } = await this.#cluster.call(undefined, 'FindCoordinator', [0, [group_id]], signal)
    const { host, port } = coordinators[0]!
    this.#coordinator = { host, port }
    return this.#coordinator
  }

  /** @throws the error if it is permanent, or the retries have ended */
  async #waitToRetry(error: unknown, budget: RetryBudget, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    if (!(error instanceof KafkaFailure) || !error.transient) throw error
    if (error.unanswered || coordinatorMoved.has(String(error.serviceCode))) this.#coordinator = undefined
    const wait = budget.retryAfter(error.after)
    if (wait === undefined) throw error
    this.#listener.retry(error, budget.attempts, wait)
    await pause(wait, signal)
  }
}

/** A promise that is settled from outside. */
function deferred<T>() {
  let resolve: (value: T) => void = () => {}
  let reject: (reason: unknown) => void = () => {}
  const promise = new Promise<T>((fulfil, refuse) => {
    resolve = fulfil
    reject = refuse
  })
  return { promise, resolve, reject }
}
