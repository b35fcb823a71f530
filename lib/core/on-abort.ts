import { remove } from './short-list.ts'

type Stop = (reason: unknown) => void

const stops = new WeakMap<AbortSignal, Stop[]>()

/**
 * Calls `stop` when the signal fires, unless the returned function was called before. All that wait for a signal share
 * one listener of it: Node links a signal's listeners, and one that was removed keeps all that came after it from being
 * collected while the signal lives.
 */
export function onAbort(signal: AbortSignal, stop: Stop): () => void {
  let waiting = stops.get(signal)
  if (!waiting) {
    const made: Stop[] = []
    signal.addEventListener('abort', () => {
      for (const stop of [...made]) stop(signal.reason)
    })
    stops.set(signal, made)
    waiting = made
  }
  const all = waiting
  all.push(stop)
  return () => remove(all, stop)
}
