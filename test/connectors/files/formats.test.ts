import { appendFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { FilesReadable } from '../../../lib/connectors/files/files-readable.ts'
import type { FilesReadableOptions } from '../../../lib/connectors/files/options.ts'
import { count, type Row, Trial } from '../../fixtures/files-trial.ts'

const zeek = (fields: string, types: string) =>
  '#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tconn\n' +
  `#open\t2026-12-01-00-00-00\n#fields\t${fields}\n#types\t${types}\n`

async function read(path: string, options: Partial<FilesReadableOptions>): Promise<Row[]> {
  return (await new FilesReadable({ path, ...options } as FilesReadableOptions & {
    schema?: undefined
  }).toArray()) as Row[]
}

t.test("Zeek's own format", async (t) => {
  const text =
    zeek(
      'ts\tuid\tid.orig_h\tid.orig_p\tduration\torig_bytes\tlocal\ttags\tanswers\tagent',
      'time\tstring\taddr\tport\tinterval\tcount\tbool\tset[string]\tvector[interval]\tstring',
    ) +
    '1591367999.305988\tCMdzit1AMNsmfAIiQc\t192.168.4.76\t36844\t0.066852\t18446744073709551615\tT\t(empty)\t1.0,2.5\tcurl\\x09\\xc3\\xa4\n' +
    '1591367999.430166\tCuKFds250kxFgkhh8f\tfe80::1\t53\t-\t-\tF\ta,b\t-\t(empty)\r\n' +
    '#close\t2026-12-01-01-00-00\n'
  const folder = t.testdir({ 'conn.log': text })
  t.strictSame(await read(join(folder, 'conn.log'), { format: 'zeek' }), [
    {
      ts: 1591367999.305988,
      uid: 'CMdzit1AMNsmfAIiQc',
      'id.orig_h': '192.168.4.76',
      'id.orig_p': 36844,
      duration: 0.066852,
      orig_bytes: 18446744073709551615n,
      local: true,
      tags: [],
      answers: [1, 2.5],
      agent: 'curl\tä',
    },
    {
      ts: 1591367999.430166,
      uid: 'CuKFds250kxFgkhh8f',
      'id.orig_h': 'fe80::1',
      'id.orig_p': 53,
      duration: null,
      orig_bytes: null,
      local: false,
      tags: ['a', 'b'],
      answers: null,
      agent: '',
    },
  ])
  await t.test(
    'a log that is followed: its header survives a restart, and another one counts from there',
    async (t) => {
      const trial = new Trial(t)
      const rows = (from: number, to: number) =>
        count(from, to)
          .map((n) => `${n}\tx${n}\n`)
          .join('')
      writeFileSync(trial.path('a.log'), zeek('n\ttext', 'count\tstring') + rows(0, 5))
      const options = { format: 'zeek' as const, maxBytesPerTrigger: 300 }
      t.strictSame(await trial.read(options), count(0, 5))
      appendFileSync(trial.path('a.log'), rows(5, 200) + zeek('text\tn', 'string\tcount'))
      appendFileSync(
        trial.path('a.log'),
        count(200, 220)
          .map((n) => `x${n}\t${n}\n`)
          .join(''),
      )
      t.strictSame(await trial.read(options), count(5, 220))
      appendFileSync(trial.path('a.log'), 'x220\t220\n')
      t.strictSame(await trial.read(options), [220])
    },
  )
  await t.test('lines that are none', async (t) => {
    const bad = join(t.testdir({ a: `1\t2\n${zeek('n\tm', 'count\tcount')}1\n1\tx\n1\t2\n` }), 'a')
    const problems: string[] = []
    const source = new FilesReadable({ path: bad, format: 'zeek', mode: 'dropmalformed' })
    source.on('malformed', ({ problem }) => problems.push(problem))
    t.strictSame(await source.toArray(), [{ n: 1, m: 2 }])
    t.strictSame(problems, [
      'stands behind no header with "#fields"',
      'has 1 fields, and the header names 2',
      'its field "m" is no count',
    ])
  })
})

t.test('CSV: characters are used as they are given', async (t) => {
  const folder = t.testdir({ tab: 'a\tb\n1\t2 \n', space: 'a b\n1 -\n' })
  t.strictSame(await read(join(folder, 'tab'), { format: 'csv', sep: '\t' }), [{ a: '1', b: '2 ' }])
  t.strictSame(await read(join(folder, 'space'), { format: 'csv', sep: ' ', nullValue: '-' }), [
    { a: '1', b: null },
  ])
  t.strictSame(await read(join(folder, 'tab'), { format: 'csv', sep: '\t', nullValue: '2 ' }), [
    { a: '1', b: null },
  ])
})

t.test('CSV with comments, and the header of W3C and IIS', async (t) => {
  const folder = t.testdir({
    comments: '# it\'s "one\na,b\n# two\n1,"x\n# no comment"\n#\n2,y # z\n',
    'u_ex.log':
      '#Software: Microsoft Internet Information Services 10.0\n#Version: 1.0\n#Date: 2026-12-01 00:00:00\n' +
      '#Fields: date time cs-method cs-uri-stem sc-status\n2026-12-01 00:00:01 GET /a 200\n' +
      '#Software: Microsoft Internet Information Services 10.0\n#Fields: date time sc-status cs-username\n' +
      '2026-12-01 00:00:02 404 -\n',
  })
  t.strictSame(
    await read(join(folder, 'comments'), { format: 'csv', comment: '#', file_offset_column: 'at' }),
    [
      { a: '1', b: 'x\n# no comment', at: 22 },
      { a: '2', b: 'y # z', at: 43 },
    ],
  )
  const iis = { format: 'csv', sep: ' ', comment: '#', header_prefix: '#Fields:', nullValue: '-' } as const
  const rows = [
    { date: '2026-12-01', time: '00:00:01', 'cs-method': 'GET', 'cs-uri-stem': '/a', 'sc-status': '200' },
    { date: '2026-12-01', time: '00:00:02', 'sc-status': '404', 'cs-username': null },
  ]
  t.strictSame(await read(join(folder, 'u_ex.log'), iis), rows)
  const trial = new Trial(t)
  writeFileSync(
    trial.path('u_ex.log'),
    `#Fields: n text\n${count(0, 50)
      .map((n) => `${n} x\n`)
      .join('')}`,
  )
  const options = { ...iis, maxBytesPerTrigger: 100 }
  t.strictSame(await trial.read(options), count(0, 50).map(String))
  appendFileSync(
    trial.path('u_ex.log'),
    `50 x\n#Fields: text n\n${count(51, 90)
      .map((n) => `x ${n}\n`)
      .join('')}`,
  )
  t.strictSame(await trial.read(options), count(50, 90).map(String))
  appendFileSync(trial.path('u_ex.log'), 'x 90\n')
  t.strictSame(await trial.read(options), ['90'], 'the header survives a restart')
})

t.test('what NDJSON is not: the error names the format to use', async (t) => {
  const folder = t.testdir({
    zeek: zeek('n', 'count'),
    array: '[\n{"n":1}\n]\n',
    csv: 'a,b\n1,2\n',
    tab: 'a\tb\n1\t2\n',
    iis: '#Software: x\n#Fields: date\n',
  })
  for (const [name, message] of [
    ['zeek', /set format to "zeek"/],
    ['array', /a JSON array: set format to "json"/],
    ['csv', /CSV: set format to "csv"/],
    ['tab', /CSV: set format to "csv", sep to "\\t"/],
    ['iis', /header_prefix to "#Fields:"/],
  ] as const) {
    await t.rejects(read(join(folder, name), {}), { code: 'ERR_RECORD', line: 1, message }, name)
  }
})
