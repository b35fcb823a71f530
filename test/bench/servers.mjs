// The servers of the bench. They do as little as they can, so that the other side is what is measured.
import { once } from 'node:events'
import { createServer } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { createGzip, gunzipSync, gzipSync } from 'node:zlib'
import { product } from './product.mjs'
import { queryAnswer } from './query-answer.mjs'
import { exportLines, resultsText } from './search-answer.mjs'

/** How often a mark occurs in a body: a cheap count of rows. */
function occurrences(body, mark) {
  let count = 0
  for (let at = body.indexOf(mark); at >= 0; at = body.indexOf(mark, at + mark.length)) count++
  return count
}

async function listen(server) {
  server.keepAliveTimeout = 60_000
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server.address().port
}

async function tls() {
  const { createCertificateAuthority } = await product('emulators/index')
  const authority = await createCertificateAuthority()
  return { ca: authority.ca, ...(await authority.issue()) }
}

/** Counts rows by `mark` in the bodies that it gets, and gives each the same answer. */
function counter({ mark, status = 200, answer = '', delay = 0 }) {
  const state = { rows: 0, requests: 0 }
  const bytes = Buffer.from(answer)
  const head = answer === '' ? {} : { 'content-type': 'application/json', 'content-length': bytes.length }
  const serve = (request, response) => {
    const chunks = []
    request.on('data', (chunk) => chunks.push(chunk))
    request.on('end', async () => {
      const body = chunks.length === 1 ? chunks[0] : Buffer.concat(chunks)
      const zipped = request.headers['content-encoding'] === 'gzip'
      const rows = occurrences(zipped ? gunzipSync(body) : body, mark)
      if (delay > 0) await sleep(delay)
      state.rows += rows
      state.requests++
      response.writeHead(status, head)
      response.end(bytes)
    })
  }
  return { state, serve }
}

/** A HEC that counts events. `delay`: milliseconds until it answers. */
export async function hec({ delay } = {}) {
  const { state, serve } = counter({
    mark: Buffer.from('"event":'),
    answer: '{"text":"Success","code":0}',
    delay,
  })
  const port = await listen(createServer(serve))
  return { facts: { url: `http://127.0.0.1:${port}/services/collector/event` }, count: () => state.rows }
}

/** A webhook that counts objects with the key `uid`. */
export async function webhook() {
  const { state, serve } = counter({ mark: Buffer.from('"uid":'), answer: '{}' })
  const port = await listen(createServer(serve))
  return { facts: { url: `http://127.0.0.1:${port}/hook` }, count: () => state.rows }
}

/** A data collection endpoint that counts rows with the key `uid`. */
export async function ingestion() {
  const { state, serve } = counter({ mark: Buffer.from('"uid":'), status: 204 })
  const { ca, key, cert } = await tls()
  const port = await listen(createTlsServer({ key, cert }, serve))
  return { facts: { url: `https://localhost:${port}`, ca }, count: () => state.rows }
}

/**
 * Destinations whose latency (milliseconds) and capacity (requests at once) change from phase to phase, by
 * /destination/client. What is too much is refused by 429, or waits: as the phase's `excess` says. A phase that is `closed`
 * refuses everything. The first request begins the first phase. Counts what was served and refused in each phase, and in
 * its second half.
 */
export async function changing({ phases }) {
  let started
  const destinations = new Map()
  const counts = phases.map(() => ({}))
  const now = () => {
    started ??= performance.now()
    let time = (performance.now() - started) / 1000
    for (const [at, phase] of phases.entries()) {
      if (time < phase.seconds) return { at, phase, late: time >= phase.seconds / 2 }
      time -= phase.seconds
    }
  }
  const note = (client, what) => {
    const current = now()
    if (!current) return
    counts[current.at][client] ??= { served: 0, refused: 0, lateServed: 0, lateRefused: 0 }
    const count = counts[current.at][client]
    count[what]++
    if (current.late) count[what === 'served' ? 'lateServed' : 'lateRefused']++
  }
  const server = createServer(async (request, response) => {
    const [, name, client] = request.url.split('/')
    request.resume()
    await once(request, 'end')
    const phase = now()?.phase ?? { latency: 0, capacity: Infinity }
    const answer = (status) => {
      note(client, status === 200 ? 'served' : 'refused')
      response.writeHead(status).end()
    }
    const destination = destinations.get(name) ?? { serving: 0, waiting: [] }
    destinations.set(name, destination)
    if (phase.closed || (destination.serving >= phase.capacity && phase.excess === 'refuse'))
      return answer(429)
    if (destination.serving >= phase.capacity) await new Promise((go) => destination.waiting.push(go))
    destination.serving++
    await sleep(phase.latency * (0.8 + 0.4 * Math.random()))
    destination.serving--
    const capacity = now()?.phase.capacity ?? Infinity
    while (destination.waiting.length > 0 && destination.serving < capacity) {
      destination.waiting.shift()()
      await undefined
    }
    answer(200)
  })
  const port = await listen(server)
  return { facts: { url: `http://127.0.0.1:${port}` }, count: () => counts }
}

/**
 * A query API. With `rows` it has one answer, put together before, and ten rows for a query that begins with `warm`.
 * Without, `take n` in the query says how many rows there are, all within the timespan of the request.
 * `delay`: milliseconds until it answers.
 */
export async function query({ rows, gzip = false, delay = 0 }) {
  let count = 0
  const packed = (text) => (gzip ? gzipSync(text, { level: 6 }) : Buffer.from(text))
  const text = rows && [...queryAnswer(rows)].join('')
  const answers = text && { large: packed(text), small: packed([...queryAnswer(10)].join('')) }
  const headers = {
    'content-type': 'application/json; charset=utf-8',
    ...(gzip && { 'content-encoding': 'gzip' }),
  }
  const { ca, key, cert } = await tls()
  const server = createTlsServer({ key, cert }, async (request, response) => {
    const chunks = []
    for await (const chunk of request) chunks.push(chunk)
    const { query, timespan } = JSON.parse(Buffer.concat(chunks).toString())
    count++
    if (delay > 0) await sleep(delay)
    if (answers) {
      const body = query.startsWith('warm') ? answers.small : answers.large
      response.writeHead(200, { ...headers, 'content-length': body.length })
      response.end(body)
      return
    }
    response.writeHead(200, headers)
    const [start, end] = timespan.split('/')
    const answer = Readable.from(queryAnswer(Number(/take (\d+)/.exec(query)[1]), { start, end }))
    const parts = gzip ? [answer, createGzip({ level: 1 }), response] : [answer, response]
    await pipeline(parts).catch(() => {})
  })
  const port = await listen(server)
  const bytes = text ? Buffer.byteLength(text) : 0
  return { facts: { url: `https://localhost:${port}`, ca, bytes }, count: () => count }
}

/** splunkd's search: one export answer, and the same as results of a oneshot job, put together before; ten rows for `warm`. */
export async function splunkd({ rows, gzip = false }) {
  let count = 0
  // In pieces: a million rows are more than a text can hold.
  const bytesOf = (texts) => {
    const chunks = []
    let piece = ''
    for (const text of texts) {
      piece += text
      if (piece.length < 1_000_000) continue
      chunks.push(Buffer.from(piece))
      piece = ''
    }
    chunks.push(Buffer.from(piece))
    return Buffer.concat(chunks)
  }
  const packed = (bytes) => (gzip ? gzipSync(bytes, { level: 6 }) : bytes)
  const made = new Map()
  const answer = (kind, size) => {
    const key = `${kind} ${size}`
    if (!made.has(key)) made.set(key, packed(bytesOf((kind === 'export' ? exportLines : resultsText)(size))))
    return made.get(key)
  }
  answer('export', rows)
  const { ca, key, cert } = await tls()
  const server = createTlsServer({ key, cert }, async (request, response) => {
    const chunks = []
    for await (const chunk of request) chunks.push(chunk)
    const form = new URLSearchParams(Buffer.concat(chunks).toString())
    count++
    const size = form.get('search')?.startsWith('search warm') ? 10 : rows
    const body = answer(request.url.includes('/export') ? 'export' : 'results', size)
    const type = { 'content-type': 'application/json; charset=utf-8', 'content-length': body.length }
    response.writeHead(200, gzip ? { ...type, 'content-encoding': 'gzip' } : type)
    response.end(body)
  })
  const port = await listen(server)
  return {
    facts: { url: `https://localhost:${port}`, ca, bytes: answer('export', rows).length },
    count: () => count,
  }
}
