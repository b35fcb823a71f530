import { once } from 'node:events'
import { access, readFile } from 'node:fs/promises'
import { get } from 'node:https'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { RestEmulator, startEmulators } from '../../lib/emulators/index.ts'

t.test('takes every kind of body in', async (t) => {
  const rest = await new RestEmulator().start()
  t.teardown(() => rest.close())
  const form = new FormData()
  form.set('a', 'Zürich')
  form.set('file', new Blob(['content']), 'f.txt')
  const json = { 'content-type': 'application/json' }
  const cases: [RequestInit, unknown[]][] = [
    [
      { method: 'POST', body: '{"a":1,"__proto__":{"x":1}}', headers: json },
      [JSON.parse('{"a":1,"__proto__":{"x":1}}')],
    ],
    [
      { method: 'PUT', body: '[{"a":9223372036854775807},2]', headers: json },
      [{ a: 9223372036854775807n }, 2],
    ],
    [
      { method: 'PATCH', body: '{"a":1}\n\n{"a":2}\n', headers: { 'content-type': 'application/x-ndjson' } },
      [{ a: 1 }, { a: 2 }],
    ],
    [{ method: 'POST', body: form }, [{ a: 'Zürich', file: 'content' }]],
    [{ method: 'POST', body: new URLSearchParams({ b: 'c d' }) }, [{ b: 'c d' }]],
    [{ method: 'POST', body: gzipSync('[3]'), headers: { ...json, 'content-encoding': 'gzip' } }, [3]],
    [{ method: 'POST', body: 'text' }, ['text']],
    [{ method: 'GET' }, [{ q: 'é' }]],
  ]
  for (const [init, rows] of cases) {
    const response = await fetch(`${rest.url}/hook?q=%C3%A9`, init)
    t.same(await response.json(), { received: rows.length })
    const request = rest.requests.at(-1)
    t.match(request, { method: init.method, path: '/hook' })
    t.strictSame(request?.rows, rows)
  }
  t.strictSame(
    rest.rows,
    cases.flatMap(([, rows]) => rows),
  )
  t.equal(rest.received, rest.rows.length)
  await fetch(`${rest.url}/hook?q=%C3%A9`)
  t.strictSame(rest.duplicates(), [{ q: 'é' }])
  t.equal((await fetch(rest.url, { method: 'POST', body: '{', headers: json })).status, 400)
})

t.test('answers as told', async (t) => {
  const rest = await new RestEmulator({ authorization: 'Bearer good' }).start()
  t.teardown(() => rest.close())
  const call = (path = '/', headers: Record<string, string> = { authorization: 'Bearer good' }) =>
    fetch(rest.url + path, { method: 'POST', body: 'x', headers, redirect: 'manual' })
  t.equal((await call('/', {})).status, 401)
  t.equal((await call('/', { authorization: 'Bearer bad' })).status, 401)
  t.equal(rest.received, 0)
  for (const status of [200, 201, 202, 204]) {
    rest.status = status
    t.equal((await call()).status, status)
  }
  t.equal(rest.received, 4)
  rest.status = 422
  t.equal((await call()).status, 422)
  t.equal(rest.received, 4)
  rest.status = 200
  rest.fail({ status: 307, headers: { location: '/elsewhere' } })
  const redirected = await call()
  t.equal(redirected.status, 307)
  t.equal(redirected.headers.get('location'), '/elsewhere')
  rest.answer = ({ path }) => (path === '/made' ? { status: 207, body: { made: true } } : undefined)
  t.same(await (await call('/made')).json(), { made: true })
  t.equal((await call('/other')).status, 200)
})

t.test('all services together', async (t) => {
  const from = performance.now()
  const emulators = await startEmulators()
  t.comment(`started in ${Math.round(performance.now() - from)} ms`)
  t.equal(await readFile(emulators.caFile, 'utf8'), emulators.ca)
  for (const service of [emulators.hec, emulators.ingestion, emulators.rest]) {
    const [response] = await once(get(service.url, { ca: emulators.ca }), 'response')
    t.ok(response.statusCode)
    response.resume()
  }
  const { url } = emulators.rest
  await emulators.close()
  await emulators.close()
  await t.rejects(access(emulators.caFile), { code: 'ENOENT' })
  await t.rejects(fetch(url))

  let hec = ''
  {
    await using plain = await startEmulators({ hec: { tls: false, ack: true, token: 't' } })
    hec = plain.hec.url
    t.match(hec, /^http:/)
    t.equal(plain.hec.token, 't')
    t.equal((await fetch(`${hec}/services/collector/health`)).status, 200)
  }
  await t.rejects(fetch(hec))
})
