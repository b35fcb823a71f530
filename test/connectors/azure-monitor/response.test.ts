import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import t from 'tap'
import { StalledBody, WholeResponse } from '../../../lib/connectors/azure-monitor/response-body.ts'
import {
  MalformedResponse,
  ResponseIndexer,
  type RowSpan,
} from '../../../lib/connectors/azure-monitor/response-index.ts'
import { parseExactly, parseJson } from '../../../lib/core/exact-json.ts'
import { parseInstant } from '../../../lib/core/time.ts'
import { instantMilliseconds } from '../../../lib/source/column-values.ts'
import { scaled } from '../../fixtures/scale.ts'

const signal = new AbortController().signal

function receive(chunks: readonly Buffer[], gzip = false): Promise<WholeResponse> {
  const body = Readable.from(chunks, { objectMode: false })
  return WholeResponse.receive({ status: 200, retryAfter: undefined, body, gzip, text: '' }, 10, signal)
}

/** Cuts bytes into pieces of these lengths, over and over. */
function pieces(bytes: Buffer, lengths: readonly number[]): Buffer[] {
  const chunks: Buffer[] = []
  for (let at = 0, index = 0; at < bytes.length; index++) {
    const end = at + lengths[index % lengths.length]!
    chunks.push(bytes.subarray(at, end))
    at = end
  }
  return chunks
}

async function rowsOf(response: WholeResponse, spans: readonly RowSpan[] | undefined): Promise<unknown[]> {
  const rows: unknown[] = []
  for await (const { span, array } of response.arrays(spans!)) {
    const parsed = parseExactly(array.toString()) as unknown[]
    assert.equal(parsed.length, span.rows, 'a span holds as many rows as it says')
    rows.push(...parsed)
  }
  return rows
}

/** Rows as a source reads them, of the first table. */
async function foundRows(response: WholeResponse, atLeast?: number): Promise<unknown[]> {
  const rows: unknown[] = []
  for await (const some of response.rows(response.index.tables[0]!, atLeast)) rows.push(...some)
  return rows
}

const cell = fc.oneof(
  fc.jsonValue({ maxDepth: 2 }),
  fc.string({ unit: 'grapheme' }),
  fc.constantFrom('"', '\\', '\\"', '],[', '{"rows":[[', '\u2028', '[]}', null),
)
const table = fc.record({
  name: fc.string(),
  columns: fc.array(
    fc.record({ name: fc.oneof(fc.string(), fc.constant('rows')), type: fc.constant('dynamic') }),
    {
      maxLength: 3,
    },
  ),
  rows: fc.array(fc.array(cell, { maxLength: 4 }), { maxLength: 30 }),
})

t.test('the index finds the rows of any response, however its bytes are cut', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(table, { maxLength: 3 }),
      fc.record({
        render: fc.jsonValue(),
        statistics: fc.constant({ tables: [{ rows: [[1]] }], rows: [[[2]]] }),
        error: fc.option(fc.record({ code: fc.string(), rows: fc.constant([[1]]) }), { nil: undefined }),
      }),
      fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 8 }),
      fc.option(fc.constantFrom(1, 2), { nil: undefined }),
      fc.boolean(),
      async (tables, rest, lengths, indent, gzip) => {
        const text = JSON.stringify({ tables, ...rest }, undefined, indent)
        const plain = Buffer.from(text)
        const response = await receive(pieces(gzip ? gzipSync(plain) : plain, lengths), gzip)
        const { index } = response
        const expected = parseJson(text) as { error?: unknown; tables: Record<string, unknown>[] }
        assert.deepEqual(index.error, expected.error ?? undefined)
        assert.equal(
          index.rows,
          tables.reduce((sum, { rows }) => sum + rows.length, 0),
        )
        for (const [at, { name, columns, spans }] of index.tables.entries()) {
          assert.deepEqual(
            { name, columns },
            { name: expected.tables[at]!['name'], columns: expected.tables[at]!['columns'] },
          )
          assert.deepEqual(await rowsOf(response, spans), expected.tables[at]!['rows'])
        }
      },
    ),
    { numRuns: scaled(50, 150) },
  )
})

t.test('long answers are cut into spans of whole rows; long integers in them are exact', async (t) => {
  const rows = Array.from(
    { length: 5000 },
    (_, i) => `[${i},"${'x'.repeat(i % 60)}",0.30000000000000004,1.5e300]`,
  )
  rows[2500] = '[9007199254740993,"12345678901234567890",-9223372036854775808,{"a":[12345678901234567890]}]'
  const text = `{"tables":[{"name":"T","columns":[],"rows":[${rows.join(' ,\n')}]}],"statistics":{}}`
  const response = await receive(pieces(Buffer.from(text), [10_000]))
  const [table] = response.index.tables
  const spans = table!.spans!
  t.ok(spans.length > 5 && spans.length < 50, `${spans.length} spans`)
  const read = await rowsOf(response, spans)
  t.strictSame(await foundRows(response), read)
  t.equal(read.length, 5000)
  t.strictSame(read[2499], [2499, 'x'.repeat(2499 % 60), 0.30000000000000004, 1.5e300])
  t.strictSame(read[2500], [
    9007199254740993n,
    '12345678901234567890',
    -9223372036854775808n,
    { a: [12345678901234567890n] },
  ])
  t.test('and the reading may stop early', async (t) => {
    for await (const { span } of response.arrays(spans)) {
      t.equal(span, spans[0])
      break
    }
  })
})

t.test(
  'the rows of a plain response are found while they are parsed, wherever they seem to end',
  async (t) => {
    let guessed = 0
    const long = fc.constantFrom('12345678901234567890', '-9007199254740993', '1e300', '123.4567890123456789')
    const rows = fc.array(
      fc.array(
        fc.oneof(
          cell.map((value) => JSON.stringify(value)),
          long,
        ),
        { maxLength: 4 },
      ),
      {
        minLength: 1,
        maxLength: 30,
      },
    )
    await fc.assert(
      fc.asyncProperty(
        fc.array(rows, { minLength: 1, maxLength: 2 }),
        fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 8 }),
        fc.nat(200),
        fc.boolean(),
        async (tables, lengths, atLeast, gzip) => {
          const texts = tables.map((rows) => `[${rows.map((cells) => `[${cells.join(',')}]`).join(',')}]`)
          const whole = texts.map((text) => `{"name":"T","columns":[],"rows":${text}}`)
          const plain = Buffer.from(`{"tables":[${whole.join(',')}]}`)
          const response = await receive(pieces(gzip ? gzipSync(plain) : plain, lengths), gzip)
          assert.equal(response.index.tables.length, tables.length)
          if (response.index.tables[0]!.spans === undefined) guessed++
          for (const [at, table] of response.index.tables.entries()) {
            const read: unknown[] = []
            for await (const some of response.rows(table, atLeast)) read.push(...some)
            assert.deepEqual(read, parseExactly(texts[at]!))
          }
        },
      ),
      { numRuns: scaled(100, 300) },
    )
    t.ok(guessed > 30, `${guessed} responses without an index`)
  },
)

t.test('a response that is not plain behind its head is indexed', async (t) => {
  const rows = Array.from({ length: 300 }, (_, n) => [n, `],[${n}`, '['])
  const text = (rows: unknown) => `{"tables":[{"name":"T","columns":[],"rows":${JSON.stringify(rows)}}]}`
  const response = await receive(pieces(Buffer.from(text(rows)), [700]))
  t.equal(response.index.tables[0]!.spans, undefined)
  t.strictSame(await foundRows(response, 100), rows, 'what seems to be an end within each row')
  const limited = async (limit: number) => {
    const body = Readable.from([Buffer.from(text(rows))])
    const answer = { status: 200, retryAfter: undefined, body, gzip: false, text: '' }
    return (await WholeResponse.receive(answer, 10, signal, limit)).index.rows
  }
  t.equal(await limited(300), 300, 'so many rows that they are counted')
  t.equal(await limited(10_000), undefined, 'clearly fewer')
  const numbers = JSON.stringify(rows.map(([n]) => [n])).replaceAll('],[', '],\n[')
  const spaced = `{"tables":[{"name":"T","columns":[],"rows":${numbers}}]}`
  t.strictSame(await foundRows(await receive([Buffer.from(spaced)])), JSON.parse(numbers))
  const long = [['x'.repeat(700_000)], ['y'.repeat(700_000)], [1]]
  t.strictSame(await foundRows(await receive(pieces(Buffer.from(text(long)), [9999]))), long)
  const broken = await receive([Buffer.from(text(rows).replace('[150,', '[nul,'))])
  const read: unknown[] = []
  await t.rejects(
    async () => {
      for await (const some of broken.rows(broken.index.tables[0]!, 100)) read.push(...some)
    },
    { code: 'ERR_RESULT' },
  )
  t.strictSame(read, rows.slice(0, read.length), 'the rows before it are right')
  const hidden = '{"tables":[{"columns":[],"rows":[[1],[2]]},{"columns":[] ,"rows":[[3]]}]}'
  await t.rejects(foundRows(await receive([Buffer.from(hidden)]), 1), { code: 'ERR_RESULT' })
})

t.test('numbers are exact: as JSON.parse, but for integers that it would damage', async (t) => {
  await fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.bigInt()), { maxLength: 8 }),
      (numbers) => {
        const text = `[${numbers.join(',')}]`
        const expected = numbers.map((number) =>
          typeof number === 'bigint' && !Number.isSafeInteger(Number(number))
            ? number
            : Number(String(number)),
        )
        const read = parseExactly(text) as unknown[]
        assert.ok(
          read.every((value, at) => Object.is(value, plainZero(text, at, expected[at]))),
          text,
        )
      },
    ),
  )
  t.strictSame(Object.keys(parseExactly('{"__proto__":{"x":1},"constructor":2}') as object), [
    '__proto__',
    'constructor',
  ])
  t.equal(({} as { x?: unknown }).x, undefined)
  for (const text of ['', '[', '[1', '{"a":}', '[1]]', 'nul']) t.throws(() => parseExactly(text), text)

  /** A double of 1e21 and more is written with an exponent, others without: those are integers by their text. */
  function plainZero(text: string, at: number, value: unknown): unknown {
    const token = text.slice(1, -1).split(',')[at]!
    return /^-?\d+$/.test(token) && !Number.isSafeInteger(Number(token)) ? BigInt(token) : value
  }
})

t.test('what is no response is told apart from one that was cut', async (t) => {
  const whole = '{"tables":[{"name":"T","columns":[{"name":"a","type":"long"}],"rows":[[1],["]}"]]}]}'
  for (let length = 0; length < whole.length; length++) {
    await t.rejects(receive([Buffer.from(whole.slice(0, length))]), { name: 'MalformedResponse', cut: true })
  }
  const broken = [
    '[1]',
    'nothing',
    '{"tables":{}}',
    '{"tables":[{"rows":[]}]}',
    '{"tables":[{"columns":[{"name":1}],"rows":[]}]}',
    '{"tables":[null]}',
    '{"tables":[{"columns":[],"rows":[{"Exceptions":["x"]}]}]}',
    '{"tables":[{"columns":[],"rows":[1]}]}',
    '{"tables":[{"columns":[],"rows":["a"]}]}',
    `${whole}}`,
    '{"tables":[nul]}',
  ]
  for (const text of broken) {
    const error = await receive([Buffer.from(text)]).then(
      () => undefined,
      (error: unknown) => error,
    )
    t.ok(error instanceof MalformedResponse, text)
  }
  const indexer = new ResponseIndexer()
  indexer.write(Buffer.from('{"error":{"code":"x"}}'))
  t.strictSame(indexer.end(), { tables: [], rows: 0, error: { code: 'x' } })
})

t.test('a body that goes silent, is cut or is no gzip', async (t) => {
  const silent = new Readable({ read() {} })
  silent.push(Buffer.from('{"tables":['))
  const answer = { status: 200, retryAfter: undefined, body: silent, gzip: false, text: '' }
  await t.rejects(WholeResponse.receive(answer, 0.02, signal), new StalledBody(0.02))
  t.ok(silent.destroyed, 'the connection is let go')
  const packed = gzipSync('{"tables":[]}')
  await t.rejects(receive([packed.subarray(0, 20)], true), { code: 'Z_BUF_ERROR' })
  await t.rejects(receive([Buffer.from('{"tables":[]}')], true), { code: 'Z_DATA_ERROR' })
})

t.test('instants are read fast, and as the exact reader reads them', async (t) => {
  const two = (max: number, min = 0) => fc.integer({ min, max }).map((n) => String(n).padStart(2, '0'))
  const text = fc
    .tuple(
      fc.integer({ min: 0, max: 9999 }),
      two(13),
      two(32),
      two(25),
      two(61),
      two(61),
      fc.stringMatching(/^(\.\d{1,7})?$/),
    )
    .map(([year, ...rest]) => {
      const [month, day, hour, minute, second, fraction] = rest
      return `${String(year).padStart(4, '0')}-${month}-${day}T${hour}:${minute}:${second}${fraction}Z`
    })
  await fc.assert(
    fc.property(text, (text) => {
      const ticks = parseInstant(text)
      const fast = instantMilliseconds(text)
      if (ticks === undefined) assert.ok(Number.isNaN(fast), text)
      else if (!Number.isNaN(fast))
        assert.equal(BigInt(fast), (ticks - (((ticks % 10_000n) + 10_000n) % 10_000n)) / 10_000n, text)
      else assert.ok(Number(text.slice(0, 4)) < 100, text)
    }),
    { numRuns: scaled(300, 2000) },
  )
  for (const text of [
    '',
    'x',
    '2024-05-01',
    '2024-05-01T00:00:00',
    '2024-05-01T00:00:00.Z',
    '2024-05-01T00:00:00.1x3Z',
  ]) {
    t.ok(Number.isNaN(instantMilliseconds(text)), text)
  }
})
