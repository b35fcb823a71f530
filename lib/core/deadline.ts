import { onAbort } from './on-abort.ts'
import { longestTimer } from './retry.ts'

/** Something took longer than it may. Passes for a fault of the connection. */
export class Overdue extends Error {
  override name = 'TimeoutError'
  readonly code = 'ETIMEDOUT'
  constructor(milliseconds: number) {
    super(`no answer within ${milliseconds / 1000} s`)
  }
}

interface Deadline {
  readonly milliseconds: number
  passed: ((error: Overdue) => void) | undefined
}

/**
 * Calls `passed` after so many milliseconds, unless the returned function was called before. That lets go of `passed`:
 * where many timers come and go, V8 makes them among its old objects, and what an old one still holds is kept until the
 * next full collection of garbage.
 */
export function startDeadline(milliseconds: number, passed: (error: Overdue) => void): () => void {
  const deadline: Deadline = { milliseconds, passed }
  const timer = setTimeout(expire, Math.min(milliseconds, longestTimer), deadline)
  return () => {
    deadline.passed = undefined
    clearTimeout(timer)
  }
}

function expire({ milliseconds, passed }: Deadline): void {
  passed?.(new Overdue(milliseconds))
}

/** Controllers that were not needed: to make one takes longer than it seems. */
const unused: AbortController[] = []

/**
 * Ends what `work` does after so many milliseconds. The signal that it gets fires then, and when the given one does; it
 * must not be listened to any longer than that.
 * @throws Overdue where it was ended by the time, else what `work` throws
 */
export async function withDeadline<T>(
  milliseconds: number,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted()
  const controller = unused.pop() ?? new AbortController()
  let overdue: Overdue | undefined
  const stopDeadline = startDeadline(milliseconds, (error) => {
    overdue = error
    controller.abort(error)
  })
  const forget = onAbort(signal, (reason) => controller.abort(reason))
  try {
    return await work(controller.signal)
  } catch (error) {
    throw overdue ?? error
  } finally {
    stopDeadline()
    forget()
    if (!controller.signal.aborted) unused.push(controller)
  }
}
