import type { Health } from '../../core/health.ts'
import { counted } from '../../core/quantities.ts'
import type { SourceFailure, SourceVerdict } from '../../core/verdict.ts'
import type { Ask, Page, Row, SourceObserver, SourceProtocol } from '../../source/protocol.ts'
import type { ClusterHolder, KafkaCluster } from './cluster.ts'
import type { BrokerAddress } from './connection-options.ts'
import type { DataLossEvent, KafkaOffset, KafkaSlice } from './events.ts'
import { caughtFailure, connectorName, failureOf, KafkaFailure } from './failure.ts'
import type { SourceValues } from './options.ts'
import { earliest, latest, leaderless, listOffsets } from './partitions.ts'
import type { PartitionNotes } from './planner.ts'
import { type FetchedPartition, RecordBatches, readFetchAnswer } from './records.ts'
import { MessageRows } from './rows.ts'

/** Kafka's number of the error, and of none. */
const [noError, offsetOutOfRange] = [0, 1]

/** First offset of the next page of a slice. */
interface NextPage {
  readonly from: number
}

/** Reads ranges of offsets: one fetch a page. */
export class KafkaSourceProtocol implements SourceProtocol<KafkaSlice, KafkaOffset> {
  readonly connector = connectorName
  readonly #values: SourceValues
  readonly #observer: SourceObserver
  readonly #notes: PartitionNotes
  readonly #cluster: ClusterHolder
  readonly #rows: MessageRows
  /** Whether a slice is still this process's to read. */
  readonly #confirm: ((slice: KafkaSlice, signal: AbortSignal) => Promise<boolean>) | undefined

  constructor(
    values: SourceValues,
    cluster: ClusterHolder,
    observer: SourceObserver,
    notes: PartitionNotes,
    onMalformed: () => void,
    confirm?: (slice: KafkaSlice, signal: AbortSignal) => Promise<boolean>,
  ) {
    this.#values = values
    this.#cluster = cluster
    this.#observer = observer
    this.#notes = notes
    this.#confirm = confirm
    this.#rows = new MessageRows(values, (event) => {
      onMalformed()
      observer.emit('malformed', event)
    })
  }

  private get cluster(): KafkaCluster {
    return this.#cluster.value
  }

  async ask({ slice, page }: Ask<KafkaSlice>, signal: AbortSignal): Promise<SourceVerdict<Page>> {
    const { topic, partition, start, end } = slice
    const from = (page as NextPage | undefined)?.from ?? start
    const nothing = { kind: 'accepted', value: { rows: [], bytes: 0 } } as const
    if (from >= end) return nothing
    try {
      if (this.#confirm && !(await this.#confirm(slice, signal))) return nothing
      this.#observer.request()
      const known = (await this.cluster.topics([topic], signal)).get(topic)!
      const leader = known.partitions[partition]?.leader
      if (!leader) throw leaderless(this.cluster, slice)
      const fetched = await this.#fetch(leader, known.id, topic, partition, from, signal)
      if (fetched.errorCode === offsetOutOfRange) return await this.#outOfRange(slice, from, signal)
      if (fetched.errorCode !== noError) throw await this.#answerError(fetched.errorCode, slice)
      return await this.#page(slice, from, fetched)
    } catch (error) {
      const failure = caughtFailure(error, signal)
      if (failure.isStale) this.cluster.forget(topic)
      return failureVerdict(failure)
    }
  }

  async health(signal: AbortSignal): Promise<SourceVerdict<Health>> {
    try {
      const names = this.#values.topics
      const topics = await this.cluster.topics(names, signal)
      const asked = [...topics.values()].flatMap(({ name, partitions }) =>
        [...partitions.keys()].map((partition) => ({ topic: name, partition, timestamp: latest })),
      )
      await listOffsets(this.cluster, asked, signal)
      const text = `${counted(asked.length, 'partition')} of ${names.join(', ')}`
      return { kind: 'accepted', value: { healthy: true, text } }
    } catch (error) {
      return failureVerdict(caughtFailure(error, signal))
    }
  }

  close(): void {
    this.#rows.close()
    this.#cluster.close()
  }

  #fetch(
    leader: BrokerAddress,
    id: string,
    topic: string,
    partition: number,
    from: number,
    signal: AbortSignal,
  ) {
    const { fetch_bytes } = this.#values
    const asked = {
      partition,
      currentLeaderEpoch: -1,
      fetchOffset: BigInt(from),
      lastFetchedEpoch: -1,
      partitionMaxBytes: fetch_bytes,
    }
    // No wait: the messages are there. 1: without those of open transactions.
    const asking = (topicId: string) =>
      [0, 1, fetch_bytes, 1, 0, -1, [{ topicId, partitions: [asked] }], [], ''] as const
    return this.cluster.exchange(
      leader,
      {
        name: 'Fetch',
        key: 1,
        compactFrom: 12,
        write: (version, usual) => usual(...asking(version >= 13 ? id : topic)),
        read: readFetchAnswer,
      },
      signal,
    )
  }

  async #page(slice: KafkaSlice, from: number, fetched: FetchedPartition): Promise<SourceVerdict<Page>> {
    const { topic, partition, end } = slice
    if (fetched.logStart > 0) this.#notes.noteStart(topic, partition, fetched.logStart)
    const batches = new RecordBatches(await this.cluster.client(), fetched)
    const next = batches.end
    if (next === undefined) return this.#nothing(slice, from, fetched)
    const bytes = fetched.records.length
    this.#notes.noteSize(next - from, bytes)
    const rows = this.#rowsOf(slice, from, batches)
    return {
      kind: 'accepted',
      value: { rows, bytes, ...(next < end && { next: { from: next } satisfies NextPage }) },
    }
  }

  async *#rowsOf(
    { topic, partition, end }: KafkaSlice,
    from: number,
    batches: RecordBatches,
  ): AsyncGenerator<Row[]> {
    for (const batch of batches.batches(from, end, this.#rows.needsHeaders)) {
      const newest = batch.messages.at(-1)
      if (newest) this.#notes.noteRead(topic, partition, newest.timestamp)
      yield await this.#rows.rows({ topic, partition }, batch)
    }
  }

  /** An answer without a message: the broker holds this client back, or there is nothing up to the end of the log. */
  #nothing(
    { topic, partition }: KafkaSlice,
    from: number,
    { throttle }: FetchedPartition,
  ): SourceVerdict<Page> {
    const where = `${topic}, partition ${partition}: the broker gave nothing from offset ${from} on`
    const text = throttle > 0 ? `${where}: it throttles this client for ${throttle} ms` : where
    const error = new KafkaFailure('ERR_QUERY', text, {
      transient: true,
      kafkaCode: throttle > 0 ? 'THROTTLED' : undefined,
    })
    return { kind: 'retry', error, ...(throttle > 0 && { after: throttle, holdAll: true }) }
  }

  /** The offset has expired, or the log was cut. */
  async #outOfRange(slice: KafkaSlice, from: number, signal: AbortSignal): Promise<SourceVerdict<Page>> {
    const { topic, partition } = slice
    const asked = { topic, partition, timestamp: earliest }
    const start = (await listOffsets(this.cluster, [asked], signal)).get(asked) ?? 0
    this.#notes.noteStart(topic, partition, start)
    if (start <= from) {
      // The leader has changed, and the new one has not caught up; or the messages are lost, which `lost` finds.
      throw new KafkaFailure('ERR_QUERY', `${topic}, partition ${partition}: offset ${from} is after the end of the log`, { transient: true, kafkaCode: 'OFFSET_OUT_OF_RANGE' }) // biome-ignore format: a line
    }
    reportLoss(this.#values, this.#observer, { topic, partition, offset: from, continuesAt: start })
    return { kind: 'wait', after: 0, page: { from: start } satisfies NextPage }
  }

  async #answerError(code: number, { topic, partition, start }: KafkaSlice): Promise<KafkaFailure> {
    const { ProtocolError } = await this.cluster.client()
    return failureOf(
      new ProtocolError(code),
      `fetch of ${topic}, partition ${partition} at ${start}`,
      this.cluster.redact,
    )
  }
}

/** Reports offsets that are gone. @throws KafkaFailure with `failOnDataLoss` */
export function reportLoss(
  { failOnDataLoss }: Pick<SourceValues, 'failOnDataLoss'>,
  observer: Pick<SourceObserver, 'emit'>,
  event: DataLossEvent,
): void {
  const { topic, partition, offset, continuesAt } = event
  if (failOnDataLoss) {
    const why =
      offset < continuesAt
        ? `offset ${offset} has expired, the first one that is left is ${continuesAt}`
        : `offset ${offset} is after the end of the log: the topic was cut or created again, and begins at ${continuesAt}`
    throw new KafkaFailure(
      'ERR_RESULT',
      `${topic}, partition ${partition}: ${why}. With failOnDataLoss: false the stream goes on there`,
      { loss: event },
    )
  }
  observer.emit('data_loss', event)
}

export function failureVerdict(error: KafkaFailure): SourceFailure {
  if (!error.transient) return { kind: 'fatal', error }
  return { kind: 'retry', error, after: error.after }
}
