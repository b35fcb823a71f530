import t from 'tap'
import { startEmulators } from '../../lib/emulators/index.ts'
import { command, lastLine } from '../fixtures/command.ts'

const rows = Array.from(
  { length: 100 },
  (_, n) => `{"ts":"2026-03-02T00:00:${String(n % 60).padStart(2, '0')}Z","n":${n}}\n`,
).join('')

t.test('--limit reads so many rows; --dry-run prints the first request; --check tries a row', async (t) => {
  const emulators = await startEmulators()
  t.teardown(() => emulators.close())
  const { hec, caFile } = emulators
  const folder = t.testdir({ 'rows.ndjson': rows, 'bad.ndjson': '{"ts":"never","n":1}\n' })
  const env = { SPLUNK_TOKEN: hec.token }
  const copy = (file: string, ...more: string[]) =>
    command(
      [
        ...[
          'copy',
          '--from',
          `./${file}`,
          '--to',
          'splunk',
          '--url',
          hec.url,
          '--token-env',
          'SPLUNK_TOKEN',
          '--ca',
          caFile,
        ],
        ...['--time-column', 'ts', '--log', 'json', ...more],
      ],
      { cwd: folder, env },
    )

  const dry = await copy('rows.ndjson', '--dry-run', '--limit', '2')
  t.equal(dry.code, 0, dry.stderr)
  t.match(
    dry.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line)),
    [{ time: 1_772_409_600, event: { n: 0 } }, { event: { n: 1 } }],
  )
  t.match(dry.stderr, /dry run: 2 rows, \d+ bytes before compression: nothing was sent to splunk/)
  t.notMatch(dry.stdout + dry.stderr, hec.token)
  t.equal(hec.received, 0)

  const limited = await copy('rows.ndjson', '--limit', '7')
  t.equal(limited.code, 0, limited.stderr)
  t.match(lastLine(limited.stderr, 'end'), { read: 7, delivered: 7 })
  t.equal(hec.received, 7)

  const right = await copy('rows.ndjson', '--check')
  t.match(right.stdout, /^ok {4}row: one was read and encoded, \d+ bytes; it was not sent$/m)
  const wrong = await copy('bad.ndjson', '--check')
  t.equal(wrong.code, 1)
  t.match(wrong.stdout, /^FAIL {2}row: .*ts/m)
  t.equal(hec.received, 7, 'a check sends nothing')

  const streaming = await copy('rows.ndjson', '--limit', '7', '--checkpoint', 'offsets')
  t.equal(streaming.code, 2)
  t.match(streaming.stderr, /limit: a job with a checkpoint moves whole windows/)
  t.equal((await copy('rows.ndjson', '--limit', 'few')).code, 2)
})
