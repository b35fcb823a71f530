import type { CheckpointSession, CheckpointStore } from '../../checkpoint/store.ts'
import type { Planner } from '../../source/planner.ts'
import { KafkaCluster } from './cluster.ts'
import type {
  DataLossEvent,
  KafkaOffset,
  KafkaSlice,
  LagEvent,
  OffsetsOption,
  RebalanceEvent,
} from './events.ts'
import type { KafkaFailure } from './failure.ts'
import { GroupMember } from './group-member.ts'
import { type Assignment, assignmentOf } from './group-messages.ts'
import type { SourceValues } from './options.ts'
import { type AskOffsets, kafkaSlice, type PartitionNotes, requireKafkaSlice, sliceSize } from './planner.ts'

export type GroupValues = SourceValues & {
  readonly group_id: string
  readonly session_timeout_seconds: number
  readonly startingOffsets: OffsetsOption
}

/** A partition that this process has, and how far it is. */
interface Owned {
  readonly topic: string
  readonly partition: number
  /** Which time it has it: slices of an earlier time are given up. */
  readonly owner: number
  /** Start of the next slice. */
  position: number
  /** As the group has it; undefined if it has none. */
  committed: number | undefined
}

export interface GroupHooks {
  lost(loss: DataLossEvent): void
  lag(lag: LagEvent): void
  rebalanced(event: RebalanceEvent): void
  retry(error: KafkaFailure, attempts: number, wait: number): void
}

/**
 * Plans ranges of offsets of the partitions that a consumer group has assigned to this process, and commits to the
 * group. A slice in flight whose partition is revoked is given up: its reading stops, and it is not committed.
 */
export class GroupPlanner implements Planner<KafkaSlice, KafkaOffset> {
  readonly #ask: AskOffsets
  readonly #values: GroupValues
  readonly #notes: PartitionNotes
  readonly #hooks: GroupHooks
  readonly #owned = new Map<string, Owned>()
  #times = 0
  #member: GroupMember | undefined
  #stop = new AbortController()

  constructor(ask: AskOffsets, values: GroupValues, notes: PartitionNotes, hooks: GroupHooks) {
    this.#ask = ask
    this.#values = values
    this.#notes = notes
    this.#hooks = hooks
  }

  async initialOffset(_earliest: unknown, signal: AbortSignal): Promise<KafkaOffset> {
    const { cluster } = await this.#ask('latest', signal)
    return { cluster, offsets: {} }
  }

  async latestOffset(signal: AbortSignal): Promise<KafkaOffset> {
    await this.#joined().place(signal)
    await this.#commitStarts()
    const latest = await this.#ask('latest', signal)
    // Of partitions that others have, it is not known how far they are.
    for (const lag of this.#notes.lags(latest.offsets))
      if (this.#owned.has(`${lag.topic}/${lag.partition}`)) this.#hooks.lag(lag)
    return latest
  }

  lag({ topic, partition }: KafkaSlice): number | undefined {
    return this.#notes.ageOf(topic, partition)
  }

  async *slices(_from: KafkaOffset, until: KafkaOffset): AsyncGenerator<KafkaSlice> {
    const { signal } = this.#stop
    for (let isLeft = true; isLeft; ) {
      isLeft = false
      // Copied: partitions come and go while slices are read.
      for (const part of [...this.#owned.values()]) {
        await this.#joined().place(signal)
        await this.#commitStarts()
        if (!this.#isCurrent(part)) continue
        const slice = this.#next(part, until.offsets[part.topic]?.[part.partition] ?? 0)
        if (!slice) continue
        isLeft = true
        yield slice
      }
    }
  }

  advance(offset: KafkaOffset, slice: KafkaSlice): KafkaOffset {
    // What was given up is not done.
    if (!this.#isCurrent(slice)) return offset
    const moving = offset.offsets as Record<string, Record<string, number>>
    moving[slice.topic] ??= {}
    moving[slice.topic]![slice.partition] = slice.end
    return offset
  }

  passed(_offset: KafkaOffset, id: string): boolean {
    return /@\d+$/.test(id)
  }

  check(slice: KafkaSlice): void {
    requireKafkaSlice(slice)
  }

  /** Commits to the group, if it has not moved the partitions. */
  async committed(offset: KafkaOffset): Promise<void> {
    for (;;) {
      const due = [...this.#owned.values()].flatMap((part) => {
        const at = offset.offsets[part.topic]?.[part.partition] ?? 0
        return at > (part.committed ?? -1) ? [{ part, at }] : []
      })
      if (due.length === 0 || (await this.#commit(due))) return
    }
  }

  /** @returns false if the group has been rebalanced */
  async #commit(due: readonly { readonly part: Owned; readonly at: number }[]): Promise<boolean> {
    const offsets = new Map<string, Map<number, number>>()
    for (const { part, at } of due)
      offsets.set(part.topic, (offsets.get(part.topic) ?? new Map()).set(part.partition, at))
    if (!(await this.#joined().commit(offsets, this.#stop.signal))) return false
    for (const { part, at } of due) {
      part.committed = Math.max(part.committed ?? at, at)
      this.#notes.noteCommitted(part.topic, part.partition, part.committed)
    }
    return true
  }

  /** Commits where new partitions start, so that "latest" does not move on before their first slice is done. */
  async #commitStarts(): Promise<void> {
    const due = [...this.#owned.values()].filter(({ committed }) => committed === undefined)
    if (due.length > 0) await this.#commit(due.map((part) => ({ part, at: part.position })))
  }

  /** Whether a slice is still to be read. Waits while the group shares its partitions. */
  async confirm(slice: KafkaSlice, signal: AbortSignal): Promise<boolean> {
    if (!this.#isCurrent(slice)) return false
    await this.#joined().place(signal)
    return this.#isCurrent(slice)
  }

  /** Leaves the group. */
  async close(): Promise<void> {
    const member = this.#member
    await member?.close()
    this.#stop.abort(new Error('closed'))
  }

  #joined(): GroupMember {
    // Connections of its own: a broker answers nothing else while it waits for all members to join.
    const wait = this.#values.session_timeout_seconds + this.#values.request_timeout
    this.#member ??= new GroupMember(
      new KafkaCluster({ ...this.#values, request_timeout: wait }),
      this.#values,
      {
        assigned: (assignment, isContinuous) => this.#assigned(assignment, isContinuous),
        lost: () => this.#owned.clear(),
        retry: (error, attempts, wait) => this.#hooks.retry(error, attempts, wait),
      },
    )
    return this.#member
  }

  #isCurrent({ topic, partition, owner }: Pick<KafkaSlice, 'topic' | 'partition' | 'owner'>): boolean {
    return this.#owned.get(`${topic}/${partition}`)?.owner === owner
  }

  #next(part: Owned, end: number): KafkaSlice | undefined {
    const { topic, partition, owner, position } = part
    const start = this.#notes.startOf(topic, partition)
    if (position >= end) return undefined
    const next = Math.min(end, Math.max(position, start) + sliceSize(this.#values, this.#notes))
    const slice = kafkaSlice(topic, partition, position, next, owner)
    part.position = next
    return slice
  }

  async #assigned(assignment: Assignment, isContinuous: boolean): Promise<void> {
    const { signal } = this.#stop
    const kept = new Map(this.#owned)
    this.#owned.clear()
    const added: { topic: string; partition: number }[] = []
    for (const { topic, partitions } of assignment) {
      for (const partition of partitions) {
        const before = isContinuous ? kept.get(`${topic}/${partition}`) : undefined
        if (before) this.#owned.set(`${topic}/${partition}`, before)
        else added.push({ topic, partition })
      }
    }
    if (added.length > 0) await this.#start(added, signal)
    this.#hooks.rebalanced({
      group: this.#values.group_id,
      partitions: Object.fromEntries(assignment.map(({ topic, partitions }) => [topic, partitions])),
    })
  }

  /** Finds where new partitions are to be read from. */
  async #start(added: readonly { topic: string; partition: number }[], signal: AbortSignal): Promise<void> {
    const asked = assignmentOf(added)
    const committed = await this.#member!.committed(asked, signal)
    const isKnown = added.every(({ topic, partition }) => committed.has(`${topic}/${partition}`))
    const first = isKnown ? undefined : await this.#ask(this.#values.startingOffsets, signal)
    const { offsets: ends } = await this.#ask('latest', signal)
    for (const { topic, partition } of added) {
      const found = committed.get(`${topic}/${partition}`)
      let position = found ?? first?.offsets[topic]?.[partition] ?? 0
      if (position > (ends[topic]?.[partition] ?? 0)) {
        const continuesAt = this.#notes.startOf(topic, partition)
        this.#hooks.lost({ topic, partition, offset: position, continuesAt })
        position = continuesAt
      }
      if (found !== undefined) this.#notes.noteCommitted(topic, partition, found)
      const owner = ++this.#times
      this.#owned.set(`${topic}/${partition}`, { topic, partition, owner, position, committed: found })
    }
  }
}

/** Offsets of a consumer group are kept by Kafka: what a stream notes of slices in flight need not outlive it. */
export class MemoryCheckpoint implements CheckpointStore {
  readonly #group: string
  #text: string | undefined

  constructor(group: string) {
    this.#group = group
  }

  async open(): Promise<CheckpointSession> {
    return {
      text: this.#text,
      location: `the consumer group ${this.#group}`,
      write: async (text) => {
        this.#text = text
      },
      append: async (text) => {
        this.#text += text
      },
      lost: new AbortController().signal,
      async [Symbol.asyncDispose]() {},
    }
  }
}
