import { fork, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'

const fixture = (name: string) => fileURLToPath(new URL(`../../fixtures/${name}`, import.meta.url))
const logrotate = ['/usr/sbin/logrotate', '/sbin/logrotate', '/usr/bin/logrotate'].find(existsSync)
const first = Number(process.env['SOAK_SEED'] ?? Math.floor(Math.random() * 1e9))
const seeds = Number(process.env['SOAK_SEEDS'] ?? 6)

/** Rotations of logrotate, by the name that a log starts with. */
const rotations: Record<string, string> = {
  rename: 'create',
  packed: 'create compress',
  delayed: 'create compress delaycompress',
  dated: 'create dateext dateformat -%Y%m%d-%s',
  away: 'create olddir old',
  cut: 'copytruncate',
  cutpacked: 'copytruncate compress',
  keep: 'copytruncate',
}

t.setTimeout(seeds * 120_000)

function generator(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let x = Math.imul(state ^ (state >>> 15), 1 | state)
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32
  }
}

/** What the follower noted. */
interface Notes {
  /** Of each row: the runs and slices that gave it, and the files. */
  readonly rows: ReadonlyMap<string, readonly { readonly slice: string; readonly path: string }[]>
  readonly committed: ReadonlySet<string>
  /** Files that were read again, since they may be copies. */
  readonly again: ReadonlySet<string>
  readonly skipped: readonly string[]
}

function notesOf(output: string): Notes {
  const rows = new Map<string, { slice: string; path: string }[]>()
  const committed = new Set<string>()
  const again = new Set<string>()
  const skipped: string[] = []
  for (const line of readFileSync(output, 'utf8').trim().split('\n')) {
    const [kind, run, ...rest] = line.split('\t')
    if (kind === 'R') {
      const [slice, n, path] = rest as [string, string, string]
      rows.set(n, [...(rows.get(n) ?? []), { slice: `${run} ${slice}`, path }])
    } else if (kind === 'C') committed.add(`${run} ${rest[0]}`)
    else if (kind === 'Y' && rest[1] === '0') again.add(rest[0]!)
    else if (kind === 'S') skipped.push(rest.join(': '))
  }
  return { rows, committed, again, skipped }
}

async function trial(t: Test, seed: number): Promise<void> {
  t.setTimeout(120_000)
  t.comment(`seed ${seed}: SOAK_SEED=${seed} SOAK_SEEDS=1`)
  const random = generator(seed)
  const folder = t.testdir({ logs: { old: {} } })
  const logs = join(folder, 'logs')
  const output = join(folder, 'output')
  writeFileSync(output, '')
  const names = Object.keys(rotations).map((name) => `${name}.log`)
  const configs = new Map<string, string>()
  for (const [name, how] of Object.entries(rotations)) {
    const config = join(folder, `${name}.conf`)
    const lines = how.replaceAll(/ (?=olddir|dateext|dateformat|compress|delaycompress)/g, '\n  ')
    writeFileSync(config, `${join(logs, name)}.log {\n  rotate 1000\n  su root root\n  ${lines}\n}\n`, {
      mode: 0o644,
    })
    configs.set(name, config)
  }
  const options = (available_now: boolean) => ({
    source: {
      path: [join(logs, '*.log*'), join(logs, 'old')],
      available_now,
      poll_interval_seconds: 0.1,
      maxBytesPerTrigger: 20_000,
    },
    checkpointLocation: join(folder, 'checkpoint'),
    stall: { chance: available_now ? 0 : 0.002, milliseconds: 600 },
  })
  let run = 0
  const start = (available_now = false) =>
    spawn(
      process.execPath,
      [fixture('files-follower.mjs'), String(++run), output, JSON.stringify(options(available_now))],
      {
        stdio: 'inherit',
      },
    )
  const writer = fork(fixture('log-writer.mjs'), [logs, String(seed), ...names])
  const rotate = async () => {
    const all = [...configs]
    const [name, config] = all[Math.floor(random() * all.length)]!
    // What is written between the copy and the cut, or while a file is packed, is in no file afterwards.
    const pauses = rotations[name]!.startsWith('copytruncate') || rotations[name]!.endsWith(' compress')
    const resume = async () => {
      writer.send('resume')
      while ((await once(writer, 'message'))[0] !== 'resumed');
    }
    if (pauses || name === 'delayed') {
      writer.send('pause')
      while ((await once(writer, 'message'))[0] !== 'paused');
    }
    // The writer opens its new file: else it might still write the one before the last, while that is packed.
    if (name === 'delayed') await resume()
    const { status, stderr } = spawnSync(logrotate!, ['-f', '-s', join(folder, `${name}.state`), config], {
      encoding: 'utf8',
    })
    if (status !== 0) t.comment(stderr)
    if (pauses) await resume()
    return status === 0
  }
  let reader = start()
  let [rotated, killed] = [0, 0]
  const end = performance.now() + 20_000
  while (performance.now() < end) {
    await sleep(random() * 400)
    if (random() < 0.8 && (await rotate())) rotated++
    if (random() < 0.25) {
      const exit = once(reader, 'exit')
      reader.kill('SIGKILL')
      await exit
      killed++
      if (random() < 0.5) await sleep(random() * 800)
      reader = start()
    }
  }
  writer.send('stop')
  let written: Record<string, number> | undefined
  while (written === undefined) {
    const [message] = await once(writer, 'message')
    if (typeof message === 'object') written = message as Record<string, number>
  }
  const exit = once(reader, 'exit')
  reader.kill('SIGKILL')
  await exit
  for (let pass = 0; pass < 2; pass++) t.strictSame(await once(start(true), 'exit'), [0, null])

  const { rows, committed, again, skipped } = notesOf(output)
  const lost: string[] = []
  const doubled: string[] = []
  let [total, twice] = [0, 0]
  for (const [name, count] of Object.entries(written)) {
    total += count
    for (let n = 0; n < count; n++) {
      const found = rows.get(`${name}:${n}`) ?? []
      if (found.length === 0) lost.push(`${name}:${n}`)
      if (found.length > 1) twice++
      const settled = found.filter(({ slice, path }) => committed.has(slice) && !again.has(path))
      if (settled.length > 1) doubled.push(`${name}:${n} ${settled.map(({ slice }) => slice).join(' | ')}`)
    }
  }
  t.strictSame(lost.slice(0, 10), [], `seed ${seed}: 0 of ${total} rows lost (${lost.length})`)
  t.strictSame(
    doubled.slice(0, 10),
    [],
    `seed ${seed}: twice only what was under way at a kill (${doubled.length})`,
  )
  const corrupt = [...rows.keys()].filter((n) => n.startsWith('corrupt'))
  t.strictSame(corrupt.slice(0, 10), [], `seed ${seed}: every row is whole`)
  t.comment(
    `${total} rows, ${rotated} rotations, ${killed} kills, ${twice} rows twice, ${again.size} files read again, ` +
      `${skipped.length} skipped: ${[...new Set(skipped)].join('; ').replaceAll(`${folder}/`, '')}`,
  )
}

t.test(
  'logs that real logrotate rotates, while their reader is killed',
  { skip: !logrotate && 'no logrotate' },
  async (t) => {
    for (let seed = first; seed < first + seeds; seed++) await t.test(`seed ${seed}`, (t) => trial(t, seed))
  },
)
