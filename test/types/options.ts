// Compiled by `npm run typecheck`, never run: each @ts-expect-error is a call that must not compile.
import { pipeline } from 'node:stream/promises'
import { createWritable, SplunkWritable } from '../../lib/index.ts'

const good = createWritable('splunk', {
  url: 'https://splunk:8088',
  token: 't',
  batch_size: 10,
  batchBytes: '1000',
})
good satisfies SplunkWritable
good satisfies NodeJS.WritableStream
good.on('batch', ({ rows, duration }) => [rows, duration] satisfies [number, number])
good.on('retry', ({ wait }) => wait satisfies number)
good.on('error', (error) => error satisfies Error)

// @ts-expect-error a sink of this name is not known
createWritable('splnk', { url: 'https://splunk:8088', token: 't' })
// @ts-expect-error token is missing
createWritable('splunk', { url: 'https://splunk:8088' })
// @ts-expect-error an option of this name is not known
createWritable('splunk', { url: 'https://splunk:8088', token: 't', batchsize: 10 })
// @ts-expect-error a list of numbers is no list of columns
new SplunkWritable({ url: 'https://splunk:8088', token: 't', indexed_fields: [1] })
// @ts-expect-error neither of the two modes
new SplunkWritable({ url: 'https://splunk:8088', token: 't', mode: 'lines' })

export async function pipes(rows: AsyncIterable<{ a: number }>): Promise<void> {
  await pipeline(rows, good)
}
