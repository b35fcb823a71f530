// What a start costs: the CPU of whole processes, without that of bare Node.
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { median, startServer } from './harness.mjs'
import { goal, table } from './report.mjs'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))
const atExit = `data:text/javascript,${encodeURIComponent(
  `process.on('exit', () => {
    const { user, system } = process.cpuUsage()
    process.stderr.write('\\n' + (user + system) / 1000)
  })`,
)}`

/** Milliseconds of CPU of a process of Node. */
async function cpu(args) {
  const { stderr } = await run(process.execPath, ['--import', atExit, ...args], { cwd: root })
  return Number(stderr.slice(stderr.lastIndexOf('\n')))
}

const program = (text) => ['--input-type=module', '--eval', text]

export async function start({ rounds }) {
  const hec = await startServer('hec')
  const oneRow = `import { SplunkWritable } from 'cyber-connectors'
    const sink = new SplunkWritable({ url: '${hec.url}', token: '11111111-2222-3333-4444-555555555555' })
    sink.end({ a: 1 })
    sink.on('finish', () => process.exit())`
  const starts = {
    bare: program(''),
    'import cyber-connectors': program(`import 'cyber-connectors'`),
    'import cyber-connectors, one row to HEC': program(oneRow),
    'import got, nothing else': program(`import 'got'`),
    'cyber-connectors --version': ['dist/bundle/cli.js', '--version'],
  }
  const measured = Object.fromEntries(Object.keys(starts).map((name) => [name, []]))
  try {
    for (let round = 0; round < rounds * 3; round++)
      for (const [name, args] of Object.entries(starts)) measured[name].push(await cpu(args))
  } finally {
    await hec.close()
  }
  const beyondBare = (name) => median(measured[name].map((value, round) => value - measured.bare[round]))
  const names = Object.keys(starts).slice(1)
  const [imported, oneSent, got, version] = names.map(beyondBare)
  return `### Start

CPU time of a process, all threads, minus that of bare Node (${median(measured.bare).toFixed(0)} ms).

${table(
  ['', 'ms of CPU'],
  names.map((name) => [name, beyondBare(name).toFixed(0)]),
)}

The first request adds ${(oneSent - imported).toFixed(0)} ms, because it loads got (${got.toFixed(0)} ms alone).

${goal('ms of CPU, import', imported, 50, { most: true })}
${goal('ms of CPU, first request to HEC', oneSent - imported, 50, { most: true })}
${goal('ms of CPU, --version', version, 60, { most: true })}`
}
