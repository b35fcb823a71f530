import type { Readable } from 'node:stream'
import type { Identity } from './checkpoint-state.ts'
import { CheckpointError } from './errors.ts'
import { formatInstant, parseInstant, type Ticks } from './time.ts'
import type { PlainWindow } from './window.ts'

/** Where a stream stands, as plain JSON: all rows before this instant (ISO 8601, up to 7 digits of a second) are out. */
export interface Offset {
  readonly timestamp: string
}

/** A source that is read window by window: what `streamingQuery` needs of it. */
export interface WindowSource {
  /** Registered name, such as `azure-monitor`. */
  readonly connector: string
  /** What a checkpoint must belong to, to be this source's: names and texts without secrets. */
  readonly identity: Identity
  /** Directory of the checkpoint, where the source was given one. */
  readonly checkpointLocation?: string | undefined
  /** Longest window, in seconds. */
  readonly partitionDuration: number
  /** Seconds from one look for new rows to the next, once caught up. */
  readonly pollInterval: number
  /** Whether to end when all is read that was there at the start. */
  readonly availableNow: boolean
  /** Where a stream without a checkpoint begins. Asked for once. */
  initialOffset(signal?: AbortSignal): Promise<Offset>
  /** Up to where windows may go by now. Asked for at each look. */
  latestOffset(): Promise<Offset>
  /** The rows of one window. It must give the same rows when it is asked again. */
  readWindow(window: PlainWindow): Readable
  /** Lets go of connections that windows were read by. Asked for when a query ends; more windows may follow. */
  release?(): void
}

export function toOffset(ticks: Ticks): Offset {
  return { timestamp: formatInstant(ticks) }
}

/** @throws CheckpointError where it is no offset */
export function fromOffset(offset: Offset): Ticks {
  const ticks = typeof offset?.timestamp === 'string' ? parseInstant(offset.timestamp) : undefined
  if (ticks !== undefined) return ticks
  throw new CheckpointError('ERR_CHECKPOINT', 'an offset should be { timestamp: <ISO 8601> }')
}
