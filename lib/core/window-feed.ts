import type { Checkpoint } from './checkpoint.ts'
import { pause } from './retry.ts'
import { secondsToTicks, type Ticks } from './time.ts'
import { nextWindow, type Window } from './window.ts'
import { fromOffset, type WindowSource } from './window-source.ts'

/** What a feed of windows goes by. */
export interface FeedSettings {
  readonly source: Pick<WindowSource, 'initialOffset' | 'latestOffset' | 'partitionDuration'>
  readonly checkpoint: Checkpoint | undefined
  /** Seconds from one look for new rows to the next, once caught up. */
  readonly pollInterval: number
  /** Whether to end when all is out that was there at the start. */
  readonly availableNow: boolean
  /** Ends the feed, also while it waits. */
  readonly signal: AbortSignal
  /** Told where the stream begins. */
  readonly onStart?: (offset: Ticks) => void
  /** Told that all is out that there is, and the milliseconds until the next look. */
  readonly onIdle?: (wait: number) => void
}

/** The longest wait that a timer of Node takes, in milliseconds. */
const longestWait = 2 ** 31 - 1

/**
 * Gives the windows of a stream, one after the other: those that a checkpoint holds as begun and not committed, then
 * new ones. Each is noted in the checkpoint before it is given. They abut, whatever the clock does.
 */
export async function* feedWindows(settings: FeedSettings): AsyncGenerator<Window, void> {
  const { source, checkpoint, signal, pollInterval } = settings
  const limit = settings.availableNow ? await latest(source) : undefined
  const start = checkpoint?.offset ?? (await initial(source, signal))
  if (start === undefined) return
  // Noted at once, so that "latest" does not move on when the stream is started anew before its first window.
  await checkpoint?.begin(start)
  settings.onStart?.(start)
  for (const { start, end } of checkpoint?.planned ?? []) {
    if (signal.aborted) return
    yield { start, end }
  }
  let at = checkpoint?.end ?? start
  let look = Date.now()
  let until = limit ?? (await latest(source))
  const longest = secondsToTicks(source.partitionDuration)
  while (!signal.aborted) {
    const window = nextWindow(at, until, longest)
    if (window) {
      await checkpoint?.plan(window)
      at = window.end
      yield window
    } else if (limit !== undefined) {
      return
    } else {
      // A clock that jumped back must not make the wait longer.
      const interval = Math.min(pollInterval * 1000, longestWait)
      const wait = Math.max(0, Math.min(look + interval - Date.now(), interval))
      settings.onIdle?.(wait)
      if (!(await waited(wait, signal))) return
      look = Date.now()
      until = await latest(source)
    }
  }
}

async function latest(source: FeedSettings['source']): Promise<Ticks> {
  return fromOffset(await source.latestOffset())
}

/** @returns undefined where the signal fired first */
async function initial(source: FeedSettings['source'], signal: AbortSignal): Promise<Ticks | undefined> {
  try {
    return fromOffset(await source.initialOffset(signal))
  } catch (error) {
    if (signal.aborted) return undefined
    throw error
  }
}

/** @returns false where the signal fired first */
async function waited(milliseconds: number, signal: AbortSignal): Promise<boolean> {
  try {
    await pause(milliseconds, signal)
    return true
  } catch (error) {
    if (signal.aborted) return false
    throw error
  }
}
