// Readers of one large answer of the query API, over TLS.
import { request } from 'node:https'
import { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import { exchange } from '../exchange.mjs'
import { product } from '../product.mjs'
import { answerSpan } from '../query-answer.mjs'

const workspace = '00000000-1111-2222-3333-444444444444'
const credential = { getToken: async () => ({ token: 'any', expiresOnTimestamp: Date.now() + 3_600_000 }) }

/** Sets up a contestant: `read(query)` gives { rows, first }: how many there were, and seconds until the first. */
const contestant = (make) => async (options) => {
  const read = await make(options)
  return {
    // Ten rows: the connection and what it needs are there. Warm: the whole answer was read once.
    warmUp: () => read(options.warm ? 'SigninLogs' : 'warm'),
    async run() {
      const result = await read('SigninLogs')
      if (result.rows !== options.rows) throw new Error(`${result.rows} rows in place of ${options.rows}`)
      return result
    },
  }
}

const post = ({ url, ca }, query) => {
  const call = request(`${url}/v1/workspaces/${workspace}/query`, {
    method: 'POST',
    ca,
    // One of its own, as a source has.
    agent: false,
    headers: { 'content-type': 'application/json', 'accept-encoding': 'gzip' },
  })
  return exchange(call, JSON.stringify({ query }))
}

const unpacked = (response) =>
  response.headers['content-encoding'] === 'gzip' ? response.pipe(createGunzip()) : response

export const contestants = {
  'cyber-connectors': contestant(async ({ url, ca }) => {
    const { AzureMonitorReadable } = await product('connectors/azure-monitor/azure-monitor-readable')
    return async (query) => {
      const start = performance.now()
      let rows = 0
      let first = 0
      const count = new Writable({
        objectMode: true,
        write(_row, _encoding, callback) {
          if (rows++ === 0) first = (performance.now() - start) / 1000
          callback()
        },
      })
      const source = new AzureMonitorReadable({
        workspace_id: workspace,
        query,
        start_time: answerSpan.start,
        end_time: answerSpan.end,
        credential,
        endpoint: url,
        ca,
      })
      await pipeline(source, count)
      return { rows, first }
    }
  }),

  LogsQueryClient: contestant(async ({ url, ca }) => {
    const { LogsQueryClient } = await import('@azure/monitor-query')
    const client = new LogsQueryClient(credential, { endpoint: url, audience: url, tlsOptions: { ca } })
    const timespan = { startTime: new Date(answerSpan.start), endTime: new Date(answerSpan.end) }
    return async (query) => {
      const start = performance.now()
      const { tables } = await client.queryWorkspace(workspace, query, timespan)
      return { rows: tables[0].rows.length, first: (performance.now() - start) / 1000 }
    }
  }),

  'JSON.parse': contestant((options) => async (query) => {
    const start = performance.now()
    const body = unpacked(await post(options, query))
    body.setEncoding('utf8')
    let text = ''
    for await (const chunk of body) text += chunk
    const { tables } = JSON.parse(text)
    return { rows: tables[0].rows.length, first: (performance.now() - start) / 1000 }
  }),

  download: contestant((options) => async (query) => {
    const start = performance.now()
    let bytes = 0
    for await (const chunk of unpacked(await post(options, query))) bytes += chunk.length
    if (query !== 'warm' && bytes !== options.bytes)
      throw new Error(`${bytes} bytes in place of ${options.bytes}`)
    return { rows: query === 'warm' ? 10 : options.rows, first: (performance.now() - start) / 1000 }
  }),
}

/** The server of servers.mjs that these ask. */
export const serverOf = 'query'
