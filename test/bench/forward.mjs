// Forwarding a file to HEC as whole processes, each by its CPU seconds: the command beside the loop that one would write,
// into a server in a process of its own.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { ratio, table } from './report.mjs'

const here = (name) => fileURLToPath(new URL(name, import.meta.url))
const root = here('../../')

/** A fixture's rows over and over, so many bytes of them in all. @param textOf what is written of them */
async function fileOf(path, fixture, bytes, textOf = (lines) => `${lines.join('\n')}\n`, head = '') {
  const lines = readFileSync(join(root, 'fixtures', fixture), 'utf8')
    .trim()
    .split('\n')
  const text = Buffer.from(textOf(lines))
  const file = createWriteStream(path)
  file.write(head)
  let rows = 0
  for (let size = 0; size < bytes; size += text.length) {
    if (!file.write(text)) await once(file, 'drain')
    rows += lines.length
  }
  file.end()
  await once(file, 'close')
  return { path, rows }
}

const csvColumns = [
  '_path',
  'ts',
  'uid',
  'id.orig_h',
  'id.orig_p',
  'id.resp_h',
  'id.resp_p',
  'proto',
  'query',
  'rcode',
]
const cell = (value = '') => (/[",\n]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : value)
const csvOf = (lines) =>
  lines.map((line) => `${csvColumns.map((name) => cell(JSON.parse(line)[name])).join(',')}\n`).join('')

/** A process that tells its CPU seconds and the largest memory it had in MB, at its end. */
class Measured {
  #text = ''
  #errors = ''

  constructor(args) {
    this.child = spawn(process.execPath, ['--import', here('forward-cost.mjs'), ...args], {
      stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
      env: { ...process.env, SPLUNK_TOKEN: 'token' },
    })
    this.child.stdio[3].on('data', (chunk) => {
      this.#text += chunk
    })
    this.child.stderr.on('data', (chunk) => {
      this.#errors += chunk
    })
    this.closed = once(this.child, 'close')
  }

  async cost() {
    const [code] = await this.closed
    if (this.#text === '')
      throw new Error(`${this.child.spawnargs.join(' ')} ended with ${code}: ${this.#errors}`)
    return JSON.parse(this.#text)
  }
}

const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)]

/** @returns a table in Markdown */
export async function forward({ quick, rounds: most }) {
  // Each round is two processes of many seconds.
  const rounds = Math.min(most, 3)
  const folder = mkdtempSync(join(tmpdir(), 'forward-'))
  const server = spawn(process.execPath, [here('forward-server.mjs')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const lines = createInterface({ input: server.stdout })
  const [url] = await once(lines, 'line')
  const ask = async (path) => (await fetch(`${url}${path}`)).json()

  /** Runs a program to its end; one that follows its file, until all rows have come. */
  const run = async (args, rows, isFollowing) => {
    await ask('/reset')
    const program = new Measured(args)
    while (isFollowing && (await ask('/seen')).rows < rows && program.child.exitCode === null) await sleep(50)
    if (isFollowing) program.child.kill('SIGTERM')
    const cost = await program.cost()
    const seen = await ask('/seen')
    if (seen.rows !== rows) throw new Error(`${args.join(' ')}: ${seen.rows} of ${rows} rows came`)
    return { ...cost, bytes: seen.bytes }
  }
  const copy = (path, compression, time, flags) => [
    ...[join(root, 'dist/bundle/cli.js'), 'copy', '--from', path, '--to', 'splunk', '--url', url],
    ...['--token-env', 'SPLUNK_TOKEN', '--batch-size', '500', '--max-in-flight', '4'],
    ...['--compression', compression, '--time-column', time, ...flags],
  ]
  const loop = (path, compression, time, more) => [
    here('forward-loop.mjs'),
    path,
    url,
    compression,
    time,
    ...more,
  ]

  try {
    const bytes = quick ? 40_000_000 : 160_000_000
    const zeek = await fileOf(join(folder, 'zeek.ndjson'), 'zeek-like.ndjson', bytes)
    const windows = await fileOf(join(folder, 'windows.ndjson'), 'windows-like.ndjson', bytes)
    const csvHead = `${csvColumns.join(',')}\n`
    const csv = await fileOf(join(folder, 'zeek.csv'), 'zeek-like.ndjson', bytes / 2, csvOf, csvHead)
    const transform = join(folder, 'transform.mjs')
    writeFileSync(transform, 'export default (row) => ({ ...row, seen: true })\n')
    const schema = JSON.stringify(Object.fromEntries(csvColumns.map((name) => [name, 'string'])))
    const asCsv = ['--format', 'csv', '--header', 'true']
    const cases = [
      { name: 'Zeek', file: zeek, time: 'ts' },
      { name: 'Zeek', file: zeek, time: 'ts', compression: 'gzip' },
      { name: 'Windows events', file: windows, time: '@timestamp' },
      { name: 'Windows events', file: windows, time: '@timestamp', compression: 'gzip' },
      { name: 'Zeek, followed', file: zeek, time: 'ts', flags: ['--follow'], isFollowing: true },
      { name: 'Zeek, with a transform', file: zeek, time: 'ts', flags: ['--transform', transform], more: ['ndjson', transform] },
      { name: 'CSV', file: csv, time: 'ts', flags: asCsv, more: ['csv'] },
      { name: 'CSV, with a schema', file: csv, time: 'ts', flags: [...asCsv, '--schema', schema], more: ['csv'] },
      { name: 'CSV, with the path', file: csv, time: 'ts', flags: [...asCsv, '--file-path-column', 'file'], more: ['csv'] },
    ] // biome-ignore format: a table
    const plain = new Map()
    const rowsOfTable = []
    for (const {
      name,
      file,
      time,
      compression = 'none',
      flags = [],
      isFollowing = false,
      more = [],
    } of cases) {
      const costs = { loop: [], copy: [] }
      let [ours, theirs] = [undefined, undefined]
      for (let round = 0; round < rounds; round++) {
        theirs = await run(loop(file.path, compression, time, more), file.rows, false)
        ours = await run(copy(file.path, compression, time, flags), file.rows, isFollowing)
        costs.loop.push(theirs.cpu)
        costs.copy.push(ours.cpu)
      }
      const [loopCost, copyCost] = [median(costs.loop), median(costs.copy)]
      if (compression === 'none') plain.set(file, ours.bytes)
      const share = ({ bytes }) => `${((100 * bytes) / plain.get(file)).toFixed(1)} %`
      rowsOfTable.push([
        `${name}, ${file.rows.toLocaleString('en')} rows${compression === 'gzip' ? ', gzip' : ''}`,
        loopCost.toFixed(2),
        copyCost.toFixed(2),
        ratio(loopCost / copyCost),
        compression === 'gzip' ? `${share(theirs)} / ${share(ours)}` : '',
        ours.rss.toFixed(0),
      ])
      console.error(rowsOfTable.at(-1).join('  '))
    }
    const about = `Whole processes, each started anew (cold): their CPU seconds, medians of ${rounds} that alternate, into a HEC in a process of its own, batches of 500, four in flight. The loop is readline, \`JSON.parse\` (csv-parse for CSV), \`JSON.stringify\` and \`node:http\`, with gzip of level 6.`
    const head = [
      '',
      'the loop, CPU s',
      '`copy`, CPU s',
      'rate, ours to it',
      'bytes of the plain body, its / ours',
      'our memory, MB',
    ]
    return `### Forwarding a file\n\n${about}\n\n${table(head, rowsOfTable)}`
  } finally {
    server.kill()
    rmSync(folder, { recursive: true })
  }
}
