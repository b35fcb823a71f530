// The whole path, from the query API to HEC. Says now and then, by message, how far it is and how much memory it has.
import { Transform, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { barePath } from '../bare-path.mjs'
import { product } from '../product.mjs'
import { answerSpan } from '../query-answer.mjs'

const credential = { getToken: async () => ({ token: 'any', expiresOnTimestamp: Date.now() + 3_600_000 }) }
const rowsAWindow = 100_000
const sampleEvery = 200

function source(AzureMonitorReadable, { query, rows }) {
  return new AzureMonitorReadable({
    workspace_id: '00000000-1111-2222-3333-444444444444',
    query: `SigninLogs | take ${Math.min(rows, rowsAWindow)}`,
    start_time: answerSpan.start,
    end_time: answerSpan.end,
    num_partitions: Math.ceil(rows / rowsAWindow),
    credential,
    endpoint: query.url,
    ca: query.ca,
  })
}

/** What users put in between. */
function oneColumnMore() {
  return new Transform({
    objectMode: true,
    transform(row, _encoding, callback) {
      row.failed = row.ResultType !== 0
      callback(null, row)
    },
  })
}

/**
 * @param options `{ query, hec, rows, times, warmUp, batch, compression, transform, seconds }`: `rows` are moved `times` times, by
 * streams of their own; after `seconds` it is broken off
 */
const path = (makeSink) => async (options) => {
  const { AzureMonitorReadable } = await product('connectors/azure-monitor/azure-monitor-readable')
  const go = async (rows, seconds) => {
    const from = source(AzureMonitorReadable, { ...options, rows })
    const to = await makeSink(options)
    const start = performance.now()
    let peak = 0
    let heap = 0
    const sample = () => {
      const { rss, heapUsed } = process.memoryUsage()
      peak = Math.max(peak, rss)
      heap = Math.max(heap, heapUsed)
      if (seconds === undefined) return
      process.send({
        at: (performance.now() - start) / 1000,
        rss,
        heapUsed,
        read: from.stats.rows,
        delivered: to.stats.delivered,
        buffered: from.readableLength,
      })
    }
    const sampler = setInterval(sample, sampleEvery)
    const stop = new AbortController()
    const timer = seconds && setTimeout(() => stop.abort(), seconds * 1000)
    try {
      await pipeline([from, ...(options.transform ? [oneColumnMore()] : []), to], { signal: stop.signal })
    } catch (error) {
      if (!stop.signal.aborted) throw error
    } finally {
      clearInterval(sampler)
      clearTimeout(timer)
      sample()
    }
    return { rows: to.stats.delivered, memory: peak, heap }
  }
  return {
    warmUp: () => options.warmUp && go(options.warmUp),
    async run() {
      const results = []
      for (let left = options.times ?? 1; left > 0; left--)
        results.push(await go(options.rows, options.seconds))
      return {
        rows: results.reduce((sum, { rows }) => sum + rows, 0),
        memory: Math.max(...results.map(({ memory }) => memory)),
        heap: Math.max(...results.map(({ heap }) => heap)),
      }
    },
  }
}

export const contestants = {
  'to Splunk': path(async ({ hec, batch, compression }) => {
    const { SplunkWritable } = await product('connectors/splunk/index')
    return new SplunkWritable({
      url: hec.url,
      token: '11111111-2222-3333-4444-555555555555',
      time_column: 'TimeGenerated',
      batch_size: batch,
      ...(compression && { compression }),
    })
  }),

  'to nowhere': path(async () => {
    const sink = new Writable({
      objectMode: true,
      write(_row, _encoding, callback) {
        sink.stats.delivered++
        callback()
      },
    })
    sink.stats = { delivered: 0 }
    return sink
  }),

  'bare loop': async (options) => ({
    warmUp: () => barePath(options, options.warmUp, rowsAWindow),
    run: async () => ({ rows: await barePath(options, options.rows, rowsAWindow) }),
  }),
}
