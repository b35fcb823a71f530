import { createReadStream } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { readNdjson } from '../../../lib/cli/ndjson.ts'
import {
  type SentinelOptions,
  SentinelWritable,
  type TimeReplacedEvent,
  type UndeclaredEvent,
} from '../../../lib/connectors/sentinel/index.ts'
import { sentinelTemplate } from '../../../lib/connectors/sentinel/template.ts'
import { JsonRow } from '../../../lib/core/json-row.ts'
import { type RecordedRequest, startEmulators } from '../../../lib/emulators/index.ts'
import { deliver, LetterBox } from '../../fixtures/sink-trial.ts'

const dcr_id = 'dcr-00000000000000000000000000000001'
const zeek = fileURLToPath(new URL('../../../fixtures/sentinel/zeek-dns.ndjson', import.meta.url))

/** A rule whose stream declares these columns. */
async function rule(t: Test, columns: readonly string[]) {
  const emulators = await startEmulators({ ingestion: { rules: { [dcr_id]: { 'Custom-T_CL': columns } } } })
  t.teardown(() => emulators.close())
  const { entra, ingestion, ca } = emulators
  const { tenant_id, client_id, client_secret } = entra
  const principal = { tenant_id, client_id, client_secret, authority_host: entra.url }
  const sink = (more: Partial<SentinelOptions> = {}) => {
    const made = new SentinelWritable({
      dce: ingestion.url,
      dcr_id,
      dcs: 'Custom-T_CL',
      ca,
      ...principal,
      ...more,
    } as never)
    const undeclared: UndeclaredEvent[] = []
    const times: TimeReplacedEvent[] = []
    made.on('undeclared', (event: UndeclaredEvent) => undeclared.push(event))
    made.on('time_replaced', (event: TimeReplacedEvent) => times.push(event))
    return { made, undeclared, times }
  }
  return { ingestion, sink }
}

t.test(
  'Zeek rows under their own names: the service drops the addresses, and the sink says so',
  async (t) => {
    const { columns } = await sentinelTemplate(readNdjson(createReadStream(zeek)), { table: 'T_CL' })
    const { ingestion, sink } = await rule(
      t,
      columns.map(({ name }) => name),
    )
    const { made, undeclared } = sink()
    const warnings: string[] = []
    const onWarning = ({ message }: Error) => warnings.push(message)
    process.on('warning', onWarning)
    t.teardown(() => process.off('warning', onWarning))
    t.equal(await deliver(readNdjson(createReadStream(zeek)), made), undefined)
    t.same(
      undeclared.map(({ column }) => column),
      ['_path', '_write_ts', 'id.orig_h', 'id.orig_p', 'id.resp_h', 'id.resp_p'],
      'each name once, for two rows',
    )
    t.match(ingestion.dropped, { 'id.orig_h': 2, _path: 2 })
    t.notOk('id_orig_h' in ingestion.rows[0]!)
    await new Promise(setImmediate)
    t.match(
      warnings.find((text) => text.includes('id.orig_h')),
      /the service drops the column "id\.orig_h": a name is/,
    )
  },
)

t.test("with column_names: 'azure' all of a Zeek row arrives", async (t) => {
  const { columns } = await sentinelTemplate(readNdjson(createReadStream(zeek)), { table: 'T_CL' })
  const { ingestion, sink } = await rule(
    t,
    columns.map(({ name }) => name),
  )
  const { made, undeclared } = sink({ column_names: 'azure' })
  t.equal(await deliver(readNdjson(createReadStream(zeek)), made), undefined)
  t.same([undeclared, ingestion.dropped], [[], {}])
  t.match(ingestion.rows, [
    { id_orig_h: '10.1.2.100', id_resp_h: '10.1.0.53', path: 'dns', write_ts: '2026-03-02T08:15:20.866586Z' },
    { id_orig_h: '10.1.2.101', id_resp_h: '10.1.0.53', query: 'bücher.example' },
  ])
})

t.test('two columns that become one are an error by name', async (t) => {
  const { sink } = await rule(t, ['a_b'])
  const letters = new LetterBox()
  const { made } = sink({ column_names: 'azure', dead_letter: letters })
  t.equal(await deliver([{ 'a.b': 1 }, { a_b: 2 }, { 'a.b': 3 }], made), undefined)
  t.match(letters.letters, [{ row: { a_b: 2 }, reason: { text: /"a\.b" and "a_b" both become a_b/ } }])
})

t.test('with columns or a template given, an undeclared column is a refused row, or a warning', async (t) => {
  const { ingestion, sink } = await rule(t, ['a'])
  const rows = [{ a: 1 }, { a: 2, b: 1 }, { a: 3 }, { a: 4, b: 2 }]
  const letters = new LetterBox()
  t.equal(await deliver(rows, sink({ columns: ['a'], dead_letter: letters }).made), undefined)
  t.same(ingestion.rows, [{ a: 1 }, { a: 3 }])
  t.match(letters.letters, [
    { row: { b: 1 }, reason: { text: /drops the column "b": the stream does not declare/ } },
    {},
  ])
  ingestion.reset()
  const warned = sink({ columns: 'a', undeclared: 'warn' })
  t.equal(await deliver(rows, warned.made), undefined)
  t.match(warned.undeclared, [{ column: 'b', text: 'the stream does not declare it' }])
  t.same([ingestion.received, ingestion.dropped], [4, { b: 2 }])

  const { template } = await sentinelTemplate([{ a: 1 }], { table: 'T_CL' })
  const path = `${t.testdir()}/sentinel.json`
  await writeFile(path, JSON.stringify(template))
  t.match(await deliver([{ b: 1 }], sink({ template: path }).made), { code: 'ERR_ROW' })
  t.throws(() => sink({ template: `${path}.none` }), {
    code: 'ERR_OPTION',
    message: /template: can't read .* \(ENOENT\)/,
  })
  t.throws(() => sink({ undeclared: 'warn' }), { message: /undeclared: needs columns or template/ })
  t.throws(() => sink({ columns: 'a', template: path }), {
    message: /columns and template exclude each other/,
  })
})

t.test('times that the service replaces are reported once, with the count at the end', async (t) => {
  const { sink } = await rule(t, ['TimeGenerated'])
  const { made, times } = sink()
  const day = 86_400_000
  const rows = [0, -1.9, -2.1, 0.9, 1.1, -400].map((days) => ({
    TimeGenerated: new Date(Date.now() + days * day),
  }))
  t.equal(
    await deliver([...rows, { TimeGenerated: 'soon' }, {}, { TimeGenerated: '2020-01-01 00:00:00' }], made),
    undefined,
  )
  t.match(times, [
    { connector: 'ms-sentinel', rows: 1, time: rows[2]!.TimeGenerated.toISOString() },
    { rows: 4, time: '2020-01-01T00:00:00.000Z', text: /4 rows have such a time/ },
  ])
})

t.test('rows that are kept as text are looked at, renamed and counted like others', async (t) => {
  const { ingestion, sink } = await rule(t, ['TimeGenerated', 'a_b'])
  const texts = [
    '{"TimeGenerated":"2020-01-01T00:00:00Z","a.b":1.0}',
    '{"TimeGenerated":"2020-01-01T00:00:00Z","a\\u002eb":2}',
  ]
  const plain = sink()
  t.equal(
    await deliver(
      texts.map((text) => JsonRow.of(text)),
      plain.made,
    ),
    undefined,
  )
  t.match(plain.undeclared, [{ column: 'a.b' }])
  t.match(ingestion.requests.at(-1)?.body.toString(), '"a.b":1.0')
  const renamed = sink({ column_names: 'azure' })
  t.equal(
    await deliver(
      texts.map((text) => JsonRow.of(text)),
      renamed.made,
    ),
    undefined,
  )
  t.match(renamed.times, [{ rows: 1 }, { rows: 2 }])
  t.match(ingestion.rows.slice(-2), [{ a_b: 1 }, { a_b: 2 }])
  t.match(ingestion.requests.at(-1)?.body.toString(), '"a_b":1.0', 'a number stays as it was written')
})

/** Milliseconds between the first and the last time of a request's rows. */
function spanOf({ body }: RecordedRequest): number {
  const rows = JSON.parse(body.toString()) as { TimeGenerated?: string }[]
  const times = rows.flatMap(({ TimeGenerated }) => TimeGenerated === undefined ? [] : Date.parse(TimeGenerated)) // biome-ignore format: a line
  return times.length === 0 ? 0 : Math.max(...times) - Math.min(...times)
}

t.test('a table of the plan Auxiliary refuses a call of more than 30 minutes', async (t) => {
  const minute = 60_000
  const code = 'RecordsTimeRangeIsMoreThan30Minutes'
  const refusal = { status: 400, body: { error: { code, message: 'Time range too long.' } } }
  const { ingestion, sink } = await rule(t, ['id', 'TimeGenerated'])
  const auxiliary = () =>
    ingestion.fail({ ...refusal, times: Infinity, match: (request) => spanOf(request) > 30 * minute })
  // Not in order, as Dates and as text, with and without a time.
  const now = Date.parse('2026-01-01T12:00:00Z')
  const rows = Array.from({ length: 60 }, (_, id) => {
    const time = new Date(now - ((id * 37) % 60) * 4 * minute)
    return id % 10 === 9 ? { id } : { id, TimeGenerated: id % 2 ? time : time.toISOString() }
  })
  const ids = (given: readonly object[]) => given.map((row) => (row as { id: number }).id).sort((a, b) => a - b) // biome-ignore format: a line

  await t.test('batch_span_seconds keeps calls within it', async (t) => {
    auxiliary()
    const before = ingestion.count
    const { made } = sink({ batch_size: 1000, batch_span_seconds: 1800 })
    const texts = rows.map((row, id) => (id % 3 ? row : JsonRow.of(JSON.stringify(row))))
    t.equal(await deliver(texts, made), undefined)
    t.same(ids(ingestion.rows), ids(rows))
    const requests = ingestion.requests.slice(before)
    t.ok(requests.every((request) => spanOf(request) < 30 * minute))
    t.ok(requests.length <= 10, `236 minutes and the rows without a time: ${requests.length} requests`)
    t.equal(made.stats.requests, requests.length)
    t.equal(made.stats.rejected, 0)
  })

  await t.test('without it they go in parts, and a warning says how to do better', async (t) => {
    ingestion.reset()
    auxiliary()
    const warnings: string[] = []
    const note = ({ message }: Error) => message.includes('30 minutes') && warnings.push(message)
    process.on('warning', note)
    t.teardown(() => process.off('warning', note))
    const dead_letter = new LetterBox()
    t.equal(await deliver(rows, sink({ batch_size: 1000, dead_letter }).made), undefined)
    t.same(ids(ingestion.rows), ids(rows), 'each once')
    t.same(dead_letter.letters, [])
    t.equal(warnings.length, 1)
    t.match(warnings[0], /Time range too long\. \(batch_span_seconds: 1800 keeps/)
  })

  await t.test('a row that is refused for it all the same says so in the dead letter', async (t) => {
    ingestion.reset()
    ingestion.fail({ ...refusal, times: Infinity })
    const dead_letter = new LetterBox()
    t.equal(await deliver([{ id: 0 }], sink({ dead_letter }).made), undefined)
    t.match(dead_letter.letters, [{ reason: { status: 400, code, text: /batch_span_seconds: 1800/ } }])
    t.match(await deliver([{ id: 0 }], sink().made), { code: 'ERR_REJECTED', message: /batch_span_seconds/ })
  })
})
