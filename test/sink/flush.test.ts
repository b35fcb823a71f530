import { once } from 'node:events'
import { Writable } from 'node:stream'
import { finished } from 'node:stream/promises'
import fc from 'fast-check'
import t from 'tap'
import type { DeliveryError } from '../../lib/core/errors.ts'
import { RowBlock } from '../../lib/core/row-block.ts'
import { scaled } from '../fixtures/scale.ts'
import { LetterBox } from '../fixtures/sink-trial.ts'
import { idsOf, receivedIds, rowsOf, splunkSink, startHec } from '../fixtures/splunk-trial.ts'

const failure = (promise: Promise<unknown>) => promise.then(() => undefined, (error: DeliveryError) => error) // biome-ignore format: one line

t.test('what was written so far is settled, and the stream goes on', async (t) => {
  const hec = await startHec(t)
  // Without the flush nothing would leave: the batch is not full, and lingers.
  const sink = splunkSink(hec, { batch_size: 10, linger_ms: 1e9 })
  await sink.flush()
  t.equal(hec.count, 0, 'there was nothing to wait for')
  for (const row of rowsOf(25)) sink.write(row)
  await sink.flush()
  t.same(receivedIds(hec).toSorted((a, b) => a - b), idsOf(rowsOf(25))) // biome-ignore format: a list
  t.equal(hec.count, 3, 'batches are as full as they can be')
  t.same(sink.unsettled, [])
  sink.write({ id: 25 })
  await Promise.all([sink.flush(), sink.flush()])
  t.equal(receivedIds(hec).length, 26)
  sink.write({ id: 26 })
  const flushed = sink.flush()
  sink.end({ id: 27 })
  await flushed
  await finished(sink)
  t.equal(receivedIds(hec).length, 28)
  await sink.flush()
})

t.test('rows that are corked, and those that are refused', async (t) => {
  const hec = await startHec(t)
  hec.failRow(1, 6)
  const box = new LetterBox()
  const sink = splunkSink(hec, { linger_ms: 1e9, dead_letter: box })
  sink.cork()
  for (const row of [...rowsOf(3), { id: 3, f: () => {} }]) sink.write(row)
  await sink.flush()
  t.same(receivedIds(hec), [0, 2])
  t.same(idsOf(box.letters.map(({ row }) => row)).toSorted((a, b) => a - b), [1, 3]) // biome-ignore format: a list
  sink.destroy()
  await once(sink, 'close')
  await sink.flush()
})

t.test('corked after the flush, while Node still holds rows that it waits for', async (t) => {
  const hec = await startHec(t)
  const sink = splunkSink(hec, { batch_size: 1, max_in_flight: 1 })
  for (const row of rowsOf(4)) sink.write(row)
  const flushed = sink.flush()
  sink.cork()
  await flushed
  t.equal(receivedIds(hec).length, 4)
  sink.cork()
  sink.write({ id: 4 })
  t.equal(sink.writableCorked, 1, 'and corks as ever once it is done')
  await sink[Symbol.asyncDispose]()
  t.equal(receivedIds(hec).length, 5)
})

t.test('rows in blocks are rows: flushed, counted, and listed when the stream is destroyed', async (t) => {
  const hec = await startHec(t)
  const sink = splunkSink(hec, { batch_size: 10, linger_ms: 1e9, max_in_flight: 1 })
  const rows = rowsOf(35)
  sink.cork()
  sink.write(new RowBlock(rows.slice(0, 12)))
  sink.write(rows[12])
  sink.write(new RowBlock(rows.slice(13, 25)))
  await sink.flush()
  t.same(receivedIds(hec), idsOf(rows.slice(0, 25)))
  t.equal(sink.stats.written, 25)
  hec.fail({ status: 503, times: Infinity })
  for (const part of [rows.slice(25, 27), rows.slice(27)]) sink.write(new RowBlock(part))
  t.same(sink.unsettled, rows.slice(25))
  const ended = failure(finished(sink))
  sink.destroy()
  t.same((await ended)?.rows, rows.slice(25))
  t.same(sink.unsettled, rows.slice(25))
})

t.test('a flush costs the same however many rows and flushes wait', async (t) => {
  const hec = await startHec(t)
  hec.fail({ status: 503, times: 1 })
  const sink = splunkSink(hec, { batch_size: 500, max_in_flight: 1, initial_backoff: 0.2, max_backoff: 0.2 })
  const retried = once(sink, 'retry')
  const first = rowsOf(500)
  for (const row of first) sink.write(row)
  const flushes = [sink.flush()]
  await retried
  // Node copies the list of what it holds each time it is asked for it.
  let copies = 0
  const { get } = Object.getOwnPropertyDescriptor(Writable.prototype, 'writableBuffer')!
  Object.defineProperty(sink, 'writableBuffer', {
    get() {
      copies++
      return get!.call(sink)
    },
  })
  let id = first.length
  for (let turn = 0; turn < 8000; turn++) {
    sink.write({ id: id++ })
    flushes.push(sink.flush())
    sink.write(new RowBlock([{ id: id++ }, { id: id++ }]))
    flushes.push(sink.flush())
  }
  t.equal(copies, 0, `for ${flushes.length} flushes`)
  t.equal(sink.stats.delivered, 0, 'all of them waited')
  let settledBefore = 0
  for (const [turn, flush] of flushes.entries()) {
    await flush
    const wanted = first.length + Math.ceil((turn * 3) / 2) - (turn % 2)
    if (sink.stats.delivered < wanted) settledBefore++
  }
  t.equal(settledBefore, 0, 'none resolved before its rows were settled')
  t.equal(sink.stats.delivered, id)
  await sink[Symbol.asyncDispose]()
})

t.test('a later row is not waited for', async (t) => {
  const hec = await startHec(t)
  const sink = splunkSink(hec, { batch_size: 1, max_in_flight: 2 })
  sink.write({ id: 0 })
  const flushed = sink.flush()
  hec.fail({ match: ({ body }) => body.includes('{"id":1}'), stall: 'before' })
  sink.write({ id: 1 })
  await flushed
  t.same(idsOf(sink.unsettled), [1])
  const error = failure(sink.flush())
  sink.destroy()
  t.match(await error, { code: 'ERR_ABORTED', connector: 'splunk' })
  t.same(idsOf((await error)?.rows), [1])
  await finished(sink).catch(() => {})
})

t.test('a destination that fails for a while, and one that fails for good', async (t) => {
  const hec = await startHec(t)
  hec.fail({ status: 503, times: 3 })
  const sink = splunkSink(hec, { batch_size: 2, max_in_flight: 1 })
  const closed = finished(sink).catch((error) => error)
  for (const row of rowsOf(3)) sink.write(row)
  await sink.flush()
  t.equal(receivedIds(hec).length, 3)
  hec.fail({ match: ({ body }) => body.includes('{"id":3}'), status: 503, times: Infinity })
  hec.fail({ status: 200, body: { text: 'Success', code: 0 }, times: 0 })
  sink.write({ id: 3 })
  const early = failure(sink.flush())
  sink.write({ id: 4 })
  const late = failure(sink.flush())
  hec.clearFaults().fail({ status: 401, body: { text: 'no', code: 4 }, times: Infinity })
  const error = (await early) as DeliveryError
  t.match(error, { code: 'ERR_AUTH', status: 401, serviceCode: 4, message: /the token was refused/ })
  t.same(idsOf(error.rows), [3], 'only those that were written before the flush')
  t.same(idsOf((await late)?.rows), [3, 4])
  t.equal(error.cause, await closed)
  t.match(await failure(sink.flush()), { code: 'ERR_AUTH', rows: [{ id: 3 }, { id: 4 }] })
})

t.test('destroyed by another error: that is the cause', async (t) => {
  const hec = await startHec(t)
  const sink = splunkSink(hec)
  const closed = finished(sink).catch((error) => error)
  sink.write({ id: 0 })
  sink.destroy(new Error('the source broke'))
  const error = await failure(sink.flush())
  t.match(error, {
    code: 'ERR_ABORTED',
    message: /1 row .*: the source broke/,
    cause: { message: 'the source broke' },
  })
  await closed
})

t.test('whatever the order of writes, flushes and faults: resolved means settled', async (t) => {
  const hec = await startHec(t)
  const steps = fc.array(fc.constantFrom('write', 'write', 'write', 'flush', 'wait', 'cork'), {
    maxLength: 40,
  })
  await fc.assert(
    fc.asyncProperty(
      steps,
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 3 }),
      fc.array(fc.nat(20), { maxLength: 3 }),
      fc.option(fc.nat(30), { nil: undefined, freq: 2 }),
      async (plan, batch_size, max_in_flight, faults, fatal) => {
        hec.clearFaults()
        for (const after of faults) hec.fail({ status: 503, retryAfter: 0, body: '', after })
        if (fatal !== undefined) hec.fail({ status: 401, body: '', after: fatal, times: Infinity })
        const sink = splunkSink(hec, { batch_size, max_in_flight, linger_ms: 5 })
        sink.on('error', () => {})
        let written = 0
        const flushes: Promise<void>[] = []
        for (const step of plan) {
          if (sink.destroyed) break
          if (step === 'write') sink.write({ id: written++ })
          else if (step === 'cork') sink.cork()
          else if (step === 'wait') await new Promise((resolve) => setImmediate(resolve))
          else {
            const until = written
            const check = (left: readonly unknown[], resolved: boolean) => {
              const own = idsOf(left).filter((id) => id < until)
              if (resolved === own.length > 0) throw new Error(`${resolved} with ${own} left of ${until}`)
            }
            flushes.push(sink.flush().then(() => check(sink.unsettled, true), (error) => check(error.rows, false))) // biome-ignore format: one call
          }
        }
        await Promise.all(flushes)
        await sink[Symbol.asyncDispose]().catch(() => {})
      },
    ),
    { numRuns: scaled(20, 60) },
  )
  t.pass()
})
