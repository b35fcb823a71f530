// The parts of the bench: what is run, and how it is told.
import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { auto } from './auto.mjs'
import { faults } from './faults.mjs'
import { files } from './files.mjs'
import { forward } from './forward.mjs'
import { alternate, startServer, trial } from './harness.mjs'
import { kafka } from './kafka.mjs'
import { linePlot } from './plot.mjs'
import { processes } from './processes.mjs'
import { profile } from './profile.mjs'
import { queue } from './queue.mjs'
import { goal, megabytes, ratio, round, table } from './report.mjs'
import { recordNames } from './rows.mjs'
import { start } from './start.mjs'

const ours = 'cyber-connectors'
const rate = ({ rows, seconds }) => rows / seconds
const perCpu = ({ rows, cpu }) => rows / cpu

/** Senders in turn against one server, which must have got every row that was sent. */
async function compareSenders(suite, serverKind, labels, options, rounds) {
  const server = await startServer(serverKind)
  let seen = 0
  const contestants = {}
  for (const [label, { contestant = label, ...own }] of Object.entries(labels))
    contestants[label] = {
      suite,
      contestant,
      options: { ...options, ...own, url: server.url, ca: server.ca },
    }
  try {
    return await alternate(contestants, {
      rounds,
      async check(label, { rows }) {
        const count = await server.count()
        if (count - seen !== rows + options.warmUp)
          throw new Error(
            `${label}: the server got ${count - seen} rows in place of ${rows + options.warmUp}`,
          )
        seen = count
      },
    })
  } finally {
    await server.close()
  }
}

function senderTable(result) {
  return table(
    ['', 'rows/s', 'rows per CPU second', 'peak memory', 'ours to it, rows/s', 'ours to it, per CPU second'],
    result.labels.map((label) => [
      label,
      round(result.of(label, rate)),
      round(result.of(label, perCpu)),
      megabytes(result.of(label, 'peak')),
      label === ours ? '' : ratio(result.ratio(ours, label, rate)),
      label === ours ? '' : ratio(result.ratio(ours, label, perCpu)),
    ]),
  )
}

const scaled = ({ quick }, rows) => (quick ? Math.ceil(rows / 4) : rows)
const keptAlive = 'splunk-logging, kept alive'
const hecPeers = { [ours]: {}, 'got loop': {}, 'node:http loop': {}, 'splunk-logging': {}, [keptAlive]: {} }

async function splunk(scale) {
  const of = (batch, rows, warmUp) =>
    compareSenders(
      'splunk',
      'hec',
      hecPeers,
      { batch, rows: scaled(scale, rows), warmUp: scaled(scale, warmUp) },
      scale.rounds,
    )
  const small = await of(50, 120_000, 60_000)
  const large = await of(500, 400_000, 200_000)
  return `### Splunk sink

Rows of about 470 bytes to a HEC that only counts, over HTTP on loopback, 4 requests in flight, not compressed. The bare loops post the same bodies without backpressure, retries or timeouts. splunk-logging limits neither requests nor connections, so the bench limits it to 4 requests in flight, and also runs it with a keep-alive agent.

50 rows a request:

${senderTable(small)}

500 rows a request:

${senderTable(large)}

${goal('rows per CPU second to the got loop, 50 a request', small.ratio(ours, 'got loop', perCpu), 0.95)}
${goal('rows/s to splunk-logging, 50 a request', small.ratio(ours, 'splunk-logging', rate), 1.2)}
${goal('rows/s to splunk-logging kept alive, 50 a request', small.ratio(ours, keptAlive, rate), 1.2)}
${goal('rows/s to splunk-logging, 500 a request', large.ratio(ours, 'splunk-logging', rate), 1.5)}
${goal('rows/s to splunk-logging kept alive, 500 a request', large.ratio(ours, keptAlive, rate), 1.5)}
${goal('rows/s to node:http, 500 a request', large.ratio(ours, 'node:http loop', rate), 0.85)}
${goal('rows per CPU second to node:http, 500 a request', large.ratio(ours, 'node:http loop', perCpu), 0.85)}`
}

/** The Go exporter, built; nothing where there is no Go. The checksum database may be out of reach: go.sum is what counts. */
function goPeer() {
  const cwd = new URL('go-exporter/', import.meta.url)
  try {
    execFileSync('go', ['version'], { stdio: 'ignore' })
  } catch {
    return undefined
  }
  const env = { ...process.env, GONOSUMDB: '*', GOFLAGS: '-mod=readonly' }
  execFileSync('go', ['build', '-buildvcs=false', '-o', 'go-exporter', '.'], { cwd, env, stdio: 'inherit' })
  return fileURLToPath(new URL('go-exporter', cwd))
}

async function go(scale) {
  const head = `### Splunk sink and the Go exporter

The same rows to the same HEC, 4 requests in flight, against the OpenTelemetry collector's \`splunkhec\` exporter, which reuses prepared logs.`
  const binary = goPeer()
  if (!binary) return `${head}\n\nSkipped: Go is not installed.`
  const peer = 'Go exporter'
  const rows = scaled(scale, 200_000)
  const sections = []
  const goals = []
  for (const [batch, zipped] of [
    [50, true],
    [50, false],
    [500, true],
    [500, false],
  ]) {
    const options = { batch, gzip: zipped, rows, binary }
    const of = (warmUp) =>
      compareSenders('splunk', 'hec', { [ours]: {}, [peer]: {} }, { ...options, warmUp }, scale.rounds)
    const cold = await of(0)
    const warm = await of(rows)
    const line = (label, name, result) => [
      name,
      round(result.of(label, rate)),
      round(result.of(label, perCpu)),
      label === ours ? ratio(result.ratio(ours, peer, perCpu)) : '',
    ]
    const title = `${batch} rows a request, ${zipped ? 'gzip' : 'not compressed'}`
    sections.push(
      `${title}:\n\n${table(
        ['', 'rows/s', 'rows per CPU second', 'ours to it, per CPU second'],
        [
          line(ours, `${ours}, cold`, cold),
          line(peer, `${peer}, cold`, cold),
          line(ours, `${ours}, warm`, warm),
          line(peer, `${peer}, warm`, warm),
        ],
      )}`,
    )
    if (batch !== 50) continue
    const least = zipped ? 1.2 : 1
    goals.push(
      goal(`rows per CPU second to the Go exporter, ${title}, warm`, warm.ratio(ours, peer, perCpu), least),
      goal(`rows per CPU second to the Go exporter, ${title}, cold`, cold.ratio(ours, peer, perCpu), least),
    )
  }
  return `${head} Cold: ${rows.toLocaleString('en-US')} rows, including the start of the program. Warm: as many again in the same process.

${sections.join('\n\n')}

${goals.join('\n')}`
}

async function gzip(scale) {
  const levels = [1, 2, 3, 4, 5, 6]
  const labels = { none: { contestant: ours } }
  for (const level of levels) labels[`gzip ${level}`] = { contestant: ours, level }
  const options = { batch: 50, rows: scaled(scale, 80_000), warmUp: scaled(scale, 40_000) }
  const result = await compareSenders('splunk', 'hec', labels, options, scale.rounds)
  const bytes = await bytesARow(levels, options.batch)
  const lines = result.labels.map((label) => {
    const size = bytes[label]
    const own = result.of(label, rate)
    const over = (bitsPerSecond) => round(Math.min(own, bitsPerSecond / 8 / size))
    return [label, round(own), round(result.of(label, perCpu)), round(size), over(1e8), over(1e9)]
  })
  return `### Compression

The Splunk sink, 50 rows a request, by gzip level: bytes a row on the wire, headers included, and rows/s over links of 100 Mbit/s and 1 Gbit/s.

${table(['', 'rows/s', 'rows per CPU second', 'bytes a row', 'at 100 Mbit/s', 'at 1 Gbit/s'], lines)}

The sink uses level 1, because higher levels cost CPU and save few bytes. Compression is the default: it saves most of the bandwidth, and is faster up to 100 Mbit/s. Use \`compression: 'none'\` for loopback and fast private networks.`
}

/** Bytes a row on the wire, with about 330 bytes of head for each request. */
async function bytesARow(levels, batch) {
  const { gzipSync } = await import('node:zlib')
  const { zeekRows } = await import('./rows.mjs')
  const rows = zeekRows(batch * 20)
  const sizes = { none: 0 }
  for (const level of levels) sizes[`gzip ${level}`] = 0
  for (let at = 0; at < rows.length; at += batch) {
    const body = rows
      .slice(at, at + batch)
      .map((row) => `{"time":1700000000.123,"sourcetype":"_json","event":${JSON.stringify(row)}}`)
      .join('\n')
    sizes.none += Buffer.byteLength(body)
    for (const level of levels) sizes[`gzip ${level}`] += gzipSync(body, { level }).length
  }
  return Object.fromEntries(
    Object.entries(sizes).map(([label, size]) => [label, size / rows.length + 330 / batch]),
  )
}

async function source(scale) {
  const rows = scaled(scale, 200_000)
  const of = async (gzipped, names, warm) => {
    const server = await startServer('query', { rows, gzip: gzipped })
    const options = { ...server, rows, warm, loopDelay: true }
    try {
      const result = await alternate(
        Object.fromEntries(names.map((name) => [name, { suite: 'source', contestant: name, options }])),
        { rounds: scale.rounds },
      )
      return { result, bytes: server.bytes }
    } finally {
      await server.close()
    }
  }
  const lines = (result) =>
    table(
      [
        '',
        'seconds',
        'first row',
        'CPU seconds',
        'peak memory',
        'loop delay p99.9',
        'longest',
        'rate, ours to it',
      ],
      result.labels.map((label) => [
        label,
        round(result.of(label, 'seconds')),
        round(result.of(label, 'first')),
        round(result.of(label, 'cpu')),
        megabytes(result.of(label, 'peak')),
        `${round(result.of(label, 'delay'))} ms`,
        `${round(result.of(label, 'longest'))} ms`,
        label === ours ? '' : ratio(result.ratio(ours, label, rate)),
      ]),
    )
  const others = ['JSON.parse', 'download']
  const { result: plain, bytes } = await of(false, [ours, 'LogsQueryClient', ...others], false)
  const { result: packed } = await of(true, [ours, ...others], false)
  const { result: warmPlain } = await of(false, [ours, ...others], true)
  const { result: warmPacked } = await of(true, [ours, ...others], true)
  const goals = (title, result, least) => {
    const first = result.ratio(ours, 'download', 'first')
    return `${goal(`rate to JSON.parse, ${title}`, result.ratio(ours, 'JSON.parse', rate), least)}
${goal(`time of the first row to a download, ${title}`, first, 1.1, { most: true })}`
  }
  return `### Source

One answer of ${megabytes(bytes)}, ${rows.toLocaleString('en-US')} rows of 10 columns, over TLS on loopback, into a Writable that counts. \`JSON.parse\` parses the whole answer at once, without types, Dates or objects; \`download\` only receives. cyber-connectors, JSON.parse and download each open a connection.

Not compressed, the first large answer of a process:

${lines(plain)}

The same, after one earlier read (whose memory counts):

${lines(warmPlain)}

With gzip, as the service sends it to clients that accept it, the first large answer of a process:

${lines(packed)}

The same, after one earlier read:

${lines(warmPacked)}

${goal('rate to LogsQueryClient', plain.ratio(ours, 'LogsQueryClient', rate), 6)}
${goal('memory to LogsQueryClient', plain.ratio(ours, 'LogsQueryClient', 'peak'), 0.167, { most: true })}
${goals('not compressed, first', plain, 0.9)}
${goals('not compressed, warm', warmPlain, 0.9)}
${goals('gzip, first', packed, 1.5)}
${goals('gzip, warm', warmPacked, 1.5)}
${goal('peak memory in MB, not compressed', plain.of(ours, 'peak') / 1e6, 120, { most: true })}
${goal('peak memory in MB, gzip', packed.of(ours, 'peak') / 1e6, 120, { most: true })}
${goal('event-loop delay at p99.9 in ms, not compressed', plain.of(ours, 'delay'), 50, { most: true })}
${goal('event-loop delay at p99.9 in ms, gzip', packed.of(ours, 'delay'), 50, { most: true })}`
}

/** A Python that has the splunk-sdk: the one that .ci/services made, or the system's. Without it that peer is left out. */
function pythonPeer() {
  for (const python of [
    fileURLToPath(new URL('../../.services/python/bin/python', import.meta.url)),
    'python3',
  ]) {
    try {
      execFileSync(python, ['-c', 'import splunklib.results'], { stdio: 'ignore' })
      return python
    } catch {
      // Not this one.
    }
  }
  return undefined
}

async function search(scale) {
  const rows = scaled(scale, 200_000)
  const of = async (size, names, rounds) => {
    const server = await startServer('splunkd', { rows: size })
    // The npm splunk-sdk takes no CA.
    const env = { NODE_TLS_REJECT_UNAUTHORIZED: '0', NODE_NO_WARNINGS: '1' }
    try {
      const contestants = names.map((name) => {
        const options = { ...server, rows: size, python, loopDelay: name !== pythonLabel }
        return [
          name,
          { suite: 'search', contestant: name, options, env: name === 'splunk-sdk (npm)' ? env : {} },
        ]
      })
      return { result: await alternate(Object.fromEntries(contestants), { rounds }), bytes: server.bytes }
    } finally {
      await server.close()
    }
  }
  const python = pythonPeer()
  const pythonLabel = 'splunk-sdk (Python)'
  const peers = ['JSON.parse', 'splunk-sdk (npm)', ...(python ? [pythonLabel] : [])]
  const { result, bytes } = await of(rows, [ours, ...peers], scale.rounds)
  const { result: large } = await of(rows * 5, [ours], 1)
  const times = (label) => result.ratio(ours, label, rate)
  const lines = table(
    ['', 'seconds', 'peak memory', 'loop delay p99.9', 'rate, ours to it'],
    result.labels.map((label) => [
      label,
      round(result.of(label, 'seconds')),
      megabytes(result.of(label, 'peak')),
      label === pythonLabel ? '' : `${round(result.of(label, 'delay'))} ms`,
      label === ours ? '' : ratio(times(label)),
    ]),
  )
  return `### Splunk as a source

One export answer of ${megabytes(bytes)}, ${rows.toLocaleString('en-US')} events, over TLS on loopback, not compressed. \`JSON.parse\` parses each line on arrival; the npm splunk-sdk reads all results at once; the Python one uses JSONResultsReader${python ? '' : ' (not installed here: run .ci/sdks)'}.

${lines}

${python ? goal('rate to the Python splunk-sdk', times(pythonLabel), 3) : ''}
${python ? goal('rate of JSON.parse to the Python splunk-sdk', result.ratio('JSON.parse', pythonLabel, rate), 3) : ''}
${goal('rate to the npm splunk-sdk', times('splunk-sdk (npm)'), 3)}
${goal('rate to JSON.parse', times('JSON.parse'), 0.7)}
${goal(`peak memory in MB at ${(rows * 5).toLocaleString('en-US')} events`, large.of(ours, 'peak') / 1e6, 150, { most: true })}
${goal('event-loop delay at p99.9 in ms', result.of(ours, 'delay'), 50, { most: true })}`
}

async function sentinel(scale) {
  const peer = 'LogsIngestionClient loop'
  const of = (batch, rows, warmUp) =>
    compareSenders(
      'sentinel',
      'ingestion',
      { [ours]: {}, [peer]: {} },
      { batch, rows: scaled(scale, rows), warmUp: scaled(scale, warmUp) },
      scale.rounds,
    )
  const small = await of(50, 200_000, 100_000)
  const large = await of(2000, 200_000, 100_000)
  return `### Sentinel sink

The same rows to an endpoint that only counts, over TLS, 4 calls in flight. Both compress.

50 rows a call:

${senderTable(small)}

2,000 rows a call, about 1 MB:

${senderTable(large)}

${goal('rows/s to the loop, 50 a call', small.ratio(ours, peer, rate), 1)}
${goal('rows/s to the loop, 1 MB a call', large.ratio(ours, peer, rate), 1)}
${goal('memory to the loop, 50 a call', small.ratio(ours, peer, 'peak'), 1, { most: true })}
${goal('memory to the loop, 1 MB a call', large.ratio(ours, peer, 'peak'), 1, { most: true })}`
}

async function rest(scale) {
  const result = await compareSenders(
    'rest',
    'webhook',
    { [ours]: {}, 'got loop': {} },
    { rows: scaled(scale, 12_000), warmUp: scaled(scale, 4_000) },
    scale.rounds,
  )
  return `### REST sink

One JSON object a request to a server that only counts, over HTTP, 4 requests in flight.

${senderTable(result)}

${goal('rows/s to the got loop', result.ratio(ours, 'got loop', rate), 0.95)}
${goal('rows per CPU second to the got loop', result.ratio(ours, 'got loop', perCpu), 0.95)}`
}

async function pathServers({ delay } = {}) {
  const query = await startServer('query', { gzip: true })
  const hec = await startServer('hec', { delay })
  return {
    options: { query: { url: query.url, ca: query.ca }, hec: { url: hec.url } },
    async close() {
      await query.close()
      await hec.close()
    },
  }
}

const folder = new URL('../../.github/bench/', import.meta.url)

function writePlot(name, text) {
  mkdirSync(folder, { recursive: true })
  writeFileSync(new URL(`${name}.svg`, folder), text)
  return `../../.github/bench/${name}.svg`
}

async function path(scale) {
  const sizes = [10_000, 100_000, 1_000_000, ...(scale.full ? [5_000_000] : [])]
  const servers = await pathServers()
  const name = (rows) => `${rows.toLocaleString('en-US')} rows`
  const of = (rows, more) => ({
    suite: 'path',
    contestant: 'to Splunk',
    options: {
      ...servers.options,
      rows: scaled(scale, rows),
      times: Math.max(1, Math.ceil(100_000 / rows)),
      warmUp: 100_000,
      batch: 500,
      ...more,
    },
  })
  const sized = Object.fromEntries(sizes.map((rows) => [name(scaled(scale, rows)), of(rows)]))
  const labels = Object.keys(sized)
  const [smallest, middle, million] = labels
  const [before, last] = labels.slice(-2)
  const transformed = `${million}, through a Transform`
  const bare = `${million}, bare loop`
  const contestants = {
    ...sized,
    [transformed]: of(1_000_000, { transform: true }),
    [bare]: { ...of(1_000_000), contestant: 'bare loop' },
  }
  try {
    const result = await alternate(contestants, { rounds: scale.quick ? 1 : 5 })
    const micros = ({ rows, cpu }) => (cpu * 1e6) / rows
    return `### Whole path

Query API, windows of up to 100,000 rows, through \`AzureMonitorReadable\` and \`SplunkWritable\` (500 rows a request, compressed) to HEC; both servers in separate processes${scale.full ? '' : '; `--full` adds 5 million rows'}. The bare loop uses JSON.parse, JSON.stringify, zlib and Node's HTTP; it holds each answer as one string, without read-ahead or retries. Its memory figure covers the whole process, warm-up included.

${table(
  ['', 'rows/s', 'CPU µs a row', 'peak memory while it runs', 'peak heap'],
  result.labels.map((label) => [
    label,
    round(result.of(label, rate)),
    round(result.of(label, micros)),
    megabytes(result.of(label, label === bare ? 'peak' : 'memory')),
    label === bare ? '' : megabytes(result.of(label, 'heap')),
  ]),
)}

${goal(`CPU µs a row, ${last}`, result.of(last, micros), 7.5, { most: true })}
${goal('CPU a row, to the bare loop', result.ratio(million, bare, micros), 1.1, { most: true })}
${goal('CPU a row with a Transform, to none', result.ratio(transformed, million, micros), 1.05, { most: true })}
${goal(`CPU a row, ${last} to ${middle}`, result.of(last, micros) / result.of(middle, micros), 1.1, { most: true })}
${goal(`CPU a row, ${smallest} to ${middle}`, result.of(smallest, micros) / result.of(middle, micros), 1.1, { most: true })}
${goal(`peak memory, ${last} to ${before}`, result.of(last, 'memory') / result.of(before, 'memory'), 1.1, { most: true })}

The 10,000 rows run ten times, each with a new source and sink, because one run takes an eighth of a second. The source requests four windows ahead and holds them compressed.`
  } finally {
    await servers.close()
  }
}

async function backpressure(scale) {
  const batch = 50
  const inFlight = 4
  const seconds = scale.quick ? 15 : 60
  const rows = 10_000_000
  const free = await pathServers()
  const { rows: read, seconds: took } = await trial('path', 'to nowhere', {
    ...free.options,
    rows: 500_000,
    warmUp: 100_000,
  })
  await free.close()
  const slowRate = read / took / 10
  const delay = Math.max(1, Math.round((batch * inFlight * 1000) / slowRate))
  const servers = await pathServers({ delay })
  const samples = []
  try {
    await trial(
      'path',
      'to Splunk',
      { ...servers.options, rows, warmUp: 0, batch, compression: 'none', seconds },
      { onMessage: (sample) => samples.push(sample) },
    )
  } finally {
    await servers.close()
  }
  const at = (figure) => samples.map((sample) => [sample.at, figure(sample)])
  const file = writePlot(
    'backpressure',
    linePlot(
      'A sink ten times slower than the source',
      [
        {
          title: 'Memory, MB',
          lines: [
            { name: 'of the process', points: at(({ rss }) => rss / 1e6) },
            { name: 'heap', points: at(({ heapUsed }) => heapUsed / 1e6) },
          ],
        },
        {
          title: 'Rows, thousands',
          lines: [
            { name: 'given out by the source', points: at(({ read }) => read / 1000) },
            { name: 'acknowledged', points: at(({ delivered }) => delivered / 1000) },
          ],
        },
        {
          title: 'Rows out and not acknowledged',
          lines: [{ name: '', points: at(({ read, delivered }) => read - delivered) }],
        },
      ],
      'seconds',
    ),
  )
  const settled = samples.filter(({ at }) => at > seconds / 3)
  const half = settled.filter(({ at }) => at > (seconds * 2) / 3)
  const mean = (list) => list.reduce((sum, { rss }) => sum + rss, 0) / list.length
  const most = Math.max(...samples.map(({ read, delivered }) => read - delivered))
  return `### Backpressure

For ${seconds} seconds HEC accepts only a tenth of the source's rate (${round(slowRate)} rows/s). The source pauses while the sink is full, at most ${most} rows are unacknowledged, and memory stays level.

![Memory and rows over time](${file})

${goal('memory, last third to middle third', mean(half) / mean(settled.filter(({ at }) => at <= (seconds * 2) / 3)), 1.1, { most: true })}`
}

async function records(scale) {
  const names = recordNames()
  if (names.length === 0)
    return '### Real records\n\nSkipped: no records found (`BENCH_DATA` names their folder).'
  const { 'node:http loop': _, ...peers } = hecPeers
  const sections = []
  for (const name of names.filter((name) => name !== 'zeek-weird')) {
    const large = name === 'windows-events'
    const result = await compareSenders(
      'splunk',
      'hec',
      peers,
      {
        workload: name,
        batch: 50,
        rows: scaled(scale, large ? 40_000 : 100_000),
        warmUp: scaled(scale, large ? 20_000 : 40_000),
      },
      scale.rounds,
    )
    sections.push(`${name}:\n\n${senderTable(result)}`)
  }
  return `### Real records

Events of a Windows exercise (1,500 bytes a row) and Zeek's dns.log (500 bytes) through the Splunk sink, 50 rows a request.

${sections.join('\n\n')}`
}

async function profiles(scale) {
  const top = async (title, suite, contestant, options) => {
    const { functions, places } = await profile(suite, contestant, options)
    const lines = functions
      .slice(0, 10)
      .map(({ name, share }, index) => [
        `\`${name.replace(/, $/, '')}\``,
        `${(share * 100).toFixed(1)} %`,
        places[index] ? `${places[index].name} ${(places[index].share * 100).toFixed(1)} %` : '',
      ])
    return `${title}:\n\n${table(['its own time', 'share', 'by place'], lines)}`
  }
  const hec = await startServer('hec')
  const query = await startServer('query', { rows: 200_000, gzip: true })
  try {
    const options = { rows: scaled(scale, 400_000), warmUp: 60_000, batch: 50, url: hec.url }
    return `### Where the time goes

${await top('Splunk sink, 50 rows a request', 'splunk', ours, options)}

${await top('Source, one answer with gzip', 'source', ours, { ...query, rows: 200_000 })}

What each change gave: [changes.md](changes.md).`
  } finally {
    await hec.close()
    await query.close()
  }
}

async function checkpoint(scale) {
  const sizes = [200, 8784, 50_000]
  const name = (planned) => `${planned.toLocaleString('en-US')} planned`
  const commits = scaled(scale, 4000)
  const result = await alternate(
    Object.fromEntries(
      sizes.map((planned) => [
        name(planned),
        { suite: 'checkpoint', contestant: ours, options: { planned, commits } },
      ]),
    ),
    { rounds: scale.rounds },
  )
  const millis = ({ rows, seconds }) => (seconds * 1000) / rows
  const [first, , last] = result.labels
  return `### Checkpoint

Each step commits one slice and plans another, both flushed to disk by a directory store, so the number planned stays the same. ${commits.toLocaleString('en-US')} steps, including rewrites of the state.

${table(
  ['', 'ms for both', 'CPU ms for both'],
  result.labels.map((label) => [
    label,
    round(result.of(label, millis)),
    round(result.of(label, ({ rows, cpu }) => (cpu * 1000) / rows)),
  ]),
)}

${goal(`time, ${last} to ${first}`, result.of(last, millis) / result.of(first, millis), 2, { most: true })}`
}

async function windows(scale) {
  const delay = 500
  const count = 24
  const query = await startServer('query', { gzip: true, delay })
  const hec = await startServer('hec', { delay })
  const names = [
    'bounded, in a pipeline',
    'stream, in a pipeline',
    'streamingQuery, 4 windows in flight, sink as slow',
  ]
  const label = (name, warm) => `${name}, ${warm ? 'warm' : 'cold'}`
  const contestants = {}
  for (const name of names)
    for (const warm of [false, true])
      contestants[label(name, warm)] = {
        suite: 'windows',
        contestant: name,
        options: { query: { url: query.url, ca: query.ca }, hec: { url: hec.url }, count, warm },
      }
  try {
    const result = await alternate(contestants, { rounds: scale.rounds })
    const seconds = (name, warm) => result.of(label(name, warm), 'seconds')
    return `### Windows at once

${count} windows that take the service ${delay} ms each, with the default of 4 queries in flight, so at least ${(count / 4) * (delay / 1000)} s. The third row's sink also takes ${delay} ms a window, which adds half a second. Warm follows one window.

${table(
  ['', 'seconds, cold', 'seconds, warm'],
  names.map((name) => [name, seconds(name, false).toFixed(2), seconds(name, true).toFixed(2)]),
)}

${names.map((name) => goal(`seconds, ${name}, warm`, seconds(name, true), 3.75, { most: true })).join('\n')}`
  } finally {
    await query.close()
    await hec.close()
  }
}

export const parts = {
  forward,
  start,
  faults,
  source,
  search,
  splunk,
  go,
  gzip,
  processes,
  auto,
  sentinel,
  rest,
  path,
  backpressure,
  windows,
  checkpoint,
  queue,
  files,
  kafka,
  records,
  profiles,
}
