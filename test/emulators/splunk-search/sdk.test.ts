import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import { startEmulators } from '../../../lib/emulators/index.ts'

// Splunk's own clients read the emulator. `.ci/services` installs them.
const place = (path: string) => fileURLToPath(new URL(`../../../${path}`, import.meta.url))
const python = place('.services/python/bin/python')
const npm = place('.services/splunk-sdk/node_modules/splunk-sdk')
const missing = (path: string) => !existsSync(path) && 'not installed: run .ci/services'

const first = Date.parse('2026-10-08T00:00:00Z') / 1000

async function read(command: string, script: string) {
  await using emulators = await startEmulators()
  const { splunkSearch: splunk, caFile } = emulators
  splunk.addEvents(Array.from({ length: 250 }, (_, n) => ({ time: first + n, event: { n, list: ['a', n] } })))
  const { stdout } = await promisify(execFile)(command, [place(script)], {
    maxBuffer: 50_000_000,
    env: {
      PATH: process.env['PATH'],
      SPLUNKD_PORT: new URL(splunk.url).port,
      SPLUNK_USERNAME: splunk.username,
      SPLUNK_PASSWORD: splunk.password,
      SPLUNKD_CA: caFile,
      NODE_EXTRA_CA_CERTS: caFile,
      SPLUNK_SDK: npm,
      SEARCH: 'search * | fields n list{}',
    },
  })
  const lines = stdout.trim().split('\n')
  return {
    found: JSON.parse(lines.at(-1)!),
    jobs: [splunk.jobsCreated - splunk.jobsDeleted, splunk.jobCount],
  }
}

const row = (n: number) => ({
  n: String(n),
  'list{}': ['a', String(n)],
  _raw: `{"n":${n},"list":["a",${n}]}`,
})

t.test(
  'the Python splunk-sdk: export, oneshot, a job and its pages',
  { skip: missing(python) },
  async (t) => {
    const { found, jobs } = await read(python, 'test/fixtures/splunk_sdk.py')
    t.same(found.version, [10, 0, 0])
    for (const { rows, messages } of [found.exported, found.oneshot]) {
      t.equal(rows.length, 250)
      t.match(rows[0], row(249))
      t.match(rows[249], row(0))
      t.same(messages, [])
    }
    t.equal(found.exported.rows[249]._time, '2026-10-08 00:00:00.000 GMT')
    t.equal(found.oneshot.rows[249]._time, '2026-10-08T00:00:00.000+00:00')
    t.match(found, { count: 250, pages: [100, 100, 50], sid: String, login: 'Login failed.' })
    t.match(found.refused, { status: 400, text: /Unknown search command 'nonsense'/ })
    t.equal(jobs[1], 0, 'its job is gone')
  },
)

t.test('the npm splunk-sdk: oneshot, a job and its pages', { skip: missing(npm) }, async (t) => {
  const { found, jobs } = await read(process.execPath, 'test/fixtures/splunk-sdk.cjs')
  // It asks for json_rows.
  const { fields, rows } = found.oneshot
  t.equal(rows.length, 250)
  t.match(Object.fromEntries(fields.map((name: string, at: number) => [name, rows[0][at]])), row(249))
  t.match(found, { count: 250, pages: [100, 100, 50], sid: String, login: 401 })
  t.ok(found.fields.includes('n'))
  t.equal(jobs[1], 0, 'its job is gone')
})
