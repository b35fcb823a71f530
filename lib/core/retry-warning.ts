/** The first failure of a stream that is retried. */
export interface FirstRetry {
  readonly connector: string
  /** Host and port that the stream speaks to, if its connector knows them. */
  readonly host?: string | undefined
  /** HTTP status, or the service's or the connection's own code. */
  readonly code?: string | number | undefined
  readonly text: string
  /** Milliseconds until the retry. */
  readonly wait: number
}

/** Maximum destinations remembered: a program that speaks to ever new ones must not grow. */
const mostRemembered = 1000

/** Destinations of which this process has warned. */
const warned = new Set<string>()

let silent = false

/** Turns the warnings of this process off: the command line reports each retry itself. */
export function silenceRetryWarnings(): void {
  silent = true
}

/**
 * Emits a process warning at the first retry to a host: without it a program whose host name is wrong is silent for as long
 * as retries last. Once for each connector and host of a process, since a query opens a sink for each window.
 */
export function warnOfRetry(
  { connector, host, code, text, wait }: FirstRetry,
  {
    warn_on_retry = true,
    max_retry_seconds,
  }: { readonly warn_on_retry?: boolean; readonly max_retry_seconds: number },
): void {
  const key = `${connector} ${host}`
  if (silent || !warn_on_retry || warned.has(key) || warned.size >= mostRemembered) return
  warned.add(key)
  // A source's error begins with the connector's name.
  const said = text.startsWith(`${connector}: `) ? text.slice(connector.length + 2) : text
  const what = code === undefined || said.includes(`${code}`) ? said : `${code}: ${said}`
  process.emitWarning(
    `${connector}: a request${host ? ` to ${host}` : ''} failed (${what}). It is retried in ${(wait / 1000).toFixed(1)} s, and for up to ${max_retry_seconds} s until it succeeds (max_retry_seconds); the event 'retry' reports each retry`,
    { code: 'CYBER_CONNECTORS_RETRY' },
  )
}
