import type { Checkpoint } from '../checkpoint/checkpoint.ts'
import { onAbort } from '../core/on-abort.ts'
import { longestTimer, pause } from '../core/retry.ts'
import type { Offset, Slice } from '../core/slice.ts'
import type { SliceSource } from './slice-source.ts'

export interface FeedSettings<S extends Slice, O extends Offset> {
  readonly source: Pick<
    SliceSource<S, O>,
    'initialOffset' | 'latestOffset' | 'changed' | 'slices' | 'advance'
  >
  readonly checkpoint: Checkpoint<S, O> | undefined
  /** Seconds from one look for new rows to the next, once caught up. */
  readonly pollInterval: number
  /** Whether to end when all is out that was there at the start. */
  readonly availableNow: boolean
  /** Ends the feed, also while it waits. */
  readonly signal: AbortSignal
  /** Called with the offset where the stream begins. */
  readonly onStart?: (offset: O) => void
  /** Called when all is out that there is, with the milliseconds until the next look. */
  readonly onIdle?: (wait: number) => void
}

/**
 * Gives the slices of a stream, one after the other: those that a checkpoint holds as begun and not committed, then
 * new ones. Each is noted in the checkpoint before it is given.
 */
export async function* feedSlices<S extends Slice, O extends Offset>(
  settings: FeedSettings<S, O>,
): AsyncGenerator<S, void> {
  const { source, checkpoint, signal } = settings
  /** @returns undefined where the signal fired first */
  const unlessStopped = async <T>(asked: Promise<T>): Promise<T | undefined> => {
    try {
      return await asked
    } catch (error) {
      if (signal.aborted) return undefined
      throw error
    }
  }
  const latest = () => unlessStopped(source.latestOffset(signal))

  let until = settings.availableNow ? await latest() : undefined
  const start = checkpoint?.offset ?? (await unlessStopped(source.initialOffset(signal)))
  if (start === undefined) return
  // Noted at once, so that "latest" does not move on when the stream is started anew before its first slice.
  await checkpoint?.begin(start)
  settings.onStart?.(start)
  for (const slice of checkpoint?.planned ?? []) {
    if (signal.aborted) return
    yield slice
  }
  let at = checkpoint?.end ?? structuredClone(start)
  for (;;) {
    const look = Date.now()
    until ??= await latest()
    if (until === undefined || signal.aborted) return
    for await (const slice of source.slices(at, until)) {
      if (signal.aborted) return
      await checkpoint?.plan(slice)
      at = source.advance(at, slice)
      yield slice
      if (signal.aborted) return
    }
    if (settings.availableNow) return
    until = undefined
    // A clock that jumped back must not make the wait longer.
    const interval = Math.min(settings.pollInterval * 1000, longestTimer)
    const wait = Math.max(0, Math.min(look + interval - Date.now(), interval))
    settings.onIdle?.(wait)
    await unlessStopped(untilNextLook(source, wait, signal))
    if (signal.aborted) return
  }
}

/** Waits for the time of the next look, or until the source says that there may be something new. */
async function untilNextLook(
  source: Pick<SliceSource, 'changed'>,
  wait: number,
  signal: AbortSignal,
): Promise<void> {
  if (!source.changed) return pause(wait, signal)
  const over = new AbortController()
  const forget = onAbort(signal, (reason) => over.abort(reason))
  try {
    signal.throwIfAborted()
    await Promise.race([pause(wait, over.signal), source.changed(over.signal)].map(quiet))
  } finally {
    forget()
    over.abort()
  }
}

/** The loser of a race fails when it is over, which is nothing to tell. */
function quiet(waiting: Promise<void>): Promise<void> {
  waiting.catch(() => {})
  return waiting
}
