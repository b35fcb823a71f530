// The bench: `npm run bench` for all, about a quarter of an hour; `-- --quick` for a look; `-- splunk source` for parts;
// `-- --full` with 5 million rows over the whole path; `--no-readme` prints only.
import { execFileSync } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { parts } from './parts.mjs'
import { circumstances, putIntoReadme, withGoals } from './report.mjs'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    full: { type: 'boolean', default: false },
    'no-readme': { type: 'boolean', default: false },
  },
})
const unknown = positionals.filter((name) => !Object.hasOwn(parts, name))
if (unknown.length > 0) {
  console.error(`no part ${unknown.join(', ')}; there are ${Object.keys(parts).join(', ')}`)
  process.exit(1)
}
if (!existsSync(new URL('node_modules/splunk-logging', import.meta.url))) {
  console.error('installing the peers')
  execFileSync('npm', ['ci', '--no-audit', '--no-fund'], { cwd: import.meta.dirname, stdio: 'inherit' })
}

const chosen = positionals.length > 0 ? positionals : Object.keys(parts)
const scale = { quick: values.quick, full: values.full, rounds: values.quick ? 2 : 5 }
const texts = [circumstances()]
console.log(`${texts[0]}\n`)
for (const name of chosen) {
  console.error(name)
  const text = withGoals(await parts[name](scale))
  console.log(`${text}\n`)
  texts.push(text)
}
const whole = chosen.length === Object.keys(parts).length && !values.quick
if (whole && !values['no-readme']) {
  const text = texts.join('\n\n')
  if (putIntoReadme(text)) console.error('put into README.md')
  else writeFileSync(new URL('RESULTS.md', import.meta.url), `${text}\n`)
}
