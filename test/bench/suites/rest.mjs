// Senders of one JSON object a request, 4 requests under way.
import { Agent } from 'node:http'
import got from 'got'
import { product } from '../product.mjs'
import { inBatches, sender, throughSink } from '../senders.mjs'

const inFlight = 4

export const contestants = {
  'cyber-connectors': sender(async ({ url }) => {
    const { RestWritable } = await product('connectors/rest/index')
    return throughSink(() => new RestWritable({ url, max_in_flight: inFlight }))
  }),

  'got loop': sender(({ url }) => {
    const client = got.extend({ agent: { http: new Agent({ keepAlive: true }) } })
    return inBatches(1, inFlight, async ([row]) => {
      const { statusCode } = await client.post(url, { json: row })
      if (statusCode !== 200) throw new Error(`status ${statusCode}`)
    })
  }),
}

/** The server of servers.mjs that these send to. */
export const serverOf = 'webhook'
