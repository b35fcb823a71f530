import fc from 'fast-check'
import t from 'tap'
import { type Fault, type SearchFault, searchFaults } from '../../../../lib/emulators/index.ts'
import { SplunkReadable, SplunkStreamReadable } from '../../../../lib/index.ts'
import { scaled } from '../../../fixtures/scale.ts'
import { addEvents, at, day, reach, startSplunk, type TestEvent } from '../../../fixtures/splunk-events.ts'

const runs = scaled(8, 200)

/** Lengths of windows, so that instants can lie right on their ends and beside them. */
const grain = 5
const span = 60

/** On an end of a window, or a microsecond, a millisecond or a second beside it; or anywhere. */
const instant = fc.oneof(
  {
    weight: 3,
    arbitrary: fc
      .tuple(fc.integer({ min: 0, max: span / grain }), fc.constantFrom(0, 1e-6, -1e-6, 1e-3, -1e-3, 1, -1))
      .map(([end, beside]) => end * grain + beside),
  },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: span * 1_000_000 }).map((micros) => micros / 1_000_000) },
)

/** An event arrives at once, late, or with a time that is yet to come. */
const event = fc.record({ time: instant, indexed: fc.oneof(instant.map(Math.floor), fc.constant(undefined)) })

const fault = fc.constantFrom<SearchFault>(
  { previews: 1 },
  // A job has no last row that could be missing.
  { match: ({ kind }) => kind === 'export', noLastRow: true, rows: 1 },
  { match: ({ kind }) => kind === 'export', cutLine: true, rows: 2 },
  searchFaults.quota(),
  searchFaults.peerFailed(1),
  searchFaults.fatal(),
  searchFaults.diskQuota(1),
  searchFaults.timeLimit(0),
)

/** What happens to single requests, whichever they are. */
const requestFault = fc.constantFrom<Fault>(
  { status: 204 },
  { status: 507 },
  { status: 529, body: '<html>overloaded</html>' },
  { status: 598 },
  { status: 503, retryAfter: '-5' },
  { status: 429, retryAfter: '5, 10' },
  { status: 503, retryAfter: 'Thu, 01 Jan 1970 00:00:00 GMT' },
  { reset: 'before' },
  { reset: 'within' },
  { reset: 'after' },
  { truncate: true },
)

const cases = fc.record({
  events: fc.array(event, { minLength: 1, maxLength: 40 }),
  faults: fc.array(fault, { maxLength: 6 }),
  requestFaults: fc.array(requestFault, { maxLength: 4 }),
  window: fc.constantFrom(grain, 3 * grain, 7, 60),
  inFlight: fc.integer({ min: 1, max: 3 }),
  read: fc.constantFrom('event_time', 'index_time', 'stream', 'job'),
  indexBounds: fc.constantFrom('inclusive', 'exclusive'),
  timeForm: fc.constantFrom('zone', 'offset'),
  lastRow: fc.constantFrom('row', 'line', 'both'),
})

t.test('each event comes once, whatever its times, the ends of windows, the faults', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      cases,
      async ({ events, faults, requestFaults, window, inFlight, read, indexBounds, timeForm, lastRow }) => {
        // With lastrow on rows alone, an answer without rows has none: splunkd writes a last line there.
        const splunk = await startSplunk(t, {
          indexBounds,
          timeForm,
          lastRow: lastRow === 'row' ? 'both' : lastRow,
        } as never)
        try {
          const given: TestEvent[] = events.map(({ time, indexed }, n) => ({
            time,
            indexed: Math.min(span, Math.max(0, indexed ?? Math.ceil(time))),
            n,
          }))
          addEvents(splunk, given)
          splunk.failSearch(...faults)
          splunk.fail(...requestFaults)
          const shared = {
            ...reach(splunk),
            index: 'main',
            max_in_flight: inFlight,
            max_retries: 20,
            initial_backoff: 0.001,
            max_backoff: 0.002,
            look_back_seconds: 'all',
            look_ahead_seconds: 'all',
            held_bytes: 300,
            min_partition_seconds: 0.001,
          } as const
          const range = { start_time: at(0), end_time: at(span), partition_duration: window }
          const source =
            read === 'stream'
              ? new SplunkStreamReadable({
                  ...shared,
                  start_time: at(0),
                  partition_duration: window,
                  safety_lag_seconds: Date.now() / 1000 - (day + span + 0.5),
                  available_now: true,
                })
              : new SplunkReadable({
                  ...shared,
                  ...range,
                  window_by: read === 'index_time' ? 'index_time' : 'event_time',
                  search_mode: read === 'job' ? 'job' : 'auto',
                })
          const rows: Record<string, unknown>[] = await source.toArray()
          const found = rows.map(({ n }) => Number(n)).sort((a, b) => a - b)
          const byIndex = read === 'index_time' || read === 'stream'
          const wanted = given
            .filter(({ time, indexed }) => {
              const own = byIndex ? indexed! : Number(time.toFixed(6))
              // A stream ends where the clock says, some time after `span`.
              return own >= 0 && (read === 'stream' ? own <= span : own < span)
            })
            .map(({ n }) => n)
          return JSON.stringify(found) === JSON.stringify(wanted)
        } finally {
          await splunk.close()
        }
      },
    ),
    { numRuns: runs, endOnFailure: true },
  )
})
