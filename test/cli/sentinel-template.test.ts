import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { command } from '../fixtures/command.ts'

const sample = fileURLToPath(new URL('../../fixtures/sentinel/zeek-dns.ndjson', import.meta.url))

t.test(
  'from a file and from standard input: the same template, and each doubt on standard error',
  async (t) => {
    const folder = t.testdir()
    const wanted = ['--table', 'ZeekDns_CL', '--time-column', 'ts', '--workspace-id', 'soc']
    const [file, piped] = await Promise.all([
      command(['sentinel-template', '--from', sample, ...wanted, '--out', `${folder}/sentinel.json`]),
      command(['sentinel-template', '--from', '-', ...wanted], { input: await readFile(sample) }),
    ])
    for (const { code, stderr } of [file, piped]) {
      t.equal(code, 0, stderr)
      t.match(stderr, /^# id\.orig_h: is called id_orig_h; send rows with column_names: 'azure'$/m)
      t.match(stderr, /^# EventTime: holds the time of the event/m)
    }
    t.equal(file.stdout, '')
    t.equal(piped.stdout, await readFile(`${folder}/sentinel.json`, 'utf8'))
    const template = JSON.parse(piped.stdout)
    t.equal(template.parameters.workspaceName.defaultValue, 'soc')
    t.match(template.outputs, { dcs: { value: 'Custom-ZeekDns_CL' } })
  },
)

t.test('wrong flags are reported together', async (t) => {
  const none = await command(['sentinel-template'])
  t.equal(none.code, 2)
  t.match(none.stderr, /--from: is required/)
  t.match(none.stderr, /--table: is required/)
  const wrong = await command([
    'sentinel-template',
    '--from',
    sample,
    '--table',
    'Zeek',
    '--principal-id',
    'me',
  ])
  t.equal(wrong.code, 2)
  t.match(wrong.stderr, /table: expected a letter/)
  t.match(wrong.stderr, /principal_id: expected the object id/)
  const help = await command(['sentinel-template', '--help', '--from', 'splunk'])
  t.equal(help.code, 0)
  t.match(help.stdout, /--splunkd-url/)
})
