import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { Agent, createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { SplunkWritable } from '../../../lib/connectors/splunk/index.ts'
import { scaled } from '../../fixtures/scale.ts'
import { deliver, type Row, watch } from '../../fixtures/sink-trial.ts'

interface Teardown {
  teardown(close: () => unknown): void
}

/** An answer as HEC gives it. */
type Serve = (request: IncomingMessage, body: string) => Answer | Promise<Answer>
type Answer = { readonly status?: number; readonly json: object; readonly cookie?: string } | 'cut'

async function serve(t: Teardown, answer: Serve): Promise<string> {
  const server = createServer(async (request: IncomingMessage, response: ServerResponse) => {
    const given = await answer(request, (await buffer(request)).toString())
    if (given === 'cut') request.socket.destroy()
    else {
      if (given.cookie) response.setHeader('set-cookie', given.cookie)
      response.writeHead(given.status ?? 200).end(JSON.stringify(given.json))
    }
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const sinkTo = (url: string, more: object = {}) =>
  new SplunkWritable({ url, token: 'x', ack: true, batch_size: 1, max_in_flight: 2, initial_backoff: 0.001, max_backoff: 0.01, ...more }) // biome-ignore format: a list

const rowsOf = (count: number): Row[] => Array.from({ length: count }, (_, id) => ({ id }))
const idOf = (body: string): number => JSON.parse(body).event.id

t.test('ids of another indexer settle no row of the first', async (t) => {
  for (const sign of ['cookie', 'id', 'lower id', 'no answer', 'answer of a gateway'] as const) {
    t.test(`noticed by: ${sign}`, async (t) => {
      const indexed = new Set<number>()
      const isUnanswered = sign === 'no answer' || sign === 'answer of a gateway'
      // B gives out the id of the answer that nobody saw, which A has given out before, and then a new one.
      const next = sign === 'lower id' ? { a: 7, b: 3 } : { a: 0, b: isUnanswered ? 1 : 0 }
      let node: 'a' | 'b' = 'a'
      let cut = isUnanswered
      const ofB = new Map<string, number>()
      const url = await serve(t, ({ url, headers }, body): Answer => {
        const channel = String(headers['x-splunk-request-channel'])
        if (url!.endsWith('/ack')) {
          const { acks } = JSON.parse(body) as { acks: number[] }
          // A knows what it took, and never has it on disk.
          if (node === 'a') return { json: { acks: Object.fromEntries(acks.map((id) => [id, false])) } }
          const isIndexed = (id: number) => ofB.has(`${channel} ${id}`)
          return { json: { acks: Object.fromEntries(acks.map((id) => [id, isIndexed(id)])) } }
        }
        const id = idOf(body)
        if (id === 2) node = 'b'
        const cookie = sign === 'cookie' && next[node] === 0 ? { cookie: `NODE=${node}` } : {}
        const ackId = next[node]++
        if (node === 'b') {
          indexed.add(id)
          ofB.set(`${channel} ${ackId}`, id)
          if (cut) {
            cut = false
            return sign === 'no answer' ? 'cut' : { status: 504, json: {} }
          }
        }
        return { json: { text: 'Success', code: 0, ackId }, ...cookie }
      })
      const sink = sinkTo(url, { max_in_flight: 3 })
      const { retries } = watch(sink)
      t.equal(await deliver(rowsOf(4), sink), undefined)
      t.same([...indexed].sort(), [0, 1, 2, 3])
      t.ok(retries.length >= 2, 'what waited at the first indexer was sent again')
    })
  }
})

t.test(
  'an id that is true while a request of the channel has no answer does not count until it has',
  async (t) => {
    let release = () => {}
    const released = new Promise<void>((resolve) => {
      release = resolve
    })
    let posts = 0
    const taken: number[] = []
    const url = await serve(t, async ({ url }, body): Promise<Answer> => {
      if (url!.endsWith('/ack')) {
        const { acks } = JSON.parse(body) as { acks: number[] }
        // Once the second request is with the other indexer, that one says true of id 0: of its own rows.
        const isTrue = posts >= 2
        if (isTrue) setImmediate(release)
        return { json: { acks: Object.fromEntries(acks.map((id) => [id, isTrue])) } }
      }
      posts++
      taken.push(idOf(body))
      if (posts === 2) {
        await released
        return 'cut'
      }
      return { json: { text: 'Success', code: 0, ackId: 0 } }
    })
    const sink = sinkTo(url)
    const { batches } = watch(sink)
    t.equal(await deliver(rowsOf(2), sink), undefined)
    t.same(taken.slice(0, 2), [0, 1])
    t.ok(taken.slice(2).includes(0), 'the row of the first indexer was sent again')
    t.equal(batches.length, 2)
  },
)

t.test('an id that comes twice at once is of two indexers: the rows of both go out again', async (t) => {
  const posts: number[] = []
  let release = () => {}
  const both = new Promise<void>((resolve) => {
    release = resolve
  })
  let first: unknown
  let next = 10
  const url = await serve(t, async ({ url, headers }, body): Promise<Answer> => {
    const channel = headers['x-splunk-request-channel']
    first ??= channel
    if (url!.endsWith('/ack')) {
      const { acks } = JSON.parse(body) as { acks: number[] }
      return { json: { acks: Object.fromEntries(acks.map((id) => [id, id !== 1])) } }
    }
    const id = idOf(body)
    posts.push(id)
    if (id === 0 || channel !== first) return { json: { code: 0, ackId: id === 0 ? 0 : next++ } }
    if (posts.includes(1) && posts.includes(2)) release()
    await both
    return { json: { code: 0, ackId: 1 } }
  })
  const sink = sinkTo(url)
  t.equal(await deliver(rowsOf(3), sink), undefined)
  t.same(posts.slice(0, 3).sort(), [0, 1, 2])
  t.same(posts.slice(3).sort(), [1, 2])
})

t.test('a cookie of AWS is another one in each answer, and leads to the same indexer', async (t) => {
  let answers = 0
  let posts = 0
  const url = await serve(t, ({ url }, body): Answer => {
    const cookie = `AWSALB=${answers++}`
    if (!url!.endsWith('/ack')) return { json: { code: 0, ackId: posts++ }, cookie }
    const { acks } = JSON.parse(body) as { acks: number[] }
    return { json: { acks: Object.fromEntries(acks.map((id) => [id, true])) }, cookie }
  })
  t.equal(await deliver(rowsOf(4), sinkTo(url, { max_retries: 0 })), undefined)
  t.equal(posts, 4, 'nothing is sent again')
})

t.test('a clock that jumps does not end the wait for an acknowledgement', async (t) => {
  const { now } = Date
  t.teardown(() => {
    Date.now = now
  })
  let polls = 0
  let posts = 0
  const url = await serve(t, ({ url }, body): Answer => {
    if (!url!.endsWith('/ack')) {
      posts++
      return { json: { text: 'Success', code: 0, ackId: 0 } }
    }
    const { acks } = JSON.parse(body) as { acks: number[] }
    if (++polls === 1) Date.now = () => now() + 86_400_000
    return { json: { acks: Object.fromEntries(acks.map((id) => [id, polls > 2])) } }
  })
  t.equal(await deliver(rowsOf(1), sinkTo(url)), undefined)
  t.equal(posts, 1)
  t.equal(polls, 3)
})

/** An indexer as a process of its own. */
class Indexer {
  readonly file: string
  port = 0
  #child: ChildProcess | undefined

  constructor(file: string) {
    this.file = file
    writeFileSync(file, '')
  }

  get alive(): boolean {
    return this.#child !== undefined
  }

  async start(): Promise<void> {
    const program = fileURLToPath(new URL('../../fixtures/indexer.mjs', import.meta.url))
    const child = fork(program, [String(this.port), this.file, '40'], { execArgv: [] })
    const [{ port }] = (await once(child, 'message')) as [{ port: number }]
    this.port = port
    this.#child = child
  }

  async kill(): Promise<void> {
    const child = this.#child!
    this.#child = undefined
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
}

/** Leads requests by their cookie to one of the indexers, to another one if that is gone, and loses some answers. */
async function balance(t: Teardown, indexers: readonly Indexer[], random: () => number): Promise<string> {
  const agent = new Agent({ keepAlive: true })
  const server = createServer(async (incoming, response) => {
    const body = await buffer(incoming)
    const [, wanted] = /NODE=(\d)/.exec(incoming.headers.cookie ?? '') ?? []
    const given = wanted === undefined ? Math.floor(random() * indexers.length) : Number(wanted)
    const at = indexers[given]!.alive ? given : indexers.findIndex(({ alive }) => alive)
    if (at < 0) {
      response.writeHead(503).end()
      return
    }
    const { method, url, headers } = incoming
    const call = request({ host: '127.0.0.1', port: indexers[at]!.port, method, path: url, headers, agent })
    call.on('error', () => incoming.socket.destroy())
    call.on('response', async (answer) => {
      const bytes = await buffer(answer).catch(() => undefined)
      if (!bytes || random() < 0.05) {
        incoming.socket.destroy()
        return
      }
      if (String(at) !== wanted) response.setHeader('set-cookie', `NODE=${at}; Path=/`)
      response.writeHead(answer.statusCode!).end(bytes)
    })
    call.end(body)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
    agent.destroy()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

t.test('two indexers behind a balancer that die and lose answers: no settled row is lost', async (t) => {
  const folder = t.testdir()
  const indexers = ['a', 'b'].map((name) => new Indexer(join(folder, name)))
  for (const indexer of indexers) await indexer.start()
  t.teardown(async () => {
    for (const indexer of indexers) if (indexer.alive) await indexer.kill()
  })
  const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))
  let state = seed
  const random = () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff
    return state / 0x7fffffff
  }
  const url = await balance(t, indexers, random)
  const count = scaled(400, 10_000)
  const sink = sinkTo(url, { batch_size: 5, max_in_flight: 4, linger_ms: 1, ack_timeout: 1 })
  const { retries } = watch(sink)
  let kills = 0
  let turn = 0
  async function* rows() {
    for (const row of rowsOf(count)) {
      yield row
      if ((row['id'] as number) % 80 !== 79) continue
      const victim = indexers[turn++ % 2]!
      await victim.kill()
      kills++
      // What is in flight meets the other one, while this one's process starts.
      await victim.start()
    }
  }
  const error = await deliver(rows(), sink)
  t.equal(error, undefined, `seed ${seed}`)
  const indexed = new Set<number>()
  let events = 0
  for (const { file } of indexers) {
    for (const line of readFileSync(file, 'utf8').split('\n')) {
      if (line === '') continue
      events++
      indexed.add(idOf(line))
    }
  }
  const lost = rowsOf(count).filter(({ id }) => !indexed.has(id as number))
  t.same(
    lost,
    [],
    `seed ${seed}: ${kills} kills, ${retries.length} retries, ${events} events of ${count} rows`,
  )
})
