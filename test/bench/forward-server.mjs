// An HEC that counts events and bytes. Prints its URL.
import { createServer } from 'node:http'
import { gunzipSync } from 'node:zlib'

let seen = { rows: 0, bytes: 0 }
const needle = Buffer.from('"event":')
const server = createServer((request, response) => {
  if (request.method === 'GET') {
    const body = JSON.stringify(seen)
    if (request.url === '/reset') seen = { rows: 0, bytes: 0 }
    response.end(body)
    return
  }
  const chunks = []
  request.on('data', (chunk) => chunks.push(chunk))
  request.on('end', () => {
    const body = Buffer.concat(chunks)
    seen.bytes += body.length
    const text = request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body
    for (let at = text.indexOf(needle); at >= 0; at = text.indexOf(needle, at + needle.length)) seen.rows++
    response.setHeader('content-type', 'application/json')
    response.end('{"text":"Success","code":0}')
  })
})
server.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}`))
