// Imports point inward: cli -> streaming -> connectors, stores -> sink, source -> checkpoint -> http -> core.
// `npm run lint` checks it; `npm run drawing` draws it.
const rooms = {
  core: [],
  http: ['core'],
  checkpoint: ['core'],
  sink: ['core', 'http'],
  source: ['core', 'http', 'checkpoint'],
  connectors: ['core', 'http', 'checkpoint', 'sink', 'source'],
  stores: ['core', 'http', 'checkpoint', 'connectors/azure'],
  emulators: ['core', 'http'],
  streaming: ['core', 'http', 'checkpoint', 'sink', 'source', 'connectors', 'stores'],
  metrics: ['core', 'sink', 'source', 'streaming'],
  // And lib/registry.ts, which has the sinks by name.
  pino: ['core', 'sink', 'registry.ts'],
}

/** @type {import('dependency-cruiser').IConfiguration} */
export default {
  forbidden: [
    { name: 'no circle', severity: 'error', from: {}, to: { circular: true } },
    ...Object.entries(rooms).map(([room, inner]) => ({
      name: `${room} imports inward only`,
      severity: 'error',
      from: { path: `^lib/${room}/` },
      to: { path: '^lib/', pathNot: `^lib/(${[room, ...inner].join('|')})(/|$)` },
    })),
    {
      name: 'no connector imports another',
      severity: 'error',
      from: { path: '^lib/connectors/([^/]+)/' },
      to: { path: '^lib/connectors/', pathNot: '^lib/connectors/($1|azure)/' },
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    doNotFollow: { path: 'node_modules' },
    includeOnly: '^lib/',
  },
}
