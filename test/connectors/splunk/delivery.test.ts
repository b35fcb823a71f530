import { once } from 'node:events'
import t from 'tap'
import type { ErrorCode } from '../../../lib/core/errors.ts'
import { hecCodes } from '../../../lib/emulators/hec-codes.ts'
import { HecEmulator } from '../../../lib/emulators/index.ts'
import { deliver, LetterBox, watch } from '../../fixtures/sink-trial.ts'
import { idsOf, receivedIds, rowsOf, sentIds, splunkSink, startHec } from '../../fixtures/splunk-trial.ts'

/** What is to happen with three rows in one batch. */
interface Outcome {
  /** Ids in each request. */
  sent: number[][]
  received?: number[]
  dead?: number[]
  error?: ErrorCode
}

const all = [0, 1, 2]
const accepted: Outcome = { sent: [all], received: all }
const again: Outcome = { sent: [all, all], received: all }
const auth: Outcome = { sent: [all], error: 'ERR_AUTH' }
const fatal: Outcome = { sent: [all], error: 'ERR_DELIVERY' }
const halves: Outcome = { sent: [all, [0, 1], [2]], received: all }

/** By code, when the whole body is answered with it. */
const byCode: Record<number, Outcome> = {
  0: accepted, 24: accepted, 25: accepted,
  8: again, 9: again, 18: again, 19: again, 20: again, 23: again, 26: again, 27: again,
  1: auth, 2: auth, 3: auth, 4: auth, 21: auth, 22: auth,
  10: fatal, 11: fatal, 14: { ...fatal, error: 'ERR_OPTION' }, 16: fatal, 17: fatal, 28: fatal,
  5: halves, 6: halves, 7: halves, 12: halves, 13: halves, 15: halves,
} // biome-ignore format: a table

const codes = Object.keys(hecCodes).map(Number)

async function outcomeOf(hec: HecEmulator): Promise<Outcome & { text: string }> {
  const box = new LetterBox()
  const sink = splunkSink(hec, { batch_size: 3, dead_letter: box })
  const watched = watch(sink)
  const error = await deliver(rowsOf(3), sink)
  const received = receivedIds(hec)
  const dead = idsOf(box.letters.map(({ row }) => row))
  const left = idsOf(error?.rows)
  t.same([...received, ...dead, ...left].sort(), all, 'each row is in one place')
  t.equal(sink.stats.delivered + sink.stats.rejected + left.length, 3, 'the counts say the same')
  t.equal(watched.rejected.length, dead.length, 'an event for each refused row')
  t.equal(sink.stats.retries, watched.retries.length)
  return {
    sent: sentIds(hec),
    ...(received.length > 0 && { received }),
    ...(dead.length > 0 && { dead }),
    ...(error && { error: error.code }),
    text: [error?.message, ...box.letters.map(({ reason }) => reason.text), ...watched.retries.map(({ text }) => text)].join('\n'), // biome-ignore format: texts
  }
}

t.test('HEC codes', async (t) => {
  for (const code of codes) {
    t.test(`${code} for a whole body`, async (t) => {
      const hec = await startHec(t)
      hec.answerCode(code)
      const { text, ...outcome } = await outcomeOf(hec)
      t.same(outcome, byCode[code])
      if (![0, 24, 25, 5, 6, 7, 12, 13, 15].includes(code)) t.match(text, hecCodes[code]![1])
    })
  }

  for (const code of [6, 7, 12, 13, 15]) {
    for (const row of all) {
      t.test(
        `${code} for row ${row}: the rows before are in, it is refused, the rest is sent on`,
        async (t) => {
          const hec = await startHec(t)
          hec.failRow(row, code)
          const { text, ...outcome } = await outcomeOf(hec)
          const rest = all.slice(row + 1)
          t.same(outcome, {
            sent: rest.length > 0 ? [all, rest] : [all],
            received: all.filter((id) => id !== row),
            dead: [row],
          })
          t.match(text, hecCodes[code]![1])
        },
      )

      t.test(`${code} for row ${row} without a dead letter ends the stream with the row`, async (t) => {
        const hec = await startHec(t)
        hec.failRow(row, code)
        const sink = splunkSink(hec, { batch_size: 3 })
        const error = await deliver(rowsOf(3), sink)
        t.match(error, { code: 'ERR_REJECTED', status: 400, serviceCode: code, connector: 'splunk' })
        t.match(error?.message, hecCodes[code]![1])
        t.same(receivedIds(hec), all.slice(0, row))
        t.same(idsOf(error?.rows), all.slice(row))
        t.same(sentIds(hec), [all], 'nothing more is sent')
      })
    }
  }

  t.test(
    '9 with a number: at most one row comes twice, as it is not known from where it counts',
    async (t) => {
      for (const busyBase of [0, 1] as const) {
        const hec = await startHec(t, { busyBase })
        hec.failRow(2, 9)
        t.equal(await deliver(rowsOf(4), splunkSink(hec, { batch_size: 4 })), undefined)
        t.same(sentIds(hec), busyBase === 0 ? [[0, 1, 2, 3], [1, 2, 3]] : [[0, 1, 2, 3], [2, 3]]) // biome-ignore format: a table
        t.same([...new Set(receivedIds(hec))], [0, 1, 2, 3])
      }
    },
  )

  t.test('7 by an index that the token may not write', async (t) => {
    const hec = await startHec(t, { indexes: ['main'] })
    const box = new LetterBox()
    const rows = ['main', 'secret', 'main'].map((index, id) => ({ id, index }))
    const sink = splunkSink(hec, { batch_size: 3, index_column: 'index', dead_letter: box })
    t.equal(await deliver(rows, sink), undefined)
    t.same(receivedIds(hec), [0, 2])
    t.match(box.letters, [
      { row: rows[1], connector: 'splunk', reason: { status: 400, code: 7, text: 'Incorrect index' } },
    ])
    t.match(box.letters[0]?.at, /^\d{4}-\d\d-\d\dT.*Z$/)
  })

  t.test('retries that run out', async (t) => {
    const hec = await startHec(t)
    hec.answerCode(9, { times: Infinity })
    const error = await deliver(rowsOf(3), splunkSink(hec, { batch_size: 3, max_retries: 2 }))
    t.match(error, { code: 'ERR_DELIVERY', status: 503, serviceCode: 9, serviceText: 'Server is busy' })
    t.equal(error?.attempts, 3)
    t.match(error?.message, /gave up after 3 attempts: 503 code 9 Server is busy/)
    t.same(idsOf(error?.rows), all)
    t.same(sentIds(hec), [all, all, all])
  })
})

t.test('numbers that can not be', async (t) => {
  const body = (code: number, number: unknown) => ({ text: 'x', code, 'invalid-event-number': number })
  for (const number of [3, 99, -1, 1.5, '1', null]) {
    t.test(`code 6 with ${JSON.stringify(number)}: each half is sent`, async (t) => {
      const hec = await startHec(t)
      hec.fail({ status: 400, body: body(6, number) })
      const { text, ...outcome } = await outcomeOf(hec)
      t.same(outcome, halves)
    })
  }
  t.test('code 7 with a number too high', async (t) => {
    const hec = await startHec(t)
    hec.fail({ status: 400, body: body(7, 4) })
    t.match(await outcomeOf(hec), halves)
  })
  for (const number of [0, 4, 99, -1]) {
    t.test(`code 9 with ${number}: all is sent again`, async (t) => {
      const hec = await startHec(t)
      hec.fail({ status: 503, body: body(9, number) })
      t.match(await outcomeOf(hec), again)
    })
  }
  t.test('the first row named again and again: each is refused once, and it ends', async (t) => {
    const hec = await startHec(t)
    hec.fail({ status: 400, body: body(6, 0), times: Infinity })
    t.match(await outcomeOf(hec), { sent: [all, [1, 2], [2]], dead: all })
  })
  t.test('code 9 that names the first row again and again is no progress: it gives up', async (t) => {
    const hec = await startHec(t)
    hec.fail({ status: 503, body: body(9, 1), times: Infinity })
    const error = await deliver(rowsOf(3), splunkSink(hec, { batch_size: 3, max_retries: 3 }))
    t.equal(error?.attempts, 4)
    t.equal(hec.count, 4)
  })
  t.test('no row named, all refused: the search ends with each row', async (t) => {
    const hec = await startHec(t)
    hec.fail({ status: 400, body: { text: 'x', code: 6 }, times: Infinity })
    t.match(await outcomeOf(hec), { sent: [all, [0, 1], [0], [1], [2]], dead: all })
  })
})

t.test('HTTP statuses without a code of HEC', async (t) => {
  const page = '<html><head><title>no</title></head><body><h1>A page</h1></body></html>'
  const outcomes: Record<number, Outcome> = {
    300: fatal, 301: fatal, 302: fatal, 303: fatal, 304: fatal, 307: fatal, 308: fatal,
    400: fatal, 401: halves, 402: fatal, 403: halves, 404: fatal, 405: fatal, 406: fatal, 407: fatal, 408: again,
    409: fatal, 410: fatal, 411: fatal, 413: halves, 415: fatal, 418: fatal, 422: fatal, 429: again, 431: fatal,
    500: again, 501: fatal, 502: again, 503: again, 504: again, 505: fatal, 507: again, 511: again, 599: again,
  } // biome-ignore format: a table
  for (const [status, outcome] of Object.entries(outcomes)) {
    for (const [name, body] of [
      ['a page', page],
      ['nothing', ''],
      ['JSON of a gateway', { code: Number(status), message: 'no' }],
    ] as const) {
      if (status === '304' && name !== 'nothing') continue
      t.test(`${status} with ${name}`, async (t) => {
        const hec = await startHec(t)
        hec.fail({ status: Number(status), body, headers: { location: `${hec.url}/elsewhere` } })
        const { text, ...found } = await outcomeOf(hec)
        t.same(found, outcome)
        if (name === 'a page' && outcome !== halves) t.match(text, 'A page')
        if (outcome.error) t.match(text, status)
        t.notMatch(text, '<')
        t.notOk(
          hec.requests.some(({ path }) => path === '/elsewhere'),
          'no redirect is followed',
        )
      })
    }
  }

  for (const status of [200, 201, 202, 204]) {
    t.test(`${status} with nothing: a gateway took the rows`, async (t) => {
      const hec = await startHec(t)
      hec.fail({ status, body: '' })
      const sink = splunkSink(hec, { batch_size: 3 })
      t.equal(await deliver(rowsOf(3), sink), undefined)
      t.equal(hec.count, 1)
      t.equal(sink.stats.delivered, 3)
    })
  }

  for (const body of [
    'OK',
    {},
    { text: 'Success' },
    { code: 200, message: 'ok' },
    { code: '0' },
    'null',
    '5',
    '\r\n',
  ]) {
    t.test(`200 with ${JSON.stringify(body)}: a look-alike of HEC took the rows`, async (t) => {
      const hec = await startHec(t)
      hec.fail({ status: 201, body })
      const sink = splunkSink(hec, { batch_size: 3 })
      t.equal(await deliver(rowsOf(3), sink), undefined)
      t.equal(hec.count, 1)
      t.equal(sink.stats.delivered, 3)
    })
  }

  for (const body of [page, ' <response/>', { text: 'what?', code: 77 }, { code: 500 }]) {
    t.test(`200 with ${JSON.stringify(body)} is not HEC`, async (t) => {
      const hec = await startHec(t)
      hec.fail({ status: 200, body })
      const error = await deliver(rowsOf(3), splunkSink(hec))
      t.match(error, { code: 'ERR_DELIVERY', message: /does not seem to be a HEC endpoint \(200/ })
      t.same(idsOf(error?.rows), all)
    })
  }

  t.test('a wrong path', async (t) => {
    const hec = await startHec(t)
    const error = await deliver(rowsOf(1), splunkSink(hec, { url: `${hec.url}/nothing/here` }))
    t.match(error?.message, /does not seem to be a HEC endpoint \(404: The requested URL was not found/)
  })
})

t.test('what is too large', async (t) => {
  const large = (id: number, length: number) => ({ id, text: 'x'.repeat(length) })

  t.test('413 splits; a row too large by itself is refused by name', async (t) => {
    const hec = await startHec(t, { maxContentLength: 1000 })
    const box = new LetterBox()
    const rows = [large(0, 300), large(1, 300), large(2, 300), large(3, 2000), large(4, 10), large(5, 10)]
    const sink = splunkSink(hec, { batch_size: 6, compression: 'none', dead_letter: box })
    t.equal(await deliver(rows, sink), undefined)
    t.same(receivedIds(hec), [0, 1, 2, 4, 5])
    t.match(box.letters, [{ row: rows[3], reason: { status: 413 } }])
  })

  t.test('413 without a dead letter: the error has the row and what was behind it', async (t) => {
    const hec = await startHec(t, { maxContentLength: 1000 })
    const error = await deliver([large(0, 2000), large(1, 10)], splunkSink(hec, { compression: 'none' }))
    t.match(error, { code: 'ERR_REJECTED', status: 413 })
    t.same(idsOf(error?.rows), [0, 1])
  })

  t.test('an event over maxEventSize is refused by name, those around it are in once', async (t) => {
    const hec = await startHec(t, { maxEventSize: 500 })
    const box = new LetterBox()
    const rows = [large(0, 10), large(1, 1000), large(2, 10)]
    t.equal(await deliver(rows, splunkSink(hec, { dead_letter: box })), undefined)
    t.same(receivedIds(hec), [0, 2])
    t.match(box.letters, [{ row: { id: 1 }, reason: { status: 400, code: 6 } }])
  })

  t.test(
    'code 6 number 0 for a body of over 1 MB is about its size (Splunk Cloud): it is split',
    async (t) => {
      const hec = await startHec(t)
      hec.fail({ status: 400, body: { text: 'Invalid data format', code: 6, 'invalid-event-number': 0 } })
      const rows = [large(0, 600_000), large(1, 600_000), large(2, 10)]
      t.equal(await deliver(rows, splunkSink(hec, { batch_bytes: 5_000_000 })), undefined)
      t.same(sentIds(hec), [all, [0, 1], [2]])
      t.same(receivedIds(hec), all)
    },
  )

  t.test('a split after a part was taken does not send that part again', async (t) => {
    const hec = await startHec(t)
    const box = new LetterBox()
    hec.failRow(1, 6).fail({ status: 413, body: '', after: 1 })
    t.equal(await deliver(rowsOf(5), splunkSink(hec, { batch_size: 5, dead_letter: box })), undefined)
    t.same(sentIds(hec), [[0, 1, 2, 3, 4], [2, 3, 4], [2, 3], [4]])
    t.same(receivedIds(hec), [0, 2, 3, 4])
    t.same(idsOf(box.letters.map(({ row }) => row)), [1])
  })
})

t.test('faults of the connection', async (t) => {
  for (const fault of [
    { reset: 'before' },
    { reset: 'within' },
    { reset: 'after' },
    { truncate: true },
    { status: 200, body: '', headers: { 'content-encoding': 'gzip' }, truncate: true },
  ] as const) {
    t.test(`${JSON.stringify(fault)}: sent again`, async (t) => {
      const hec = await startHec(t, { gzipFrom: 0 })
      hec.fail(fault)
      const sink = splunkSink(hec, { batch_size: 3 })
      const watched = watch(sink)
      t.equal(await deliver(rowsOf(3), sink), undefined)
      if ('status' in fault) return
      t.same([...new Set(receivedIds(hec))], all)
      t.equal(watched.retries.length, 1)
      t.ok(watched.retries[0]?.text, 'the event says why')
      t.equal(receivedIds(hec).length, fault.reset === 'before' ? 3 : 6, 'twice only where no answer came')
    })
  }

  t.test('a request that takes too long is cut and sent again', async (t) => {
    const hec = await startHec(t)
    hec.fail({ stall: 'before' })
    const sink = splunkSink(hec, { batch_size: 3, request_timeout: 0.6 })
    const watched = watch(sink)
    t.equal(await deliver(rowsOf(3), sink), undefined)
    t.match(watched.retries, [{ code: 'ETIMEDOUT', rows: 3, attempts: 1 }])
    t.equal(hec.count, 2)
  })

  t.test('nobody listens: the error says so, on one address or several', async (t) => {
    const hec = await new HecEmulator().start()
    const { url, token } = hec
    await hec.close()
    for (const at of [url, url.replace('127.0.0.1', 'localhost')]) {
      const error = await deliver(rowsOf(2), splunkSink(hec, { url: at, token, max_retries: 1 }))
      t.match(error, { code: 'ERR_DELIVERY', serviceCode: 'ECONNREFUSED', attempts: 2 })
      t.match(error?.message, /ECONNREFUSED .*:\d+/)
      t.same(idsOf(error?.rows), [0, 1])
    }
  })

  t.test('a service that comes back on its port is found again', async (t) => {
    const hec = await startHec(t)
    const sink = splunkSink(hec, { batch_size: 1, max_in_flight: 1 })
    sink.write({ id: 0 })
    await new Promise((resolve) => sink.once('batch', resolve))
    await hec.close()
    sink.once('retry', () => void hec.start())
    sink.write({ id: 1 })
    t.equal(await deliver([{ id: 2 }], sink), undefined)
    t.same(receivedIds(hec), [0, 1, 2])
  })
})

t.test('how long it waits', async (t) => {
  t.test('Retry-After in seconds and as a date, and at most 300 s', async (t) => {
    for (const status of [429, 503, 500]) {
      const hec = await startHec(t)
      for (const [retryAfter, least, most] of [
        [100, 100_000, 100_000],
        ['0.25', 250, 250],
        [new Date(Date.now() + 60_000).toUTCString(), 50_000, 60_000],
        ['Wed, 01 Jan 2020 00:00:00 GMT', 0, 5],
        [86_400, 300_000, 300_000],
        ['soon', 0, 5],
        ['-1', 0, 5],
      ] as const) {
        hec.clearFaults().fail({ status, retryAfter, body: '' })
        const sink = splunkSink(hec)
        sink.on('error', () => {})
        sink.end({ id: 0 })
        const [{ wait }] = await Promise.all([
          new Promise<{ wait: number }>((resolve) => sink.once('retry', resolve)),
        ])
        t.ok(wait >= least && wait <= most, `${status} with ${retryAfter}: ${wait} ms`)
        sink.destroy()
      }
    }
  })

  t.test("a date in Retry-After is by the server's clock, which its answer shows", async (t) => {
    const hec = await startHec(t)
    // Its clock is an hour behind ours.
    const hour = (seconds: number) => new Date(Date.now() - 3_600_000 + seconds * 1000)
    const [date, later] = [hour(0), hour(40)].map((time) => time.toUTCString()) as [string, string]
    hec.fail({ status: 503, retryAfter: later, headers: { date }, body: '' })
    const sink = splunkSink(hec)
    sink.on('error', () => {})
    sink.end({ id: 0 })
    const [{ wait }] = await once(sink, 'retry')
    t.equal(wait, Date.parse(later) - Date.parse(date))
    sink.destroy()
  })

  for (const status of [429, 503]) {
    t.test(`${status} holds the whole sink back`, async (t) => {
      const hec = await startHec(t)
      hec.fail({ status, retryAfter: 0.3, body: '' })
      const sink = splunkSink(hec, { batch_size: 1, max_in_flight: 2 })
      const start = Date.now()
      sink.write({ id: 0 })
      await new Promise((resolve) => sink.once('retry', resolve))
      t.equal(await deliver([{ id: 1 }, { id: 2 }], sink), undefined)
      t.ok(
        hec.requests.slice(1).every(({ at }) => at - start >= 290),
        'no other request came before',
      )
      t.same(receivedIds(hec).sort(), all)
    })
  }

  t.test('500 holds only its own batch back', async (t) => {
    const hec = await startHec(t)
    hec.fail({ status: 500, retryAfter: 100, body: '' })
    const sink = splunkSink(hec, { batch_size: 1, max_in_flight: 2 })
    sink.on('error', () => {})
    sink.write({ id: 0 })
    await new Promise((resolve) => sink.once('retry', resolve))
    sink.write({ id: 1 })
    await new Promise((resolve) => sink.once('batch', resolve))
    t.same(receivedIds(hec), [1])
    sink.destroy()
  })
})

t.test('healthy()', async (t) => {
  const hec = await startHec(t)
  const sink = splunkSink(hec)
  t.same(await sink.healthy(), { healthy: true, status: 200, code: 17, text: 'HEC is healthy' })
  t.equal(hec.requests[0]?.path, '/services/collector/health')
  hec.queuesFull = true
  t.match(await sink.healthy(), { healthy: false, status: 503, code: 18 })
  hec.queuesFull = false
  hec.shuttingDown = true
  t.match(await sink.healthy(), { healthy: false, status: 503, code: 23 })
  hec.shuttingDown = false
  hec.tokenDisabled = true
  t.match(await sink.healthy(), { healthy: false, status: 400, code: 22 })
  hec.tokenDisabled = false
  hec.ackServiceDown = true
  t.match(await sink.healthy(), { healthy: true }, 'without ack that service does not count')
  t.match(await splunkSink(hec, { ack: true }).healthy(), { healthy: false, code: 19 })
  hec.queuesFull = true
  t.match(await splunkSink(hec, { ack: true }).healthy(), { healthy: false, code: 20 })
  hec.fail({ status: 502 })
  t.match(await sink.healthy(), { healthy: false, status: 502, text: 'HTTP status 502' })
  t.match(await splunkSink(hec, { token: 'wrong' }).healthy(), { healthy: false, status: 400, code: 21 })
  await hec.close()
  t.match(await sink.healthy(), { healthy: false, text: /ECONNREFUSED|hang up/ })
  sink.destroy()
  t.match(await sink.healthy(), { healthy: false }, 'a destroyed sink asks nobody')
})

t.test('a gateway that cuts what is too large, without a 413: the batch goes in halves', async (t) => {
  const hec = await startHec(t)
  hec.fail({
    match: ({ headers }) => Number(headers['content-length']) > 3000,
    times: Infinity,
    reset: 'before',
  })
  const rows = rowsOf(100).map((row) => ({ ...row, text: 'x'.repeat(100) }))
  const sink = splunkSink(hec, { batch_size: 25, max_in_flight: 1, compression: 'none' })
  t.equal(await deliver(rows, sink), undefined)
  t.same(receivedIds(hec), idsOf(rows), 'each is in once')
  t.equal(sink.stats.retries, 3, 'later batches are small from the start')
})

t.test('batch_size and max_in_flight found by trial', async (t) => {
  const hec = await startHec(t)
  hec.fail({ delay: 5, times: Infinity })
  const options = { batch_size: 'auto', max_in_flight: 'auto' } as const
  const sink = splunkSink(hec, options)
  const { batches } = watch(sink)
  let most = 0
  sink.on('batch', () => {
    most = Math.max(most, sink.stats.inFlight)
  })
  const rows = rowsOf(60_000)
  t.equal(await deliver(rows, sink), undefined)
  t.equal(new Set(receivedIds(hec)).size, 60_000)
  t.equal(hec.received, 60_000)
  t.equal(batches[0]?.rows, 50)
  t.ok(Math.max(...batches.map(({ rows }) => rows)) > 500, 'batches have grown')
  t.ok(most > 4 && most <= 64, `${most} at once`)
  t.throws(() => splunkSink(hec, { batch_size: 'many' as never }), {
    message: /of 1 or more, or "auto", got "many"/,
  })
})

t.test('found by trial, with all that can go wrong', async (t) => {
  const hec = await startHec(t, { maxContentLength: 30_000 })
  for (let after = 3; after < 60; after += 9) {
    hec.fail({ status: 503, retryAfter: 0, body: '', after }, { reset: 'before', after: after + 3 })
    hec.failRow(20, 6)
  }
  const box = new LetterBox()
  const options = { batch_size: 'auto', max_in_flight: 'auto', compression: 'none' } as const
  const sink = splunkSink(hec, { ...options, dead_letter: box })
  const rows = rowsOf(20_000)
  t.equal(await deliver(rows, sink), undefined)
  t.equal(hec.received + box.letters.length, 20_000)
  t.equal(new Set([...receivedIds(hec), ...idsOf(box.letters.map(({ row }) => row))]).size, 20_000)
})
