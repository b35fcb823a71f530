import { onAbort } from '../core/on-abort.ts'
import { longestTimer } from '../core/retry.ts'

/** Milliseconds for each address of a host: Node's default of 250 ms is too short for a distant one. */
export const addressTimeout = 2500

/** An operation exceeded its time limit: a transient fault. */
export class TimeoutError extends Error {
  override name = 'TimeoutError'
  readonly code = 'ETIMEDOUT'
  constructor(milliseconds: number, waitedFor = 'no answer') {
    super(`${waitedFor} within ${milliseconds / 1000} s`)
  }
}

interface Deadline {
  readonly milliseconds: number
  passed: ((error: TimeoutError) => void) | undefined
}

/**
 * Calls `passed` after `milliseconds`, unless the returned function is called before. That function also drops the
 * reference to `passed`: V8 moves long-lived timers to its old generation, and would keep their references until the next
 * full garbage collection.
 */
export function startDeadline(milliseconds: number, passed: (error: TimeoutError) => void): () => void {
  const deadline: Deadline = { milliseconds, passed }
  const timer = setTimeout(expire, Math.min(milliseconds, longestTimer), deadline)
  return () => {
    deadline.passed = undefined
    clearTimeout(timer)
  }
}

function expire({ milliseconds, passed }: Deadline): void {
  passed?.(new TimeoutError(milliseconds))
}

/**
 * Runs `work` with a time limit. Its signal fires after `milliseconds`, and when the given signal fires.
 * @param spare a pool of controllers that did not fire; creating one is expensive. Pass it only if nothing listens to the
 * signal after the work: the time limit of the next work would cut a body that is still read
 * @throws TimeoutError if the time limit ended the work, else the error of `work`
 */
export async function withDeadline<T>(
  milliseconds: number,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
  spare: AbortController[] = [],
): Promise<T> {
  signal.throwIfAborted()
  const controller = spare.pop() ?? new AbortController()
  let timeout: TimeoutError | undefined
  const stopDeadline = startDeadline(milliseconds, (error) => {
    timeout = error
    controller.abort(error)
  })
  const forget = onAbort(signal, (reason) => controller.abort(reason))
  try {
    return await work(controller.signal)
  } catch (error) {
    throw timeout ?? error
  } finally {
    stopDeadline()
    forget()
    if (!controller.signal.aborted) spare.push(controller)
  }
}
