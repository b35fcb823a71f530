import { execFileSync } from 'node:child_process'
import { mkdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import t from 'tap'
import type { FilesSlice } from '../../../lib/connectors/files/files-offset.ts'
import { FilesReadable } from '../../../lib/connectors/files/files-readable.ts'
import { keyOf } from '../../../lib/connectors/files/listing.ts'
import { type Row, Trial } from '../../fixtures/files-trial.ts'

const isWindows = process.platform === 'win32'

/** A slice that names a file, with the key and the CRC that fit. */
function forged(path: string, text: string): FilesSlice {
  const key = keyOf(statSync(path, { bigint: true }))
  const crc = crc32(text)
  const state = `0 ${text.length} 0 ${text.length} ${text.length} 0 0 0 0 0 0 0 ${path}`
  return {
    id: `0:${path}@0`,
    number: 0,
    ranges: [{ path, key, start: 0, end: text.length, modified: 0, crc, state }],
  }
}

t.test('a forged slice reads no file outside of the paths', async (t) => {
  const trial = new Trial(t)
  trial.append('app.log', 1)
  const secret = '{"secret":1}\n'
  mkdirSync(join(trial.logs, 'inner'))
  for (const [path, settings] of [
    [join(trial.logs, '..', 'secret'), {}],
    [join(trial.logs, 'inner', 'secret'), {}],
    [join(trial.logs, 'secret'), { path: trial.path('app.log') }],
    [join(trial.logs, 'secret.key'), { path: join(trial.logs, '*.log') }],
  ] as const) {
    writeFileSync(path, secret)
    const source = trial.source({ ...settings, checkpointLocation: undefined })
    t.teardown(() => source.destroy())
    await t.rejects(source.readSlice(forged(path, secret)).toArray(), {
      code: 'ERR_FILE',
      message: /refused/,
    })
    const outside = forged(path, secret)
    const renamed = {
      ...outside,
      ranges: outside.ranges.map((range) => ({ ...range, path: trial.path('app.log') })),
    }
    const rows = await source.readSlice(renamed).toArray()
    t.strictSame(rows, [], 'nor under the name of a file that is meant')
    rmSync(path)
  }
  const source = trial.source({ checkpointLocation: undefined })
  t.teardown(() => source.destroy())
  writeFileSync(trial.path('b.log'), secret)
  t.strictSame(
    await source.readSlice(forged(trial.path('b.log'), secret)).toArray(),
    [{ secret: 1 }],
    'what is meant is read',
  )
  for (const wrong of [{}, { ranges: [null] }, { ranges: [{}], number: 0 }, { ranges: 'x', number: 1 }]) {
    t.throws(() => source.readSlice({ id: 'x', ...wrong } as never), { code: 'ERR_CHECKPOINT' })
  }
})

t.test('pipes, devices and links that lead nowhere are skipped, and told', { skip: isWindows }, async (t) => {
  const trial = new Trial(t)
  trial.append('a.log', 2)
  execFileSync('mkfifo', [trial.path('pipe')])
  symlinkSync(trial.path('nothing'), trial.path('dangling'))
  symlinkSync(trial.path('itself'), trial.path('itself'))
  symlinkSync('/dev/zero', trial.path('device'))
  const expected = [
    { path: trial.path('dangling'), problem: /symbolic link to nothing/ },
    { path: trial.path('device'), problem: /neither a file nor a folder/ },
    { path: trial.path('itself'), problem: /circle of symbolic links/ },
    { path: trial.path('pipe'), problem: /neither a file nor a folder/ },
  ]
  const byPath = (a: { path: string }, b: { path: string }) => (a.path < b.path ? -1 : 1)
  await t.test('bounded', async (t) => {
    const source = new FilesReadable({ path: trial.logs })
    const told: { path: string }[] = []
    source.on('skipped', (event) => told.push(event))
    t.strictSame(await source.toArray(), [{ n: 0 }, { n: 1 }])
    t.match(told.sort(byPath), expected)
    await t.rejects(new FilesReadable({ path: trial.logs, ignoreCorruptFiles: false }).toArray(), {
      code: 'ERR_FILE',
    })
  })
  await t.test('followed', async (t) => {
    const follower = trial.follow(t)
    await follower.has(2)
    await follower.idle(3)
    t.match([...follower.skipped].sort(byPath), expected, 'once each')
    rmSync(trial.path('dangling'))
    trial.append('nothing', 1)
    symlinkSync(trial.path('nothing'), trial.path('dangling'))
    await follower.has(3)
  })
  await t.rejects(
    trial.source({ ignoreCorruptFiles: false, checkpointLocation: undefined }).toArray(),
    { code: 'ERR_FILE' },
    'an error if the option says so',
  )
})

t.test('a pipe in the place of a planned file', { skip: isWindows }, async (t) => {
  const trial = new Trial(t)
  trial.append('a.log', 2)
  t.strictSame(await trial.read({}, false), [0, 1])
  rmSync(trial.path('a.log'))
  execFileSync('mkfifo', [trial.path('a.log')])
  await t.rejects(trial.read({ ignoreMissingFiles: false }), {
    code: 'ERR_FILE',
    message: /neither a file nor a folder/,
  })
  t.strictSame(await trial.read(), [], 'it holds nothing up')
})

t.test('links out of a folder', { skip: isWindows }, async (t) => {
  const folder = t.testdir({ logs: { 'a.ndjson': '{"n":1}\n' }, other: { 'b.ndjson': '{"n":2}\n' } })
  symlinkSync(join(folder, 'other', 'b.ndjson'), join(folder, 'logs', 'b.ndjson'))
  symlinkSync(join(folder, 'other'), join(folder, 'logs', 'deep'))
  const read = async (follow_symlinks: boolean) => {
    const source = new FilesReadable({
      path: join(folder, 'logs'),
      recursiveFileLookup: true,
      follow_symlinks,
    })
    return ((await source.toArray()) as Row[]).map(({ n }) => n).sort()
  }
  t.strictSame(await read(true), [1, 2, 2])
  t.strictSame(await read(false), [1])
})

t.test('files and folders that may not be read', { skip: isWindows || !process.seteuid }, async (t) => {
  const { chmodSync } = await import('node:fs')
  const trial = new Trial(t)
  chmodSync(trial.logs, 0o755)
  trial.append('a.log', 2)
  trial.append('b.log', 2)
  mkdirSync(trial.path('closed'))
  trial.append('closed/c.log', 1)
  chmodSync(trial.path('b.log'), 0)
  chmodSync(trial.path('closed'), 0)
  const isRoot = process.getuid?.() === 0
  if (isRoot) process.seteuid!(65_534)
  t.teardown(() => isRoot && process.seteuid!(0))
  const told: { path: string }[] = []
  const bounded = new FilesReadable({ path: trial.logs, recursiveFileLookup: true })
  bounded.on('skipped', (event) => told.push(event))
  t.strictSame(await bounded.toArray(), [{ n: 0 }, { n: 1 }])
  t.match(told, [
    { path: trial.path('closed'), problem: /may not be read/ },
    { path: trial.path('b.log'), problem: /may not be read/ },
  ])
  const follower = trial.follow(t, { checkpointLocation: undefined, recursiveFileLookup: true })
  await follower.has(2)
  await follower.idle(2)
  t.strictSame(
    new Set(follower.skipped.map(({ path }) => path)),
    new Set([trial.path('closed'), trial.path('b.log')]),
  )
  if (isRoot) process.seteuid!(0)
  chmodSync(trial.path('closed'), 0o755)
  chmodSync(trial.path('b.log'), 0o644)
  await follower.has(5)
  t.strictSame([...follower.rows].sort(), [0, 1, 2, 3, 4])
})

t.test('lines are bounded after unpacking', async (t) => {
  const { gzipSync } = await import('node:zlib')
  const folder = t.testdir()
  const path = join(folder, 'bomb.gz')
  writeFileSync(path, gzipSync(Buffer.concat([Buffer.from('{"n":1}\n'), Buffer.alloc(200_000_000, 0x61)])))
  const before = process.memoryUsage().rss
  const rows = (await new FilesReadable({
    path,
    mode: 'permissive',
    max_line_bytes: 100_000,
  }).toArray()) as Row[]
  t.equal(rows[0]!['n'], 1)
  t.equal((rows[1]!['_corrupt_record'] as string).length, 100_000)
  t.ok(process.memoryUsage().rss - before < 100_000_000, 'and are not held')
  const trial = new Trial(t)
  writeFileSync(trial.path('bomb.gz'), gzipSync(Buffer.alloc(200_000_000, 0x61)))
  await t.rejects(trial.read({ max_line_bytes: 100_000 }), {
    code: 'ERR_FILE',
    message: /no end of a record/,
  })
  t.ok(process.memoryUsage().rss - before < 100_000_000, 'nor of a file that is followed')
})

t.test('patterns', async (t) => {
  const folder = t.testdir({ 'a.log': '{"n":1}\n' })
  const begun = performance.now()
  for (const pattern of [
    `${'*'.repeat(5000)}b`,
    `${'{a,'.repeat(25)}${'}'.repeat(25)}.log`,
    `${'+(a|aa)'.repeat(12)}b`,
  ]) {
    await new FilesReadable({ path: join(folder, pattern), ignoreMissingFiles: true })
      .toArray()
      .catch(() => [])
  }
  t.ok(performance.now() - begun < 60_000, 'come to an end')
})
