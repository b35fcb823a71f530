import { appendFileSync, readFileSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { HecEmulator } from '../../lib/emulators/index.ts'
import { command, lastLine, onTerminal } from '../fixtures/command.ts'

const lines = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, index) => `{"n":${from + index}}\n`).join('')

t.test('files by their path: copied, copied on, and what is wrong with them', async (t) => {
  const folder = t.testdir({
    'a.ndjson': lines(0, 2),
    'b.ndjson.gz': gzipSync(lines(2, 4)),
    'bad.txt': 'one\n{"n":5}\n',
  })
  const pattern = join(folder, '*.ndjson*')
  const all = await command(['copy', '--from', pattern, '--to', '-'])
  t.equal(all.code, 0, all.stderr)
  t.strictSame(all.stdout.split('\n').sort().join('\n'), `\n${lines(0, 4)}`.trimEnd())

  const offsets = join(folder, 'offsets')
  const copy = () =>
    command(['copy', '--from', join(folder, 'a.ndjson'), '--checkpoint', offsets, '--to', '-'])
  t.equal((await copy()).stdout, lines(0, 2))
  appendFileSync(join(folder, 'a.ndjson'), lines(7, 9))
  t.equal((await copy()).stdout, lines(7, 9), 'what is new, then it ends')

  const bad = join(folder, 'bad.txt')
  const failed = await command(['copy', '--from', bad, '--to', '-'])
  t.not(failed.code, 0)
  t.match(failed.stderr, /bad\.txt, line 1, column 1: is not JSON/)
  const letters = join(folder, 'letters.ndjson')
  const passed = await command(['copy', '--from', bad, '--to', '-', '--from-dead-letter', letters])
  t.equal(passed.stdout, '{"n":5}\n')
  t.match(JSON.parse(readFileSync(letters, 'utf8')), {
    row: 'one',
    connector: 'files',
    reason: { code: 'ERR_RECORD' },
  })
  const text = await command(['copy', '--from', bad, '--format', 'text', '--to', '-'])
  t.equal(text.stdout, '{"value":"one"}\n{"value":"{\\"n\\":5}"}\n')
  t.match(
    (await command(['copy', '--from', join(folder, 'no/such'), '--to', '-'])).stderr,
    /no\/such is not there/,
  )
  t.match((await command(['copy', '--from', 'splnk', '--to', '-'])).stderr, /there is no source of this name/)
})

t.test('a mistyped connector is none of the folders that happen to have its name', async (t) => {
  const folder = t.testdir({ splnk: { 'a.ndjson': lines(0, 2) } })
  const mistyped = await command(['copy', '--from', 'splnk', '--to', '-'], { cwd: folder })
  t.equal(mistyped.code, 2)
  t.equal(mistyped.stdout, '')
  t.match(mistyped.stderr, /--from: there is no source "splnk"; to read the file .* write \.\/splnk/)
  t.equal((await command(['copy', '--from', './splnk', '--to', '-'], { cwd: folder })).stdout, lines(0, 2))
})

t.test('what is not read is a line of the report, once', async (t) => {
  const folder = t.testdir({ 'a.ndjson': lines(0, 2) })
  symlinkSync(join(folder, 'nowhere'), join(folder, 'b.ndjson'))
  const { code, stdout, stderr } = await command(['copy', '--from', join(folder, '*.ndjson'), '--to', '-'])
  t.equal(code, 0, stderr)
  t.equal(stdout, lines(0, 2))
  t.match(lastLine(stderr, 'skipped'), {
    level: 'warn',
    path: join(folder, 'b.ndjson'),
    message: /b\.ndjson/,
  })
  t.equal(stderr.split('"event":"skipped"').length, 2)
  const offsets = join(folder, 'offsets')
  const followed = await command([
    ...['copy', '--from', join(folder, '*.ndjson'), '--to', '-', '--checkpoint', offsets],
  ])
  t.equal(followed.stdout, lines(0, 2))
  t.match(lastLine(followed.stderr, 'skipped'), { path: join(folder, 'b.ndjson') })
})

t.test('--rows is a flag of the command and an option of files: the value tells which', async (t) => {
  const folder = t.testdir({ 'a.ndjson': '{"n":2230.0}\n' })
  const copy = (...flags: string[]) =>
    command(['copy', '--from', './a.ndjson', '--to', '-', ...flags], { cwd: folder })
  t.equal((await copy('--rows', 'json')).stdout, '{"n":2230.0}\n')
  t.equal((await copy('--from-rows', 'json')).stdout, '{"n":2230.0}\n')
  t.equal((await copy('--rows', 'objects')).stdout, '{"n":2230}\n')
  t.equal((await copy('--rows', 'plain')).stdout, '{"n":2230}\n')
  const wrong = await copy('--rows', 'lines')
  t.equal(wrong.code, 2)
  t.match(wrong.stderr, /--rows <kind>' argument 'lines' is invalid/)
})

t.test('the live line: bytes read of those that are there, within 80 columns', async (t) => {
  const hec = await new HecEmulator({ tls: false }).start()
  t.teardown(() => hec.close())
  const line = JSON.stringify({ text: 'x'.repeat(480) })
  const folder = t.testdir({ 'a.ndjson': `${line}\n`.repeat(5000) })
  // Some requests are answered, and then one when the line has told of them.
  hec.fail({ after: 5, stall: 'before' })
  const running = onTerminal(
    [
      ...['copy', '--from', join(folder, 'a.ndjson'), '--to', 'splunk', '--url', hec.endpoint],
      ...['--token-env', 'HEC_TOKEN', '--max-in-flight', '1', '--initial-backoff', '0.01'],
    ],
    { HEC_TOKEN: hec.token, COLUMNS: '80' },
  )
  if (!running) return t.comment('neither script nor python3 is here to make a pseudo-terminal')
  const drawn = (text: string) => text.split('\r\x1b[K')
  const form =
    /^250 rows {2}[\d,]+ rows\/s {2}[\d.]+ [kM]?B of 2\.\d MB, \d+ %, \d+ (s|min|h|d) left( {2}.*)?$/
  await running.until((text) => drawn(text).some((line) => form.test(line)), 'stdout')
  hec.cutConnections()
  const { code, stdout } = await running.ended
  t.equal(code, 0, stdout)
  t.ok(drawn(stdout).every((line) => line.endsWith('\n') || line.length < 80))
})
