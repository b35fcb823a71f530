import { once } from 'node:events'
import { access, readFile, stat, writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import t from 'tap'
import { command, lastLine, RunningCommand, rowsOf } from '../fixtures/command.ts'

t.test(
  'the emulators stay up, print what a shell takes in, and count until a signal ends them',
  async (t) => {
    const port = await freePort()
    const folder = t.testdir({
      'records.ndjson': '{"ts":1714521600.5,"id":9007199254740993}\n{"ts":1714521601,"id":2}\n',
    })
    const running = new RunningCommand(
      [
        ...['emulate', '--input', 'records.ndjson', '--time-column', 'ts', '--port', `hec=${port}`],
        ...['--fault', 'hec status=503 retry_after=0 times=2', '--fault', 'hec code=9'],
        ...['--fault', 'log-analytics partial=true rows=1', '--fault', 'entra header.x-note="a b" delay=1'],
      ],
      { cwd: folder },
    )
    t.teardown(() => running.child.kill())
    const text = await running.until((text) => text.includes('(Ctrl-C)'), 'stdout')
    const variables = Object.fromEntries(
      [...text.matchAll(/^export (\w+)='([^']*)'$/gm)].map(([, name, value]) => [name, value]),
    )
    t.equal(new URL(variables['SPLUNK_URL']!).port, String(port))
    await access(variables['NODE_EXTRA_CA_CERTS']!)

    // The command that it proposes, as it stands, in a shell's words.
    const proposed = text
      .split('\n')
      .filter((line) => /^# (cyber-connectors| {2}--)/.test(line))
      .map((line) => line.slice(2).replace(/\\$/, ''))
      .join('')
      .replace(/\$(\w+)/g, (_, name: string) => variables[name]!)
      .trim()
      .split(/\s+/)
    t.equal(proposed[0], 'cyber-connectors')
    const copy = (...more: string[]) =>
      command([...proposed.slice(1), '--initial-backoff', '0.01', ...more], { env: variables })
    const partial = await copy('--max-retries', '0')
    t.equal(partial.code, 1)
    t.match(lastLine(partial.stderr, 'error'), { code: 'ERR_QUERY', service_code: 'PartialError' })
    const copied = await copy()
    t.equal(copied.code, 0, copied.stderr)
    const end = lastLine(copied.stderr, 'end')
    t.match(end, { read: 2, delivered: 2 })
    t.ok((end?.['retries'] as number) >= 3, 'by the faults')

    running.child.kill('SIGTERM')
    const { code, stderr } = await running.ended
    t.equal(code, 0)
    t.match(stderr, /hec: 4 requests, 2 rows accepted/)
    await t.rejects(access(variables['NODE_EXTRA_CA_CERTS']!), { code: 'ENOENT' })
  },
)

t.test('as JSON, with acknowledgement, over plain HTTP', async (t) => {
  const running = new RunningCommand([
    ...['emulate', '--json', '--ack', '--no-tls', '--fault', 'splunk-search search=disk-quota rows=1'],
  ])
  t.teardown(() => running.child.kill())
  const line = await running.until((text) => text.includes('\n'), 'stdout')
  const [services] = rowsOf(line) as [Record<string, string>]
  t.match(services, {
    table: { name: 'SigninLogs', rows: 3000 },
    tables: ['SigninLogs', 'SecurityEvent', 'SecurityAlert', 'SecurityIncident'],
    SPLUNK_URL: /^http:/,
    INGESTION_URL: /^https:/,
  })
  const copied = await command(
    [
      'copy',
      '--from',
      '-',
      '--to',
      'splunk',
      '--url',
      services['SPLUNK_URL']!,
      '--token-env',
      'TOKEN',
      '--ack',
    ],
    { input: '{"a":1}\n', env: { TOKEN: services['SPLUNK_TOKEN']! } },
  )
  t.equal(copied.code, 0, copied.stderr)
  const search = async () => {
    const response = await fetch(`${services['SPLUNKD_URL']}/services/search/v2/jobs/export`, {
      method: 'POST',
      headers: { authorization: `Bearer ${services['SPLUNK_AUTH_TOKEN']}` },
      body: new URLSearchParams({ search: 'search a=1', output_mode: 'json' }),
    })
    return rowsOf(await response.text())
  }
  t.match(JSON.stringify(await search()), /auto-finalized after disk usage limit/, 'by the fault')
  t.match(await search(), [{ preview: false, result: { _raw: '{"a":1}' } }, { lastrow: true }])
  running.child.kill('SIGINT')
  t.equal((await running.ended).code, 0)
})

t.test('ports and tokens from a file; events as they come, one short line a second', async (t) => {
  const port = await freePort()
  const settings = {
    hec: { port, token: 'fixed-token' },
    entra: { tenant_id: 'tenant', client_id: 'client', client_secret: 'fixed-secret' },
    'splunk-search': { username: 'me', password: 'fixed-password' },
  }
  const folder = t.testdir({
    'settings.json': JSON.stringify(settings),
    'wrong.yaml': `hec: { prot: 8088, token: 7, port: 99999 } # a comment\nsplnk: {}\nentra: secret-word\nrest: { authorization: '' }\n`,
    'torn.yaml': 'hec: { token: "secret-word',
  })
  const running = new RunningCommand(['emulate', '--settings', 'settings.json', '--no-tls'], { cwd: folder })
  t.teardown(() => running.child.kill())
  const text = await running.until((text) => text.includes('(Ctrl-C)'), 'stdout')
  for (const line of [
    `SPLUNK_URL='http://127.0.0.1:${port}/services/collector/event'`,
    `SPLUNK_TOKEN='fixed-token'`,
    `AZURE_TENANT_ID='tenant'`,
    `AZURE_CLIENT_ID='client'`,
    `AZURE_CLIENT_SECRET='fixed-secret'`,
    `SPLUNK_USERNAME='me'`,
    `SPLUNK_PASSWORD='fixed-password'`,
  ]) {
    t.ok(text.includes(`export ${line}\n`), line)
  }
  const send = ['copy', '--from', '-', '--to', 'splunk', '--url', `http://127.0.0.1:${port}`]
  const input = `{"id":9007199254740993}\n{"text":"${'long '.repeat(100)}"}\n`
  const copied = await command([...send, '--token-env', 'TOKEN'], { input, env: { TOKEN: 'fixed-token' } })
  t.equal(copied.code, 0, copied.stderr)
  const [first] = (await running.until((text) => text.includes('\n'))).split('\n')
  t.match(first, /^hec \{.*"event":\{"text":"long long .*… \(and 1 more\)$/)
  t.equal(first!.length, 120)
  const many = Array.from({ length: 500 }, (_, id) => `{"id":${id}}\n`).join('')
  const started = performance.now()
  const batches = [...send, '--token-env', 'TOKEN', '--batch-size', '1']
  t.equal((await command(batches, { input: many, env: { TOKEN: 'fixed-token' } })).code, 0)
  const seconds = (performance.now() - started) / 1000
  running.child.kill('SIGTERM')
  const { code, stderr } = await running.ended
  t.equal(code, 0)
  const said = stderr.split('\n').filter((line) => line.startsWith('hec {'))
  t.ok(said.length <= 3 + seconds, 'however much comes: one line a second')
  const counts = said.map((line) => 1 + Number(/\(and (\d+) more\)$/.exec(line)?.[1] ?? 0))
  t.equal(
    counts.reduce((sum, count) => sum + count),
    502,
    'and each event is counted',
  )

  const [wrong, torn, absent] = await Promise.all(
    ['wrong.yaml', 'torn.yaml', 'none.yaml'].map((file) =>
      command(['emulate', '--settings', file], { cwd: folder }),
    ),
  )
  for (const { code, stdout, stderr } of [wrong!, torn!, absent!]) {
    t.equal(code, 2)
    t.equal(stdout, '')
    t.notMatch(stderr, /secret-word/)
  }
  for (const reason of [
    /hec: there is no setting "prot"; there are port, token/,
    /hec: token: expected a string/,
    /hec: port: expected an integer from 0 to 65535/,
    /there is no service "splnk"; there are entra/,
    /entra: expected a map of settings/,
    /rest: authorization: expected a string/,
  ]) {
    t.match(wrong!.stderr, reason)
  }
  t.match(torn!.stderr, /torn\.yaml:\s+is not JSON or YAML: line 1, column/)
  t.match(absent!.stderr, /none\.yaml:\s+can't be read \(ENOENT\)/)
})

t.test('with --state, CA, ports and tokens stay from start to start', async (t) => {
  const folder = t.testdir()
  const start = async () => {
    const running = new RunningCommand(['emulate', '--state', 'kept', '--json'], { cwd: folder })
    t.teardown(() => running.child.kill())
    const [variables] = rowsOf(await running.until((text) => text.includes('\n'), 'stdout'))
    const { NODE_EXTRA_CA_CERTS: path } = variables as Record<string, string>
    const ca = await readFile(path!, 'utf8')
    running.child.kill('SIGTERM')
    await running.ended
    return { variables, ca }
  }
  const first = await start()
  t.same(await start(), first)
  const kept = `${folder}/kept`
  for (const file of ['emulators.json', 'ca-key.pem'])
    t.equal((await stat(`${kept}/${file}`)).mode & 0o077, 0, file)

  await writeFile(`${kept}/emulators.json`, 'something else')
  const { code, stderr } = await command(['emulate', '--state', 'kept'], { cwd: folder })
  t.not(code, 0)
  t.match(stderr, /kept\/emulators\.json is not the state of emulators; remove it/)
})

t.test('faults and ports that make no sense are refused, all at once', async (t) => {
  const { code, stdout, stderr } = await command([
    ...['emulate', '--fault', 'hce status=503', '--fault', 'hec', '--fault', 'hec status=many'],
    ...[
      '--fault',
      'hec stauts=503',
      '--fault',
      'hec reset=never',
      '--fault',
      'hec 503',
      '--port',
      'hec',
      '--port',
      'x=1',
    ],
  ])
  t.equal(code, 2)
  t.equal(stdout, '')
  for (const reason of [
    /there is no service "hce"; there are entra, log-analytics/,
    /hec: expected at least one setting/,
    /status: expected an integer, got "many"/,
    /there is no setting "stauts" here/,
    /reset: expected before or within or after, got "never"/,
    /expected <setting>=<value>, got "503"/,
    /--port: expected <service>=<port>.*got "hec"/,
    /got "x=1"/,
  ]) {
    t.match(stderr, reason)
  }
  t.equal((await command(['emulate', '--input', 'no-such-file.ndjson'])).code, 2)
  const help = await command(['emulate', '--help'])
  for (const setting of [
    'status',
    'retry_after',
    'body',
    'header',
    'reset',
    'delay',
    'stall',
    'truncate',
    'slow_read',
    'match',
    'times',
    'after',
  ]) {
    t.match(help.stdout, new RegExp(`^ {2}${setting}[=.]`, 'm'))
  }
})

/** A port that nobody listens on. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
