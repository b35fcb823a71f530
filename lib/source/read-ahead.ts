/**
 * Opens items in their order, `count` of them ahead of the one that is worked on.
 * @param close called with those that were opened and not asked for, when the consumer stops early
 */
export async function* readAhead<T, R>(
  items: AsyncIterator<T, void>,
  count: number,
  open: (item: T) => R | PromiseLike<R | undefined>,
  close: (opened: R) => void,
): AsyncGenerator<R, void> {
  // An async generator answers calls of next() in turn, so these may all wait at once.
  const pull = () => {
    const opened = items.next().then((result) => (result.done ? undefined : open(result.value)))
    opened.catch(() => {})
    return opened
  }
  const queue = Array.from({ length: count }, pull)
  try {
    for (;;) {
      queue.push(pull())
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
