// One export answer of splunkd, and one of results, as Splunk writes them: about 500 bytes an event.
export const searchSpan = { start: '2026-10-08T00:00:00Z', end: '2026-10-09T00:00:00Z' }
const begin = Date.parse(searchSpan.start) / 1000

const event = (n, total) => {
  const time = begin + (86_400 * (total - 1 - n)) / total
  const at = new Date(time * 1000).toISOString()
  return {
    _raw: `${at} host=web-${n % 50} action=${n % 3 ? 'allowed' : 'blocked'} src=10.${n % 256}.${(n >> 8) % 256}.7 dst=192.168.${n % 200}.9 user=user${n % 1000}@example.com bytes=${n * 17} status=${200 + (n % 5)} url="/path/${n}/index.html"`,
    _time: `${at.slice(0, 23).replace('T', ' ')} GMT`,
    host: `web-${n % 50}`,
    index: 'main',
    linecount: '1',
    source: '/var/log/web.log',
    sourcetype: 'access',
    splunk_server: `idx${n % 4}`,
    zz_connector_indextime: String(Math.ceil(time)),
    zz_connector_time: time.toFixed(6),
  }
}

export function* exportLines(rows) {
  for (let n = 0; n < rows; n++) {
    const last = n === rows - 1 ? '"lastrow":true,' : ''
    yield `{"preview":false,"offset":${n},${last}"result":${JSON.stringify(event(n, rows))}}\n`
  }
}

export function* resultsText(rows) {
  yield '{"preview":false,"init_offset":0,"messages":[],"fields":[],"results":['
  for (let n = 0; n < rows; n++) yield (n ? ',' : '') + JSON.stringify(event(n, rows))
  yield ']}'
}
