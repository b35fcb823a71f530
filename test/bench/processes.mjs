// What a second process brings: one core is all that a process of Node runs JavaScript on.
import { median, startServer, trial } from './harness.mjs'
import { ratio, round, table } from './report.mjs'

export async function processes({ quick, rounds }) {
  const rows = quick ? 60_000 : 240_000
  const server = await startServer('hec')
  const kinds = [
    ['not compressed', { gzip: false }],
    ['gzip', { gzip: true }],
  ]
  const counts = [1, 2, 3]
  const lines = []
  try {
    for (const [name, own] of kinds) {
      const rates = Object.fromEntries(counts.map((count) => [count, []]))
      for (let round = 0; round < rounds; round++)
        for (const count of counts) {
          const options = { url: server.url, batch: 500, rows: rows / count, warmUp: rows / count, ...own }
          const trials = Array.from({ length: count }, () => trial('splunk', 'cyber-connectors', options))
          const results = await Promise.all(trials)
          rates[count].push(rows / Math.max(...results.map(({ seconds }) => seconds)))
        }
      const gains = counts.map((count) => median(rates[count].map((rate, round) => rate / rates[1][round])))
      lines.push([name, ...counts.map((count, at) => `${round(median(rates[count]))} (${ratio(gains[at])})`)])
    }
  } finally {
    await server.close()
  }
  return `### More processes

Total rows/s through the Splunk sink, 500 rows a request, by processes that share this machine's cores with the server.

${table(['', ...counts.map((count) => (count === 1 ? 'one process' : `${count} processes`))], lines)}`
}
