// What programs see of Kafka's sources. Nothing here names the client, which is an optional package: a program without
// it compiles.
import type { Offset, Slice } from '../../core/slice.ts'

/** Offsets by topic and partition. */
export type Offsets = { readonly [topic: string]: { readonly [partition: string]: number } }

/** Where to start, or end: at the same place everywhere, or by topic and partition. */
export type OffsetsOption = 'earliest' | 'latest' | Offsets

/** Up to where a stream has read: the offset of the next message of each partition. */
export type KafkaOffset = Offset & {
  /** The cluster that the offsets are of. */
  readonly cluster: string
  readonly offsets: Offsets
}

/** Messages of one partition, from one offset up to another, itself not included. */
export interface KafkaSlice extends Slice {
  readonly topic: string
  readonly partition: number
  readonly start: number
  readonly end: number
  /** Of a consumer group: which time this process had the partition. */
  readonly owner?: number
}

/** Event `data_loss`: offsets that were to be read are gone, and the stream goes on at another one. */
export interface DataLossEvent {
  readonly topic: string
  readonly partition: number
  /** The offset that was to be read next. */
  readonly offset: number
  /** The offset that is read next. */
  readonly continuesAt: number
}

/** Event `lag`, at each poll: messages of a partition after the last commit. */
export interface LagEvent {
  readonly topic: string
  readonly partition: number
  readonly messages: number
  /** Age of the newest message that was read; 0 once caught up. */
  readonly seconds: number
}

/** Event `rebalance`: the group has shared its partitions again. */
export interface RebalanceEvent {
  readonly group: string
  /** Partitions of this process, by topic. */
  readonly partitions: Readonly<Record<string, readonly number[]>>
}

/** Event `malformed`: a message that can't be read was left out, put aside or put into a column. */
export interface MalformedMessageEvent {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly problem: string
}
