import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, existsSync, readFileSync, renameSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { PassThrough, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { type DeadLetter, DeadLetterFile } from '../../lib/sink/dead-letter.ts'
import { fileCalls } from '../fixtures/file-calls.ts'
import { deliver, type Row } from '../fixtures/sink-trial.ts'
import { idsOf, receivedIds, rowsOf, splunkSink, startHec } from '../fixtures/splunk-trial.ts'

function lines(file: string): DeadLetter[] {
  const text = readFileSync(file, 'utf8')
  t.ok(text === '' || text.endsWith('\n'))
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line))
}

t.test('its backpressure is honoured: one letter at a time, and the source waits', async (t) => {
  const hec = await startHec(t)
  hec.refuse = () => 13
  const waiting: (() => void)[] = []
  const slow = new Writable({
    objectMode: true,
    highWaterMark: 1,
    write: (_letter, _encoding, callback) => {
      waiting.push(callback)
      taken.emit('letter')
    },
  })
  const taken = new PassThrough()
  let pulled = 0
  async function* rows() {
    for (; pulled < 1000; pulled++) yield { id: pulled }
  }
  const sink = splunkSink(hec, { batch_size: 2, max_in_flight: 1, dead_letter: slow })
  const piped = deliver(rows(), sink)
  await once(taken, 'letter')
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve))
  t.equal(waiting.length, 1)
  t.equal(sink.stats.rejected, 0, 'not settled before it is taken')
  t.ok(pulled < 12, `${pulled} rows pulled`)
  sink.destroy()
  waiting[0]?.()
  t.match(await piped, { code: 'ERR_ABORTED' })
  t.equal(sink.stats.rejected, 1)
  t.notOk(idsOf(sink.unsettled).includes(0), 'the row that it took in the end is settled')
})

t.test('one that fails makes the sink fail with the row', async (t) => {
  const failures: [string, () => Writable, RegExp | string][] = [
    ['by its callback', () => new Writable({ objectMode: true, write: (_l, _e, callback) => callback(new Error('no room')) }), 'no room'],
    ['later', () => new Writable({ objectMode: true, write: (_l, _e, callback) => setImmediate(callback, new Error('no room')) }), 'no room'],
    ['by a promise', () => new Writable({ objectMode: true, write: (_l, _e, callback) => void Promise.reject(new Error('no room')).catch(callback) }), 'no room'],
    ['by a throw', () => new Writable({ objectMode: true, write: () => { throw new Error('no room') } }), 'no room'],
    ['destroyed in the middle, with no callback', () => new Writable({ objectMode: true, write() { this.destroy() } }), 'closed'],
    ['destroyed with an error', () => new Writable({ objectMode: true, write() { this.destroy(new Error('no room')) } }), 'no room'],
    ['destroyed before', () => new PassThrough({ objectMode: true }).destroy(), /destroyed/],
    ['ended before', () => new PassThrough({ objectMode: true }).end(), /after end/],
    ['a file in no folder', () => new DeadLetterFile('/nonexistent/folder/file.ndjson'), 'ENOENT'],
  ] // biome-ignore format: a table
  for (const [name, make, message] of failures) {
    for (const where of ['by the service', 'before it is sent'] as const) {
      t.test(`${name}, refused ${where}`, async (t) => {
        const hec = await startHec(t)
        hec.failRow(1, 6)
        const dead_letter = make()
        const rows = where === 'by the service' ? rowsOf(3) : [{ id: 0 }, { id: 1, f: () => {} }, { id: 2 }]
        const error = await deliver(rows, splunkSink(hec, { batch_size: 3, dead_letter }))
        t.match(error, { code: 'ERR_DEAD_LETTER', message: /the dead letter failed to take a row .*\): ./ })
        t.match(error?.cause, { message })
        t.ok(idsOf(error?.rows).includes(1))
        if (where === 'by the service') t.same(receivedIds(hec), [0])
        // What the stream still has to say comes after the sink is gone: it must not end the process.
        for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
      })
    }
  }
})

t.test('a sink lets go of one that is fine, so that others can use it', async (t) => {
  const hec = await startHec(t)
  hec.refuse = ({ event }) => ((event as Row)['id'] === 1 ? 13 : undefined)
  const letters: DeadLetter[] = []
  const shared = new PassThrough({ objectMode: true })
  shared.on('data', (letter) => letters.push(letter))
  for (let time = 0; time < 12; time++) {
    t.equal(await deliver(rowsOf(3), splunkSink(hec, { dead_letter: shared })), undefined)
  }
  t.equal(letters.length, 12)
  t.equal(shared.listenerCount('error'), 0)
  t.equal(shared.listenerCount('close'), 0)
  t.notOk(shared.writableEnded, 'it is not ended: it belongs to the user')
})

t.test('DeadLetterFile', async (t) => {
  t.test('a line a row, for its owner only, added to what is there', async (t) => {
    const file = join(t.testdir({}), 'refused.ndjson')
    const hec = await startHec(t)
    hec.refuse = ({ event }) => ((event as Row)['id'] === 1 ? 13 : undefined)
    const rows = [{ id: 0 }, { id: 1, big: 2n ** 63n, at: new Date(0) }, { id: 2 }]
    for (let time = 0; time < 2; time++) {
      t.equal(await deliver(rows, splunkSink(hec, { dead_letter: new DeadLetterFile(file) })), undefined)
    }
    t.match(lines(file), [
      {
        row: { id: 1, at: '1970-01-01T00:00:00.000Z' },
        connector: 'splunk',
        reason: { status: 400, code: 13 },
        at: /Z$/,
      },
      { row: { id: 1 } },
    ])
    t.match(readFileSync(file, 'utf8'), '"big":9223372036854775808')
    t.equal(statSync(file).mode & 0o777, 0o600)
  })

  t.test('rows that have no form in JSON', async (t) => {
    const file = join(t.testdir({}), 'refused.ndjson')
    const hec = await startHec(t)
    const cycle: Row = { id: 3, text: 'kept', big: 5n }
    cycle['self'] = cycle
    const bad = { toString: () => { throw new Error('no text') } } // biome-ignore format: one object
    const rows: unknown[] = [
      'text', 5n, [1, Symbol('s'), Object.create(null)], cycle,
      { id: 4, f: () => {}, m: new Map([['k', 'v']]), d: new Date(Number.NaN), u: undefined },
      { id: 5, get broken() { throw new Error('no value') } },
      { id: 6, broken: { toJSON: () => { throw bad } } },
      Symbol('alone'), new Map([['a', 1]]), new Date(0), undefined,
    ] // biome-ignore format: a list
    t.equal(await deliver(rows, splunkSink(hec, { dead_letter: new DeadLetterFile(file) })), undefined)
    t.match(lines(file).map(({ row }) => row), [
      'text', 5, "[ 1, Symbol(s), [Object: null prototype] {} ]", { id: 3, text: 'kept', big: 5, self: /Circular/ },
      { id: 4, f: '[Function: f]', m: "Map(1) { 'k' => 'v' }", d: 'Invalid Date' },
      { id: 5, broken: /^unreadable: Error: no value/ },
      { id: 6, broken: /toJSON/ },
      'Symbol(alone)', "Map(1) { 'a' => 1 }", '1970-01-01T00:00:00.000Z', undefined,
    ]) // biome-ignore format: a list
    t.same(receivedIds(hec), [])
  })

  t.test('a line that a crash has cut does not swallow the next', async (t) => {
    const file = join(t.testdir({ 'refused.ndjson': '{"row":1}\n{"row":{"te' }), 'refused.ndjson')
    const letters = new DeadLetterFile(file)
    letters.end({ row: 2 })
    await once(letters, 'finish')
    t.equal(readFileSync(file, 'utf8'), '{"row":1}\n{"row":{"te\n{"row":2}\n')
  })

  t.test('as many sinks as one likes share it, with no warning of Node', async (t) => {
    const file = new DeadLetterFile(join(t.testdir({}), 'refused.ndjson'))
    const hec = await startHec(t)
    const warnings: Error[] = []
    const onWarning = (warning: Error) => warnings.push(warning)
    process.on('warning', onWarning)
    const sinks = Array.from({ length: 12 }, () => splunkSink(hec, { dead_letter: file }))
    await Promise.all(sinks.map((sink) => deliver(['no row'], sink)))
    await new Promise((resolve) => setImmediate(resolve))
    process.off('warning', onWarning)
    t.same(warnings, [])
    t.equal(sinks.reduce((sum, { stats }) => sum + stats.rejected, 0), 12) // biome-ignore format: one sum
  })

  t.test('the file may be moved away', async (t) => {
    const file = join(t.testdir({}), 'refused.ndjson')
    const letters = new DeadLetterFile(file)
    await new Promise((resolve) => letters.write({ row: 1 }, resolve))
    renameSync(file, `${file}.1`)
    await new Promise((resolve) => letters.write({ row: 2 }, resolve))
    t.match([lines(`${file}.1`), lines(file)], [[{ row: 1 }], [{ row: 2 }]])
    appendFileSync(file, '')
    letters.destroy()
  })

  t.test('a letter counts as taken once it is flushed, in a file whose name is', async (t) => {
    const directory = t.testdir({})
    const calls = await fileCalls(t, directory)
    const letters = new DeadLetterFile(join(directory, 'refused.ndjson'))
    await new Promise((resolve) => letters.write({ row: 1 }, resolve))
    t.same(calls.splice(0), ['sync file', 'sync directory', 'appendFile file', 'datasync file'])
    await new Promise((resolve) => letters.write({ row: 2 }, resolve))
    t.same(calls, ['appendFile file', 'datasync file'])
  })

  t.test('what the sink reports as taken survives SIGKILL', async (t) => {
    const file = join(t.testdir({}), 'refused.ndjson')
    const hec = await startHec(t)
    hec.refuse = () => 13
    const program = fileURLToPath(new URL('../fixtures/sink-process.mjs', import.meta.url))
    const child = spawn(process.execPath, [program, 'refused', hec.url, hec.token, file])
    let taken = 0
    for await (const line of createInterface({ input: child.stdout })) {
      taken = Number(line.split(' ')[1])
      if (taken >= 20 && !child.killed) child.kill('SIGKILL')
    }
    t.equal(child.signalCode ?? (await once(child, 'exit'))[1], 'SIGKILL')
    t.ok(existsSync(file))
    const whole = readFileSync(file, 'utf8').split('\n').slice(0, -1)
    t.ok(whole.length >= taken, `${whole.length} lines, ${taken} reported`)
    // Four batches are under way at once: their rows come in any order.
    t.equal(new Set(whole.map((line) => JSON.parse(line).row.id)).size, whole.length)
  })
})
