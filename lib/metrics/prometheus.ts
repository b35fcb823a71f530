import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { Activity } from './activity.ts'
import { listenToAll, reasonOf } from './notices.ts'

/** How many windows of a queue are in which state. */
export type QueueDepths = Readonly<Record<'waiting' | 'active' | 'delayed' | 'completed' | 'failed', number>>

export interface PrometheusMetrics {
  readonly registry: Registry
  close(): void
}

const seconds = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300]

/**
 * Counters and gauges in the form of Prometheus, with those of the process itself.
 * @param queue asked at each scrape; undefined where it can't say
 */
export function prometheusMetrics(
  activity: Activity,
  queue: (() => Promise<QueueDepths | undefined>) | undefined,
): PrometheusMetrics {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry })
  const counter = (name: string, help: string, ...labelNames: string[]) =>
    new Counter({ name: `cyber_connectors_${name}`, help, labelNames, registers })
  const histogram = (name: string, help: string, ...labelNames: string[]) =>
    new Histogram({ name: `cyber_connectors_${name}`, help, labelNames, registers, buckets: seconds })
  const gauge = (
    name: string,
    help: string,
    label: string,
    collect: (gauge: Gauge<string>) => void | Promise<void>,
  ) =>
    new Gauge({
      name: `cyber_connectors_${name}`,
      help,
      labelNames: [label],
      registers,
      async collect() {
        await collect(this)
      },
    })

  const read = counter('rows_read_total', 'Rows that sources gave.', 'connector')
  const delivered = counter('rows_delivered_total', 'Rows that destinations acknowledged.', 'connector')
  const bytes = counter('bytes_delivered_total', 'Bytes of those rows, before compression.', 'connector')
  const batches = counter('batches_total', 'Batches that destinations acknowledged.', 'connector')
  const rejected = counter('rows_rejected_total', 'Rows that were refused for good.', 'connector', 'reason')
  const retries = counter('retries_total', 'Requests that were sent again.', 'connector', 'side', 'reason')
  const splits = counter('splits_total', 'Windows whose result was too large.', 'connector')
  const windows = counter('windows_total', 'Windows, by what became of them.', 'connector', 'outcome')
  const batchTime = histogram(
    'batch_duration_seconds',
    'From the first request of a batch to its ack.',
    'connector',
  )
  const windowTime = histogram('window_duration_seconds', 'From the turn of a window to its commit.', 'connector') // biome-ignore format: a line

  gauge('in_flight', 'Requests of sinks under way.', 'connector', (own) => {
    for (const [connector, count] of activity.inFlight) own.set({ connector }, count)
  })
  gauge('lag_seconds', 'From the end of the last committed window to now.', 'connector', (own) => {
    for (const { source, committed, state } of activity.queries)
      if (committed !== undefined && state !== 'ended')
        own.set({ connector: source }, Math.max(0, Date.now() - committed) / 1000)
  })
  if (queue) {
    gauge('queue_windows', 'Windows of the queue, over all workers.', 'state', async (own) => {
      const depths = await queue()
      own.reset()
      for (const [state, count] of Object.entries(depths ?? {})) own.set({ state }, count)
    })
  }

  const close = listenToAll({
    batch: ({ connector, rows, bytes: size, duration }) => {
      delivered.inc({ connector }, rows)
      bytes.inc({ connector }, size)
      batches.inc({ connector })
      batchTime.observe({ connector }, duration / 1000)
    },
    retry: ({ connector, status, code }) => {
      retries.inc({ connector, side: 'sink', reason: reasonOf({ status, code }) })
    },
    rejected: ({ connector, status, code }) => {
      rejected.inc({ connector, reason: reasonOf({ status, code }) })
    },
    'source-window': ({ connector, rows }) => read.inc({ connector }, rows),
    'source-retry': ({ connector, status }) => {
      retries.inc({ connector, side: 'source', reason: reasonOf({ status }) })
    },
    'source-split': ({ connector }) => splits.inc({ connector }),
    query: (notice) => {
      const { source: connector = 'none' } = notice
      if (notice.event === 'retry') windows.inc({ connector, outcome: 'run again' })
      else if (notice.event === 'failed') windows.inc({ connector, outcome: 'failed' })
      else if (notice.event === 'progress') {
        read.inc({ connector }, notice.rowsIn)
        windows.inc({ connector, outcome: 'done' })
        windowTime.observe({ connector }, notice.duration / 1000)
      }
    },
  })
  return { registry, close }
}
