import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  appendFileSync,
  closeSync,
  copyFileSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { isSameFile } from '../../../lib/connectors/files/listing.ts'
import { count, Trial } from '../../fixtures/files-trial.ts'

const line = (n: number) => `{"n":${n},"text":"${'x'.repeat(60)}"}\n`
const lines = (from: number, to: number) => count(from, to).map(line).join('')

t.test('a file is deleted, and a new one starts with the same lines', async (t) => {
  for (const name of ['a.log', 'b.log']) {
    await t.test(name === 'a.log' ? 'under its name, at once' : 'under another name, later', async (t) => {
      const trial = new Trial(t)
      writeFileSync(trial.path('a.log'), lines(0, 50))
      t.strictSame(await trial.read(), count(0, 50))
      rmSync(trial.path('a.log'))
      if (name === 'b.log') t.strictSame(await trial.read(), [])
      writeFileSync(trial.path(name), lines(0, 60))
      t.strictSame(await trial.read(), count(0, 60), 'it is read whole')
    })
  }
  await t.test('while it is followed', async (t) => {
    const trial = new Trial(t)
    writeFileSync(trial.path('a.log'), lines(0, 50))
    const follower = trial.follow(t)
    await follower.has(50)
    rmSync(trial.path('a.log'))
    await follower.idle(4)
    writeFileSync(trial.path('b.log'), lines(0, 60))
    await follower.has(110)
    t.strictSame(follower.rows.slice(50), count(0, 60))
  })
})

t.test('a device has another number after a reboot: its files are the same', async (t) => {
  const trial = new Trial(t)
  writeFileSync(trial.path('a.log'), lines(0, 50))
  t.strictSame(await trial.read(), count(0, 50))
  const { dev, ino } = statSync(trial.path('a.log'))
  for (const name of readdirSync(trial.checkpoint)) {
    const state = readFileSync(join(trial.checkpoint, name), 'utf8')
    writeFileSync(join(trial.checkpoint, name), state.replaceAll(`${dev}:${ino}:`, `${dev + 1}:${ino}:`))
  }
  appendFileSync(trial.path('a.log'), lines(50, 60))
  t.strictSame(await trial.read(), count(50, 60), 'it is read on')
  t.equal(trial.states, 1)
})

t.test('a number of a file that was used again is another file, if it was born later', (t) => {
  t.ok(isSameFile('1:5:100', '2:5:100'), 'a reboot')
  t.notOk(isSameFile('1:5:100', '1:5:200'), 'used again')
  t.notOk(isSameFile('1:5:100', '1:6:100'))
  t.ok(isSameFile('1:5:0', '1:5:0'))
  t.notOk(isSameFile('1:5:0', '2:5:0'), 'without births the device tells')
  t.end()
})

t.test('two living files share their first kilobytes', async (t) => {
  const trial = new Trial(t)
  writeFileSync(trial.path('messages'), lines(0, 50))
  writeFileSync(trial.path('syslog'), lines(0, 40))
  const follower = trial.follow(t)
  await follower.has(90)
  t.strictSame(follower.rows.length, 90, 'each is read whole')
  appendFileSync(trial.path('messages'), lines(50, 60))
  appendFileSync(trial.path('syslog'), lines(70, 75))
  await follower.has(105)
  t.strictSame(follower.rows.slice(90).sort(), [...count(50, 60), ...count(70, 75)].sort())
  await follower.finish()
  t.strictSame(await trial.read(), [])
})

t.test('copied and cut under a writer that keeps its position: a hole of NUL bytes', async (t) => {
  const trial = new Trial(t)
  const writer = openSync(trial.path('app.log'), 'w')
  t.teardown(() => closeSync(writer))
  let at = 0
  const write = (text: string) => {
    at += writeSync(writer, text, at)
  }
  write(lines(0, 30))
  const follower = trial.follow(t)
  await follower.has(30)
  copyFileSync(trial.path('app.log'), trial.path('app.log.1'))
  ftruncateSync(writer)
  write(lines(30, 40))
  await follower.has(40)
  t.strictSame(follower.rows, count(0, 40), 'rows behind the hole come')
  t.match(
    follower.skipped,
    [{ path: trial.path('app.log'), problem: /starts with \d+ NUL bytes/ }],
    'it is told',
  )
  await follower.finish()
  ftruncateSync(writer)
  write(lines(40, 45))
  t.strictSame(await trial.read(), count(40, 45), 'also after a restart')
  write(lines(45, 46))
  t.strictSame(await trial.read(), [45])
})

t.test('a known file that may not be read for a while', { skip: process.platform === 'win32' }, async (t) => {
  const trial = new Trial(t)
  trial.append('a.log', 3)
  t.strictSame(await trial.read(), [0, 1, 2])
  trial.append('a.log', 3)
  renameSync(trial.path('a.log'), trial.path('kept'))
  execFileSync('mkfifo', [trial.path('a.log')])
  renameSync(trial.path('kept'), join(trial.checkpoint, 'kept'))
  const follower = trial.follow(t)
  await follower.idle(2)
  t.match(follower.skipped, [{ path: trial.path('a.log'), problem: /neither a file nor a folder/ }])
  rmSync(trial.path('a.log'))
  renameSync(join(trial.checkpoint, 'kept'), trial.path('a.log'))
  await follower.has(3)
  t.strictSame(follower.rows, [3, 4, 5])
})

t.test('renamed out of the pattern while the output is blocked', async (t) => {
  const trial = new Trial(t)
  mkdirSync(join(trial.logs, 'old'))
  trial.append('app.log', 2000)
  const options = { path: trial.path('app.log'), maxBytesPerTrigger: 1000 }
  const follower = trial.follow(t, options)
  await once(follower.source, 'data')
  follower.source.pause()
  for (const name of ['app.log.1', 'old/app.log.2']) {
    renameSync(trial.path('app.log'), trial.path(name))
    trial.append('app.log', 500)
    const seen = statSync(trial.path('app.log')).mtimeMs
    // Looks go on while nothing is taken: one must see each file before the next rotation.
    while (performance.now() > 0 && !(await hasOpen(trial.path('app.log')))) await new Promise(setImmediate)
    t.ok(seen)
  }
  rmSync(trial.path('app.log.1'))
  follower.source.resume()
  await follower.has(3000)
  t.strictSame(
    [...follower.rows].sort((a, b) => Number(a) - Number(b)),
    count(0, 3000),
  )
  await follower.finish()
  t.strictSame(await trial.read(options), [])
})

/** Whether this process holds a descriptor of a file. */
async function hasOpen(path: string): Promise<boolean> {
  const { readdirSync, readlinkSync } = await import('node:fs')
  return readdirSync('/proc/self/fd').some((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === path
    } catch {
      return false
    }
  })
}

t.test('after a restart a renamed file is found by what it is', async (t) => {
  const trial = new Trial(t)
  const options = { path: trial.path('app.log') }
  trial.append('app.log', 3)
  t.strictSame(await trial.read(options), [0, 1, 2])
  trial.append('app.log', 2)
  renameSync(trial.path('app.log'), trial.path('something else'))
  trial.append('app.log', 1)
  t.strictSame((await trial.read(options)).sort(), [3, 4, 5], 'in its folder, under any name')
  t.strictSame(await trial.read(options), [])
  appendFileSync(trial.path('app.log'), '{"n":6}\n{"half":')
  t.strictSame(await trial.read(options), [6])
  rmSync(trial.path('app.log'))
  const source = trial.source(options)
  const skipped: unknown[] = []
  source.on('skipped', (event) => skipped.push(event))
  await source.toArray()
  t.match(skipped, [], 'a path that is not there at all may be a disk that is not mounted')
  trial.append('app.log', 1)
  const next = trial.source(options)
  next.on('skipped', (event) => skipped.push(event))
  await next.toArray()
  t.match(skipped, [
    { path: trial.path('app.log'), problem: /is gone: what stood behind byte 16 of it was not read/ },
  ])
})

t.test('a copy that is seen while it is written is compared once it is complete', async (t) => {
  const trial = new Trial(t)
  const text = lines(0, 20_000)
  writeFileSync(trial.path('app.log'), text)
  const follower = trial.follow(t)
  await follower.has(20_000)
  // By pieces, as a slow disk has it.
  const half = Math.floor(text.length / 2)
  writeFileSync(trial.path('app.log.1'), text.slice(0, half))
  await follower.idle(3)
  appendFileSync(trial.path('app.log.1'), `${text.slice(half)}${line(20_000)}`)
  truncateSync(trial.path('app.log'))
  await follower.has(20_001)
  t.strictSame(follower.rows.slice(20_000), [20_000])
  appendFileSync(trial.path('app.log'), lines(20_001, 20_005))
  await follower.has(20_005)
  t.strictSame(follower.rows.slice(20_001), count(20_001, 20_005))
  t.match(follower.copies, [
    { path: trial.path('app.log.1'), original: trial.path('app.log'), offset: text.length },
  ])
})

t.test('packed by gzip while it is followed', { skip: process.platform === 'win32' }, async (t) => {
  const trial = new Trial(t)
  const random = () => Math.random().toString(36).repeat(3)
  const text = count(0, 40_000)
    .map((n) => `{"n":${n},"text":"${random()}"}\n`)
    .join('')
  writeFileSync(trial.path('app.log'), text)
  const follower = trial.follow(t, { poll_interval_seconds: 0.02 })
  await follower.has(40_000)
  const gzip = spawn('gzip', ['-9', trial.path('app.log')])
  const [code] = await once(gzip, 'exit')
  t.equal(code, 0)
  trial.append('app.log', 5)
  await follower.has(40_005)
  await follower.idle(20)
  t.equal(follower.rows.length, 40_005, 'no row comes twice')
  t.strictSame(follower.rows.slice(40_000), count(0, 5))
})

t.test('an inode that a new file takes while the packed copy of the old one is not complete', async (t) => {
  const trial = new Trial(t)
  writeFileSync(trial.path('app.log'), lines(0, 100))
  t.strictSame(await trial.read(), count(0, 100))
  const packed = gzipSync(lines(0, 105))
  writeFileSync(trial.path('app.log.1.gz'), packed.subarray(0, packed.length - 20))
  rmSync(trial.path('app.log'))
  trial.append('app.log', 2)
  t.strictSame(await trial.read(), [0, 1], 'the new file; the packed one waits')
  writeFileSync(trial.path('app.log.1.gz'), packed)
  t.strictSame(await trial.read(), count(100, 105), 'and goes on where the old one was read to')
})

t.test('a record that was released before its end had come is extended', async (t) => {
  const trial = new Trial(t)
  writeFileSync(trial.path('a.log'), 'one\ntw')
  const values = async () =>
    (await trial.read({ format: 'text' })).map((row) => (row as { value: string }).value)
  t.strictSame(await values(), ['one', 'tw'])
  appendFileSync(trial.path('a.log'), 'o\nthree\n')
  t.strictSame(await values(), ['two', 'three'])
  t.strictSame(await values(), [])
  await t.test('followed: it waits, whatever the clocks say', async (t) => {
    const trial = new Trial(t)
    appendFileSync(trial.path('a.log'), 'one\ntw')
    trial.settle('a.log')
    const follower = trial.follow(t, { format: 'text' })
    await follower.has(1)
    await follower.idle(10)
    appendFileSync(trial.path('a.log'), 'o\n')
    await follower.has(2)
    t.strictSame(follower.rows, [{ value: 'one' }, { value: 'two' }])
    appendFileSync(trial.path('a.log'), 'three')
    renameSync(trial.path('a.log'), trial.path('a.log.1'))
    await follower.has(3)
    t.strictSame(follower.rows[2], { value: 'three' }, 'until the file was rotated')
  })
})

t.test('UTF-16 that ends within a character', async (t) => {
  const trial = new Trial(t)
  const text = Buffer.from('\ufeff{"n":"ä"}\n{"n":"𝄞"}\n', 'utf16le')
  const follower = trial.follow(t, { path: trial.path('a.log') })
  writeFileSync(trial.path('a.log'), text.subarray(0, 25))
  await follower.has(1)
  for (let end = 26; end <= text.length; end++) {
    appendFileSync(trial.path('a.log'), text.subarray(end - 1, end))
    if (end % 7 === 0) await follower.idle()
  }
  await follower.has(2)
  t.strictSame(follower.rows, ['ä', '𝄞'])
})

t.test('one malformed line does not end a stream', async (t) => {
  const trial = new Trial(t)
  writeFileSync(trial.path('a.log'), '{"n":1}\n{"n":\n{"n":2}\n')
  t.strictSame(await trial.read(), [1, { _corrupt_record: '{"n":' }, 2])
  await t.rejects(trial.read({ mode: 'failfast', checkpointLocation: undefined }, false), {
    code: 'ERR_RECORD',
  })
})

t.test('a folder more, or another pattern, goes on with the files that are known', async (t) => {
  const trial = new Trial(t)
  trial.append('a.log', 3)
  t.strictSame(await trial.read(), [0, 1, 2])
  trial.append('a.log', 1)
  const more = join(trial.logs, 'more')
  mkdirSync(more)
  trial.append('more/b.log', 1)
  trial.settle('a.log')
  t.strictSame(await trial.read({ path: [trial.logs, more] }), [3, 4])
  trial.append('a.log', 1)
  t.strictSame(await trial.read({ path: [join(trial.logs, '**/*.log')] }), [5])
  const { message } = await trial.read({ format: 'text' }).catch((error) => error)
  t.match(message, /its format is "ndjson", not "text"/)
  t.ok(message.length < 900 && !message.includes('start_time'), 'the error shows no whole offset')
})

t.test('a file that was written over, and its copy', async (t) => {
  const trial = new Trial(t)
  writeFileSync(trial.path('a.log'), lines(0, 50))
  t.strictSame(await trial.read(), count(0, 50))
  writeFileSync(trial.path('a.log.1'), lines(0, 55))
  writeFileSync(trial.path('a.log'), lines(60, 130))
  t.strictSame((await trial.read()).sort(), [...count(50, 55), ...count(60, 130)].sort())
  t.equal(readFileSync(trial.path('a.log'), 'utf8'), lines(60, 130))
})

t.test('packed over the packed file before it, while no file is new', async (t) => {
  const trial = new Trial(t)
  const pack = () => {
    writeFileSync(trial.path('a.log.gz'), gzipSync(readFileSync(trial.path('a.log'))))
    rmSync(trial.path('a.log'))
  }
  writeFileSync(trial.path('a.log'), lines(0, 50))
  writeFileSync(trial.path('b.log'), lines(100, 110))
  t.strictSame((await trial.read()).sort(), [...count(0, 50), ...count(100, 110)].sort())
  pack()
  t.strictSame(await trial.read(), [])
  writeFileSync(trial.path('a.log'), lines(50, 90))
  t.strictSame(await trial.read(), count(50, 90))
  pack()
  t.strictSame(await trial.read(), [], 'it is the copy of what was read')
})
