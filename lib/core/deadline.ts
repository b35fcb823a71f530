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

/**
 * Ends what `work` does after so many milliseconds. The signal that it gets fires then, and when the given one does.
 * @param spare controllers that did not fire, to be used again, for to make one takes longer than it seems. Only for work
 * after whose end nobody listens to its signal any more: a body that is still read would be cut by another's deadline
 * @throws Overdue where it was ended by the time, else what `work` throws
 */
export async function withDeadline<T>(
  milliseconds: number,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
  spare: AbortController[] = [],
): Promise<T> {
  signal.throwIfAborted()
  const controller = spare.pop() ?? new AbortController()
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
    if (!controller.signal.aborted) spare.push(controller)
  }
}
