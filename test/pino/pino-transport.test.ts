// An application of its own process logs through pino and its worker thread to an emulator over a real socket.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import type { HecEmulator } from '../../lib/emulators/index.ts'
import { scaled } from '../fixtures/scale.ts'
import { startHec } from '../fixtures/splunk-trial.ts'
import { skipsDisks, withDisk } from '../fixtures/tiny-disk.ts'

const program = fileURLToPath(new URL('../fixtures/pino-program.mjs', import.meta.url))

interface Said {
  readonly done?: string
  readonly error?: string
  readonly dropped?: { lines: number; total: number; reason: string }
}

/** The application: what it is told and what it said. */
class Application {
  readonly child: ChildProcess
  readonly said: Said[] = []
  readonly ended: Promise<unknown[]>
  stderr = ''

  /** @param disk folder that is a disk of 64 kB for it */
  constructor(t: Test, options: object, logger: object = {}, disk?: string) {
    const env = { ...process.env, PINO_TRIAL: JSON.stringify({ options, logger }) }
    this.child = fork(program, {
      env,
      ...(disk && { execPath: 'unshare' }),
      execArgv: disk ? [...withDisk(disk), process.execPath] : [],
      stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
    })
    this.child.on('message', (message: Said) => this.said.push(message))
    this.child.stderr!.on('data', (text) => {
      this.stderr += text
    })
    this.ended = once(this.child, 'exit')
    t.teardown(() => this.child.kill('SIGKILL'))
  }

  /** Tells it to do something, and waits until it has. */
  async does(act: string, more: object = {}): Promise<void> {
    const from = this.said.length
    this.child.send({ act, ...more })
    await this.says(({ done }) => done === act, from)
  }

  /** Waits until it says something. */
  async says(isIt: (said: Said) => unknown, from = 0): Promise<Said> {
    for (;;) {
      const found = this.said.slice(from).find(isIt)
      if (found) return found
      await once(this.child, 'message')
    }
  }

  /** Waits for a warning of the worker thread, which Node prints. */
  async warns(): Promise<void> {
    while (!this.stderr.includes('CyberConnectorsWarning')) await once(this.child.stderr!, 'data')
  }

  /** Exits at once, as `process.exit` does, with what is still in its worker thread. */
  async exits(code = 0): Promise<unknown> {
    this.child.send({ act: 'exit', code })
    return (await this.ended)[0]
  }
}

const to = (hec: HecEmulator) => ({
  connector: 'splunk',
  url: hec.endpoint,
  token: hec.token,
  ca: hec.ca,
  initial_backoff: 0.05,
  max_backoff: 0.1,
})

const events = (hec: HecEmulator) => hec.events.map(({ event }) => event as Record<string, unknown>)
/** In order of logging and without duplicates: batches may overtake each other. */
function ids(hec: HecEmulator): number[] {
  const found = events(hec).flatMap(({ id }) => (id === undefined ? [] : [Number(id)]))
  return [...new Set(found)].sort((a, b) => a - b)
}
const upTo = (count: number) => Array.from({ length: count }, (_, id) => id)
const letters = (path: string) =>
  readFileSync(path, 'utf8').trim().split('\n').map((line) => JSON.parse(line)) // biome-ignore format: one line

t.test('time, level and message are those of Splunk, every other member stands as it was', async (t) => {
  const hec = await startHec(t)
  const started = Date.now()
  const app = new Application(t, to(hec), { level: 'trace' })
  await app.does('levels')
  t.equal(await app.exits(), 0)
  t.same(
    events(hec).map(({ severity, message }) => [severity, message]),
    ['trace', 'debug', 'info', 'warn', 'error', 'fatal'].map((level) => [level, level]),
  )
  for (const { time, host, event } of hec.events as { time?: unknown; host?: unknown; event: object }[]) {
    t.equal(host, hostname())
    const milliseconds = Math.round(Number(time) * 1000)
    t.ok(milliseconds >= started && milliseconds <= Date.now(), `${time}`)
    t.match(event, { time: new Date(milliseconds).toISOString(), pid: Number, big: [2230.5] })
    t.notOk('level' in event || 'msg' in event)
  }
  t.equal(app.stderr, '')
})

t.test('lines that are awkward lose nothing', async (t) => {
  const hec = await startHec(t)
  const logger = { customLevels: { notice: 35 } }
  const app = new Application(t, to(hec), logger)
  await app.does('awkward')
  await app.exits()
  t.match(events(hec), [
    {
      time_: 'yesterday',
      level: 'mine',
      message_: 'mine too',
      message: 'pino’s "own"\n💥',
      severity: 'info',
    },
    { nested: { a: [1, null] }, severity: 'info' },
    { message: 'broken', err: { type: 'Error', stack: /pino-program/ }, severity: 'error' },
    { message: 'a level of its own', severity: 'notice' },
  ])
})

t.test('what was logged just before the exit arrives, whatever the exit', async (t) => {
  for (const [act, code] of [['end', 0], ['crash', 1]] as const) {
    const hec = await startHec(t)
    const app = new Application(t, to(hec))
    await app.says(({ done }) => done === 'start')
    app.child.send({ act: 'log', count: 500 })
    app.child.send({ act })
    t.equal((await app.ended)[0], code, act)
    t.same(ids(hec), upTo(500), act)
  } // biome-ignore format: a table
  const hec = await startHec(t)
  const app = new Application(t, to(hec))
  await app.does('log', { count: 500 })
  t.equal(await app.exits(7), 7)
  t.same(ids(hec), upTo(500))
})

t.test('an outage neither blocks nor ends the application, and every line arrives after it', async (t) => {
  const hec = await startHec(t)
  const app = new Application(t, { ...to(hec), max_retry_seconds: 0.2 })
  await app.does('log', { count: 100 })
  while (ids(hec).length < 100) await once(hec, 'response')
  await hec.close()
  // Longer than the sink retries: it ends with an error, and another one takes its place.
  await app.does('log', { from: 100, count: 100 })
  await app.warns()
  const end = performance.now() + scaled(1000, 60_000)
  let from = 200
  for (; performance.now() < end; from += 100) {
    await app.does('log', { from, count: 100 })
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  await hec.start()
  // Sorted only when enough have come.
  while (hec.events.length < from || ids(hec).length < from) await once(hec, 'response')
  t.equal(await app.exits(), 0)
  t.same(ids(hec), upTo(from))
  t.same(
    app.said.filter(({ error, dropped }) => error ?? dropped),
    [],
  )
  t.match(app.stderr, /\[ERR_DELIVERY\] CyberConnectorsWarning: .*ECONNREFUSED/)
  t.equal(app.stderr.split('CyberConnectorsWarning').length, 2, 'one warning')
})

t.test('beyond the bound lines are dropped and counted, here and at the destination', async (t) => {
  const hec = await startHec(t)
  hec.fail({ status: 503, times: Infinity })
  const app = new Application(t, { ...to(hec), max_waiting_bytes: 20_000 })
  await app.does('log', { count: 5000, text: 'x'.repeat(100) })
  const { dropped } = await app.says(({ dropped }) => dropped)
  t.match(dropped, { reason: /max_waiting_bytes/ })
  hec.clearFaults()
  t.equal(await app.exits(), 0)
  const [notice] = events(hec).filter(({ dropped }) => dropped !== undefined)
  t.match(notice, { severity: 'warn', message: /dropped \d+ log lines: max_waiting_bytes/ })
  t.equal(ids(hec).length + Number(notice!['dropped']), 5000)
  t.equal(dropped!.total, notice!['dropped'])
})

t.test(
  'with a dead letter nothing is dropped: it has what found no room, was refused or was left',
  async (t) => {
    const hec = await startHec(t)
    const dead_letter = join(t.testdir(), 'left.ndjson')
    hec.fail({ status: 503, times: Infinity })
    const app = new Application(t, { ...to(hec), max_waiting_bytes: 20_000, dead_letter, close_seconds: 0.2 })
    await app.does('log', { count: 3000, text: 'x'.repeat(100) })
    t.equal(await app.exits(), 0)
    t.same(
      app.said.filter(({ error, dropped }) => error ?? dropped),
      [],
    )
    const left = letters(dead_letter)
    t.same(
      left.map(({ row }) => row.id).sort((a, b) => a - b),
      upTo(3000),
    )
    t.same([...new Set(left.map(({ reason }) => reason.text.split(':')[0]))].sort(), [
      'close_seconds',
      'max_waiting_bytes',
    ])
    t.match(left[0], { connector: 'splunk', row: { severity: 'info', message: /^x+$/ } })
  },
)

t.test('a refused token is warned of once, and the lines are kept', async (t) => {
  const hec = await startHec(t)
  const dead_letter = join(t.testdir(), 'left.ndjson')
  const app = new Application(t, { ...to(hec), token: 'wrong', dead_letter })
  await app.does('log', { count: 10 })
  await app.warns()
  t.equal(await app.exits(), 0)
  t.match(app.stderr, /\[ERR_AUTH\] CyberConnectorsWarning/)
  t.same(
    letters(dead_letter).map(({ row }) => row.id),
    upTo(10),
  )
})

t.test(
  'a dead letter on a full disk: what was dropped is counted, and why',
  { skip: skipsDisks },
  async (t) => {
    const hec = await startHec(t)
    hec.fail({ status: 503, times: Infinity })
    const disk = t.testdir()
    const dead_letter = join(disk, 'left.ndjson')
    const options = { ...to(hec), max_waiting_bytes: 1000, close_seconds: 0.1, dead_letter }
    const app = new Application(t, options, {}, disk)
    await app.does('log', { count: 2000, text: 'x'.repeat(100) })
    const { dropped } = await app.says(({ dropped }) => dropped)
    t.match(dropped!.reason, /max_waiting_bytes: .*; the dead letter failed: ENOSPC: no space left on device/)
    t.equal(await app.exits(), 0)
  },
)

t.test('wrong options end the start with a message that lists them', async (t) => {
  const app = new Application(t, { connector: 'splunk', urll: 'x', close_seconds: 60 })
  const { error } = await app.says(({ error }) => error)
  t.match(error, /close_seconds: expected a number from 0 to 9/)
})
