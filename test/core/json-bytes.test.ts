import fc from 'fast-check'
import t from 'tap'
import { parseExactly } from '../../lib/core/exact-json.ts'
import { serialize } from '../../lib/core/json.ts'
import { JsonBytes } from '../../lib/core/json-bytes.ts'
import { findJsonFault } from '../../lib/core/json-fault.ts'
import { scaled } from '../fixtures/scale.ts'

const parse = (text: string) => {
  const bytes = Buffer.from(text)
  return new JsonBytes(bytes).parse(0, bytes.length)
}

const name = fc.oneof(fc.constantFrom('a', 'Keywords', 'k"', 'k\\', ':', 'ü', '__proto__', ''), fc.string())
const value = fc.letrec((tie) => ({
  any: fc.oneof(
    { maxDepth: 3 },
    fc.bigInt(-(2n ** 70n), 2n ** 70n),
    fc.constantFrom(2n ** 53n, 2n ** 53n - 1n, -(2n ** 53n), 9_999_999_999_999_999n, 9_007_199_254_740_993n),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.string(),
    fc.constantFrom(
      '":9223372036854775806',
      '[9223372036854775806,',
      '12345678901234567890',
      '\\":1234567890123456789',
    ),
    fc.boolean(),
    fc.constant(null),
    fc.array(tie('any'), { maxLength: 4 }),
    fc.dictionary(name, tie('any'), { maxKeys: 4 }),
  ),
})).any

t.test('any value is read as the exact parser reads it, several after each other', async (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.dictionary(name, value, { maxKeys: 6 }), { minLength: 1, maxLength: 4 }),
      (rows) => {
        const lines = rows.map((row) => serialize(row))
        const bytes = Buffer.from(lines.join('\n'))
        const json = new JsonBytes(bytes)
        let at = 0
        for (const line of lines) {
          const end = at + Buffer.byteLength(line)
          const found = json.parse(at, end)
          t.strictSame(serialize(found), serialize(parseExactly(line)), line)
          at = end + 1
        }
      },
    ),
    { numRuns: scaled(100, 500) },
  )
  t.end()
})

t.test('a long text is read as a short one is, whether it is UTF-8 or not', async (t) => {
  const part = fc.oneof(
    fc.constantFrom('é', '東京', '😀', '\ufeff', 'x'.repeat(700)).map((text) => Buffer.from(text)),
    fc.uint8Array({ maxLength: 4 }),
    fc.constantFrom([0xed, 0xa0, 0x80], [0xc3], [0xf0, 0x9f, 0x98]).map((bytes) => Uint8Array.from(bytes)),
  )
  fc.assert(
    fc.property(fc.array(part, { maxLength: 30 }), fc.nat(5), (parts, start) => {
      const bytes = Buffer.concat(parts)
      t.equal(new JsonBytes(bytes).text(start, bytes.length), bytes.toString('utf8', start))
    }),
    { numRuns: scaled(200, 1000) },
  )
})

t.test('integers beyond 2^53, wherever they are', async (t) => {
  // Of the same name, and the same number to JSON.parse.
  t.strictSame(parse('{"x":{"a":1152921504606846977},"a":1152921504606846978}'), {
    x: { a: 1_152_921_504_606_846_977n },
    a: 1_152_921_504_606_846_978n,
  })
  t.strictSame(parse('{"x":[1,{"a":1152921504606846977}],"a":1152921504606846978}'), {
    x: [1, { a: 1_152_921_504_606_846_977n }],
    a: 1_152_921_504_606_846_978n,
  })
  t.strictSame(parse('{"Keywords":-9214364837600034816}'), { Keywords: -9_214_364_837_600_034_816n })
  t.strictSame(parse('{"a" : 9007199254740993 , "b":[1,[9007199254740993]]}'), {
    a: 9_007_199_254_740_993n,
    b: [1, [9_007_199_254_740_993n]],
  })
  t.strictSame(parse('{"o":{"k":9223372036854775806},"k":9223372036854775807}'), {
    o: { k: 9_223_372_036_854_775_806n },
    k: 9_223_372_036_854_775_807n,
  })
  t.strictSame(parse('{"k":5,"k":9223372036854775807}'), { k: 9_223_372_036_854_775_807n })
  t.strictSame(parse('{"k":9223372036854775807,"k":5}'), { k: 5 })
  t.strictSame(parse('[9223372036854775807]'), [9_223_372_036_854_775_807n])
  t.strictSame(parse('{"a":1234567890123456.5,"b":12345678901234567890e1,"c":0.12345678901234567}'), {
    a: 1234567890123456.5,
    b: Number('12345678901234567890e1'),
    c: Number('0.12345678901234567'),
  })
  t.strictSame(parse(`{"text":"${':9223372036854775806,'.repeat(3)}","n":1}`), {
    text: ':9223372036854775806,'.repeat(3),
    n: 1,
  })
  t.strictSame(parse('{"n":1000000000000000}'), { n: 1e15 })
})

t.test('the fault is found in each text that JSON.parse refuses, and in no other', async (t) => {
  const pieces = fc.array(
    fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '"a"',
      '"\\n"',
      '"\\x"',
      '1',
      '-',
      '01',
      '1.5e3',
      'true',
      'nul',
      ' ',
      '\n',
      '"',
      '\u0001',
    ),
    { maxLength: 12 },
  )
  fc.assert(
    fc.property(
      pieces.map((parts) => parts.join('')),
      (text) => {
        let isJson = true
        try {
          JSON.parse(text)
        } catch {
          isJson = false
        }
        const fault = findJsonFault(text)
        return isJson === (fault === undefined) && (fault === undefined || fault.at <= text.length)
      },
    ),
    { numRuns: scaled(2000, 20_000) },
  )
  const at = (text: string) => findJsonFault(text)?.at
  t.equal(at('{"a":1,}'), 7)
  t.equal(at('{"a":tru}'), 5)
  t.equal(at('{"a":1'), 6)
  t.equal(at('{"a":"\u007f"}'), undefined)
  t.equal(findJsonFault('{"a":[1,{"b":')?.problem, 'is not JSON: it ends in the middle of an object')
  t.equal(findJsonFault('{"a":"x')?.problem, 'is not JSON: it ends in the middle of a string')
  t.equal(findJsonFault('[1 2]')?.problem, 'is not JSON: expected "," or "]"')
  t.equal(findJsonFault(`{"a":"${'x'.repeat(1e6)}"`)?.at, 1e6 + 7)
})
