import { once } from 'node:events'
import t from 'tap'
import type { RecordedRequest } from '../../../lib/emulators/index.ts'
import { deliver, LetterBox, watch } from '../../fixtures/sink-trial.ts'
import { idsOf, receivedIds, rowsOf, sentIds, splunkSink, startHec } from '../../fixtures/splunk-trial.ts'

const ack = { ack: true, batch_size: 1, max_in_flight: 1 } as const

function asked(requests: readonly RecordedRequest[]): number[][] {
  return requests
    .filter(({ path, body }) => path.endsWith('/ack') && body.length > 0)
    .map(({ body }) => JSON.parse(body.toString()).acks)
}

function channels(requests: readonly RecordedRequest[]): string[] {
  return [...new Set(requests.map(({ headers }) => String(headers['x-splunk-request-channel'])))]
}

t.test(
  'a row is settled when the indexer says so: ids count from 0 and are asked for until true',
  async (t) => {
    const hec = await startHec(t, { ack: true, ackAfterPolls: 2 })
    const sink = splunkSink(hec, { ...ack })
    const settled: number[] = []
    sink.on('batch', () => settled.push(hec.acknowledged))
    sink.on('finish', () => t.equal(hec.acknowledged, 2))
    t.equal(await deliver(rowsOf(2), sink), undefined)
    t.same(asked(hec.requests), [[0], [0], [0], [1], [1], [1]])
    t.same(settled, [1, 2])
    t.same(receivedIds(hec), [0, 1])
    t.equal(channels(hec.requests).length, 1)
    t.equal(hec.pendingAcks, 0)
  },
)

t.test('one question for all that wait; what was acknowledged is not asked for again', async (t) => {
  const hec = await startHec(t, { ack: true })
  hec.withholdAcks(1)
  const sink = splunkSink(hec, { ...ack, max_in_flight: 3, ack_timeout: 1 })
  t.equal(await deliver(rowsOf(3), sink), undefined)
  const questions = asked(hec.requests)
  const last = questions.findIndex((ids) => ids.includes(1))
  t.ok(questions.slice(last + 1).every((ids) => !ids.includes(1)))
  t.ok(questions.some((ids) => ids.length > 1))
})

t.test('no acknowledgement in time: the rows go out again, on a channel of their own', async (t) => {
  for (const how of ['loseBatches', 'withholdAcks'] as const) {
    const hec = await startHec(t, { ack: true })
    hec[how](1)
    const sink = splunkSink(hec, { ...ack, ack_timeout: 0.6 })
    const { retries } = watch(sink)
    t.equal(await deliver(rowsOf(2), sink), undefined)
    t.match(retries, [{ text: 'no acknowledgement within 0.6 seconds', attempts: 1 }])
    t.same(sentIds(hec), [[0], [0], [1]])
    t.same(receivedIds(hec), how === 'loseBatches' ? [0, 1] : [0, 0, 1])
    t.equal(channels(hec.requests).length, 2)
  }
})

t.test('never any acknowledgement: it gives up with the rows', async (t) => {
  const hec = await startHec(t, { ack: true })
  hec.loseBatches(99)
  const error = await deliver(rowsOf(2), splunkSink(hec, { ...ack, ack_timeout: 0.05, max_retries: 2 }))
  t.match(error, { code: 'ERR_DELIVERY', attempts: 3, message: /no acknowledgement within 0.05 seconds/ })
  t.same(idsOf(error?.rows), [0, 1])
  t.same(sentIds(hec), [[0], [0], [0]])
})

t.test('a token without acknowledgement is an error that says so', async (t) => {
  const hec = await startHec(t)
  const error = await deliver(rowsOf(2), splunkSink(hec, ack))
  t.match(error, {
    code: 'ERR_OPTION',
    serviceCode: 14,
    message: /ack: indexer acknowledgement is not enabled for this token/,
  })
  t.same(idsOf(error?.rows), [0, 1])
  t.equal(sentIds(hec).length, 1, 'noticed before a second request goes out')
})

t.test('answers to the question', async (t) => {
  for (const [status, body, code] of [
    [400, { text: 'ACK is disabled', code: 14 }, 'ERR_OPTION'],
    [403, { text: 'Invalid token', code: 4 }, 'ERR_AUTH'],
    [401, '', 'ERR_AUTH'],
    [404, '<html>no</html>', 'ERR_DELIVERY'],
    [302, '', 'ERR_DELIVERY'],
  ] as const) {
    t.test(`${status} ${JSON.stringify(body)} ends the stream`, async (t) => {
      const hec = await startHec(t, { ack: true })
      hec.fail({ match: '/ack', status, body, times: Infinity })
      const error = await deliver(rowsOf(8), splunkSink(hec, { ...ack, max_in_flight: 4 }))
      t.match(error, { code, status })
      t.same(idsOf(error?.rows).slice(0, 1), [0])
      t.equal(asked(hec.requests).length, 1)
      t.equal(sentIds(hec).length, 1, 'no second request with rows went out')
      const health = await splunkSink(hec, { ...ack, max_in_flight: 4 }).healthy()
      t.match(health, { healthy: false, status }, 'a health check asks the same, without rows')
      t.equal(sentIds(hec).length, 1)
    })
  }
  for (const fault of [
    { status: 503, body: { text: 'Server is busy', code: 9 } },
    { status: 429, body: '' },
    { status: 500, body: '' },
    { status: 200, body: '' },
    { status: 200, body: '<html></html>' },
    { status: 200, body: { acks: null } },
    { status: 200, body: 'null' },
    { status: 200, body: { acks: { 7: true, 0: 'true' } } },
    { reset: 'before' },
  ] as const) {
    t.test(`${JSON.stringify(fault)}: it is asked again`, async (t) => {
      const hec = await startHec(t, { ack: true })
      hec.fail({ match: '/ack', ...fault })
      t.equal(await deliver(rowsOf(1), splunkSink(hec, ack)), undefined)
      t.same(sentIds(hec), [[0]])
      t.equal(asked(hec.requests).length, fault.reset ? 1 : 2)
    })
  }
  t.test('true that got lost can not be had again: the rows go out again', async (t) => {
    const hec = await startHec(t, { ack: true })
    hec.fail({ match: '/ack', reset: 'after' })
    t.equal(await deliver(rowsOf(1), splunkSink(hec, { ...ack, ack_timeout: 0.6 })), undefined)
    t.same(sentIds(hec), [[0], [0]])
  })
})

t.test(
  'an id that is given anew (the indexer was started again): no id of the channel counts, the rows go out again',
  async (t) => {
    const hec = await startHec(t, { ack: true, ackDelay: 50 })
    const sink = splunkSink(hec, { ...ack, max_in_flight: 2 })
    const { retries } = watch(sink)
    hec.loseBatches(1)
    sink.write({ id: 0 })
    await once(hec, 'response')
    hec.resetChannels()
    sink.write({ id: 1 })
    await new Promise((resolve) => sink.once('retry', resolve))
    sink.end()
    await once(sink, 'finish')
    t.match(retries, [
      { text: /counts the ack ids from the start/ },
      { text: /counts the ack ids from the start/ },
    ])
    // The second one came twice: its id may be that of another indexer, for other rows.
    t.same([...receivedIds(hec)].sort(), [0, 1, 1])
    t.equal(channels(hec.requests).length, 2)
  },
)

t.test('behind a load balancer: cookies lead all requests of a channel to one indexer', async (t) => {
  const hec = await startHec(t, { ack: true, cookies: true })
  t.equal(await deliver(rowsOf(6), splunkSink(hec, { ...ack, max_in_flight: 3 })), undefined)
  const cookies = hec.requests.map(({ headers }) => headers.cookie)
  t.equal(cookies[0], undefined)
  t.match(cookies[1], /^HECNODE=/)
  t.equal(new Set(cookies.slice(1)).size, 1, 'the others waited for the first answer')
  t.same(receivedIds(hec).sort(), [0, 1, 2, 3, 4, 5])
  const plain = await startHec(t, { cookies: true })
  t.equal(await deliver(rowsOf(2), splunkSink(plain, { batch_size: 1 })), undefined)
  t.ok(
    plain.requests.every(({ headers }) => headers.cookie === undefined),
    'without ack they are of no use',
  )
})

t.test(
  'until an indexer has answered, one request at a time: a gateway that is busy has no cookie to give',
  async (t) => {
    const hec = await startHec(t, { ack: true, cookies: true })
    hec.fail({ reset: 'before' }, { status: 503, retryAfter: 0, body: '' }, { delay: 50 })
    t.equal(await deliver(rowsOf(4), splunkSink(hec, { ...ack, max_in_flight: 4 })), undefined)
    t.same(receivedIds(hec).sort(), [0, 1, 2, 3])
  },
)

t.test('the channel is the one given, and a bad one is refused', async (t) => {
  const hec = await startHec(t, { ack: true })
  const channel = '11111111-2222-3333-4444-555555555555'
  t.equal(await deliver(rowsOf(1), splunkSink(hec, { ...ack, channel })), undefined)
  t.same(channels(hec.requests), [channel])
  t.throws(() => splunkSink(hec, { channel: 'mine' }), {
    message: 'splunk: channel: expected a GUID, got "mine"',
  })
})

t.test('partial batches', async (t) => {
  t.test('the rows before the one at fault are settled when acknowledged', async (t) => {
    const hec = await startHec(t, { ack: true })
    hec.failRow(2, 6).failRow(0, 12)
    const box = new LetterBox()
    t.equal(await deliver(rowsOf(5), splunkSink(hec, { ...ack, batch_size: 5, dead_letter: box })), undefined)
    t.same(receivedIds(hec), [0, 1, 4])
    t.same(idsOf(box.letters.map(({ row }) => row)), [2, 3])
    t.same(asked(hec.requests), [[0], [1]])
  })
  t.test('and sent again when not', async (t) => {
    const hec = await startHec(t, { ack: true })
    hec.loseBatches(1)
    hec.refuse = ({ event }) => ((event as { id: number }).id === 2 ? 6 : undefined)
    const box = new LetterBox()
    const sink = splunkSink(hec, { ...ack, batch_size: 4, ack_timeout: 0.6, dead_letter: box })
    t.equal(await deliver(rowsOf(4), sink), undefined)
    t.same(receivedIds(hec), [0, 1, 3])
    t.same(idsOf(box.letters.map(({ row }) => row)), [2])
  })
  t.test('without an ackId nothing is known to be in: nothing is lost', async (t) => {
    const hec = await startHec(t, { ack: true })
    const box = new LetterBox()
    const body = (code: number) => ({ text: 'x', code, 'invalid-event-number': 2 })
    hec.fail({ status: 400, body: body(6) }, { status: 503, body: body(9), after: 1 })
    t.equal(await deliver(rowsOf(4), splunkSink(hec, { ...ack, batch_size: 4, dead_letter: box })), undefined)
    t.same(receivedIds(hec).sort(), [0, 1, 2, 3])
    t.same(box.letters, [])
  })
})

t.test('destroy() while it waits for acknowledgement ends at once, with the rows', async (t) => {
  const hec = await startHec(t, { ack: true })
  hec.withholdAcks(99)
  const sink = splunkSink(hec, { ...ack, max_in_flight: 2 })
  const piped = deliver(rowsOf(2), sink)
  await new Promise<void>((resolve) =>
    hec.on('response', ({ path }) => {
      if (path.endsWith('/ack')) resolve()
    }),
  )
  const start = Date.now()
  sink.destroy()
  const error = await piped
  t.match(error, { code: 'ERR_ABORTED' })
  t.same(idsOf(error?.rows), [0, 1])
  t.ok(Date.now() - start < 1000, 'and not after the grace for requests that were cut')
})
