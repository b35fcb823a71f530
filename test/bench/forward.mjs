// Forwarding a file to HEC as whole processes, each by its CPU seconds: the command beside the loop that one would write,
// into a server in a process of its own.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const here = (name) => fileURLToPath(new URL(name, import.meta.url))
const root = here('../../')

/** Rows of a fixture, so many bytes of them in all. */
async function fileOf(folder, fixture, bytes) {
  const lines = readFileSync(join(root, 'fixtures', fixture))
  const path = join(folder, fixture)
  const file = createWriteStream(path)
  let rows = 0
  const each = lines.toString().trim().split('\n').length
  for (let size = 0; size < bytes; size += lines.length) {
    if (!file.write(lines)) await once(file, 'drain')
    rows += each
  }
  file.end()
  await once(file, 'close')
  return { path, rows }
}

/** Runs a program to its end. @returns its CPU seconds, and the largest memory it had in MB */
async function costOf(args, env = {}) {
  const child = spawn(process.execPath, ['--import', here('forward-cost.mjs'), ...args], {
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    env: { ...process.env, SPLUNK_TOKEN: 'token', ...env },
  })
  let text = ''
  child.stdio[3].on('data', (chunk) => {
    text += chunk
  })
  let errors = ''
  child.stderr.on('data', (chunk) => {
    errors += chunk
  })
  const [code] = await once(child, 'close')
  if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code}: ${errors}`)
  return JSON.parse(text)
}

const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)]

/** @returns a table in Markdown */
export async function forward({ quick, rounds }) {
  const folder = mkdtempSync(join(tmpdir(), 'forward-'))
  const server = spawn(process.execPath, [here('forward-server.mjs')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const lines = createInterface({ input: server.stdout })
  const [url] = await once(lines, 'line')
  const ask = async (path) => (await fetch(`${url}${path}`)).json()
  const cli = join(root, 'dist/bundle/cli.js')
  try {
    const table = [
      '| file | body | the loop, CPU s | `copy`, CPU s | rate of `copy` by the loop’s | bytes of the plain body | memory, MB |',
      '| --- | --- | ---: | ---: | ---: | ---: | ---: |',
    ]
    for (const [fixture, time] of [
      ['zeek-like.ndjson', 'ts'],
      ['windows-like.ndjson', '@timestamp'],
    ]) {
      const { path, rows } = await fileOf(folder, fixture, quick ? 40_000_000 : 160_000_000)
      let plain = 0
      for (const compression of ['none', 'gzip']) {
        const copy = [
          cli,
          'copy',
          '--from',
          path,
          '--to',
          'splunk',
          '--url',
          url,
          '--token-env',
          'SPLUNK_TOKEN',
        ]
        const options = [
          '--batch-size',
          '500',
          '--max-in-flight',
          '4',
          '--compression',
          compression,
          '--time-column',
          time,
        ]
        const programs = {
          loop: [here('forward-loop.mjs'), path, url, compression, time],
          copy: [...copy, ...options],
        }
        const costs = { loop: [], copy: [] }
        let bytes = 0
        let memory = 0
        for (let round = 0; round < rounds; round++) {
          for (const [name, args] of Object.entries(programs)) {
            await ask('/reset')
            const { cpu, rss } = await costOf(args)
            const seen = await ask('/seen')
            if (seen.rows !== rows) throw new Error(`${name}: ${seen.rows} of ${rows} rows came`)
            costs[name].push(cpu)
            if (name === 'copy') [bytes, memory] = [seen.bytes, rss]
          }
        }
        if (compression === 'none') plain = bytes
        const [loop, ours] = [median(costs.loop), median(costs.copy)]
        const share = `${((100 * bytes) / plain).toFixed(1)} %`
        table.push(
          `| ${fixture}, ${rows} rows | ${compression} | ${loop.toFixed(2)} | ${ours.toFixed(2)} | ${(loop / ours).toFixed(2)} | ${share} | ${memory.toFixed(0)} |`,
        )
      }
    }
    return `### Forwarding a file\n\n${table.join('\n')}`
  } finally {
    server.kill()
    rmSync(folder, { recursive: true })
  }
}
