import { finished } from 'node:stream/promises'
import fc from 'fast-check'
import t from 'tap'
import { type ConnectorError, DeliveryError, RefusedRow } from '../../lib/core/errors.ts'
import type { SinkVerdict } from '../../lib/core/verdict.ts'
import { BatchingWritable } from '../../lib/sink/batching-writable.ts'
import type { Attempt, Body, SinkProtocol } from '../../lib/sink/protocol.ts'
import { scaled } from '../fixtures/scale.ts'
import { deliver, LetterBox, onChannels, type Row, watch } from '../fixtures/sink-trial.ts'

const accepted: SinkVerdict = { kind: 'accepted', value: { status: 200, text: 'ok' } }
const reason = { status: 400, code: 'X', text: 'no' }

interface Sent {
  readonly ids: number[]
  readonly key: string
  readonly bytes: number
}

/** The least protocol: what is sent is kept, and answered as the test says. */
class Trial implements SinkProtocol {
  readonly connector = 'trial'
  readonly framing = { open: '[', separator: ',', close: ']' }
  readonly keyed = true
  readonly maxRowBytes = 1000
  readonly sent: Sent[] = []
  closed = 0
  answer: (ids: number[], attempt: Attempt) => SinkVerdict | Promise<SinkVerdict> = () => accepted

  encode(row: Row) {
    if (row['bad']) throw new RefusedRow(`bad: ${row['bad']}`)
    return { wire: JSON.stringify(row), group: row['group'] as string | undefined }
  }

  async send({ bytes, key }: Body, attempt: Attempt): Promise<SinkVerdict> {
    const ids = (JSON.parse(bytes.toString()) as { id: number }[]).map(({ id }) => id)
    this.sent.push({ ids, key, bytes: bytes.length })
    return this.answer(ids, attempt)
  }

  close(): void {
    this.closed++
  }
}

function sinkOf(protocol: SinkProtocol, options: Record<string, unknown> = {}): BatchingWritable {
  const defaults = { batch_size: 10, batch_bytes: 10_000, linger_ms: 1000, max_in_flight: 1, max_retry_seconds: 300, max_retries: 3, initial_backoff: 0.001, max_backoff: 0.002, warn_on_retry: false, request_timeout: 1, dead_letter: undefined, highWaterMark: undefined, signal: undefined, emitClose: undefined, captureRejections: undefined } // biome-ignore format: a list
  return new BatchingWritable(protocol, { ...defaults, ...options })
}

const rowsOf = (count: number): Row[] => Array.from({ length: count }, (_, id) => ({ id }))

t.test('rows of different groups never share a request', async (t) => {
  const trial = new Trial()
  const rows = ['a', 'a', 'b', 'a', undefined, undefined, 'b'].map((group, id) => ({ id, group }))
  t.equal(await deliver(rows, sinkOf(trial)), undefined)
  t.same(trial.sent.map(({ ids }) => ids), [[0, 1, 3], [2, 6], [4, 5]]) // biome-ignore format: a list
  t.equal(trial.closed, 1)
})

t.test('with max_in_flight auto a throttle without a time holds its own batch alone', async (t) => {
  for (const [after, others] of [
    // So few that the time of answers is not judged.
    [undefined, 11],
    [3_600_000, 3],
  ] as const) {
    const trial = new Trial()
    let first = true
    trial.answer = async () => {
      // The four that are under way at first are all sent before one is answered.
      while (trial.sent.length < 4) await new Promise(setImmediate)
      if (!first) return accepted
      first = false
      return { kind: 'retry', reason: { status: 429, text: 'x' }, holdAll: true, after }
    }
    const waits = { initial_backoff: 1e6, max_backoff: 1e6, max_retry_seconds: 1e6 }
    const sink = sinkOf(trial, { batch_size: 1, max_in_flight: 'auto', ...waits })
    const { batches } = watch(sink)
    const enough = new Promise<void>((resolve) =>
      sink.on('batch', () => batches.length >= others && resolve()),
    )
    for (const row of rowsOf(12)) sink.write(row)
    await enough
    for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate)
    t.equal(batches.length, others, `after: ${after}`)
    sink.on('error', () => {})
    sink.destroy()
  }
})

t.test('a batch is filled for each group', async (t) => {
  const groups = (count: number, rows: number) =>
    Array.from({ length: rows }, (_, id) => ({ id, group: `g${id % count}` }))
  t.test('rows that alternate between groups share requests all the same', async (t) => {
    for (const [count, requests] of [[1, 20], [2, 20], [10, 20], [50, 50], [64, 64]] as const) {
      const trial = new Trial()
      const sink = sinkOf(trial, { batch_size: 50, batch_bytes: 1e6 })
      t.equal(await deliver(groups(count, 1000), sink), undefined)
      t.equal(trial.sent.length, requests, `${count} groups`)
    }
  }) // biome-ignore format: a table
  t.test('more groups than are kept open: the fullest batch leaves', async (t) => {
    const trial = new Trial()
    t.equal(await deliver(groups(100, 1000), sinkOf(trial, { batch_size: 50, batch_bytes: 1e6 })), undefined)
    t.equal(new Set(trial.sent.flatMap(({ ids }) => ids)).size, 1000)
  })
  t.test('whatever the groups, sizes and faults: order within a group, and all bounds', async (t) => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ group: fc.nat(80), length: fc.nat(120) }), { maxLength: 150 }),
        fc.integer({ min: 1, max: 10 }),
        fc.integer({ min: 1, max: 700 }),
        fc.boolean(),
        fc.nat(3),
        async (plan, batch_size, batch_bytes, late, failing) => {
          const trial = new Trial()
          let count = 0
          trial.answer = () =>
            failing > 0 && count++ % 4 < failing ? { kind: 'retry', reason, after: 1 } : accepted
          const sink = sinkOf(trial, { batch_size, batch_bytes, linger_ms: late ? 1 : 1000, max_retries: 9 })
          const rows = plan.map(({ group, length }, id) => ({
            id,
            group: `${group}`,
            text: 'x'.repeat(length),
          }))
          const error = await deliver(rows, sink)
          if (error) throw error
          const last = new Map<string, number>()
          const requests = trial.sent.filter(({ key }, at) => trial.sent[at + 1]?.key !== key)
          for (const { ids, bytes } of requests) {
            if (ids.length > batch_size) throw new Error('too many rows')
            if (ids.length > 1 && bytes > batch_bytes) throw new Error('too many bytes')
            for (const id of ids) {
              const { group } = rows[id]!
              if (group !== rows[ids[0]!]!.group) throw new Error('groups share a request')
              if ((last.get(group) ?? -1) >= id) throw new Error(`row ${id} is out of order`)
              last.set(group, id)
            }
          }
          if (requests.flatMap(({ ids }) => ids).length !== rows.length) throw new Error('rows missing')
        },
      ),
      { numRuns: scaled(50, 150) },
    )
    t.pass()
  })
  t.test('what is left over is in order of writing, whatever the groups', async (t) => {
    const trial = new Trial()
    trial.answer = (ids) => (ids.includes(0) ? { kind: 'retry', reason } : accepted)
    const error = await deliver(groups(3, 30), sinkOf(trial, { batch_size: 4, max_retries: 1 }))
    const left = (error!.rows as { id: number }[]).map(({ id }) => id)
    t.same(left, left.toSorted((a, b) => a - b)) // biome-ignore format: a list
    t.ok(left.includes(0) && left.includes(1) && left.includes(2), `${left}`)
  })
})

t.test('a row over the limit of one row is refused before it is sent', async (t) => {
  const trial = new Trial()
  const box = new LetterBox()
  const rows = [{ id: 0 }, { id: 1, text: 'x'.repeat(2000) }, { id: 2 }]
  t.equal(await deliver(rows, sinkOf(trial, { dead_letter: box })), undefined)
  t.same(trial.sent.map(({ ids }) => ids), [[0, 2]]) // biome-ignore format: a list
  t.match(box.letters, [
    {
      row: { id: 1 },
      connector: 'trial',
      reason: { code: 'ERR_ROW', text: 'the row has 2018 bytes as JSON, the most that can be sent is 1000' },
    },
  ])
  t.notOk('status' in (box.letters[0]?.reason ?? {}) && box.letters[0]?.reason.status)
})

t.test('both limits hold for any rows, the bytes with what is around and between', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.nat(300), { maxLength: 60 }),
      fc.integer({ min: 1, max: 12 }),
      fc.integer({ min: 1, max: 500 }),
      fc.integer({ min: 1, max: 4 }),
      async (lengths, batch_size, batch_bytes, max_in_flight) => {
        const trial = new Trial()
        let underWay = 0
        let most = 0
        trial.answer = async () => {
          most = Math.max(most, ++underWay)
          await new Promise((resolve) => setImmediate(resolve))
          underWay--
          return accepted
        }
        const rows = lengths.map((length, id) => ({ id, text: 'é'.repeat(length / 2) }))
        const error = await deliver(
          rows,
          sinkOf(trial, { batch_size, batch_bytes, max_in_flight, linger_ms: 1000 }),
        )
        if (error) throw error
        const ids = trial.sent.flatMap(({ ids }) => ids)
        if (ids.join() !== rows.map(({ id }) => id).join()) throw new Error('rows missing or out of order')
        if (most > max_in_flight) throw new Error('too many requests')
        for (const { ids, bytes } of trial.sent) {
          if (ids.length > batch_size) throw new Error('too many rows')
          if (ids.length > 1 && bytes > batch_bytes) throw new Error('too many bytes')
        }
        const size = ({ bytes }: Sent, next: Sent) =>
          bytes + 1 + Buffer.byteLength(JSON.stringify(rows[next.ids[0]!]))
        for (let at = 0; at + 1 < trial.sent.length; at++) {
          const [batch, next] = [trial.sent[at]!, trial.sent[at + 1]!]
          if (batch.ids.length < batch_size && size(batch, next) <= batch_bytes)
            throw new Error('left too early')
        }
      },
    ),
    { numRuns: scaled(50, 150) },
  )
  t.pass()
})

t.test('the key of a request stays the same over retries, and is never that of other rows', async (t) => {
  const trial = new Trial()
  let count = 0
  trial.answer = () => {
    count++
    if (count <= 2) return { kind: 'retry', reason }
    if (count === 3) return { kind: 'partial', accepted: 1, refusesNext: false, reason }
    if (count === 4) return { kind: 'split', reason }
    return accepted
  }
  t.equal(await deliver(rowsOf(5), sinkOf(trial)), undefined)
  t.same(trial.sent.map(({ ids }) => ids), [[0, 1, 2, 3, 4], [0, 1, 2, 3, 4], [0, 1, 2, 3, 4], [1, 2, 3, 4], [1, 2], [3, 4]]) // biome-ignore format: a list
  const keys = trial.sent.map(({ key }) => key)
  t.equal(new Set(keys.slice(0, 3)).size, 1)
  t.equal(new Set(keys.slice(2)).size, 4)
})

t.test('verdicts', async (t) => {
  t.test('a part taken is progress: retries count anew', async (t) => {
    const trial = new Trial()
    trial.answer = (ids) =>
      ids.length > 1 ? { kind: 'partial', accepted: 1, refusesNext: false, reason } : accepted
    t.equal(await deliver(rowsOf(10), sinkOf(trial, { max_retries: 1 })), undefined)
    t.equal(trial.sent.length, 10)
  })
  t.test('a partial answer that takes more than was sent is not believed', async (t) => {
    const trial = new Trial()
    trial.answer = () => ({ kind: 'partial', accepted: 99, refusesNext: true, reason })
    const sink = sinkOf(trial)
    t.equal(await deliver(rowsOf(3), sink), undefined)
    t.equal(sink.stats.delivered, 3)
  })
  t.test('refused: all rows of the request go to the dead letter', async (t) => {
    const trial = new Trial()
    const box = new LetterBox()
    trial.answer = () => ({ kind: 'refused', reason, aboutRow: true })
    const sink = sinkOf(trial, { dead_letter: box })
    const { rejected, batches } = watch(sink)
    t.equal(await deliver(rowsOf(3), sink), undefined)
    t.match(box.letters, [{ row: { id: 0 }, reason }, { row: { id: 1 } }, { row: { id: 2 } }])
    t.match(rejected, [{ connector: 'trial', row: { id: 0 }, ...reason }, {}, {}])
    t.same(batches, [])
    t.match(sink.stats, { written: 3, rejected: 3, delivered: 0 })
  })
  t.test(
    'refused alike by a reason that need not be about rows, and none ever accepted: the endpoint',
    async (t) => {
      for (const batch_size of [10, 1]) {
        const trial = new Trial()
        const box = new LetterBox()
        trial.answer = () => ({ kind: 'refused', reason })
        const error = await deliver(rowsOf(10), sinkOf(trial, { batch_size, dead_letter: box }))
        t.match(error, { code: 'ERR_DELIVERY', status: 400, serviceCode: 'X', message: /the endpoint or an option is at fault/ }) // biome-ignore format: a line
        t.same(box.letters, [])
        t.same(error?.rows?.slice(0, 3), rowsOf(3))
        if (batch_size === 10) t.equal(error?.rows?.length, 10)
        if (batch_size === 1) t.equal(trial.sent.length, 3, 'three in a row are enough')
      }
      for (const [status, code] of [
        [401, 'ERR_AUTH'],
        [403, 'ERR_AUTH'],
        [400, undefined],
      ] as const) {
        // biome-ignore format: a line
        const trial = new Trial()
        const box = new LetterBox()
        trial.answer = () => ({ kind: 'refused', reason: { status, text: 'no' } })
        const error = await deliver(rowsOf(1), sinkOf(trial, { batch_size: 1, dead_letter: box }))
        t.equal(error?.code, code, `one row in all, ${status}`)
        t.equal(box.letters.length, code ? 0 : 1)
      }
      for (const status of [400, 403]) {
        const trial = new Trial()
        const box = new LetterBox()
        trial.answer = (ids) =>
          ids.some((id) => id < 2 || id === 7)
            ? { kind: 'refused', reason: { status, text: 'no' } }
            : accepted
        const sink = sinkOf(trial, { batch_size: 1, dead_letter: box })
        for (const row of rowsOf(2)) sink.write(row)
        for (const row of rowsOf(10).slice(2)) sink.write(row)
        sink.end()
        await finished(sink)
        t.same(box.letters.map(({ row }) => (row as Row)['id']), [0, 1, 7], `${status}: rows that pass show that the others are at fault`) // biome-ignore format: a line
        const flushed = sinkOf(trial, { batch_size: 1, dead_letter: box })
        flushed.write({ id: 0 })
        if (status === 400) await flushed.flush()
        else await t.rejects(flushed.flush(), { code: 'ERR_AUTH' })
        flushed.on('error', () => {}).destroy()
      }
    },
  )
  t.test('the search for a row at fault finds it, and only it', async (t) => {
    for (const bad of [[0], [17], [49], [3, 4, 30]]) {
      const trial = new Trial()
      const box = new LetterBox()
      trial.answer = (ids) =>
        ids.some((id) => bad.includes(id)) ? { kind: 'split', bounded: true, reason } : accepted
      t.equal(await deliver(rowsOf(50), sinkOf(trial, { batch_size: 50, dead_letter: box })), undefined)
      t.same(
        box.letters.map(({ row }) => (row as Row)['id']),
        bad,
      )
    }
  })
  t.test('a search that finds a fault in each row costs little more than a request a row', async (t) => {
    const trial = new Trial()
    const box = new LetterBox()
    trial.answer = () => ({ kind: 'split', bounded: true, reason })
    const sink = sinkOf(trial, { batch_size: 1000, batch_bytes: 1e6, dead_letter: box })
    t.equal(await deliver(rowsOf(1000), sink), undefined)
    t.equal(box.letters.length, 1000)
    t.ok(trial.sent.length <= 1000 + 40, `${trial.sent.length} requests`)
    t.equal(box.letters.at(-1)?.reason.text, 'no')
  })
  t.test(
    'what is too large: later bodies are smaller from the start, those with a row at fault are not',
    async (t) => {
      for (const bounded of [false, true]) {
        const trial = new Trial()
        const box = new LetterBox()
        let refusals = 0
        trial.answer = (ids) => {
          const large = bounded ? ids.includes(3) : trial.sent.at(-1)!.bytes > 300
          if (large) refusals++
          return large ? { kind: 'split', bounded, reason } : accepted
        }
        t.equal(
          await deliver(rowsOf(2000), sinkOf(trial, { batch_size: 100, max_in_flight: 3, dead_letter: box })),
          undefined,
        )
        t.equal(box.letters.length, bounded ? 1 : 0)
        const late = trial.sent.slice(-11, -1)
        if (bounded) t.equal(trial.sent.filter(({ ids }) => ids.length === 100).length, 20)
        else {
          t.ok(refusals <= 9, `${refusals} refusals`)
          t.ok(late.every(({ bytes }) => bytes > 150 && bytes <= 300), `${late.map(({ bytes }) => bytes)}`) // biome-ignore format: one check
        }
      }
    },
  )
  t.test('one row that is too large does not make later bodies smaller than it', async (t) => {
    const trial = new Trial()
    const box = new LetterBox()
    trial.answer = () => (trial.sent.at(-1)!.bytes > 600 ? { kind: 'split', reason } : accepted)
    const rows = rowsOf(300).map((row, id) => (id === 5 ? { ...row, text: 'x'.repeat(900) } : row))
    t.equal(await deliver(rows, sinkOf(trial, { batch_size: 50, dead_letter: box })), undefined)
    t.match(box.letters, [{ row: { id: 5 } }])
    t.ok(trial.sent.slice(-5).every(({ ids }) => ids.length === 50)) // biome-ignore format: one check
  })
  t.test('fatal, and what is thrown', async (t) => {
    const own = new DeliveryError('ERR_AUTH', 'no', { connector: 'trial' })
    const cases: [() => SinkVerdict | Promise<SinkVerdict>, object][] = [
      [() => ({ kind: 'fatal', error: own }), { code: 'ERR_AUTH', message: 'no' }],
      [() => Promise.reject(own), { code: 'ERR_AUTH' }],
      [() => Promise.reject(new TypeError('a bug')), { code: 'ERR_DELIVERY', message: 'trial: a bug', cause: { name: 'TypeError' } }],
    ] // biome-ignore format: a list
    for (const [answer, expected] of cases) {
      const trial = new Trial()
      trial.answer = answer
      const error = await deliver(rowsOf(2), sinkOf(trial))
      t.match(error, expected)
      t.equal(error?.rows?.length, 2)
      t.equal(trial.sent.length, 1)
      t.equal(trial.closed, 1)
    }
  })
})

t.test('a row is refused for good only where it was refused alone, or by name', async (t) => {
  const kinds = fc.constantFrom('refused', 'partial', 'garbled')
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ bad: fc.boolean(), hour: fc.nat(2) }), { maxLength: 80 }),
      fc.constantFrom(0, 0.1, 0.5, 1),
      fc.boolean(),
      fc.array(kinds, { minLength: 1, maxLength: 5 }),
      fc.integer({ min: 1, max: 80 }),
      async (plan, share, oneHour, answers, batch_size) => {
        const trial = new Trial()
        const box = new LetterBox()
        const isBad = (id: number) => plan[id]!.bad && (id * 7919) % 100 < share * 100
        const named = new Set<number>()
        const alone = new Set<number>()
        const taken: number[] = []
        let count = 0
        trial.answer = (ids): SinkVerdict => {
          const first = ids.findIndex(isBad)
          const mixed = oneHour && ids.some((id) => plan[id]!.hour !== plan[ids[0]!]!.hour)
          if (first < 0 && !mixed) {
            taken.push(...ids)
            return accepted
          }
          const kind = answers[count++ % answers.length]
          if (kind === 'partial' && first >= 0 && !mixed) {
            named.add(ids[first]!)
            taken.push(...ids.slice(0, first))
            return { kind: 'partial', accepted: first, refusesNext: true, reason }
          }
          if (ids.length === 1) alone.add(ids[0]!)
          if (kind === 'garbled') return { kind: 'partial', accepted: Number.NaN, refusesNext: true, reason }
          return { kind: 'refused', reason, aboutRow: true }
        }
        const sink = sinkOf(trial, { batch_size, dead_letter: box })
        const error = await deliver(plan.map((_, id) => ({ id })), sink) // biome-ignore format: a list
        if (error) throw error
        const dead = box.letters.map(({ row }) => (row as { id: number }).id)
        const wrongly = dead.filter((id) => !named.has(id) && !alone.has(id))
        if (wrongly.length > 0) throw new Error(`refused without being asked alone: ${wrongly}`)
        if (dead.join() !== plan.flatMap((_, id) => (isBad(id) ? [id] : [])).join())
          throw new Error(`dead: ${dead}`)
        if (taken.length + dead.length !== plan.length) throw new Error('taken twice, or lost')
        const batches = Math.ceil(plan.length / batch_size)
        const most = plan.length + batches * (2 * Math.ceil(Math.log2(batch_size + 1)) + 3)
        if (trial.sent.length > most) throw new Error(`${trial.sent.length} requests, at most ${most}`)
      },
    ),
    { numRuns: scaled(100, 300) },
  )
  t.pass()
})

t.test('a batch that is cut on the way again and again goes in halves', async (t) => {
  const cut = () => Promise.reject(Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' }))
  t.test('later batches are small from the start', async (t) => {
    const trial = new Trial()
    trial.answer = () => (trial.sent.at(-1)!.bytes > 150 ? cut() : accepted)
    const sink = sinkOf(trial, { batch_size: 50, max_retries: 4 })
    t.equal(await deliver(rowsOf(400), sink), undefined)
    const cuts = trial.sent.filter(({ bytes }) => bytes > 150)
    t.equal(cuts.length, 6, 'three of the first batch, three of its first half')
    t.equal(sink.stats.delivered, 400)
    t.ok(trial.sent.slice(-10).every(({ bytes }) => bytes <= 150))
  })
  t.test('fewer cuts than that are retries of the whole, and other faults are no cuts', async (t) => {
    for (const code of ['ECONNRESET', 'ECONNREFUSED', 'ETIMEDOUT']) {
      const trial = new Trial()
      const times = code === 'ECONNRESET' ? 2 : 6
      trial.answer = () => trial.sent.length > times ? accepted : Promise.reject(Object.assign(new Error('x'), { code })) // biome-ignore format: one line
      t.equal(await deliver(rowsOf(10), sinkOf(trial, { max_retries: 9 })), undefined)
      t.ok(trial.sent.every(({ ids }) => ids.length === 10), code) // biome-ignore format: one check
    }
  })
  t.test('where nothing passes the retries of one part run out, and all rows are on the error', async (t) => {
    const trial = new Trial()
    trial.answer = cut
    const error = await deliver(rowsOf(10), sinkOf(trial, { max_retries: 4 }))
    t.match(error, { code: 'ERR_DELIVERY', attempts: 5 })
    t.equal(error?.rows?.length, 10)
    t.equal(trial.sent.length, 3 * 4 + 5, '10, 5, 3 and 2 rows three times, then one row')
  })
})

t.test('a partial answer that never advances is a retry, with the same key', async (t) => {
  const trial = new Trial()
  trial.answer = () => ({ kind: 'partial', accepted: 0, refusesNext: false, reason })
  const error = await deliver(rowsOf(3), sinkOf(trial))
  t.match(error, { code: 'ERR_DELIVERY', attempts: 4 })
  t.equal(trial.sent.length, 4)
  t.equal(new Set(trial.sent.map(({ key }) => key)).size, 1)
})

t.test('slowDown holds the next requests back', async (t) => {
  const trial = new Trial()
  const times: number[] = []
  trial.answer = () => {
    times.push(Date.now())
    return { ...accepted, slowDown: true } as SinkVerdict
  }
  t.equal(
    await deliver(rowsOf(40), sinkOf(trial, { batch_size: 1, initial_backoff: 0.01, max_backoff: 0.01 })),
    undefined,
  )
  t.ok(times.at(-1)! - times[0]! > 40, 'about 5 ms each')
})

t.test('events, counts and diagnostics channels say the same', async (t) => {
  const trial = new Trial()
  let count = 0
  trial.answer = () =>
    count++ === 0 ? { kind: 'retry', reason: { status: 503, code: 9, text: 'busy' }, after: 0 } : accepted
  const sink = sinkOf(trial, { dead_letter: new LetterBox() })
  const { batches, retries, rejected } = watch(sink)
  const heard = await onChannels(() => deliver([{ id: 0 }, { id: 1, bad: 'why' }, { id: 2 }], sink))
  // A server that asks for no wait gets the first backoff of the policy, which is a millisecond here.
  t.match(retries, [
    { connector: 'trial', rows: 2, attempts: 1, wait: 1, status: 503, code: 9, text: 'busy' },
  ])
  t.match(batches, [{ connector: 'trial', rows: 2, bytes: 16, attempts: 2, status: 200, duration: Number }])
  t.match(rejected, [{ connector: 'trial', row: { id: 1 }, code: 'ERR_ROW', text: 'bad: why' }])
  t.same(heard.length, 3)
  for (const event of [...batches, ...retries, ...rejected]) t.ok(heard.includes(event))
  t.same(sink.stats, {
    written: 3,
    delivered: 2,
    rejected: 1,
    requests: 2,
    retries: 1,
    inFlight: 0,
    bytes: 16,
  })
})

t.test(
  'a protocol that hangs on when it is cut: close comes after a while, and what it says then is ignored',
  async (t) => {
    const trial = new Trial()
    let answer: (verdict: SinkVerdict) => void = () => {}
    trial.answer = () =>
      new Promise((resolve) => {
        answer = resolve
        sink.destroy()
      })
    const sink = sinkOf(trial)
    const end = finished(sink).catch((error: ConnectorError) => error)
    sink.end({ id: 0 })
    const error = await end
    t.match(error, { code: 'ERR_ABORTED' })
    t.same((error as ConnectorError).rows, [{ id: 0 }])
    answer(accepted)
    await new Promise((resolve) => setImmediate(resolve))
    t.same(sink.unsettled, [{ id: 0 }])
  },
)
