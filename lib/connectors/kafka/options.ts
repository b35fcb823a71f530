import zlib from 'node:zlib'
import {
  declareOptions,
  type OptionDeclaration,
  type OptionSpecs,
  type OptionValues,
  option,
  Refusal,
  type Report,
} from '../../core/options.ts'
import type { OptionsOf, StreamOptions } from '../../core/spelling.ts'
import { numberOrAuto, sinkSpecs } from '../../sink/options.ts'
import { checkMalformed, followedMalformedSpecs, malformedSpecs } from '../../source/malformed.ts'
import { checkStream, streamSpecs as sharedStreamSpecs, sourceSpecs } from '../../source/options.ts'
import {
  type ClusterSpecs,
  checkClusterOptions,
  clusterSettings,
  clusterSpecs,
  sparkSpecs,
} from './connection-options.ts'
import type { Offsets, OffsetsOption } from './events.ts'
import { connectorName } from './failure.ts'
import { earliest, latest } from './partitions.ts'
import { compressions } from './produce-request.ts'
import { columnOptions } from './rows.ts'

const offsetsKind = {
  form: '"earliest", "latest", or offsets by topic and partition, such as {"topic":{"0":23,"1":-2}}',
  schema: { type: ['string', 'object'] },
  parse(value: unknown): OffsetsOption | undefined {
    if (typeof value === 'string') {
      const word = value.trim().toLowerCase()
      if (word === 'earliest' || word === 'latest') return word
      if (!word.startsWith('{')) return undefined
      try {
        return offsets(JSON.parse(value))
      } catch (error) {
        if (error instanceof Refusal) throw error
        throw new Refusal('is not JSON')
      }
    }
    return offsets(value)
  },
}

function offsets(value: unknown): Offsets | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  for (const [topic, partitions] of Object.entries(value)) {
    if (typeof partitions !== 'object' || partitions === null)
      throw new Refusal(`expected offsets by partition for the topic "${topic}"`)
    for (const [partition, offset] of Object.entries(partitions)) {
      if (!/^\d+$/.test(partition))
        throw new Refusal(`"${partition}" of the topic "${topic}" is not the number of a partition`)
      if (!Number.isSafeInteger(offset) || (offset as number) < earliest)
        throw new Refusal(
          `expected an offset, ${latest} for the latest or ${earliest} for the earliest, of partition ${partition} of "${topic}"`,
        )
    }
  }
  return value as Offsets
}

/** Spark's name for the brokers. */
interface SparkOptions {
  /** The same as `bootstrap_servers`. */
  'kafka.bootstrap.servers'?: string | undefined
}

/** Offsets as a caller may give them. */
type GivenOffsets = 'earliest' | 'latest' | (string & {}) | Offsets

/** What both sources share. */
const readSpecs = {
  /** Topics to read, as a list or separated by commas. Default: the event hub of `connection_string`. */
  subscribe: option.columns(),
  /**
   * Whether offsets that expired before they were read, or a topic that was created again, are an error that names
   * topic, partition and offsets. `false`: the event `data_loss` reports them, and the stream continues at the earliest
   * offset.
   * @default true
   */
  failOnDataLoss: option.flag({
    default: true,
  }),
  /**
   * Maximum messages of a slice. A slice is of one partition; it is delivered and committed as one.
   * @default 10000
   */
  maxOffsetsPerTrigger: option.integer({
    min: 1,
    default: 10_000,
  }),
  /**
   * Approximate maximum bytes of a slice on the wire, by the average size of messages so far.
   * @default 16777216
   */
  maxBytesPerTrigger: option.integer({
    min: 1,
    default: 16_777_216,
  }),
  /**
   * Maximum bytes of an answer, held in memory `max_in_flight` times. A larger message arrives whole.
   * @default 4194304
   */
  fetch_bytes: option.integer({
    min: 1,
    default: 4_194_304,
  }),
  /**
   * Form of a message's value: `json`, an object, which becomes the row; `text` or `bytes`, a string or a Buffer in the
   * column `value`.
   * @default "json"
   */
  format: option.oneOf(['json', 'text', 'bytes'], {
    default: 'json',
  }),
  /**
   * Whether a document `{"records":[…]}`, as Azure Monitor writes it, becomes a row per record. Any other is one row.
   * @default true for Event Hubs, else false
   */
  records: option.flag(),
  /**
   * Form of the rows of `format` "json": `objects`, or `json` for a `JsonRow` per message, whose text sinks write as it
   * stands: numbers, order and repeated members arrive unchanged. A document of Event Hubs is then one row.
   * @default "objects"
   */
  rows: option.oneOf(['objects', 'json'], { default: 'objects' }),
  /** Name of an added column with the message's key: a string, a Buffer with format `bytes`, or null. */
  key_column: option.text(),
  /** Name of an added column with the message's topic. */
  topic_column: option.text(),
  /** Name of an added column with the number of the message's partition. */
  partition_column: option.text(),
  /** Name of an added column with the message's offset. */
  offset_column: option.text(),
  /** Name of an added column with the message's time, a Date. */
  timestamp_column: option.text(),
  /** Name of an added column with the message's headers, a list of `{ key, value }`. */
  headers_column: option.text(),
} satisfies OptionSpecs

type SourceSpecs = typeof readSpecs & typeof malformedSpecs & ClusterSpecs & typeof sourceSpecs

const sharedSpecs: SourceSpecs = { ...sourceSpecs, ...clusterSpecs, ...readSpecs, ...malformedSpecs }

const rangeSpecs = {
  /**
   * First offsets: `earliest`, `latest`, or offsets by topic and partition, as an object or JSON; -2 is the earliest, -1
   * the latest.
   * @default "earliest"
   */
  startingOffsets: option.custom<OffsetsOption, GivenOffsets>(offsetsKind, {
    default: 'earliest',
  }),
  /**
   * Ends of the range, exclusive, in the same form.
   * @default "latest"
   */
  endingOffsets: option.custom<OffsetsOption, GivenOffsets>(offsetsKind, {
    default: 'latest',
  }),
} satisfies OptionSpecs

const followSpecs = {
  /**
   * First offsets of a stream without a checkpoint, in the same form as in a bounded read. Partitions that come later
   * are read from their start.
   * @default "latest"
   */
  startingOffsets: option.custom<OffsetsOption, GivenOffsets>(offsetsKind, {
    default: 'latest',
  }),
  /**
   * Consumer group, in place of a checkpoint. Its processes share the partitions; offsets are committed to Kafka once
   * the rows are settled.
   */
  group_id: option.text({ names: 'consumer group' }),
  /**
   * Seconds after which a killed or frozen process loses its partitions to others. Brokers allow 6 to 1,800.
   * @default 30
   */
  session_timeout_seconds: option.amount({
    default: 30,
  }),
  /**
   * Seconds between polls for new messages, once caught up.
   * @default 1
   */
  poll_interval_seconds: option.amount({
    default: 1,
  }),
} satisfies OptionSpecs

type BoundedSpecs = SourceSpecs & typeof rangeSpecs
// Not one spread object, which would lose the text of `mode` in editors.
type FollowSpecs = typeof followSpecs & typeof followedMalformedSpecs
type StreamSpecs = FollowSpecs & Omit<SourceSpecs & typeof sharedStreamSpecs, keyof FollowSpecs>

/** Options of the bounded source of Kafka. */
export type KafkaReadableOptions = OptionsOf<BoundedSpecs> & SparkOptions & StreamOptions

/** Options of the streaming source of Kafka. */
export type KafkaStreamReadableOptions = OptionsOf<StreamSpecs> & SparkOptions & StreamOptions

type SourceOptionValues = OptionValues<SourceSpecs>

function checkSource(values: Partial<SourceOptionValues>, report: Report, given: ReadonlySet<string>): void {
  checkClusterOptions(values, report, given)
  if (values.subscribe?.length === 0) report('subscribe: expected the name of a topic')
  if (!given.has('subscribe') && !/EntityPath=/.test(values.connection_string ?? ''))
    report('subscribe: is required, unless a connection_string names the event hub')
  checkMalformed(values, report, given)
  if (values.records && values.format !== 'json')
    report(`records: is for format "json", not "${values.format}"`)
  if (values.rows === 'json') {
    if (values.format !== 'json') report(`rows: "json" is for format "json", not "${values.format}"`)
    for (const name of ['records', ...columnOptions] as const)
      if (values[name]) report(`${name}: needs rows "objects"`)
  }
}

export const boundedDeclaration: OptionDeclaration<BoundedSpecs> = declareOptions(
  connectorName,
  { ...sharedSpecs, ...rangeSpecs },
  checkSource,
  sparkSpecs,
)

export const streamDeclaration: OptionDeclaration<StreamSpecs> = declareOptions(
  connectorName,
  { ...sharedSpecs, ...sharedStreamSpecs, ...followSpecs, ...followedMalformedSpecs },
  (values, report, given) => {
    checkSource(values, report, given)
    checkStream(values, report, given)
    for (const name of ['checkpoint', 'checkpointLocation'])
      if (given.has('group_id') && given.has(name)) report(`group_id and ${name} exclude each other`)
    if (given.has('session_timeout_seconds') && !given.has('group_id'))
      report('session_timeout_seconds: is for a consumer group, and needs group_id')
  },
  sparkSpecs,
)

/** Options of a source, with what follows from them. */
export type SourceValues = SourceOptionValues & {
  readonly prefixed: Readonly<Record<string, string>>
  readonly topics: readonly string[]
  readonly records: boolean
}

export function sourceValues<
  V extends SourceOptionValues & { readonly prefixed: Readonly<Record<string, string>> },
>(values: V): V & SourceValues {
  const { isEventHubs, topic } = clusterSettings(values)
  return {
    ...values,
    topics: [...new Set(values.subscribe ?? [topic!])],
    records: values.records ?? (isEventHubs && values.format === 'json' && values.rows === 'objects'),
  }
}

const writeSpecs = {
  /**
   * Maximum rows of a batch, which goes to one partition; `auto` finds the best number from 50 to 5,000.
   * @default 500
   */
  batch_size: numberOrAuto(500),
  /**
   * Maximum bytes of a batch before compression. Batches that exceed the topic's limit (`max.message.bytes`, 1 MB by
   * default) are halved.
   * @default 900000
   */
  batch_bytes: option.integer({ min: 1, default: 900_000 }),
  /** Topic of all rows, in place of `topic_column`. Default: the event hub of `connection_string`. */
  topic: option.text(),
  /** Column with the name of each row's topic. */
  topic_column: option.text(),
  /**
   * Column with the key: a string or bytes; other values as JSON; null or absent is no key. Rows with the same key go to
   * the same partition, the one that other producers choose.
   */
  key_column: option.text(),
  /** Column with the message's time, a Date or an ISO 8601 string. Default: when the row was written. */
  timestamp_column: option.text(),
  /**
   * Form of a message's value: `json`, the row as an object; `text` or `bytes`, the string or bytes in `value_column`.
   * @default "json"
   */
  format: option.oneOf(['json', 'text', 'bytes'], {
    default: 'json',
  }),
  /**
   * Column with the value, with the formats `text` and `bytes`.
   * @default "value"
   */
  value_column: option.text({
    default: 'value',
  }),
  /**
   * Compression of batches. `zstd` needs Node.js 22.15; Event Hubs accepts only `gzip`.
   * @default "none"
   */
  compression: option.oneOf(compressions, {
    default: 'none',
  }),
} satisfies OptionSpecs

type SinkOnlySpecs = typeof writeSpecs &
  Omit<ClusterSpecs & Omit<typeof sinkSpecs, keyof ClusterSpecs>, keyof typeof writeSpecs>

/** Options of the sink of Kafka. */
export type KafkaOptions = OptionsOf<SinkOnlySpecs> & SparkOptions & StreamOptions

export const sinkDeclaration: OptionDeclaration<SinkOnlySpecs> = declareOptions(
  connectorName,
  { ...sinkSpecs, ...clusterSpecs, ...writeSpecs },
  (values, report, given) => {
    checkClusterOptions(values, report, given)
    const hub = /EntityPath=/.test(values.connection_string ?? '')
    if (given.has('topic') && given.has('topic_column')) report('topic and topic_column exclude each other')
    if (!given.has('topic') && !given.has('topic_column') && !hub)
      report('topic: is required, unless topic_column or a connection_string names it')
    if (values.format === 'json' && given.has('value_column'))
      report('value_column: is for the formats "text" and "bytes"')
    if (values.compression === 'zstd' && !('zstdCompressSync' in zlib))
      report('compression: "zstd" needs Node.js 22.15 or later')
  },
  sparkSpecs,
)

export type SinkValues = ReturnType<typeof sinkValues>

export function sinkValues(options: unknown) {
  const values = sinkDeclaration.resolve(options)
  const topic =
    values.topic_column === undefined ? (values.topic ?? clusterSettings(values).topic) : undefined
  return { ...values, topic }
}
