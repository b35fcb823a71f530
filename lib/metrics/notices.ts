import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { BatchEvent, RejectedEvent, RetryEvent, SinkStats } from '../sink/events.ts'
import type { SourceRetryEvent, SourceSplitEvent } from '../source/events.ts'
import type { QueryNotice, WindowDone } from '../streaming/query-events.ts'

/** Messages of the diagnostics channels `cyber-connectors:<name>`. */
export interface Notices {
  sink: { readonly connector: string; readonly sink: { readonly stats: Readonly<SinkStats> } }
  batch: BatchEvent
  retry: RetryEvent
  rejected: RejectedEvent
  'source-window': { readonly connector: string; readonly rows: number; readonly id?: string }
  'source-retry': SourceRetryEvent
  'source-split': SourceSplitEvent
  'source-lag': {
    readonly connector: string
    readonly topic: string
    readonly partition: number
    readonly messages: number
    readonly seconds: number
  }
  query: QueryNotice
}

/** Listens to every stream and query of the process. @returns a function that stops listening */
export function listenToAll(
  listeners: {
    readonly [C in keyof Notices]?: (notice: Notices[C]) => void
  },
): () => void {
  const entries = Object.entries(listeners).map(
    ([name, listener]) => [`cyber-connectors:${name}`, listener as (message: unknown) => void] as const,
  )
  for (const [name, listener] of entries) subscribe(name, listener)
  return () => {
    for (const [name, listener] of entries) unsubscribe(name, listener)
  }
}

/** Maximum number of reasons per connector, and maximum length of a code. */
const most = { reasons: 50, code: 60, windows: 200 }

/** Why a request was retried or a row refused: status and the service's code, or that there was no answer. */
export function reasonOf({
  status,
  code,
}: {
  status: number | undefined
  code?: string | number | undefined
}): string {
  const own = code === undefined ? undefined : String(code).slice(0, most.code)
  if (status === undefined) return own ?? 'no answer'
  return own === undefined ? String(status) : `${status}, code ${own}`
}

/** Keeps the number of distinct reasons small, as codes come from servers: the first fifty of each connector. */
export class Reasons {
  readonly #known = new Map<string, Set<string>>()

  /** @returns the reason, or `other` if there are too many */
  limited(connector: string, reason: string): string {
    const known = this.#known.get(connector) ?? new Set()
    this.#known.set(connector, known)
    if (!known.has(reason) && known.size >= most.reasons) return 'other'
    known.add(reason)
    return reason
  }
}

/** Counts rows read once: a source that a query's function makes reports its windows too. */
export class ReadRows {
  readonly #ofSources = new Map<string, number>()

  ofSource({ id, rows }: Notices['source-window']): number {
    if (id !== undefined) this.#ofSources.set(id, (this.#ofSources.get(id) ?? 0) + rows)
    const [oldest] = this.#ofSources.keys()
    if (this.#ofSources.size > most.windows) this.#ofSources.delete(oldest!)
    return rows
  }

  ofQuery({ source, window, rowsIn }: WindowDone & { readonly source: string | undefined }): number {
    const counted = source === undefined ? (this.#ofSources.get(window.id) ?? 0) : 0
    this.#ofSources.delete(window.id)
    return Math.max(0, rowsIn - counted)
  }
}
