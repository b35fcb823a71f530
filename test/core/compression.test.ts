import { randomBytes } from 'node:crypto'
import { gunzipSync } from 'node:zlib'
import t from 'tap'
import { compressBody } from '../../lib/core/compression.ts'

t.test('bodies of any size, many at once, come back as they were', async (t) => {
  const bodies = Array.from({ length: 300 }, (_, index) => {
    const size = [1500, 1501, 16_384, 65_535, 65_536, 65_537, 200_000, 1_000_000][index % 8]!
    // Random bytes do not get smaller, so that there is more than one piece of output.
    return index % 2 ? randomBytes(size) : Buffer.alloc(size, `row ${index} ä "x" `)
  })
  const results = await Promise.all(
    bodies.map(async (body, index) => {
      const { bytes, gzip } = await compressBody(body, 'gzip')
      return gzip && gunzipSync(bytes).equals(bodies[index]!)
    }),
  )
  t.ok(results.every(Boolean))
  for (const body of bodies.slice(0, 40)) {
    const { bytes } = await compressBody(body, 'gzip')
    t.ok(gunzipSync(bytes).equals(body))
  }
})

t.test('small bodies, and those that are not to be compressed, stay as they are', async (t) => {
  const small = Buffer.from('{"a":1}')
  t.strictSame(await compressBody(small, 'gzip'), { bytes: small, gzip: false })
  const large = Buffer.alloc(100_000, 'a')
  t.strictSame(await compressBody(large, 'none'), { bytes: large, gzip: false })
})
