import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync } from 'node:fs'
import {
  appendFile,
  copyFile,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import { Checkpoint, type CheckpointOptions } from '../../lib/checkpoint/checkpoint.ts'
import { processStart } from '../../lib/checkpoint/directory-lock.ts'
import { DirectoryStore } from '../../lib/checkpoint/directory-store.ts'
import { type CheckpointState, formatState, parseState } from '../../lib/checkpoint/state.ts'
import type { CheckpointStore } from '../../lib/checkpoint/store.ts'
import { fileCalls } from '../fixtures/file-calls.ts'
import { scaled } from '../fixtures/scale.ts'

const identity = { connector: 'azure-monitor', workspace_id: 'w', query: 'T' }
const fixture = (name: string) => fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url))

/** Slices of a stream that is counted from 0; the offset is changed in place. */
const slice = (from: number, to = from + 10) => ({ id: `${from}-${to}`, from, to })
const idOf = (from: number) => slice(from).id
function advance(offset: { at: number }, { from, to }: { id: string; from: number; to: number }) {
  if (from !== offset.at || !(to > from))
    throw new Error(`${from}-${to} does not begin where the last one ends`)
  offset.at = to
  return offset
}
const passed = ({ at }: { at: number }, id: string) => Number(id.split('-')[1]) <= at
const restart = (offset?: { at: number }) => (offset ? `give ${offset.at} as start_time` : 'give start_time')

const open = (
  place: string | CheckpointStore,
  whose: Record<string, string> = identity,
  options: CheckpointOptions = {},
) => Checkpoint.open(place, whose, { advance, passed, restart }, options)

/** The directory's file that counts. */
async function newestState(directory: string): Promise<string> {
  const states = (await readdir(directory)).filter((name) => name.startsWith('checkpoint-'))
  return join(directory, states.sort().at(-1)!)
}

t.test('a checkpoint is taken up where it was left', async (t) => {
  const directory = join(t.testdir(), 'deep', 'down')
  const first = await open(directory)
  t.equal(first.offset, undefined)
  t.equal(first.end, undefined)
  await first.begin({ at: 5 })
  await first.begin({ at: 99 })
  t.same(first.offset, { at: 5 }, 'a beginning counts once')
  await first.plan(slice(5), slice(15))
  await first.plan(slice(25))
  await first.commit(idOf(5))
  await first.close()

  const second = await open(directory)
  t.same(second.offset, { at: 15 })
  t.same(second.planned, [slice(15), slice(25)])
  t.same(second.end, { at: 35 })
  await second.commit(idOf(5))
  t.same(second.offset, { at: 15 }, 'a slice committed twice changes nothing')
  await second.commit(idOf(25))
  t.same(second.offset, { at: 15 }, 'what lies before must be committed first')
  t.same(second.planned, [slice(15)])
  await second.commit(idOf(25), idOf(25))
  await second.close()

  const third = await open(directory)
  t.same(third.planned, [slice(15)])
  await third.commit(idOf(15))
  t.same(third.offset, { at: 35 })
  t.same(third.planned, [])
  await third.close()
  const names = await readdir(directory)
  t.equal(names.length, 2, `old files and the lock are tidied away: ${names.join(' ')}`)
})

t.test('a checkpoint may begin with what is planned', async (t) => {
  const directory = t.testdir()
  const first = await open(directory)
  await t.rejects(first.begin({ at: 0 }, slice(0), slice(11)), { message: /does not begin where/ })
  t.same([first.offset, first.end, first.planned], [undefined, undefined, []])
  await first.begin({ at: 0 }, slice(0), slice(10))
  await first.close()
  const second = await open(directory)
  t.same(second.planned, [slice(0), slice(10)])
  await second.close()
})

t.test('changes asked for at once come one after the other', async (t) => {
  const directory = t.testdir()
  const checkpoint = await open(directory)
  const starts = Array.from({ length: 30 }, (_, index) => index * 10)
  await Promise.all([checkpoint.begin({ at: 0 }), ...starts.map((start) => checkpoint.plan(slice(start)))])
  await Promise.all([...starts].reverse().map((start) => checkpoint.commit(idOf(start))))
  t.same(checkpoint.offset, { at: 300 })
  await Promise.all([checkpoint.close(), checkpoint.close()])
  await t.rejects(checkpoint.plan(slice(300)), { code: 'ERR_CHECKPOINT', message: /closed/ })
})

t.test('what can not be is refused and changes nothing', async (t) => {
  await using checkpoint = await open(t.testdir())
  await t.rejects(checkpoint.plan(slice(0)), { code: 'ERR_CHECKPOINT', message: /not begun/ })
  await checkpoint.begin({ at: 0 })
  await checkpoint.plan(slice(0))
  await t.rejects(checkpoint.plan(slice(11)), { message: /does not begin where/ })
  await t.rejects(checkpoint.plan(slice(9)), { message: /does not begin where/ })
  await t.rejects(checkpoint.plan(slice(10, 10)), { message: /does not begin where/ })
  await t.rejects(checkpoint.plan(slice(10), slice(30)), { message: /does not begin where/ })
  await t.rejects(checkpoint.plan({ ...slice(10), id: idOf(0) }), { message: /planned already/ })
  await t.rejects(checkpoint.plan({ ...slice(10), id: '' }), {
    code: 'ERR_CHECKPOINT',
    message: /with an id/,
  })
  await t.rejects(checkpoint.commit(idOf(10)), { code: 'ERR_CHECKPOINT', message: /has no 10-20 in flight/ })
  await t.rejects(checkpoint.commit('nonsense'), { code: 'ERR_CHECKPOINT' })
  await t.rejects(checkpoint.commit(idOf(0), 'nonsense'), { code: 'ERR_CHECKPOINT' })
  t.same(checkpoint.planned, [slice(0)])
  t.same(checkpoint.end, { at: 10 })
})

t.test('what is handed out or in later on does not change the checkpoint', async (t) => {
  await using checkpoint = await open(t.testdir())
  const begin = { at: 0 }
  await checkpoint.begin(begin)
  const given = slice(0)
  await checkpoint.plan(given, slice(10))
  begin.at = 7
  given.to = 9
  checkpoint.offset!.at = 8
  checkpoint.end!.at = 8
  await checkpoint.commit(idOf(0))
  t.same([checkpoint.offset, checkpoint.end], [{ at: 10 }, { at: 20 }])
})

/** Any state that can be, and what it reads as. */
const anyState: fc.Arbitrary<CheckpointState> = fc
  .record({
    identity: fc.dictionary(fc.string(), fc.string()),
    offset: fc.dictionary(fc.string(), fc.jsonValue()),
    ids: fc.uniqueArray(fc.string({ minLength: 1 }), { maxLength: 5 }),
    value: fc.jsonValue(),
  })
  .map(({ identity, offset, ids, value }) =>
    // As JSON has it: no -0, no prototype.
    JSON.parse(
      JSON.stringify({
        identity,
        offset,
        changes: [{ plan: ids.map((id) => ({ id, value })) }, { commit: ids }, { plan: [] }],
      }),
    ),
  )

t.test('the state reads back the same, and no part of it is taken for the whole', async () => {
  fc.assert(
    fc.property(anyState, (state) => {
      const text = formatState(state)
      assert.deepEqual(parseState(text), state)
      const first = text.indexOf('\n')
      for (let length = 0; length < text.length; length += 1 + (length % 7)) {
        const part = text.slice(0, length)
        if (length < first) assert.throws(() => parseState(part))
        else {
          const whole = part.split('\n').length - 2
          assert.deepEqual(parseState(part).changes, state.changes.slice(0, Math.max(0, whole)))
        }
      }
    }),
    { numRuns: scaled(10, 30) },
  )
})

t.test('a power cut at any byte', async (t) => {
  const directory = t.testdir()
  const checkpoint = await open(directory)
  await checkpoint.begin({ at: 0 })
  await checkpoint.plan(slice(0))
  await checkpoint.close()
  const before = await newestState(directory)
  const begun = await readFile(before, 'utf8')
  const again = await open(directory)
  await again.commit(idOf(0))
  await again.close()
  const newest = await newestState(directory)
  const text = await readFile(newest, 'utf8')
  const base = text.trimEnd().lastIndexOf('\n') + 1
  const baseName = (path: string) => path.slice(directory.length + 1)

  await t.test('of a line being appended leaves the state before it, which goes on', async (t) => {
    await rm(before)
    for (let length = base; length < text.length; length += scaled(3, 1)) {
      for (const tail of ['', '\0'.repeat(text.length - length)]) {
        for (const name of await readdir(directory)) await rm(join(directory, name))
        await writeFile(newest, text.slice(0, length) + tail)
        const opened = await open(directory)
        assert.deepEqual(opened.offset, { at: 0 })
        assert.deepEqual(opened.planned, [slice(0)])
        await opened.plan(slice(10))
        await opened.commit(idOf(0))
        await opened.close()
        const reopened = await open(directory)
        assert.deepEqual([reopened.offset, reopened.planned], [{ at: 10 }, [slice(10)]])
        await reopened.close()
      }
    }
    // Of a line over several blocks, a later one may be on the disk and an earlier one not.
    await writeFile(newest, `${text.slice(0, base)}${'\0'.repeat(20)}"]}\n`)
    for (const name of await readdir(directory)) {
      if (join(directory, name) !== newest) await rm(join(directory, name))
    }
    const opened = await open(directory)
    t.same(opened.offset, { at: 0 })
    await opened.close()
  })

  await t.test('of the file being written leaves the state before it', async (t) => {
    for (const name of await readdir(directory)) await rm(join(directory, name))
    await writeFile(before, begun)
    for (let length = 0; length <= text.length; length += 3) {
      await writeFile(`${newest}.tmp`, text.slice(0, length))
      const opened = await open(directory)
      t.same(opened.offset, { at: 0 })
      t.equal(opened.planned.length, 1)
      await opened.close()
    }
    t.same(await readdir(directory), [baseName(before)], 'and what was cut off is tidied away')
  })

  await t.test(
    'of the newest file itself, by a damaged disk, is an error that says how to go on',
    async (t) => {
      for (let length = 0; length < text.indexOf('\n'); length += 3) {
        await writeFile(newest, text.slice(0, length))
        await t.rejects(open(directory), {
          code: 'ERR_CHECKPOINT',
          message: new RegExp(
            `Delete ${baseName(newest)} to go on from the state before it, ${baseName(before)}`,
          ),
        })
      }
      await writeFile(newest, Buffer.alloc(text.length))
      await t.rejects(open(directory), { code: 'ERR_CHECKPOINT' }, 'blocks of zeros')
      const lines = text.split('\n')
      for (const [index, wrong] of [
        [1, lines[1]!.slice(0, 9)],
        [1, '\0'.repeat(lines[1]!.length)],
        [1, '{"plan":[{"from":1}]}'],
        [1, '{"plan":[],"commit":[]}'],
        [2, '{"commit":["nonsense"]}'],
        [2, '{"commit":[1]}'],
        [2, '{"done":["0-10"]}'],
      ] as const) {
        await writeFile(newest, lines.with(index, wrong).join('\n'))
        await t.rejects(open(directory), { code: 'ERR_CHECKPOINT', message: /Delete/ }, wrong)
      }
      await rm(newest)
      const opened = await open(directory)
      t.equal(opened.planned.length, 1)
      await opened.close()
    },
  )
})

t.test('changes are appended, and the file is written anew once they are longer than the rest', async (t) => {
  const directory = t.testdir()
  const checkpoint = await open(directory)
  await checkpoint.begin({ at: 0 })
  const long = (from: number) => ({ ...slice(from), id: `${from}-${from + 10}-${'x'.repeat(2000)}` })
  let rewritten = 0
  let longest = 0
  let last = 0
  for (let from = 0; from < 1000; from += 10) {
    await checkpoint.plan(long(from))
    if (from > 0) await checkpoint.commit(long(from - 10).id)
    const { size } = await stat(await newestState(directory))
    if (size < last) rewritten++
    last = size
    longest = Math.max(longest, size)
  }
  // A hundred rounds of 4 kB each.
  t.ok(longest < 80_000, `${longest} bytes`)
  t.ok(rewritten >= 4 && rewritten <= 8, `rewritten ${rewritten} times`)
  t.equal((await readdir(directory)).filter((name) => name.startsWith('checkpoint-')).length, 2)
  await checkpoint.close()
  const opened = await open(directory)
  t.same([opened.offset, opened.planned], [{ at: 990 }, [long(990)]])
  await opened.close()
})

t.test('a change is flushed before it counts', async (t) => {
  const directory = t.testdir()
  const checkpoint = await open(directory)
  await checkpoint.begin({ at: 0 })
  const calls = await fileCalls(t, directory)
  await checkpoint.plan(slice(0))
  t.same(calls.splice(0), ['writeFile file', 'datasync file'])
  await checkpoint.commit(slice(0).id)
  t.same(calls, ['writeFile file', 'datasync file'])
  await checkpoint.close()
})

t.test('after a change that was written in part the state is written anew', async (t) => {
  const directory = t.testdir()
  const checkpoint = await open(directory)
  await checkpoint.begin({ at: 0 })
  await checkpoint.plan(slice(0))
  let isFull = true
  await fileCalls(t, directory, async () => {
    if (!isFull) return ''
    isFull = false
    appendFileSync(await newestState(directory), '{"comm')
    throw Object.assign(new Error('no space is left'), { code: 'ENOSPC' })
  })
  await t.rejects(checkpoint.commit(slice(0).id), { code: 'ERR_CHECKPOINT', message: /no space is left/ })
  await checkpoint.commit(slice(0).id)
  await checkpoint.plan(slice(10))
  await checkpoint.close()
  const opened = await open(directory)
  t.same([opened.offset, opened.planned], [{ at: 10 }, [slice(10)]])
  await opened.close()
})

t.test('whatever is planned and committed in whatever order, over restarts and torn appends', async (t) => {
  const base = t.testdir()
  let run = 0
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(fc.nat(20), { maxLength: 8 }), { maxLength: 4 }),
      fc.boolean(),
      async (lives, torn) => {
        const directory = join(base, String(run++))
        const committed = new Set<number>()
        let end = 0
        for (const life of lives) {
          const checkpoint = await open(directory)
          await checkpoint.begin({ at: 0 })
          for (const step of life) {
            const planned = checkpoint.planned
            if (step % 2 === 0 || planned.length === 0) {
              const slices = Array.from({ length: 1 + (step % 3) }, (_, index) => slice(end + index * 10))
              await checkpoint.plan(...slices)
              end += slices.length * 10
            } else {
              const { id, from } = planned[step % planned.length]!
              await checkpoint.commit(id)
              committed.add(from)
            }
          }
          await checkpoint.close()
          if (torn) await appendFile(await newestState(directory), '{"commit":["0-1')
        }
        if (lives.length === 0) return
        const checkpoint = await open(directory)
        const expected = Array.from({ length: end / 10 }, (_, index) => slice(index * 10))
        const firstOpen = expected.find(({ from }) => !committed.has(from))
        t.same(
          checkpoint.planned,
          expected.filter(({ from }) => !committed.has(from)),
        )
        t.same(checkpoint.offset, { at: firstOpen?.from ?? end })
        t.same(checkpoint.end, { at: end })
        await checkpoint.close()
      },
    ),
    { numRuns: scaled(8, 25) },
  )
})

t.test('a file of somebody else', async (t) => {
  const directory = t.testdir({ 'notes.txt': 'mine', '.keep': '' })
  await t.rejects(open(directory), {
    code: 'ERR_CHECKPOINT',
    message: /not a checkpoint's directory: it holds "notes.txt"/,
  })
  t.same((await readdir(directory)).sort(), ['.keep', 'notes.txt'], 'nothing is left there')
  await rm(join(directory, 'notes.txt'))
  const name = 'checkpoint-0000000001.json'
  const good = JSON.parse(formatState({ identity, offset: { at: 0 }, changes: [] }))
  for (const [why, wrong] of Object.entries({
    'not a checkpoint of this package': { batchWatermarkMs: 0 },
    'version 3': { ...good, version: 3 },
    offset: { ...good, offset: 'soon' },
    identity: { ...good, identity: { query: 1 } },
    'version 1': { ...good, version: 1 },
    damaged: '',
  })) {
    await writeFile(join(directory, name), wrong === '' ? '' : JSON.stringify(wrong))
    await t.rejects(open(directory), {
      code: 'ERR_CHECKPOINT',
      message: new RegExp(`${why}.*Restore it, or start a new checkpoint: give start_time`),
    })
  }
  await truncate(join(directory, name), 3_000_000_000)
  const tooLong = { code: 'ERR_CHECKPOINT', message: /is longer than 256000000 bytes, which no state is/ }
  await t.rejects(open(directory), tooLong)
  await t.rejects(new DirectoryStore(directory).read(''), tooLong)
  await t.rejects(open(join(directory, name)), { code: 'ERR_CHECKPOINT' }, 'no directory')
})

t.test('a name, a link or another folder leads nowhere else', async (t) => {
  const base = t.testdir({ offsets: {}, outside: { 'checkpoint-0000000001.json': '' }, decoy: {} })
  const store = new DirectoryStore(join(base, 'offsets'))
  for (const name of ['../outside', '..', join(base, 'outside'), 'a/../../outside', 'a\0b']) {
    await t.rejects(store.open(name), {
      code: 'ERR_CHECKPOINT',
      message: /leads out of the checkpoint's directory/,
    })
    await t.rejects(store.read(name), { code: 'ERR_CHECKPOINT', message: /leads out/ })
  }
  await using below = await open(store, identity, { name: 'a/..b' })
  t.equal(below.location, join(base, 'offsets', 'a', '..b'))

  const directory = join(base, 'offsets', 'linked')
  const first = await open(directory)
  await first.begin({ at: 0 })
  const outside = join(base, 'outside', 'checkpoint-0000000001.json')
  const state = await newestState(directory)
  await rm(state)
  await symlink(outside, state)
  await t.rejects(first.plan(slice(0)), { code: 'ERR_CHECKPOINT', message: /ELOOP/ })
  t.equal(await readFile(outside, 'utf8'), '', 'nothing was written through the link')
  await first.close()
  await t.rejects(open(directory), { code: 'ERR_CHECKPOINT', message: /ELOOP/ })

  const swapped = join(base, 'offsets', 'swapped')
  const second = await open(swapped)
  await second.begin({ at: 0 })
  for (const name of await readdir(swapped)) await copyFile(join(swapped, name), join(base, 'decoy', name))
  await rename(swapped, join(base, 'moved'))
  await symlink(join(base, 'decoy'), swapped)
  await t.rejects(second.plan(slice(0)), {
    code: 'ERR_CHECKPOINT',
    message: /another directory is in its place/,
  })
  await second.close()
})

t.test('the checkpoint of another query', async (t) => {
  const directory = t.testdir()
  const checkpoint = await open(directory)
  await checkpoint.begin({ at: 1 })
  await checkpoint.close()
  await t.rejects(open(directory, { ...identity, query: 'T | where Level == "error"' }), {
    code: 'ERR_CHECKPOINT',
    message: /its query is "T", not "T \| where .*is at {"at":1}: give 1 as start_time/,
  })
  await t.rejects(open(directory, { ...identity, window_by: 'x' }), { message: /not given/ })
  const { offset } = await open(directory)
  t.same(offset, { at: 1 })
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
    await t.rejects(open(directory, { query: 'T' }), {
      code: 'ERR_CHECKPOINT',
      message: new RegExp(`held by process ${child.pid} since`),
    })
    const exit = once(child, 'exit')
    child.kill('SIGKILL')
    await exit
    t.equal((await readdir(directory)).length, 1, 'the dead one left its lock')
    const checkpoint = await open(directory, { query: 'T' })
    t.equal((await readdir(directory)).length, 1)
    await t.rejects(open(directory, { query: 'T' }), { message: /\(this one\)/ })
    await checkpoint.close()
    t.same(await readdir(directory), [])
  })

  const lockName = 'lock-00000000-0000-4000-8000-000000000000.json'
  const lockOf = (directory: string, holder: object) =>
    writeFile(join(directory, lockName), JSON.stringify({ since: '2024-05-01T00:00:00Z', ...holder }))

  await t.test('a process of the same number as a dead one does not count', async (t) => {
    const directory = t.testdir()
    await lockOf(directory, { pid: process.pid, started: 'another boot 1', host: hostname(), lease: 30 })
    const checkpoint = await open(directory, { query: 'T' })
    t.notOk((await readdir(directory)).includes(lockName))
    await checkpoint.close()
    t.equal(await processStart(process.pid), await processStart(process.pid))
  })

  await t.test('the lock of another host is left alone', async (t) => {
    const directory = t.testdir()
    await lockOf(directory, { pid: 1, host: 'elsewhere', lease: 30 })
    await t.rejects(open(directory, { query: 'T' }), {
      code: 'ERR_CHECKPOINT',
      message: new RegExp(`process 1 on host "elsewhere".*delete .*${lockName}`),
    })
    t.same(await readdir(directory), [lockName])
  })

  await t.test('the lock of another host frees itself once it is not renewed', async (t) => {
    const directory = t.testdir()
    // Far longer than any machine takes between two lines of this test.
    await lockOf(directory, { pid: 1, host: 'elsewhere', lease: 36_000 })
    await t.rejects(open(directory, { query: 'T' }), {
      code: 'ERR_CHECKPOINT',
      message: /process 1 on host "elsewhere".*frees itself 36000 s after/,
    })
    const ago = (seconds: number) => new Date(Date.now() - seconds * 1000)
    await utimes(join(directory, lockName), ago(20_000), ago(20_000))
    await t.rejects(open(directory, { query: 'T' }), { message: /renewed 2\d{4} s ago/ })
    await utimes(join(directory, lockName), ago(36_001), ago(36_001))
    const checkpoint = await open(directory, { query: 'T' })
    t.notOk((await readdir(directory)).includes(lockName))
    await checkpoint.close()
  })

  await t.test('a holder renews its lock', async (t) => {
    const directory = t.testdir()
    const store = new DirectoryStore(directory, { lease_seconds: 8 })
    const checkpoint = await open(store, { query: 'T' })
    const [name] = await readdir(directory)
    const { mtimeMs } = await stat(join(directory, name!))
    while ((await stat(join(directory, name!))).mtimeMs <= mtimeMs) await sleep(20)
    t.notOk(checkpoint.lost.aborted)
    // The session's clock keeps no process alive.
    const alive = setInterval(() => {}, 1000)
    await t.rejects(open(store, { query: 'T' }), { message: /\(this one\)/ })
    await rm(join(directory, name!))
    await once(checkpoint.lost, 'abort')
    clearInterval(alive)
    t.match(checkpoint.lost.reason, { code: 'ERR_CHECKPOINT', message: /lock .* is gone/ })
    await checkpoint.close()
  })

  await t.test('a lock that can not be read is left alone', async (t) => {
    for (const lock of ['{"pid":', '{"pid":1,"host":"elsewhere"}']) {
      const directory = t.testdir({ [lockName]: lock })
      await t.rejects(open(directory, { query: 'T' }), {
        code: 'ERR_CHECKPOINT',
        message: /should be a lock/,
      })
      t.same(await readdir(directory), [lockName])
      // A hole of 3 GB: no more is read than a lock can be long.
      await truncate(join(directory, lockName), 3_000_000_000)
      await t.rejects(open(directory, { query: 'T' }), { code: 'ERR_CHECKPOINT', message: /should be a lock/ }) // biome-ignore format: a line
    }
  })

  await t.test('what is written after the lock was lost does not count', async (t) => {
    const directory = t.testdir()
    const checkpoint = await open(directory, { query: 'T' })
    await checkpoint.begin({ at: 0 })
    await checkpoint.plan(slice(0))
    // Frozen between its look at the lock and its writing, for longer than its lease.
    const loseLock = async () => {
      for (const name of await readdir(directory))
        if (name.startsWith('lock-')) await rm(join(directory, name))
      return ''
    }
    const calls = await fileCalls(t, directory, loseLock)
    await t.rejects(checkpoint.commit(slice(0).id), { code: 'ERR_CHECKPOINT', message: /lock .* is gone/ })
    t.same(calls, ['writeFile file', 'datasync file'], 'it was too late to keep it from writing')
    t.ok(checkpoint.lost.aborted)
    await checkpoint.close()
  })

  await t.test('who lost the lock writes no more', async (t) => {
    const directory = t.testdir()
    const checkpoint = await open(directory, { query: 'T' })
    for (const name of await readdir(directory)) await rm(join(directory, name))
    await t.rejects(checkpoint.begin({ at: 0 }), { code: 'ERR_CHECKPOINT', message: /lock .* is gone/ })
    t.same(await readdir(directory), [])

    const begun = await open(directory, { query: 'T' })
    await begun.begin({ at: 0 })
    await begun.plan(slice(0))
    const state = await readFile(await newestState(directory), 'utf8')
    for (const name of await readdir(directory)) if (name.startsWith('lock-')) await rm(join(directory, name))
    await t.rejects(begun.commit(slice(0).id), { code: 'ERR_CHECKPOINT', message: /lock .* is gone/ })
    t.equal(await readFile(await newestState(directory), 'utf8'), state, 'another may append to it by now')
    await Promise.all([checkpoint.close(), begun.close()])
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
      const folder = t.testdir()
      const program = [process.execPath, fixture('fill-disk.mjs'), folder, mode]
      const { stdout } = await promisify(execFile)('unshare', [...alone, ...program])
      t.match(JSON.parse(stdout), {
        commit: `ERR_CHECKPOINT ${code}`,
        offset: { at: 0 },
        open: `ERR_CHECKPOINT ${code}`,
        ...(mode === 'read-only' && { fresh: `ERR_CHECKPOINT EROFS ${join(folder, 'new')}` }),
        again: [{ at: 0 }, 1],
        after: 'done',
      })
    })
  }
})
