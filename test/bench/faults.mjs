// What faults cost: rows refused wrongly, and attempts that could not help. BENCH_DIST counts another build.
import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect, createServer as createTcpServer } from 'node:net'
import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { product } from './product.mjs'
import { table } from './report.mjs'

const { RestWritable } = await product('index')

/** An HTTP server on loopback that answers as told. */
async function serve(answer) {
  let requests = 0
  const server = createServer((request, response) => {
    const chunks = []
    request.on('data', (chunk) => chunks.push(chunk))
    request.on('end', () => {
      const text = Buffer.concat(chunks).toString()
      const { status, headers = {} } = answer(text === '' ? [] : [JSON.parse(text)].flat(), ++requests)
      response.writeHead(status, headers).end()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  return {
    port,
    url: `http://127.0.0.1:${port}/`,
    requests: () => requests,
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}

/** Rows in one body, refused as a whole where `refuses` finds something wrong with them. */
async function refused(rows, refuses) {
  const server = await serve((body) => ({ status: refuses(body) ? 400 : 200 }))
  const dead = []
  const dead_letter = new Writable({
    objectMode: true,
    write: (letter, _encoding, done) => {
      dead.push(letter.row)
      done()
    },
  })
  try {
    await pipeline(
      Readable.from(rows),
      new RestWritable({ url: server.url, batch_size: rows.length, dead_letter }),
    )
    const wrongly = dead.filter((row) => !refuses([row])).length
    return [`${wrongly} of ${rows.filter((row) => !refuses([row])).length} good rows`, server.requests()]
  } finally {
    server.close()
  }
}

const some = (count, isBad) => Array.from({ length: count }, (_, id) => ({ id, bad: isBad(id) }))
const hasBad = (body) => body.some(({ bad }) => bad)
const mixesHours = (body) => new Set(body.map(({ hour }) => hour)).size > 1

/** Attempts within three seconds at a server that is away for a minute and asks for a wait that can't be read. */
async function attemptsInVain(header) {
  const server = await serve(() => ({ status: 503, headers: { 'retry-after': header } }))
  const sink = new RestWritable({ url: server.url })
  sink.on('error', () => {})
  sink.write({ id: 1 })
  const ended = await Promise.race([
    new Promise((resolve) => sink.once('close', () => resolve(', then given up'))),
    new Promise((resolve) => setTimeout(resolve, 3_000, '')),
  ])
  sink.destroy()
  server.close()
  return `${server.requests()}${ended}`
}

/** Requests that come to a member that says 503, behind a TCP balancer with two that are well. */
async function atAMemberThatIsDown() {
  let down = 0
  const members = await Promise.all(
    [503, 200, 200].map((status) =>
      serve(() => {
        if (status === 503) down++
        return { status }
      }),
    ),
  )
  let connections = 0
  const sockets = new Set()
  const balancer = createTcpServer((socket) => {
    const member = connect(members[connections++ % 3].port, '127.0.0.1')
    for (const each of [socket, member]) sockets.add(each.on('error', () => {}))
    socket.pipe(member).pipe(socket)
  })
  balancer.listen(0, '127.0.0.1')
  await once(balancer, 'listening')
  try {
    const url = `http://127.0.0.1:${balancer.address().port}/`
    const sink = new RestWritable({ url, initial_backoff: 0.01, max_backoff: 0.02 })
    const delivered = await pipeline(Readable.from([{ id: 1 }]), sink).then(
      () => 'delivered',
      () => 'not delivered',
    )
    return `${down}, ${delivered}`
  } finally {
    for (const socket of sockets) socket.destroy()
    balancer.close()
    for (const member of members) member.close()
  }
}

/** Requests for 1,000 rows that go to two places in turn. */
async function alternating() {
  const server = await serve(() => ({ status: 200 }))
  const rows = Array.from({ length: 1000 }, (_, id) => ({ id, to: `place-${id % 2}` }))
  await pipeline(
    Readable.from(rows),
    new RestWritable({ url: server.url, url_query_params: 'to', batch_size: 50 }),
  )
  server.close()
  return server.requests()
}

export async function faults() {
  const refusals = {
    '50 bad rows among 500': await refused(some(500, (id) => id % 10 === 3), hasBad), // biome-ignore format: a line
    '250 bad rows among 500': await refused(some(500, (id) => id % 2 === 1), hasBad), // biome-ignore format: a line
    '204 rows of two hours, of which a body may hold one': await refused(
      Array.from({ length: 204 }, (_, id) => ({ id, hour: id % 2 })),
      mixesHours,
    ),
  }
  const headers = ['-5', '5, 10', 'soon', 'Thu, 01 Jan 1970 00:00:00 GMT']
  const waits = await Promise.all(headers.map(attemptsInVain))
  return `### What faults cost

A receiver that answers 400 to the whole body and names no row:

${table(
  ['', 'refused wrongly', 'requests'],
  Object.entries(refusals).map(([name, cells]) => [name, ...cells]),
)}

Useless attempts, with the default settings:

${table(
  ['', 'attempts'],
  [
    ...headers.map((header, at) => [`\`503\` with \`Retry-After: ${header}\`, in the first 3 s`, waits[at]]),
    ['at a member that says 503, behind a TCP balancer with two that are well', await atAMemberThatIsDown()],
    ['requests for 1,000 rows that alternate between two query parameters', await alternating()],
  ],
)}`
}
