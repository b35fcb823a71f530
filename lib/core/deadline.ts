import { longestTimer } from './retry.ts'

/** Something took longer than it may. Passes for a fault of the connection. */
export class Overdue extends Error {
  override name = 'TimeoutError'
  readonly code = 'ETIMEDOUT'
  constructor(milliseconds: number) {
    super(`no answer within ${milliseconds / 1000} s`)
  }
}

/**
 * Ends what `work` does after so many milliseconds. The signal that it gets fires then, and when the given one does.
 * @throws Overdue where it was ended by the time, else what `work` throws
 */
export async function withDeadline<T>(
  milliseconds: number,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted()
  const controller = new AbortController()
  const stop = () => controller.abort(signal.reason)
  signal.addEventListener('abort', stop, { once: true })
  let overdue: Overdue | undefined
  const timer = setTimeout(
    () => {
      overdue = new Overdue(milliseconds)
      controller.abort(overdue)
    },
    Math.min(milliseconds, longestTimer),
  )
  try {
    return await work(controller.signal)
  } catch (error) {
    throw overdue ?? error
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', stop)
  }
}
