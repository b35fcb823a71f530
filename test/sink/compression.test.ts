import { randomBytes } from 'node:crypto'
import { gunzipSync } from 'node:zlib'
import t from 'tap'
import { RowStore } from '../../lib/sink/batches.ts'
import { BodyMaker } from '../../lib/sink/body.ts'
import type { Framing, SinkProtocol } from '../../lib/sink/protocol.ts'

const lines: Framing = { open: '', separator: '\n', close: '' }
const array: Framing = { open: '[', separator: ',', close: ']' }

function maker(compression: 'gzip' | 'none', framing = lines): BodyMaker {
  return new BodyMaker({ framing, compression } as SinkProtocol)
}

/** A store with one row of this text. */
function storeOf(text: string) {
  const store = new RowStore(100)
  const row = store.keep({}, undefined, store.write({ wire: text }), 0)
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
    const { bytes, headers } = await maker('gzip').make(storeOf(text).rows)
    return headers['content-encoding'] === 'gzip' && gunzipSync(bytes).toString() === text
  }
  const results = await Promise.all(texts.map(isSame))
  t.ok(results.every(Boolean))
  for (const text of texts.slice(0, 40)) t.ok(await isSame(text))
})

t.test('small bodies, and those that are not to be compressed, stay as they are', async (t) => {
  const small = storeOf('{"a":1}')
  const body = await maker('gzip').make(small.rows)
  t.equal(body.headers['content-encoding'], undefined)
  t.equal(body.bytes.toString(), '{"a":1}')
  const large = storeOf('a'.repeat(100_000))
  const { bytes, headers } = await maker('none').make(large.rows)
  t.equal(headers['content-encoding'], undefined)
  t.equal(bytes.toString(), 'a'.repeat(100_000))
  t.notOk(small.store.free || large.store.free, 'their bytes are being read')
  body.release()
  t.ok(small.store.free)
})

t.test('a store can hold other rows when nobody reads the bytes of its own', async (t) => {
  const { store, rows } = storeOf('a'.repeat(2000))
  await maker('gzip').make(rows)
  t.ok(store.free, 'what was compressed has been read')
  store.clear()
  const [large, small] = ['b'.repeat(3000), 'c'].map((text) =>
    store.keep({}, undefined, store.write({ wire: text }), 0),
  )
  const { bytes } = await maker('gzip', array).make([large!, small!])
  t.equal(gunzipSync(bytes).toString(), `[${'b'.repeat(3000)},c]`)
  const cut = await maker('gzip').make([small!])
  const sent = await maker('gzip').make([small!])
  sent.release()
  t.notOk(store.free, 'one that may still be read')
  cut.release()
  t.ok(store.free)
})
