import fc from 'fast-check'
import t from 'tap'
import { serialize } from '../../lib/core/json.ts'
import { isJsonObject, JsonRow } from '../../lib/core/json-row.ts'
import { scaled } from '../fixtures/scale.ts'

function isObject(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
  } catch {
    return false
  }
}

function isTold(text: string): boolean {
  const bytes = Buffer.from(text)
  return isJsonObject(bytes, 0, bytes.length)
}

t.test('what is one JSON object, as JSON.parse has it', async (t) => {
  const texts = [
    '{}', ' {} ', '{"a":1}', '{"a":1,"a":2}', '{"a":[1,{"b":null}],"c":{}}', '{"a":1e400}', '{"a":-0.0}', '{"":""}',
    '{"a":"\\u00e4\\n\\""}', '{"a": true , "b":false}', '[]', '[{}]', '1', '"x"', '', ' ', '{', '}', '{"a"}', '{"a":}',
    '{"a":1,}', '{,}', '{"a":01}', '{"a":1.}', '{"a":.5}', '{"a":+1}', '{"a":1e}', '{"a":tru}', '{"a":truee}',
    '{"a":"\\x"}', '{"a":"\\u00g0"}', '{"a":"\t"}', '{"a":"x}', '{"a":[1,]}', '{"a":[1}', '{"a":{]}', '{}{}', '{} x',
    '{"a":nan}', '{a:1}', "{'a':1}", '{"a":1 "b":2}', '{"a":1:2}', '\ufeff{}', '{"a":"\\', '{"a":"\\u12', '{"a":-}',
    '{"a":"\u007f\u2028"}', '{"a" : [ ] }', '{"a":[[]],"b":[{}]}', '{"a":1}\r', '{"a":00}', '{"a":0}', '{"a":-01}',
  ] // biome-ignore format: a list
  for (const [index, text] of texts.entries()) t.equal(isTold(text), isObject(text), `text ${index}`)
  fc.assert(
    fc.property(
      fc.json({ maxDepth: 6 }),
      fc.nat(),
      fc.constantFrom('', '"', '{', '}', ',', ':', '0', '\\', ' ', 'e'),
      (json, at, put) => {
        const text = `{"x":${json}}`
        const place = at % (text.length + 1)
        for (const each of [
          text,
          json,
          text.slice(0, place) + put + text.slice(place),
          text.slice(0, place) + put + text.slice(place + 1),
        ])
          if (isTold(each) !== isObject(each)) throw new Error(`told otherwise: ${each}`)
      },
    ),
    { numRuns: scaled(3000, 100_000) },
  )
  t.equal(isTold(`${'{"a":'.repeat(5000)}1${'}'.repeat(5000)}`), false, 'nor what is nested too deep')
})

t.test('a row as it stands', async (t) => {
  const text =
    '{"b":2230.0,"a":1e400,"n":1152921504606846976,"__proto__":{"x":1},"b":{"c":[1,"}"]},"\\u00e4":"\\u00fc"}'
  const row = JsonRow.of(text)
  t.equal(row.text, text)
  t.equal(serialize(row), text)
  t.equal(serialize({ row, n: 1 }), `{"row":${text},"n":1}`, 'also within another value, as in a dead letter')
  t.equal(row.value['n'], 1152921504606846976n)
  t.equal(Object.hasOwn(row.value, '__proto__'), true)
  t.equal(row.memberText('a'), '1e400')
  t.strictSame(row.member('b'), { c: [1, '}'] }, 'the last of members with one name')
  t.equal(row.member('ä'), 'ü')
  t.strictSame(row.member('__proto__'), { x: 1 })
  t.equal(row.member('x'), undefined, 'not that of another object')
  t.equal(row.member('toString'), undefined)
  t.throws(() => JsonRow.of('[1]'), { code: 'ERR_ROW' })
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (given) => {
      const made = JsonRow.of(JSON.stringify(given))
      for (const name of [...Object.keys(given), 'none']) {
        const expected = Object.hasOwn(given, name) ? given[name] : undefined
        if (serialize([made.member(name)]) !== serialize([expected])) throw new Error(`${made.text}: ${name}`)
      }
    }),
    { numRuns: scaled(500, 5000) },
  )
})
