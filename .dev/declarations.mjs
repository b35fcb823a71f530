// Every option declaration, and where its type is written, unless that is done by hand.
import { boundedDeclaration, targetDeclaration } from '../dist/azure-monitor/options.js'
import { streamDeclaration } from '../dist/azure-monitor/stream-options.js'
import { restOptions } from '../dist/rest/options.js'
import { sentinelOptions } from '../dist/sentinel/options.js'
import { splunkOptions } from '../dist/splunk/options.js'
import { queryOptions } from '../dist/streaming/query-options.js'

export const declarations = [
  {
    declaration: boundedDeclaration,
    name: 'AzureMonitorReadableOptions',
    title:
      'Options of the bounded Azure Monitor source. Each name may be written in camelCase as well; numbers and booleans may be texts.',
    file: 'lib/azure-monitor/options.types.ts',
  },
  {
    declaration: streamDeclaration,
    name: 'AzureMonitorStreamReadableOptions',
    title:
      'Options of the streaming Azure Monitor source. Each name may be written in camelCase as well; numbers and booleans may be texts.',
    file: 'lib/azure-monitor/options.types.ts',
  },
  {
    declaration: targetDeclaration,
    name: 'AzureMonitorTablesOptions',
    title:
      'Options of `listTables` and `tableSchema`. Each name may be written in camelCase as well; numbers and booleans may be texts.',
    file: 'lib/azure-monitor/options.types.ts',
  },
  {
    declaration: splunkOptions,
    name: 'SplunkOptions',
    title:
      'Options of the Splunk sink. Each name may be written in camelCase as well; numbers and booleans may be texts.',
    file: 'lib/splunk/options.types.ts',
  },
  {
    declaration: restOptions,
    name: 'RestOptions',
    title:
      'Options of the REST sink. Each name may be written in camelCase as well; numbers and booleans may be texts.',
    file: 'lib/rest/options.types.ts',
  },
  {
    declaration: sentinelOptions,
    name: 'SentinelOptions',
    title:
      'Options of the Sentinel sink. Each name may be written in camelCase as well; numbers and booleans may be texts.',
    file: 'lib/sentinel/options.types.ts',
  },
  { declaration: queryOptions, name: 'StreamingQueryOptions' },
]
