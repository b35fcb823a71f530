// The loop that one would write: node forward-loop.mjs FILE URL none|gzip TIME-COLUMN [ndjson|csv [TRANSFORM]]
import { createReadStream } from 'node:fs'
import { Agent, request } from 'node:http'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'

const [path, url, compression, time, form = 'ndjson', module] = process.argv.slice(2)
const { default: transform = (row) => row } = module ? await import(module) : {}
const agent = new Agent({ keepAlive: true, maxSockets: 4 })
const compress = promisify(gzip)
const inFlight = new Set()

async function send(events) {
  const plain = Buffer.from(events.join(''))
  const body = compression === 'gzip' ? await compress(plain) : plain
  const headers = {
    authorization: 'Splunk token',
    'content-type': 'application/json',
    'content-length': body.length,
    ...(compression === 'gzip' && { 'content-encoding': 'gzip' }),
  }
  await new Promise((resolve, reject) => {
    const sent = request(
      `${url}/services/collector/event`,
      { method: 'POST', agent, headers },
      (response) => {
        let text = ''
        response.on('data', (chunk) => {
          text += chunk
        })
        response.on('end', () => (JSON.parse(text).code === 0 ? resolve() : reject(new Error(text))))
      },
    )
    sent.on('error', reject)
    sent.end(body)
  })
}

let batch = []
async function flush() {
  const sending = send(batch).finally(() => inFlight.delete(sending))
  inFlight.add(sending)
  batch = []
  if (inFlight.size >= 4) await Promise.race(inFlight)
}
async function* rows() {
  const input = createReadStream(path)
  if (form === 'csv') {
    const { parse } = await import('csv-parse')
    yield* input.pipe(parse({ columns: true }))
  } else for await (const line of createInterface({ input })) yield JSON.parse(line)
}
for await (const row of rows()) {
  const event = transform(row)
  const at = typeof event[time] === 'number' ? event[time] : Date.parse(event[time]) / 1000
  batch.push(JSON.stringify({ time: at, event }))
  if (batch.length === 500) await flush()
}
if (batch.length > 0) await flush()
await Promise.all(inFlight)
agent.destroy()
