import { remove } from './short-list.ts'

type Stop = (reason: unknown) => void

const stops = new WeakMap<AbortSignal, Stop[]>()

/**
 * Calls `stop` when the signal fires, unless the returned function was called before. All callbacks of a signal share one
 * listener: Node links a signal's listeners, and a removed one keeps all later ones from being collected while the signal
 * lives.
 */
export function onAbort(signal: AbortSignal, stop: Stop): () => void {
  const waiting = stops.get(signal) ?? listen(signal)
  waiting.push(stop)
  return () => remove(waiting, stop)
}

/** Rejects with the signal's reason when it fires; the promise itself continues. The signal must not have fired yet. */
export async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  let forget: (() => void) | undefined
  const aborted = new Promise<never>((_, reject) => {
    forget = onAbort(signal, reject)
  })
  try {
    return await Promise.race([promise, aborted])
  } finally {
    forget?.()
  }
}

function listen(signal: AbortSignal): Stop[] {
  const waiting: Stop[] = []
  stops.set(signal, waiting)
  signal.addEventListener('abort', () => {
    // A callback may remove another one.
    for (let stop = waiting.shift(); stop; stop = waiting.shift()) stop(signal.reason)
  })
  return waiting
}
