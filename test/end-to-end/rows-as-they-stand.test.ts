import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import t, { type Test } from 'tap'
import { FilesReadable } from '../../lib/connectors/files/files-readable.ts'
import { RestWritable } from '../../lib/connectors/rest/index.ts'
import { SentinelWritable } from '../../lib/connectors/sentinel/index.ts'
import { SplunkWritable } from '../../lib/connectors/splunk/index.ts'
import { serialize } from '../../lib/core/json.ts'
import { JsonRow } from '../../lib/core/json-row.ts'
import { startEmulators } from '../../lib/emulators/index.ts'

/** Lines that no parser gives back as they are. */
const lines = [
  '{"ts":"2026-12-01T00:00:00.123450Z","b":2230.0,"a":1e400,"host":"h1"}',
  '{"n":1152921504606846977,"n":2,"__proto__":{"x":1},"ts":1796083200.5,"host":"h2"}',
  '{"z" : [ 1.50 , {"é":"\\u00e9"} ],"ts":"2026-12-01T00:00:00Z","raw":{"c":0.10}}',
]

/** A server that keeps bodies as they came. */
async function recorder(t: Test): Promise<{ readonly url: string; readonly bodies: string[] }> {
  const bodies: string[] = []
  const server = createServer(async (request, response) => {
    let text = ''
    for await (const chunk of request.setEncoding('utf8')) text += chunk
    bodies.push(text)
    response.setHeader('content-type', 'application/json')
    response.end('{"text":"Success","code":0}')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, bodies }
}

function fileOf(t: Test, text: string): string {
  const path = join(t.testdir(), 'a.ndjson')
  writeFileSync(path, text)
  return path
}

const source = (path: string, more = {}) => new FilesReadable({ path, rows: 'json', ...more })

t.test('Splunk: events to the byte, with their own time and metadata', async (t) => {
  const { url, bodies } = await recorder(t)
  const path = fileOf(t, `${lines.join('\r\n')}\n`)
  const options = { url, token: 'token', source: 's', compression: 'none' as const }
  await pipeline(source(path), new SplunkWritable({ ...options, time_column: 'ts', host_column: 'host' }))
  const head = (time: string, host = '') =>
    `{"time":${time},"source":"s","sourcetype":"_json"${host},"event":`
  t.equal(
    bodies.join(''),
    [
      `${head('1796083200.12345', ',"host":"h1"')}${lines[0]}}`,
      `${head('1796083200.5', ',"host":"h2"')}${lines[1]}}`,
      `${head('1796083200')}${lines[2]}}`,
    ].join('\n'),
  )
  bodies.length = 0
  const more = { time_column: 'ts', single_event_column: 'raw' }
  await pipeline(source(fileOf(t, `${lines[2]}\n`)), new SplunkWritable({ ...options, ...more }))
  t.match(bodies.join(''), '"event":{"c":0.10}}')
  bodies.length = 0
  const fields = { indexed_fields: ['b'], remove_indexed_fields: true, time_column: 'ts' }
  await pipeline(source(fileOf(t, `${lines[0]}\n`)), new SplunkWritable({ ...options, ...fields }))
  t.match(bodies.join(''), '"fields":{"b":2230}}', 'a row that is changed is parsed')
  t.notMatch(bodies.join(''), '2230.0')
})

t.test('REST: an array and lines', async (t) => {
  const { url, bodies } = await recorder(t)
  const path = fileOf(t, `${lines.join('\n')}\n`)
  await pipeline(source(path), new RestWritable({ url, http_format: 'json', batch_size: 10 }))
  t.equal(bodies.pop(), `[${lines.join(',')}]`)
  await pipeline(source(path), new RestWritable({ url, http_format: 'ndjson', batch_size: 10 }))
  t.equal(bodies.pop(), `${lines.join('\n')}\n`)
  await pipeline(source(fileOf(t, '{"a":1.50}\n')), new RestWritable({ url, http_format: 'form-data' }))
  t.equal(bodies.pop(), 'a=1.5', 'by its members, if the body is no JSON')
  const pretty = JsonRow.of('{\n"a": 1.50\n}')
  const rest = new RestWritable({ url, http_format: 'ndjson' })
  rest.end(pretty)
  await once(rest, 'finish')
  t.equal(bodies.pop(), '{"a":1.5}\n', 'a line feed within a row would end a line')
})

t.test('Sentinel: the rows as they stand, or with other names', async (t) => {
  const dcr_id = 'dcr-00000000000000000000000000000001'
  const emulators = await startEmulators({
    ingestion: { rules: { [dcr_id]: { 'Custom-T_CL': ['a', 'id_orig_h'] } } },
  })
  t.teardown(() => emulators.close())
  const { entra, ingestion, ca } = emulators
  const { tenant_id, client_id, client_secret } = entra
  const path = fileOf(t, '{"a":1.0}\n{"a":2,"id.orig_h":"h"}\n')
  const target = { dce: ingestion.url, dcr_id, dcs: 'Custom-T_CL', ca, tenant_id, client_id, client_secret }
  const sink = new SentinelWritable({ ...target, authority_host: entra.url, column_names: 'azure' } as never)
  await pipeline(source(path), sink)
  t.match(ingestion.rows, [{ a: 1 }, { a: 2, id_orig_h: 'h' }])
})

t.test('error.rows and dead letters hold the text', async (t) => {
  const server = createServer((request, response) => {
    request.resume()
    response.statusCode = 400
    response.end('{"text":"Invalid data format","code":6,"invalid-event-number":0}')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const path = fileOf(t, `${lines[0]}\n`)
  const error = await pipeline(source(path), new SplunkWritable({ url, token: 'token' })).catch(
    (each) => each,
  )
  t.strictSame(
    error.rows.map((row: unknown) => serialize(row)),
    [lines[0]],
  )
  const letters: string[] = []
  const dead_letter = new Writable({
    objectMode: true,
    write(letter, _encoding, callback) {
      letters.push(serialize(letter))
      callback()
    },
  })
  await pipeline(source(path), new SplunkWritable({ url, token: 'token', dead_letter }))
  t.match(letters[0], `"row":${lines[0]}`)
})

t.test('a line that is no JSON object never reaches a batch', async (t) => {
  const path = fileOf(t, `{"n":1}\n{"n":01}\n[1]\n\n{"n":2} \n`)
  await t.rejects(source(path).toArray(), { code: 'ERR_RECORD', line: 2 })
  const rows = (await source(path, { mode: 'dropmalformed' }).toArray()) as unknown as JsonRow[]
  t.strictSame(
    rows.map((row) => [row instanceof JsonRow, row.text, row.value]),
    [
      [true, '{"n":1}', { n: 1 }],
      [true, '{"n":2} ', { n: 2 }],
    ],
  )
  t.throws(() => source(path, { schema: { n: 'long' } }), { message: /schema: needs rows "objects"/ })
  t.throws(() => source(path, { format: 'csv' }), { message: /rows: "json" is for format "ndjson" only/ })
})
