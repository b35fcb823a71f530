import { channel } from 'node:diagnostics_channel'
import { OptionError } from '../../core/errors.ts'
import type { Health } from '../../core/health.ts'
import type { EitherSpelling } from '../../core/spelling.ts'
import { BatchingWritable } from '../../sink/batching-writable.ts'
import { BoundedReadable } from '../../source/bounded-readable.ts'
import type { Row } from '../../source/protocol.ts'
import { Requester } from '../../source/requester.ts'
import { StreamReadable } from '../../source/stream-readable.ts'
import { ClusterHolder } from './cluster.ts'
import type {
  DataLossEvent,
  KafkaOffset,
  KafkaSlice,
  LagEvent,
  MalformedMessageEvent,
  RebalanceEvent,
} from './events.ts'
import { caughtFailure, connectorName } from './failure.ts'
import { GroupPlanner, MemoryCheckpoint } from './group.ts'
import {
  boundedDeclaration,
  type KafkaOptions,
  type KafkaReadableOptions,
  type KafkaStreamReadableOptions,
  type SourceValues,
  sinkValues,
  sourceValues,
  streamDeclaration,
} from './options.ts'
import { offsetsOf } from './partitions.ts'
import { type AskOffsets, OffsetPlanner, PartitionNotes } from './planner.ts'
import { KafkaSinkProtocol } from './sink-protocol.ts'
import { failureVerdict, KafkaSourceProtocol, reportLoss } from './source-protocol.ts'

const lagChannel = channel('cyber-connectors:source-lag')

/** The events of Kafka's sources besides those of every source, with their arguments. */
export interface KafkaSourceEvents {
  malformed: [event: MalformedMessageEvent]
  data_loss: [event: DataLossEvent]
}

/** Asks for offsets until there is an answer. */
function offsetsAsker(
  values: SourceValues,
  cluster: ClusterHolder,
  onRetry: (event: object) => void,
): AskOffsets {
  const requester = new Requester(values)
  return async (wanted, signal) => {
    const once = async () => {
      try {
        const value = await offsetsOf(cluster.value, values.topics, wanted, signal)
        return { kind: 'accepted' as const, value }
      } catch (error) {
        return failureVerdict(caughtFailure(error, signal))
      }
    }
    const answer = await requester.ask(once, {
      signal,
      onRetry: ({ attempts, wait, error: { message, serviceText: text = message } }) =>
        onRetry({ connector: connectorName, attempts, wait, text }),
    })
    if ('split' in answer) throw answer.split
    return answer.value
  }
}

/**
 * The messages of Kafka topics or event hubs as rows, from some offsets up to others.
 *
 *     await pipeline(
 *       new KafkaReadable({ bootstrap_servers: 'kafka:9092', subscribe: 'zeek' }),
 *       new SplunkWritable({ url, token }),
 *     )
 *
 * Partitions are read in parallel, within `max_in_flight`; rows of one partition come in their order.
 *
 * Events besides those of a Readable: `malformed`, `data_loss`, `window` when the rows of a slice are handed on, `retry`.
 *
 * Errors: ERR_OPTION from the constructor, and from the stream if the Kafka client is not installed; from the stream
 * ERR_AUTH, ERR_DELIVERY (no broker answers), ERR_QUERY (a broker refuses), ERR_RESULT (offsets have expired), ERR_RECORD.
 */
export class KafkaReadable extends BoundedReadable<KafkaSlice, Row, KafkaSourceEvents> {
  /** Messages so far that could not be read and were left out or put aside. */
  malformed = 0
  readonly #cluster: ClusterHolder

  /** @throws OptionError that lists every wrong option */
  constructor(options: KafkaReadableOptions)
  /** Names in camelCase are accepted too. */
  constructor(options: EitherSpelling<KafkaReadableOptions>)
  constructor(options: unknown) {
    const values = sourceValues(boundedDeclaration.resolve(options))
    const cluster = new ClusterHolder(values)
    const notes = new PartitionNotes()
    const onRetry = (event: object) => {
      this.stats.retries++
      this.emit('retry', event)
    }
    const ask = offsetsAsker(values, cluster, onRetry)
    super(
      {
        connector: connectorName,
        protocol: (observer) =>
          new KafkaSourceProtocol(values, cluster, observer, notes, () => this.malformed++),
        slices: async (signal) => {
          const [from, until] = await Promise.all([
            ask(values.startingOffsets, signal),
            ask(values.endingOffsets, signal),
          ])
          const planner = new OffsetPlanner(ask, values, notes, ({ topic, partition, offset }) => {
            throw new OptionError(connectorName, [
              `startingOffsets: ${offset} of ${topic}, partition ${partition} is after endingOffsets`,
            ])
          })
          return [...planner.slices(from, until)]
        },
        exact: true,
      },
      values,
    )
    this.#cluster = cluster
  }

  protected override async closing(): Promise<void> {
    await super.closing()
    this.#cluster.close()
  }
}

/**
 * The messages of Kafka topics or event hubs as rows, as they come, with offsets that survive a crash.
 *
 * Events besides those of a Readable: `malformed`, `data_loss`, `window`, `retry`, `idle`, `lag` (a {@link LagEvent})
 * at each look, and with a group `rebalance` (a {@link RebalanceEvent}).
 */
export class KafkaStreamReadable extends StreamReadable<
  KafkaSlice,
  KafkaOffset,
  Row,
  KafkaSourceEvents & { lag: [event: LagEvent]; rebalance: [event: RebalanceEvent] }
> {
  /** Messages so far that could not be read and were left out or put aside. */
  malformed = 0
  readonly #cluster: ClusterHolder
  readonly #group: GroupPlanner | undefined

  /** @throws OptionError that lists every wrong option */
  constructor(options: KafkaStreamReadableOptions)
  /** Names in camelCase are accepted too. */
  constructor(options: EitherSpelling<KafkaStreamReadableOptions>)
  constructor(options: unknown) {
    const values = sourceValues(streamDeclaration.resolve(options))
    const { group_id, topics } = values
    const cluster = new ClusterHolder(values)
    const notes = new PartitionNotes()
    const onRetry = (event: object) => {
      this.stats.retries++
      this.emit('retry', event)
    }
    const emit = (event: string, payload: object) => this.emit(event, payload)
    const lost = (loss: DataLossEvent) => reportLoss(values, { emit }, loss)
    const report = (lag: LagEvent) => {
      lagChannel.publish({ connector: connectorName, ...lag })
      this.emit('lag', lag)
    }
    const ask = offsetsAsker(values, cluster, onRetry)
    const group =
      group_id === undefined
        ? undefined
        : new GroupPlanner(ask, { ...values, group_id }, notes, {
            lost,
            lag: report,
            rebalanced: (event) => this.emit('rebalance', event),
            retry: ({ message, serviceText: text = message }, attempts, wait) =>
              onRetry({ connector: connectorName, attempts, wait, text }),
          })
    super(
      {
        connector: connectorName,
        identity: { connector: connectorName, subscribe: [...topics].sort().join(',') },
        protocol: (observer) =>
          new KafkaSourceProtocol(
            values,
            cluster,
            observer,
            notes,
            () => this.malformed++,
            group && ((slice, signal) => group.confirm(slice, signal)),
          ),
        planner: group ?? new OffsetPlanner(ask, values, notes, lost, report),
      },
      group_id === undefined ? values : { ...values, checkpoint: new MemoryCheckpoint(group_id) },
    )
    this.#cluster = cluster
    this.#group = group
  }

  override release(): void {
    super.release()
    this.#cluster.close()
    this.#group?.close().catch(() => {})
  }
}

/**
 * A Writable in object mode that produces rows to Kafka topics or event hubs.
 *
 * Finished when each row is acknowledged by all replicas in sync, or taken by `dead_letter`.
 */
export class KafkaWritable extends BatchingWritable {
  readonly #protocol: KafkaSinkProtocol
  readonly #timeout: number

  /** @throws OptionError that lists every wrong option */
  constructor(options: KafkaOptions)
  /** Names in camelCase are accepted too. */
  constructor(options: EitherSpelling<KafkaOptions>)
  constructor(options: unknown) {
    const values = sinkValues(options)
    const protocol = new KafkaSinkProtocol(values)
    super(protocol, values)
    this.#protocol = protocol
    this.#timeout = values.request_timeout * 1000
  }

  /** Asks a broker for the topic: connection, sign-in and topic are right. No row is sent. */
  healthy(): Promise<Health> {
    return this.#protocol.health(this.#timeout)
  }
}
