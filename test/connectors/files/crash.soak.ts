import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { startHec } from '../../fixtures/splunk-trial.ts'

const program = fileURLToPath(new URL('../../fixtures/files-query.mjs', import.meta.url))
const kills = 40

t.test(
  `files that grow and rotate while their reader is killed ${kills} times: no line is lost`,
  async (t) => {
    const hec = await startHec(t, { ackDelay: 2 })
    const folder = t.testdir()
    const logs = join(folder, 'logs')
    mkdirSync(logs)
    const options = (available_now: boolean) => ({
      source: { path: logs, available_now, maxBytesPerTrigger: 3_000, poll_interval_seconds: 0.02 },
      sink: { url: hec.url, token: hec.token, batch_size: 20, linger_ms: 2 },
      checkpointLocation: join(folder, 'offsets'),
    })
    const lineOf = (event: unknown) => (event as { event: { n: number } }).event.n

    let written = 0
    let rotated = 0
    /** One step of what writes the logs. */
    const write = () => {
      const file = join(logs, `app${written % 3}.log`)
      const chance = Math.random()
      if (chance < 0.03 && existsSync(file)) {
        renameSync(file, `${file}.${++rotated}`)
      } else if (chance < 0.05 && existsSync(`${file}.${rotated}`)) {
        const old = `${file}.${rotated}`
        writeFileSync(`${old}.part`, gzipSync(readFileSync(old)))
        renameSync(`${old}.part`, join(folder, `archive-${rotated}.gz`))
      }
      let lines = ''
      for (let count = 1 + Math.floor(chance * 30); count > 0; count--) lines += `{"n":${written++},"text":"${'x'.repeat(40)}"}\n` // biome-ignore format: a line
      // In two pieces, so that a line is half there for a while.
      const cut = Math.floor(lines.length * Math.random())
      appendFileSync(file, lines.slice(0, cut))
      appendFileSync(file, lines.slice(cut))
    }

    /** Lines whose slice was committed in an earlier run: they may not come again. */
    const settled = new Set<number>()
    const wrong: number[] = []
    let committed = 0
    for (let kill = 0; kill < kills; kill++) {
      const child = spawn(process.execPath, [program, JSON.stringify(options(false))], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      const exit = once(child, 'exit')
      const begun = hec.events.length
      const done: number[] = []
      const lines = createInterface({ input: child.stdout! })
      lines.on('line', (line) => {
        committed++
        done.push(...line.split(' ').slice(1).map(Number))
      })
      // Mostly once it delivers, however long its start takes here; now and then before.
      let isUnderWay = kill % 4 === 0
      if (!isUnderWay) once(hec, 'request').then(() => (isUnderWay = true)) // biome-ignore format: a line
      let until = performance.now() + 250 + Math.random() * 500
      while (!isUnderWay || performance.now() < until) {
        if (!isUnderWay) until = performance.now() + Math.random() * 500
        write()
        await sleep(8)
      }
      child.kill('SIGKILL')
      await exit
      for (const event of hec.events.slice(begun)) if (settled.has(lineOf(event))) wrong.push(lineOf(event))
      for (const line of done) settled.add(line)
    }
    const last = hec.events.length
    const child = spawn(process.execPath, [program, JSON.stringify(options(true))], {
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    t.equal((await once(child, 'exit'))[0], 0)

    const seen = new Map<number, number>()
    for (const event of hec.events) seen.set(lineOf(event), (seen.get(lineOf(event)) ?? 0) + 1)
    t.equal(seen.size, written, 'every line came')
    for (const event of hec.events.slice(last)) if (settled.has(lineOf(event))) wrong.push(lineOf(event))
    t.strictSame(wrong, [], 'no line of a slice that was committed came again')
    t.ok(settled.size > 0, `${committed} slices committed`)
    t.comment(
      `${written} lines, ${rotated} rotations, ${committed} commits, ${hec.events.length - seen.size} came again`,
    )
    rmSync(logs, { recursive: true })
  },
)
