// What the suites of senders share.
import { once } from 'node:events'
import { workload } from './rows.mjs'

/**
 * Sets up a contestant: `make(options)` gives a function that sends an iterator of rows until all are acknowledged. Without
 * warm-up its start counts: to load its modules, to connect.
 */
export const sender = (make) => async (options) => {
  const stock = await workload(options.workload ?? 'zeek-like')
  const rows = function* (count) {
    for (let index = 0; index < count; index++) yield stock[index % stock.length]
  }
  const cpuBefore = process.cpuUsage()
  const start = performance.now()
  const send = await make(options)
  if (options.warmUp > 0) {
    return {
      warmUp: () => send(rows(options.warmUp)),
      async run() {
        await send(rows(options.rows))
        return { rows: options.rows }
      },
    }
  }
  return {
    async run() {
      await send(rows(options.rows))
      const { user, system } = process.cpuUsage(cpuBefore)
      const seconds = (performance.now() - start) / 1000
      return { rows: options.rows, seconds, cpu: (user + system) / 1e6 }
    },
  }
}

/** Writes rows to a new sink as fast as it takes them. */
export const throughSink = (makeSink) => async (rows) => {
  const sink = makeSink()
  for (const row of rows) if (!sink.write(row)) await once(sink, 'drain')
  sink.end()
  await once(sink, 'finish')
}

/** Sends rows in batches by `send(batch)`, so many of them at a time. */
export const inBatches = (size, underWay, send) => async (rows) => {
  const worker = async () => {
    for (;;) {
      const batch = []
      while (batch.length < size) {
        const { done, value } = rows.next()
        if (done) break
        batch.push(value)
      }
      if (batch.length === 0) return
      await send(batch)
    }
  }
  await Promise.all(Array.from({ length: underWay }, worker))
}
