import { execFile, fork } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { inspect, promisify } from 'node:util'
import t from 'tap'
import { FilesStreamReadable } from '../../lib/connectors/files/files-stream-readable.ts'
import { KafkaReadable, KafkaStreamReadable, KafkaWritable } from '../../lib/connectors/kafka/index.ts'
import { SplunkWritable } from '../../lib/connectors/splunk/index.ts'
import { startEmulators } from '../../lib/emulators/index.ts'
import { streamingQuery } from '../../lib/streaming/streaming-query.ts'
import { command, RunningCommand, rowsOf } from '../fixtures/command.ts'
import { KafkaTopics } from '../fixtures/kafka-topics.ts'
import { kafkaMissing, plainUsers, startKafka } from '../services/kafka.ts'

t.test('without the client each stream says what to install, before it connects', async (t) => {
  const connections: unknown[] = []
  const server = createServer((socket) => connections.push(socket.destroy())).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const folder = t.testdir({
    'hooks.mjs': `export async function resolve(specifier, context, next) {
  if (specifier !== '@platformatic/kafka') return next(specifier, context)
  throw Object.assign(new Error(\`Cannot find package '\${specifier}'\`), { code: 'ERR_MODULE_NOT_FOUND' })
}
`,
    'program.mjs': `import { register } from 'node:module'
register('./hooks.mjs', import.meta.url)
const { KafkaReadable, KafkaStreamReadable, KafkaWritable } = await import(process.argv[2])
const where = { bootstrap_servers: '127.0.0.1:' + process.argv[3] }
const said = ({ code, message }) => console.log(code, message)
await new KafkaReadable({ ...where, subscribe: 'a' }).toArray().catch(said)
await new KafkaStreamReadable({ ...where, subscribe: 'a', group_id: 'g' }).toArray().catch(said)
const sink = new KafkaWritable({ ...where, topic: 'a' })
sink.on('error', said).end({ a: 1 })
`,
  })
  const bundle = pathToFileURL(fileURLToPath(new URL('../../dist/bundle/index.js', import.meta.url))).href
  const { port } = server.address() as AddressInfo
  const program = [join(folder, 'program.mjs'), bundle, String(port)]
  const { stdout } = await promisify(execFile)(process.execPath, program)
  const line = /^ERR_OPTION kafka: .*npm install @platformatic\/kafka@\^\d/
  t.match(stdout.trim().split('\n'), [line, line, line])
  t.strictSame(connections, [])
})

t.test('no password, key or token shows in a stream of Kafka or in its errors', async (t) => {
  const secret = 'pa55-word'
  const connection_string = `Endpoint=sb://127.0.0.1/;SharedAccessKeyName=all;SharedAccessKey=${secret};EntityPath=a`
  const ways = [
    { bootstrap_servers: '127.0.0.1:1', subscribe: 'a', username: 'alice', password: secret },
    { connection_string, bootstrap_servers: '127.0.0.1:1' },
  ]
  for (const way of ways) {
    const source = new KafkaReadable({ ...way, max_retries: 0 })
    t.notMatch(inspect(source, { depth: 20, showHidden: true }), secret)
    const error = await source.toArray().catch((error: unknown) => error)
    t.match(error, { code: 'ERR_DELIVERY' })
    t.notMatch(inspect(error, { depth: 20, showHidden: true }), secret)
  }
})

t.test('Kafka from end to end', { skip: kafkaMissing }, async (t) => {
  const kafka = await startKafka()
  t.teardown(() => kafka.stop())
  const broker = kafka.brokers[0]!
  const topics = new KafkaTopics(kafka)
  t.teardown(() => topics.close())
  const emulators = await startEmulators()
  t.teardown(() => emulators.close())
  const { hec, ingestion, entra, ca } = emulators
  const folder = t.testdir({ 'ca.pem': ca, 'rows.ndjson': '{"n":0}\n{"n":1}\n{"n":2.0}\n' })
  const env = { HEC_TOKEN: hec.token }
  const splunk = ['--to', 'splunk', '--url', hec.endpoint, '--token-env', 'HEC_TOKEN', '--to-ca', './ca.pem']

  await t.test('copy writes a file to a topic, and a topic to Splunk or a file', async (t) => {
    const topic = await topics.make(2)
    const to = ['--to', 'kafka', '--bootstrap-servers', kafka.bootstrap, '--topic', topic]
    t.match(await command(['copy', '--from', './rows.ndjson', ...to], { cwd: folder }), { code: 0 })
    const from = ['--from', 'kafka', '--bootstrap-servers', kafka.bootstrap, '--subscribe', topic]
    const copied = await command(['copy', ...from, '--to', '-'], { cwd: folder })
    t.equal(copied.code, 0, copied.stderr)
    t.strictSame(
      rowsOf(copied.stdout)
        .map(({ n }) => n)
        .sort(),
      [0, 1, 2],
    )
    hec.reset()
    const sent = await command(['copy', ...from, ...splunk], { cwd: folder, env })
    t.equal(sent.code, 0, sent.stderr)
    t.equal(hec.events.length, 3)
  })

  await t.test('--check tries both ends, and names a topic that is not there', async (t) => {
    const topic = await topics.make()
    const from = ['copy', '--check', '--from', 'kafka', '--bootstrap-servers', kafka.bootstrap, '--subscribe']
    const checked = await command([...from, topic, ...splunk], { cwd: folder, env })
    t.equal(checked.code, 0, checked.stderr)
    t.match(checked.stderr + checked.stdout, new RegExp(`1 partition of ${topic}`))
    const absent = await command([...from, 'absent', ...splunk], { cwd: folder, env })
    t.not(absent.code, 0)
    t.match(absent.stderr + absent.stdout, /absent/)
    const to = ['--to', 'kafka', '--bootstrap-servers', kafka.bootstrap, '--topic']
    const rows = ['copy', '--check', '--from', './rows.ndjson']
    t.match(await command([...rows, ...to, topic], { cwd: folder }), { code: 0 })
    t.match(await command([...rows, ...to, 'absent'], { cwd: folder }), { stdout: /absent/ })
    t.same(await new KafkaReadable({ bootstrap_servers: kafka.bootstrap, subscribe: topic }).toArray(), [])
  })

  await t.test('a job follows a group, and its page has the lag of each partition', async (t) => {
    const topic = await topics.make(2)
    await topics.produceNumbers(topic, 10)
    hec.reset()
    const job = {
      source: {
        connector: 'kafka',
        options: {
          bootstrap_servers: kafka.bootstrap,
          subscribe: topic,
          group_id: 'job',
          startingOffsets: 'earliest',
          poll_interval_seconds: 0.1,
        },
      },
      sink: {
        connector: 'splunk',
        options: { url: hec.endpoint, token: `$${'{HEC_TOKEN}'}`, ca: './ca.pem' },
      },
    }
    writeFileSync(join(folder, 'job.json'), JSON.stringify(job))
    const run = new RunningCommand(['run', 'job.json', '--log', 'json', '--listen', '0'], {
      cwd: folder,
      env,
    })
    t.teardown(() => run.child.kill('SIGKILL'))
    const { url } = (await run.progress(({ event }) => event === 'listening')) as unknown as { url: string }
    const ids = () => new Set(hec.events.map(({ event }) => (event as { n: number }).n)).size
    const gauge = (partition: number) =>
      new RegExp(
        `cyber_connectors_partition_lag_messages\\{connector="kafka",topic="${topic}",partition="${partition}"[^}]*\\} 0`,
      )
    let page = ''
    do page = await (await fetch(new URL('/metrics', url))).text()
    while (ids() < 10 || !gauge(0).test(page) || !gauge(1).test(page))
    t.match(page, /cyber_connectors_partition_lag_seconds\{connector="kafka"/)
    run.child.kill('SIGTERM')
    t.equal((await run.ended).code, 0)
    t.equal(hec.events.length, 10)
    const groups = await topics.admin.listGroups()
    t.equal(
      groups.get('job')?.state,
      'EMPTY',
      'it has left: the next one does not wait for its session to end',
    )
    // What the group has committed is not read again.
    writeFileSync(join(folder, 'job.json'), JSON.stringify({ ...job, trigger: 'available_now' }))
    const rest = await command(['run', 'job.json'], { cwd: folder, env })
    t.equal(rest.code, 0, rest.stderr)
    t.equal(hec.events.length, 10)
  })

  await t.test("the recipe: Azure Monitor's export in Event Hubs to Splunk", async (t) => {
    await topics.make(2, { name: 'insights' })
    const document = readFileSync(
      new URL('../../fixtures/event-hubs/export-security-event.json', import.meta.url),
      'utf8',
    )
    const records = JSON.parse(document).records.length
    await topics.produce('insights', [
      { value: document, partition: 0 },
      { value: document, partition: 1 },
    ])
    hec.reset()
    const query = streamingQuery({
      source: new KafkaStreamReadable({
        connection_string: plainUsers.$ConnectionString,
        // The host of the string has no broker at the port of Event Hubs here.
        bootstrap_servers: broker.saslTls,
        ca: kafka.ca,
        group_id: 'splunk',
        startingOffsets: 'earliest',
        records: true,
      }),
      sink: () =>
        new SplunkWritable({
          url: hec.endpoint,
          token: hec.token,
          ca,
          sourcetype: 'azure:monitor',
          time_column: 'TimeGenerated',
        }),
      trigger: 'available_now',
    })
    await query.done
    t.equal(hec.events.length, 2 * records)
    t.match(hec.events[0], { sourcetype: 'azure:monitor' })
  })

  await t.test('the recipe: Zeek into Kafka, Kafka into Sentinel on three machines', async (t) => {
    const topic = await topics.make(6)
    const logs = t.testdir({ zeek: {} })
    const total = 300
    const lines = Array.from({ length: total }, (_, n) =>
      JSON.stringify({ ts: 1_777_000_000 + n, uid: `C${n}`, 'id.orig_h': `10.0.0.${n % 200}` }),
    )
    writeFileSync(join(logs, 'zeek/conn.log'), `${lines.join('\n')}\n`)
    const sensor = streamingQuery({
      source: new FilesStreamReadable({ path: join(logs, 'zeek/*.log'), available_now: true }),
      sink: () =>
        new KafkaWritable({
          bootstrap_servers: kafka.bootstrap,
          topic,
          key_column: 'uid',
          compression: 'gzip',
        }),
      checkpointLocation: join(logs, 'offsets'),
      trigger: 'available_now',
    })
    await sensor.done
    const options = {
      source: {
        bootstrap_servers: kafka.bootstrap,
        subscribe: topic,
        group_id: 'sentinel',
        startingOffsets: 'earliest',
        poll_interval_seconds: 0.1,
        maxOffsetsPerTrigger: 25,
      },
      sink: {
        dce: ingestion.url,
        dcr_id: 'dcr-0123456789abcdef0123456789abcdef',
        dcs: 'Custom-Zeek_CL',
        column_names: 'azure',
        tenant_id: entra.tenant_id,
        client_id: entra.client_id,
        client_secret: entra.client_secret,
        authority_host: entra.url,
        ca,
      },
    }
    const program = fileURLToPath(new URL('../fixtures/kafka-sentinel.mjs', import.meta.url))
    const start = () => fork(program, [JSON.stringify(options)])
    const machines = [start(), start(), start()]
    t.teardown(() => machines.map((machine) => machine.kill('SIGKILL')))
    const found = () => new Set(ingestion.rows.map((row) => (row as { uid: string }).uid)).size
    const progress = () => Promise.race(machines.map((machine) => once(machine, 'message')))
    while (found() < total) await progress()
    const ended = machines.map((machine) => once(machine, 'exit'))
    for (const machine of machines) machine.kill('SIGTERM')
    t.strictSame((await Promise.all(ended)).flat(), [0, null, 0, null, 0, null])
    t.equal(found(), total)
    t.match(ingestion.rows[0], { id_orig_h: /^10\./ })
  })
})
