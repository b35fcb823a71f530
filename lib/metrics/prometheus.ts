import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { type Activity, lagOf, queryStates } from './activity.ts'
import { listenToAll, ReadRows, Reasons, reasonOf } from './notices.ts'

/** Number of windows of a queue by state. */
export type QueueDepths = Readonly<Record<'waiting' | 'active' | 'delayed' | 'completed' | 'failed', number>>

export interface PrometheusMetrics {
  readonly registry: Registry
  close(): void
}

/** The process, as labels of `build_info`. */
export interface ProcessInfo {
  readonly version: string
  readonly job?: string | undefined
  readonly source?: string | undefined
  readonly sink?: string | undefined
}

const seconds = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300]

/**
 * Counters and gauges for Prometheus, with those of the process itself. Series start at zero as soon as their connector is
 * known, so that `increase()` sees a first failure.
 * @param queue called at each scrape; undefined if its server does not answer
 */
export function prometheusMetrics(
  activity: Activity,
  queue: (() => Promise<QueueDepths | undefined>) | undefined,
  { version, job = '', source = '', sink = '' }: ProcessInfo,
): PrometheusMetrics {
  const registry = new Registry()
  const registers = [registry]
  if (job !== '') registry.setDefaultLabels({ job_name: job })
  collectDefaultMetrics({ register: registry })
  const counter = (name: string, help: string, ...labelNames: string[]) =>
    new Counter({ name: `cyber_connectors_${name}`, help, labelNames, registers })
  const histogram = (name: string, help: string, ...labelNames: string[]) =>
    new Histogram({ name: `cyber_connectors_${name}`, help, labelNames, registers, buckets: seconds })
  const gauge = (
    name: string,
    help: string,
    labelNames: string[],
    collect: (gauge: Gauge<string>) => void | Promise<void>,
  ) =>
    new Gauge({
      name: `cyber_connectors_${name}`,
      help,
      labelNames,
      registers,
      async collect() {
        this.reset()
        await collect(this)
      },
    })

  const read = counter('rows_read_total', 'Rows read from sources.', 'connector')
  const delivered = counter('rows_delivered_total', 'Rows that destinations acknowledged.', 'connector')
  const bytes = counter('bytes_delivered_total', 'Bytes of these rows, before compression.', 'connector')
  const batches = counter('batches_total', 'Batches that destinations acknowledged.', 'connector')
  const rejected = counter('rows_rejected_total', 'Rows that destinations rejected.', 'connector')
  const rejections = counter('rows_rejected_by_reason_total', 'The same by reason.', 'connector', 'reason')
  const retries = counter('retries_total', 'Requests that were retried.', 'connector', 'side')
  const retryReasons = counter(
    'retries_by_reason_total',
    'The same by reason.',
    'connector',
    'side',
    'reason',
  )
  const splits = counter('splits_total', 'Windows whose result was too large.', 'connector')
  const windows = counter('windows_total', 'Windows by outcome.', 'connector', 'outcome')
  const batchTime = histogram('batch_duration_seconds', 'First request to acknowledgement.', 'connector')
  const windowTime = histogram('window_duration_seconds', 'Start of a window to its commit.', 'connector')

  gauge(
    'build_info',
    'Version, job and connectors; always 1.',
    ['version', 'node', 'source', 'sink'],
    (own) => own.set({ version, node: process.version, source, sink }, 1),
  )
  gauge('state', '1 for the current state of a query, else 0.', ['connector', 'state'], (own) => {
    for (const query of activity.queries)
      for (const state of queryStates)
        own.inc({ connector: query.source, state }, query.state === state ? 1 : 0)
  })
  gauge('in_flight', 'Requests of sinks in flight.', ['connector'], (own) => {
    for (const [connector, count] of activity.inFlight) own.set({ connector }, count)
  })
  gauge(
    'lag_seconds',
    'From the end of the last committed window to now; 0 if a source without times is caught up.',
    ['connector'],
    (own) => {
      const lags = new Map<string, number>()
      for (const query of activity.queries) {
        const lag = lagOf(query)
        if (lag !== undefined) lags.set(query.source, Math.max(lag, lags.get(query.source) ?? 0))
      }
      for (const [connector, lag] of lags) own.set({ connector }, lag)
    },
  )
  const partitionLag = (unit: string) =>
    new Gauge({
      name: `cyber_connectors_partition_lag_${unit}`,
      help: `How far what is committed of a partition of Kafka is behind its end, in ${unit}.`,
      labelNames: ['connector', 'topic', 'partition'],
      registers,
    })
  const [lagMessages, lagSeconds] = [partitionLag('messages'), partitionLag('seconds')]
  if (queue) {
    gauge('queue_windows', 'Windows of the queue, over all workers.', ['state'], async (own) => {
      for (const [state, count] of Object.entries((await queue()) ?? {})) own.set({ state }, count)
    })
  }

  const sources = new Set<string>()
  const sinks = new Set<string>()
  const startSource = (connector: string) => {
    if (sources.has(connector)) return
    sources.add(connector)
    for (const each of [read, splits]) each.inc({ connector }, 0)
    retries.inc({ connector, side: 'source' }, 0)
    for (const outcome of ['done', 'retried', 'failed']) windows.inc({ connector, outcome }, 0)
  }
  const startSink = (connector: string) => {
    if (sinks.has(connector)) return
    sinks.add(connector)
    for (const each of [delivered, bytes, batches, rejected]) each.inc({ connector }, 0)
    retries.inc({ connector, side: 'sink' }, 0)
  }
  if (source !== '') startSource(source)
  if (sink !== '') startSink(sink)

  const reasons = new Reasons()
  const retried = (connector: string, side: 'source' | 'sink', reason: string) => {
    retries.inc({ connector, side })
    retryReasons.inc({ connector, side, reason: reasons.limited(`${side} ${connector}`, reason) })
  }
  const rowsRead = new ReadRows()
  const close = listenToAll({
    sink: ({ connector }) => startSink(connector),
    batch: ({ connector, rows, bytes: size, duration }) => {
      delivered.inc({ connector }, rows)
      bytes.inc({ connector }, size)
      batches.inc({ connector })
      batchTime.observe({ connector }, duration / 1000)
    },
    retry: ({ connector, status, code }) => retried(connector, 'sink', reasonOf({ status, code })),
    rejected: ({ connector, status, code }) => {
      rejected.inc({ connector })
      const reason = reasons.limited(`rejected ${connector}`, reasonOf({ status, code }))
      rejections.inc({ connector, reason })
    },
    'source-window': (window) => {
      startSource(window.connector)
      read.inc({ connector: window.connector }, rowsRead.ofSource(window))
    },
    'source-retry': ({ connector, status }) => retried(connector, 'source', reasonOf({ status })),
    'source-split': ({ connector }) => splits.inc({ connector }),
    'source-lag': ({ connector, topic, partition: number, messages, seconds: behind }) => {
      const labels = { connector, topic, partition: String(number) }
      lagMessages.set(labels, messages)
      lagSeconds.set(labels, behind)
    },
    query: (notice) => {
      const connector = notice.source ?? 'a function'
      startSource(connector)
      if (notice.event === 'retry') windows.inc({ connector, outcome: 'retried' })
      else if (notice.event === 'failed') windows.inc({ connector, outcome: 'failed' })
      else if (notice.event === 'progress') {
        read.inc({ connector }, rowsRead.ofQuery(notice))
        windows.inc({ connector, outcome: 'done' })
        windowTime.observe({ connector }, notice.duration / 1000)
      }
    },
  })
  return { registry, close }
}
