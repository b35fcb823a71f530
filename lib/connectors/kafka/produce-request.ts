import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import type * as client from '@platformatic/kafka'
import { grouped, topicOf } from './partitions.ts'

type Client = typeof client

/** Compressions, in Kafka's order of their numbers. */
export const compressions = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const
export type Compression = (typeof compressions)[number]

/** A message to produce. */
export interface NewMessage {
  readonly key: Buffer | undefined
  readonly value: Buffer | undefined
  /** Milliseconds since 1970. */
  readonly timestamp: number
}

/** Who produces a batch, and its number among those for one partition: a broker takes each number once. */
export interface BatchNumber {
  readonly producerId: bigint
  readonly producerEpoch: number
  readonly sequence: number
}

/** Bytes of a batch before its records, and where parts of its head are. */
const headBytes = 61
const [lengthAt, epochAt, magicAt, crcAt, attributesAt] = [8, 12, 16, 17, 21]

/**
 * Messages as one record batch.
 * https://kafka.apache.org/documentation/#recordbatch
 */
export async function recordBatch(
  client: Client,
  messages: readonly NewMessage[],
  { producerId, producerEpoch, sequence }: BatchNumber,
  compression: Compression,
): Promise<Buffer> {
  const first = messages[0]!.timestamp
  let last = first
  for (const { timestamp } of messages) if (timestamp > last) last = timestamp
  const encoded = recordBytes(messages, first)
  const records =
    compression === 'none' ? encoded : await compress(client, compression, encoded.subarray(headBytes))
  const batch = compression === 'none' ? encoded : Buffer.concat([encoded.subarray(0, headBytes), records])
  batch.writeBigInt64BE(0n, 0)
  batch.writeInt32BE(batch.length - lengthAt - 4, lengthAt)
  batch.writeInt32BE(-1, epochAt)
  batch.writeInt8(2, magicAt)
  batch.writeInt16BE(compressions.indexOf(compression), attributesAt)
  batch.writeInt32BE(messages.length - 1, 23)
  batch.writeBigInt64BE(BigInt(first), 27)
  batch.writeBigInt64BE(BigInt(last), 35)
  batch.writeBigInt64BE(producerId, 43)
  batch.writeInt16BE(producerEpoch, 51)
  batch.writeInt32BE(sequence, 53)
  batch.writeInt32BE(messages.length, 57)
  batch.writeUInt32BE(client.crc32c(batch.subarray(attributesAt)), crcAt)
  return batch
}

/** Encodes records, after `headBytes` free bytes for the head of their batch. */
function recordBytes(messages: readonly NewMessage[], firstTimestamp: number): Buffer {
  // Of each record at most: length, attributes, two deltas, two lengths, number of headers.
  let most = headBytes
  for (const { key, value } of messages) most += (key?.length ?? 0) + (value?.length ?? 0) + 40
  const bytes = Buffer.allocUnsafe(most)
  let at = headBytes
  for (const [index, { key, value, timestamp }] of messages.entries()) {
    const delta = timestamp - firstTimestamp
    const [keyLength, valueLength] = [key?.length ?? -1, value?.length ?? -1]
    const length =
      2 + varintLength(delta) + varintLength(index) + varintLength(keyLength) + Math.max(0, keyLength) +
      varintLength(valueLength) + Math.max(0, valueLength) // biome-ignore format: a sum
    at = writeVarint(bytes, at, length)
    bytes[at++] = 0
    at = writeVarint(bytes, at, delta)
    at = writeVarint(bytes, at, index)
    at = writeVarint(bytes, at, keyLength)
    if (key) at += key.copy(bytes, at)
    at = writeVarint(bytes, at, valueLength)
    if (value) at += value.copy(bytes, at)
    bytes[at++] = 0
  }
  return bytes.subarray(0, at)
}

function zigzag(value: number): number {
  return value < 0 ? -2 * value - 1 : 2 * value
}

function varintLength(value: number): number {
  let left = zigzag(value)
  let length = 1
  for (; left >= 0x80; length++) left = Math.floor(left / 0x80)
  return length
}

function writeVarint(bytes: Buffer, start: number, value: number): number {
  let left = zigzag(value)
  let at = start
  for (; left >= 0x80; left = Math.floor(left / 0x80)) bytes[at++] = (left % 0x80) | 0x80
  bytes[at++] = left
  return at
}

const gzipAside = promisify(gzip)

async function compress(
  client: Client,
  compression: Exclude<Compression, 'none'>,
  bytes: Buffer,
): Promise<Buffer> {
  // Not on this thread.
  if (compression === 'gzip') return gzipAside(bytes)
  return client.compressionsAlgorithms[compression].compressSync(bytes) as Buffer
}

/** A part of a request: the batch for one partition. */
export interface PartitionBatch {
  readonly topic: string
  readonly partition: number
  readonly batch: Buffer
}

/**
 * The request that produces batches, in any version up to 12.
 * https://kafka.apache.org/protocol#The_Messages_Produce
 */
export function produceRequest(
  client: Client,
  version: number,
  timeout: number,
  batches: readonly PartitionBatch[],
): client.Writer {
  const compact = version >= 9
  const all = -1
  const writer = client.Writer.create()
    .appendString(null, compact)
    .appendInt16(all)
    .appendInt32(timeout)
    .appendArray(
      [...grouped(batches, topicOf)],
      (topicWriter, [topic, own]) => {
        topicWriter.appendString(topic, compact).appendArray(
          own,
          (partitionWriter, { partition, batch }) => {
            partitionWriter.appendInt32(partition)
            if (compact) partitionWriter.appendUnsignedVarInt(batch.length + 1)
            else partitionWriter.appendInt32(batch.length)
            partitionWriter.append(batch)
          },
          compact,
          compact,
        )
      },
      compact,
      compact,
    )
  return compact ? writer.appendTaggedFields() : writer
}
