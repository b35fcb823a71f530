// Senders to HEC: 4 requests under way, the same rows, as many a request.
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { syncBuiltinESMExports } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import zlib from 'node:zlib'
import { product } from '../product.mjs'
import { workload } from '../rows.mjs'
import { inBatches, sender, throughSink } from '../senders.mjs'

const token = '11111111-2222-3333-4444-555555555555'
const inFlight = 4
const run = promisify(execFile)
const headers = { authorization: `Splunk ${token}`, 'content-type': 'application/json' }

const envelope = (row) => `{"time":${Date.now() / 1000},"sourcetype":"_json","event":${JSON.stringify(row)}}`
const bodyOf = (batch) => batch.map(envelope).join('\n')

export const contestants = {
  'cyber-connectors': sender(async ({ url, batch, level, gzip }) => {
    // The level of gzip is not an option of the sink: here it is turned to see what another one would give.
    if (level) {
      const { createGzip } = zlib
      Object.defineProperty(zlib, 'createGzip', { value: (settings) => createGzip({ ...settings, level }) })
      syncBuiltinESMExports()
    }
    const { SplunkWritable } = await product('connectors/splunk/index')
    const compression = level || gzip ? 'gzip' : 'none'
    return throughSink(
      () => new SplunkWritable({ url, token, batch_size: batch, max_in_flight: inFlight, compression }),
    )
  }),

  'got loop': sender(async ({ url, batch }) => {
    const { default: got } = await import('got')
    const client = got.extend({ agent: { http: new Agent({ keepAlive: true }) }, headers })
    return inBatches(batch, inFlight, async (rows) => {
      const { statusCode } = await client.post(url, { body: bodyOf(rows) })
      if (statusCode !== 200) throw new Error(`status ${statusCode}`)
    })
  }),

  'node:http loop': sender(({ url, batch }) => {
    const agent = new Agent({ keepAlive: true })
    const post = (body) =>
      new Promise((resolve, reject) => {
        const call = request(url, { method: 'POST', agent, headers }, (response) => {
          response.setEncoding('utf8')
          let text = ''
          response.on('data', (chunk) => {
            text += chunk
          })
          response.on('end', () =>
            JSON.parse(text).code === 0 ? resolve() : reject(new Error(`status ${response.statusCode}`)),
          )
        })
        call.on('error', reject)
        call.end(body)
      })
    return inBatches(batch, inFlight, (rows) => post(bodyOf(rows)))
  }),

  'Go exporter': goExporter,

  'splunk-logging': splunkLogging({}),

  // By itself it makes a connection for each request.
  'splunk-logging, kept alive': splunkLogging({ agent: new Agent({ keepAlive: true }) }),
}

/**
 * The OpenTelemetry collector's exporter, in a process of its own: it makes its logs once, of a file of the same rows, and
 * measures by itself.
 */
async function goExporter({ url, batch, rows, warmUp, gzip, binary }) {
  const folder = mkdtempSync(join(tmpdir(), 'cyber-connectors-bench-'))
  const file = join(folder, 'rows.ndjson')
  const stock = await workload('zeek-like')
  writeFileSync(file, stock.map((row) => `${JSON.stringify(row)}\n`).join(''))
  const numbers = [rows, warmUp, batch, inFlight].map(String)
  return {
    async run() {
      const { stdout } = await run(binary, [url, token, file, ...numbers, gzip ? 'gzip' : 'none'])
      return JSON.parse(stdout)
    },
    close: () => rmSync(folder, { recursive: true }),
  }
}

/** It has no backpressure of its own: here it waits while 4 requests are under way, which is kind to its memory. */
function splunkLogging(requestOptions) {
  return sender(async ({ url, batch }) => {
    const { default: peer } = await import('splunk-logging')
    return async (rows) => {
      const logger = new peer.Logger({ token, url, maxBatchCount: batch, maxBatchSize: 0 })
      Object.assign(logger.requestOptions, requestOptions)
      let underWay = 0
      let wake = () => {}
      let failure
      const told = (error) => {
        underWay--
        failure ??= error
        wake()
      }
      logger.error = told
      const settle = async (limit) => {
        while (underWay > limit && !failure) {
          await new Promise((resolve) => {
            wake = resolve
          })
        }
        if (failure) throw failure
      }
      let queued = 0
      for (const row of rows) {
        const event = { message: row, metadata: { sourcetype: '_json' } }
        if (++queued % batch === 0) {
          underWay++
          logger.send(event, told)
          await settle(inFlight - 1)
        } else logger.send(event)
      }
      if (queued % batch !== 0) {
        underWay++
        logger.flush(told)
      }
      await settle(0)
    }
  })
}

/** The server of servers.mjs that these send to. */
export const serverOf = 'hec'
