// Compiled by `npm run typecheck`, never run: each @ts-expect-error is a call that must not compile.
import { pipeline } from 'node:stream/promises'
import {
  AzureMonitorReadable,
  AzureMonitorStreamReadable,
  createWritable,
  SentinelWritable,
  SplunkWritable,
} from '../../lib/index.ts'

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
// @ts-expect-error a string that is no number
createWritable('splunk', { url: 'https://splunk:8088', token: 't', batch_size: 'abc' })
// @ts-expect-error a string that is no number, in the other spelling
new SplunkWritable({ url: 'https://splunk:8088', token: 't', batchSize: 'abc' })
new SplunkWritable({ url: 'https://splunk:8088', token: 't', batch_size: 'auto', ack: 'true' }).destroy()
// @ts-expect-error a string that is no boolean
new SplunkWritable({ url: 'https://splunk:8088', token: 't', ack: 'yes' })
// @ts-expect-error a list of numbers is no list of columns
new SplunkWritable({ url: 'https://splunk:8088', token: 't', indexed_fields: [1] })
// @ts-expect-error neither of the two modes
new SplunkWritable({ url: 'https://splunk:8088', token: 't', mode: 'lines' })

export async function pipes(rows: AsyncIterable<{ a: number }>): Promise<void> {
  await pipeline(rows, good)
}

const signIn = { tenant_id: 't', client_id: 'c', client_secret: 's' } as const
const range = { timespan: 'P1D', query: 'T' } as const
new AzureMonitorReadable({ ...signIn, ...range, workspace_id: 'w' }).destroy()
new AzureMonitorReadable({ azureDefaultCredential: true, ...range, resourceId: '/subscriptions/…' }).destroy()
// @ts-expect-error no way to sign in
new AzureMonitorReadable({ ...range, workspace_id: 'w' })
// @ts-expect-error a way to sign in that lacks the secret
new AzureMonitorReadable({ tenant_id: 't', client_id: 'c', ...range, workspace_id: 'w' })
// @ts-expect-error no time range
new AzureMonitorReadable({ ...signIn, query: 'T', workspace_id: 'w' })
// @ts-expect-error two time ranges
new AzureMonitorReadable({ ...signIn, ...range, start_time: '2026-01-01', workspace_id: 'w' })
// @ts-expect-error neither workspace nor resource
new AzureMonitorReadable({ ...signIn, ...range })
// @ts-expect-error both workspace and resource, one in the other spelling
new AzureMonitorReadable({ ...signIn, ...range, workspace_id: 'w', resourceId: '/subscriptions/…' })
new AzureMonitorStreamReadable({ ...signIn, query: 'T', workspaceId: 'w', startTime: 'earliest' }).destroy()
// @ts-expect-error a stream has no timespan
new AzureMonitorStreamReadable({ ...signIn, query: 'T', timespan: 'P1D', workspace_id: 'w' })
new SentinelWritable({ ...signIn, dce: 'https://dce', dcrId: 'dcr-1', dcs: 'Custom-T' }).destroy()
// @ts-expect-error dcr_id is missing
new SentinelWritable({ ...signIn, dce: 'https://dce', dcs: 'Custom-T' })
// @ts-expect-error no way to sign in
new SentinelWritable({ dce: 'https://dce', dcr_id: 'dcr-1', dcs: 'Custom-T' })
