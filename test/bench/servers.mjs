// The servers of the bench. They do as little as they can, so that the sender is what is measured.
import { once } from 'node:events'
import { createServer } from 'node:http'
import { gunzipSync } from 'node:zlib'

const marks = { hec: Buffer.from('"event":') }

function occurrences(body, mark) {
  let count = 0
  for (let at = body.indexOf(mark); at >= 0; at = body.indexOf(mark, at + mark.length)) count++
  return count
}

/** A HEC that counts events and says 200. */
export async function hec() {
  let count = 0
  const answer = Buffer.from('{"text":"Success","code":0}')
  const server = createServer((request, response) => {
    const chunks = []
    request.on('data', (chunk) => chunks.push(chunk))
    request.on('end', () => {
      const body = chunks.length === 1 ? chunks[0] : Buffer.concat(chunks)
      const zipped = request.headers['content-encoding'] === 'gzip'
      count += occurrences(zipped ? gunzipSync(body) : body, marks.hec)
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': answer.length })
      response.end(answer)
    })
  })
  server.keepAliveTimeout = 60_000
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${server.address().port}/services/collector/event`
  return { facts: { url }, count: () => count }
}
