import t from 'tap'
import { startEmulators } from '../../lib/emulators/index.ts'
import { command, onTerminal } from '../fixtures/command.ts'

const emulators = await startEmulators({ hec: { tls: false } })
t.teardown(() => emulators.close())
const { entra, logAnalytics, hec, caFile } = emulators
const env = { CLIENT_SECRET: entra.client_secret, HEC_TOKEN: hec.token, COLUMNS: '200' }
const fromMonitor = [
  ...['--from', 'azure-monitor', '--workspace-id', 'any', '--ca', caFile, '--query', 'Events'],
  ...['--endpoint', logAnalytics.url, '--authority-host', entra.url],
  ...['--tenant-id', entra.tenant_id, '--client-id', entra.client_id, '--client-secret-env', 'CLIENT_SECRET'],
]
const toSplunk = ['--to', 'splunk', '--url', hec.endpoint, '--token-env', 'HEC_TOKEN']
logAnalytics.addTable(
  'Events',
  [
    { name: 'TimeGenerated', type: 'datetime' },
    { name: 'Id', type: 'long' },
  ],
  Array.from({ length: 96 }, (_, index) => [new Date(Date.UTC(2024, 0, 1) + index * 900_000), index]),
)
/** What stood on the live line, one time after the other. */
const drawn = (text: string) => text.split('\r\x1b[K')
const skip = onTerminal(['--version'], env)
  ? false
  : 'neither script nor python3 is here to make a pseudo-terminal'

t.test('a bounded read: one live line, and a last one that stays', { skip }, async (t) => {
  // The third request gets no answer until the line has told of it.
  hec.fail({ after: 2, stall: 'before' })
  const running = onTerminal(
    [
      ...[
        'copy',
        ...fromMonitor,
        '--start-time',
        '2024-01-01',
        '--end-time',
        '2024-01-02',
        '--num-partitions',
        '4',
      ],
      ...[...toSplunk, '--batch-size', '24', '--max-in-flight', '1', '--initial-backoff', '0.01'],
    ],
    env,
  )!
  await running.until(
    (text) =>
      drawn(text).some((line) =>
        /^48 rows {2}[\d,]+ rows\/s {2}\d\.\d kB {2}1 in flight {2}0 retries {2}(50|75|100) % read$/.test(
          line,
        ),
      ),
    'stdout',
  )
  hec.cutConnections()
  const { code, stdout } = await running.ended
  t.equal(code, 0, `${code} after ${stdout}`)
  t.match(drawn(stdout).at(-1), /^done: 96 rows read, 96 delivered, \d+\.\d s\r\n$/)
  t.notMatch(stdout, /\{/, 'no JSON on a terminal')
})

t.test('a stream: windows, and how far behind now; Ctrl-C ends it', { skip }, async (t) => {
  const running = onTerminal(
    [
      ...[
        'copy',
        ...fromMonitor,
        '--start-time',
        '2024-01-01',
        '--checkpoint',
        t.testdir(),
        '--trigger',
        '3600',
      ],
      ...['--partition-duration', '1e9', ...toSplunk],
    ],
    env,
  )!
  await running.until(
    (text) => drawn(text).some((line) => /^96 rows .* 0 retries {2}\d+ (s|min) behind now$/.test(line)),
    'stdout',
  )
  running.child.stdin.write('\x03')
  const { code, stdout } = await running.ended
  t.equal(code, 0, `${code} after ${stdout}`)
  t.match(stdout, /SIGINT: delivering what is in flight; a second signal ends at once/)
  t.match(stdout, /stopped: 96 rows read, 96 delivered/)
})

t.test('rows to the screen: no line between them', { skip }, async (t) => {
  const running = onTerminal(
    ['copy', ...fromMonitor, '--start-time', '2024-01-01', '--end-time', '2024-01-02', '--to', '-'],
    env,
  )!
  const { code, stdout } = await running.ended
  t.equal(code, 0)
  t.same(
    stdout
      .trim()
      .split('\r\n')
      .map((line) => (JSON.parse(line) as { Id: number }).Id),
    Array.from({ length: 96 }, (_, id) => id),
  )
})

t.test('rows to the screen, and Ctrl-C: a word of it all the same', { skip }, async (t) => {
  const running = onTerminal(['copy', '--from', '-', '--to', '-'], env)!
  running.child.stdin.write('{"id":1}\n')
  // Once the terminal has echoed it.
  await running.until((text) => text.split('{"id":1}').length > 2, 'stdout')
  running.child.stdin.write('\x03')
  const { code, stdout } = await running.ended
  t.equal(code, 130, stdout)
  t.match(stdout, /SIGINT: delivering what is in flight; a second signal ends at once/)
})

t.test('the demo: a live line, then the table', { skip }, async (t) => {
  const { code, stdout } = await onTerminal(['demo'], env)!.ended
  t.equal(code, 0)
  t.match(drawn(stdout)[1], /^0 rows {2}/)
  t.match(stdout, /counted by HEC +3,000\r\nfound by a search, the same +3,000\r\n\r\nEvery row arrived\./)
})

t.test('an error on a terminal is text', { skip }, async (t) => {
  const { code, stdout } = await onTerminal(
    ['copy', '--from', '-', '--to', '-', '--dead-letter', '/no/where/x'],
    env,
  )!.ended
  t.equal(code, 2)
  t.match(stdout, /cyber-connectors: copy:\r\n {2}dead_letter: can't write "\/no\/where\/x" \(ENOENT\)\r\n/)
})

t.test('control characters of rows: replaced on a terminal, as they are in a pipe', { skip }, async (t) => {
  // As a server would name a window, print in another colour, and go back over what stands there.
  const text = '\u001b]0;owned\u0007 \u009b31m red \u007f\u0008\u0085 end'
  const folder = t.testdir({
    'a.ndjson': `${JSON.stringify({ [`n${text}`]: text, TimeGenerated: '2024-05-01' })}\n`,
  })
  const from = ['--from', 'files', '--path', folder]
  const runs = {
    copy: ['copy', ...from, '--to', '-'],
    'a dry run': [
      'copy',
      ...from,
      '--to',
      'splunk',
      '--url',
      hec.endpoint,
      '--token-env',
      'HEC_TOKEN',
      '--dry-run',
    ],
    'a template': ['sentinel-template', ...from, '--table', 'Rows_CL'],
  }
  for (const [name, args] of Object.entries(runs)) {
    const { stdout } = await onTerminal(args, env)!.ended
    t.match(stdout, /owned/, `${name} prints it`)
    const shown = stdout.replaceAll('\r\x1b[K', '').replaceAll('\r\n', '\n')
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
    t.notMatch(shown, /[\0-\x08\x0b-\x1f\x7f-\x9f]/, name)
  }
  const piped = await command(runs.copy, { env })
  t.equal(Object.values(JSON.parse(piped.stdout))[0], text, 'a program is given what the row holds')
  t.ok(piped.stdout.includes('\u009b'))
})
