import { channel } from 'node:diagnostics_channel'
import type { Readable } from 'node:stream'
import type { ConnectorError } from '../core/errors.ts'
import type { Slice } from '../core/slice.ts'
import type { SourceObserver, Row as SourceRow } from './protocol.ts'

/** Counts of a source, live. */
export interface SourceStats {
  /** Rows read. */
  rows: number
  /** Requests sent, retries among them. */
  requests: number
  retries: number
  /** How often a window was halved because its result was too large. */
  splits: number
  /** Bytes of the answers on the wire, most often compressed. */
  bytes: number
}

/** A request that is about to be made again. */
export interface RequestRetry {
  /** How many were made so far. */
  readonly attempts: number
  /** Milliseconds until the next one. */
  readonly wait: number
  readonly error: ConnectorError
}

/** Event `retry`: a request is going to be made again. */
export interface SourceRetryEvent<S extends Slice = Slice> {
  readonly connector: string
  /** How many requests were made so far. */
  readonly attempts: number
  /** Milliseconds until the next one. */
  readonly wait: number
  readonly status: number | undefined
  readonly text: string
  readonly window: S | undefined
}

/** Event `split`: a window whose result was too large is read in parts. */
export interface SourceSplitEvent<S extends Slice = Slice> {
  readonly connector: string
  readonly window: S
  readonly parts: readonly S[]
  readonly text: string
}

/**
 * Event `window`: the consumer has taken all rows of a window and asks for more. Whether a sink behind it has settled
 * them, only the sink knows. It has the window's own fields (`id`, and `start` and `end` of a window of time) beside these.
 */
export type SourceWindowEvent<S extends Slice = Slice> = S & {
  /** Rows of the window. */
  readonly rows: number
  /** How much of a bounded read is handed on by now, from 0 to 1; undefined for a streaming source. */
  readonly done?: number | undefined
}

/** The events of every source, by their name, with their arguments. */
export interface SourceEvents<Row = SourceRow, S extends Slice = Slice> {
  data: [row: Row]
  retry: [event: SourceRetryEvent<S>]
  split: [event: SourceSplitEvent<S>]
  window: [event: SourceWindowEvent<S>]
}

export function noSourceStats(): SourceStats {
  return { rows: 0, requests: 0, retries: 0, splits: 0, bytes: 0 }
}

/** Milliseconds that an answer's `Date` may lie back without a meaning. */
const clockTolerance = 3000

/** Streams whose rows a query or worker reports: their windows are not published a second time. */
const reportedElsewhere = new WeakSet<Readable>()

/** Leaves the windows of a stream to who reads it window by window: they are counted once. */
export function reportElsewhere(stream: Readable): void {
  reportedElsewhere.add(stream)
}

const channels = {
  retry: channel('cyber-connectors:source-retry'),
  split: channel('cyber-connectors:source-split'),
  window: channel('cyber-connectors:source-window'),
}

/**
 * Counts what a source does, and reports it as events of its stream; `retry`, `split` and `window` also on the
 * diagnostics channels `cyber-connectors:source-<event>`.
 */
export class SourceReporter implements SourceObserver {
  readonly #stream: Readable
  readonly #connector: string
  readonly #stats: SourceStats
  /** Milliseconds that our clock is ahead of the service's, by its last answer; 0 within some seconds. */
  clockAhead = 0
  #warned = false

  constructor(stream: Readable, connector: string, stats: SourceStats) {
    this.#stream = stream
    this.#connector = connector
    this.#stats = stats
  }

  request(): void {
    this.#stats.requests++
  }

  answered(date: string | undefined): void {
    const time = Date.parse(date ?? '')
    if (Number.isNaN(time)) return
    const ahead = Date.now() - time
    // The header has whole seconds, and an answer may take some time to come.
    this.clockAhead = ahead > clockTolerance ? ahead : 0
  }

  /** Warns, once, that a window is read again because our clock is ahead of the service's. */
  clockIsAhead(): void {
    if (this.#warned) return
    this.#warned = true
    process.emitWarning(
      `${this.#connector}: this host's clock is about ${Math.round(this.clockAhead / 1000)} s ahead of the service's: windows are held back by as long. Set the clock`,
      { code: 'CYBER_CONNECTORS_CLOCK_AHEAD' },
    )
  }

  response(bytes: number): void {
    this.#stats.bytes += bytes
  }

  emit(event: string, payload: object): void {
    if (!this.#stream.destroyed) this.#stream.emit(event, payload)
  }

  retry({ attempts, wait, error }: RequestRetry, window: Slice | undefined): void {
    this.#stats.retries++
    const { status } = error
    const text = this.#textOf(error)
    this.#publish('retry', {
      connector: this.#connector,
      attempts,
      wait,
      status,
      text,
      window,
    } satisfies SourceRetryEvent)
  }

  split(window: Slice, parts: readonly Slice[], error: ConnectorError): void {
    this.#stats.splits++
    const text = this.#textOf(error)
    this.#publish('split', { connector: this.#connector, window, parts, text } satisfies SourceSplitEvent)
  }

  window(slice: Slice, rows: number, done?: number): void {
    const event: SourceWindowEvent = { ...slice, rows, ...(done === undefined ? {} : { done }) }
    if (!reportedElsewhere.has(this.#stream))
      channels.window.publish({ connector: this.#connector, ...event })
    this.emit('window', event)
  }

  /** The message without the connector's name, which the event has already. */
  #textOf({ message }: ConnectorError): string {
    const name = `${this.#connector}: `
    return message.startsWith(name) ? message.slice(name.length) : message
  }

  #publish(event: 'retry' | 'split', payload: object): void {
    channels[event].publish(payload)
    this.emit(event, payload)
  }
}
