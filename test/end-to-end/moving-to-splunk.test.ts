// The guide of moving to Splunk, as printed: its job and its commands over the emulators. Only addresses are replaced, and the
// length of a window, as the guide moves a year hour by hour.
import { execFile } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import { startEmulators } from '../../lib/emulators/index.ts'
import { commandPath } from '../fixtures/command.ts'

const guide = readFileSync(
  fileURLToPath(new URL('../../lib/connectors/splunk/MOVING.md', import.meta.url)),
  'utf8',
)
const blocks = (language: string) =>
  [...guide.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)]
    .filter(([, name]) => name === language)
    .map(([, , text]) => text!)

t.test('moving to Splunk', async (t) => {
  const emulators = await startEmulators()
  t.teardown(() => emulators.close())
  const { entra, logAnalytics, hec, splunkSearch, caFile } = emulators
  const columns = [
    { name: 'TimeGenerated', type: 'datetime' },
    { name: 'CorrelationId', type: 'string' },
  ] as const
  // Every 100 minutes of January: hours with a row, and hours with none.
  const rows = Array.from({ length: 400 }, (_, n) => [
    new Date(Date.UTC(2026, 0, 2) + n * 6_000_000),
    `c-${n}`,
  ])
  logAnalytics.addTable('SigninLogs', columns, rows)

  const folder = t.testdir({})
  const adapted = (text: string) =>
    text
      .replaceAll('npx cyber-connectors', `'${process.execPath}' '${commandPath}'`)
      .replaceAll('https://splunk.example:8088', hec.endpoint)
      .replaceAll('https://splunk.example:8089', splunkSearch.url)
      .replace('partition_duration: 3600', 'partition_duration: 2592000')
      .replace(/^( *)workspace_id:/m, (line, space) => `${space}endpoint: ${logAnalytics.url}\n${line}`)
  const [job, ...otherJobs] = blocks('yaml')
  const [move, verify, ...otherCommands] = blocks('sh')
  t.same([otherJobs, otherCommands], [[], []], 'all of the guide is run')
  writeFileSync(join(folder, 'move.yaml'), adapted(job!))
  const env = {
    ...process.env,
    NODE_EXTRA_CA_CERTS: caFile,
    AZURE_AUTHORITY_HOST: entra.url,
    AZURE_TENANT_ID: entra.tenant_id,
    AZURE_CLIENT_ID: entra.client_id,
    AZURE_CLIENT_SECRET: entra.client_secret,
    SPLUNK_TOKEN: hec.token,
    SPLUNK_AUTH_TOKEN: splunkSearch.token,
  }
  const sh = (text: string) =>
    promisify(execFile)('sh', ['-ec', adapted(text)], { cwd: folder, env, timeout: 120_000 })

  await sh(move!)
  t.equal(hec.events.length, 400)
  const first = hec.events.find(({ time }) => Number(time) === Date.UTC(2026, 0, 2) / 1000)
  t.match(first, { index: 'signins', sourcetype: 'azure:signin', event: { CorrelationId: 'c-0' } })
  const proof = await sh(verify!)
  t.match(proof.stdout, /^All 400 intervals agree: 400 rows\.$/m)

  // Ends again at once: nothing has come since.
  await sh(move!)
  t.equal(hec.events.length, 400)

  // A proof that is none: one event is missing.
  splunkSearch.reset()
  splunkSearch.addEvents(hec.events.slice(1) as never)
  const differing = await sh(verify!.replace('--settle 5m', '--settle 0')).catch((error) => error)
  t.match(differing, { code: 1, stdout: /missing: c-0/ })
})
