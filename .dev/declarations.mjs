// Every option declaration, and where its type is written.
import { restOptions } from '../dist/rest/options.js'
import { splunkOptions } from '../dist/splunk/options.js'

export const declarations = [
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
]
