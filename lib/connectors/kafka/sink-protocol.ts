import type * as client from '@platformatic/kafka'
import { DeliveryError } from '../../core/errors.ts'
import type { Health } from '../../core/health.ts'
import type { JsonText } from '../../core/json.ts'
import { untilAborted } from '../../core/on-abort.ts'
import { counted } from '../../core/quantities.ts'
import type { Reason, SinkVerdict } from '../../core/verdict.ts'
import { withDeadline } from '../../http/deadline.ts'
import type { Attempt, Body, EncodedRow, SinkProtocol } from '../../sink/protocol.ts'
import type { ProduceResponse } from './apis.ts'
import { clusterFor, type KafkaCluster } from './cluster.ts'
import type { BrokerAddress } from './connection-options.ts'
import { bytesOf, type Coded, encodeMessage, none, readMessages } from './encoded-messages.ts'
import { caughtFailure, connectorName, failureOf, KafkaFailure } from './failure.ts'
import type { SinkValues } from './options.ts'
import { byLeader, leaderless } from './partitions.ts'
import { type NewMessage, type PartitionBatch, produceRequest, recordBatch } from './produce-request.ts'

/** Answers that say: this batch is in already, or what the broker knows of this producer is gone. */
const alreadyThere = 'DUPLICATE_SEQUENCE_NUMBER'
const forgotten = new Set(['INVALID_PRODUCER_EPOCH', 'INVALID_PRODUCER_ID_MAPPING', 'OUT_OF_ORDER_SEQUENCE_NUMBER', 'PRODUCER_FENCED', 'UNKNOWN_PRODUCER_ID']) // biome-ignore format: a list
const unknownTopic = 'UNKNOWN_TOPIC_OR_PARTITION'
const tooLarge = new Set(['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE'])

/** Part of the timeout after which a broker gives up, so that its answer arrives in time. */
const answerTime = 0.8

/** A producer's id, and the number of the next batch of each partition. */
interface Session {
  readonly producerId: bigint
  readonly producerEpoch: number
  readonly sequences: Map<string, number>
}

/** Rows of one body that go to one partition. */
interface Part {
  readonly topic: string
  readonly partition: number
  readonly messages: NewMessage[]
  /** As it was sent: the same bytes with the same number, which the broker takes once. */
  sent: { readonly session: Session; readonly batch: Buffer } | undefined
  /** It may be in, but no answer said so. */
  inDoubt: boolean
  failure: KafkaFailure | undefined
  isDone: boolean
}

/** A body in flight, over all attempts at it. */
interface Flight {
  readonly parts: readonly Part[]
  /** Lets the next batches of its partitions go. */
  release(): void
}

interface PartitionAnswer {
  readonly code: number
  readonly text: string | null
}

interface ProduceAnswer {
  readonly throttle: number
  readonly codes: ReadonlyMap<string, PartitionAnswer>
}

/**
 * Produces rows, acknowledged by all replicas in sync. Batches are numbered, so that the broker takes one that is sent
 * again only once. One batch at a time is in flight to a partition: the order of rows with the same key is kept.
 *
 * Rows of a partition are a group of their own, so that a body is one record batch and one answer says what became of it.
 * Only rows of a topic that came into being after the sink was opened share a body by their topic.
 */
export class KafkaSinkProtocol implements SinkProtocol {
  readonly connector = connectorName
  readonly framing = { open: '', separator: '\n', close: '' }
  readonly #values: SinkValues
  readonly #cluster: { readonly value: KafkaCluster; close(): void }
  readonly #flights = new Map<Body, Flight>()
  /** What the next batch for a partition has to wait for. */
  readonly #lanes = new Map<string, Promise<void>>()
  readonly #turns = new Map<string, number>()
  readonly #ended = new AbortController()
  #partitions: ReadonlyMap<string, number> = new Map()
  #library: typeof client | undefined
  #session: Promise<Session> | undefined
  /** The one that {@link #session} gave. */
  #opened: Session | undefined

  constructor(values: SinkValues) {
    this.#values = values
    this.#cluster = clusterFor(values)
  }

  private get cluster(): KafkaCluster {
    return this.#cluster.value
  }

  /** By the topic's metadata: the broker, the sign-in and the topic are there. No row is sent. */
  async health(timeout: number): Promise<Health> {
    const { topic } = this.#values
    try {
      const verdict = await withDeadline(timeout, this.#ended.signal, (signal) =>
        this.prepare({ signal, timeout }),
      )
      if (verdict.kind !== 'accepted') {
        const text = 'error' in verdict ? verdict.error.message : verdict.reason.text
        return { healthy: false, text }
      }
      const text =
        topic === undefined
          ? counted(this.#partitions.size, 'topic')
          : `${counted(this.#partitions.get(topic) ?? 0, 'partition')} of ${topic}`
      return { healthy: true, text }
    } catch (error) {
      return { healthy: false, text: (error as Error).message }
    }
  }

  /** Learns how many partitions there are. */
  async prepare({ signal }: Attempt): Promise<SinkVerdict> {
    const { topic } = this.#values
    try {
      this.#library = await this.cluster.client()
      const topics =
        topic === undefined
          ? await this.cluster.allTopics(signal)
          : await this.cluster.topics([topic], signal)
      this.#partitions = new Map([...topics].map(([name, { partitions }]) => [name, partitions.length]))
      return { kind: 'accepted', value: { text: 'ready' } }
    } catch (error) {
      const failure = caughtFailure(error, signal)
      const verdict = this.#failed(undefined, failure)
      return verdict.kind === 'retry' ? verdict : { kind: 'fatal', error: this.#fatal(failure) }
    }
  }

  /** A row as a line about it, its key and its value. */
  encode(row: Record<string, unknown> | JsonText, at: number): EncodedRow {
    const { topic, key, wire } = encodeMessage(row, this.#values, at)
    const count = this.#partitions.get(topic)
    return { wire, group: count === undefined ? topic : `${topic}/${this.#partitionOf(topic, count, key)}` }
  }

  encodeText(row: JsonText, at: number): EncodedRow {
    return this.encode(row, at)
  }

  async send(body: Body, { signal, timeout }: Attempt): Promise<SinkVerdict> {
    let flight = this.#flights.get(body)
    try {
      if (!flight) {
        flight = await this.#takeOff(await this.#parts(body, signal), signal)
        this.#flights.set(body, flight)
      }
      const throttle = await this.#attempt(flight.parts, timeout * answerTime, signal)
      return this.#verdict(body, flight, throttle)
    } catch (error) {
      return this.#failed(flight && { body, flight }, caughtFailure(error, signal))
    }
  }

  close(): void {
    this.#ended.abort()
    this.#cluster.close()
  }

  /** By the key, as all clients of Kafka do it, so that equal keys meet, whichever client produces them. */
  #partitionOf(topic: string, count: number, key: Coded): number {
    if (key.kind !== 'n') return (this.#library!.murmur2(bytesOf(key)) & 0x7fffffff) % count
    // Rows without a key fill a batch for one partition, then one for the next.
    const turn = this.#turns.get(topic) ?? 0
    this.#turns.set(topic, turn + 1)
    const { batch_size } = this.#values
    return Math.floor(turn / (batch_size === 'auto' ? 500 : batch_size)) % count
  }

  /** The rows of a body by partition. @throws KafkaFailure if the topic is not there */
  async #parts({ bytes, group = '' }: Body, signal: AbortSignal): Promise<Part[]> {
    const [, topic = group, partition] = /^(.*)\/(\d+)$/.exec(group) ?? []
    const messages = readMessages(bytes)
    if (partition !== undefined) return [partOf(topic, Number(partition), messages)]
    const count = (await this.cluster.topics([topic], signal)).get(topic)!.partitions.length
    const parts = new Map<number, Part>()
    const turn = this.#partitionOf(topic, count, none)
    for (const message of messages) {
      const at = message.key ? (this.#library!.murmur2(message.key) & 0x7fffffff) % count : turn
      const part = parts.get(at) ?? partOf(topic, at, [])
      part.messages.push(message)
      parts.set(at, part)
    }
    return [...parts.values()]
  }

  /** Waits until the batches before are done with their partitions. */
  async #takeOff(parts: readonly Part[], signal: AbortSignal): Promise<Flight> {
    const before = parts.map((part) => this.#lanes.get(laneOf(part)))
    let release = () => {}
    const done = new Promise<void>((resolve) => {
      release = resolve
    })
    for (const part of parts) this.#lanes.set(laneOf(part), done)
    await untilAborted(Promise.all(before), signal)
    return { parts, release }
  }

  /** Sends what is not acknowledged. @returns milliseconds that brokers ask to wait */
  async #attempt(parts: readonly Part[], timeout: number, signal: AbortSignal): Promise<number> {
    const left = parts.filter(({ isDone }) => !isDone)
    if (left.length === 0) return 0
    const groups = await byLeader(this.cluster, left, signal)
    const session = await this.#openSession(signal)
    const throttles = Array.from(groups, ([leader, own]) => {
      if (leader) return this.#produce(leader, own, session, timeout, signal)
      for (const part of own) part.failure = leaderless(this.cluster, part)
      return 0
    })
    return Math.max(0, ...(await Promise.all(throttles)))
  }

  async #produce(
    leader: BrokerAddress,
    parts: readonly Part[],
    session: Session,
    timeout: number,
    signal: AbortSignal,
  ): Promise<number> {
    try {
      const library = await this.cluster.client()
      const batches: PartitionBatch[] = []
      for (const part of parts) {
        part.failure = undefined
        // In doubt, it has to go with the number that it had.
        if (part.sent?.session !== session) {
          const sequence = session.sequences.get(laneOf(part)) ?? 0
          const { producerId, producerEpoch } = session
          const number = { producerId, producerEpoch, sequence }
          part.sent = {
            session,
            batch: await recordBatch(library, part.messages, number, this.#values.compression),
          }
        }
        batches.push({ topic: part.topic, partition: part.partition, batch: part.sent.batch })
      }
      for (const part of parts) part.inDoubt = true
      const answer = await this.cluster.exchange(leader, produceExchange(library, timeout, batches), signal)
      for (const part of parts) this.#settle(library, part, answer.codes.get(laneOf(part)))
      return answer.throttle
    } catch (error) {
      const failure = caughtFailure(error, signal)
      for (const part of parts) {
        part.failure = failure
        if (failure.isStale) this.cluster.forget(part.topic)
      }
      return 0
    }
  }

  /** Notes what the broker said of one partition's batch. */
  #settle(library: typeof client, part: Part, answer: PartitionAnswer | undefined): void {
    const { topic, partition, sent } = part
    const what = `${topic}, partition ${partition}`
    if (answer?.code === 0) {
      this.#done(part)
      return
    }
    const error = answer
      ? failureOf(new library.ProtocolError(answer.code, answer.text), what, this.cluster.redact)
      : new KafkaFailure('ERR_DELIVERY', `${what}: the broker did not answer for it`, { transient: true, unanswered: true }) // biome-ignore format: a line
    const code = String(error.serviceCode)
    if (code === alreadyThere) {
      this.#done(part)
      return
    }
    part.failure = error
    part.inDoubt = error.unanswered
    if (error.isStale) this.cluster.forget(topic)
    // The broker knows no batch of a new producer: one in doubt may come twice.
    if (forgotten.has(code)) this.#forgetSession(sent?.session)
  }

  #done(part: Part): void {
    const { session } = part.sent!
    const sequence = (session.sequences.get(laneOf(part)) ?? 0) + part.messages.length
    // Numbers start again after the largest one.
    session.sequences.set(laneOf(part), sequence % 2 ** 31)
    part.isDone = true
    part.inDoubt = false
    part.failure = undefined
  }

  #verdict(body: Body, flight: Flight, throttle: number): SinkVerdict {
    const failures = flight.parts.flatMap(({ failure }) => (failure ? [failure] : []))
    if (failures.length === 0) {
      this.#land(body, flight)
      const text = throttle > 0 ? `throttled for ${throttle} ms` : 'acknowledged'
      return { kind: 'accepted', value: { text }, slowDown: throttle > 0 }
    }
    const worst =
      failures.find(({ code }) => code === 'ERR_AUTH') ??
      failures.find(({ serviceCode }) => tooLarge.has(String(serviceCode))) ??
      failures.find(({ transient, serviceCode }) => !transient && !forgotten.has(String(serviceCode))) ??
      failures[0]!
    return this.#failed({ body, flight }, worst)
  }

  #failed(
    flown: { readonly body: Body; readonly flight: Flight } | undefined,
    error: KafkaFailure,
  ): SinkVerdict {
    const { serviceCode, serviceText = '', code, transient, after, cause } = error
    const reason: Reason = { code: serviceCode, text: serviceText }
    if (transient) {
      return {
        kind: 'retry',
        reason,
        cause: cause as Error,
        after,
        ...(code === 'ERR_AUTH' && { holdAll: true }),
      }
    }
    if (flown) this.#land(flown.body, flown.flight)
    if (code === 'ERR_AUTH') return { kind: 'fatal', error }
    if (tooLarge.has(String(serviceCode))) return { kind: 'split', reason }
    const isWholeTopic = serviceCode === unknownTopic && this.#values.topic_column === undefined
    const isOfRows = code === 'ERR_QUERY' && serviceCode !== undefined && !isWholeTopic
    return isOfRows
      ? { kind: 'refused', reason, aboutRow: true }
      : { kind: 'fatal', error: this.#fatal(error) }
  }

  #fatal({ message, code, serviceCode, serviceText, cause }: KafkaFailure): DeliveryError {
    const details = { connector: connectorName, serviceCode, serviceText, cause }
    return new DeliveryError(code === 'ERR_AUTH' ? code : 'ERR_DELIVERY', message, details)
  }

  /** Lets others have the partitions. A part that is in doubt will not be sent with its number again: the numbers end. */
  #land(body: Body, flight: Flight): void {
    for (const { inDoubt, sent } of flight.parts) if (inDoubt) this.#forgetSession(sent?.session)
    this.#flights.delete(body)
    flight.release()
  }

  async #openSession(signal: AbortSignal): Promise<Session> {
    this.#session ??= this.cluster
      .call(undefined, 'InitProducerId', [null, 0, -1n, -1], signal)
      .then(({ producerId, producerEpoch }) => ({ producerId, producerEpoch, sequences: new Map() }))
    const opening = this.#session
    try {
      const session = await opening
      this.#opened = session
      return session
    } catch (error) {
      if (this.#session === opening) this.#session = undefined
      throw error
    }
  }

  #forgetSession(session: Session | undefined): void {
    if (session !== undefined && session === this.#opened) this.#session = undefined
  }
}

function laneOf({ topic, partition }: Pick<Part, 'topic' | 'partition'>): string {
  return `${topic}/${partition}`
}

function produceExchange(library: typeof client, timeout: number, batches: readonly PartitionBatch[]) {
  return {
    name: 'Produce' as const,
    key: 0,
    compactFrom: 9,
    write: (version: number) => produceRequest(library, version, timeout, batches),
    read: (_reader: client.Reader, _version: number, usual: () => unknown) => produceAnswer(usual),
  }
}

function produceAnswer(usual: () => unknown): ProduceAnswer {
  let answer: ProduceResponse
  try {
    answer = usual() as ProduceResponse
  } catch (error) {
    // An error for one partition is thrown with the whole answer.
    const { response } = error as { response?: ProduceResponse }
    if (!response) throw error
    answer = response
  }
  const codes = new Map<string, PartitionAnswer>()
  for (const { name, partitionResponses } of answer.responses) {
    for (const { index, errorCode, errorMessage, recordErrors } of partitionResponses) {
      const detail = recordErrors?.[0]?.batchIndexErrorMessage ?? errorMessage ?? null
      codes.set(`${name}/${index}`, { code: errorCode, text: detail })
    }
  }
  return { throttle: answer.throttleTimeMs, codes }
}

function partOf(topic: string, partition: number, messages: NewMessage[]): Part {
  return { topic, partition, messages, sent: undefined, inDoubt: false, failure: undefined, isDone: false }
}
