import { CheckpointError } from '../../core/errors.ts'
import type { Slice } from '../../core/slice.ts'
import type { Planner } from '../../source/planner.ts'
import type { DataLossEvent, KafkaOffset, KafkaSlice, LagEvent, Offsets, OffsetsOption } from './events.ts'
import { connectorName } from './failure.ts'
import { partitionsIn } from './partitions.ts'

/** Maximum characters of offsets in advice: cut ones could not be used. */
const longestAdvice = 500

export function kafkaSlice(
  topic: string,
  partition: number,
  start: number,
  end: number,
  owner?: number,
): KafkaSlice {
  const id = `${topic}/${partition}/${start}-${end}`
  const range = { topic, partition, start, end }
  return owner === undefined ? { id, ...range } : { id: `${id}@${owner}`, ...range, owner }
}

/** How many messages a slice has at most. */
export function sliceSize(
  { maxOffsetsPerTrigger, maxBytesPerTrigger }: PlannerSettings,
  notes: PartitionNotes,
): number {
  const byBytes = Math.floor(maxBytesPerTrigger / notes.messageBytes)
  return Math.max(1, Math.min(maxOffsetsPerTrigger, byBytes))
}

/** What the stream and its requests know of a partition. */
export class PartitionNotes {
  readonly #starts = new Map<string, number>()
  readonly #committed = new Map<string, number>()
  readonly #times = new Map<string, number>()
  #messages = 0
  #bytes = 0

  /** Bytes of a message, on average so far. */
  get messageBytes(): number {
    return this.#messages === 0 ? 1000 : this.#bytes / this.#messages
  }

  noteSize(messages: number, bytes: number): void {
    // Recent ones count more.
    if (this.#messages > 100_000) {
      this.#messages /= 2
      this.#bytes /= 2
    }
    this.#messages += messages
    this.#bytes += bytes
  }

  /** @param time that of the newest message of a page, in milliseconds since 1970 */
  noteRead(topic: string, partition: number, time: number): void {
    this.#times.set(`${topic}/${partition}`, time)
  }

  noteCommitted(topic: string, partition: number, offset: number): void {
    this.#committed.set(`${topic}/${partition}`, offset)
  }

  /** Milliseconds from the newest message that was read to now; undefined if none was. */
  ageOf(topic: string, partition: number): number | undefined {
    const time = this.#times.get(`${topic}/${partition}`)
    return time === undefined ? undefined : Math.max(0, Date.now() - time)
  }

  /** Lag of the partitions that have a commit. */
  *lags(ends: Offsets): Generator<LagEvent> {
    for (const [topic, partition, end] of partitionsIn(ends)) {
      const committed = this.#committed.get(`${topic}/${partition}`)
      if (committed === undefined) continue
      const messages = Math.max(0, end - committed)
      const seconds = messages === 0 ? 0 : (this.ageOf(topic, partition) ?? 0) / 1000
      yield { topic, partition, messages, seconds }
    }
  }

  noteStart(topic: string, partition: number, start: number): void {
    this.#starts.set(`${topic}/${partition}`, start)
  }

  /** The first offset that the log of a partition is known to have. */
  startOf(topic: string, partition: number): number {
    return this.#starts.get(`${topic}/${partition}`) ?? 0
  }
}

export type AskOffsets = (wanted: OffsetsOption, signal: AbortSignal) => Promise<KafkaOffset>

export interface PlannerSettings {
  readonly startingOffsets: OffsetsOption
  readonly maxOffsetsPerTrigger: number
  readonly maxBytesPerTrigger: number
}

/** Plans ranges of offsets. Partitions take turns, so that none waits until another is read to its end. */
export class OffsetPlanner implements Planner<KafkaSlice, KafkaOffset> {
  readonly #ask: AskOffsets
  readonly #settings: PlannerSettings
  readonly #notes: PartitionNotes
  readonly #lost: (loss: DataLossEvent) => void
  readonly #report: (lag: LagEvent) => void

  /**
   * @param ask asks the cluster for offsets, with retries
   * @param lost is called if a partition is shorter than it was. It throws unless the stream is to go on
   */
  constructor(
    ask: AskOffsets,
    settings: PlannerSettings,
    notes: PartitionNotes,
    lost: (loss: DataLossEvent) => void,
    report: (lag: LagEvent) => void = () => {},
  ) {
    this.#ask = ask
    this.#settings = settings
    this.#notes = notes
    this.#lost = lost
    this.#report = report
  }

  async initialOffset(_earliest: unknown, signal: AbortSignal): Promise<KafkaOffset> {
    return this.#ask(this.#settings.startingOffsets, signal)
  }

  async latestOffset(signal: AbortSignal): Promise<KafkaOffset> {
    const latest = await this.#ask('latest', signal)
    for (const lag of this.#notes.lags(latest.offsets)) this.#report(lag)
    return latest
  }

  async committed({ offsets }: KafkaOffset): Promise<void> {
    for (const [topic, partition, offset] of partitionsIn(offsets))
      this.#notes.noteCommitted(topic, partition, offset)
  }

  lag({ topic, partition }: KafkaSlice): number | undefined {
    return this.#notes.ageOf(topic, partition)
  }

  *slices(from: KafkaOffset, until: KafkaOffset): Generator<KafkaSlice> {
    if (from.cluster !== until.cluster) {
      throw new CheckpointError(
        'ERR_CHECKPOINT',
        `${connectorName}: the offsets are of the cluster ${from.cluster}, and this one is ${until.cluster}: give each cluster a checkpoint of its own`,
        { connector: connectorName },
      )
    }
    const left = [...partitionsIn(until.offsets)].map(([topic, partition, end]) => {
      // A partition that is new is read from its start.
      const at = from.offsets[topic]?.[partition] ?? this.#notes.startOf(topic, partition)
      return { topic, partition, at, end }
    })
    while (left.length > 0) {
      for (const part of left) {
        const { topic, partition, at, end } = part
        if (at > end) {
          const continuesAt = this.#notes.startOf(topic, partition)
          this.#lost({ topic, partition, offset: at, continuesAt })
          part.at = continuesAt
        }
        if (part.at >= end) continue
        const next = Math.min(
          end,
          Math.max(part.at, this.#notes.startOf(topic, partition)) + sliceSize(this.#settings, this.#notes),
        )
        yield kafkaSlice(topic, partition, part.at, next)
        part.at = next
      }
      for (let index = left.length - 1; index >= 0; index--)
        if (left[index]!.at >= left[index]!.end) left.splice(index, 1)
    }
  }

  restart(offset?: KafkaOffset): string {
    const text = offset && JSON.stringify(offset.offsets)
    return text !== undefined && text.length <= longestAdvice
      ? `to go on from there, give startingOffsets as ${text}`
      : 'give startingOffsets the offsets that follow the last messages that arrived'
  }

  advance(offset: KafkaOffset, { topic, partition, end }: KafkaSlice): KafkaOffset {
    const moving = offset.offsets as Record<string, Record<string, number>>
    moving[topic] ??= {}
    moving[topic][partition] = end
    return offset
  }

  passed(offset: KafkaOffset, id: string): boolean {
    const [, topic = '', partition = '', , end] = /^(.*)\/(\d+)\/(\d+)-(\d+)(?:@\d+)?$/.exec(id) ?? []
    const at = offset.offsets[topic]?.[partition]
    return at !== undefined && end !== undefined && Number(end) <= at
  }

  check(slice: KafkaSlice): void {
    requireKafkaSlice(slice)
  }
}

/** @throws CheckpointError if it is no range of offsets */
export function requireKafkaSlice(slice: Slice): asserts slice is KafkaSlice {
  const { topic, partition, start, end } = slice as Partial<KafkaSlice>
  const numbers = [partition, start, end].every((value) => Number.isSafeInteger(value) && value! >= 0)
  if (typeof topic === 'string' && numbers && start! <= end!) return
  throw new CheckpointError('ERR_CHECKPOINT', `${slice.id} is no range of offsets of Kafka`, {
    connector: connectorName,
  })
}
