import type { ConnectorError } from '../core/errors.ts'
import type { Health } from '../core/health.ts'
import type { Offset, Slice } from '../core/slice.ts'
import type { SourceVerdict } from '../core/verdict.ts'

export type Row = Record<string, unknown>

/** One request to make: for a slice, or for one page of it. */
export interface Ask<S extends Slice = Slice> {
  readonly slice: S
  /** The neighbours of the slice are read elsewhere: keep exactly the rows that belong to it. */
  readonly exact: boolean
  /** Whether the engine can ask for halves, so that `split` is a useful answer. */
  readonly divisible: boolean
  /** The error that made the engine halve the slice that this one is part of. */
  readonly because: ConnectorError | undefined
  /** `next` of the page before, or `page` of a `wait`; undefined at first. */
  readonly page: unknown
}

/** A whole answer, whose rows are made as they are asked for. */
export interface Page {
  /** Some hundred at a time, made as they are asked for. */
  readonly rows: AsyncIterable<readonly Row[]> | Iterable<readonly Row[]>
  /** Bytes on the wire. */
  readonly bytes: number
  /** Handed back as `ask.page` for the next page; undefined on the last one. */
  readonly next?: unknown
  /** Frees what the page holds, such as a {@link HeldBody}. Called once, when its rows are read or not wanted. */
  release?(): void
}

/** All that a connector brings to be a source: one request. */
export interface SourceProtocol<S extends Slice = Slice, O extends Offset = Offset> {
  /** The registered name. */
  readonly connector: string
  /** Host and port that it speaks to, for the warning of a first retry. */
  readonly host?: string | undefined
  /** Makes one request. A fault of the connection is a verdict, not an exception. @throws AbortError when the signal fires */
  ask(ask: Ask<S>, signal: AbortSignal): Promise<SourceVerdict<Page>>
  /** Offset of the first row, for `start_time: 'earliest'`; undefined if there is none. */
  earliest?(signal: AbortSignal): Promise<SourceVerdict<O | undefined>>
  /** Whether the source would answer now. It reads no row. */
  health?(signal: AbortSignal): Promise<SourceVerdict<Health>>
  /** Ends its connections. */
  close(): void
}

/** What a protocol reports to its stream. */
export interface SourceObserver {
  /** A request is sent. */
  request(): void
  /** An answer came. @param date its `Date` header: windows are held back while our clock is ahead of the service's */
  answered(date: string | undefined): void
  /** Emits an event of the connector's own, such as `schema`. */
  emit(event: string, payload: object): void
}
