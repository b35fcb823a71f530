// Every option declaration, and where its type is written, unless that is done by hand. `any` lists groups of options of
// which at least one must be given whole, `one` lists options of which just one is given: calls without do not compile.
import { azureSpecs } from '../dist/connectors/azure/options.js'
import {
  boundedDeclaration,
  streamDeclaration,
  targetDeclaration,
} from '../dist/connectors/azure-monitor/options.js'
import {
  boundedDeclaration as filesDeclaration,
  streamDeclaration as filesStreamDeclaration,
} from '../dist/connectors/files/options.js'
import { restOptions } from '../dist/connectors/rest/options.js'
import { sentinelOptions } from '../dist/connectors/sentinel/options.js'
import { splunkOptions } from '../dist/connectors/splunk/options.js'
import { boundedSearch, streamSearch } from '../dist/connectors/splunk/search/options.js'
import { httpSpecs } from '../dist/http/options.js'
import { sinkSpecs } from '../dist/sink/options.js'
import { rangeSpecs, sourceSpecs, streamWindowSpecs } from '../dist/source/options.js'
import { azureBlobDeclaration } from '../dist/stores/azure-blob/options.js'
import { queryOptions } from '../dist/streaming/query-options.js'

const sink = sinkSpecs({ batch_size: 50, batch_bytes: 1_000_000, max_in_flight: 4 })
const streamWindows = { max_in_flight: 4, safety_lag_seconds: 300 }

const signingIn = Object.fromEntries(Object.entries(azureSpecs).filter(([name]) => !(name in httpSpecs)))

/** Options that several connectors have: each is written once, and taken from there where it is the same. */
export const groups = [
  {
    specs: httpSpecs,
    name: 'HttpOptions',
    title: 'Options of HTTP clients.',
    file: 'lib/http/options.types.ts',
  },
  { specs: sink, name: 'SinkOptions', title: 'Options of sinks.', file: 'lib/sink/options.types.ts' },
  {
    specs: sourceSpecs(streamWindows),
    name: 'SourceOptions',
    title: 'Options of sources.',
    file: 'lib/source/options.types.ts',
  },
  {
    specs: rangeSpecs,
    name: 'RangeOptions',
    title: 'Options of bounded sources that read a span of time.',
    file: 'lib/source/options.types.ts',
  },
  {
    specs: streamWindowSpecs(streamWindows),
    name: 'StreamWindowOptions',
    title: 'Options of streaming sources that read windows of time.',
    file: 'lib/source/options.types.ts',
  },
  {
    specs: signingIn,
    name: 'AzureOptions',
    title: 'Options of signing in to Azure.',
    file: 'lib/connectors/azure/options.types.ts',
  },
].map(({ specs, ...entry }) => ({ declaration: { specs, prefixes: {} }, ...entry }))

const signIn = [
  ['credential'],
  ['databricks_credential'],
  ['azure_default_credential'],
  ['tenant_id', 'client_id', 'client_secret'],
]
const target = ['workspace_id', 'resource_id']

export const declarations = [
  {
    declaration: targetDeclaration,
    name: 'AzureMonitorTablesOptions',
    title: 'Options of `listTables` and `tableSchema`.',
    file: 'lib/connectors/azure-monitor/options.types.ts',
    any: [signIn],
    one: [target],
  },
  {
    declaration: boundedDeclaration,
    name: 'AzureMonitorReadableOptions',
    title: 'Options of the bounded Azure Monitor source.',
    file: 'lib/connectors/azure-monitor/options.types.ts',
    any: [signIn],
    one: [target, ['timespan', 'start_time', 'window']],
  },
  {
    declaration: streamDeclaration,
    name: 'AzureMonitorStreamReadableOptions',
    title: 'Options of the streaming Azure Monitor source.',
    file: 'lib/connectors/azure-monitor/options.types.ts',
    any: [signIn],
    one: [target],
  },
  {
    declaration: splunkOptions,
    name: 'SplunkOptions',
    title: 'Options of the Splunk sink.',
    file: 'lib/connectors/splunk/options.types.ts',
  },
  {
    declaration: boundedSearch,
    name: 'SplunkReadableOptions',
    title: 'Options of the bounded Splunk source.',
    file: 'lib/connectors/splunk/search-options.types.ts',
    one: [['timespan', 'start_time', 'window']],
  },
  {
    declaration: streamSearch,
    name: 'SplunkStreamReadableOptions',
    title: 'Options of the streaming Splunk source.',
    file: 'lib/connectors/splunk/search-options.types.ts',
  },
  {
    declaration: restOptions,
    name: 'RestOptions',
    title: 'Options of the REST sink.',
    file: 'lib/connectors/rest/options.types.ts',
  },
  {
    declaration: sentinelOptions,
    name: 'SentinelOptions',
    title: 'Options of the Sentinel sink.',
    file: 'lib/connectors/sentinel/options.types.ts',
    any: [signIn],
  },
  {
    declaration: azureBlobDeclaration,
    name: 'AzureBlobStoreOptions',
    title:
      'Options of the checkpoint store in Azure Blob Storage. Each name may be written in camelCase as well; numbers and booleans may be texts.',
    file: 'lib/stores/azure-blob/options.types.ts',
  },
  {
    declaration: filesDeclaration,
    name: 'FilesReadableOptions',
    title: 'Options of the bounded source of files.',
    file: 'lib/connectors/files/options.types.ts',
  },
  {
    declaration: filesStreamDeclaration,
    name: 'FilesStreamReadableOptions',
    title: 'Options of the streaming source of files.',
    file: 'lib/connectors/files/options.types.ts',
  },
  { declaration: queryOptions, name: 'StreamingQueryOptions' },
  // A table of a sink's own options shows those with other defaults too.
  { declaration: { specs: { ...sink, ...httpSpecs }, prefixes: {} }, name: 'SinkOptions' },
]
