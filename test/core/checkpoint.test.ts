import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import { Checkpoint } from '../../lib/core/checkpoint.ts'
import { formatState, parseState } from '../../lib/core/checkpoint-state.ts'
import { processStart } from '../../lib/core/process-start.ts'
import { windowId } from '../../lib/core/window.ts'

const identity = { connector: 'azure-monitor', workspace_id: 'w', query: 'T' }
const window = (start: bigint, end = start + 10n) => ({ start, end })
const idOf = (start: bigint) => windowId(window(start))
const fixture = (name: string) => fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url))

t.test('a checkpoint is taken up where it was left', async (t) => {
  const directory = join(t.testdir(), 'deep', 'down')
  const first = await Checkpoint.open(directory, identity)
  t.equal(first.offset, undefined)
  t.equal(first.end, undefined)
  await first.begin(5n)
  await first.begin(99n)
  t.equal(first.offset, 5n, 'a beginning counts once')
  await first.plan(window(5n), window(15n))
  await first.plan(window(25n))
  await first.commit(idOf(5n))
  await first.close()

  const second = await Checkpoint.open(directory, identity)
  t.equal(second.offset, 15n)
  t.same(second.planned, [
    { ...window(15n), committed: false },
    { ...window(25n), committed: false },
  ])
  t.equal(second.end, 35n)
  await second.commit(idOf(5n))
  t.equal(second.offset, 15n, 'a window committed twice changes nothing')
  await second.commit(idOf(25n))
  t.equal(second.offset, 15n, 'what lies before must be committed first')
  t.same(second.planned, [{ ...window(15n), committed: false }])
  await second.close()

  const third = await Checkpoint.open(directory, identity)
  await third.commit(idOf(15n))
  t.equal(third.offset, 35n)
  t.same(third.planned, [])
  await third.close()
  const names = await readdir(directory)
  t.equal(names.length, 2, `old files and the lock are tidied away: ${names.join(' ')}`)
})

t.test('changes asked for at once come one after the other', async (t) => {
  const directory = t.testdir()
  const checkpoint = await Checkpoint.open(directory, identity)
  const starts = Array.from({ length: 30 }, (_, index) => BigInt(index) * 10n)
  await Promise.all([checkpoint.begin(0n), ...starts.map((start) => checkpoint.plan(window(start)))])
  await Promise.all([...starts].reverse().map((start) => checkpoint.commit(idOf(start))))
  t.equal(checkpoint.offset, 300n)
  await Promise.all([checkpoint.close(), checkpoint.close()])
  await t.rejects(checkpoint.plan(window(300n)), { code: 'ERR_CHECKPOINT', message: /closed/ })
})

t.test('what can not be is refused and changes nothing', async (t) => {
  await using checkpoint = await Checkpoint.open(t.testdir(), identity)
  await checkpoint.plan(window(0n))
  await t.rejects(checkpoint.plan(window(11n)), { code: 'ERR_CHECKPOINT', message: /does not begin where/ })
  await t.rejects(checkpoint.plan(window(9n)), { code: 'ERR_CHECKPOINT' })
  await t.rejects(checkpoint.plan(window(10n, 10n)), { code: 'ERR_CHECKPOINT' })
  await t.rejects(checkpoint.commit(idOf(10n)), { code: 'ERR_CHECKPOINT', message: /no window/ })
  await t.rejects(checkpoint.commit('nonsense'), { code: 'ERR_CHECKPOINT' })
  t.equal(checkpoint.end, 10n)
})

t.test('the state on disk reads back the same, and no part of it is taken for the whole', async (t) => {
  const state = fc
    .record({
      identity: fc.dictionary(fc.string(), fc.string()),
      offset: fc.bigInt({ min: 0n, max: 10n ** 17n }),
      lengths: fc.array(fc.tuple(fc.bigInt({ min: 1n, max: 10n ** 11n }), fc.boolean()), { maxLength: 5 }),
    })
    .map(({ identity, offset, lengths }) => {
      let at = offset
      const planned = lengths.map(([length, committed]) => {
        const start = at
        at += length
        return { start, end: at, committed }
      })
      return { identity: { ...identity }, offset, planned }
    })
  fc.assert(
    fc.property(state, (one) => {
      const text = formatState(one)
      t.strictSame(JSON.stringify(parseState(text), plain), JSON.stringify(one, plain))
      for (let length = 0; length < text.trimEnd().length; length += 1 + (length % 7)) {
        t.throws(() => parseState(text.slice(0, length)))
      }
    }),
    { numRuns: 30 },
  )
})
const plain = (_: string, value: unknown) => (typeof value === 'bigint' ? String(value) : value)

t.test('a power cut at any byte', async (t) => {
  const directory = t.testdir()
  const checkpoint = await Checkpoint.open(directory, identity)
  await checkpoint.plan(window(0n))
  await checkpoint.commit(idOf(0n))
  await checkpoint.close()
  const [before, newest] = (await readdir(directory)).sort() as [string, string]
  const text = await readFile(join(directory, newest), 'utf8')

  await t.test('of the file being written leaves the state before it', async (t) => {
    await rm(join(directory, newest))
    for (let length = 0; length <= text.length; length += 3) {
      await writeFile(join(directory, `${newest}.tmp`), text.slice(0, length))
      const opened = await Checkpoint.open(directory, identity)
      t.equal(opened.offset, 0n)
      t.equal(opened.planned.length, 1)
      await opened.close()
    }
    t.same(await readdir(directory), [before], 'and what was cut off is tidied away')
  })

  await t.test(
    'of the newest file itself, by a damaged disk, is an error that says how to go on',
    async (t) => {
      for (let length = 0; length < text.trimEnd().length; length += 3) {
        await writeFile(join(directory, newest), text.slice(0, length))
        await t.rejects(Checkpoint.open(directory, identity), {
          code: 'ERR_CHECKPOINT',
          message: new RegExp(`${newest}.*Delete it to go on from the state before it, ${before}`),
        })
      }
      await writeFile(join(directory, newest), Buffer.alloc(text.length))
      await t.rejects(Checkpoint.open(directory, identity), { code: 'ERR_CHECKPOINT' }, 'blocks of zeros')
      await rm(join(directory, newest))
      const opened = await Checkpoint.open(directory, identity)
      t.equal(opened.planned.length, 1)
      await opened.close()
    },
  )
})

t.test('a file of somebody else', async (t) => {
  const directory = t.testdir({ 'notes.txt': 'mine', '.keep': '' })
  await t.rejects(Checkpoint.open(directory, identity), {
    code: 'ERR_CHECKPOINT',
    message: /not a checkpoint's directory: it holds "notes.txt"/,
  })
  t.same((await readdir(directory)).sort(), ['.keep', 'notes.txt'], 'nothing is left there')
  await rm(join(directory, 'notes.txt'))
  const name = 'checkpoint-0000000001.json'
  const good = JSON.parse(
    formatState({ identity, offset: 0n, planned: [{ ...window(0n), committed: false }] }),
  )
  for (const [why, wrong] of Object.entries({
    'not a checkpoint of this package': { batchWatermarkMs: 0 },
    'version 2': { ...good, version: 2 },
    offset: { ...good, offset: 'soon' },
    identity: { ...good, identity: { query: 1 } },
    'not a list': { ...good, planned: {} },
    'is no window': { ...good, planned: [{ ...good.planned[0], id: 'x' }] },
    'does not begin': { ...good, offset: '2024-05-01T00:00:00Z' },
    damaged: '',
  })) {
    await writeFile(join(directory, name), wrong === '' ? '' : JSON.stringify(wrong))
    await t.rejects(Checkpoint.open(directory, identity), {
      code: 'ERR_CHECKPOINT',
      message: new RegExp(`${why}.*(Restore it|start_time)`),
    })
  }
  await t.rejects(
    Checkpoint.open(join(directory, name), identity),
    { code: 'ERR_CHECKPOINT' },
    'no directory',
  )
})

t.test('the checkpoint of another query', async (t) => {
  const directory = t.testdir()
  const checkpoint = await Checkpoint.open(directory, identity)
  await checkpoint.begin(1n)
  await checkpoint.close()
  await t.rejects(Checkpoint.open(directory, { ...identity, query: 'T | where Level == "error"' }), {
    code: 'ERR_CHECKPOINT',
    message: /its query is "T", not "T \| where .*start_time "1970-01-01T00:00:00.0000001Z"/,
  })
  await t.rejects(Checkpoint.open(directory, { ...identity, window_by: 'x' }), { message: /not given/ })
  const { offset } = await Checkpoint.open(directory, identity)
  t.equal(offset, 1n)
})

t.test('one process at a time', async (t) => {
  const children: ChildProcess[] = []
  t.teardown(() => {
    for (const child of children) child.kill('SIGKILL')
  })
  const start = async (directory: string) => {
    const child = spawn(process.execPath, [fixture('hold-checkpoint.mjs'), directory], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    children.push(child)
    const [answer] = (await once(createInterface({ input: child.stdout }), 'line')) as [string]
    return { child, answer }
  }

  await t.test('of several that start at once, one has it', async (t) => {
    for (let round = 0; round < 3; round++) {
      const directory = t.testdir()
      const started = await Promise.all(Array.from({ length: 4 }, () => start(directory)))
      const holders = started.filter(({ answer }) => answer === 'held')
      t.equal(holders.length, 1, started.map(({ answer }) => answer).join('\n'))
      for (const { child, answer } of started) {
        if (answer !== 'held') t.match(answer, /ERR_CHECKPOINT .* held by process \d+/)
        const closed = child.exitCode === null ? once(child, 'exit') : undefined
        child.stdin.end()
        await closed
      }
    }
  })

  await t.test('it is refused while the other runs, and taken over once that is dead', async (t) => {
    const directory = t.testdir()
    const { child, answer } = await start(directory)
    t.equal(answer, 'held')
    await t.rejects(Checkpoint.open(directory, { query: 'T' }), {
      code: 'ERR_CHECKPOINT',
      message: new RegExp(`held by process ${child.pid} since`),
    })
    const exit = once(child, 'exit')
    child.kill('SIGKILL')
    await exit
    t.equal((await readdir(directory)).length, 1, 'the dead one left its lock')
    const checkpoint = await Checkpoint.open(directory, { query: 'T' })
    t.equal((await readdir(directory)).length, 1)
    await t.rejects(Checkpoint.open(directory, { query: 'T' }), { message: /\(this one\)/ })
    await checkpoint.close()
    t.same(await readdir(directory), [])
  })

  const lockName = 'lock-00000000-0000-4000-8000-000000000000.json'
  const lockOf = (directory: string, holder: object) =>
    writeFile(join(directory, lockName), JSON.stringify({ since: '2024-05-01T00:00:00Z', ...holder }))

  await t.test('a process of the same number as a dead one does not count', async (t) => {
    const directory = t.testdir()
    await lockOf(directory, { pid: process.pid, started: 'another boot 1', host: hostname() })
    const checkpoint = await Checkpoint.open(directory, { query: 'T' })
    t.notOk((await readdir(directory)).includes(lockName))
    await checkpoint.close()
    t.equal(await processStart(process.pid), await processStart(process.pid))
  })

  await t.test('the lock of another host is left alone', async (t) => {
    const directory = t.testdir()
    await lockOf(directory, { pid: 1, host: 'elsewhere' })
    await t.rejects(Checkpoint.open(directory, { query: 'T' }), {
      code: 'ERR_CHECKPOINT',
      message: new RegExp(`process 1 on host "elsewhere".*delete .*${lockName}`),
    })
    t.same(await readdir(directory), [lockName])
  })

  await t.test('a lock that can not be read is left alone', async (t) => {
    const directory = t.testdir({ [lockName]: '{"pid":' })
    await t.rejects(Checkpoint.open(directory, { query: 'T' }), {
      code: 'ERR_CHECKPOINT',
      message: /should be a lock/,
    })
  })

  await t.test('who lost the lock writes no more', async (t) => {
    const directory = t.testdir()
    const checkpoint = await Checkpoint.open(directory, { query: 'T' })
    for (const name of await readdir(directory)) await rm(join(directory, name))
    await t.rejects(checkpoint.begin(0n), { code: 'ERR_CHECKPOINT', message: /lock .* is gone/ })
    t.same(await readdir(directory), [])
  })
})

t.test('a disk that takes no more', async (t) => {
  const alone = ['--user', '--map-root-user', '--mount']
  const may = await promisify(execFile)('unshare', [...alone, 'true']).then(
    () => true,
    () => false,
  )
  for (const [mode, code] of Object.entries({ full: 'ENOSPC', 'read-only': 'EROFS' })) {
    const options = may ? {} : { skip: 'this system lets nobody make a mount namespace' }
    await t.test(mode, options, async (t) => {
      const program = [process.execPath, fixture('fill-disk.mjs'), t.testdir(), mode]
      const { stdout } = await promisify(execFile)('unshare', [...alone, ...program])
      t.match(JSON.parse(stdout), {
        commit: `ERR_CHECKPOINT ${code}`,
        offset: '0',
        open: `ERR_CHECKPOINT ${code}`,
        again: ['0', 1],
        after: 'done',
      })
    })
  }
})
