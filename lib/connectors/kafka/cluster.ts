import type * as client from '@platformatic/kafka'
import { ConnectorError } from '../../core/errors.ts'
import { untilAborted } from '../../core/on-abort.ts'
import { importPackage, MissingPackage } from '../../core/optional-package.ts'
import { type Redact, redactor } from '../../core/redaction.ts'
import { pause } from '../../core/retry.ts'
import { addressTimeout } from '../../http/deadline.ts'
import { ownOrShared } from '../../http/sharing.ts'
import { type AzureConnection, connectionFor } from '../azure/connection.ts'
import {
  type Api,
  type Apis,
  type Arguments,
  type Client,
  type Exchange,
  newestApi,
  type Response,
  type Versions,
} from './apis.ts'
import {
  type BrokerAddress,
  type ClusterSettings,
  type ClusterValues,
  clusterSettings,
  clusterSpecs,
  signInSecrets,
} from './connection-options.ts'
import { connectorName, failureOf, KafkaFailure } from './failure.ts'

export interface Partition {
  /** The broker that leads it; undefined during an election. */
  readonly leader: BrokerAddress | undefined
  readonly leaderEpoch: number
}

export interface Topic {
  readonly name: string
  readonly id: string
  readonly partitions: readonly Partition[]
}

/** Maximum age of the known leaders and partitions of a topic, in milliseconds. */
const topicAge = 30_000

/** How often a topic that is not there is asked for, and how far apart: brokers hear of a new one in their own time. */
const [unknownTopicTries, unknownTopicWait] = [4, 500]

/** The cluster of a stream: its own, or that of all streams of its query with the same settings. */
export function clusterFor(values: ClusterValues): { readonly value: KafkaCluster; close(): void } {
  const names = Object.keys(clusterSpecs) as (keyof typeof clusterSpecs)[]
  const settings = [...names.map((name) => values[name]), JSON.stringify(values.prefixed)]
  return ownOrShared('kafka', settings, () => new KafkaCluster(values))
}

/** The cluster of a source, connected to when it is asked for, again after it was closed. */
export class ClusterHolder {
  readonly #values: ClusterValues
  #held: { readonly value: KafkaCluster; close(): void } | undefined

  constructor(values: ClusterValues) {
    this.#values = values
  }

  get value(): KafkaCluster {
    this.#held ??= clusterFor(this.#values)
    return this.#held.value
  }

  close(): void {
    this.#held?.close()
    this.#held = undefined
  }
}

/** Loads the Kafka client. @throws ConnectorError (`ERR_OPTION`) if it is not installed */
async function loadClient(): Promise<Client> {
  const range = process.version.startsWith('v20.') ? '^1.35' : '^2'
  try {
    return await importPackage(`@platformatic/kafka@${range}`, () => import('@platformatic/kafka'))
  } catch (error) {
    if (!(error instanceof MissingPackage)) throw error
    const { message, cause } = error
    throw new ConnectorError('ERR_OPTION', `${connectorName}: ${message}`, {
      connector: connectorName,
      cause,
    })
  }
}

/**
 * Connections to the brokers of a cluster, and who leads which partition. It makes one attempt at each request; the
 * caller decides what a failure means. Closing it ends all requests.
 */
export class KafkaCluster {
  readonly #settings: ClusterSettings
  /** Milliseconds. */
  readonly #timeout: number
  readonly #azure: { readonly value: AzureConnection; close(): void } | undefined
  readonly #stop = new AbortController()
  readonly #redactSecrets: Redact
  #opened: Promise<{ readonly client: Client; readonly pool: client.ConnectionPool }> | undefined
  #versions: Promise<Versions> | undefined
  readonly #topics = new Map<string, { readonly topic: Topic; readonly at: number }>()
  #brokers: readonly BrokerAddress[] = []
  #id: string | undefined
  #renewal: NodeJS.Timeout | undefined

  constructor(values: ClusterValues) {
    this.#settings = clusterSettings(values)
    this.#timeout = values.request_timeout * 1000
    const { azure } = this.#settings
    this.#azure = azure && connectionFor(connectorName, values, azure.audience)
    this.#redactSecrets = redactor(signInSecrets(values))
  }

  /** Removes secrets from a string. */
  redact: Redact = (text) => {
    const clean = this.#redactSecrets(text)
    return this.#azure ? this.#azure.value.redact(clean) : clean
  }

  /** The library's own exports. */
  async client(): Promise<Client> {
    return (await this.#open()).client
  }

  /** The cluster's id, from the first broker that answers. Event Hubs: the namespace. */
  async id(signal: AbortSignal): Promise<string> {
    if (this.#id === undefined) await this.#metadata([], signal)
    return this.#id ?? ''
  }

  /** Asks one broker, or any of those in `bootstrap_servers`. @throws KafkaFailure, AbortError */
  async call<N extends Exclude<keyof Apis, Exchange<unknown>['name']>>(
    broker: BrokerAddress | undefined,
    name: N,
    args: Arguments<N>,
    signal: AbortSignal,
  ): Promise<Response<N>> {
    const answer = await this.#request(broker, name, signal, ({ api }, connection) =>
      api.async(connection, ...args),
    )
    return answer as Response<N>
  }

  /**
   * Makes a request whose bytes are written or read here: of those that carry messages the client would make objects.
   * @throws KafkaFailure, AbortError
   */
  async exchange<T>(broker: BrokerAddress, exchange: Exchange<T>, signal: AbortSignal): Promise<T> {
    const { name, key, compactFrom, write, read } = exchange
    return this.#request(broker, name, signal, (api, connection, version) => {
      return new Promise<T>((resolve, reject) => {
        const compact = version >= compactFrom
        connection.send<T>(
          key,
          version,
          () => write(version, api.createRequest),
          (_correlation, apiKey, _version, reader) =>
            read(reader, version, () => api.parseResponse(_correlation, apiKey, version, reader)),
          compact,
          compact,
          (error, answer) => (error ? reject(error) : resolve(answer as T)),
        )
      })
    })
  }

  /** Topics by name. @throws KafkaFailure if one of them is not there, AbortError */
  async topics(names: readonly string[], signal: AbortSignal): Promise<ReadonlyMap<string, Topic>> {
    const now = performance.now()
    const missing = names.filter((name) => !(now - (this.#topics.get(name)?.at ?? -Infinity) < topicAge))
    if (missing.length > 0) await this.#metadata(missing, signal)
    return new Map(names.map((name) => [name, this.#topics.get(name)!.topic]))
  }

  /** All topics that this user may see. @throws KafkaFailure, AbortError */
  async allTopics(signal: AbortSignal): Promise<ReadonlyMap<string, Topic>> {
    await this.#metadata(undefined, signal)
    return new Map([...this.#topics].map(([name, { topic }]) => [name, topic]))
  }

  /** Forgets who leads the partitions of a topic. */
  forget(topic: string): void {
    const known = this.#topics.get(topic)
    if (known) this.#topics.set(topic, { ...known, at: Number.NEGATIVE_INFINITY })
  }

  /** Ends all connections and requests. */
  close(): void {
    clearTimeout(this.#renewal)
    this.#stop.abort(new Error('closed'))
    this.#azure?.close()
    this.#opened?.then(({ pool }) => pool.close()).catch(() => {})
  }

  #open() {
    this.#opened ??= loadClient().then((client) => ({
      client,
      pool: new client.ConnectionPool('cyber-connectors', this.#connectionOptions(client)),
    }))
    this.#opened.catch(() => {
      this.#opened = undefined
    })
    return this.#opened
  }

  #connectionOptions({ AuthenticationError }: Client): client.ConnectionOptions {
    const { tls, sasl } = this.#settings
    const secure = tls && { ...tls, autoSelectFamilyAttemptTimeout: addressTimeout }
    const timeout = this.#timeout
    // A token that is refused is answered by bytes that say so.
    const authBytesValidator: client.SASLOptions['authBytesValidator'] = (bytes, callback) => {
      if (bytes.length === 0) callback(null, bytes)
      else callback(new AuthenticationError(`the token was refused: ${bytes.toString().slice(0, 200)}`))
    }
    return {
      connectTimeout: Math.min(timeout, 10_000),
      requestTimeout: timeout,
      maxInflights: 64,
      ...(secure && { tls: secure }),
      ...(sasl && {
        sasl:
          sasl.mechanism === 'OAUTHBEARER'
            ? { ...sasl, token: () => this.#token(), authBytesValidator }
            : sasl,
      }),
    }
  }

  /** A token for a connection. Connections sign in again before it expires, as far as the broker has not asked them to. */
  async #token(): Promise<string> {
    const { token, expiresOnTimestamp } = await this.#azure!.value.tokens.get(this.#stop.signal)
    const left = Math.max(1000, (expiresOnTimestamp - Date.now()) * 0.9)
    clearTimeout(this.#renewal)
    this.#renewal = setTimeout(() => this.#signInAgain(), Math.min(left, 2 ** 31 - 1)).unref()
    return token
  }

  #signInAgain(): void {
    this.#opened?.then(({ pool }) => {
      for (const [, connection] of pool) if (connection.isConnected()) connection.reauthenticate()
    })
  }

  async #request<T>(
    broker: BrokerAddress | undefined,
    name: keyof Apis,
    signal: AbortSignal,
    send: (api: Api, connection: client.Connection, version: number) => Promise<T>,
  ): Promise<T> {
    const ended = AbortSignal.any([signal, this.#stop.signal])
    ended.throwIfAborted()
    const brokers = broker ? [broker] : this.#anyBroker()
    const place = brokers.map(({ host, port }) => `${host}:${port}`).join(', ')
    try {
      const { client, pool } = await this.#open()
      const connection = await untilAborted(pool.getFirstAvailable(brokers), ended)
      try {
        const [api, version] = await this.#api(client, connection, name, ended)
        return await untilAborted(send(api, connection, version), ended)
      } catch (error) {
        // After a time-out the client can't make out the answers that follow on the same connection.
        if ((error as Error).message === 'Request timed out') connection.close().catch(() => {})
        throw error
      }
    } catch (error) {
      signal.throwIfAborted()
      this.#stop.signal.throwIfAborted()
      if (error instanceof ConnectorError && !(error instanceof KafkaFailure) && error.code === 'ERR_OPTION')
        throw error
      throw failureOf(error, `${name} at ${place}`, this.redact)
    }
  }

  /** Brokers that know of all others: those of the options first, then those that answered before. */
  #anyBroker(): BrokerAddress[] {
    const { bootstrap } = this.#settings
    const others = this.#brokers.filter((broker) => !bootstrap.some((given) => isSame(given, broker)))
    return [...bootstrap, ...others]
  }

  /** The newest version of a request that both sides know. */
  async #api(
    client: Client,
    connection: client.Connection,
    name: keyof Apis,
    signal: AbortSignal,
  ): Promise<[Api, number]> {
    this.#versions ??= client.apiVersionsV3.api
      .async(connection, 'cyber-connectors', '1')
      .then(({ apiKeys }) => new Map(apiKeys.map((api) => [api.name, api])))
    let versions: Versions
    try {
      versions = await untilAborted(this.#versions, signal)
    } catch (error) {
      this.#versions = undefined
      throw error
    }
    return newestApi(client, versions, name)
  }

  /** @param names undefined for all topics */
  async #metadata(names: readonly string[] | undefined, signal: AbortSignal): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        const answer = await this.#request(undefined, 'Metadata', signal, ({ api }, connection) =>
          api.async(connection, names ? [...names] : null, false, false).catch(leaderless),
        )
        this.#keep(answer as Response<'Metadata'>)
        return
      } catch (error) {
        if (!(error instanceof KafkaFailure)) throw error
        if (error.serviceCode !== 'UNKNOWN_TOPIC_OR_PARTITION') throw error
        if (tries < unknownTopicTries) await pause(unknownTopicWait, signal)
        else throw this.#unknownTopic(error, names ?? [])
      }
    }
  }

  #unknownTopic(error: KafkaFailure, names: readonly string[]): KafkaFailure {
    const which =
      names.length === 1 ? `the topic "${names[0]}" is` : `one of the topics ${names.join(', ')} is`
    return new KafkaFailure('ERR_QUERY', `${which} not there, or hidden from this user`, {
      kafkaCode: 'UNKNOWN_TOPIC_OR_PARTITION',
      cause: error,
    })
  }

  #keep({ clusterId, brokers, topics }: Response<'Metadata'>): void {
    this.#id = clusterId ?? this.#id
    // Each broker is one object, so that requests are grouped by it.
    const one = (broker: BrokerAddress) => this.#brokers.find((known) => isSame(known, broker)) ?? broker
    const addresses = new Map(brokers.map(({ nodeId, host, port }) => [nodeId, one({ host, port })]))
    this.#brokers = [...addresses.values()]
    const at = performance.now()
    for (const { name, topicId: id, partitions } of topics) {
      const ordered: Partition[] = []
      for (const { partitionIndex, leaderId, leaderEpoch } of partitions)
        ordered[partitionIndex] = { leader: addresses.get(leaderId), leaderEpoch }
      this.#topics.set(name!, { topic: { name: name!, id, partitions: ordered }, at })
    }
  }
}

function isSame(one: BrokerAddress, other: BrokerAddress): boolean {
  return one.host === other.host && one.port === other.port
}

/** An answer in which nothing is wrong but that some partitions have no leader at the moment. @throws any other error */
function leaderless(error: Error & { response?: Response<'Metadata'> }): Response<'Metadata'> {
  if (error.response?.topics.every(({ errorCode }) => errorCode === 0)) return error.response
  throw error
}
