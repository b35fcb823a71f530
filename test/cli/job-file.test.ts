import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { fillFromEnvironment, readYaml } from '../../lib/cli/config-file.ts'
import { readJobFile } from '../../lib/cli/job.ts'
import { planJob } from '../../lib/cli/plan.ts'
import { command } from '../fixtures/command.ts'

const variable = (name: string) => `$\{${name}}`

/** The problems of a job file. */
async function problemsOf(t: Test, job: object): Promise<readonly string[]> {
  const file = join(t.testdir(), 'job.json')
  await writeFile(file, JSON.stringify(job))
  const error = await readJobFile(file, { EMPTY: '' })
    .then(planJob)
    .then(
      () => undefined,
      (error) => error,
    )
  return error?.problems ?? []
}

t.test('all problems of a job file come together: variables, members, options, names', async (t) => {
  const options = { url: variable('URL'), token: variable('EMPTY'), batch_sise: 5 }
  const job = {
    source: { connector: 'azure-montor', options: { anything: 1 } },
    sink: { connector: 'splunk', options },
    checkpoimt: './offsets',
    trigger: 'often',
    transforms: ['./none.mjs'],
  }
  const problems = await problemsOf(t, job)
  const expected = [
    /^sink\.options\.url: the environment has no variable URL$/,
    /^sink\.options\.token: the variable EMPTY is empty$/,
    /^unknown option "checkpoimt"; did you mean "checkpoint"\?$/,
    /^trigger: expected "available_now"/,
    /^source azure-montor: .*did you mean "azure-monitor"\?$/,
    /^sink splunk: unknown option "batch_sise"; did you mean "batch_size"\?$/,
    /none\.mjs: can't be loaded/,
  ]
  t.equal(problems.length, expected.length, problems.join('\n'))
  for (const each of expected)
    t.ok(
      problems.some((problem) => each.test(problem)),
      String(each),
    )
})

t.test('a job without its source is checked all the same', async (t) => {
  const problems = await problemsOf(t, {
    sink: { connector: 'splunk', options: {} },
    checkpoint: './offsets',
  })
  t.match(problems, [
    /^source: is required/,
    /^sink splunk: url: is required/,
    /^sink splunk: token: is required/,
  ])
})

t.test('a file that is no job says so, with its name, as a wrong option', async (t) => {
  const lists = Array.from({ length: 12 }, (_, n) => {
    const items = n === 0 ? '["x", "x"]' : `[${Array(9).fill(`*a${n - 1}`)}]`
    return `a${n}: &a${n} ${items}`
  })
  const cases = {
    'empty.yaml': ['', /empty\.yaml: is empty/],
    'blank.yaml': [' \n\n', /blank\.yaml: is empty/],
    'comment.yaml': ['# nothing yet\n', /comment\.yaml: expected a job: an object with "source" and "sink"/],
    'bomb.yaml': [lists.join('\n'), /bomb\.yaml: has aliases that expand without end/],
    'cycle.yaml': ['source: &a\n  - *a\n', /cycle\.yaml: has an alias inside of its own anchor/],
    'deep.yaml': [
      `a: ${'['.repeat(100_000)}${']'.repeat(100_000)}`,
      /deep\.yaml: is (nested too deeply|not JSON or YAML: .*resource exhaustion)/,
    ],
  } as const
  const folder = t.testdir(Object.fromEntries(Object.entries(cases).map(([name, [text]]) => [name, text])))
  for (const [name, [, message]] of Object.entries(cases)) {
    await t.rejects(readJobFile(join(folder, name), {}), { code: 'ERR_OPTION', message }, name)
  }
  t.equal((await command(['run', 'cycle.yaml'], { cwd: folder })).code, 2)
  t.strictSame(await readYaml(join(folder, 'comment.yaml')), null)
})

t.test('variables: defaults, escapes, and what is no variable', async (t) => {
  const environment = { A: 'one', EMPTY: '', B: variable('A') }
  const reports: string[] = []
  const fill = (text: string) =>
    fillFromEnvironment(text, environment, (problem) => reports.push(problem), 'at')
  const cases = {
    x: 'x',
    [variable('A')]: 'one',
    [`<${variable('A')}|${variable('A')}>`]: '<one|one>',
    [variable('B')]: variable('A'),
    [variable('NO:-two')]: 'two',
    [variable('EMPTY:-two')]: 'two',
    [variable('NO:-')]: '',
    [`$${variable('A')}`]: variable('A'),
    '$A ${': '$A ${',
    '${A': '${A',
    [`$${'${'}${variable('A')}`]: `${'${'}one`,
  }
  for (const [text, expected] of Object.entries(cases)) t.equal(fill(text), expected, text)
  t.strictSame(reports, [])
  for (const text of [variable('NO'), variable('EMPTY'), variable('a b'), variable('')]) fill(text)
  t.strictSame(reports, [
    'at: the environment has no variable NO',
    'at: the variable EMPTY is empty',
    `at: "$\{a b}" is not the name of a variable`,
    `at: "$\{}" is not the name of a variable`,
  ])
})

t.test('two hundred thousand openings are no work', { timeout: 20_000 }, async (t) => {
  for (const part of ['${', '$${', '$', '${A']) {
    const text = part.repeat(200_000)
    t.ok(typeof fillFromEnvironment(text, {}, () => {}) === 'string')
  }
})
