import { appendFileSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { command } from '../fixtures/command.ts'

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
