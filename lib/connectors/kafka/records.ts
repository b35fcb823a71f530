import { gunzipSync } from 'node:zlib'
import type * as client from '@platformatic/kafka'
import { connectorName, KafkaFailure } from './failure.ts'

type Client = typeof client

/** One partition's part of an answer to a fetch. Its record batches are bytes, read as their rows are asked for. */
export interface FetchedPartition {
  /** Kafka's number of the error, 0 if there is none. */
  readonly errorCode: number
  /** Milliseconds that the broker asks to wait. */
  readonly throttle: number
  /** The first offset that the log still has. -1 where the broker does not say. */
  readonly logStart: number
  readonly aborted: readonly AbortedTransaction[]
  readonly records: Buffer
}

export interface AbortedTransaction {
  readonly producerId: bigint
  readonly firstOffset: number
}

/**
 * Reads an answer to a fetch of one partition, from version 12 of the request on.
 * https://kafka.apache.org/protocol#The_Messages_Fetch
 */
export function readFetchAnswer(reader: client.Reader, version: number): FetchedPartition {
  const throttle = reader.readInt32()
  const errorCode = reader.readInt16()
  reader.readInt32()
  let fetched: FetchedPartition | undefined
  reader.readArray((topic) => {
    if (version >= 13) topic.readUUID()
    else topic.readString()
    topic.readArray((partition) => {
      partition.readInt32()
      const code = partition.readInt16()
      partition.readInt64()
      partition.readInt64()
      const logStart = Number(partition.readInt64())
      const aborted = (partition.readNullableArray((transaction) => ({
        producerId: transaction.readInt64(),
        firstOffset: Number(transaction.readInt64()),
      })) ?? []) as AbortedTransaction[]
      partition.readInt32()
      const length = Math.max(0, partition.readUnsignedVarInt() - 1)
      const { buffer, position } = partition
      // A copy: the connection uses its memory again.
      const records = Buffer.from(buffer.subarray(position, position + length).buffer)
      partition.skip(length)
      fetched = { errorCode: code, throttle, logStart, aborted, records }
    })
  })
  return fetched ?? { errorCode, throttle, logStart: -1, aborted: [], records: Buffer.alloc(0) }
}

/** Bytes of a batch before its length ends, and before its records begin. */
const [batchHead, recordsStart] = [12, 61]

const isTransactional = 1 << 4
const isControl = 1 << 5
const compressionMask = 0b111

/** A message, whose key and value are places in the bytes of its batch. An end of -1 means null. */
export interface Message {
  readonly offset: number
  /** Milliseconds since 1970. */
  readonly timestamp: number
  readonly keyStart: number
  readonly keyEnd: number
  readonly valueStart: number
  readonly valueEnd: number
  /** Undefined where they are not wanted. */
  readonly headers: readonly Header[] | undefined
}

export interface Header {
  readonly key: string
  readonly value: Buffer | undefined
}

export interface MessageBatch {
  readonly bytes: Buffer
  readonly messages: readonly Message[]
}

/**
 * The messages of some record batches, from one offset up to another, without those of transactions that were aborted.
 * https://kafka.apache.org/documentation/#recordbatch
 */
export class RecordBatches {
  readonly #client: Client
  readonly #bytes: Buffer
  readonly #aborted: AbortedTransaction[]
  /** Producers whose current transaction was aborted. */
  readonly #aborting = new Set<bigint>()

  constructor(client: Client, { records, aborted }: FetchedPartition) {
    this.#client = client
    this.#bytes = records
    this.#aborted = [...aborted].sort((one, other) => one.firstOffset - other.firstOffset)
  }

  /** The offset after the last one of whole batches; undefined if there is none. A batch may be larger than the messages in it. */
  get end(): number | undefined {
    let end: number | undefined
    for (const at of this.#starts()) end = this.#lastOffset(at) + 1
    return end
  }

  /**
   * Messages batch by batch.
   * @param withHeaders whether headers are wanted
   * @throws KafkaFailure if a batch is damaged, or compressed in a way that this Node.js does not know
   */
  *batches(from: number, until: number, withHeaders: boolean): Generator<MessageBatch> {
    for (const at of this.#starts()) {
      const first = Number(this.#bytes.readBigInt64BE(at))
      const last = this.#lastOffset(at)
      const attributes = this.#bytes.readInt16BE(at + 21)
      const isGivenUp = this.#isGivenUp(at, attributes, last)
      if (last < from || first >= until || isGivenUp || attributes & isControl) continue
      const timestamp = Number(this.#bytes.readBigInt64BE(at + 27))
      // The broker's own time, for all messages of the batch.
      const stamp = attributes & (1 << 3) ? Number(this.#bytes.readBigInt64BE(at + 35)) : undefined
      const count = this.#bytes.readInt32BE(at + 57)
      const bytes = this.#recordBytes(at, attributes)
      const cursor = new Cursor(bytes)
      const messages: Message[] = []
      for (let index = 0; index < count; index++) {
        const message = cursor.message(first, timestamp, withHeaders)
        if (message.offset < from || message.offset >= until) continue
        messages.push(stamp === undefined ? message : { ...message, timestamp: stamp })
      }
      yield { bytes, messages }
    }
  }

  /** Where batches begin that are there as a whole: the broker cuts the last one where its limit is. */
  *#starts(): Generator<number> {
    const bytes = this.#bytes
    for (let at = 0; at + recordsStart <= bytes.length; ) {
      const end = at + batchHead + bytes.readInt32BE(at + 8)
      if (end > bytes.length || end <= at) return
      const magic = bytes.readInt8(at + 16)
      if (magic !== 2)
        throw new KafkaFailure(
          'ERR_RESULT',
          `messages of the format ${magic} can not be read: only that of Kafka 0.11 and later`,
        )
      yield at
      at = end
    }
  }

  #lastOffset(at: number): number {
    return Number(this.#bytes.readBigInt64BE(at)) + this.#bytes.readInt32BE(at + 23)
  }

  /** Follows transactions: a batch belongs to one that was aborted from where that began up to its marker. */
  #isGivenUp(at: number, attributes: number, last: number): boolean {
    if (this.#aborted.length === 0 && this.#aborting.size === 0) return false
    const producer = this.#bytes.readBigInt64BE(at + 43)
    while (this.#aborted[0] && this.#aborted[0].firstOffset <= last)
      this.#aborting.add(this.#aborted.shift()!.producerId)
    if (attributes & isControl) {
      this.#aborting.delete(producer)
      return true
    }
    return (attributes & isTransactional) !== 0 && this.#aborting.has(producer)
  }

  #recordBytes(at: number, attributes: number): Buffer {
    const bytes = this.#bytes
    const end = at + batchHead + bytes.readInt32BE(at + 8)
    if (this.#client.crc32c(bytes.subarray(at + 21, end)) !== bytes.readUInt32BE(at + 17))
      throw new KafkaFailure('ERR_RESULT', 'a record batch is damaged: its checksum is another', {
        transient: true,
      })
    const records = bytes.subarray(at + recordsStart, end)
    const compression = attributes & compressionMask
    if (compression === 0) return records
    if (compression === 1) return gunzipped(records)
    const algorithm = this.#client.compressionsAlgorithmsByBitmask[compression]
    if (!algorithm?.available)
      throw new KafkaFailure(
        'ERR_RESULT',
        `messages are compressed by ${compression === 4 ? 'zstd, which needs Node.js 22.15 or later' : `an unknown algorithm (${compression})`}`,
      )
    return algorithm.decompressSync(records) as Buffer
  }
}

/** Bytes of the largest batch after unpacking: one of 1 MB may hold a thousand times as much. */
const largestBatch = 256_000_000

function gunzipped(records: Buffer): Buffer {
  try {
    return gunzipSync(records, { maxOutputLength: largestBatch })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_BUFFER_TOO_LARGE') throw error
    throw new KafkaFailure('ERR_RESULT', `a record batch has more than ${largestBatch} bytes unpacked`)
  }
}

/** Reads records one after the other. */
class Cursor {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  message(firstOffset: number, firstTimestamp: number, withHeaders: boolean): Message {
    const length = this.#varint()
    const next = this.#at + length
    this.#at++
    const timestamp = firstTimestamp + this.#varint()
    const offset = firstOffset + this.#varint()
    const keyLength = this.#varint()
    const keyStart = this.#at
    if (keyLength > 0) this.#at += keyLength
    const valueLength = this.#varint()
    const valueStart = this.#at
    this.#at = next
    return {
      offset,
      timestamp,
      keyStart,
      keyEnd: keyLength < 0 ? -1 : keyStart + keyLength,
      valueStart,
      valueEnd: valueLength < 0 ? -1 : valueStart + valueLength,
      headers: withHeaders ? this.#headers(valueStart + Math.max(0, valueLength), next) : undefined,
    }
  }

  #headers(start: number, next: number): Header[] {
    this.#at = start
    const headers: Header[] = []
    for (let count = this.#varint(); count > 0; count--) {
      const key = this.#block()?.toString() ?? ''
      headers.push({ key, value: this.#block() })
    }
    this.#at = next
    return headers
  }

  /** Bytes with their length before them; undefined if null. */
  #block(): Buffer | undefined {
    const length = this.#varint()
    if (length < 0) return undefined
    const start = this.#at
    this.#at = start + length
    return this.#bytes.subarray(start, this.#at)
  }

  /** A signed number of up to 64 bits, zigzag-coded. Those here are times and lengths, which a number holds. */
  #varint(): number {
    const bytes = this.#bytes
    let byte = bytes[this.#at++]!
    // Most are small.
    if (byte < 0x80) return byte & 1 ? -((byte + 1) >>> 1) : byte >>> 1
    let value = byte & 0x7f
    for (let factor = 128; ; factor *= 128) {
      byte = bytes[this.#at++]!
      value += (byte & 0x7f) * factor
      if (byte < 0x80) break
      if (factor > 2 ** 63) throw new KafkaFailure('ERR_RESULT', `${connectorName}: a record is damaged`)
    }
    const half = Math.floor(value / 2)
    return value % 2 === 1 ? -half - 1 : half
  }
}
