import type { Readable, Writable } from 'node:stream'
import { AzureMonitorReadable } from './connectors/azure-monitor/azure-monitor-readable.ts'
import { AzureMonitorStreamReadable } from './connectors/azure-monitor/azure-monitor-stream-readable.ts'
import {
  type AzureMonitorReadableOptions,
  type AzureMonitorStreamReadableOptions,
  boundedDeclaration,
  streamDeclaration,
} from './connectors/azure-monitor/options.ts'
import { FilesReadable } from './connectors/files/files-readable.ts'
import { FilesStreamReadable } from './connectors/files/files-stream-readable.ts'
import {
  type FilesReadableOptions,
  type FilesStreamReadableOptions,
  boundedDeclaration as filesDeclaration,
  streamDeclaration as filesStreamDeclaration,
} from './connectors/files/options.ts'
import { KafkaReadable, KafkaStreamReadable, KafkaWritable } from './connectors/kafka/index.ts'
import {
  type KafkaOptions,
  type KafkaReadableOptions,
  type KafkaStreamReadableOptions,
  boundedDeclaration as kafkaDeclaration,
  sinkDeclaration as kafkaSinkDeclaration,
  streamDeclaration as kafkaStreamDeclaration,
} from './connectors/kafka/options.ts'
import { type RestOptions, RestWritable } from './connectors/rest/index.ts'
import { restOptions } from './connectors/rest/options.ts'
import { type SentinelOptions, SentinelWritable } from './connectors/sentinel/index.ts'
import { sentinelOptions } from './connectors/sentinel/options.ts'
import { type SplunkOptions, SplunkWritable } from './connectors/splunk/index.ts'
import { splunkOptions } from './connectors/splunk/options.ts'
import { boundedSearch, streamSearch } from './connectors/splunk/search/options.ts'
import { SplunkReadable, type SplunkReadableOptions } from './connectors/splunk/splunk-readable.ts'
import {
  SplunkStreamReadable,
  type SplunkStreamReadableOptions,
} from './connectors/splunk/splunk-stream-readable.ts'
import { OptionError } from './core/errors.ts'
import { nearest } from './core/nearest-name.ts'
import type { OptionDeclaration, OptionSpecs } from './core/options.ts'
import type { EitherSpelling } from './core/spelling.ts'
import type { SliceSource } from './source/planner.ts'
import type { RowSchema } from './source/row-schema.ts'

/** One direction of a connector: how a stream is made, and which options it takes. */
export interface StreamMaker<S> {
  /** Makes the stream. @throws OptionError */
  create(options: Record<string, unknown>): S
  /** The options, for `--help`, job files and docs. The command line needs it; `createWritable` and the others don't. */
  readonly declaration?: OptionDeclaration<OptionSpecs>
}

/** A streaming source: read as a whole, or slice by slice by `streamingQuery`. */
export type StreamingSource = Readable & SliceSource

/** What a connector can be. */
export interface Connector {
  /** A bounded source. */
  readonly readable?: StreamMaker<Readable>
  /** A streaming source with offsets. */
  readonly streamReadable?: StreamMaker<StreamingSource>
  readonly writable?: StreamMaker<Writable>
}

/**
 * Sinks by name, for the types of `createWritable`. A package that registers a connector adds its own:
 *
 *     declare module 'cyber-connectors' {
 *       interface WritableTypes { pulsar: { options: PulsarOptions; stream: PulsarWritable } }
 *     }
 */
export interface WritableTypes {
  splunk: { options: SplunkOptions; stream: SplunkWritable }
  rest: { options: RestOptions; stream: RestWritable }
  kafka: { options: KafkaOptions; stream: KafkaWritable }
  'azure-monitor': { options: SentinelOptions; stream: SentinelWritable }
  'ms-sentinel': WritableTypes['azure-monitor']
}

/** Bounded sources by name, for the types of `createReadable`. */
export interface ReadableTypes {
  splunk: { options: SplunkReadableOptions; stream: SplunkReadable }
  'azure-monitor': { options: AzureMonitorReadableOptions; stream: AzureMonitorReadable }
  'ms-sentinel': ReadableTypes['azure-monitor']
  files: { options: FilesReadableOptions; stream: FilesReadable }
  kafka: { options: KafkaReadableOptions; stream: KafkaReadable }
}

/** Streaming sources by name, for the types of `createStreamReadable`. */
export interface StreamReadableTypes {
  splunk: { options: SplunkStreamReadableOptions; stream: SplunkStreamReadable }
  'azure-monitor': { options: AzureMonitorStreamReadableOptions; stream: AzureMonitorStreamReadable }
  'ms-sentinel': StreamReadableTypes['azure-monitor']
  files: { options: FilesStreamReadableOptions; stream: FilesStreamReadable }
  kafka: { options: KafkaStreamReadableOptions; stream: KafkaStreamReadable }
}

/** One way to make a stream, for options whose types the names above give. */
function making<S>(
  Stream: new (options: never) => S,
  declaration: OptionDeclaration<OptionSpecs>,
): StreamMaker<S> {
  return { create: (options) => new Stream(options as never), declaration }
}

const azureMonitor: Connector = {
  readable: making(AzureMonitorReadable, boundedDeclaration),
  streamReadable: making(AzureMonitorStreamReadable, streamDeclaration),
  writable: making(SentinelWritable, sentinelOptions),
}

const files: Connector = {
  readable: making(FilesReadable, filesDeclaration),
  streamReadable: making(FilesStreamReadable, filesStreamDeclaration),
}

const connectors = new Map<string, Connector>([
  [
    'splunk',
    {
      readable: making(SplunkReadable, boundedSearch),
      streamReadable: making(SplunkStreamReadable, streamSearch),
      writable: making(SplunkWritable, splunkOptions),
    },
  ],
  ['rest', { writable: making(RestWritable, restOptions) }],
  ['azure-monitor', azureMonitor],
  ['ms-sentinel', azureMonitor],
  ['files', files],
  [
    'kafka',
    {
      readable: making(KafkaReadable, kafkaDeclaration),
      streamReadable: making(KafkaStreamReadable, kafkaStreamDeclaration),
      writable: making(KafkaWritable, kafkaSinkDeclaration),
    },
  ],
])

/**
 * Adds a connector under a name, so that `createReadable`, `createStreamReadable`, `createWritable` and the command line
 * find it.
 * @throws OptionError if the name exists
 */
export function register(name: string, connector: Connector): void {
  if (connectors.has(name)) throw new OptionError(name, ['there is a connector of this name already'])
  connectors.set(name, connector)
}

/** The registered names, and what each can be. */
export function registered(): ReadonlyMap<string, Connector> {
  return connectors
}

/** Makes a sink by its registered name. @throws OptionError for an unknown name, or wrong options */
export function createWritable<N extends keyof WritableTypes>(
  name: N,
  options: WritableTypes[N]['options'],
): WritableTypes[N]['stream']
/** Names in camelCase are accepted too. */
export function createWritable<N extends keyof WritableTypes>(
  name: N,
  options: EitherSpelling<WritableTypes[N]['options']>,
): WritableTypes[N]['stream']
export function createWritable(name: string, options: object): Writable {
  return maker(name, 'writable', 'sink').create(options as Record<string, unknown>)
}

/** The types that a schema and `datetime` give to rows. */
interface RowTypes<S, D> {
  readonly schema?: S
  readonly datetime?: D
}

/**
 * Makes a bounded source by its registered name. With a `schema`, its rows are typed by it. Names of options in camelCase
 * are accepted too.
 * @throws OptionError for an unknown name, or wrong options
 */
export function createReadable<
  const S extends RowSchema | undefined = undefined,
  const D extends 'date' | 'string' = 'date',
>(
  name: 'azure-monitor' | 'ms-sentinel',
  options: AzureMonitorReadableOptions & RowTypes<S, D>,
): AzureMonitorReadable<S, D>
export function createReadable<
  const S extends RowSchema | undefined = undefined,
  const D extends 'date' | 'string' = 'date',
>(
  name: 'azure-monitor' | 'ms-sentinel',
  options: EitherSpelling<AzureMonitorReadableOptions> & RowTypes<S, D>,
): AzureMonitorReadable<S, D>
export function createReadable<
  const S extends RowSchema | undefined = undefined,
  const D extends 'date' | 'string' = 'date',
>(name: 'splunk', options: SplunkReadableOptions & RowTypes<S, D>): SplunkReadable<S, D>
export function createReadable<
  const S extends RowSchema | undefined = undefined,
  const D extends 'date' | 'string' = 'date',
>(name: 'splunk', options: EitherSpelling<SplunkReadableOptions> & RowTypes<S, D>): SplunkReadable<S, D>
export function createReadable<N extends keyof ReadableTypes>(
  name: N,
  options: ReadableTypes[N]['options'],
): ReadableTypes[N]['stream']
export function createReadable<N extends keyof ReadableTypes>(
  name: N,
  options: EitherSpelling<ReadableTypes[N]['options']>,
): ReadableTypes[N]['stream']
export function createReadable(name: string, options: object): Readable {
  return maker(name, 'readable', 'source').create(options as Record<string, unknown>)
}

/**
 * Makes a streaming source by its registered name. With a `schema`, its rows are typed by it. Names of options in
 * camelCase are accepted too.
 * @throws OptionError for an unknown name, or wrong options
 */
export function createStreamReadable<
  const S extends RowSchema | undefined = undefined,
  const D extends 'date' | 'string' = 'date',
>(
  name: 'azure-monitor' | 'ms-sentinel',
  options: AzureMonitorStreamReadableOptions & RowTypes<S, D>,
): AzureMonitorStreamReadable<S, D>
export function createStreamReadable<
  const S extends RowSchema | undefined = undefined,
  const D extends 'date' | 'string' = 'date',
>(
  name: 'azure-monitor' | 'ms-sentinel',
  options: EitherSpelling<AzureMonitorStreamReadableOptions> & RowTypes<S, D>,
): AzureMonitorStreamReadable<S, D>
export function createStreamReadable<
  const S extends RowSchema | undefined = undefined,
  const D extends 'date' | 'string' = 'date',
>(name: 'splunk', options: SplunkStreamReadableOptions & RowTypes<S, D>): SplunkStreamReadable<S, D>
export function createStreamReadable<
  const S extends RowSchema | undefined = undefined,
  const D extends 'date' | 'string' = 'date',
>(
  name: 'splunk',
  options: EitherSpelling<SplunkStreamReadableOptions> & RowTypes<S, D>,
): SplunkStreamReadable<S, D>
export function createStreamReadable<N extends keyof StreamReadableTypes>(
  name: N,
  options: StreamReadableTypes[N]['options'],
): StreamReadableTypes[N]['stream']
export function createStreamReadable<N extends keyof StreamReadableTypes>(
  name: N,
  options: EitherSpelling<StreamReadableTypes[N]['options']>,
): StreamReadableTypes[N]['stream']
export function createStreamReadable(name: string, options: object): Readable {
  return maker(name, 'streamReadable', 'streaming source').create(options as Record<string, unknown>)
}

/** Looks a connector up. @throws OptionError with the known names */
export function maker<K extends keyof Connector>(
  name: string,
  kind: K,
  noun: string,
): NonNullable<Connector[K]> {
  const found = connectors.get(name)?.[kind]
  if (found) return found
  const known = [...connectors].filter(([, connector]) => connector[kind]).map(([known]) => known)
  const proposal = nearest(name, known)
  const hint = proposal
    ? `did you mean "${proposal}"?`
    : `there are ${known.map((each) => `"${each}"`).join(', ')}`
  throw new OptionError(name, [`there is no ${noun} of this name; ${hint}`])
}
