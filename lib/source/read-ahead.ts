/**
 * Opens items in their order, `count` of them ahead of the one that is worked on.
 * @param close called with those that were opened and not asked for, when the consumer stops early
 */
export async function* readAhead<T, R>(
  items: Iterator<T, void> | AsyncIterator<T, void>,
  count: number,
  open: (item: T) => R | PromiseLike<R | undefined>,
  close: (opened: R) => void,
): AsyncGenerator<R, void> {
  // An async generator answers calls of next() in turn, so these may all wait at once. Items that are there open at once.
  const pull = async () => {
    const next = items.next()
    const result = next instanceof Promise ? await next : next
    return result.done ? undefined : open(result.value)
  }
  const pullAhead = () => {
    const opened = pull()
    opened.catch(() => {})
    return opened
  }
  const queue = Array.from({ length: count }, pullAhead)
  try {
    for (;;) {
      queue.push(pullAhead())
      const opened = await queue.shift()
      if (opened === undefined) return
      yield opened
    }
  } finally {
    for (const waiting of queue) {
      waiting.then(
        (opened) => opened !== undefined && close(opened),
        () => {},
      )
    }
  }
}
