import type * as client from '@platformatic/kafka'
import { KafkaFailure } from './failure.ts'

export type Client = typeof client

/** The requests that are made, each in the newest version that is known here. */
export interface Apis {
  ApiVersions: Client['apiVersionsV3']
  FindCoordinator: Client['findCoordinatorV6']
  Fetch: Client['fetchV17']
  Heartbeat: Client['heartbeatV4']
  InitProducerId: Client['initProducerIdV5']
  JoinGroup: Client['joinGroupV9']
  LeaveGroup: Client['leaveGroupV5']
  ListOffsets: Client['listOffsetsV9']
  Metadata: Client['metadataV12']
  OffsetCommit: Client['offsetCommitV9']
  OffsetFetch: Client['offsetFetchV9']
  Produce: Client['produceV11']
  SyncGroup: Client['syncGroupV5']
}

/** The versions of each request that a broker offers. */
export type Versions = ReadonlyMap<string, Response<'ApiVersions'>['apiKeys'][number]>
export type Response<N extends keyof Apis> = Awaited<ReturnType<Apis[N]['api']['async']>>
/** What a broker answers to a request that produces. */
export type ProduceResponse = Exclude<Response<'Produce'>, boolean>
export type Arguments<N extends keyof Apis> = Parameters<Apis[N]['createRequest']>

/** One version of a request. */
export interface Api {
  readonly api: { async(connection: client.Connection, ...args: unknown[]): Promise<unknown> }
  createRequest(...args: unknown[]): client.Writer
  parseResponse(correlation: number, key: number, version: number, reader: client.Reader): unknown
}

/** The newest version of each request whose arguments are as they are given here. */
const newest: Readonly<Record<keyof Apis, number>> = {
  ApiVersions: 3,
  FindCoordinator: 6,
  Fetch: 17,
  Heartbeat: 4,
  InitProducerId: 5,
  JoinGroup: 9,
  LeaveGroup: 5,
  ListOffsets: 9,
  Metadata: 12,
  OffsetCommit: 9,
  OffsetFetch: 9,
  // From version 10 a broker that is no longer the leader names the new one in tagged fields, which the client misreads.
  Produce: 9,
  SyncGroup: 5,
}

/** A request whose bytes its caller writes or reads. */
export interface Exchange<T> {
  readonly name: 'Fetch' | 'Produce'
  /** Kafka's number of the request. */
  readonly key: number
  /** The first version in which lengths are written in few bytes. */
  readonly compactFrom: number
  /** @param usual writes the request as the client does */
  write(version: number, usual: Api['createRequest']): client.Writer
  /** @param usual reads the answer as the client does */
  read(reader: client.Reader, version: number, usual: () => unknown): T
}

/** The newest version of a request that both sides know. @throws KafkaFailure if there is none */
export function newestApi(client: Client, versions: Versions, name: keyof Apis): [Api, number] {
  const { minVersion = 0, maxVersion = -1 } = versions.get(name) ?? {}
  const prefix = `${name[0]!.toLowerCase()}${name.slice(1)}V`
  for (let version = Math.min(maxVersion, newest[name]); version >= minVersion; version--) {
    const api = (client as unknown as Record<string, Api>)[`${prefix}${version}`]
    if (api) return [api, version]
  }
  throw new KafkaFailure(
    'ERR_QUERY',
    `the broker offers ${name} in the versions ${minVersion} to ${maxVersion}, none of which is known here`,
  )
}
