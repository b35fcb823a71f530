import fc from 'fast-check'
import t from 'tap'
import { parseJson } from '../../lib/core/exact-json.ts'
import { describe, isRow, serialize, UnserializableValue } from '../../lib/core/json.ts'
import { scaled } from '../fixtures/scale.ts'

t.test('what JSON.stringify writes as well is written alike', async (t) => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      t.ok(serialize(value) === JSON.stringify(value))
    }),
    { numRuns: scaled(100, 300) },
  )
  // The slow way too: a bigint within a member takes it.
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      t.ok(
        serialize({ big: [2n ** 70n], value }) ===
          `{"big":[1180591620717411303424],"value":${JSON.stringify(value)}}`,
      )
    }),
    { numRuns: scaled(100, 300) },
  )
})

t.test('values that JSON has no form for, and what becomes of them', async (t) => {
  const sparse: unknown[] = []
  sparse[2] = 'x'
  class Point {
    x = 1n
    get y() {
      return 2
    }
  }
  class Self {
    n = 1n
    toJSON() {
      return this
    }
  }
  const cases: [unknown, string][] = [
    [{ at: new Date(0) }, '{"at":"1970-01-01T00:00:00.000Z"}'],
    [{ at: Object.assign(new Date(0), { toJSON: () => 'at last' }), b: 1 }, '{"at":"at last","b":1}'],
    [[new Date(0), 'x'], '["1970-01-01T00:00:00.000Z","x"]'],
    [new Date(0), '"1970-01-01T00:00:00.000Z"'],
    ['text', '"text"'],
    [{ n: -(2n ** 63n) }, '{"n":-9223372036854775808}'],
    [{ a: undefined, b: 1 }, '{"b":1}'],
    [{ a: undefined, b: 1n }, '{"b":1}'],
    [{ a: Number.NaN, b: Number.POSITIVE_INFINITY, c: Number.NEGATIVE_INFINITY, d: -0 }, '{"a":"NaN","b":"Infinity","c":"-Infinity","d":0}'],
    [{ a: [undefined, 1n], s: sparse, n: 1n }, '{"a":[null,1],"s":[null,null,"x"],"n":1}'],
    [JSON.parse('{"__proto__":{"a":1},"constructor":2}'), '{"__proto__":{"a":1},"constructor":2}'],
    [{ ...JSON.parse('{"__proto__":1}'), n: 1n }, '{"__proto__":1,"n":1}'],
    [{ u: new URL('https://a.b/'), n: 1n }, '{"u":"https://a.b/","n":1}'],
    [{ toJSON: () => ({ n: 1n }) }, '{"n":1}'],
    [{ a: { toJSON: (key: string) => `at ${key}` }, n: 1n }, '{"a":"at a","n":1}'],
[new Self(), '{"n":1}'],
    [Object.assign(Object.create(null), { a: 1 }), '{"a":1}'],
    [new Point(), '{"x":1}'],
    [{ s: new String('s'), n: new Number(5), b: new Boolean(false), big: Object(7n) }, '{"s":"s","n":5,"b":false,"big":7}'],
    [{ lone: '\ud800', n: 1n }, '{"lone":"\\ud800","n":1}'],
    [{ b: new Uint8Array([1, 2]), n: 1n }, '{"b":"AQI=","n":1}'],
    [{ b: Buffer.from('xyz').subarray(1), list: [new Uint8Array()] }, '{"b":"eXo=","list":[""]}'],
    [{ b: new Uint16Array([1, 2]), f: new Float64Array([0.5, Number.NaN]) }, '{"b":[1,2],"f":[0.5,"NaN"]}'],
    [{ 'a"b\n': 1n }, '{"a\\"b\\n":1}'],
  ] // biome-ignore format: a table
  for (const [value, text] of cases) {
    t.equal(serialize(value), text)
    t.equal(serialize({ big: [1n], value }), `{"big":[1],"value":${text}}`, 'the slow way')
  }
})

t.test('bigints among the members of a row, and in its texts', async (t) => {
  const member = fc.oneof(
    fc.bigInt(-(2n ** 70n), 2n ** 70n),
    fc.string(),
    fc.integer(),
    fc.date({ noInvalidDate: true }),
  )
  const rows = fc.dictionary(fc.oneof(fc.string(), fc.constantFrom('__proto__', 'a', '1')), member, {
    maxKeys: 6,
  })
  fc.assert(
    fc.property(rows, (row) => {
      // Members of an inner object are written by our own code.
      t.equal(`{"row":${serialize(row)},"big":[1]}`, serialize({ row, big: [1n] }))
    }),
    { numRuns: scaled(100, 1000) },
  )
})

t.test('a getter that writes another row', async (t) => {
  const row = {
    a: 1n,
    get b() {
      return serialize({ c: 1 })
    },
  }
  t.equal(serialize(row), '{"a":1,"b":"{\\"c\\":1}"}')
})

t.test('what can not be written says where it is', async (t) => {
  const cycle: Record<string, unknown> = { a: { b: [1] } }
  ;(cycle['a'] as { b: unknown[] }).b.push(cycle)
  const shared = { x: 1 }
  const deep: unknown[] = []
  for (let depth = 0, at = deep; depth < 100; depth++) {
    const inner: unknown[] = []
    at.push(inner)
    at = inner
  }
  for (const [value, message] of [
    [{ a: { b: [1, () => {}] } }, 'a.b[1] is a function, which has no form in JSON'],
    [{ a: Symbol('x') }, 'a is a symbol, which has no form in JSON'],
    [{ a: new Date(Number.NaN) }, 'a is an invalid Date'],
    [{ a: new Map() }, 'a is a Map, which has no form in JSON'],
    [{ a: new Set() }, 'a is a Set, which has no form in JSON'],
    [{ a: /x/ }, 'a is a RegExp, which has no form in JSON'],
    [{ a: new WeakMap() }, 'a is a WeakMap, which has no form in JSON'],
    [{ a: Promise.resolve() }, 'a is a Promise, which has no form in JSON'],
    [{ a: new ArrayBuffer(1) }, 'a is an ArrayBuffer, which has no form in JSON'],
    [{ a: Object(Symbol('x')) }, 'a is a Symbol, which has no form in JSON'],
    [cycle, 'a.b[1] is a reference to an object that holds it (a cycle)'],
    [() => {}, 'the row is a function, which has no form in JSON'],
    [undefined, 'the row is undefined'],
    [{ toJSON: () => undefined }, 'the row is undefined'],
  ] as const) {
    t.throws(() => serialize(value), new UnserializableValue('', '').constructor as ErrorConstructor)
    t.throws(() => serialize(value), { name: 'UnserializableValue', message })
  }
  t.throws(() => serialize(() => {}, 'column'), {
    message: 'column is a function, which has no form in JSON',
  })
  t.equal(
    serialize({ a: shared, b: [shared, shared] }),
    '{"a":{"x":1},"b":[{"x":1},{"x":1}]}',
    'twice is no cycle',
  )
  t.equal(serialize(deep), JSON.stringify(deep))
})

t.test('rows', async (t) => {
  for (const value of [{}, { a: 1 }, Object.create(null), new (class Row {})()]) t.ok(isRow(value))
  for (const value of [
    'x',
    1,
    1n,
    true,
    null,
    undefined,
    [],
    () => {},
    Symbol('x'),
    new Date(),
    new Map(),
    new Set(),
    /x/,
    Buffer.from('x'),
    new Uint8Array(1),
    new DataView(new ArrayBuffer(1)),
    new ArrayBuffer(1),
    Promise.resolve(),
  ]) {
    t.notOk(isRow(value), describe(value))
  }
  t.equal(describe(null), 'null')
  t.equal(describe(5n), 'the number 5')
  t.equal(describe(Object.create(null)), 'an object')
  t.equal(describe({}), 'an object')
  t.equal(describe(undefined), 'undefined')
  t.equal(describe(new Error('x')), 'an Error')
  t.equal(describe(new Date(Number.NaN)), 'an invalid Date')
})

t.test('parseJson keeps long integers exact, and only these', async (t) => {
  for (const [text, value] of [
    ['9007199254740991', 9007199254740991],
    ['9007199254740993', 9007199254740993n],
    ['-9223372036854775808', -9223372036854775808n],
    ['[18446744073709551615,1]', [18446744073709551615n, 1]],
    ['0.12345678901234567890', 0.12345678901234568],
    ['12345678901234567890.5', 12345678901234567000],
    ['1e1234567890123456', Number.POSITIVE_INFINITY],
    ['1E+1234567890123456', Number.POSITIVE_INFINITY],
    ['1e-1234567890123456', 0],
    ['12345678901234567890e1', 123456789012345680000],
    ['"12345678901234567890"', '12345678901234567890'],
    [
      '{"12345678901234567890":"a\\"12345678901234567890"}',
      { '12345678901234567890': 'a"12345678901234567890' },
    ],
    ['{"a":"\\\\","b":12345678901234567890}', { a: '\\', b: 12345678901234567890n }],
    [' [ -12345678901234567890 , null ] ', [-12345678901234567890n, null]],
    ['0000001e400', undefined],
    ['01234567890123456789', undefined],
    ['{"a":12345678901234567890', undefined],
  ] as const) {
    if (value === undefined) t.throws(() => parseJson(text), SyntaxError, text)
    else t.same(parseJson(text), value, text)
  }
  const long = JSON.stringify({ text: '\\"é'.repeat(2_000_000), n: 1 }).replace(
    '"n":1',
    '"n":12345678901234567890',
  )
  t.equal((parseJson(long) as { n: bigint }).n, 12345678901234567890n, 'a long text')
  fc.assert(
    fc.property(
      fc.dictionary(
        fc.string(),
        fc.oneof(fc.bigInt(), fc.string(), fc.integer(), fc.double({ noNaN: true, noDefaultInfinity: true })),
      ),
      (row) => {
        const back = parseJson(serialize(row)) as Record<string, unknown>
        for (const [key, value] of Object.entries(row)) {
          const found = back[key]
          t.ok(
            typeof value === 'bigint'
              ? BigInt(found as number) === value
              : Number.isInteger(value)
                ? Number(found) === value
                : Object.is(found, value) || found === value,
          )
        }
      },
    ),
    { numRuns: scaled(100, 300) },
  )
})

t.test('a Date is written as its own toJSON writes it', async (t) => {
  const rows = fc.array(
    fc.record({ a: fc.date({ noInvalidDate: true }), b: fc.nat(9), c: fc.date({ noInvalidDate: true }) }),
  )
  fc.assert(
    fc.property(rows, (rows) => rows.every((row) => serialize(row) === JSON.stringify(row))),
    {
      numRuns: scaled(100, 1000),
    },
  )
  for (const at of [
    -1, 0, 999, 86_399_999, 86_400_000, -86_400_000, -62_167_219_200_001, 253_402_300_800_000, 8.64e15,
    -8.64e15,
  ])
    t.equal(serialize({ at: new Date(at) }), JSON.stringify({ at: new Date(at) }))
})

t.test('a row nested very deep is a row that is refused, with its column', (t) => {
  const nested = (depth: number): unknown => {
    let value: unknown = 1
    for (let level = 0; level < depth; level++) value = level % 2 ? [value] : { a: value }
    return value
  }
  t.equal(JSON.stringify(JSON.parse(serialize({ deep: nested(900) }))), JSON.stringify({ deep: nested(900) }))
  for (const depth of [1001, 100_000])
    t.throws(() => serialize({ n: 1, deep: nested(depth) }), {
      name: 'UnserializableValue',
      message: 'deep is nested more than 1000 deep',
    })
  t.throws(() => serialize(nested(100_000)), { message: /^(the row|a) is nested more than 1000 deep$/ })
  const text = `${'['.repeat(100_000)}12345678901234567890${']'.repeat(100_000)}`
  let value = parseJson(text)
  for (let level = 0; level < 100_000; level++) [value] = value as unknown[]
  t.equal(value, 12345678901234567890n)
  t.end()
})
