import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Ajv } from 'ajv'
import { errorCodes, sentinelTemplate } from 'cyber-connectors'
import { startEmulators } from 'cyber-connectors/emulators'
import t, { type Test } from 'tap'
import ts from 'typescript'
import { scaled } from './fixtures/scale.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const readme = readFileSync(join(root, 'README.md'), 'utf8')
/** README first, then the guides in lib. */
const guides = [
  readme,
  ...readdirSync(join(root, 'lib'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('README.md'))
    .sort()
    .map((file) => readFileSync(join(root, 'lib', file), 'utf8')),
].join('\n')
const run = promisify(execFile)

/** The blocks of one language, in order, without those that repeat a file. */
function blocks(language: string): string[] {
  const own = guides.replaceAll(/<!-- example: [\s\S]*?<!-- end of example -->/g, '')
  return [...own.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)]
    .filter(([, name]) => name === language)
    .map(([, , text]) => text!)
}

const programs = blocks('ts')

/** The compiler takes seconds. */
const skip = scaled<string | false>('in npm run test:soak', false)

t.test('each program in README and the guides compiles', { skip }, async (t) => {
  // Inside the project, so that the package finds itself by its name as a user finds it.
  const folder = t.testdir(Object.fromEntries(programs.map((text, index) => [`program-${index}.mts`, text])))
  const program = ts.createProgram(
    programs.map((_, index) => join(folder, `program-${index}.mts`)),
    {
      target: ts.ScriptTarget.ES2023,
      // Web and disposal types are the user's own choice; these are what @types/node leaves out.
      lib: ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts'],
      module: ts.ModuleKind.NodeNext,
      moduleResolution: ts.ModuleResolutionKind.NodeNext,
      types: ['node'],
      typeRoots: [join(root, 'node_modules/@types')],
      strict: true,
      skipLibCheck: true,
      noEmit: true,
    },
  )
  const problems = ts.getPreEmitDiagnostics(program).map(({ file, start, messageText }) => {
    const line = file && start !== undefined ? file.getLineAndCharacterOfPosition(start).line + 1 : 0
    const text = ts.flattenDiagnosticMessageText(messageText, '\n')
    return `${file?.fileName.replace(folder, '') ?? ''}:${line} ${text}`
  })
  t.same(problems, [])
  t.ok(programs.length > 8)
})

/** Runs a program of README, found by a text in it, between two pieces of ours. */
async function runProgram(t: Test, mark: string, after = '', before = ''): Promise<string> {
  const source = programs.find((text) => text.includes(mark))
  if (source === undefined) throw new Error(`no program with ${mark}`)
  const { outputText } = ts.transpileModule(`${before}\n${source}\n${after}`, {
    compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext },
  })
  const folder = t.testdir({})
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'program.mjs'), outputText)
  const { stdout } = await run(process.execPath, [join(folder, 'program.mjs')], { cwd: folder })
  return stdout
}

/** Sends three rows, one of which is refused, after a 503. */
const traffic = `
  const { SplunkWritable, DeadLetterFile } = await import('cyber-connectors')
  const { HecEmulator } = await import('cyber-connectors/emulators')
  const hec = await new HecEmulator().start()
  hec.fail({ status: 503, retryAfter: 0 })
  const sink = new SplunkWritable({ url: hec.endpoint, token: hec.token, dead_letter: new DeadLetterFile('refused.ndjson') })
  sink.write({ a: 1 })
  sink.write({ b: () => {} })
  sink.end({ c: 3 })
  await (await import('node:stream/promises')).finished(sink)
  await hec.close()
`

t.test('the pino recipe logs batches and retries', async (t) => {
  const lines = (await runProgram(t, 'pino()', traffic)).trim().split('\n')
  const logged = lines.map((line) => JSON.parse(line) as Record<string, unknown>)
  t.match(logged, [
    { level: 40, msg: 'trying again', connector: 'splunk', status: 503 },
    { level: 30, msg: 'delivered', connector: 'splunk', rows: 2, status: 200 },
  ])
})

t.test('the OpenTelemetry recipe counts rows, retries and refusals', async (t) => {
  const before = `
    import { metrics as api } from '@opentelemetry/api'
    import { AggregationTemporality, InMemoryMetricExporter, MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics'
    const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
    const provider = new MeterProvider({ readers: [new PeriodicExportingMetricReader({ exporter })] })
    api.setGlobalMeterProvider(provider)`
  const after = `${traffic}
    await provider.forceFlush()
    const points = exporter.getMetrics().at(-1).scopeMetrics.flatMap(({ metrics }) => metrics)
    console.log(JSON.stringify(points.map(({ descriptor, dataPoints }) => [descriptor.name, dataPoints[0].value.count ?? dataPoints[0].value])))
    await provider.shutdown()`
  const sums = JSON.parse(await runProgram(t, 'metrics.getMeter', after, before)) as [string, number][]
  t.same(Object.fromEntries(sums), {
    'connector.rows.delivered': 2,
    'connector.rows.refused': 1,
    'connector.retries': 1,
    'connector.batch.duration': 1,
  })
})

t.test('the emulator program runs', async (t) => {
  t.equal((await runProgram(t, 'startEmulators')).trim(), '2 events, of which 1 came twice')
})

t.test('the HTTP handler answers only after delivery, and says when there is none', async (t) => {
  const { hec, ca, ...emulators } = await startEmulators()
  t.teardown(() => emulators.close())
  const server = createServer().listen(0)
  const { port } = server.address() as AddressInfo
  server.close()
  const source = programs.find((text) => text.includes('createServer'))!
  const { outputText } = ts.transpileModule(
    `${source.trim()}.once('listening', () => process.send('listening'))`,
    {
      compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext },
    },
  )
  const folder = t.testdir({ 'program.mjs': outputText })
  const env = { ...process.env, PORT: `${port}`, HEC_URL: hec.endpoint, SPLUNK_TOKEN: hec.token, HEC_CA: ca }
  const child = spawn(process.execPath, [join(folder, 'program.mjs')], {
    env,
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  await once(child, 'message')
  const post = async (id: number): Promise<number> => {
    const body = JSON.stringify({ id })
    return (await fetch(`http://127.0.0.1:${port}`, { method: 'POST', body })).status
  }
  t.equal(await post(0), 204)
  t.match(hec.events, [{ event: { id: 0 } }])
  hec.fail(...Array.from({ length: 20 }, () => ({ status: 403, body: { text: 'Token disabled', code: 1 } })))
  t.equal(await post(1), 503)
  t.equal(await post(2), 503)
  t.equal(hec.events.length, 1)
})

t.test('the job file fits its schema', async (t) => {
  const schema = JSON.parse(readFileSync(join(root, 'dist/job.schema.json'), 'utf8'))
  const valid = new Ajv({
    strict: false,
    formats: { uuid: true, duration: true, 'date-time': true },
  }).compile(schema)
  for (const text of blocks('json')) t.ok(valid(JSON.parse(text)), JSON.stringify(valid.errors))
})

t.test('each command line runs as written, against emulators in place of the services', async (t) => {
  const sample = readFileSync(join(root, 'fixtures/sentinel/zeek-dns.ndjson'), 'utf8')
  const records = sample
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  const { columns } = await sentinelTemplate(records, { table: 'ZeekDns_CL', time_column: 'ts' })
  const declared = { 'Custom-ZeekDns_CL': columns.map(({ name }) => name) }
  const emulators = await startEmulators({ ingestion: { rules: { [`dcr-${'0'.repeat(32)}`]: declared } } })
  t.teardown(() => emulators.close())
  const { entra, logAnalytics, ingestion, hec } = emulators
  logAnalytics.addTable('SecurityAlert', [
    { name: 'TimeGenerated', type: 'datetime' },
    { name: 'AlertName', type: 'string' },
  ])
  logAnalytics.append('SecurityAlert', [[new Date(Date.now() - 60_000), 'Kerberoasting']])
  const signIn = `--tenant-id ${entra.tenant_id} --client-id ${entra.client_id} --client-secret-env SECRET --authority-host ${entra.url} --ca ${emulators.caFile}`
  const bin = `${process.execPath} ${join(root, 'dist/bundle/cli.js')}`
  const adapt = (line: string) =>
    line
      .replace('npx cyber-connectors', bin)
      .replace('--azure-default-credential', signIn)
      .replace(/--workspace-id/, `--endpoint ${logAnalytics.url} --workspace-id`)
      .replace(/https:\/\/my-dce\S+/, ingestion.url)
      .replace('https://splunk.example:8088', `${hec.endpoint} --ca ${emulators.caFile}`)
      .replace('jq .AlertName', 'cat')
  const folder = t.testdir({
    'dns.log': sample,
    'events.ndjson': '{"a":9223372036854775807}\n{"b":2}\n',
  })
  await run('gzip', ['dns.log'], { cwd: folder })
  const env = { ...process.env, SECRET: entra.client_secret, SPLUNK_TOKEN: hec.token }
  const sh = async (start: string) => {
    const line = blocks('sh')
      .flatMap((text) => text.split('\n'))
      .find((text) => text.includes(start))
    if (line === undefined) throw new Error(`no command with ${start}`)
    return (await run('sh', ['-c', adapt(line)], { cwd: folder, env })).stdout
  }

  t.match(await sh('--to -'), /"AlertName":"Kerberoasting"/)
  await sh('--from - --to splunk')
  t.same(
    hec.events.map(({ event }) => event),
    [{ a: 9223372036854775807n }, { b: 2 }],
  )
  await sh('zcat dns.log.gz')
  t.match(ingestion.rows, [
    { id_orig_h: '10.1.2.100', id_resp_h: '10.1.0.53', query: 'intranet.example.org' },
    { id_orig_h: '10.1.2.101', query: 'bücher.example' },
  ])
  t.same(ingestion.dropped, {}, 'the addresses are not dropped')
})

t.test('the job of README runs, with its transform, and is stopped', async (t) => {
  const emulators = await startEmulators({ hec: { ack: true } })
  t.teardown(() => emulators.close())
  const { entra, logAnalytics, hec, caFile } = emulators
  const columns = ['TimeGenerated', 'EventID', 'Account'] as const
  logAnalytics.addTable(
    'SecurityEvent',
    columns.map((name, index) => ({ name, type: (['datetime', 'int', 'string'] as const)[index]! })),
    [[new Date(Date.now() - 3_600_000), 4625, 'ada']],
  )
  const job = JSON.parse(blocks('json')[0]!)
  const { source, sink } = job
  const elsewhere = { endpoint: logAnalytics.url, authority_host: entra.url, ca: caFile }
  source.options = { ...source.options, ...elsewhere }
  sink.options = { ...sink.options, url: hec.endpoint, ca: caFile }
  const folder = t.testdir({ 'job.json': JSON.stringify(job), 'mask.mjs': blocks('js')[0]! })
  const env = {
    ...process.env,
    AZURE_TENANT_ID: entra.tenant_id,
    AZURE_CLIENT_ID: entra.client_id,
    AZURE_CLIENT_SECRET: entra.client_secret,
    SPLUNK_TOKEN: hec.token,
  }
  const bin = join(root, 'dist/bundle/cli.js')
  const { stdout } = await run(process.execPath, [bin, 'run', 'job.json', '--check'], { cwd: folder, env })
  t.match(stdout, /ok {4}options.*\nok {4}source.*\nok {4}checkpoint.*\nok {4}sink/)
  const child = spawn(process.execPath, [bin, 'run', 'job.json'], { cwd: folder, env, stdio: 'ignore' })
  t.teardown(() => child.kill('SIGKILL'))
  while (hec.events.length === 0) await once(hec, 'response')
  child.kill('SIGTERM')
  t.same(await once(child, 'exit'), [0, null])
  t.match(hec.events, [{ event: { EventID: 4625 } }])
  t.notOk('Account' in (hec.events[0]!.event as object))
})

t.test('every error code is in the table of README, and every code there exists', async (t) => {
  const documented = [...guides.matchAll(/^\| `(ERR_\w+)` \|/gm)].map(([, code]) => code)
  t.same(documented.sort(), Object.keys(errorCodes).sort())
})
