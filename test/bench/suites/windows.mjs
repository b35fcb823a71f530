// Windows that each take the service as long: how well the waiting is done at once.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { product } from '../product.mjs'
import { answerSpan } from '../query-answer.mjs'

const credential = { getToken: async () => ({ token: 'any', expiresOnTimestamp: Date.now() + 3_600_000 }) }
const hour = 3600_000
const begin = new Date(answerSpan.start).getTime()

const common = ({ query }) => ({
  workspace_id: '00000000-1111-2222-3333-444444444444',
  query: 'SigninLogs | take 10',
  start_time: answerSpan.start,
  partition_duration: 3600,
  credential,
  endpoint: query.url,
  ca: query.ca,
})

const nowhere = () =>
  new Writable({
    objectMode: true,
    write(_row, _encoding, callback) {
      callback()
    },
  })

async function stream(options, count, more) {
  const { AzureMonitorStreamReadable } = await product(
    'connectors/azure-monitor/azure-monitor-stream-readable',
  )
  return new AzureMonitorStreamReadable({
    ...common(options),
    available_now: true,
    // Up to the end of the last window, whenever that was, less some seconds.
    safety_lag_seconds: Math.ceil((Date.now() - begin - count * hour) / 1000) + 2,
    ...more,
  })
}

/** Reads so many windows. @returns the source */
const ways = {
  async 'bounded, in a pipeline'(options, count) {
    const { AzureMonitorReadable } = await product('connectors/azure-monitor/azure-monitor-readable')
    const end_time = new Date(begin + count * hour)
    const source = new AzureMonitorReadable({ ...common(options), end_time })
    await pipeline(source, nowhere())
    return source
  },

  async 'stream, in a pipeline'(options, count) {
    const source = await stream(options, count)
    await pipeline(source, nowhere())
    return source
  },

  async 'streamingQuery, 4 windows in flight, sink as slow'(options, count) {
    const { streamingQuery } = await product('streaming/streaming-query')
    const { SplunkWritable } = await product('connectors/splunk/index')
    const folder = await mkdtemp(join(tmpdir(), 'windows-'))
    const source = await stream(options, count, { checkpointLocation: folder })
    const sink = () =>
      new SplunkWritable({
        url: options.hec.url,
        token: '11111111-2222-3333-4444-555555555555',
        time_column: 'TimeGenerated',
      })
    try {
      await streamingQuery({ source, sink, windows_in_flight: 4 }).done
    } finally {
      await rm(folder, { recursive: true })
    }
    return source
  },
}

/** `warm`: after a first window, so with modules loaded. */
export const contestants = Object.fromEntries(
  Object.entries(ways).map(([name, way]) => [
    name,
    async (options) => ({
      warmUp: () => options.warm && way(options, 1),
      async run() {
        const { stats } = await way(options, options.count)
        return { rows: stats.rows }
      },
    }),
  ]),
)
