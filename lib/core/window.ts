import type { Slice } from './slice.ts'
import { formatInstant, parseInstant, type Ticks } from './time.ts'

/** A half-open span of time, `[start, end)`. Windows that abut share no row and skip none. */
export interface Window {
  readonly start: Ticks
  readonly end: Ticks
}

/** A window as plain JSON, for queues, checkpoints and logs. The id is the ISO 8601 interval of its ends. */
export interface PlainWindow extends Slice {
  readonly start: string
  readonly end: string
}

export function isWithin({ start, end }: Window, instant: Ticks): boolean {
  return instant >= start && instant < end
}

export function windowId(window: Window): string {
  return `${formatInstant(window.start)}/${formatInstant(window.end)}`
}

export function toPlainWindow(window: Window): PlainWindow {
  return { id: windowId(window), start: formatInstant(window.start), end: formatInstant(window.end) }
}

/**
 * Reads a window from its plain form; the id may be left out.
 * @returns undefined if it is no window: its end is not after its start, or its id is of another window
 */
export function fromPlainWindow(value: unknown): Window | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const { id, start: from, end: to } = value as Partial<Record<keyof PlainWindow, unknown>>
  if (typeof from !== 'string' || typeof to !== 'string') return undefined
  const start = parseInstant(from)
  const end = parseInstant(to)
  if (start === undefined || end === undefined || start >= end) return undefined
  const window = { start, end }
  return id === undefined || id === windowId(window) ? window : undefined
}

/**
 * The window from `from` to `until`, cut at `longest`.
 * @returns undefined if `until` is not after `from`, as after a clock that jumped back
 */
export function nextWindow(from: Ticks, until: Ticks, longest: Ticks): Window | undefined {
  if (until <= from) return undefined
  const end = from + longest
  return { start: from, end: end < until ? end : until }
}

/** Windows of `longest` each (the last may be shorter) that abut and cover the whole. */
export function sliceWindow(whole: Window, longest: Ticks): Window[] {
  const slices: Window[] = []
  for (let at = whole.start; at < whole.end; ) {
    const slice = nextWindow(at, whole.end, longest)!
    slices.push(slice)
    at = slice.end
  }
  return slices
}

/** `parts` equal windows that abut and cover the whole; fewer if there are fewer ticks. */
export function splitWindow({ start, end }: Window, parts: number): Window[] {
  const length = end - start
  const count = BigInt(parts) < length ? BigInt(parts) : length
  const cut = (index: bigint) => start + (length * index) / count
  return Array.from({ length: Number(count) }, (_, index) => ({
    start: cut(BigInt(index)),
    end: cut(BigInt(index) + 1n),
  }))
}
