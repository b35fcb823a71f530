import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import t from 'tap'
import { HecEmulator, RestEmulator, startEmulators } from '../../lib/emulators/index.ts'
import { registered } from '../../lib/registry.ts'
import { command, lastLine, RunningCommand, rowsOf } from '../fixtures/command.ts'

const emulators = await startEmulators()
const hec = await new HecEmulator().start()
const rest = await new RestEmulator().start()
t.teardown(async () => {
  await Promise.all([emulators.close(), hec.close(), rest.close()])
})
const { entra, logAnalytics, caFile } = emulators
const env = { CLIENT_SECRET: entra.client_secret, HEC_TOKEN: hec.token }
const toSplunk = ['--to', 'splunk', '--url', hec.endpoint, '--token-env', 'HEC_TOKEN']
const fromMonitor = [
  ...['--from', 'azure-monitor', '--workspace-id', 'any', '--ca', caFile],
  ...['--endpoint', logAnalytics.url, '--authority-host', entra.url],
  ...['--tenant-id', entra.tenant_id, '--client-id', entra.client_id, '--client-secret-env', 'CLIENT_SECRET'],
  ...['--start-time', '2024-01-01', '--end-time', '2024-01-02'],
]
const columns = [
  { name: 'TimeGenerated', type: 'datetime' },
  { name: 'Id', type: 'long' },
] as const
logAnalytics.addTable(
  'Events',
  columns,
  Array.from({ length: 1000 }, (_, index) => [
    new Date(Date.UTC(2024, 0, 1) + index * 1000),
    9_007_199_254_740_993n + BigInt(index),
  ]),
)

t.beforeEach(() => {
  hec.events.length = 0
  hec.clearFaults()
  rest.rows.length = 0
  rest.requests.length = 0
})

t.test('standard input to Splunk: every record value for value, whatever its lines look like', async (t) => {
  const input = [
    '\ufeff{"n":9223372036854775807,"first":true}',
    '{"n":-9214364837600034816,"text":"\\u00e4 \\" \\r\\n 漢"}\r',
    '',
    '   ',
    '{"nested":{"list":[1,{"n":18446744073709551615}],"none":null},"f":0.30000000000000004,"e":1e300}',
    '{"last":"without newline"}',
  ].join('\n')
  const { code, stdout, stderr } = await command(['copy', '--from', '-', ...toSplunk], { input, env })
  t.equal(code, 0, stderr)
  t.equal(stdout, '')
  t.same(
    hec.events.map(({ event }) => event),
    [
      { n: 9223372036854775807n, first: true },
      { n: -9214364837600034816n, text: 'ä " \r\n 漢' },
      {
        nested: { list: [1, { n: 18446744073709551615n }], none: null },
        f: 0.30000000000000004,
        e: 1e300,
      },
      { last: 'without newline' },
    ],
  )
  t.match(lastLine(stderr, 'end'), { outcome: 'done', read: 4, delivered: 4, rejected: 0 })
})

t.test('Azure Monitor to standard output, and through transforms to Splunk', async (t) => {
  const out = await command(['copy', ...fromMonitor, '--query', 'Events', '--to', '-'], { env })
  t.equal(out.code, 0, out.stderr)
  t.same(
    rowsOf(out.stdout),
    Array.from({ length: 1000 }, (_, index) => ({
      TimeGenerated: new Date(Date.UTC(2024, 0, 1) + index * 1000).toISOString(),
      Id: 9_007_199_254_740_993n + BigInt(index),
    })),
  )

  const folder = t.testdir({
    'odd.mjs': `export default async function* (rows) { for await (const row of rows) if (row.Id % 2n) yield row }`,
    'more.mjs': `import { Transform } from 'node:stream'
      export const tagged = () => [
        new Transform({ objectMode: true, transform(row, _, done) { done(null, { ...row, tag: 'x' }) } }),
        async function* (rows) { for await (const row of rows) yield { ...row, again: true } },
      ]`,
    'query.kql': 'Events\n| take 10\n',
  })
  const through = await command(
    [
      ...['copy', ...fromMonitor, '--query-file', 'query.kql', ...toSplunk, '--time_column', 'TimeGenerated'],
      ...['--transform', './odd.mjs', '--transform', 'more.mjs#tagged', '--to-batchSize=2'],
    ],
    { env, cwd: folder },
  )
  t.equal(through.code, 0, through.stderr)
  t.match(lastLine(through.stderr, 'end'), { read: 10, delivered: 5 })
  // Several requests are under way at once: the order between them is not promised.
  t.same(
    new Set(hec.events.map(({ event }) => (event as { Id: bigint }).Id)),
    new Set([0n, 2n, 4n, 6n, 8n].map((index) => 9_007_199_254_740_993n + index)),
  )
  t.equal(hec.events.length, 5)
  t.match(hec.events[0]?.event, { tag: 'x', again: true })
})

t.test('standard input to standard output, and a reader who leaves', async (t) => {
  const input = '{"a":9007199254740993}\n{"a":-1}\n'
  const whole = await command(['copy', '--from', '-', '--to', '-'], { input })
  t.equal(whole.code, 0)
  t.equal(whole.stdout, input)

  const left = new RunningCommand(['copy', '--from', '-', '--to', '-', '--log', 'json'])
  left.child.stdin.write(input)
  await left.until((text) => text.includes('9007199254740993'), 'stdout')
  left.child.stdout.destroy()
  left.child.stdin.write(input.repeat(100_000))
  // The input stays open: the command does not wait for more of it.
  const { code, signal, stderr } = await left.ended
  left.child.stdin.destroy()
  t.same({ code, signal, stderr }, { code: 0, signal: null, stderr: '' })
})

t.test('a bad line ends the run by its number, after what came before it', async (t) => {
  const input = '{"id":1}\n{"id":2}\n{"password":"hunter2"\n{"id":4}\n'
  const { code, stderr } = await command(['copy', '--from', '-', ...toSplunk], { input, env })
  t.equal(code, 1)
  t.equal(lastLine(stderr, 'error')?.['message'], 'line 3 is not JSON')
  t.notMatch(stderr, /hunter2/)
  t.same(
    hec.events.map(({ event }) => event),
    [{ id: 1 }, { id: 2 }],
  )
  const latin1 = Buffer.concat([
    Buffer.from('{"id":1}\n{"name":"M'),
    Buffer.from([0xfc]),
    Buffer.from('ller"}\n'),
  ])
  const bytes = await command(['copy', '--from', '-', '--to', '-', '--log', 'off'], { input: latin1 })
  t.same(bytes, {
    code: 1,
    signal: null,
    stdout: '{"id":1}\n',
    stderr: 'cyber-connectors: line 2 is not UTF-8\n',
  })
})

t.test(
  'another format on standard input: the error names it, and the flags that read it from a file',
  async (t) => {
    const zeek =
      '#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tdns\n' +
      '#fields\tts\tquery\n#types\ttime\tstring\n1700000000.5\texample.org\n'
    for (const [input, what, flags, found] of [
    [zeek, 'a log in the format of Zeek', ['--format', 'zeek'], /"query"/],
    ['id,name\n1,ada\n', 'CSV', ['--format', 'csv'], /"name":"ada"/],
    ['id;name\n1;ada\n', 'CSV', ['--format', 'csv', '--sep', ';'], /"name":"ada"/],
    ['id\tname\n1\tada\n', 'CSV', ['--format', 'csv', '--sep', '\\t'], /"name":"ada"/],
    ['[{"id":1}]', 'a JSON array', ['--format', 'json'], /"id":1/],
    ['\n[\n  {"id":1}\n]', 'a JSON array', ['--format', 'json'], /"id":1/],
    ['#Version: 1.0\n#Fields: c-ip id\n10.0.0.1 1\n', "W3C's log", ['--format', 'csv', '--sep', ' ', '--comment', '#', '--header-prefix', '#Fields:'], /"c-ip":"10.0.0.1"/],
  ] as const) {
    const { code, stderr } = await command(['copy', '--from', '-', '--to', '-', '--log', 'off'], { input })
    t.equal(code, 1)
    t.match(stderr, new RegExp(`line \\d is .*: it looks like ${what}, and NDJSON is expected here`))
    const advice = flags.map((each) => (/^(--)?[\w-]+$/.test(each) ? each : `'${each}'`)).join(' ')
    t.ok(stderr.includes(`copy --from FILE ${advice}\n`), stderr)
    const cwd = t.testdir({ 'saved.log': input })
    const again = await command(['copy', '--from', './saved.log', ...flags, '--to', '-', '--log', 'off'], { cwd })
    t.match(again, { code: 0, stdout: found })
  } // biome-ignore format: a table
    const later = await command(['copy', '--from', '-', '--to', '-', '--log', 'off'], {
      input: '{"id":1}\na,b\n',
    })
    t.equal(later.stderr, 'cyber-connectors: line 2 is not JSON\n', 'only of the first line')
  },
)

t.test('input without a line feed ends the run, and does not fill the memory', async (t) => {
  const running = new RunningCommand(['copy', '--from', '-', ...toSplunk], { env })
  const endless = Readable.from(
    (function* () {
      yield '{"id":1}\n'
      for (const chunk = Buffer.alloc(1_000_000, ' '); ; ) yield chunk
    })(),
  )
  endless.pipe(running.child.stdin)
  const { code, stderr } = await running.ended
  endless.destroy()
  t.equal(code, 1)
  t.match(lastLine(stderr, 'error'), { message: 'line 2 is longer than 64000000 bytes' })

  const long = Buffer.concat([Buffer.alloc(70_000_000, ' '), Buffer.from('\n{"id":2}\n')])
  const folder = t.testdir({})
  const args = ['copy', '--from', '-', ...toSplunk, '--dead-letter', 'refused.ndjson']
  const kept = await command(args, { input: long, env, cwd: folder })
  t.match(lastLine(kept.stderr, 'end'), { outcome: 'done', delivered: 1, rejected: 1 })
  const [letter] = rowsOf(await readFile(join(folder, 'refused.ndjson'), 'utf8'))
  t.match(letter, { reason: { text: 'line 1 is longer than 64000000 bytes' } })
})

t.test('bad lines and refused rows go to the dead letter', async (t) => {
  const folder = t.testdir()
  const input = '{"id":1}\nnonsense\n[1]\n{"id":4,"at":"soon"}\n{"id":5,"at":"2024-05-01T00:00:00Z"}\n'
  const { code, stderr } = await command(
    ['copy', '--from', '-', ...toSplunk, '--time-column', 'at', '--dead-letter', 'refused.ndjson'],
    { input, env, cwd: folder },
  )
  t.equal(code, 0, stderr)
  t.match(lastLine(stderr, 'end'), { read: 5, delivered: 1, rejected: 4 })
  t.same(
    hec.events.map(({ event }) => (event as { id: number }).id),
    [5],
  )
  const letters = rowsOf(await readFile(join(folder, 'refused.ndjson'), 'utf8'))
  t.match(
    letters.sort((a, b) => String(a['row']).localeCompare(String(b['row']))),
    [
      { row: '[1]', connector: '-', reason: { code: 'ERR_ROW', text: 'line 3 is JSON, but not an object' } },
      { row: { id: 1 }, connector: 'splunk' },
      { row: { id: 4 }, connector: 'splunk' },
      { row: 'nonsense', reason: { text: 'line 2 is not JSON' } },
    ],
  )
  const nowhere = await command(['copy', '--from', '-', ...toSplunk, '--dead-letter', 'no/such/folder/x'], {
    input,
    env,
  })
  t.equal(nowhere.code, 2)
  t.match(nowhere.stderr, /dead_letter: can't write .*ENOENT/)
})

t.test('secrets come from the environment or a file, never from a flag', async (t) => {
  const folder = t.testdir({ token: `${hec.token}\n`, empty: '' })
  const input = '{"a":1}\n'
  const from = (...more: string[]) =>
    command(['copy', '--from', '-', '--to', 'splunk', '--url', hec.endpoint, ...more], {
      input,
      env,
      cwd: folder,
    })
  t.equal((await from('--token-file', 'token')).code, 0)
  t.equal(hec.events.length, 1)
  const refused = [
    [
      ['--token', hec.token],
      /--token: it is a secret, and a flag shows in the process list.*--token-env NAME/,
    ],
    [[`--to-token=${hec.token}`], /--to-token: it is a secret/],
    [['--token-env', hec.token], /--token-env: expected the name of a variable/],
    [['--token-env', 'NO_SUCH_VARIABLE'], /the environment has no variable NO_SUCH_VARIABLE/],
    [['--token-file', 'nothing'], /can't read "nothing" \(ENOENT\)/],
    [['--token-file', 'empty'], /"empty" is empty/],
    [[`--tokne=${hec.token}`], /unknown option '--tokne=…'/],
    [['--proxy', `http://user:${hec.token}@proxy`, '--token-file', 'token'], /--proxy: it is a secret/],
  ] as const
  const ends = await Promise.all(refused.map(([flags]) => from(...flags)))
  for (const [index, { code, stdout, stderr }] of ends.entries()) {
    const [, reason] = refused[index]!
    t.equal(code, 2, reason.source)
    t.match(stderr, reason)
    t.notMatch(stdout + stderr, hec.token)
  }
  const { code, stderr } = await command(
    ['copy', '--from', '-', '--to', 'splunk', '--url', 'https://me:hunter2@splunk', '--token-file', 'token'],
    { input, cwd: folder },
  )
  t.equal(code, 2)
  t.match(stderr, /--url: it has a user or password in it/)
  t.notMatch(stderr, /hunter2/)
  t.equal(hec.events.length, 1, 'nothing was sent')
  for (const [args, instead] of [
    [
      ['copy', '--from', '-', '--to', '-', '--checkpoint', 'redis://me:hunter2@127.0.0.1:1'],
      /--checkpoint-env NAME/,
    ],
    [['queue', 'status', 'redis://me:hunter2@127.0.0.1:1'], /CYBER_CONNECTORS_QUEUE/],
    [['queue', 'status', 'redis://:hunter2@127.0.0.1:1'], /CYBER_CONNECTORS_QUEUE/],
  ] as const) {
    const { code, stdout, stderr } = await command([...args], { input, cwd: folder })
    t.equal(code, 2, args.join(' '))
    t.match(stderr, /it has a user or password in it, and a flag shows in the process list/)
    t.match(stderr, instead)
    t.notMatch(stdout + stderr, /hunter2/)
  }
})

t.test('REST: its URL is a secret, headers are a family of flags', async (t) => {
  const { code, stderr } = await command(
    [
      ...['copy', '--from', '-', '--to', 'rest', '--url-env', 'HOOK', '--batch-size', '2'],
      ...['--http-header-X-Api-Key-env', 'API_KEY', '--headers-env', 'HEADERS'],
    ],
    {
      input: '{"a":1}\n{"a":2}\n',
      env: { HOOK: `${rest.url}/webhook/deadbeefdeadbeef`, API_KEY: 'k-123', HEADERS: '{"x-other":"y"}' },
    },
  )
  t.equal(code, 0, stderr)
  t.same(rest.rows, [{ a: 1 }, { a: 2 }])
  t.match(rest.requests[0]?.headers, { 'x-api-key': 'k-123', 'x-other': 'y' })
  const shown = await command(['copy', '--from', '-', '--to', 'rest', '--url', 'https://hook/abcdefgh'], {
    input: '',
  })
  t.equal(shown.code, 2)
  t.notMatch(shown.stderr, /abcdefgh/)
})

t.test('plain flags go to each that has the option, --from- and --to- to one', async (t) => {
  const check = (...more: string[]) =>
    command(['copy', ...fromMonitor, '--query', 'Events', ...toSplunk, ...more], { env })
  const both = await check('--max-retries', 'many')
  t.equal(both.code, 2)
  t.match(both.stderr, /source azure-monitor: max_retries: expected an integer.*\n.*sink splunk: max_retries/)
  const one = await check('--to-max-retries', 'many', '--max_retries', '2')
  t.match(one.stderr, /sink splunk: max_retries/)
  t.notMatch(one.stderr, /source azure-monitor/)
})

t.test('all that is wrong is told at once, before anything is sent', async (t) => {
  const wrong = [
    [['copy'], 2, [/--from: is required/, /--to: is required/]],
    [['copy', '--from', '-', '--to', 'splnk'], 2, [/there is no sink of this name; did you mean "splunk"\?/]],
    [['copy', '--from', 'rest', '--to', '-'], 2, [/there is no source of this name/]],
    [
      [
        'copy',
        '--from',
        'azure-monitor',
        '--to',
        'splunk',
        '--batch-size',
        '0',
        '--transform',
        'nowhere.mjs',
      ],
      2,
      [
        /azure-monitor: query: is required/,
        /workspace_id: is required/,
        /batch_size: expected an integer of 1/,
        /url: is required/,
        /token: is required/,
        /nowhere\.mjs: can't be loaded/,
      ],
    ],
    [
      ['copy', '--from', '-', ...toSplunk, '--batch-size', '1', '--batch_size', '2'],
      2,
      [/--batch-size: given twice/],
    ],
    [
      ['copy', '--from', '-', ...toSplunk, '--bath-size', '1'],
      2,
      [/unknown option '--bath-size'/, /--batch-size/],
    ],
    [['copy', '--from', '-', ...toSplunk, 'stray'], 2, [/too many arguments/]],
    [['copy', '--from', '-', ...toSplunk, '--log', 'loud'], 2, [/live, json, off/]],
    [
      ['copy', '--from', '-', ...toSplunk, '--log-interval', '0'],
      2,
      [/--log-interval: expected a number of seconds/],
    ],
    [['copy', '--from', '-', ...toSplunk, '--checkpoint', 'x'], 2, [/standard input has no offsets/]],
    [['copy', '--from', '-', ...toSplunk, '--trigger', 'often'], 2, [/--trigger: expected "available_now"/]],
    [['cpoy'], 2, [/unknown command 'cpoy'/, /copy/]],
    [['demo', '--nope'], 2, [/unknown option '--nope'/]],
    [['emulate', '--nope'], 2, [/unknown option '--nope'/]],
    [[], 2, [/Usage: cyber-connectors/, /emulate/]],
  ] as [string[], number, RegExp[]][]
  const ends = await Promise.all(wrong.map(([args]) => command(args, { env, input: '{"a":1}\n' })))
  for (const [index, ended] of ends.entries()) {
    const [args, code, reasons] = wrong[index]!
    t.equal(ended.code, code, args.join(' '))
    for (const reason of reasons) t.match(ended.stderr, reason)
  }
  t.equal(hec.events.length, 0)
})

t.test('exit codes tell a refused token from a sink that fails', async (t) => {
  const input = '{"a":1}\n{"a":2}\n'
  const refused = await command(['copy', '--from', '-', ...toSplunk], {
    input,
    env: { HEC_TOKEN: 'wrong-token' },
  })
  t.equal(refused.code, 3)
  t.match(lastLine(refused.stderr, 'error'), { code: 'ERR_AUTH', status: 403, undelivered: 2 })
  t.notMatch(refused.stderr, /wrong-token/)
  hec.fail({ status: 503, times: 2 })
  const failed = await command(
    ['copy', '--from', '-', ...toSplunk, '--max-retries', '1', '--initial-backoff', '0.01'],
    {
      input,
      env,
    },
  )
  t.equal(failed.code, 1)
  t.match(lastLine(failed.stderr, 'error'), { code: 'ERR_DELIVERY', undelivered: 2 })
  t.match(lastLine(failed.stderr, 'end'), { outcome: 'failed', read: 2, delivered: 0, retries: 1 })
  const strange = ['--to', 'splunk', '--url', emulators.hec.endpoint, '--token-env', 'HEC_TOKEN']
  const untrusted = await command(['copy', '--from', '-', ...strange], { input, env })
  t.equal(untrusted.code, 1)
  t.match(lastLine(untrusted.stderr, 'error'), { undelivered: 2, advice: /by --ca FILE/ })
  const source = await command(['copy', ...fromMonitor, '--query', 'Nothing', '--to', '-'], { env })
  t.equal(source.code, 1)
  t.match(lastLine(source.stderr, 'error'), { code: 'ERR_QUERY', status: 400 })
  const broken = t.testdir({
    'x.mjs': `export default async function* (rows) { for await (const row of rows) throw new Error('no ' + row.a) }`,
  })
  const transform = await command(['copy', '--from', '-', '--to', '-', '--transform', 'x.mjs'], {
    input,
    cwd: broken,
  })
  t.equal(transform.code, 1)
  t.match(lastLine(transform.stderr, 'error'), { message: /^the transform failed at .*x\.mjs:1: no 1$/ })
})

t.test('--ack for a token without acknowledgement ends with exit code 2, by the first answer', async (t) => {
  const input = Array.from({ length: 200 }, (_, id) => `{"id":${id}}\n`).join('')
  const copy = (...more: string[]) =>
    command(['copy', '--from', '-', ...toSplunk, '--ack', '--batch-size', '50', ...more], { input, env })
  const sent = () => hec.requests.filter(({ path }) => !/\/(ack|health)$/.test(path)).length
  const checked = async (text: RegExp) => {
    const before = sent()
    const check = await copy('--check')
    t.equal(check.code, 2, check.stdout)
    t.match(check.stdout, text)
    t.notMatch(check.stdout, /Check the token/, 'the token is good')
    t.equal(sent(), before, 'the check sends no row')
  }
  const failed = async () => {
    const before = sent()
    const { code, stderr } = await copy('--max-retries', '5', '--initial-backoff', '0.01')
    t.equal(code, 2)
    t.match(lastLine(stderr, 'error'), { code: 'ERR_OPTION', service_code: 14, advice: undefined })
    t.match(stderr, /ack: indexer acknowledgement is not enabled for this token/)
    t.equal(sent() - before, 1)
  }
  // HEC without acknowledgement takes the rows and gives no ackId; the question for an id is answered by code 14.
  await failed()
  await checked(/FAIL {2}sink splunk: ack: indexer acknowledgement is not enabled for this token/)
  hec.fail({ status: 400, body: { text: 'ACK is disabled', code: 14 } })
  await failed()
  t.equal(hec.events.length, 50, 'those of the answer without an ackId')
})

t.test('a sink that fails ends the run though the input stays open', async (t) => {
  const running = new RunningCommand(['copy', '--from', '-', ...toSplunk, '--linger-ms', '1'], {
    env: { HEC_TOKEN: 'wrong' },
  })
  running.child.stdin.write('{"a":1}\n')
  t.equal((await running.ended).code, 3)
})

t.test('--check tries both ends and moves nothing', async (t) => {
  const check = (secrets: NodeJS.ProcessEnv, ...more: string[]) =>
    command(['copy', ...fromMonitor, '--query', 'Events;', ...toSplunk, '--check', ...more], {
      env: { ...env, ...secrets },
    })
  const good = await check({})
  t.equal(good.code, 0, good.stdout + good.stderr)
  t.match(
    good.stdout,
    /ok {4}options.*\nok {4}source azure-monitor: signed in.*\nok {4}sink splunk: HEC is healthy/,
  )
  const bad = await check({ CLIENT_SECRET: 'wrong-secret', HEC_TOKEN: 'wrong-token' })
  t.equal(bad.code, 3)
  t.match(
    bad.stdout,
    /FAIL {2}source azure-monitor: .*AADSTS7000215[\s\S]*FAIL {2}sink splunk: Invalid token/,
  )
  t.match(bad.stdout, /Check the token or secret/)
  t.notMatch(bad.stdout + bad.stderr, /wrong-(secret|token)/)
  const query = await check({}, '--to-ca', caFile, '--max-retries', '0', '--to-url', 'https://127.0.0.1:1')
  t.equal(query.code, 1)
  t.match(query.stdout, /ECONNREFUSED[\s\S]*Nothing answers there: check host and port/)
  const options = await check({}, '--to-batch-size', 'x')
  t.equal(options.code, 2)
  t.equal(hec.events.length, 0)
  t.ok(logAnalytics.queries.slice(-1).every(({ query }) => query.endsWith('take 0')))
})

t.test('Sentinel: Zeek records in, token, role and rule tried by --check', async (t) => {
  const { ingestion } = emulators
  const flags = [
    ...[
      'copy',
      '--from',
      '-',
      '--to',
      'ms-sentinel',
      '--dce',
      ingestion.url,
      '--dcr-id',
      'dcr-1',
      '--dcs',
      'Custom-Zeek_CL',
    ],
    ...[
      '--tenant-id',
      entra.tenant_id,
      '--client-id',
      entra.client_id,
      '--client-secret-env',
      'CLIENT_SECRET',
    ],
    ...['--authority-host', entra.url, '--ca', caFile],
  ]
  const good = await command([...flags, '--check'], { env })
  t.equal(good.code, 0, good.stdout + good.stderr)
  t.match(good.stdout, /ok {4}sink ms-sentinel: the endpoint takes calls for this rule and stream/)
  t.equal(ingestion.received, 0)
  ingestion.roleMissing = true
  const role = await command([...flags, '--check'], { env })
  t.equal(role.code, 3)
  t.match(role.stdout, /FAIL {2}sink ms-sentinel: .*Monitoring Metrics Publisher/)
  ingestion.roleMissing = false
  const secret = await command([...flags, '--check'], { env: { CLIENT_SECRET: 'wrong-secret' } })
  t.equal(secret.code, 3)
  t.match(secret.stdout, /AADSTS7000215/)
  const input = '{"ts":"2024-05-01T00:00:00.123456Z","id.orig_h":"10.0.0.1","uid":9007199254740993}\n'
  const { code, stderr } = await command(flags, { env, input })
  t.equal(code, 0, stderr)
  t.same(ingestion.rows, [
    { ts: '2024-05-01T00:00:00.123456Z', 'id.orig_h': '10.0.0.1', uid: 9007199254740993n },
  ])
})

t.test('--help lists every option of every connector, from the declarations', async (t) => {
  const { code, stdout } = await command(['copy', '--help=all'])
  t.equal(code, 0)
  const names = new Set<string>()
  for (const [, connector] of registered()) {
    for (const maker of [connector.readable, connector.streamReadable, connector.writable]) {
      for (const [name, spec] of Object.entries(maker?.declaration?.specs ?? {})) {
        if (spec.schema || name === 'dead_letter') names.add(name)
      }
    }
  }
  t.ok(names.size > 50)
  for (const name of names) {
    const flag = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`).replaceAll('_', '-')
    t.match(stdout, new RegExp(`^ {2}--${flag}(-env)?( |$)`, 'm'), name)
  }
  t.match(stdout, /--client-secret-env <name> \| --client-secret-file <path>/)
  t.match(stdout, /--http-header-<Name>-env <name>/)
  t.match(stdout, /Exit codes:/)
  t.match(stdout, /--from-<option> sets the source alone/)
  const short = await command(['copy', '--help'])
  t.ok(short.stdout.split('\n').length < 45, 'one screen')
  t.match(short.stdout, /copy --help splunk, or\s+--help=all/)
  t.match(short.stdout, /Examples:/)
  t.ok((await command(['run', '--help'])).stdout.split('\n').length < 50, 'one screen')
  const topic = await command(['copy', '--help', 'splunk'])
  t.match(topic.stdout, /Options of the source splunk:[\s\S]*Options of the sink splunk:/)
  t.notMatch(topic.stdout, /Options of the sink rest:/)
  t.match((await command(['run', '--help', 'files'])).stdout, /Options of the source files:\n/)
  t.match(await command(['copy', '--help', 'splnk']), { code: 2, stderr: /there is no connector "splnk"/ })
  const narrowed = await command(['copy', '--from', '-', '--to', 'splunk', '--help'])
  t.match(narrowed.stdout, /Options of the sink splunk:/)
  t.notMatch(narrowed.stdout, /workspace-id <value>/)
  const helps = [
    ['--help'],
    ['help'],
    ['run', '--help'],
    ['demo', '--help'],
    ['emulate', '--help'],
    ['help', 'copy'],
    ['--version'],
  ]
  for (const [index, help] of (await Promise.all(helps.map((args) => command(args)))).entries()) {
    t.equal(help.code, 0, helps[index]!.join(' '))
    t.not(help.stdout, '')
    t.equal(help.stderr, '')
  }
})
