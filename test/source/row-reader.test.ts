import t from 'tap'
import { cellCaster } from '../../lib/source/column-values.ts'
import { RowReader } from '../../lib/source/row-reader.ts'
import { type ColumnType, columnType, columnTypeNames } from '../../lib/source/row-schema.ts'

const forms = { datetime: 'date', long: 'number-or-bigint' } as const
const cast = (type: ColumnType, value: unknown) => cellCaster(type, forms)(value)

t.test('a column of flags holds true, false or nothing', (t) => {
  for (const cell of [true, 1, '1', ' TRUE ']) t.equal(cast('bool', cell), true)
  for (const cell of [false, 0, '0', 'False']) t.equal(cast('bool', cell), false)
  for (const cell of ['constructor', '__proto__', 'toString', '', 'yes', 2, {}])
    t.equal(cast('bool', cell), undefined)
  t.end()
})

t.test('numbers', (t) => {
  for (const [cell, real] of [
    ['1.', 1],
    ['.5e3', 500],
    [' -1.25 ', -1.25],
    ['1e400', Infinity],
    ['NaN', NaN],
  ])
    t.ok(Object.is(cast('real', cell), real), String(cell))
  t.equal(cast('decimal', '12345678901234567.5'), '12345678901234567.5')
  t.equal(cast('long', '9223372036854775807'), 9223372036854775807n)
  for (const cell of ['9223372036854775808', '1.5', '', 'x', 2 ** 60]) t.equal(cast('long', cell), undefined)
  for (const type of ['real', 'double', 'decimal', 'long', 'int'] as const) {
    // Read by a pattern that tries each way, or digit by digit, these would take hours.
    for (const cell of [`${'9'.repeat(1_000_000)}x`, '9'.repeat(10_000_000), `${' '.repeat(1_000_000)}x`])
      t.equal(cast(type, cell), undefined, `${type}, ${cell.length} characters`)
    t.equal(cast(type, '1'), 1)
  }
  t.end()
})

t.test('every name of a type, in any case, and no name of an object', (t) => {
  for (const name of columnTypeNames) t.ok(columnType(` ${name.toUpperCase()} `), name)
  for (const name of ['constructor', '__proto__', '']) t.equal(columnType(name), undefined)
  t.end()
})

t.test('rows of cells, of members, and in their place', (t) => {
  const misfits: string[] = []
  const read = cellCaster('int', forms)
  const columns = [
    { name: 'a', type: 'int', index: 1, read },
    { name: '__proto__', type: 'int', index: 0, read },
    { name: 'lacking', type: 'int', index: -1, read },
  ] as const
  const reader = new RowReader(columns, ({ name }) => {
    misfits.push(name)
    return null
  })
  t.strictSame(Object.entries(reader.ofCells(['7', 'x'])), [
    ['a', null],
    ['__proto__', 7],
    ['lacking', null],
  ])
  const members = JSON.parse('{"__proto__":"7","a":"8","b":"9"}') as Record<string, unknown>
  t.strictSame(Object.entries(reader.ofMembers(members)), [
    ['a', 8],
    ['__proto__', 7],
    ['lacking', null],
  ])
  t.strictSame(Object.entries(reader.cast(members)), [
    ['__proto__', 7],
    ['a', 8],
    ['b', '9'],
  ])
  t.strictSame(Object.entries(reader.ofMembers({ a: '1' })), [
    ['a', 1],
    ['__proto__', null],
    ['lacking', null],
  ])
  t.strictSame(misfits, ['a'])
  t.equal(({} as { a?: unknown }).a, undefined)
  t.end()
})
