import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { BatchEvent, RejectedEvent, RetryEvent, SinkStats } from '../sink/events.ts'
import type { SourceRetryEvent, SourceSplitEvent } from '../source/events.ts'
import type { QueryNotice } from '../streaming/query-events.ts'

/** What streams and queries tell on diagnostics channels, by the channel's name behind `cyber-connectors:`. */
export interface Notices {
  sink: { readonly connector: string; readonly sink: { readonly stats: Readonly<SinkStats> } }
  batch: BatchEvent
  retry: RetryEvent
  rejected: RejectedEvent
  'source-window': { readonly connector: string; readonly rows: number }
  'source-retry': SourceRetryEvent
  'source-split': SourceSplitEvent
  query: QueryNotice
}

export type Listeners = { readonly [C in keyof Notices]?: (notice: Notices[C]) => void }

/** Listens to every stream and query of the process. @returns what ends it */
export function listenToAll(listeners: Listeners): () => void {
  const entries = Object.entries(listeners).map(
    ([name, listener]) => [`cyber-connectors:${name}`, listener as (message: unknown) => void] as const,
  )
  for (const [name, listener] of entries) subscribe(name, listener)
  return () => {
    for (const [name, listener] of entries) unsubscribe(name, listener)
  }
}

/** Why a request was tried again, or a row refused, as a label: the status, the service's code, or that no answer came. */
export function reasonOf({
  status,
  code,
}: {
  status: number | undefined
  code?: string | number | undefined
}): string {
  if (status === undefined) return code === undefined ? 'no answer' : String(code)
  return code === undefined ? String(status) : `${status}, code ${code}`
}
