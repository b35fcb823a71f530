import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { fromDate } from '../../lib/core/time.ts'
import type { PlainWindow } from '../../lib/core/window.ts'
import type { SourceObserver, SourceProtocol } from '../../lib/source/protocol.ts'
import { StreamReadable } from '../../lib/source/stream-readable.ts'
import { type WindowOffset, WindowPlanner } from '../../lib/source/windows.ts'

/** Milliseconds that the service's clock is behind ours. */
const behind = 5000
/** Requests that come before a window is due see no row of it: it has not arrived. */
const serviceNow = () => Date.now() - behind

async function service(t: Test) {
  const ends: { end: number; at: number }[] = []
  const server = createServer((request, response) => {
    const { searchParams } = new URL(request.url!, 'http://x')
    const [start, end] = ['start', 'end'].map((name) => Date.parse(searchParams.get(name)!))
    const at = serviceNow()
    ends.push({ end: end!, at })
    response.setHeader('date', new Date(at).toUTCString())
    // A row in each second, there once it is over by the service's clock.
    const rows: { second: number }[] = []
    for (let second = Math.ceil(start! / 1000) * 1000; second < Math.min(end!, at); second += 1000)
      rows.push({ second })
    response.end(JSON.stringify(rows))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  t.teardown(() => server.closeAllConnections())
  return { ends, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/` }
}

const settings = {
  max_in_flight: 1,
  poll_interval_seconds: 0.1,
  available_now: false,
  checkpointLocation: undefined,
  checkpoint: undefined,
  max_retry_seconds: 1,
  initial_backoff: 1,
  max_backoff: 1,
  highWaterMark: undefined,
  signal: undefined,
  emitClose: undefined,
  captureRejections: undefined,
}

t.test(
  'a clock that is ahead of the service loses no row: windows are held back, with a warning',
  async (t) => {
    const { ends, url } = await service(t)
    const protocol = (observer: SourceObserver): SourceProtocol<PlainWindow, WindowOffset> => ({
      connector: 'seconds',
      async ask({ slice: { start, end } }) {
        observer.request()
        const response = await fetch(`${url}?${new URLSearchParams({ start, end })}`)
        observer.answered(response.headers.get('date') ?? undefined)
        return {
          kind: 'accepted',
          value: { rows: [(await response.json()) as { second: number }[]], bytes: 0 },
        }
      },
      close() {},
    })
    const begin = Math.floor(serviceNow() / 1000) * 1000
    const plan = { partition_duration: 3600, safety_lag_seconds: 0, min_partition_seconds: 1 }
    const planner = new WindowPlanner({ ...plan, start_time: fromDate(begin) })
    const source = new StreamReadable({ connector: 'seconds', identity: {}, protocol, planner }, settings)
    const warnings: NodeJS.ErrnoException[] = []
    const warn = (warning: Error) => warnings.push(warning)
    process.on('warning', warn)
    t.teardown(() => process.off('warning', warn))
    const seconds: unknown[] = []
    for await (const { second } of source) {
      seconds.push(second)
      // Past the first window, which was laid before the service's clock was known.
      if (seconds.length === 8) source.stop()
    }
    t.same(
      seconds,
      seconds.map((_, index) => begin + index * 1000),
      'none is missing, and none comes twice',
    )
    const ours = warnings.filter(({ code }) => code === 'CYBER_CONNECTORS_CLOCK_AHEAD')
    t.equal(ours.length, 1)
    t.match(ours[0]!.message, /^seconds: this host's clock is about [56] s ahead of the service's/)
    const early = ends.filter(({ end, at }) => end > at)
    t.equal(early.length, 1, "later windows are laid by the service's clock")
  },
)
