import { isDate } from 'node:util/types'
import type * as client from '@platformatic/kafka'
import { DeliveryError, RefusedRow } from '../../core/errors.ts'
import type { Health } from '../../core/health.ts'
import { describe, isBytes, serialize } from '../../core/json.ts'
import { untilAborted } from '../../core/on-abort.ts'
import { counted } from '../../core/quantities.ts'
import type { Reason, SinkVerdict } from '../../core/verdict.ts'
import { withDeadline } from '../../http/deadline.ts'
import type { Attempt, Body, EncodedRow, SinkProtocol } from '../../sink/protocol.ts'
import { clusterFor, type KafkaCluster, type ProduceResponse, type Topic } from './cluster.ts'
import type { BrokerAddress } from './connection-options.ts'
import { connectorName, failureOf, KafkaFailure } from './failure.ts'
import type { SinkValues } from './options.ts'
import { leaderless } from './planner.ts'
import { type NewMessage, type PartitionBatch, produceRequest, recordBatch } from './produce-request.ts'

/** Answers that say: this batch is in already, or what the broker knows of this producer is gone. */
const alreadyThere = 'DUPLICATE_SEQUENCE_NUMBER'
const forgotten = new Set(['INVALID_PRODUCER_EPOCH', 'INVALID_PRODUCER_ID_MAPPING', 'OUT_OF_ORDER_SEQUENCE_NUMBER', 'PRODUCER_FENCED', 'UNKNOWN_PRODUCER_ID']) // biome-ignore format: a list
const unknownTopic = 'UNKNOWN_TOPIC_OR_PARTITION'
const tooLarge = new Set(['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE'])

/** Milliseconds by which a broker gives up earlier than we do, so that its answer is heard. */
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
      signal.throwIfAborted()
      if (!(error instanceof KafkaFailure)) throw error
      const verdict = this.#failed(undefined, error)
      return verdict.kind === 'retry' ? verdict : { kind: 'fatal', error: this.#fatal(error) }
    }
  }

  /** A row as a line about it, its key and its value. */
  encode(row: Record<string, unknown>, at: number): EncodedRow {
    const { topic_column, key_column, timestamp_column } = this.#values
    const topic = topic_column === undefined ? this.#values.topic! : topicOf(row, topic_column)
    const timestamp = timestamp_column === undefined ? at : timeOf(row, timestamp_column)
    const key = key_column === undefined ? none : keyOf(row, key_column)
    const value = this.#valueOf(row)
    const lengths = `${Buffer.byteLength(key.text)},${Buffer.byteLength(value.text)}`
    const wire = `${key.kind}${value.kind}${timestamp},${lengths}\n${key.text}${value.text}`
    const count = this.#partitions.get(topic)
    return { wire, group: count === undefined ? topic : `${topic}/${this.#partitionOf(topic, count, key)}` }
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
      signal.throwIfAborted()
      if (!(error instanceof KafkaFailure)) throw error
      return this.#failed(flight && { body, flight }, error)
    }
  }

  close(): void {
    this.#ended.abort()
    this.#cluster.close()
  }

  #valueOf(row: Record<string, unknown>): Coded {
    const { format, value_column } = this.#values
    if (format === 'json') return { kind: 't', text: serialize(row) }
    const value = Object.hasOwn(row, value_column) ? row[value_column] : undefined
    if (value === null) return none
    if (typeof value === 'string') return { kind: 't', text: value }
    if (isBytes(value)) return { kind: 'b', text: Buffer.from(value).toString('base64') }
    throw new RefusedRow(`${value_column}: expected a string or bytes, got ${describe(value)}`)
  }

  /** By the key, as all clients of Kafka do it, so that equal keys meet whoever produces them. */
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

/** Text of a key or value: as it is, as base64, or none. */
interface Coded {
  readonly kind: 't' | 'b' | 'n'
  readonly text: string
}

const none: Coded = { kind: 'n', text: '' }

function keyOf(row: Record<string, unknown>, column: string): Coded {
  const value = Object.hasOwn(row, column) ? row[column] : undefined
  if (value === undefined || value === null) return none
  if (typeof value === 'string') return { kind: 't', text: value }
  if (isBytes(value)) return { kind: 'b', text: Buffer.from(value).toString('base64') }
  return { kind: 't', text: serialize(value, column) }
}

function bytesOf({ kind, text }: Coded): Buffer {
  return Buffer.from(text, kind === 'b' ? 'base64' : 'utf8')
}

function timeOf(row: Record<string, unknown>, column: string): number {
  const value = Object.hasOwn(row, column) ? row[column] : undefined
  const time = isDate(value) ? value.getTime() : typeof value === 'string' ? Date.parse(value) : Number.NaN
  if (Number.isSafeInteger(time) && time >= 0) return time
  throw new RefusedRow(`${column}: expected a Date or an ISO 8601 string, got ${describe(value)}`)
}

function partOf(topic: string, partition: number, messages: NewMessage[]): Part {
  return { topic, partition, messages, sent: undefined, inDoubt: false, failure: undefined, isDone: false }
}

const [newline, comma, zero] = [0x0a, 0x2c, 0x30]

/** Reads rows back, as {@link KafkaSinkProtocol.encode} wrote them. */
function readMessages(bytes: Buffer): NewMessage[] {
  const messages: NewMessage[] = []
  for (let at = 0; at < bytes.length; at++) {
    const [keyKind, valueKind] = [bytes[at++]!, bytes[at++]!]
    const numbers = [0, 0, 0]
    for (let index = 0; bytes[at] !== newline; at++) {
      if (bytes[at] === comma) index++
      else numbers[index] = numbers[index]! * 10 + bytes[at]! - zero
    }
    const [timestamp, keyLength, valueLength] = numbers as [number, number, number]
    const keyStart = at + 1
    const valueStart = keyStart + keyLength
    at = valueStart + valueLength
    const key = decoded(bytes.subarray(keyStart, valueStart), keyKind)
    messages.push({ timestamp, key, value: decoded(bytes.subarray(valueStart, at), valueKind) })
  }
  return messages
}

function decoded(part: Buffer, kind: number): Buffer | undefined {
  if (kind === 'n'.charCodeAt(0)) return undefined
  return kind === 'b'.charCodeAt(0) ? Buffer.from(part.toString('latin1'), 'base64') : part
}
