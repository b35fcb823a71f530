import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { HecEmulator } from '../../../../dist/emulators/index.js'
import { addEvents, at, day, reach, startSplunk } from '../../../fixtures/splunk-events.ts'

const kills = 50
const windows = kills + 6
const duration = 10
const perWindow = 8
const program = fileURLToPath(new URL('../../../fixtures/crash-splunk.mjs', import.meta.url))

t.test(
  `a query that is killed ${kills} times loses no event, and repeats none that was committed`,
  async (t) => {
    const splunk = await startSplunk(t)
    const hec = await new HecEmulator({ ack: true, ackDelay: 5 }).start()
    t.teardown(() => hec.close())
    const count = windows * perWindow
    // Late by days, in the order of no time: windows go by arrival.
    addEvents(
      splunk,
      Array.from({ length: count }, (_, n) => ({
        time: (n * 7919) % 86_400,
        indexed: 200_000 + Math.floor((n * duration) / perWindow),
        n,
      })),
    )
    const options = {
      checkpointLocation: t.testdir(),
      source: {
        ...reach(splunk),
        index: 'main',
        start_time: at(200_000),
        partition_duration: duration,
        safety_lag_seconds: Date.now() / 1000 - (day + 200_000 + windows * duration),
      },
      sink: {
        url: hec.url,
        token: hec.token,
        ack: true,
        batch_size: 3,
        linger_ms: 5,
        max_in_flight: 2,
        index: 'copy',
      },
    }
    const committed = new Set<string>()
    let killed = 0
    for (let ended = false; !ended; ) {
      const child = spawn(process.execPath, [program, JSON.stringify(options)], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      const closed = once(child, 'close')
      let seen = 0
      createInterface({ input: child.stdout }).on('line', (line) => {
        if (line.includes('/')) committed.add(line)
        // After the start, or in the midst of the window after the first.
        if (killed < kills && ++seen > killed % 3) child.kill('SIGKILL')
      })
      const [code, signal] = (await closed) as [number | null, string | null]
      if (code !== 0 && signal !== 'SIGKILL') throw new Error(`the query ended with ${code}`)
      ended = code === 0
      if (!ended) killed++
    }
    t.equal(killed, kills)
    const times = new Map<number, number>()
    for (const { event } of hec.events) {
      const n = Number((event as { n: string }).n)
      times.set(n, (times.get(n) ?? 0) + 1)
    }
    t.equal(times.size, count, 'each event is there')
    const repeated = hec.events.length - count
    t.ok(repeated <= kills * perWindow, `${repeated} came again, of at most one window a kill`)
  },
)
