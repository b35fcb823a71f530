import { CheckpointError } from '../core/errors.ts'
import { formatInstant, parseInstant, type Ticks } from '../core/time.ts'
import { fromPlainWindow, type PlainWindow } from '../core/window.ts'

/** Offset of a stream of windows: all rows before this instant (ISO 8601, up to 7 digits of a second) are out. */
export type WindowOffset = { readonly timestamp: string }

export function toOffset(ticks: Ticks): WindowOffset {
  return { timestamp: formatInstant(ticks) }
}

/** @throws CheckpointError where it is no offset */
export function fromOffset(offset: WindowOffset): Ticks {
  const ticks = typeof offset?.timestamp === 'string' ? parseInstant(offset.timestamp) : undefined
  if (ticks !== undefined) return ticks
  throw new CheckpointError('ERR_CHECKPOINT', 'an offset should be { timestamp: <ISO 8601> }')
}

/** The offset once a window is done. @throws CheckpointError where the window does not begin at the offset */
export function advanceOverWindow(offset: WindowOffset, plain: PlainWindow): WindowOffset {
  const window = fromPlainWindow(plain)
  if (!window) throw new CheckpointError('ERR_CHECKPOINT', `not a window: ${JSON.stringify(plain)}`)
  if (window.start === fromOffset(offset)) return toOffset(window.end)
  throw new CheckpointError(
    'ERR_CHECKPOINT',
    `the window ${plain.id} does not begin where the last one ends, ${offset.timestamp}`,
  )
}

/** Whether the window of an id ends before an offset, or at it. */
export function isPassed(offset: WindowOffset, id: string): boolean {
  const end = parseInstant(id.slice(id.indexOf('/') + 1))
  return end !== undefined && end <= fromOffset(offset)
}
