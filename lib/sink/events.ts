import { channel } from 'node:diagnostics_channel'
import type { EventEmitter } from 'node:events'

/** Event `batch`: the destination acknowledged rows of one request. */
export interface BatchEvent {
  readonly connector: string
  readonly rows: number
  /** Bytes of these rows on the wire, before compression. */
  readonly bytes: number
  /** Requests that it took. */
  readonly attempts: number
  /** HTTP status of the last response. */
  readonly status: number | undefined
  /** Milliseconds from the first request to the acknowledgement. */
  readonly duration: number
}

/** Event `retry`: a request is going to be sent again. */
export interface RetryEvent {
  readonly connector: string
  readonly rows: number
  /** How many requests were made so far. */
  readonly attempts: number
  /** Milliseconds until the next one. */
  readonly wait: number
  readonly status: number | undefined
  readonly code: string | number | undefined
  readonly text: string
}

/** Event `rejected`: a row was refused permanently. */
export interface RejectedEvent {
  readonly connector: string
  readonly row: unknown
  readonly status: number | undefined
  readonly code: string | number | undefined
  readonly text: string
}

export interface SinkEvents {
  batch: BatchEvent
  retry: RetryEvent
  rejected: RejectedEvent
}

/** Counts of a sink, live. */
export interface SinkStats {
  /** Rows that Node handed over. */
  written: number
  /** Rows that the destination acknowledged. */
  delivered: number
  /** Rows that the dead letter took. */
  rejected: number
  /** Requests sent, retries among them. */
  requests: number
  retries: number
  /** Requests in flight. */
  inFlight: number
  /** Bytes of the rows delivered, before compression. */
  bytes: number
}

/** The counts of a sink that has done nothing yet. */
export function noStats(): SinkStats {
  return { written: 0, delivered: 0, rejected: 0, requests: 0, retries: 0, inFlight: 0, bytes: 0 }
}

const channels = {
  batch: channel('cyber-connectors:batch'),
  retry: channel('cyber-connectors:retry'),
  rejected: channel('cyber-connectors:rejected'),
}

const sinks = channel('cyber-connectors:sink')

/** Publishes on the diagnostics channel `cyber-connectors:sink` that a sink is made, so that its live counts can be read. */
export function publishSink(connector: string, sink: { readonly stats: Readonly<SinkStats> }): void {
  if (sinks.hasSubscribers) sinks.publish({ connector, sink })
}

/** Emits an event of a sink, on the diagnostics channel `cyber-connectors:<event>` too. */
export function report<E extends keyof SinkEvents>(
  sink: EventEmitter,
  event: E,
  message: SinkEvents[E],
): void {
  sink.emit(event, message)
  channels[event].publish(message)
}
