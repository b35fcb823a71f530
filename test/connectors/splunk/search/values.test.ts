import t, { type Test } from 'tap'
import { SplunkReadable, type SplunkReadableOptions } from '../../../../lib/index.ts'
import { at, day, reach, startSplunk } from '../../../fixtures/splunk-events.ts'

type Rows = Record<string, unknown>[]

/** Rows of a search whose answer is registered: fields as Splunk has them, so texts or lists of texts. */
async function read(t: Test, fields: Rows, options: object = {}): Promise<Rows> {
  const splunk = await startSplunk(t)
  splunk.answer(
    /typed/,
    fields.map((row, n) => ({ _time: `${day + n}.5`, ...row })),
  )
  const query = 'search index=main typed | fields *'
  const source = new SplunkReadable({
    ...reach(splunk),
    query,
    start_time: at(0),
    end_time: at(60),
    num_partitions: 1,
    ...options,
  } as SplunkReadableOptions)
  return (await source.toArray()) as Rows
}

const byName = (rows: Rows, name: string) => rows.map((row) => row[name])

t.test('without a schema: texts as they are, several values as an array, times as Dates', async (t) => {
  const id = '{"id":9007199254740993,"more":18446744073709551615}'
  const [first, second] = await read(t, [
    { _raw: id, n: '007', many: ['a', 'b'], one: 'a', empty: '' },
    { _raw: 'x' },
  ])
  t.strictSame(first, {
    _time: new Date(at(0.5)),
    _raw: id,
    n: '007',
    many: ['a', 'b'],
    one: 'a',
    empty: '',
  })
  t.strictSame(second, { _time: new Date(at(1.5)), _raw: 'x' }, 'a field that an event lacks is no column')
})

t.test('schema: each type, null where a field is missing or empty, and no other columns', async (t) => {
  const schema = {
    _time: 'datetime',
    s: 'string',
    b: 'boolean',
    i: 'int',
    l: 'bigint',
    d: 'double',
    m: 'array<string>',
    j: 'dynamic',
    when: 'timestamp',
  } as const
  const fields = [
    { s: 'x', b: 'TRUE', i: '-12', l: '9007199254740993', d: '1e3', m: ['a', 'b'], j: '{"a":9007199254740993}', when: '2026-10-08T00:00:00.25Z', other: 'left out' },
    { s: '', b: '0', i: '2147483647', l: '12', d: '.5', m: 'a', j: 'text', when: `${day}.75` },
    {},
  ] // biome-ignore format: a table
  const rows = await read(t, fields, { schema })
  t.strictSame(rows[0], {
    _time: new Date(at(0.5)),
    s: 'x',
    b: true,
    i: -12,
    l: 9007199254740993n,
    d: 1000,
    m: ['a', 'b'],
    j: { a: 9007199254740993n },
    when: new Date(at(0.25)),
  })
  t.strictSame(
    { ...rows[1], _time: undefined },
    {
      _time: undefined,
      s: '',
      b: false,
      i: 2147483647,
      l: 12,
      d: 0.5,
      m: ['a'],
      j: 'text',
      when: new Date(at(0.75)),
    },
  )
  t.strictSame(
    { ...rows[2], _time: undefined },
    { _time: undefined, s: null, b: null, i: null, l: null, d: null, m: null, j: null, when: null },
  )
})

t.test('long and datetime in other forms', async (t) => {
  const fields = [{ l: '9007199254740993' }, { l: '1' }]
  const schema = { _time: 'datetime', l: 'long' }
  const longs = async (long: string) => byName(await read(t, fields, { schema, long }), 'l')
  t.strictSame(await longs('number-or-bigint'), [9007199254740993n, 1])
  t.strictSame(await longs('bigint'), [9007199254740993n, 1n])
  t.strictSame(await longs('string'), ['9007199254740993', '1'])
  const [row] = await read(t, [{ _time: `${day}.123456789`, l: '1' }], { schema, datetime: 'string' })
  t.equal(row!['_time'], '2026-10-08T00:00:00.123456789Z')
})

t.test('a value that does not fit: an error that names it, or null', async (t) => {
  for (const [type, value] of [
    ['int', '2147483648'],
    ['int', '1.5'],
    ['long', '9223372036854775808'],
    ['double', 'much'],
    ['bool', 'perhaps'],
    ['datetime', 'soon'],
    ['string', ['a', 'b']],
  ] as const) {
    const options = { schema: { _time: 'datetime', v: type } }
    await t.rejects(read(t, [{ v: value }], options), {
      code: 'ERR_RESULT',
      message: new RegExp(`splunk: field "v" holds .*, which is no ${type}`),
    })
    const [row] = await read(t, [{ v: value }], { ...options, mode: 'PERMISSIVE' })
    t.equal(row!['v'], null, `${type}: ${value}`)
  }
})

t.test('inferSchema: types by the first rows, codes stay texts, the schema is told', async (t) => {
  const fields = [
    { n: '1', big: '9007199254740993', code: '007', d: '1', flag: 'true', many: 'a', mixed: '1' },
    { n: '-5', big: '2', code: '12', d: '2.5', flag: 'false', many: ['a', 'b'], mixed: 'x' },
    { n: '7' },
  ]
  const rows = await read(t, fields, { inferSchema: true })
  t.strictSame(byName(rows, 'n'), [1, -5, 7])
  t.strictSame(byName(rows, 'big'), [9007199254740993n, 2, undefined])
  t.strictSame(byName(rows, 'code'), ['007', '12', undefined])
  t.strictSame(byName(rows, 'd'), [1, 2.5, undefined])
  t.strictSame(byName(rows, 'many'), [['a'], ['a', 'b'], undefined])
  t.strictSame(byName(rows, 'mixed'), ['1', 'x', undefined])

  const splunk = await startSplunk(t)
  splunk.answer(/typed/, [{ _time: `${day}`, n: '1' }])
  const query = 'search index=main typed | fields *'
  const source = new SplunkReadable({ ...reach(splunk), query, start_time: at(0), end_time: at(60), inferSchema: true }) // biome-ignore format: a line
  const told: unknown[] = []
  source.on('schema', (schema) => told.push(schema))
  await source.toArray()
  t.match(told, [
    {
      columns: [
        { name: '_time', type: 'datetime' },
        { name: 'n', type: 'long' },
      ],
    },
  ])
})

t.test('a Standard Schema judges each row, and may make another of it', async (t) => {
  type Result = { value: unknown } | { issues: { message: string; path?: string[] }[] }
  const schemaOf = (validate: (row: unknown) => Result | Promise<Result>) =>
    ({ '~standard': { version: 1, vendor: 'test', validate } }) as const
  const doubled = schemaOf(async (row) => ({ value: { twice: Number((row as { n: string }).n) * 2 } }))
  t.strictSame(await read(t, [{ n: '1' }, { n: '2' }], { schema: doubled }), [{ twice: 2 }, { twice: 4 }])
  const strict = schemaOf((row) =>
    (row as { n: string }).n === '2'
      ? { issues: [{ message: 'must not be 2', path: ['n'] }] }
      : { value: row },
  )
  await t.rejects(read(t, [{ n: '1' }, { n: '2' }], { schema: strict }), {
    code: 'ERR_RESULT',
    message: /a row does not fit the schema: .*must not be 2/,
  })
})
