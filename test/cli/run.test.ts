import { appendFile, mkdir, readdir, readFile, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Ajv } from 'ajv'
import t, { type Test } from 'tap'
import { HecEmulator, startEmulators } from '../../lib/emulators/index.ts'
import { openStore } from '../../lib/stores/open-store.ts'
import {
  command,
  commandPath,
  lastLine,
  logLines,
  RunningCommand,
  rowsOf,
  variable,
} from '../fixtures/command.ts'
import { redisMissing, startRedis } from '../services/redis.ts'

const emulators = await startEmulators()
t.teardown(() => emulators.close())
const { entra, logAnalytics, hec, caFile } = emulators
const env = { CLIENT_SECRET: entra.client_secret, HEC_TOKEN: hec.token, TABLE: 'Events' }
logAnalytics.addTable(
  'Events',
  [
    { name: 'TimeGenerated', type: 'datetime' },
    { name: 'Id', type: 'long' },
  ],
  Array.from({ length: 100 }, (_, index) => [new Date(Date.UTC(2024, 0, 1) + index * 60_000), index]),
)

const source = {
  connector: 'azure-monitor',
  options: {
    workspace_id: 'any',
    query: `${variable('TABLE')} | where Id >= 0 // $${variable('TABLE')}`,
    endpoint: logAnalytics.url,
    authority_host: entra.url,
    tenant_id: entra.tenant_id,
    client_id: entra.client_id,
    client_secret: variable('CLIENT_SECRET'),
    ca: './trust/ca.pem',
  },
}
const bounded = {
  ...source,
  options: { ...source.options, startTime: '2024-01-01', end_time: '2024-01-02', num_partitions: '4' },
}
const sink = {
  connector: 'splunk',
  options: {
    url: hec.endpoint,
    token: variable('HEC_TOKEN'),
    ca: './trust/ca.pem',
    time_column: 'TimeGenerated',
    dead_letter: 'refused.ndjson',
  },
}
const schemaFile = new URL('../../dist/job.schema.json', import.meta.url)
const valid = new Ajv({ strict: false, formats: { uuid: true, duration: true, 'date-time': true } }).compile(
  JSON.parse(await readFile(schemaFile, 'utf8')),
)

/** A folder with a job file in it, and what the job is about. */
async function jobFolder(test: Test, job: unknown): Promise<string> {
  const folder = test.testdir({
    'mask.mjs': `export default async function* (rows) { for await (const row of rows) yield { ...row, masked: true } }
      export const late = () => async function* (rows) {
        for await (const row of rows) yield row.Id === 7 ? { ...row, TimeGenerated: 'soon' } : row
      }`,
  })
  await mkdir(join(folder, 'trust'))
  await writeFile(join(folder, 'trust', 'ca.pem'), await readFile(caFile))
  await writeFile(join(folder, 'job.json'), typeof job === 'string' ? job : JSON.stringify(job))
  return folder
}

t.beforeEach(() => {
  hec.events.length = 0
  logAnalytics.queries.length = 0
})

t.test('a bounded job: secrets from the environment, paths from the job file', async (t) => {
  const job = { source: bounded, transforms: ['./mask.mjs', 'mask.mjs#late'], sink }
  t.ok(valid(job), JSON.stringify(valid.errors))
  const folder = await jobFolder(t, job)
  const { code, stderr, stdout } = await command(['run', join(folder, 'job.json')], { env })
  t.equal(code, 0, stderr)
  t.equal(stdout, '')
  t.match(lastLine(stderr, 'end'), { read: 100, delivered: 99, rejected: 1, range_done: 1 })
  t.equal(hec.events.length, 99)
  t.match(hec.events[3], { event: { Id: 3, masked: true } })
  t.equal(logAnalytics.queries[0]?.query, `Events | where Id >= 0 // ${variable('TABLE')}`)
  t.match(rowsOf(await readFile(join(folder, 'refused.ndjson'), 'utf8')), [{ row: { Id: 7 } }])
})

t.test('a streaming job reads what is there, and on from there when it is started again', async (t) => {
  const options = { ...source.options, start_time: 'earliest', partition_duration: 600 }
  const job = { source: { ...source, options }, sink, checkpoint: 'state/offsets', trigger: 'available_now' }
  t.ok(valid(job), JSON.stringify(valid.errors))
  logAnalytics.addTable(
    'Recent',
    [
      { name: 'TimeGenerated', type: 'datetime' },
      { name: 'Id', type: 'long' },
    ],
    Array.from({ length: 60 }, (_, index) => [new Date(Date.now() - 3_600_000 + index * 30_000), index]),
  )
  const folder = await jobFolder(t, job)
  const recent = { ...env, TABLE: 'Recent' }
  const first = await command(['run', 'job.json'], { env: recent, cwd: folder })
  t.equal(first.code, 0, first.stderr)
  const end = lastLine(first.stderr, 'end')
  t.match(end, { outcome: 'done', read: 60, delivered: 60 })
  t.ok((end?.['windows'] as number) >= 5)
  t.ok((end?.['lag_seconds'] as number) >= 300, 'as far behind now as safety_lag_seconds says')
  t.ok((end?.['lag_seconds'] as number) < 3_600)
  t.ok((await readdir(join(folder, 'state/offsets'))).length > 0)
  const again = await command(['run', 'job.json'], { env: recent, cwd: folder })
  t.equal(again.code, 0, again.stderr)
  t.match(lastLine(again.stderr, 'end'), { read: 0 })
  t.equal(hec.events.length, 60)

  const flags = await command(
    [
      ...['copy', '--from', 'azure-monitor', '--workspace-id', 'any', '--query', 'Recent', '--ca', caFile],
      ...['--endpoint', logAnalytics.url, '--authority-host', entra.url, '--tenant-id', entra.tenant_id],
      ...['--client-id', entra.client_id, '--client-secret-env', 'CLIENT_SECRET', '--start-time', 'earliest'],
      ...['--checkpoint', join(folder, 'other'), '--trigger', 'available-now', '--to', '-'],
    ],
    { env },
  )
  t.equal(flags.code, 0, flags.stderr)
  t.equal(rowsOf(flags.stdout).length, 60)
})

t.test(
  'a checkpoint by URL, and a standby that goes on where another left off',
  { skip: redisMissing },
  async (t) => {
    const redis = await startRedis()
    t.teardown(() => redis.stop())
    const options = { ...source.options, start_time: '2024-01-01', partition_duration: 600, safety_lag_seconds: (Date.now() - Date.UTC(2024, 0, 1, 2)) / 1000 } // biome-ignore format: a line
    const job = {
      source: { ...source, options },
      sink,
      checkpoint: `${variable('REDIS')}/0?name=job`,
      standby: true,
      trigger: { interval_seconds: 3600 },
    }
    t.ok(valid(job), JSON.stringify(valid.errors))
    const folder = await jobFolder(t, job)
    const withRedis = { env: { ...env, REDIS: redis.url }, cwd: folder }
    const leader = new RunningCommand(
      ['run', 'job.json', '--log', 'json', '--log-interval', '0.1'],
      withRedis,
    )
    await leader.progress(({ delivered }) => delivered === 100)
    const standby = new RunningCommand(
      ['run', 'job.json', '--log', 'json', '--log-interval', '0.1'],
      withRedis,
    )
    await standby.progress(({ event }) => event === 'progress')
    leader.child.kill('SIGTERM')
    t.match(await leader.ended, { code: 0 })
    const { offset } = await standby.progress(({ event }) => event === 'start')
    t.match(offset, /^2024-01-01T0[12]/)
    standby.child.kill('SIGTERM')
    const { code, stderr } = await standby.ended
    t.match({ code, ...lastLine(stderr, 'end') }, { code: 0, read: 0 })
    t.equal(hec.events.length, 100)
  },
)

t.test('a job of files lags only while something is left to deliver', async (t) => {
  const folder = t.testdir({ logs: { 'a.ndjson': '{"id":1}\n' } })
  const path = join(folder, 'logs/a.ndjson')
  await utimes(path, new Date(), new Date(Date.now() - 3_600_000))
  const hec = await new HecEmulator().start()
  t.teardown(() => hec.close())
  const job = {
    source: { connector: 'files', options: { path: './logs', poll_interval_seconds: 0.05 } },
    sink: { connector: 'splunk', options: { url: hec.endpoint, token: hec.token, initial_backoff: 0.05, max_backoff: 0.1 } },
    checkpoint: './offsets',
    trigger: { interval_seconds: 0.05 },
  } // biome-ignore format: a job
  await writeFile(join(folder, 'job.json'), JSON.stringify(job))
  const args = ['run', 'job.json', '--log', 'json', '--log-interval', '0.05']
  const running = new RunningCommand(args, { cwd: folder })
  t.teardown(() => running.child.kill('SIGKILL'))
  await running.progress(({ windows, lag_seconds }) => windows === 1 && lag_seconds === 0)
  await hec.close()
  await appendFile(path, '{"id":2}\n')
  await running.progress(({ lag_seconds }) => Number(lag_seconds) > 0)
  await hec.start()
  await running.progress(({ windows, lag_seconds }) => windows === 2 && lag_seconds === 0)
  running.child.kill('SIGTERM')
  const { code, stderr } = await running.ended
  t.equal(code, 0, stderr)
  for (const line of logLines(stderr))
    for (const value of Object.values(line))
      if (typeof value === 'number') t.match(String(value), /^\d+(\.\d{1,3})?$/, 'at most three decimals')
  t.ok(logLines(stderr).every(({ level }) => ['info', 'warn', 'error'].includes(String(level))))
})

t.test('a streaming job says how often a window is run again', async (t) => {
  const options = { ...source.options, start_time: '2024-01-01', partition_duration: 365 * 86_400 }
  const fails = { ...sink, options: { ...sink.options, max_retries: 0, batch_size: 100 } }
  const job = { source: { ...source, options }, sink: fails, checkpoint: 'offsets', trigger: 'once' }
  const again = { max_retries: 2, initial_backoff: '0.01', maxBackoff: 0.02, read_ahead: 0 }
  t.ok(valid({ ...job, ...again }), JSON.stringify(valid.errors))
  hec.fail({ status: 503, times: 2 })
  const folder = await jobFolder(t, { ...job, max_retries: 1, initial_backoff: 0.01 })
  const short = await command(['run', 'job.json'], { env, cwd: folder })
  t.equal(short.code, 1, short.stderr)
  t.match(short.stderr, /after 2 attempts/)
  hec.fail({ status: 503, times: 2 })
  await writeFile(join(folder, 'job.json'), JSON.stringify({ ...job, ...again }))
  const enough = await command(['run', 'job.json'], { env, cwd: folder })
  t.equal(enough.code, 0, enough.stderr)
  t.match(lastLine(enough.stderr, 'end'), { windows: 1, delivered: 100 })
})

t.test('--check says what to fix', async (t) => {
  const options = { ...source.options, partition_duration: 600 }
  const job = { source: { ...source, options }, sink, checkpoint: 'offsets' }
  const folder = await jobFolder(t, job)
  const good = await command(['run', 'job.json', '--check'], { env, cwd: folder })
  t.equal(good.code, 0, good.stdout + good.stderr)
  t.match(good.stdout, /ok {4}source azure-monitor/)
  t.match(good.stdout, /ok {4}checkpoint: .*offsets is new/)
  t.notOk((await readdir(folder)).includes('offsets'), 'no offset is begun')
  t.equal(hec.events.length, 0)
  const bad = await command(['run', 'job.json', '--check'], { env: { ...env, TABLE: 'Nope' }, cwd: folder })
  t.equal(bad.code, 1)
  t.match(bad.stdout, /FAIL {2}source azure-monitor: .*Nope/)
  const once = {
    ...job,
    source: { ...source, options: { ...options, start_time: '2024-01-01' } },
    trigger: 'once',
  }
  await writeFile(join(folder, 'job.json'), JSON.stringify(once))
  t.equal((await command(['run', 'job.json'], { env, cwd: folder })).code, 0)
  const other = await command(['run', 'job.json', '--check'], {
    env: { ...env, TABLE: 'Others' },
    cwd: folder,
  })
  t.equal(other.code, 4)
  t.match(other.stdout, /FAIL {2}checkpoint: .*belongs to another query/)
  // Also where another process has it.
  await using _ = await openStore(join(folder, 'offsets')).open('')
  const same = await command(['run', 'job.json', '--check'], { env, cwd: folder })
  t.match(same.stdout, /ok {4}checkpoint: .*offsets is at \{"timestamp":"2024-01-01T00:10/)
  const away = { ...once, checkpoint: 'redis://me:hunter2@127.0.0.1:1/0?name=x' }
  await writeFile(join(folder, 'job.json'), JSON.stringify(away))
  const unasked = await command(['run', 'job.json', '--check'], { env, cwd: folder })
  t.equal(unasked.code, 4)
  t.match(
    unasked.stdout,
    /FAIL {2}checkpoint: the checkpoint in redis:.* can't be used: Redis: .*ECONNREFUSED/,
  )
  t.notMatch(unasked.stdout, /hunter2/)
})

t.test('a job file that is wrong: all of it is told, and no secret', async (t) => {
  const secret = 'hunter2-hunter2'
  const wrong = [
    [`{ "sink": { "token": "${secret}" `, [/job\.json:\n {2}is not JSON or YAML: line 1, column \d+/], false],
    [[], [/expected a job: an object with "source" and "sink"/], false],
    [{}, [/source: is required/, /sink: is required/], false],
    [
      { source: 'azure-monitor', snik: '-', sink: { connector: 'splunk', token: secret }, trigger: 'often' },
      [
        /source: expected "-" or an object; for a connector/,
        /unknown option "snik"; did you mean "sink"\?/,
        /sink: has an unknown member "token"/,
        /trigger: expected "available_now"/,
      ],
      false,
    ],
    [
      { source: bounded, sink, trigger: 'once', read_ahead: 1, transforms: ['none.mjs'] },
      [/trigger: needs a checkpoint/, /read_ahead: needs a checkpoint/],
      true,
    ],
    [
      {
        source: { ...bounded, options: { ...bounded.options, num_partitions: 0, querry: 'x' } },
        sink: { connector: 'splnk' },
        transforms: ['none.mjs', 'mask.mjs#nothing'],
      },
      [
        /source azure-monitor: num_partitions: expected an integer/,
        /source azure-monitor: unknown option "querry"; did you mean "query"\?/,
        /sink splnk: there is no sink of this name; did you mean "splunk"\?/,
        /none\.mjs: can't be loaded/,
        /mask\.mjs: its export "nothing" is not a function/,
      ],
      false,
    ],
    [
      {
        source: bounded,
        sink: { ...sink, options: { ...sink.options, token: variable('NO_SUCH'), index: variable('x y') } },
      },
      [
        /sink\.options\.token: the environment has no variable NO_SUCH/,
        /sink\.options\.index: "\$\{x y\}" is not the name of a variable/,
      ],
      true,
    ],
    [{ source: '-', sink: '-', checkpoint: 'offsets' }, [/standard input has no offsets to keep/], true],
    [{ source: { connector: 'rest', options: {} }, sink: '-' }, [/there is no source of this name/], true],
  ] as [unknown, RegExp[], boolean][]
  const folder = await jobFolder(t, '')
  const ends = await Promise.all(
    wrong.map(async ([job], index) => {
      const file = join(folder, `${index}-job.json`)
      await writeFile(file, typeof job === 'string' ? job : JSON.stringify(job))
      return command(['run', file], { env })
    }),
  )
  for (const [index, { code, stdout, stderr }] of ends.entries()) {
    const [job, reasons, fitsSchema] = wrong[index]!
    t.equal(code, 2, JSON.stringify(job))
    for (const reason of reasons) t.match(stderr, reason)
    t.notMatch(stdout + stderr, secret)
    t.equal(typeof job === 'string' ? false : valid(job), fitsSchema, 'by the schema')
  }
  const missing = await command(['run', 'nowhere.json'])
  t.equal(missing.code, 2)
  t.match(missing.stderr, /nowhere\.json:\n {2}can't be read \(ENOENT\)/)
  t.equal((await command(['run'])).code, 2)
})

t.test('YAML, with comments, defaults and functions of one row; from standard input too', async (t) => {
  const folder = t.testdir({
    'odd.mjs': 'export default ({ id }) => (id % 2 ? { id, odd: true } : undefined)',
    'boom.mjs': 'export default () => {\n  throw new Error("no such row")\n}',
  })
  const job = (transform: string, more = '') =>
    `# rows through a function\nsource: '-'\nsink:\n  connector: '${variable('SINK:--')}' # standard output\ntransforms: [${transform}]\n${more}`
  await writeFile(join(folder, 'job.yaml'), job('./odd.mjs'))
  const input = '{"id":1}\n{"id":2}\n{"id":3}\n'
  const done = await command(['run', 'job.yaml'], { cwd: folder, input })
  t.equal(done.stdout, '{"id":1,"odd":true}\n{"id":3,"odd":true}\n', done.stderr)
  await writeFile(join(folder, 'job.yaml'), job('./boom.mjs'))
  const failed = await command(['run', 'job.yaml', '--log', 'off'], { cwd: folder, input })
  t.equal(failed.code, 1)
  t.match(failed.stderr, /the transform failed at .*boom\.mjs:2: no such row/)
  const piped = await command(['run', '-', '--check'], { cwd: folder, input: job('./odd.mjs') })
  t.equal(piped.code, 0, piped.stderr)
  const unquoted = job('./odd.mjs', `checkpoint: { a: ${variable('X')} }`)
  const wrong = await command(['run', '-'], { cwd: folder, input: unquoted })
  t.equal(wrong.code, 2)
  t.match(wrong.stderr, /line 6, column \d+ \(.*\); put \$\{NAME\} in quotes: "\$\{NAME\}"/)
})

t.test('the schema knows options by name, in either spelling, and what must be a number', async (t) => {
  const job = (options: object, connector = 'splunk') => ({ source: '-', sink: { connector, options } })
  const needed = { url: 'https://x', token: 'x' }
  for (const [options, fits] of [
    [needed, true],
    [{ ...needed, batch_size: 5 }, true],
    [{ ...needed, batchSize: '5' }, true],
    [{ ...needed, remove_indexed_fields: 'true', indexed_fields: ['a', 'b'] }, true],
    [{ ...needed, dead_letter: 'x.ndjson' }, true],
    [{ ...needed, batch_size: 0 }, false],
    [{ ...needed, batch_size: 1.5 }, false],
    [{ ...needed, batchsize: 5 }, false],
    [{ ...needed, mode: 'rwa' }, false],
    [{ url: 'https://x' }, false],
  ] as const) {
    t.equal(valid(job(options)), fits, JSON.stringify(options))
  }
  t.ok(valid(job({ url: 'https://x', http_header_Authorization: 'x' }, 'rest')))
  t.ok(valid(job({ anything: 1 }, 'acme')), 'a connector of the user')
  t.notOk(valid({ ...job(needed), transform: [] }))
})

t.test('a connector of the user, added by a module of the job', async (t) => {
  const [index, kit] = ['index', 'kit'].map((door) => pathToFileURL(join(commandPath, `../${door}.js`)).href)
  const files = {
    'numbers.mjs': `import { Readable, Writable } from 'node:stream'
      import { register } from ${JSON.stringify(index)}
      import { declareOptions, option } from ${JSON.stringify(kit)}
      const declaration = declareOptions('numbers', { count: option.integer({ min: 1, required: true, doc: 'How many.' }) })
      const create = (options) => {
        const { count } = declaration.resolve(options)
        return Readable.from(Array.from({ length: count }, (_, n) => ({ n })))
      }
      const sink = { create: () => new Writable({ objectMode: true, write: (row, _, done) => done() }) }
      register('numbers', { readable: { create, declaration }, writable: sink })`,
  }
  const folder = t.testdir({
    ...files,
    'job.json': JSON.stringify({
      imports: ['./numbers.mjs'],
      source: { connector: 'numbers', options: { count: 3 } },
      sink: '-',
    }),
  })
  const run = await command(['run', 'job.json'], { cwd: folder })
  t.equal(run.stdout, '{"n":0}\n{"n":1}\n{"n":2}\n', run.stderr)
  const flags = ['copy', '--import', './numbers.mjs', '--from', 'numbers', '--to', '-']
  const copied = await command([...flags, '--count', '2'], { cwd: folder })
  t.equal(copied.stdout, '{"n":0}\n{"n":1}\n', copied.stderr)
  t.match(
    (await command([...flags, '--help'], { cwd: folder })).stdout,
    /--count <n>\n {6}How many\. Required\./,
  )
})

t.test('an error that nobody catches: its message alone, and an exit code', async (t) => {
  const folder = t.testdir({
    'late.mjs': `
      const secret = 'hunter2-hunter2'
      const error = new Error('late: \\x1b]0;owned\\x07', { cause: new Error(secret) })
      Object.assign(error, { config: { headers: { authorization: secret } }, request: { secret } })
      setTimeout(() => { throw error }, 10)`,
    'rejected.mjs': `
      const reason = Object.assign(new Error('nobody waits for it'), { password: 'hunter2-hunter2' })
      setTimeout(() => Promise.reject(reason), 10)`,
    'none.mjs': `setTimeout(() => Promise.reject({ password: 'hunter2-hunter2' }), 10)`,
  })
  for (const [file, said] of [
    ['late.mjs', /^cyber-connectors: late: \\x1b\]0;owned\\x07$/m],
    ['rejected.mjs', /^cyber-connectors: nobody waits for it$/m],
    ['none.mjs', /^cyber-connectors: /m],
  ] as const) {
    const running = new RunningCommand(['copy', '--import', `./${file}`, '--from', '-', '--to', '-'], {
      cwd: folder,
    })
    const { code, stdout, stderr } = await running.ended
    t.ok(code !== 0 && code !== null, `${file}: exit code ${code}`)
    t.match(stderr, said, file)
    t.notMatch(stdout + stderr, /hunter2/, file)
    t.notMatch(stderr, /\n\s+at /, 'no stack')
  }
})

t.test('a job tells of its retries while they go on', async (t) => {
  const folder = await jobFolder(t, {
    source: bounded,
    sink: { ...sink, options: { ...sink.options, initial_backoff: 0.01 } },
  })
  hec.fail({ status: 503, times: 2 })
  logAnalytics.fail({ match: '/query', status: 503, retryAfter: 0 })
  const running = new RunningCommand(['run', join(folder, 'job.json')], { env })
  const { code, stderr } = await running.ended
  t.equal(code, 0, stderr)
  t.match(lastLine(stderr, 'end'), { read: 100, delivered: 100 })
  t.ok((lastLine(stderr, 'end')?.['retries'] as number) >= 3)
})
