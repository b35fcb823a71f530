// A queue of windows: what planning and a window cost, and what more workers bring.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { median, startServer, trial } from './harness.mjs'
import { goal, round, table } from './report.mjs'

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  return port
}

async function startRedis() {
  const folder = mkdtempSync(join(tmpdir(), 'redis-'))
  const port = await freePort()
  const child = spawn('redis-server', [
    ...['--port', port, '--bind', '127.0.0.1', '--dir', folder, '--save', '', '--appendonly', 'yes'],
    ...['--maxmemory-policy', 'noeviction'],
  ])
  for await (const line of createInterface({ input: child.stdout }))
    if (line.includes('Ready to accept')) break
  child.stdout.resume()
  return {
    url: `redis://127.0.0.1:${port}`,
    async close() {
      child.kill()
      await once(child, 'exit')
      rmSync(folder, { recursive: true })
    },
  }
}

export async function queue({ quick, rounds }) {
  if (spawnSync('redis-server', ['--version']).error)
    return '### A queue of windows\n\nLeft out: redis-server is not installed.'
  const redis = await startRedis()
  const delay = 200
  const rowsPerWindow = 500
  const query = await startServer('query', { gzip: true, delay })
  const hec = await startServer('hec')
  let queues = 0
  const fresh = () => ({ redis: redis.url, name: `bench-${queues++}` })
  const times = quick ? 1 : rounds
  try {
    const sizes = quick ? [100, 1000] : [100, 1000, 10_000]
    const lines = []
    const costs = []
    let planning = 0
    for (const windows of sizes) {
      const results = []
      for (let at = 0; at < times; at++) {
        const options = { ...fresh(), windows }
        const planned = await trial('queue', 'plan', options)
        const taken = await trial('queue', 'windows without rows', options)
        if (taken.rows !== windows) throw new Error(`${taken.rows} windows of ${windows}`)
        results.push({ plan: planned.seconds, each: (taken.seconds * 1000) / windows, cpu: (taken.cpu * 1000) / windows }) // biome-ignore format: a line
      }
      const of = (figure) => median(results.map((result) => result[figure]))
      planning = of('plan')
      costs.push(of('each'))
      lines.push([windows.toLocaleString('en-US'), `${of('plan').toFixed(2)} s`, `${round(of('each'))} ms`, `${round(of('cpu'))} ms`]) // biome-ignore format: a line
    }

    const windows = quick ? 40 : 160
    const counts = [1, 2, 4]
    const path = Object.fromEntries(counts.map((count) => [count, []]))
    for (let at = 0; at < times; at++)
      for (const count of counts) {
        const options = { ...fresh(), windows, concurrency: 16, rowsPerWindow, query, hec }
        await trial('queue', 'plan', options)
        const workers = Array.from({ length: count }, () => trial('queue', 'worker', options))
        const results = await Promise.all(workers)
        const done = results.reduce((sum, { rows }) => sum + rows, 0)
        if (done !== windows) throw new Error(`${done} windows of ${windows}`)
        path[count].push(Math.max(...results.map(({ seconds }) => seconds)))
      }
    return `### A queue of windows

Redis in a separate process. Windows without rows show the queue's own cost; the worker runs four at a time.

${table(['windows', 'planning', 'each window', 'CPU of the worker, each'], lines)}

${goal(`seconds to plan ${sizes.at(-1).toLocaleString('en-US')} windows`, planning, 5, { most: true })}
${goal(`cost of a window, ${sizes.at(-1).toLocaleString('en-US')} to ${sizes[0]}`, costs.at(-1) / costs[0], 1.2, { most: true })}

The whole path: ${windows} windows of ${rowsPerWindow} rows, from a query service that needs ${delay} ms for each, to HEC, both in separate processes. Each worker runs four windows at a time, so one needs at least ${((windows / 4) * (delay / 1000)).toFixed(0)} s; all share the two cores.

${table(
  ['workers', 'seconds', 'times as fast as one'],
  counts.map((count) => [
    count,
    median(path[count]).toFixed(2),
    median(path[count].map((seconds, at) => path[1][at] / seconds)).toFixed(2),
  ]),
)}`
  } finally {
    await query.close()
    await hec.close()
    await redis.close()
  }
}
