// Readers of one large export answer of splunkd, over TLS.
import { execFile } from 'node:child_process'
import { request } from 'node:https'
import { createRequire } from 'node:module'
import { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { exchange } from '../exchange.mjs'
import { product } from '../product.mjs'
import { searchSpan } from '../search-answer.mjs'

const token = 'eyJraWQ.eyJpc3M.c2ln'
const search = (warm) => `search ${warm ? 'warm' : 'index=main'}`

/** Sets up a contestant: `read(warm)` gives how many rows there were. */
const contestant = (make) => async (options) => {
  const read = await make(options)
  return {
    warmUp: () => read(true),
    async run() {
      const rows = await read(false)
      if (rows !== options.rows) throw new Error(`${rows} rows in place of ${options.rows}`)
      return { rows }
    },
  }
}

const body = ({ url, ca }, warm) => {
  const call = request(`${url}/services/search/v2/jobs/export`, {
    method: 'POST',
    ca,
    agent: false,
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
  })
  return exchange(call, new URLSearchParams({ search: search(warm), output_mode: 'json' }).toString())
}

export const contestants = {
  'cyber-connectors': contestant(async ({ url, ca }) => {
    const { SplunkReadable } = await product('connectors/splunk/splunk-readable')
    return async (warm) => {
      let rows = 0
      const source = new SplunkReadable({
        splunkd_url: url,
        splunkd_token: token,
        query: search(warm),
        start_time: searchSpan.start,
        end_time: searchSpan.end,
        ca,
      })
      const count = new Writable({
        objectMode: true,
        write(_row, _encoding, callback) {
          rows++
          callback()
        },
      })
      await pipeline(source, count)
      return rows
    }
  }),

  'JSON.parse': contestant((options) => async (warm) => {
    const response = await body(options, warm)
    response.setEncoding('utf8')
    let rows = 0
    let rest = ''
    for await (const chunk of response) {
      const lines = (rest + chunk).split('\n')
      rest = lines.pop()
      for (const line of lines) if (JSON.parse(line).result) rows++
    }
    return rows
  }),

  'splunk-sdk (npm)': contestant(async ({ url }) => {
    const { Service } = createRequire(import.meta.url)('splunk-sdk')
    const { hostname, port } = new URL(url)
    const service = new Service({ scheme: 'https', host: hostname, port, sessionKey: token })
    // Exports it does not have: its way to all results at once.
    return async (warm) =>
      (await service.oneshotSearch(search(warm), { output_mode: 'JSON', count: 0 })).results.length
  }),

  'splunk-sdk (Python)': async ({ url, rows, python }) => ({
    async run() {
      const { hostname, port } = new URL(url)
      const script = fileURLToPath(new URL('../splunk-reader.py', import.meta.url))
      const { stdout } = await promisify(execFile)(python, [script, hostname, port, token, search(false)])
      const result = JSON.parse(stdout)
      if (result.rows !== rows) throw new Error(`${result.rows} rows in place of ${rows}`)
      return result
    },
  }),
}

/** The server of servers.mjs that these ask. */
export const serverOf = 'splunkd'
