// The whole path without the package: what JSON, gzip and Node's own HTTP cost for the same rows. Each answer is held as one
// text, and nothing is kept for a second try.
import { request } from 'node:http'
import { request as tlsRequest } from 'node:https'
import { promisify } from 'node:util'
import { createGunzip, gzip } from 'node:zlib'
import { exchange } from './exchange.mjs'
import { answerSpan } from './query-answer.mjs'
import { inBatches } from './senders.mjs'

const packed = promisify(gzip)
const underWay = 4

async function answer({ url, ca }, query, timespan) {
  const headers = { 'content-type': 'application/json', 'accept-encoding': 'gzip' }
  const call = tlsRequest(`${url}/v1/workspaces/any/query`, { method: 'POST', ca, headers })
  const response = await exchange(call, JSON.stringify({ query, timespan }))
  let text = ''
  // As large pieces as ours: with Node's own of 16 KB it takes a quarter longer.
  const plain = response.pipe(createGunzip({ chunkSize: 262_144 })).setEncoding('utf8')
  for await (const piece of plain) text += piece
  return JSON.parse(text).tables[0]
}

async function post({ url }, events) {
  const body = await packed(events.join(''), { level: 1, chunkSize: 65_536 })
  const headers = {
    authorization: 'Splunk any',
    'content-type': 'application/json',
    'content-encoding': 'gzip',
    'content-length': body.length,
  }
  const response = await exchange(request(url, { method: 'POST', headers }), body)
  for await (const _ of response);
  if (response.statusCode !== 200) throw new Error(`status ${response.statusCode}`)
}

/** One row as an object, its dynamic column parsed, in HEC's envelope. */
function eventOf(cells, columns) {
  const event = {}
  for (let index = 0; index < columns.length; index++) {
    const { name, type } = columns[index]
    event[name] = type === 'dynamic' ? JSON.parse(cells[index]) : cells[index]
  }
  return JSON.stringify({ time: Date.parse(event.TimeGenerated) / 1000, event })
}

function* eventsOf({ rows, columns }) {
  for (const cells of rows) yield eventOf(cells, columns)
}

/** @returns how many rows were sent */
export async function barePath({ query, hec, batch }, rows, rowsAWindow) {
  const windows = Math.ceil(rows / rowsAWindow)
  const start = Date.parse(answerSpan.start)
  const step = (Date.parse(answerSpan.end) - start) / windows
  const kql = `SigninLogs | take ${Math.min(rows, rowsAWindow)}`
  const send = inBatches(batch, underWay, (events) => post(hec, events))
  let sent = 0
  for (let window = 0; window < windows; window++) {
    const [from, to] = [window, window + 1].map((ends) => new Date(start + ends * step).toISOString())
    const table = await answer(query, kql, `${from}/${to}`)
    await send(eventsOf(table))
    sent += table.rows.length
  }
  return sent
}
