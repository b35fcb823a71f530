import type * as client from '@platformatic/kafka'
import { grouped, topicOf } from './partitions.ts'

type Client = typeof client

/** Partitions by topic. */
export type Assignment = readonly { readonly topic: string; readonly partitions: readonly number[] }[]

/** What a member wants, and what it has. */
export interface Subscription {
  readonly topics: readonly string[]
  readonly owned: Assignment
}

/** Of the subscription: the first that says what a member has. */
const subscriptionVersion = 1

/** https://github.com/apache/kafka/blob/trunk/clients/src/main/resources/common/message/ConsumerProtocolSubscription.json */
export function writeSubscription({ Writer }: Client, { topics, owned }: Subscription): Buffer {
  return Writer.create()
    .appendInt16(subscriptionVersion)
    .appendArray([...topics], (writer, topic) => writer.appendString(topic, false), false, false)
    .appendBytes(null, false)
    .appendArray([...owned], appendPartitions, false, false).buffer
}

export function readSubscription({ Reader }: Client, bytes: Buffer): Subscription {
  const reader = Reader.from(bytes)
  const version = reader.readInt16()
  const topics = reader.readArray((each) => each.readString(false), false, false)
  reader.readNullableBytes(false)
  return { topics, owned: version >= 1 && reader.remaining >= 4 ? readPartitions(reader) : [] }
}

/** https://github.com/apache/kafka/blob/trunk/clients/src/main/resources/common/message/ConsumerProtocolAssignment.json */
export function writeAssignment({ Writer }: Client, assignment: Assignment): Buffer {
  return Writer.create()
    .appendInt16(0)
    .appendArray([...assignment], appendPartitions, false, false)
    .appendBytes(null, false).buffer
}

export function readAssignment({ Reader }: Client, bytes: Buffer): Assignment {
  // A member that is left with nothing.
  if (bytes.length < 6) return []
  const reader = Reader.from(bytes)
  reader.readInt16()
  return readPartitions(reader)
}

function appendPartitions(writer: client.Writer, { topic, partitions }: Assignment[number]): void {
  writer
    .appendString(topic, false)
    .appendArray([...partitions], (each, partition) => each.appendInt32(partition), false, false)
}

function readPartitions(reader: client.Reader): Assignment {
  return reader.readArray(
    (each) => ({
      topic: each.readString(false),
      partitions: each.readArray((item) => item.readInt32(), false, false),
    }),
    false,
    false,
  )
}

/**
 * Shares partitions evenly. A member keeps what it has, up to its share; the rest goes to who has least.
 * @param counts how many partitions each topic has
 */
export function assignPartitions(
  members: ReadonlyMap<string, Subscription>,
  counts: ReadonlyMap<string, number>,
): Map<string, Assignment> {
  const ids = [...members.keys()].sort()
  const free = new Set<string>()
  for (const [topic, count] of counts)
    for (let partition = 0; partition < count; partition++) free.add(`${topic}/${partition}`)
  const shares = new Map(ids.map((id) => [id, new Set<string>()]))
  const least = Math.floor(free.size / ids.length)
  // Some have one more than others.
  let larger = free.size % ids.length
  for (const id of ids) {
    const share = shares.get(id)!
    const { topics, owned } = members.get(id)!
    for (const partition of namesIn(owned)) {
      const wanted = topics.includes(placeOf(partition).topic) && free.has(partition)
      if (!wanted || share.size > least || (share.size === least && larger === 0)) continue
      if (share.size === least) larger--
      share.add(partition)
      free.delete(partition)
    }
  }
  for (const partition of free) {
    const takers = ids.filter((id) => members.get(id)!.topics.includes(placeOf(partition).topic))
    takers.sort((one, other) => shares.get(one)!.size - shares.get(other)!.size)
    if (takers[0] !== undefined) shares.get(takers[0])!.add(partition)
  }
  return new Map([...shares].map(([id, share]) => [id, assignmentOf([...share].map(placeOf))]))
}

function* namesIn(assignment: Assignment): Generator<string> {
  for (const { topic, partitions } of assignment)
    for (const partition of partitions) yield `${topic}/${partition}`
}

function placeOf(name: string) {
  const slash = name.lastIndexOf('/')
  return { topic: name.slice(0, slash), partition: Number(name.slice(slash + 1)) }
}

export function assignmentOf(
  places: Iterable<{ readonly topic: string; readonly partition: number }>,
): Assignment {
  return Array.from(grouped(places, topicOf), ([topic, own]) => ({
    topic,
    partitions: own.map(({ partition }) => partition).sort((a, b) => a - b),
  }))
}
