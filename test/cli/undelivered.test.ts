import { spawnSync } from 'node:child_process'
import { readdirSync, statSync, symlinkSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { HecEmulator } from '../../lib/emulators/index.ts'
import { command, commandPath, lastLine, RunningCommand, rowsOf } from '../fixtures/command.ts'
import { skipsDisks, withDisk } from '../fixtures/tiny-disk.ts'

const hec = await new HecEmulator({ tls: false }).start()
t.teardown(() => hec.close())
const env = { HEC_TOKEN: hec.token }
const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, n) => ({ id: from + n }))
const ndjson = (rows: readonly object[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('')
const ids = () => hec.events.map(({ event }) => (event as { id: number }).id)
const to = (url: string, ...more: string[]) => [
  ...['--to', 'splunk', '--url', url, '--token-env', 'HEC_TOKEN', '--max-retries', '0', ...more],
]

/** A port where nothing answers. */
async function deadUrl(): Promise<string> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return `http://127.0.0.1:${port}`
}

t.beforeEach(() => {
  hec.events.length = 0
  hec.clearFaults()
})

t.test('a destination that is gone: each row of the pipe is in the file, and sent again by it', async (t) => {
  const folder = t.testdir()
  const input = ndjson(numbers(0, 300))
  const { code, stderr } = await command(
    ['copy', '--from', '-', ...to(await deadUrl(), '--undelivered', 'left.ndjson')],
    { input, env, cwd: folder },
  )
  t.equal(code, 1)
  t.equal(await readFile(join(folder, 'left.ndjson'), 'utf8'), input)
  t.match(lastLine(stderr, 'undelivered'), {
    level: 'warn',
    rows: 300,
    path: 'left.ndjson',
    message:
      /^300 rows read: 0 delivered, 0 rejected, 300 in left\.ndjson\. To miss none, send that file by copy --from left\.ndjson\.$/,
  })
  t.match(lastLine(stderr, 'error'), { undelivered: 300, advice: /Nothing answers there/ })
  // Several requests at a time may arrive in any order.
  const again = await command(
    ['copy', '--from', 'left.ndjson', ...to(hec.endpoint, '--max-in-flight', '1')],
    { env, cwd: folder },
  )
  t.equal(again.code, 0, again.stderr)
  t.same(
    ids(),
    numbers(0, 300).map(({ id }) => id),
  )
})

t.test('a destination that goes on the way: what it acknowledged is not in the file', async (t) => {
  const folder = t.testdir({ 'rows.ndjson': ndjson(numbers(0, 200)) })
  hec.fail({ status: 503, after: 3, times: Infinity })
  const more = ['--batch-size', '20', '--max-in-flight', '1', '--dead-letter', 'refused.ndjson']
  const { code, stderr } = await command(
    ['copy', '--from', './rows.ndjson', '--rows', 'plain', ...to(hec.endpoint, ...more)],
    {
      env,
      cwd: folder,
    },
  )
  t.equal(code, 1)
  t.same(
    ids(),
    numbers(0, 60).map(({ id }) => id),
  )
  t.match(lastLine(stderr, 'undelivered'), {
    rows: 140,
    message: /^200 rows read: 60 delivered, 0 rejected, 140 in refused\.ndjson\.undelivered\. To miss none/,
  })
  t.same(rowsOf(await readFile(join(folder, 'refused.ndjson.undelivered'), 'utf8')), numbers(60, 200))
})

t.test(
  'rows are kept as the transform made them, and without a name of their own where they are',
  async (t) => {
    const folder = t.testdir({
      'mark.mjs': 'export default (row) => (row.id % 2 ? undefined : { ...row, even: true })',
    })
    const { code, stderr } = await command(
      ['copy', '--from', '-', '--transform', 'mark.mjs', ...to(await deadUrl()), '--log', 'off'],
      { input: ndjson(numbers(0, 10)), env, cwd: folder },
    )
    t.equal(code, 1)
    const [, path] =
      / in (\S+)\. To miss none, send that file by copy --from \S+ without --transform/.exec(stderr) ?? []
    t.same(
      rowsOf(await readFile(path!, 'utf8')),
      [0, 2, 4, 6, 8].map((id) => ({ id, even: true })),
    )
  },
)

t.test('a transform that throws within a block: the rows before are delivered or in the file', async (t) => {
  const folder = t.testdir({
    'rows.ndjson': ndjson(numbers(0, 200)),
    'until.mjs':
      'export default ({ id }) => { if (id === 100) throw new Error("no"); return id % 2 ? null : { id } }',
  })
  const { code, stderr } = await command(
    [
      ...['copy', '--from', './rows.ndjson', '--transform', 'until.mjs', '--batch-size', '20'],
      ...to(hec.endpoint, '--undelivered', 'left.ndjson', '--linger-ms', '1e6'),
    ],
    { env, cwd: folder },
  )
  t.equal(code, 1)
  t.match(stderr, /the transform failed at .*until\.mjs:1: no/)
  const left = rowsOf(await readFile(join(folder, 'left.ndjson'), 'utf8')) as { id: number }[]
  t.same(
    [...ids(), ...left.map(({ id }) => id)].sort((a, b) => a - b),
    numbers(0, 50).map(({ id }) => 2 * id),
  )
})

t.test('dead letters are sent again', async (t) => {
  const folder = t.testdir()
  hec.failRow(1, 6)
  const first = await command(
    ['copy', '--from', '-', ...to(hec.endpoint, '--dead-letter', 'refused.ndjson')],
    { input: ndjson(numbers(0, 3)), env, cwd: folder },
  )
  t.equal(first.code, 0, first.stderr)
  t.same(ids(), [0, 2])
  const again = ['copy', '--from', 'refused.ndjson', '--rows', 'dead-letter', ...to(hec.endpoint)]
  t.equal((await command(again, { env, cwd: folder })).code, 0)
  t.same(ids(), [0, 2, 1])
})

t.test('files that can not be read, and flags that do not fit', async (t) => {
  const folder = t.testdir({ 'rows.ndjson': '{"id":1}\n', letters: '{"id":1}\n' })
  for (const [from, ...more] of [['.', '--rows', 'plain'], ['-', '--rows', 'dead-letter'], ['nowhere']]) {
    const { code, stderr } = await command(['copy', '--from', from!, ...more, '--to', '-'], { cwd: folder })
    t.equal(code, 2, stderr)
    t.match(stderr, /^cyber-connectors: (copy|nowhere):\n {2}.*(needs --from|no source)/)
  }
  const letters = await command(['copy', '--from', 'letters', '--rows', 'dead-letter', '--to', '-'], {
    cwd: folder,
  })
  t.equal(letters.code, 1)
  t.match(letters.stderr, /line 1 is no dead letter with a row/)
})

t.test('a second signal ends a transform that never answers', async (t) => {
  const folder = t.testdir()
  await writeFile(
    join(folder, 'hang.mjs'),
    'export default async (row) => new Promise(() => setInterval(() => {}, 1e6))',
  )
  const running = new RunningCommand(
    ['copy', '--from', '-', '--transform', 'hang.mjs', ...to(hec.endpoint), '--log-interval', '0.05'],
    { env, cwd: folder },
  )
  running.child.stdin.write('{"id":1}\n')
  await running.progress(({ read }) => read === 1)
  running.child.kill('SIGTERM')
  const { at } = await running.progress(({ event }) => event === 'stopping')
  await running.progress(
    (line) => line.event === 'progress' && Date.parse(String(line['at'])) > Date.parse(String(at)) + 400,
  )
  running.child.kill('SIGTERM')
  t.equal((await running.ended).code, 143)
})

t.test('why it retries is told at once, then counted', async (t) => {
  hec.fail({ status: 503, times: 3, body: '{"text":"Server is busy","code":9}', retryAfter: 0.01 })
  const { code, stderr } = await command(
    [
      ...['copy', '--from', '-', '--to', 'splunk', '--url', hec.endpoint, '--token-env', 'HEC_TOKEN'],
      ...['--initial-backoff', '0.01'],
    ],
    { input: '{"id":1}\n', env },
  )
  t.equal(code, 0, stderr)
  const notes = stderr.split('\n').filter((line) => line.includes('"retrying"'))
  t.equal(notes.length, 1, 'one line each ten seconds')
  t.match(JSON.parse(notes[0]!), { connector: 'splunk', status: 503, retries: 1, message: /Server is busy/ })
})

t.test('a source that was not read to its end: the sentence says so, and how to go on', async (t) => {
  const folder = t.testdir({ 'rows.ndjson': ndjson(numbers(0, 20_000)) })
  const { code, stderr } = await command(
    [
      'copy',
      '--from',
      './rows.ndjson',
      ...to(await deadUrl(), '--undelivered', 'left.ndjson', '--log', 'json'),
    ],
    { env, cwd: folder },
  )
  t.equal(code, 1)
  const { rows, message } = lastLine(stderr, 'undelivered') as unknown as { rows: number; message: string }
  t.ok(rows < 20_000)
  t.match(
    message,
    /Rows after these were never read: then run it again, which sends the delivered rows twice, or use/,
  )
  t.match(message, new RegExp(`^${rows.toLocaleString('en')} rows read: 0 delivered, 0 rejected, `))
})

t.test('a file that is there, or a link, is neither overwritten nor followed', async (t) => {
  const folder = t.testdir({ 'mine.txt': 'mine', 'old.ndjson': '{"id":0}\n' })
  symlinkSync('mine.txt', join(folder, 'link.ndjson'))
  for (const name of ['old.ndjson', 'link.ndjson']) {
    const { code, stderr } = await command(
      ['copy', '--from', '-', ...to(await deadUrl(), '--undelivered', name)],
      { input: ndjson(numbers(0, 3)), env, cwd: folder },
    )
    t.equal(code, 1)
    const { path } = lastLine(stderr, 'undelivered') as unknown as { path: string }
    t.match(path, new RegExp(`^${name}\\.\\d{4}-`))
    t.same(rowsOf(await readFile(join(folder, path), 'utf8')), numbers(0, 3))
    t.equal(statSync(join(folder, path)).mode & 0o777, 0o600)
  }
  t.equal(await readFile(join(folder, 'mine.txt'), 'utf8'), 'mine')
  t.equal(await readFile(join(folder, 'old.ndjson'), 'utf8'), '{"id":0}\n')
})

t.test(
  'where they can not be saved, the error has path, reason and number, and what failed first',
  async (t) => {
    const folder = t.testdir()
    const { code, stderr } = await command(
      ['copy', '--from', '-', ...to(await deadUrl(), '--undelivered', 'no/such/left.ndjson')],
      { input: ndjson(numbers(0, 3)), env, cwd: folder },
    )
    t.equal(code, 1)
    t.match(
      lastLine(stderr, 'error')?.['message'],
      /^can't save 3 undelivered rows to no\/such\/left\.ndjson \(ENOENT/,
    )
    t.match(lastLine(stderr, 'error')?.['message'], /First, the sink failed: splunk: .*ECONNREFUSED/)
  },
)

t.test('on a full disk too, and no empty file is left', async (t) => {
  const folder = t.testdir({ full: {} })
  const full = join(folder, 'full')
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=16k', 'tmpfs', full]).status !== 0)
    return void t.pass('no file system can be mounted here')
  try {
    const { code, stderr } = await command(
      ['copy', '--from', '-', ...to(await deadUrl(), '--undelivered', join(full, 'left.ndjson'))],
      { input: ndjson(numbers(0, 5000)), env, cwd: folder },
    )
    t.equal(code, 1)
    t.match(
      lastLine(stderr, 'error')?.['message'],
      /undelivered rows to .*left\.ndjson \(ENOSPC.*First, the sink failed/,
    )
    for (const name of readdirSync(full))
      t.ok(rowsOf(await readFile(join(full, name), 'utf8')).length > 0, 'whole lines')
  } finally {
    spawnSync('umount', [full])
  }
})

t.test('a dead letter on a full disk names itself beside the row', { skip: skipsDisks }, async (t) => {
  const disk = t.testdir()
  const path = join(disk, 'refused.ndjson')
  hec.failRow(1, 6)
  const args = ['copy', '--from', '-', ...to(hec.endpoint, '--dead-letter', path)]
  const through = [...withDisk(disk), process.execPath, commandPath, ...args]
  const running = new RunningCommand(through, { env }, 'unshare')
  running.child.stdin.end(ndjson([{ id: 0 }, { id: 1, text: 'x'.repeat(100_000) }]))
  const { code, stderr } = await running.ended
  t.equal(code, 1)
  const reason = `refused \\(.*format.*\\): ENOSPC: no space left on device, write '${path}'`
  t.match(lastLine(stderr, 'error')?.['message'], new RegExp(reason))
})

t.test('one on a read-only disk is an error before anything is sent', { skip: skipsDisks }, async (t) => {
  const disk = t.testdir()
  const path = join(disk, 'refused.ndjson')
  const args = ['copy', '--from', '-', ...to(hec.endpoint, '--dead-letter', path)]
  const through = [...withDisk(disk, true), process.execPath, commandPath, ...args]
  const running = new RunningCommand(through, { env }, 'unshare')
  running.child.stdin.end(ndjson([{ id: 0 }]))
  const { code, stderr } = await running.ended
  t.equal(code, 2)
  t.match(lastLine(stderr, 'error')?.['message'], `can't write "${path}" (EROFS)`)
  t.same(ids(), [])
})

t.test('control characters of a server do not reach the terminal', async (t) => {
  hec.fail({ status: 400, body: '{"text":"\u001b]0;owned\u0007\u009b31mred","code":7}', times: Infinity })
  for (const log of ['json', 'off']) {
    const { stderr } = await command(['copy', '--from', '-', ...to(hec.endpoint, '--log', log)], {
      input: ndjson(numbers(0, 2)),
      env,
    })
    t.match(stderr, /owned/)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
    t.notMatch(stderr, /[\0-\x08\x0b-\x1f\x7f-\x9f]/)
  }
})
