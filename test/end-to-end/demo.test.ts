import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import { resultTable } from '../../lib/cli/demo.ts'
import { command } from '../fixtures/command.ts'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))

t.test('npm start: the whole path, with a JSON object as its last line', async (t) => {
  // The build is there already (npm test makes it), and other tests run on it.
  const { stdout } = await run('npm', ['start', '--ignore-scripts', '--', '--json'], { cwd: root })
  const result = JSON.parse(stdout.trim().split('\n').at(-1)!)
  t.match(result, { read: 3000, delivered: 3000, received: 3000, rejected: 0, found: 3000, seconds: Number })
  t.same(Object.keys(result), ['read', 'delivered', 'received', 'rejected', 'found', 'seconds'])
})

t.test('the counts as a table', async (t) => {
  const { code, stdout, stderr } = await command(['demo'])
  t.equal(code, 0, stderr)
  t.equal(
    stdout.replace(/\d+(\.\d+)? s, [\d,]+ rows\/s/, '<time>'),
    `read from Azure Monitor                  3,000
sent to Splunk and acknowledged          3,000
refused                                      0
counted by HEC                           3,000
found by a search, the same              3,000

Every row arrived. <time>.

These services were emulators on this machine. Next: --input FILE moves records of your own; \`cyber-connectors
emulate\` keeps the emulators up to try things on; \`cyber-connectors copy --help\` moves rows of real services.
`,
  )
})

t.test('of no row it is not said that it arrived', async (t) => {
  const none = { read: 0, delivered: 0, received: 0, rejected: 0, found: 0, seconds: 1 }
  t.match(resultTable(none), /^There was no row to read\. 1 s, 0 rows\/s\.$/m)
  t.match(
    resultTable({ ...none, read: 2, delivered: 1 }),
    /^The counts differ: rows are missing or came twice\./m,
  )
})

t.test("a file's records in place of the sample, zipped or not", async (t) => {
  const file = fileURLToPath(new URL('../../fixtures/signin-logs.ndjson', import.meta.url))
  const { code, stdout, stderr } = await command(['demo', '--input', file, '--json'])
  t.equal(code, 0, stderr)
  t.match(JSON.parse(stdout), { read: 500, delivered: 500, received: 500, rejected: 0 })
  const bad = t.testdir({ 'bad.ndjson': '{"TimeGenerated":"2024-05-01T00:00:00Z"}\n{"half":\n' })
  const refused = await command(['demo', '--input', `${bad}/bad.ndjson`])
  t.equal(refused.code, 1)
  t.equal(refused.stderr, 'cyber-connectors: line 2 is not JSON\n')
  const missing = await command(['demo', '--input', `${bad}/none.ndjson`])
  t.equal(missing.code, 2)
  t.match(missing.stderr, /ENOENT/)
})

t.test('records of any time are read; one without a time is an error, not left out', async (t) => {
  const lines = ['0001-01-01T00:00:00Z', '1969-07-20T20:17:40Z', '2999-01-01T00:00:00Z'].map((at) =>
    JSON.stringify({ at }),
  )
  const folder = t.testdir({
    'any.ndjson': lines.join('\n'),
    'some.ndjson': [...lines, '{"id":4}'].join('\n'),
  })
  const any = await command(['demo', '--input', `${folder}/any.ndjson`, '--time-column', 'at', '--json'])
  t.match(JSON.parse(any.stdout), { read: 3, delivered: 3, received: 3 })
  for (const [file, column, untimed] of [
    ['any', 'TimeGenerated', 3],
    ['some', 'at', 1],
  ] as const) {
    const { code, stdout, stderr } = await command([
      ...['demo', '--input', `${folder}/${file}.ndjson`, '--time-column', column],
    ])
    t.equal(code, 2)
    t.equal(stdout, '')
    t.match(stderr, `${untimed} of ${file === 'any' ? 3 : 4} records have no time in the column "${column}"`)
  }
})
