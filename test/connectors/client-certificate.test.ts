import t from 'tap'
import { createCertificateAuthority } from '../../lib/emulators/certificates.ts'
import { startEmulators } from '../../lib/emulators/start.ts'
import { AzureMonitorReadable, SentinelWritable, SplunkReadable } from '../../lib/index.ts'
import { deliver } from '../fixtures/sink-trial.ts'

const range = { start_time: '2024-05-01T00:00:00Z', end_time: '2024-05-02T00:00:00Z' }
const columns = [
  { name: 'TimeGenerated', type: 'datetime' },
  { name: 'n', type: 'long' },
] as const
const dcr_id = 'dcr-00000000000000000000000000000001'
const dcs = 'Custom-Alerts_CL'

t.test('servers that ask for a client certificate', async (t) => {
  const authority = await createCertificateAuthority()
  const tls = { ...(await authority.issue()), ca: authority.ca, requestCert: true, rejectUnauthorized: true }
  const emulators = await startEmulators({
    entra: { tls },
    logAnalytics: { tls },
    ingestion: { tls, rules: { [dcr_id]: [dcs] } },
    splunkSearch: { tls },
  })
  t.teardown(() => emulators.close())
  const { entra, logAnalytics, ingestion, splunkSearch } = emulators
  logAnalytics.addTable('T', columns, [['2024-05-01T12:00:00Z', 1]])
  splunkSearch.addEvents([{ time: '1714564800', index: 'main', event: 'n=1' }] as never)

  const { cert, key } = await authority.issue(['client'])
  const { tenant_id, client_id, client_secret } = entra
  const principal = { tenant_id, client_id, client_secret, authority_host: entra.url }
  const log = { ...principal, endpoint: logAnalytics.url, workspace_id: 'w', query: 'T' }
  const alerts = { ...principal, dce: ingestion.url, dcr_id, dcs }
  const splunk = { splunkd_url: splunkSearch.url, splunkd_token: splunkSearch.token, index: 'main' }
  const reads = {
    'azure-monitor': (options: object) =>
      new AzureMonitorReadable({ ...log, ...range, ...options }).toArray(),
    splunk: (options: object) => new SplunkReadable({ ...splunk, ...range, ...options }).toArray(),
    sentinel: async (options: object) => {
      const error = await deliver([{ n: 1 }], new SentinelWritable({ ...alerts, ...options }))
      if (error) throw error
      return ingestion.requests.splice(0).flatMap(({ rows = [] }) => rows)
    },
  }
  for (const [name, read] of Object.entries(reads)) {
    const reach = { ca: authority.ca, max_retries: 0 }
    t.equal((await read({ ...reach, cert, key })).length, 1, name)
    await t.rejects(read(reach), { message: /alert|socket hang up|ECONNRESET|EPIPE/ }, `${name}, without one`)
  }
})
