/**
 * What the streams and queries of a process do, over HTTP: for Prometheus, for health checks, and as a page. The entry
 * point `cyber-connectors/metrics`. It needs the packages `prom-client` and `uplot`.
 * @packageDocumentation
 */

export type { QueueDepths } from './prometheus.ts'
export { type MetricsOptions, MetricsServer, serveMetrics } from './serve-metrics.ts'
