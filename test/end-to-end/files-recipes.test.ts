import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { FilesStreamReadable } from '../../lib/connectors/files/files-stream-readable.ts'
import { SentinelWritable } from '../../lib/connectors/sentinel/index.ts'
import { SplunkWritable } from '../../lib/connectors/splunk/index.ts'
import { startEmulators } from '../../lib/emulators/index.ts'
import { streamingQuery } from '../../lib/streaming/streaming-query.ts'
import { startHec } from '../fixtures/splunk-trial.ts'

const program = fileURLToPath(new URL('../fixtures/files-query.mjs', import.meta.url))

/** Zeek's connections, a file each hour. */
function zeek(folder: string, hours: number, rows: number): number {
  mkdirSync(folder, { recursive: true })
  for (let hour = 0; hour < hours; hour++) {
    const lines = Array.from({ length: rows }, (_, row) =>
      JSON.stringify({
        _path: 'conn',
        ts: new Date(Date.UTC(2026, 4, 1, hour, 0, 0, row)).toISOString(),
        uid: `C${hour}-${row}`,
        'id.orig_h': '10.47.1.100',
        'id.resp_p': 53,
      }),
    )
    writeFileSync(join(folder, `conn.${hour}.log`), `${lines.join('\n')}\n`)
  }
  return hours * rows
}

function start(options: object): ChildProcess {
  return spawn(process.execPath, [program, JSON.stringify(options)], { stdio: ['ignore', 'pipe', 'inherit'] })
}

t.test("a folder of Zeek's logs to Splunk, killed and resumed", async (t) => {
  const hec = await startHec(t)
  const folder = t.testdir()
  const total = zeek(join(folder, 'zeek'), 6, 50)
  const options = {
    source: { path: join(folder, 'zeek/*.log'), available_now: true, maxFilesPerTrigger: 1 },
    sink: {
      url: hec.url,
      token: hec.token,
      source: 'zeek',
      index: 'main',
      host: 'sensor-1',
      time_column: 'ts',
    },
    checkpointLocation: join(folder, 'offsets'),
  }
  const first = start(options)
  // Killed behind its second slice, with more to come.
  let slices = 0
  for await (const _ of createInterface({ input: first.stdout! })) if (++slices === 2) break
  first.kill('SIGKILL')
  await once(first, 'exit')
  const second = start(options)
  second.stdout!.resume()
  t.equal((await once(second, 'exit'))[0], 0)
  const uids = hec.events.map(({ event }) => (event as { uid: string }).uid)
  t.equal(new Set(uids).size, total, 'each row at least once')
  for (const row of [0, 49])
    t.equal(uids.filter((uid) => uid === `C0-${row}`).length, 1, 'what was committed only once')
  t.match(hec.events[0], { source: 'zeek', index: 'main', host: 'sensor-1' })
  const before = hec.events.length
  const third = start(options)
  third.stdout!.resume()
  await once(third, 'exit')
  t.equal(hec.events.length, before, 'nothing new')
})

t.test("a folder of Zeek's logs to Sentinel, stopped and resumed", async (t) => {
  await using emulators = await startEmulators()
  const { ingestion, entra, ca } = emulators
  const folder = t.testdir()
  const total = zeek(join(folder, 'zeek'), 3, 40)
  const query = (stopsEarly: boolean) =>
    streamingQuery({
      source: new FilesStreamReadable({
        path: join(folder, 'zeek'),
        available_now: true,
        maxFilesPerTrigger: 1,
      }),
      sink: () =>
        new SentinelWritable({
          dce: ingestion.url,
          dcr_id: 'dcr-0123456789abcdef0123456789abcdef',
          dcs: 'Custom-Zeek_CL',
          tenant_id: entra.tenant_id,
          client_id: entra.client_id,
          client_secret: entra.client_secret,
          authority_host: entra.url,
          ca,
        }),
      checkpointLocation: join(folder, 'offsets'),
      trigger: stopsEarly ? 'once' : 'available_now',
    })
  await query(true).done
  t.equal(ingestion.rows.length, 40)
  await query(false).done
  const uids = ingestion.rows.map((row) => (row as { uid: string }).uid)
  t.equal(uids.length, total)
  t.equal(new Set(uids).size, total)
})

/** Waits until the collector has so many events. */
async function untilReceived(
  hec: { events: readonly unknown[] },
  count: number,
  query: NodeJS.EventEmitter,
): Promise<void> {
  while (hec.events.length < count) await once(query, 'progress')
}

t.test('a log of plain lines, followed into Splunk raw over a rotation', async (t: Test) => {
  const hec = await startHec(t)
  const folder = t.testdir({ 'auth.log': '' })
  const log = join(folder, 'auth.log')
  const line = (n: number) => `<34>Oct 11 22:14:${String(n).padStart(2, '0')} host su: 'su root' failed\n`
  const query = streamingQuery({
    source: new FilesStreamReadable({ path: `${log}*`, format: 'text', poll_interval_seconds: 0.05 }),
    sink: () =>
      new SplunkWritable({
        url: hec.url,
        token: hec.token,
        mode: 'raw',
        single_event_column: 'value',
        sourcetype: 'linux_secure',
      }),
    checkpointLocation: join(folder, 'offsets'),
  })
  appendFileSync(log, line(0) + line(1))
  await untilReceived(hec, 2, query)
  appendFileSync(log, line(2))
  renameSync(log, `${log}.1`)
  appendFileSync(log, line(3))
  await untilReceived(hec, 4, query)
  await query.stop()
  const events = hec.events.map(({ event }) => event).sort()
  t.strictSame(
    events,
    [0, 1, 2, 3].map((n) => line(n).trim()),
  )
  t.match(readFileSync(`${log}.1`, 'utf8'), line(2))
})
