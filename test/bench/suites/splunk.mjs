// Senders to HEC: 4 requests under way, the same rows, as many a request.
import { once } from 'node:events'
import { Agent, request } from 'node:http'
import got from 'got'
import splunkLogging from 'splunk-logging'
import { product } from '../product.mjs'
import { workload } from '../rows.mjs'

const token = '11111111-2222-3333-4444-555555555555'
const inFlight = 4

/** Sets up a contestant: `send(rows)` sends an iterable of rows and is done when all are acknowledged. */
const contestant = (make) => async (options) => {
  const stock = await workload(options.workload ?? 'zeek-like')
  const rows = function* (count) {
    for (let index = 0; index < count; index++) yield stock[index % stock.length]
  }
  const send = await make(options)
  return {
    warmUp: () => send(rows(options.warmUp)),
    async run() {
      await send(rows(options.rows))
      return { rows: options.rows }
    },
  }
}

const envelope = (row) => `{"time":${Date.now() / 1000},"sourcetype":"_json","event":${JSON.stringify(row)}}`

/** A loop that makes bodies out of rows and posts them, `inFlight` at a time. */
const loop = (post) => async (options) => {
  const send = post(options)
  return async (rows) => {
    const worker = async () => {
      for (;;) {
        const texts = []
        while (texts.length < options.batch) {
          const { done, value } = rows.next()
          if (done) break
          texts.push(envelope(value))
        }
        if (texts.length === 0) return
        await send(texts.join('\n'))
      }
    }
    await Promise.all(Array.from({ length: inFlight }, worker))
  }
}

export const contestants = {
  'cyber-connectors': contestant(async ({ url, batch, compression = 'none', level, linger }) => {
    const { SplunkWritable } = await product('splunk/splunk-writable')
    return async (rows) => {
      const sink = new SplunkWritable({
        url,
        token,
        batch_size: batch,
        max_in_flight: inFlight,
        compression,
        ...(level && { compression_level: level }),
        ...(linger && { linger_ms: linger }),
      })
      for (const row of rows) if (!sink.write(row)) await once(sink, 'drain')
      sink.end()
      await once(sink, 'finish')
    }
  }),

  'got loop': contestant(
    loop(({ url }) => {
      const client = got.extend({
        agent: { http: new Agent({ keepAlive: true }) },
        headers: { authorization: `Splunk ${token}`, 'content-type': 'application/json' },
      })
      return async (body) => {
        const { statusCode } = await client.post(url, { body })
        if (statusCode !== 200) throw new Error(`status ${statusCode}`)
      }
    }),
  ),

  'node:http loop': contestant(
    loop(({ url }) => {
      const agent = new Agent({ keepAlive: true })
      const headers = { authorization: `Splunk ${token}`, 'content-type': 'application/json' }
      return (body) =>
        new Promise((resolve, reject) => {
          const post = request(url, { method: 'POST', agent, headers }, (response) => {
            response.setEncoding('utf8')
            let text = ''
            response.on('data', (chunk) => {
              text += chunk
            })
            response.on('end', () =>
              JSON.parse(text).code === 0 ? resolve() : reject(new Error(`status ${response.statusCode}`)),
            )
          })
          post.on('error', reject)
          post.end(body)
        })
    }),
  ),

  // It has no backpressure of its own: here it waits while 4 requests are under way, which is kind to its memory.
  'splunk-logging': contestant(async ({ url, batch }) => {
    const { Logger } = splunkLogging
    return async (rows) => {
      const logger = new Logger({ token, url, maxBatchCount: batch, maxBatchSize: 0 })
      logger.requestOptions = { agent: new Agent({ keepAlive: true }) }
      let underWay = 0
      let wake = () => {}
      let failure
      const told = (error) => {
        underWay--
        failure ??= error
        wake()
      }
      logger.error = told
      let queued = 0
      const settle = async (limit) => {
        while (underWay > limit && !failure) await new Promise((resolve) => (wake = resolve))
        if (failure) throw failure
      }
      for (const row of rows) {
        if (++queued % batch === 0) {
          underWay++
          logger.send({ message: row, metadata: { sourcetype: '_json' } }, told)
          await settle(inFlight - 1)
        } else logger.send({ message: row, metadata: { sourcetype: '_json' } })
      }
      if (queued % batch !== 0) {
        underWay++
        logger.flush(told)
      }
      await settle(0)
    }
  }),
}

/** The server of servers.mjs that these send to. */
export const serverOf = 'hec'
