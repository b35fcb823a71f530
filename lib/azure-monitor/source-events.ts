import type { Readable } from 'node:stream'
import { formatInstant } from '../core/time.ts'
import { toPlainWindow } from '../core/window.ts'
import type { SourceRetryEvent, SourceSplitEvent, SourceStats } from './azure-monitor-readable.ts'
import { connectorName } from './options.ts'
import type { ReaderObserver } from './window-reader.ts'

/** Counts what a reader does, and tells it as events of a stream. */
export function observeReader(
  stream: Readable,
  stats: SourceStats,
  timestampColumn: string,
  onRetry?: (event: SourceRetryEvent) => void,
): ReaderObserver {
  let columns: string | undefined
  let warned = false
  const tell = (event: string, message: object) => {
    if (!stream.destroyed) stream.emit(event, message)
  }
  return {
    request: () => {
      stats.requests++
    },
    response: (bytes) => {
      stats.bytes += bytes
    },
    retry: ({ attempts, wait, error, window }) => {
      stats.retries++
      const event: SourceRetryEvent = {
        connector: connectorName,
        attempts,
        wait,
        status: error.status,
        text: error.message,
        window: window && toPlainWindow(window),
      }
      onRetry?.(event)
      tell('retry', event)
    },
    split: (window, parts, reason) => {
      stats.splits++
      const event: SourceSplitEvent = {
        connector: connectorName,
        window: toPlainWindow(window),
        parts: parts.map(toPlainWindow),
        text: reason.message,
      }
      tell('split', event)
    },
    schema: (schema) => {
      const text = JSON.stringify(schema)
      if (text === columns) return
      columns = text
      tell('schema', schema)
    },
    outside: ({ start, end }, timestamp) => {
      if (warned) return
      warned = true
      process.emitWarning(
        `${connectorName}: rows were left out whose ${timestampColumn} (${String(timestamp)}) is not in the window that they came with (${formatInstant(start)} to ${formatInstant(end)}). A query that works out its timestamps, as bin() does, can not be read in several windows`,
        { code: 'CYBER_CONNECTORS_ROWS_OUTSIDE' },
      )
    },
  }
}
