import { Readable } from 'node:stream'
import { finished, pipeline } from 'node:stream/promises'
import { inspect } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import type { ConnectorError } from '../../../lib/core/errors.ts'
import { type Fault, HecEmulator, type RecordedRequest } from '../../../lib/emulators/index.ts'
import { scaled } from '../../fixtures/scale.ts'
import { LetterBox, type Row, soak } from '../../fixtures/sink-trial.ts'
import { idsOf, splunkSink, startHec } from '../../fixtures/splunk-trial.ts'

type Trouble =
  | { readonly kind: 'fault'; readonly fault: Fault }
  | { readonly kind: 'row'; readonly row: number; readonly code: number }
  | { readonly kind: 'body'; readonly code: number }
  | { readonly kind: 'lost' }

interface Plan {
  readonly rows: number
  /** Rows that the collector always refuses, and rows that can not be written. */
  readonly refused: readonly number[]
  readonly unwritable: readonly number[]
  readonly batch_size: number
  readonly max_in_flight: number
  readonly max_retries: number
  readonly highWaterMark: number
  readonly deadLetter: boolean
  /** Batch size and requests under way are found by trial. */
  readonly auto: boolean
  readonly ack: boolean
  readonly cork: boolean
  readonly troubles: readonly Trouble[]
  /** The sink is destroyed at this request (0: by the writer, in the middle of its rows). */
  readonly destroyAt: number | undefined
}

const code = (kind: 'row' | 'body', codes: number[]) =>
  kind === 'row'
    ? fc.record({ kind: fc.constant(kind), row: fc.nat(12), code: fc.constantFrom(...codes) })
    : fc.record({ kind: fc.constant(kind), code: fc.constantFrom(...codes) })

const faults: Fault[] = [
  ...[408, 425, 429, 500, 502, 503, 504, 507, 520, 529, 599].map((status) => ({
    status,
    retryAfter: 0,
    body: '',
  })),
  ...[413, 413, 401, 404].map((status) => ({ status, body: '' })),
  { reset: 'before' },
  { reset: 'within' },
  { reset: 'after' },
  { reset: 'after' },
  // As often as it takes for a batch to go in halves.
  { reset: 'before', times: 4 },
  { reset: 'after', times: 4 },
  ...[-1, 0, 99].map((number) => ({ status: 400, body: { code: 6, 'invalid-event-number': number } })),
  { status: 400, body: { code: 13 } },
]

const trouble: fc.Arbitrary<Trouble> = fc.oneof(
  fc.record({ kind: fc.constant('fault' as const), fault: fc.constantFrom(...faults) }),
  code('row', [6, 7, 9, 12, 13, 15]) as fc.Arbitrary<Trouble>,
  code('body', [0, 8, 9, 18, 23, 24, 25, 26, 6, 5]) as fc.Arbitrary<Trouble>,
  fc.constant({ kind: 'lost' as const }),
)

const plans: fc.Arbitrary<Plan> = fc.record({
  rows: fc.nat(60),
  refused: fc.array(fc.nat(60), { maxLength: 4 }),
  unwritable: fc.array(fc.nat(60), { maxLength: 3 }),
  batch_size: fc.integer({ min: 1, max: 15 }),
  max_in_flight: fc.integer({ min: 1, max: 4 }),
  max_retries: fc.integer({ min: 0, max: 5 }),
  highWaterMark: fc.integer({ min: 1, max: 20 }),
  deadLetter: fc.boolean(),
  auto: fc.nat(4).map((number) => number === 0),
  ack: fc.nat(9).map((number) => number === 0),
  cork: fc.boolean(),
  troubles: fc.array(trouble, { maxLength: 12 }),
  destroyAt: fc.option(fc.nat(8), { nil: undefined, freq: 3 }),
})

/** Whether the sink can not know that a row was taken in by this request, which took in those of `ids`. */
function isInDoubt(
  id: number,
  ids: readonly number[],
  { fault, status, ackId, headers }: RecordedRequest,
  hec: HecEmulator,
  ack: boolean,
): boolean {
  if (fault?.reset || status === undefined) return true
  // It was busy: the count in its answer may begin at 0 or 1.
  if (status === 503 && ids.at(-1) === id) return true
  const channel = 'x-splunk-request-channel'
  const isTold = ({ acknowledged, headers: asked, fault, status }: RecordedRequest) =>
    acknowledged?.includes(ackId!) && asked[channel] === headers[channel] && !fault?.reset && status === 200
  return ack && !hec.requests.some(isTold)
}

async function run(plan: Plan): Promise<void> {
  await using hec = await new HecEmulator({ ack: plan.ack }).start()
  for (const each of plan.troubles) {
    if (each.kind === 'fault') hec.fail(each.fault)
    else if (each.kind === 'row') hec.failRow(each.row, each.code)
    else if (each.kind === 'body') hec.answerCode(each.code, { retryAfter: 0 })
    else if (plan.ack) hec.loseBatches()
  }
  hec.refuse = ({ event }) => (plan.refused.includes((event as Row)['id'] as number) ? 13 : undefined)
  const box = new LetterBox()
  const sink = splunkSink(hec, {
    batch_size: plan.auto ? 'auto' : plan.batch_size,
    max_in_flight: plan.auto ? 'auto' : plan.max_in_flight,
    max_retries: plan.max_retries,
    highWaterMark: plan.highWaterMark,
    linger_ms: 1,
    ack: plan.ack,
    ack_timeout: 0.05,
    ...(plan.deadLetter && { dead_letter: box }),
  })
  let cut = false
  const destroy = () => {
    cut ||= !sink.destroyed
    sink.destroy()
  }
  if (plan.destroyAt) {
    hec.on('request', () => {
      if (hec.count === plan.destroyAt) setImmediate(destroy)
    })
  }
  let error: ConnectorError | undefined
  const end = finished(sink).catch((failure) => {
    error = failure
  })
  const written: number[] = []
  let callbacks = 0
  if (plan.cork) sink.cork()
  for (let id = 0; id < plan.rows && !sink.destroyed; id++) {
    if (plan.destroyAt === 0 && id === plan.rows >> 1) destroy()
    if (sink.destroyed) break
    written.push(id)
    const row = plan.unwritable.includes(id) ? { id, value: () => {} } : { id }
    if (sink.write(row, () => callbacks++) || plan.cork) continue
    await Promise.race([new Promise((resolve) => sink.once('drain', resolve)), end])
  }
  const destroyed = sink.destroyed
  if (!destroyed) sink.end()
  await end
  // A clean destroy, with nothing left, is a premature close to `finished`.
  const premature = (error as NodeJS.ErrnoException | undefined)?.code === 'ERR_STREAM_PREMATURE_CLOSE'
  const left = idsOf(sink.unsettled)
  const dead = idsOf(box.letters.map(({ row }) => row))
  const fail = (what: string): never => {
    const requests = hec.requests.map(({ path, rows, status, fault, ackId, acknowledged }) => ({ path, rows: idsOf((rows ?? []).map((row) => (row as { event: Row }).event)), status, fault, ackId, acknowledged })) // biome-ignore format: one object
    throw new Error(
      `${what}\n${inspect({ written, dead, left, error, requests }, { depth: 6, maxArrayLength: null })}`,
    )
  }
  if (!premature && error && !error.rows) fail('the error has no rows')
  if (!premature && error && idsOf(error.rows).join() !== left.join()) fail('the error and the sink differ')
  if (premature && left.length > 0) fail('rows are left, and it looks like a clean end')
  if (!error && (left.length > 0 || written.length !== plan.rows)) fail('a clean end with rows left')
  if (callbacks !== written.length) fail(`${callbacks} callbacks for ${written.length} rows`)
  if (left.some((id, at) => at > 0 && left[at - 1]! >= id)) fail('the rows left are out of order')
  if (new Set(dead).size !== dead.length) fail('a row is dead-lettered twice')
  if (dead.some((id) => left.includes(id))) fail('a row is dead-lettered and left')
  if (sink.stats.inFlight !== 0) fail('a request is under way after the end')
  if (sink.stats.delivered + dead.length + left.length !== written.length) fail('the counts do not add up')

  // The end was abrupt: answers to the requests under way may not have been read.
  const abrupt = cut || (error !== undefined && error.attempts === undefined && error.code !== 'ERR_REJECTED' && error.code !== 'ERR_ROW') // biome-ignore format: one condition
  const takings = hec.requests.flatMap((request) => {
    const ids = idsOf((request.rows ?? []).map((row) => (row as { event: Row }).event))
    return ids.map((id) => ({ id, request, inDoubt: isInDoubt(id, ids, request, hec, plan.ack) }))
  })
  for (const id of [...dead, ...left]) if (!written.includes(id)) fail(`row ${id} was never written`)
  for (const id of written) {
    const own = takings.filter((taking) => taking.id === id)
    const known = own.filter(({ inDoubt }) => !inDoubt).length
    const isDead = dead.includes(id)
    const isLeft = left.includes(id)
    if (own.length === 0 && !isDead && !isLeft) fail(`row ${id} is lost`)
    if (known > 1) fail(`row ${id} was taken ${own.length} times`)
    if (isDead && known > 0) fail(`row ${id} was taken and dead-lettered`)
    if (isLeft && known > 0 && !abrupt) fail(`row ${id} was taken and is left`)
  }
  const unread = new Set(takings.filter(({ id, inDoubt }) => !inDoubt && left.includes(id)).map(({ request }) => request)) // biome-ignore format: one set
  const inFlight = plan.auto ? 64 : plan.max_in_flight
  if (unread.size > inFlight - (cut ? 0 : 1)) fail(`${unread.size} answers were not read`)
  if (!error && plan.refused.some((id) => id < plan.rows && !dead.includes(id)))
    fail('a refused row is nowhere')
}

t.test(
  'what is received, dead-lettered and in error.rows is what was written, whatever happens',
  async (t) => {
    // Destroyed in the turn in which a row that can't be encoded was written.
    const known = { rows: 2, refused: [], unwritable: [0], batch_size: 1, max_in_flight: 1, max_retries: 0, highWaterMark: 2, deadLetter: true, auto: true, ack: true, cork: false, troubles: [], destroyAt: 0 } // biome-ignore format: one object
    await fc.assert(fc.asyncProperty(plans, run), {
      examples: [[known]],
      numRuns: Number(process.env['FC_RUNS'] ?? scaled(20, 400)),
    })
    t.pass()
  },
)

const count = scaled(20_000, 200_000)
t.test(`${count} rows with faults: memory does not grow with them`, async (t) => {
  const hec = await startHec(t, { keepEvents: false, record: false })
  for (let after = 5; after < count / 105; after += count / 2000) {
    hec.fail(
      { status: 503, retryAfter: 0, body: '', after },
      { reset: 'after', after: after + scaled(3, 30) },
      { reset: 'before', after: after + scaled(5, 50) },
    )
    hec.failRow(20, 6).failRow(0, 9)
  }
  const box = new LetterBox()
  // By the order in which requests arrive, one batch may have nearly all the refusals.
  const max_retries = 60
  const sink = splunkSink(hec, {
    batch_size: 100,
    max_retries,
    dead_letter: box,
    time_column: 'TimeGenerated',
  })
  const grown = await soak(count, sink)
  t.ok(grown < 4_000_000, `grown by ${grown} bytes`)
  t.equal(sink.stats.delivered + sink.stats.rejected, count)
  t.equal(sink.stats.rejected, box.letters.length)
  t.ok(box.letters.length > 0 && sink.stats.retries > 30, `${sink.stats.retries} retries`)
  t.ok(hec.received >= sink.stats.delivered, 'some came twice, none is missing')
})

t.test(
  'bytes of batches hold other rows later: each row arrives as it was, whatever happens to requests',
  async (t) => {
    const count = scaled(1000, 4000)
    const text = (id: number) => `${id} ä `.repeat((id * 7919) % 400)
    for (const compression of ['gzip', 'none'] as const) {
      await using hec = await new HecEmulator({ record: false }).start()
      for (let after = 2; after < scaled(40, 150); after += 8) {
        hec.fail(
          { status: 503, retryAfter: 0, body: '', after },
          { reset: 'within', after: after + 2 },
          { status: 413, body: '', after: after + 4 },
          { reset: 'after', after: after + 6 },
        )
        hec.failRow(20, 6)
      }
      const box = new LetterBox()
      const sink = splunkSink(hec, { batch_size: 64, max_retries: 60, dead_letter: box, compression })
      const rows = Array.from({ length: count }, (_, id) => ({ id, text: text(id) }))
      await pipeline(Readable.from(rows), sink)
      // One whose answer was cut may have been taken, and refused when it came again.
      const known = new Set(
        idsOf([...hec.events.map(({ event }) => event), ...box.letters.map(({ row }) => row)]),
      )
      t.ok(
        hec.events.every(({ event }) => (event as Row)['text'] === text((event as Row)['id'] as number)),
        compression,
      )
      t.equal(known.size, count)
      t.ok(sink.stats.retries > scaled(5, 20), `${sink.stats.retries} retries`)
    }
  },
)
