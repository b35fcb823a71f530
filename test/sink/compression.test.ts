import { randomBytes } from 'node:crypto'
import { gunzipSync } from 'node:zlib'
import t from 'tap'
import { bodyOf } from '../../lib/sink/compression.ts'
import { RowStore } from '../../lib/sink/row-store.ts'

/** A store with one row of this text. */
function storeOf(text: string) {
  const store = new RowStore(100)
  const row = store.keep({}, undefined, store.write(text), 0)
  return { store, rows: [row] }
}

t.test('bodies of any size, many at once, come back as they were', async (t) => {
  const texts = Array.from({ length: 300 }, (_, index) => {
    const size = [1500, 1501, 16_384, 65_535, 65_536, 65_537, 200_000, 1_000_000][index % 8]!
    // Random characters do not get much smaller, so that there is more than one piece of output.
    return index % 2
      ? randomBytes(size).toString('base64').slice(0, size)
      : `ä${`row ${index} "x" `.repeat(size).slice(2, size)}`
  })
  const isSame = async (text: string) => {
    const { bytes, gzip } = await bodyOf(storeOf(text).rows, '', '\n', '', 'gzip')
    return gzip && gunzipSync(bytes).toString() === text
  }
  const results = await Promise.all(texts.map(isSame))
  t.ok(results.every(Boolean))
  for (const text of texts.slice(0, 40)) t.ok(await isSame(text))
})

t.test('small bodies, and those that are not to be compressed, stay as they are', async (t) => {
  const small = storeOf('{"a":1}')
  const body = await bodyOf(small.rows, '', '\n', '', 'gzip')
  t.equal(body.gzip, false)
  t.equal(body.bytes.toString(), '{"a":1}')
  const large = storeOf('a'.repeat(100_000))
  const { bytes, gzip } = await bodyOf(large.rows, '', '\n', '', 'none')
  t.equal(gzip, false)
  t.equal(bytes.toString(), 'a'.repeat(100_000))
  t.notOk(small.store.free || large.store.free, 'their bytes are being read')
  body.release()
  t.ok(small.store.free)
})

t.test('a store can hold other rows when nobody reads the bytes of its own', async (t) => {
  const { store, rows } = storeOf('a'.repeat(2000))
  await bodyOf(rows, '', '\n', '', 'gzip')
  t.ok(store.free, 'what was compressed has been read')
  store.clear()
  const [large, small] = ['b'.repeat(3000), 'c'].map((text) =>
    store.keep({}, undefined, store.write(text), 0),
  )
  const { bytes } = await bodyOf([large!, small!], '[', ',', ']', 'gzip')
  t.equal(gunzipSync(bytes).toString(), `[${'b'.repeat(3000)},c]`)
  const cut = await bodyOf([small!], '', '', '', 'gzip')
  const sent = await bodyOf([small!], '', '', '', 'gzip')
  sent.release()
  t.notOk(store.free, 'one that may still be read')
  cut.release()
  t.ok(store.free)
})
