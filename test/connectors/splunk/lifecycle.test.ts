import { spawn } from 'node:child_process'
import { getEventListeners, once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import * as streams from 'node:stream'
import { type Duplex, Readable, Transform, Writable } from 'node:stream'
import { finished, pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import type { ConnectorError } from '../../../lib/core/errors.ts'
import type { HecEmulator } from '../../../lib/emulators/index.ts'
import { deliver, LetterBox, type Row, watch } from '../../fixtures/sink-trial.ts'
import { idsOf, receivedIds, rowsOf, splunkSink, startHec } from '../../fixtures/splunk-trial.ts'

const stall = { stall: 'before', times: Infinity } as const

/** The error that a stream ends with, or undefined. */
async function endOf(sink: Writable): Promise<ConnectorError | undefined> {
  return finished(sink).then(
    () => undefined,
    (error) => error,
  )
}

/** Waits for 'close', whatever error comes before. */
function closed(sink: Writable): Promise<void> {
  return new Promise((resolve) => {
    if (sink.closed) resolve()
    else sink.once('close', resolve)
  })
}

/** Connections and timers that keep this process alive. */
function handles(): string[] {
  return process
    .getActiveResourcesInfo()
    .filter((name) => /TCP|TLS|Timeout|FSReq|Zlib/.test(name))
    .sort()
}

/** A balancer of connections, that leads them to these in turn. */
async function inTurn(
  t: { teardown(close: () => unknown): void },
  members: readonly HecEmulator[],
): Promise<string> {
  let next = 0
  const sockets = new Set<Socket>()
  const balancer = createServer((client) => {
    const member = connect(Number(new URL(members[next++ % members.length]!.url).port), '127.0.0.1')
    for (const [from, to] of [
      [client, member],
      [member, client],
    ] as const) {
      sockets.add(from)
      from.on('error', () => {}).once('close', () => to.destroy())
      from.pipe(to)
    }
  }).listen(0, '127.0.0.1')
  await once(balancer, 'listening')
  t.teardown(() => {
    balancer.close()
    for (const socket of sockets) socket.destroy()
  })
  return `http://127.0.0.1:${(balancer.address() as AddressInfo).port}`
}

function requestsUnderWay(hec: HecEmulator, count: number): Promise<void> {
  return new Promise((resolve) => {
    const look = () => {
      if (hec.count < count) return
      hec.off('request', look)
      resolve()
    }
    hec.on('request', look)
    look()
  })
}

t.test('destroy() while the last batch is under way makes pipeline reject', async (t) => {
  const hec = await startHec(t)
  hec.fail(stall)
  const sink = splunkSink(hec)
  const piped = deliver(rowsOf(3), sink)
  const aborted = once(hec, 'abort')
  await once(hec, 'request')
  t.ok(sink.writableEnded)
  sink.destroy()
  const error = await piped
  t.match(error, { code: 'ERR_ABORTED', connector: 'splunk', message: /3 rows neither acknowledged/ })
  t.same(idsOf(error?.rows), [0, 1, 2])
  t.same(idsOf(sink.unsettled), [0, 1, 2])
  await aborted
})

t.test('destroy() with nothing unsettled is no error of ours', async (t) => {
  const hec = await startHec(t)
  const idle = splunkSink(hec)
  idle.destroy()
  await closed(idle)
  t.equal(idle.errored, null)
  const used = splunkSink(hec, { linger_ms: 0 })
  used.write({ id: 0 })
  await once(used, 'batch')
  used.destroy()
  await closed(used)
  t.equal(used.errored, null)
  t.same(used.unsettled, [])
})

for (const reason of [undefined, new Error('why')]) {
  t.test(`destroy(${reason ?? ''}): every callback runs, with the rows in the error`, async (t) => {
    const hec = await startHec(t)
    hec.fail(stall)
    const sink = splunkSink(hec, { batch_size: 1, max_in_flight: 1, highWaterMark: 2 })
    const results: (Error | null | undefined)[] = []
    for (let id = 0; id < 6; id++) sink.write({ id }, (error) => results.push(error))
    sink.end((error?: Error | null) => results.push(error))
    await once(hec, 'request')
    const before = results.length
    sink.destroy(reason)
    const error = await endOf(sink)
    t.equal(results.length, 7)
    t.ok(results.slice(before).every((result) => result instanceof Error))
    if (reason) t.equal(error, reason)
    else t.match(error, { code: 'ERR_ABORTED' })
    t.same(idsOf(error?.rows), [0, 1, 2, 3, 4, 5])
    t.same(idsOf(sink.unsettled), [0, 1, 2, 3, 4, 5])
    t.notOk(Object.keys(error ?? {}).includes('rows'), 'not printed with the error')
  })
}

t.test('close means that no request is under way', async (t) => {
  const hec = await startHec(t)
  hec.fail(stall)
  const sink = splunkSink(hec, { batch_size: 1 })
  sink.on('error', () => {})
  for (const row of rowsOf(3)) sink.write(row)
  await requestsUnderWay(hec, 3)
  sink.destroy()
  await closed(sink)
  t.equal(sink.stats.inFlight, 0)
  await hec.close()
})

t.test('a second destroy(error) changes nothing', async (t) => {
  const hec = await startHec(t)
  hec.fail(stall)
  const sink = splunkSink(hec)
  const errors: Error[] = []
  sink.on('error', (error) => errors.push(error))
  let closes = 0
  sink.on('close', () => closes++)
  sink.end({ id: 0 })
  await once(hec, 'request')
  sink.destroy(new Error('first'))
  sink.destroy(new Error('second'))
  await closed(sink)
  t.same(
    errors.map(({ message }) => message),
    ['first'],
  )
  t.equal(closes, 1)
})

t.test('signal', async (t) => {
  t.test('already aborted: the stream is destroyed with an AbortError, nothing is sent', async (t) => {
    const hec = await startHec(t)
    const signal = AbortSignal.abort(new Error('too late'))
    const sink = splunkSink(hec, { signal })
    const error = await endOf(sink)
    t.match(error, { name: 'AbortError', code: 'ABORT_ERR', cause: { message: 'too late' } })
    t.equal(getEventListeners(signal, 'abort').length, 0)
    t.equal(hec.count, 0)
  })

  t.test('aborted with a request under way', async (t) => {
    const hec = await startHec(t)
    hec.fail(stall)
    const controller = new AbortController()
    const sink = splunkSink(hec, { signal: controller.signal })
    const piped = deliver(rowsOf(3), sink)
    const aborted = once(hec, 'abort')
    await once(hec, 'request')
    controller.abort()
    const error = await piped
    t.match(error, { name: 'AbortError' })
    t.same(idsOf(error?.rows), [0, 1, 2])
    t.equal(getEventListeners(controller.signal, 'abort').length, 0)
    await aborted
  })

  t.test('aborted while it waits to try again', async (t) => {
    const hec = await startHec(t)
    hec.fail({ status: 503, retryAfter: 200, body: '' })
    const controller = new AbortController()
    const sink = splunkSink(hec, { signal: controller.signal })
    sink.once('retry', () => controller.abort())
    const error = await deliver(rowsOf(3), sink)
    t.match(error, { name: 'AbortError' })
    t.same(idsOf(error?.rows), [0, 1, 2])
    t.equal(getEventListeners(controller.signal, 'abort').length, 0)
    t.equal(hec.count, 1)
  })

  t.test('by a time-out; and no listener is left when all went well', async (t) => {
    const hec = await startHec(t)
    const { signal } = new AbortController()
    t.equal(await deliver(rowsOf(3), splunkSink(hec, { signal })), undefined)
    t.equal(getEventListeners(signal, 'abort').length, 0)
    hec.fail(stall)
    const error = await deliver(rowsOf(1), splunkSink(hec, { signal: AbortSignal.timeout(50) }))
    t.match(error, { name: 'AbortError', cause: { name: 'TimeoutError' } })
  })

  t.test("pipeline's own", async (t) => {
    const hec = await startHec(t)
    hec.fail(stall)
    const controller = new AbortController()
    const sink = splunkSink(hec)
    const piped = pipeline(Readable.from(rowsOf(3)), sink, { signal: controller.signal })
    await once(hec, 'request')
    controller.abort(new Error('enough'))
    await t.rejects(piped, { name: 'AbortError', cause: { message: 'enough' } })
    await closed(sink)
    t.same(idsOf(sink.unsettled), [0, 1, 2])
  })
})

t.test('a source that fails reports the rows of the batch begun', async (t) => {
  const hec = await startHec(t)
  const failure = new Error('the source broke')
  async function* source() {
    yield* rowsOf(5)
    throw failure
  }
  hec.fail({ ...stall, after: 1 })
  const sink = splunkSink(hec, { batch_size: 2 })
  const error = await deliver(source(), sink)
  t.equal(error, failure)
  await closed(sink)
  const received = receivedIds(hec)
  t.same([...received, ...idsOf(error?.rows)].sort(), [0, 1, 2, 3, 4])
  t.same(idsOf(sink.unsettled), idsOf(error?.rows))
  t.ok(idsOf(error?.rows).includes(4), 'the row in the batch that was not full')
})

t.test('an error that can not be added to: the sink has the rows', async (t) => {
  const hec = await startHec(t)
  hec.fail(stall)
  for (const given of [Object.freeze(new Error('frozen')), Object.assign(new Error('own'), { rows: [7] })]) {
    const sink = splunkSink(hec)
    sink.write({ id: 0 })
    sink.destroy(given)
    const error = await endOf(sink)
    t.equal(error, given)
    t.same(idsOf(sink.unsettled), [0])
  }
})

t.test('Symbol.asyncDispose', async (t) => {
  t.test('flushes', async (t) => {
    const hec = await startHec(t)
    const sink = splunkSink(hec, { linger_ms: 3_600_000 })
    for (const row of rowsOf(3)) sink.write(row)
    await sink[Symbol.asyncDispose]()
    t.same(receivedIds(hec), [0, 1, 2])
    t.ok(sink.closed)
    await sink[Symbol.asyncDispose]()
  })
  t.test('rejects when the rows do not go', async (t) => {
    const hec = await startHec(t)
    const sink = splunkSink(hec, { token: 'wrong' })
    sink.write({ id: 0 })
    await t.rejects(sink[Symbol.asyncDispose](), { code: 'ERR_AUTH', rows: [{ id: 0 }] })
    // An error that was reported is not thrown again: it would hide the first one in a SuppressedError.
    await sink[Symbol.asyncDispose]()
  })
  t.test('of a stream destroyed on purpose: fine with nothing left, else an error', async (t) => {
    const hec = await startHec(t)
    const empty = splunkSink(hec)
    empty.destroy()
    await empty[Symbol.asyncDispose]()
    const full = splunkSink(hec)
    full.write({ id: 0 })
    full.destroy()
    await t.rejects(full[Symbol.asyncDispose](), { code: 'ERR_ABORTED' })
  })
  t.test('while it ends already', async (t) => {
    const hec = await startHec(t)
    const sink = splunkSink(hec)
    sink.end({ id: 0 })
    await sink[Symbol.asyncDispose]()
    t.same(receivedIds(hec), [0])
  })
})

t.test('finish comes only when each row is acknowledged', async (t) => {
  const hec = await startHec(t)
  hec.fail({ delay: 100, times: Infinity })
  const sink = splunkSink(hec, { batch_size: 1, max_in_flight: 2 })
  sink.on('finish', () => t.equal(sink.stats.delivered, 5))
  t.equal(await deliver(rowsOf(5), sink), undefined)
  t.equal(sink.unsettled.length, 0)
})

t.test('a collector that never answers holds the source back, and destroying leaves no handle', async (t) => {
  const hec = await startHec(t)
  hec.fail(stall)
  let pulled = 0
  const source = new Readable({
    objectMode: true,
    highWaterMark: 1,
    read() {
      this.push({ id: pulled++ })
    },
  })
  const sink = splunkSink(hec, { batch_size: 5, max_in_flight: 2, highWaterMark: 7, linger_ms: 1 })
  const piped = pipeline(source, sink).catch((error) => error)
  await requestsUnderWay(hec, 2)
  // Once the timers of the sink and of Node had their turn, nothing moves any more.
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve))
  const bound = (2 + 1) * 5 + 7 + 2
  t.ok(pulled <= bound, `pulled ${pulled} of at most ${bound} rows`)
  t.ok(pulled >= 15, 'and it did pull')
  t.ok(sink.writableNeedDrain)
  const cut = Promise.all([once(hec, 'abort'), requestsUnderWay(hec, 2)])
  sink.destroy()
  const error = await piped
  t.match(error, { code: 'ERR_ABORTED' })
  await cut
  t.same(
    idsOf(error.rows),
    Array.from({ length: error.rows.length }, (_, id) => id),
    'in order of writing',
  )
  t.ok(error.rows.length >= 15 && error.rows.length <= pulled)
  hec.cutConnections()
  await new Promise((resolve) => setImmediate(resolve))
  t.same(handles(), ['TCPServerWrap'], 'no connection or timer is left, only the collector that listens')
})

t.test('highWaterMark is batch_size unless told otherwise', async (t) => {
  const hec = await startHec(t)
  t.equal(splunkSink(hec, { batch_size: 7 }).writableHighWaterMark, 7)
  t.equal(splunkSink(hec, { batch_size: 7, highWaterMark: 3 }).writableHighWaterMark, 3)
  hec.fail(stall)
  const sink = splunkSink(hec, { batch_size: 2, max_in_flight: 1, highWaterMark: 3 })
  sink.on('error', () => {})
  const answers = rowsOf(9).map((row) => sink.write(row))
  t.equal(
    answers.indexOf(false),
    5,
    'two batches of two and what is buffered; the last row of a full batch counts as both',
  )
  sink.destroy()
})

t.test('what is no row', async (t) => {
  const hec = await startHec(t)
  for (const [value, what] of [
    ['text', 'a string'],
    [[1, 2], 'an array'],
    [5, 'the number 5'],
    [7n, 'the number 7'],
    [true, 'a boolean'],
    [undefined, 'undefined'],
    [() => {}, 'a function'],
    [Symbol('s'), 'a symbol'],
    [new Date(), 'a Date'],
    [new Map(), 'a Map'],
    [Buffer.from('x'), 'a Buffer'],
  ] as const) {
    const sink = splunkSink(hec)
    let errors = 0
    sink.on('error', () => errors++)
    sink.write(value)
    await closed(sink)
    const error = sink.errored as ConnectorError
    t.match(error, { code: 'ERR_ROW', message: `expected a row (a plain object), got ${what}` })
    t.same(error?.rows, [value])
    t.equal(errors, 1)
  }
  t.throws(() => splunkSink(hec).write(null), { code: 'ERR_STREAM_NULL_VALUES' })
  const box = new LetterBox()
  t.equal(await deliver(['text', { id: 1 }, 5], splunkSink(hec, { dead_letter: box })), undefined)
  t.same(
    box.letters.map(({ row }) => row),
    ['text', 5],
  )
  t.same(receivedIds(hec), [1])
})

t.test('a row whose code throws ends the stream once, written first or queued', async (t) => {
  const hec = await startHec(t)
  const cycle: Row = {}
  cycle['self'] = { cycle }
  const bad: [string, unknown, RegExp][] = [
    ['toJSON', { value: { toJSON: () => { throw new Error('no JSON') } } }, /no JSON/],
    ['a getter', { get value() { throw new TypeError('no value') } }, /no value/],
    ['a getter that throws null', { get value() { throw null } }, /it threw null/],
    ['a cycle', cycle, /self.cycle is a reference to an object that holds it/],
    ['a function', { value: () => {} }, /value is a function/],
    ['an invalid Date', { value: [new Date(Number.NaN)] }, /value\[0\] is an invalid Date/],
    ['a Map', { value: new Map() }, /value is a Map/],
  ] // biome-ignore format: a table
  for (const [name, row, message] of bad) {
    for (const first of [true, false]) {
      const sink = splunkSink(hec, { batch_size: 2, highWaterMark: 10 })
      const errors: Error[] = []
      sink.on('error', (error) => errors.push(error))
      if (!first) for (const good of rowsOf(3)) sink.write(good)
      sink.write(row)
      sink.write({ id: 9 })
      await closed(sink)
      t.equal(errors.length, 1, name)
      t.match(errors[0], { code: 'ERR_ROW', message })
      t.same(sink.unsettled.slice(-2), [row, { id: 9 }])
    }
  }
})

t.test('after the end', async (t) => {
  const hec = await startHec(t)
  const ended = splunkSink(hec)
  ended.end({ id: 0 })
  ended.write({ id: 1 })
  t.match(await endOf(ended), { code: 'ERR_STREAM_WRITE_AFTER_END' })
  const destroyed = splunkSink(hec)
  destroyed.destroy()
  const [error] = await new Promise<[Error | null | undefined]>((resolve) =>
    destroyed.write({ id: 0 }, (error) => resolve([error])),
  )
  t.match(error, { code: 'ERR_STREAM_DESTROYED' })
})

t.test('a token that is refused ends the stream at once, other requests are cut', async (t) => {
  const hec = await startHec(t)
  hec.fail({ stall: 'before' }, { status: 403, body: { text: 'Invalid token', code: 4 } })
  const sink = splunkSink(hec, { batch_size: 1, max_in_flight: 2, request_timeout: 3600 })
  const [error] = await Promise.all([deliver(rowsOf(4), sink), once(hec, 'abort')])
  t.match(error, { code: 'ERR_AUTH', status: 403, serviceCode: 4, serviceText: 'Invalid token' })
  t.match(error?.message, 'splunk: the token was refused (403: Invalid token, code 4)')
  t.same(idsOf(error?.rows).slice(0, 2), [0, 1])
  t.equal(hec.count, 2)
})

t.test('three members behind a balancer, of which one lacks the new token', async (t) => {
  const members = [await startHec(t), await startHec(t), await startHec(t)]
  const [good, , lacking] = members
  const { token } = good!
  for (const member of members) if (member !== lacking) member.token = token
  const url = await inTurn(t, members)
  // Each request on a connection of its own, so that all members are met.
  const options = { url, token, batch_size: 1, max_in_flight: 1, max_connection_seconds: 0.000001 }

  await t.test('after rows were accepted, what it refuses goes to the others', async (t) => {
    const box = new LetterBox()
    const sink = splunkSink(good!, { ...options, dead_letter: box })
    const { retries } = watch(sink)
    t.equal(await deliver(rowsOf(12), sink), undefined)
    t.same(box.letters, [])
    const received = members.flatMap((member) => receivedIds(member)).sort((a, b) => a - b)
    t.same(received, idsOf(rowsOf(12)), 'each row once')
    t.same(receivedIds(lacking!), [])
    t.ok(lacking!.count >= 3, `it was asked ${lacking!.count} times`)
    t.equal(retries.length, lacking!.count)
    t.match(retries[0], { status: 403, code: 4 })
  })

  await t.test('also with several requests in flight', async (t) => {
    for (const member of members) member.reset()
    const box = new LetterBox()
    const again = { ...options, url: await inTurn(t, members), max_in_flight: 4, dead_letter: box }
    const sink = splunkSink(good!, again)
    const [first, ...others] = rowsOf(40)
    // Of a token that was never accepted nothing is known.
    sink.write(first)
    await sink.flush()
    t.equal(await deliver(others, sink), undefined)
    const received = members.flatMap((member) => receivedIds(member)).sort((a, b) => a - b)
    t.same(received, idsOf(rowsOf(40)), 'each row once')
    t.same(box.letters, [])
    t.ok(lacking!.count > 0)
  })

  await t.test('once all of them lack it, a few tries are enough to say so', async (t) => {
    lacking!.token = token
    const sink = splunkSink(good!, options)
    sink.write({ id: 100 })
    await sink.flush()
    for (const member of members) member.token = 'another'
    const before = members.reduce((sum, { count }) => sum + count, 0)
    const error = await deliver(rowsOf(2), sink)
    t.match(error, { code: 'ERR_AUTH', status: 403, serviceCode: 4 })
    t.same(idsOf(error?.rows), [0, 1])
    t.equal(members.reduce((sum, { count }) => sum + count, 0) - before, 6) // biome-ignore format: one sum
  })
})

t.test(
  'a row refused with no dead letter: requests under way are waited for, their rows are settled',
  async (t) => {
    const hec = await startHec(t)
    hec.fail({ delay: 150 })
    hec.refuse = ({ event }) => ((event as Row)['id'] === 1 ? 13 : undefined)
    const sink = splunkSink(hec, { batch_size: 1, max_in_flight: 2 })
    const error = await deliver(rowsOf(4), sink)
    t.match(error, { code: 'ERR_REJECTED', serviceCode: 13 })
    t.same(receivedIds(hec), [0])
    t.same(idsOf(error?.rows).slice(0, 2), [1, 2])
  },
)

t.test('destroy() while such requests are waited for keeps the reason', async (t) => {
  const hec = await startHec(t)
  hec.fail(
    { stall: 'before' },
    { status: 400, body: { text: 'Event field cannot be blank', code: 13, 'invalid-event-number': 0 } },
  )
  const sink = splunkSink(hec, { batch_size: 1, max_in_flight: 2 })
  sink.once('rejected', () => setImmediate(() => sink.destroy()))
  const error = await deliver(rowsOf(2), sink)
  t.match(error, { code: 'ERR_REJECTED' })
  t.same(idsOf(error?.rows), [0, 1])
})

t.test('listeners that destroy the stream or throw', async (t) => {
  for (const event of ['batch', 'retry', 'rejected'] as const) {
    for (const what of ['destroys', 'throws'] as const) {
      t.test(`${event} ${what}`, async (t) => {
        const hec = await startHec(t)
        hec.fail({ status: 503, body: '' })
        const box = new LetterBox()
        const sink = splunkSink(hec, { batch_size: 2, dead_letter: box })
        sink.once(event, () => {
          if (what === 'destroys') sink.destroy()
          else throw new Error('from a listener')
        })
        const rows: unknown[] = [{ id: 0 }, { id: 1 }, 'text', { id: 3 }, 'more', { id: 5 }]
        const results: unknown[] = []
        for (const row of rows) sink.write(row, (error) => results.push(error))
        t.notOk(sink.destroyed, 'no listener is called in the middle of a write')
        sink.end()
        const error = await endOf(sink)
        t.match(error, what === 'destroys' ? { code: 'ERR_ABORTED' } : { message: 'from a listener' })
        const idOf = (row: unknown) => (typeof row === 'string' ? row : `${idsOf([row])}`)
        const settled = [...receivedIds(hec).map(String), ...box.letters.map(({ row }) => idOf(row))]
        t.equal(new Set(settled).size, settled.length, 'none is sent twice')
        // What was received when its answer was cut is listed too: the sink can't know.
        const places = new Set([...settled, ...(error?.rows ?? []).map(idOf)])
        t.same([...places].sort(), ['0', '1', '3', '5', 'more', 'text'])
        t.equal(results.length, rows.length)
      })
    }
  }
})

t.test('unsettled tells at any time what is not in', async (t) => {
  const hec = await startHec(t)
  hec.fail({ stall: 'before', match: ({ body }) => body.includes('"id":0') })
  const sink = splunkSink(hec, { batch_size: 2, max_in_flight: 1 })
  sink.on('error', () => {})
  t.same(sink.unsettled, [])
  for (const row of rowsOf(7)) sink.write(row)
  t.same(idsOf(sink.unsettled), [0, 1, 2, 3, 4, 5, 6])
  sink.destroy()
  t.same(idsOf(sink.unsettled), [0, 1, 2, 3, 4, 5, 6], 'while it closes')
  await new Promise((resolve) => setImmediate(resolve))
  t.same(idsOf(sink.unsettled), [0, 1, 2, 3, 4, 5, 6], 'after Node has dropped its buffer')
})

t.test('corked writes, and 100,000 rows without waiting for drain', async (t) => {
  const hec = await startHec(t)
  const corked = splunkSink(hec, { batch_size: 3 })
  corked.cork()
  for (const row of rowsOf(7)) corked.write(row)
  corked.end()
  t.equal(await endOf(corked), undefined)
  t.same(receivedIds(hec).sort(), [0, 1, 2, 3, 4, 5, 6])
  const many = splunkSink(hec, { batch_size: 10_000 })
  for (let id = 0; id < 100_000; id++) many.write({ id })
  many.end()
  t.equal(await endOf(many), undefined)
  t.equal(hec.received, 100_007)
})

t.test('Web streams: one round trip each way', async (t) => {
  const hec = await startHec(t)
  const sink = splunkSink(hec, { batch_size: 2 })
  await Readable.toWeb(Readable.from(rowsOf(5))).pipeTo(Writable.toWeb(sink) as WritableStream)
  t.same(receivedIds(hec).sort(), [0, 1, 2, 3, 4])
  hec.fail(stall)
  const aborted = splunkSink(hec)
  const writer = Writable.toWeb(aborted).getWriter()
  await writer.write({ id: 0 })
  await writer.abort(new Error('stop')).catch(() => {})
  await closed(aborted)
  t.match(aborted.errored, { message: 'stop' })
  t.same(idsOf(aborted.unsettled), [0])
})

t.test('compose', async (t) => {
  const hec = await startHec(t)
  hec.fail({ delay: 50 })
  const transform = () =>
    new Transform({
      objectMode: true,
      transform: (row: Row, _encoding, callback) => callback(null, { id: (row['id'] as number) * 10 }),
    })
  // Not declared by the types of Node 20.
  const { compose } = streams as unknown as { compose(...parts: unknown[]): Duplex }

  t.test('finishes only when the rows are in', async (t) => {
    await pipeline(Readable.from(rowsOf(3)), compose(transform(), splunkSink(hec)))
    t.same(receivedIds(hec), [0, 10, 20])
  })
  t.test('of transforms before the sink, whose error rejects the pipeline', async (t) => {
    const sink = splunkSink(hec, { token: 'wrong' })
    const piped = pipeline(Readable.from(rowsOf(3)), compose(transform(), transform()), sink)
    await t.rejects(piped, { code: 'ERR_AUTH' })
  })
  t.test("with the sink in it: Node says 'finish' and then 'error' (on 20 to 26)", async (t) => {
    const composed = compose(transform(), splunkSink(hec, { token: 'wrong' }))
    const failed = once(composed, 'never').catch((error) => error)
    Readable.from(rowsOf(3)).pipe(composed)
    t.match(await failed, { code: 'ERR_AUTH' })
  })
})

t.test('in a process of its own', async (t) => {
  const program = fileURLToPath(new URL('../../fixtures/sink-process.mjs', import.meta.url))
  async function run(how: string, hec: HecEmulator): Promise<{ code: number; out: string }> {
    const child = spawn(process.execPath, [program, how, hec.url, hec.token])
    let out = ''
    child.stdout.on('data', (data) => (out += data))
    child.stderr.on('data', (data) => (out += data))
    const [code] = await once(child, 'close')
    return { code, out }
  }

  t.test('an idle sink does not keep it alive, before or after its rows', async (t) => {
    const hec = await startHec(t)
    t.match(await run('idle', hec), { code: 0, out: /"written":0/ })
    t.match(await run('idle-again', hec), { code: 0, out: /delivered 1\nidle\nexit .*"delivered":1/ })
  })
  t.test('a waiting batch does, until it is delivered, also over a retry', async (t) => {
    const hec = await startHec(t)
    hec.fail({ status: 503, body: '' })
    t.match(await run('no-end', hec), { code: 0, out: /delivered 1\nexit .*"retries":1/ })
    t.equal(hec.received, 1)
  })
  t.test('end() does not wait for linger_ms', async (t) => {
    const hec = await startHec(t)
    t.match(await run('long-linger', hec), { code: 0, out: /delivered 1/ })
  })
  t.test('destroy() while it waits to try again lets it go', async (t) => {
    const hec = await startHec(t)
    hec.fail({ status: 503, retryAfter: 200, body: '' })
    t.match(await run('destroy', hec), { code: 0, out: /^ERR_ABORTED 1\n/m })
  })
  t.test("an error that nobody listens to ends it, as Node's streams do", async (t) => {
    const hec = await startHec(t)
    hec.fail({ status: 401, body: '' })
    t.match(await run('no-listener', hec), { code: 1, out: /ERR_AUTH/ })
  })
})
