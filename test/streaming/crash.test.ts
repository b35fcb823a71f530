import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { Checkpoint } from '../../lib/checkpoint/checkpoint.ts'
import { formatInstant, parseInstant, ticksPerSecond } from '../../lib/core/time.ts'
import { windowId } from '../../lib/core/window.ts'
import { createCertificateAuthority, HecEmulator, LogAnalyticsEmulator } from '../../lib/emulators/index.ts'
import { windowCourse } from '../../lib/source/windows.ts'
import { scaled } from '../fixtures/scale.ts'

const kills = scaled(3, 50)
const windowCount = scaled(20, 160)
const rowsPerWindow = 20
const duration = 60
const program = fileURLToPath(new URL('../fixtures/crash-query.mjs', import.meta.url))
const begin = parseInstant('2024-05-01T00:00:00Z')!
const end = begin + BigInt(windowCount * duration) * ticksPerSecond

t.test(
  `a query that is killed ${kills} times loses no row, and only repeats windows under way`,
  async (t) => {
    const authority = await createCertificateAuthority()
    // The backlog ends where the clock of the query stands: so the rows lie just behind now.
    const shift = BigInt(Date.now()) * 10_000n - end - 3600n * ticksPerSecond
    const rows = Array.from({ length: windowCount * rowsPerWindow }, (_, id) => [
      formatInstant(begin + shift + (BigInt(id) * BigInt(duration) * ticksPerSecond) / BigInt(rowsPerWindow)),
      id,
    ])
    const logs = new LogAnalyticsEmulator({ tls: await authority.issue(), record: false })
    logs.addTable(
      'T',
      [
        { name: 'TimeGenerated', type: 'datetime' },
        { name: 'Id', type: 'long' },
      ],
      rows,
    )
    const hec = new HecEmulator({ ack: true, ackDelay: 5 })
    await Promise.all([logs.start(), hec.start()])
    const checkpointLocation = t.testdir()
    const options = {
      checkpointLocation,
      source: {
        workspace_id: 'w',
        query: 'T',
        endpoint: logs.url,
        ca: authority.ca,
        start_time: formatInstant(begin + shift),
        partition_duration: duration,
        safety_lag_seconds: 3600,
      },
      sink: { url: hec.url, token: hec.token, ack: true, batch_size: 7, linger_ms: 5, max_in_flight: 2 },
    }
    const identity = { connector: 'azure-monitor', workspace_id: 'w', query: 'T', window_by: 'timestamp_column', timestamp_column: 'TimeGenerated' } // biome-ignore format: short

    /** How often each window was under way at a kill. */
    const underWay = new Map<string, number>()
    let ended = false
    let killed = 0
    let commits = 0
    while (!ended) {
      const child = spawn(process.execPath, [program, JSON.stringify(options)], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      const exit = once(child, 'exit')
      const lines = createInterface({ input: child.stdout })
      if (killed < kills) {
        // Some are killed while they start, most while they deliver.
        let left = Math.floor(Math.random() * 4)
        const working = new Promise<void>((resolve) => {
          lines.on('line', (line) => {
            if (line.includes('/')) commits++
            if (left-- === 0) resolve()
          })
        })
        if (Math.random() > 0.15) await Promise.race([working, exit])
        await Promise.race([sleep(Math.random() * 60), exit])
        child.kill('SIGKILL')
      } else lines.on('line', (line) => line.includes('/') && commits++)
      const [code, signal] = (await exit) as [number | null, string | null]
      ended = code === 0
      if (!ended && signal !== 'SIGKILL') throw new Error(`the query ended with ${code}`)
      if (ended) break
      killed++
      // The lock of the dead process is taken over, and the state it left is whole.
      const checkpoint = await Checkpoint.open(checkpointLocation, identity, windowCourse)
      const [first] = checkpoint.planned
      if (first) underWay.set(first.id, (underWay.get(first.id) ?? 0) + 1)
      await checkpoint.close()
    }
    await Promise.all([logs.close(), hec.close()])

    t.equal(killed, kills, 'killed so many times before the backlog was through')
    const seen = new Map<number, number>()
    for (const { event } of hec.events) {
      const { Id } = event as { Id: number }
      seen.set(Id, (seen.get(Id) ?? 0) + 1)
    }
    t.equal(seen.size, rows.length, 'every row has been indexed')
    const wrong: string[] = []
    for (const [id, times] of seen) {
      if (times === 1) continue
      const start = begin + shift + BigInt(Math.floor(id / rowsPerWindow) * duration) * ticksPerSecond
      const window = windowId({ start, end: start + BigInt(duration) * ticksPerSecond })
      if (times > 1 + (underWay.get(window) ?? 0)) wrong.push(`row ${id} of ${window} came ${times} times`)
    }
    t.same(wrong, [], 'a row came again only where its window was under way at a kill')
    const repeated = hec.events.length - seen.size
    t.comment(
      `${repeated} rows came again, ${underWay.size} windows were under way at a kill, ${commits} commits seen`,
    )
    t.ok(repeated <= kills * rowsPerWindow)
  },
)
