import type { KafkaCluster } from './cluster.ts'
import type { BrokerAddress } from './connection-options.ts'
import type { KafkaOffset, Offsets, OffsetsOption } from './events.ts'
import { KafkaFailure } from './failure.ts'

/** Kafka's stand-ins for offsets, in a request and in `startingOffsets`. */
export const [latest, earliest] = [-1, -2]

interface Place {
  readonly topic: string
  readonly partition: number
}

/** Items by a key, in their order. */
export function grouped<K, T>(items: Iterable<T>, keyOf: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>()
  for (const item of items) {
    const key = keyOf(item)
    const group = groups.get(key)
    if (group) group.push(item)
    else groups.set(key, [item])
  }
  return groups
}

export function topicOf({ topic }: Pick<Place, 'topic'>): string {
  return topic
}

/** Items by the broker that leads their partition; `undefined` has those without a leader. @throws KafkaFailure */
export async function byLeader<T extends Place>(
  cluster: KafkaCluster,
  items: readonly T[],
  signal: AbortSignal,
): Promise<Map<BrokerAddress | undefined, T[]>> {
  const topics = await cluster.topics([...new Set(items.map(topicOf))], signal)
  return grouped(items, ({ topic, partition }) => topics.get(topic)?.partitions[partition]?.leader)
}

/** The error of a partition without a leader: an election is in progress, or its brokers are gone. */
export function leaderless(cluster: KafkaCluster, { topic, partition }: Place): KafkaFailure {
  cluster.forget(topic)
  return new KafkaFailure('ERR_QUERY', `${topic}, partition ${partition} has no leader at the moment`, {
    transient: true,
    kafkaCode: 'LEADER_NOT_AVAILABLE',
  })
}

export function* partitionsIn(
  offsets: Offsets,
): Generator<[topic: string, partition: number, offset: number]> {
  for (const [topic, partitions] of Object.entries(offsets))
    for (const [partition, offset] of Object.entries(partitions)) yield [topic, Number(partition), offset]
}

/**
 * Offsets of all partitions of some topics, as they are now. `latest` is the end of what is committed: of an open
 * transaction no message is read.
 * @throws KafkaFailure
 */
export async function offsetsOf(
  cluster: KafkaCluster,
  names: readonly string[],
  wanted: OffsetsOption,
  signal: AbortSignal,
): Promise<KafkaOffset> {
  const topics = await cluster.topics(names, signal)
  const offsets: Record<string, Record<string, number>> = {}
  const asked: AskedOffset[] = []
  for (const { name, partitions } of topics.values()) {
    const own: Record<string, number> = {}
    offsets[name] = own
    for (const partition of partitions.keys()) {
      const given = typeof wanted === 'string' ? wanted : (wanted[name]?.[partition] ?? latest)
      const timestamp = given === 'latest' ? latest : given === 'earliest' ? earliest : given
      if (timestamp >= 0) own[partition] = timestamp
      else asked.push({ topic: name, partition, timestamp })
    }
  }
  for (const [{ topic, partition }, offset] of await listOffsets(cluster, asked, signal))
    offsets[topic]![partition] = offset
  return { cluster: await cluster.id(signal), offsets }
}

interface AskedOffset extends Place {
  /** `latest`, `earliest`, or milliseconds since 1970. */
  readonly timestamp: number
}

/** Asks the leaders of partitions for offsets, each leader once. @throws KafkaFailure */
export async function listOffsets(
  cluster: KafkaCluster,
  asked: readonly AskedOffset[],
  signal: AbortSignal,
): Promise<Map<AskedOffset, number>> {
  const found = new Map<AskedOffset, number>()
  const groups = await byLeader(cluster, asked, signal)
  const lost = groups.get(undefined)?.[0]
  if (lost) throw leaderless(cluster, lost)
  const ask = async (leader: BrokerAddress | undefined, own: readonly AskedOffset[]) => {
    const topics = grouped(own, topicOf)
    const list = Array.from(topics, ([name, parts]) => ({
      name,
      partitions: parts.map(({ partition, timestamp }) => ({
        partitionIndex: partition,
        currentLeaderEpoch: -1,
        timestamp: BigInt(timestamp),
      })),
    }))
    try {
      // 1: only what is committed.
      const answer = await cluster.call(leader, 'ListOffsets', [-1, 1, list], signal)
      for (const { name, partitions } of answer.topics) {
        for (const { partitionIndex, offset } of partitions) {
          const each = topics.get(name)?.find(({ partition }) => partition === partitionIndex)
          if (each) found.set(each, Number(offset))
        }
      }
    } catch (error) {
      if (error instanceof KafkaFailure && error.isStale)
        for (const name of topics.keys()) cluster.forget(name)
      throw error
    }
  }
  await Promise.all(Array.from(groups, ([leader, own]) => ask(leader, own)))
  return found
}
