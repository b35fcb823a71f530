import type * as client from '@platformatic/kafka'
import { DeliveryError, RefusedRow } from '../../core/errors.ts'
import { describe, isBytes, serialize } from '../../core/json.ts'
import { untilAborted } from '../../core/on-abort.ts'
import type { Reason, SinkVerdict } from '../../core/verdict.ts'
import type { Attempt, EncodedRow, Entry, SinkProtocol } from '../../sink/protocol.ts'
import {
  type BrokerAddress,
  clusterFor,
  type KafkaCluster,
  type ProduceResponse,
  type Topic,
} from './cluster.ts'
import { connectorName, failureOf, KafkaFailure } from './failure.ts'
import type { SinkValues } from './options.ts'
import { leaderless } from './planner.ts'
import { type NewMessage, type PartitionBatch, produceRequest, recordBatch } from './produce-request.ts'

/** Answers that say: this batch is in already, or what the broker knows of this producer is gone. */
const alreadyThere = 'DUPLICATE_SEQUENCE_NUMBER'
const forgotten = new Set(['INVALID_PRODUCER_EPOCH', 'INVALID_PRODUCER_ID_MAPPING', 'OUT_OF_ORDER_SEQUENCE_NUMBER', 'PRODUCER_FENCED', 'UNKNOWN_PRODUCER_ID']) // biome-ignore format: a list
const tooLarge = new Set(['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE'])

/** Milliseconds by which a broker gives up earlier than we do, so that its answer is heard. */
const answerTime = 0.8

/** A producer's id, and the number of the next batch of each partition. */
interface Session {
  readonly producerId: bigint
  readonly producerEpoch: number
  readonly sequences: Map<string, number>
}

/** Rows of one batch that go to one partition. */
interface Part {
  readonly topic: string
  readonly partition: number
  readonly entries: readonly Entry[]
  readonly messages: readonly NewMessage[]
  /** As it was sent: the same bytes with the same number, which the broker takes once. */
  sent: { readonly session: Session; readonly batch: Buffer } | undefined
  /** It may be in, but no answer said so. */
  inDoubt: boolean
  failure: KafkaFailure | undefined
  isDone: boolean
}

/** A batch under way, over all attempts at it. */
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
 * again only once. One batch at a time is under way to a partition: the order of rows with the same key is kept.
 */
export class KafkaSinkProtocol implements SinkProtocol {
  readonly connector = connectorName
  readonly framing = { around: 61, between: 16 }
  readonly #values: SinkValues
  readonly #cluster: { readonly value: KafkaCluster; close(): void }
  /** Rows that are in, of batches of which not all is. */
  readonly #acknowledged = new WeakSet<Entry>()
  readonly #flights = new Map<string, Flight>()
  /** What the next batch for a partition has to wait for. */
  readonly #lanes = new Map<string, Promise<void>>()
  #session: Promise<Session> | undefined
  /** The one that {@link #session} gave. */
  #opened: Session | undefined
  #turn = 0

  constructor(values: SinkValues) {
    this.#values = values
    this.#cluster = clusterFor(values)
  }

  private get cluster(): KafkaCluster {
    return this.#cluster.value
  }

  /** A row as text: topic, time, length of the key, key, value. */
  encode(row: Record<string, unknown>, at: number): EncodedRow {
    const { topic_column, key_column, timestamp_column } = this.#values
    const topic = topic_column === undefined ? '' : topicOf(row, topic_column)
    const timestamp = timestamp_column === undefined ? at : timeOf(row, timestamp_column)
    const key = key_column === undefined ? undefined : keyOf(row, key_column)
    return { wire: `${topic}\n${timestamp}\n${key?.length ?? -1}\n${key ?? ''}${this.#valueOf(row)}` }
  }

  async send(entries: readonly Entry[], { signal, timeout, key }: Attempt): Promise<SinkVerdict> {
    let flight = this.#flights.get(key)
    try {
      if (!flight) {
        const parts = await this.#parts(
          entries.filter((entry) => !this.#acknowledged.has(entry)),
          signal,
        )
        flight = await this.#takeOff(parts, signal)
        this.#flights.set(key, flight)
      }
      const throttle = await this.#attempt(flight.parts, timeout * answerTime, signal)
      return this.#verdict(key, flight, throttle)
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof KafkaFailure)) throw error
      return this.#failed(key, flight, error)
    }
  }

  close(): void {
    this.#cluster.close()
  }

  #valueOf(row: Record<string, unknown>): string {
    const { format, value_column } = this.#values
    if (format === 'json') return `j${serialize(row)}`
    const value = Object.hasOwn(row, value_column) ? row[value_column] : undefined
    if (value === null) return 'n'
    if (typeof value === 'string') return `j${value}`
    if (isBytes(value)) return `b${Buffer.from(value).toString('base64')}`
    throw new RefusedRow(`${value_column}: expected a string or bytes, got ${describe(value)}`)
  }

  /** Sorts rows by partition. @throws KafkaFailure if a topic is not there */
  async #parts(entries: readonly Entry[], signal: AbortSignal): Promise<Part[]> {
    const { murmur2 } = await this.cluster.client()
    const read = entries.map((entry) => readWire(entry))
    const names = [...new Set(read.map(({ topic }) => topic || this.#values.topic!))]
    const topics = await this.cluster.topics(names, signal)
    const parts = new Map<string, Part & { entries: Entry[]; messages: NewMessage[] }>()
    // Rows without a key share a partition, the next batch goes to the next one.
    const turn = this.#turn++
    for (const [index, { topic: name, message }] of read.entries()) {
      const topic = topics.get(name || this.#values.topic!)!
      const count = topic.partitions.length
      // As all clients of Kafka do, so that equal keys meet whoever produces them.
      const partition = message.key ? (murmur2(message.key) & 0x7fffffff) % count : turn % count
      const id = `${topic.name}/${partition}`
      let part = parts.get(id)
      if (!part) {
        part = { topic: topic.name, partition, entries: [], messages: [], sent: undefined, inDoubt: false, failure: undefined, isDone: false } // biome-ignore format: a line
        parts.set(id, part)
      }
      part.entries.push(entries[index]!)
      part.messages.push(message)
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
    const topics = await this.cluster.topics([...new Set(left.map(({ topic }) => topic))], signal)
    const session = await this.#openSession(signal)
    const byLeader = new Map<string, { readonly leader: BrokerAddress; readonly parts: Part[] }>()
    for (const part of left) {
      const leader = leaderOf(topics, part)
      if (!leader) {
        part.failure = leaderless(this.cluster, part.topic, part.partition)
        continue
      }
      const name = `${leader.host}:${leader.port}`
      const group = byLeader.get(name) ?? { leader, parts: [] }
      group.parts.push(part)
      byLeader.set(name, group)
    }
    const throttles = await Promise.all(
      [...byLeader.values()].map(({ leader, parts: own }) =>
        this.#produce(leader, own, session, timeout, signal),
      ),
    )
    return Math.max(0, ...throttles)
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
      signal.throwIfAborted()
      if (!(error instanceof KafkaFailure)) throw error
      for (const part of parts) {
        part.failure = error
        if (error.isStale) this.cluster.forget(part.topic)
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
    // A new producer has no past. What was in doubt may come twice then.
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
    for (const entry of part.entries) this.#acknowledged.add(entry)
  }

  #verdict(key: string, flight: Flight, throttle: number): SinkVerdict {
    const failures = flight.parts.flatMap(({ failure }) => (failure ? [failure] : []))
    if (failures.length === 0) {
      this.#land(key, flight)
      const text = throttle > 0 ? `throttled for ${throttle} ms` : 'acknowledged'
      return { kind: 'accepted', value: { text }, slowDown: throttle > 0 }
    }
    const worst =
      failures.find(({ code }) => code === 'ERR_AUTH') ??
      failures.find(({ serviceCode }) => tooLarge.has(String(serviceCode))) ??
      failures.find(({ transient, serviceCode }) => !transient && !forgotten.has(String(serviceCode))) ??
      failures[0]!
    return this.#failed(key, flight, worst)
  }

  #failed(key: string, flight: Flight | undefined, error: KafkaFailure): SinkVerdict {
    const { serviceCode, serviceText = '', code, transient, after, cause } = error
    const reason: Reason = { code: serviceCode, text: serviceText }
    if (code === 'ERR_AUTH' && !transient) return { kind: 'fatal', error }
    if (transient)
      return {
        kind: 'retry',
        reason,
        cause: cause as Error,
        after,
        ...(code === 'ERR_AUTH' && { holdAll: true }),
      }
    if (flight) this.#land(key, flight)
    if (tooLarge.has(String(serviceCode))) return { kind: 'split', reason }
    const isWholeTopic =
      serviceCode === 'UNKNOWN_TOPIC_OR_PARTITION' && this.#values.topic_column === undefined
    if (isWholeTopic || serviceCode === undefined || code === 'ERR_DELIVERY') {
      const { message, cause: reasonWhy } = error
      return { kind: 'fatal', error: new DeliveryError('ERR_DELIVERY', message, { connector: connectorName, serviceCode, serviceText, cause: reasonWhy }) } // biome-ignore format: a line
    }
    return { kind: 'refused', reason }
  }

  /** Lets others have the partitions. A part that is in doubt will not be sent with its number again: the numbers end. */
  #land(key: string, flight: Flight): void {
    for (const { inDoubt, sent } of flight.parts) if (inDoubt) this.#forgetSession(sent?.session)
    this.#flights.delete(key)
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

function leaderOf(topics: ReadonlyMap<string, Topic>, { topic, partition }: Part): BrokerAddress | undefined {
  return topics.get(topic)?.partitions[partition]?.leader
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

function topicOf(row: Record<string, unknown>, column: string): string {
  const value = Object.hasOwn(row, column) ? row[column] : undefined
  if (typeof value === 'string' && /^[\w.-]{1,249}$/.test(value)) return value
  throw new RefusedRow(`${column}: expected the name of a topic, got ${describe(value)}`)
}

function keyOf(row: Record<string, unknown>, column: string): string | undefined {
  const value = Object.hasOwn(row, column) ? row[column] : undefined
  if (value === undefined || value === null) return undefined
  if (typeof value === 'string') return `t${value}`
  if (isBytes(value)) return `b${Buffer.from(value).toString('base64')}`
  return `t${serialize(value)}`
}

function timeOf(row: Record<string, unknown>, column: string): number {
  const value = Object.hasOwn(row, column) ? row[column] : undefined
  const time =
    value instanceof Date ? value.getTime() : typeof value === 'string' ? Date.parse(value) : Number.NaN
  if (Number.isSafeInteger(time) && time >= 0) return time
  throw new RefusedRow(`${column}: expected a Date or an ISO 8601 string, got ${describe(value)}`)
}

/** Reads a row back. */
function readWire({ wire }: Entry): { readonly topic: string; readonly message: NewMessage } {
  const topicEnd = wire.indexOf('\n')
  const timeEnd = wire.indexOf('\n', topicEnd + 1)
  const lengthEnd = wire.indexOf('\n', timeEnd + 1)
  const keyLength = Number(wire.slice(timeEnd + 1, lengthEnd))
  const valueStart = lengthEnd + 1 + Math.max(0, keyLength)
  return {
    topic: wire.slice(0, topicEnd),
    message: {
      timestamp: Number(wire.slice(topicEnd + 1, timeEnd)),
      key: keyLength < 0 ? undefined : bytesOf(wire.slice(lengthEnd + 1, valueStart)),
      value: bytesOf(wire.slice(valueStart)),
    },
  }
}

/** Bytes behind a letter that says how they are written: as text, as base64, or none. */
function bytesOf(text: string): Buffer | undefined {
  if (text.startsWith('n')) return undefined
  return Buffer.from(text.slice(1), text.startsWith('b') ? 'base64' : 'utf8')
}
