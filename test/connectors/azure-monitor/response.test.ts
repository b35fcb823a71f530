import assert from 'node:assert/strict'
import { readdirSync, readlinkSync } from 'node:fs'
import { Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import t from 'tap'
import { StalledBody, WholeAnswer } from '../../../lib/connectors/azure-monitor/answer.ts'
import { parseExactly, parseJson } from '../../../lib/core/exact-json.ts'
import { MalformedJson } from '../../../lib/core/json-scanner.ts'
import { parseInstant } from '../../../lib/core/time.ts'
import { instantMilliseconds } from '../../../lib/source/column-values.ts'
import { scaled } from '../../fixtures/scale.ts'

const signal = new AbortController().signal

interface Receiving {
  readonly gzip?: boolean
  readonly rowLimit?: number
  /** Bytes held in memory. */
  readonly held_bytes?: number
}

function receive(
  chunks: readonly Buffer[],
  { gzip = false, held_bytes = 16_000_000, ...limits }: Receiving = {},
): Promise<WholeAnswer> {
  const body = Readable.from(chunks, { objectMode: false })
  return WholeAnswer.receive({ body, gzip }, { stall_timeout: 10, held_bytes, ...limits }, signal)
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

/** Rows as a source reads them, of one table. */
async function rowsOf(answer: WholeAnswer, at = 0): Promise<unknown[]> {
  const rows: unknown[] = []
  for await (const some of answer.rows(answer.tables[at]!)) rows.push(...some)
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
        const answer = await receive(pieces(gzip ? gzipSync(plain) : plain, lengths), {
          gzip,
          held_bytes: 100,
        })
        const expected = parseJson(text) as { error?: unknown; tables: Record<string, unknown>[] }
        assert.deepEqual(answer.error, expected.error ?? undefined)
        assert.equal(
          answer.rowCount,
          tables.reduce((sum, { rows }) => sum + rows.length, 0),
        )
        for (const [at, { name, columns, rows }] of answer.tables.entries()) {
          assert.deepEqual(
            { name, columns },
            { name: expected.tables[at]!['name'], columns: expected.tables[at]!['columns'] },
          )
          assert.equal(rows, tables[at]!.rows.length)
          assert.deepEqual(await rowsOf(answer, at), expected.tables[at]!['rows'])
        }
        answer.release()
      },
    ),
    { numRuns: scaled(50, 150) },
  )
})

t.test('long answers are read in pieces of whole rows; long integers in them are exact', async (t) => {
  const lines = Array.from(
    { length: 5000 },
    (_, i) => `[${i},"${'x'.repeat(i % 60)}",0.30000000000000004,1.5e300]`,
  )
  lines[2500] = '[9007199254740993,"12345678901234567890",-9223372036854775808,{"a":[12345678901234567890]}]'
  for (const between of [' ,\n', ',']) {
    const text = `{"tables":[{"name":"T","columns":[],"rows":[${lines.join(between)}]}],"statistics":{}}`
    const answer = await receive(pieces(Buffer.from(text), [10_000]))
    const read: unknown[] = []
    let batches = 0
    for await (const rows of answer.rows(answer.tables[0]!)) {
      batches++
      read.push(...rows)
    }
    t.ok(batches > 5 && batches < 50, `${batches} batches`)
    t.equal(read.length, 5000)
    t.strictSame(read[2499], [2499, 'x'.repeat(2499 % 60), 0.30000000000000004, 1.5e300])
    t.strictSame(read[2500], [
      9007199254740993n,
      '12345678901234567890',
      -9223372036854775808n,
      { a: [12345678901234567890n] },
    ])
    for await (const rows of answer.rows(answer.tables[0]!)) {
      t.strictSame(rows[0], read[0], 'the reading may stop early')
      break
    }
  }
})

t.test('an answer beyond held_bytes is in a file, and is read as one in memory', async (t) => {
  const rows = Array.from({ length: 20_000 }, (_, n) => [n, `text ${n} ${'x'.repeat(n % 50)}`])
  const text = Buffer.from(`{"tables":[{"name":"T","columns":[],"rows":${JSON.stringify(rows)}}]}`)
  for (const gzip of [false, true]) {
    const wire = gzip ? gzipSync(text) : text
    const answer = await receive(pieces(wire, [30_000]), { gzip, held_bytes: 50_000 })
    t.equal(answer.bytes, wire.length)
    t.equal(heldFiles(), 1, 'a file without a name is open')
    t.strictSame(await rowsOf(answer), rows)
    t.strictSame(await rowsOf(answer), rows, 'as often as it is asked for')
    answer.release()
    while (heldFiles() > 0) await new Promise((resolve) => setImmediate(resolve))
  }
})

/** Temporary files that this process has open. */
function heldFiles(): number {
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).includes('cyber-connectors-held-')
    } catch {
      return false
    }
  }).length
}

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
        fc.boolean(),
        async (tables, lengths, gzip) => {
          const texts = tables.map((rows) => `[${rows.map((cells) => `[${cells.join(',')}]`).join(',')}]`)
          const whole = texts.map((text) => `{"name":"T","columns":[],"rows":${text}}`)
          const plain = Buffer.from(`{"tables":[${whole.join(',')}]}`)
          const answer = await receive(pieces(gzip ? gzipSync(plain) : plain, lengths), { gzip })
          assert.equal(answer.tables.length, tables.length)
          if (answer.rowCount === undefined) guessed++
          for (const at of answer.tables.keys()) {
            assert.deepEqual(await rowsOf(answer, at), parseExactly(texts[at]!))
          }
        },
      ),
      { numRuns: scaled(100, 300) },
    )
    t.ok(guessed > 30, `${guessed} answers whose rows were not counted`)
  },
)

t.test('what seems to be the end of a row, and is none', async (t) => {
  const rows = Array.from({ length: 9000 }, (_, n) => [n, `],[${n}`, '['])
  const text = (rows: unknown) => `{"tables":[{"name":"T","columns":[],"rows":${JSON.stringify(rows)}}]}`
  const answer = await receive(pieces(Buffer.from(text(rows)), [700]))
  t.equal(answer.rowCount, undefined)
  t.strictSame(await rowsOf(answer), rows)
  const limited = async (rowLimit: number) =>
    (await receive([Buffer.from(text(rows))], { rowLimit })).rowCount
  t.equal(await limited(9000), 9000, 'so many rows that they are counted')
  t.equal(await limited(100_000), undefined, 'clearly fewer')
  const numbers = JSON.stringify(rows.map(([n]) => [n])).replaceAll('],[', '],\n[')
  const spaced = `{"tables":[{"name":"T","columns":[],"rows":${numbers}}]}`
  t.strictSame(await rowsOf(await receive([Buffer.from(spaced)])), JSON.parse(numbers))
  const long = [['x'.repeat(700_000)], ['y'.repeat(700_000)], [1]]
  t.strictSame(await rowsOf(await receive(pieces(Buffer.from(text(long)), [9999]))), long)
  const broken = await receive([Buffer.from(text(rows).replace('[8500,', '[nul,'))])
  const read: unknown[] = []
  await t.rejects(
    async () => {
      for await (const some of broken.rows(broken.tables[0]!)) read.push(...some)
    },
    { code: 'ERR_RESULT' },
  )
  t.ok(read.length > 0 && read.length < 8500)
  t.strictSame(read, rows.slice(0, read.length), 'the rows before it are right')
  const hidden = '{"tables":[{"columns":[],"rows":[[1],[2]]},{"columns":[] ,"rows":[[3]]}]}'
  await t.rejects(rowsOf(await receive([Buffer.from(hidden)])), { code: 'ERR_RESULT' })
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
    await t.rejects(receive([Buffer.from(whole.slice(0, length))]), { name: 'MalformedJson', isCut: true })
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
    t.ok(error instanceof MalformedJson && !error.isCut, text)
  }
  const { tables, rowCount, error } = await receive([Buffer.from('{"error":{"code":"x"}}')])
  t.strictSame({ tables, rowCount, error }, { tables: [], rowCount: 0, error: { code: 'x' } })
})

t.test('a body that goes silent, is cut or is no gzip', async (t) => {
  const silent = new Readable({ read() {} })
  silent.push(Buffer.from('{"tables":['))
  const receiving = WholeAnswer.receive(
    { body: silent, gzip: false },
    { stall_timeout: 0.02, held_bytes: 1000 },
    signal,
  )
  await t.rejects(receiving, new StalledBody(0.02))
  t.ok(silent.destroyed, 'the connection is let go')
  const packed = gzipSync('{"tables":[]}')
  await t.rejects(receive([packed.subarray(0, 20)], { gzip: true }), { code: 'Z_BUF_ERROR' })
  await t.rejects(receive([Buffer.from('{"tables":[]}')], { gzip: true }), { code: 'Z_DATA_ERROR' })
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
