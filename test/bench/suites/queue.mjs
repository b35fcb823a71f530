// A queue of windows in Redis: planned, and taken by workers.
import { Readable, Writable } from 'node:stream'
import { product } from '../product.mjs'
import { answerSpan } from '../query-answer.mjs'

const { openQueue, startWorker } = await product('streaming/bullmq/index')
const { planWindows } = await product('streaming/plan-windows')

const begin = new Date(answerSpan.start).getTime()
const hour = 3600_000
const credential = { getToken: async () => ({ token: 'any', expiresOnTimestamp: Date.now() + hour }) }
const nowhere = () => new Writable({ objectMode: true, write: (_row, _encoding, done) => done() })

const open = ({ redis, name, concurrency = 4 }) =>
  openQueue({ url: redis, name, concurrency, rate: 1_000_000 })

function windowsOf(count) {
  const range = { start_time: new Date(begin), end_time: new Date(begin + count * hour) }
  return planWindows({ ...range, partition_duration: 3600 })
}

/** Takes what is in the queue until it is empty. */
async function work(options, source, sink) {
  const queue = await open(options)
  let windows = 0
  const worker = startWorker({ queue, source, sink, windows_in_flight: 4, available_now: true })
  let last = performance.now()
  worker.on('progress', () => {
    windows++
    last = performance.now()
  })
  const started = performance.now()
  await worker.done
  await queue.close()
  // The end is looked for twice a second: what counts is when the last window was done.
  return { rows: windows, seconds: (last - started) / 1000 }
}

export const contestants = {
  async plan(options) {
    const windows = windowsOf(options.windows)
    const queue = await open(options)
    return {
      run: async () => ({ rows: (await queue.plan(windows)).planned ?? options.windows }),
      close: () => queue.close(),
    }
  },

  async 'windows without rows'(options) {
    return { run: () => work(options, () => Readable.from([]), nowhere) }
  },

  async worker(options) {
    const { AzureMonitorStreamReadable } = await product(
      'connectors/azure-monitor/azure-monitor-stream-readable',
    )
    const { SplunkWritable } = await product('connectors/splunk/index')
    const source = new AzureMonitorStreamReadable({
      workspace_id: '00000000-1111-2222-3333-444444444444',
      query: `SigninLogs | take ${options.rowsPerWindow}`,
      start_time: answerSpan.start,
      max_in_flight: 4,
      credential,
      endpoint: options.query.url,
      ca: options.query.ca,
    })
    const sink = () =>
      new SplunkWritable({
        url: options.hec.url,
        token: '11111111-2222-3333-4444-555555555555',
        batch_size: 500,
      })
    return { run: () => work(options, source, sink), close: () => source.destroy() }
  },
}
