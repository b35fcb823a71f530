import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readlinkSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { HeldBody } from '../../lib/source/held-body.ts'

const bytesOf = (length: number, seed = 0) =>
  Buffer.from(Array.from({ length }, (_, at) => (at * 31 + seed) & 255))

async function hold(held: HeldBody, chunks: readonly Buffer[]): Promise<void> {
  for (const chunk of chunks) await held.write(chunk)
  await held.end()
}

async function read(held: HeldBody): Promise<Buffer> {
  const all: Buffer[] = []
  for await (const chunk of held.chunks()) all.push(chunk)
  return Buffer.concat(all)
}

t.test('what fits is in memory, and comes back as often as it is asked for', async (t) => {
  const directory = t.testdir()
  const held = new HeldBody({ memory: 1_000_000, directory })
  const given = [bytesOf(10), bytesOf(70_000, 1), bytesOf(0), bytesOf(200_000, 2)]
  await hold(held, given)
  t.equal(held.bytes, 270_010)
  t.equal(held.fileBytes, 0)
  t.ok((await read(held)).equals(Buffer.concat(given)))
  t.ok((await read(held)).equals(Buffer.concat(given)))
  t.strictSame(readdirSync(directory), [])
  held.release()
  t.equal((await read(held)).length, 0)
  t.throws(() => held.write(bytesOf(1)), /released/)
})

t.test('what does not fit is in a file without a name', async (t) => {
  const directory = t.testdir()
  for (const memory of [0, 1, 100_000, 299_999]) {
    const held = new HeldBody({ memory, directory })
    const given = Array.from({ length: 30 }, (_, seed) => bytesOf(10_000 + seed, seed))
    await hold(held, given)
    t.equal(held.bytes, 300_435)
    t.ok(held.fileBytes > 0 && held.bytes - held.fileBytes <= memory, `${memory} bytes of memory`)
    t.strictSame(readdirSync(directory), [], 'the file has no name')
    t.ok((await read(held)).equals(Buffer.concat(given)))
    t.ok((await read(held)).equals(Buffer.concat(given)))
    held.release()
  }
})

t.test('an empty body has no pieces', async (t) => {
  const held = new HeldBody({ memory: 10 })
  await held.end()
  for await (const _ of held.chunks()) t.fail('a piece of nothing')
  t.equal(held.bytes, 0)
})

t.test('two readers at once, and a release while one reads', async (t) => {
  const held = new HeldBody({ memory: 0, directory: t.testdir() })
  const given = [bytesOf(600_000), bytesOf(600_000, 7)]
  await hold(held, given)
  const [one, two] = await Promise.all([read(held), read(held)])
  t.ok(one.equals(two) && one.equals(Buffer.concat(given)))
  let seen = 0
  for await (const chunk of held.chunks()) {
    seen += chunk.length
    held.release()
  }
  t.ok(seen < 1_200_000, 'it ends early, without an error')
})

t.test('a directory that is not there is an error, which names it', async (t) => {
  const directory = join(t.testdir(), 'missing')
  const held = new HeldBody({ memory: 0, directory })
  await held.write(bytesOf(10))
  await t.rejects(held.end(), { code: 'ENOENT', message: /missing/ })
  held.release()
})

t.test('a release while pieces are written leaves neither a file nor an open one', async (t) => {
  const directory = t.testdir()
  const held = new HeldBody({ memory: 0, directory })
  const writes = [bytesOf(300_000), bytesOf(300_000, 1), bytesOf(300_000, 2)].map((piece) =>
    held.write(piece),
  )
  held.release()
  await Promise.all(writes)
  await held.end()
  t.strictSame(readdirSync(directory), [])
  t.equal((await read(held)).length, 0)
  if (process.platform !== 'linux') return
  const isOpen = () =>
    readdirSync('/proc/self/fd').some((fd) => {
      try {
        return readlinkSync(join('/proc/self/fd', fd)).includes(directory)
      } catch {
        return false
      }
    })
  while (isOpen()) await new Promise((resolve) => setImmediate(resolve))
  t.pass('it is closed')
})

/** A process that holds a body in a file, and says so. */
function holder(t: Test, directory: string) {
  const script = `
    const { HeldBody } = await import(${JSON.stringify(new URL('../../dist/source/held-body.js', import.meta.url).href)})
    const held = new HeldBody({ memory: 0, directory: ${JSON.stringify(directory)} })
    await held.write(Buffer.alloc(1_000_000, 's3cret'))
    await held.end()
    process.stdout.write('held ' + held.fileBytes)
    setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  return child
}

t.test('nothing is left after a crash', async (t) => {
  const directory = t.testdir()
  const child = holder(t, directory)
  const [said] = await once(child.stdout!, 'data')
  t.equal(String(said), 'held 1000000')
  t.strictSame(readdirSync(directory), [], 'while it runs, no name is there to read it by')
  const closed = once(child, 'close')
  child.kill('SIGKILL')
  await closed
  t.strictSame(readdirSync(directory), [])
})

t.test('a file that a crashed process could not do without is removed at the next start', async (t) => {
  const gone = spawn(process.execPath, ['-e', ''])
  await once(gone, 'close')
  const orphan = `cyber-connectors-held-${gone.pid}-0123456789abcdef`
  const alive = `cyber-connectors-held-${process.pid}-0123456789abcdef`
  const foreign = 'cyber-connectors-held-notes.txt'
  const directory = t.testdir()
  for (const name of [orphan, alive, foreign]) writeFileSync(join(directory, name), 'rows')
  const child = holder(t, directory)
  await once(child.stdout!, 'data')
  t.notOk(existsSync(join(directory, orphan)), 'its process is gone')
  t.ok(existsSync(join(directory, alive)), 'its process runs')
  t.ok(existsSync(join(directory, foreign)), 'is not ours')
})

t.test(
  'the file is readable by its owner alone',
  { skip: process.platform === 'win32' && 'POSIX modes' },
  async (t) => {
    const directory = t.testdir()
    // What the descriptor of the nameless file says: of this process, /proc shows it on Linux.
    const held = new HeldBody({ memory: 0, directory })
    await hold(held, [bytesOf(300_000)])

    if (!existsSync('/proc/self/fd')) {
      t.pass('there is no /proc to look into')
      return
    }
    const fds = readdirSync('/proc/self/fd').filter((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`).includes('cyber-connectors-held-')
      } catch {
        return false
      }
    })
    t.equal(fds.length, 1)
    t.equal(statSync(`/proc/self/fd/${fds[0]}`).mode & 0o777, 0o600)
    held.release()
  },
)
