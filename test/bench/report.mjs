// The words and tables of the result, and where they are put.
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { cpus, totalmem } from 'node:os'

const start = '<!-- bench:start -->'
const end = '<!-- bench:end -->'

/** A table in Markdown; the first column to the left, the others to the right. */
export function table(head, lines) {
  const rule = head.map((_, index) => (index === 0 ? '---' : '--:'))
  return [head, rule, ...lines].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

/** A number with as many digits as are worth reading. */
export function round(value) {
  if (!Number.isFinite(value)) return '–'
  if (value >= 1000) return Number(value.toPrecision(3)).toLocaleString('en-US')
  if (value >= 100) return value.toFixed(0)
  return value.toPrecision(value >= 10 ? 3 : 2)
}

export const ratio = (value) => `${value.toFixed(2)}×`
export const megabytes = (bytes) => `${Math.round(bytes / 1e6)} MB`

/** One row that says whether a goal is reached; `withGoals` makes tables of them. */
export function goal(text, value, least, { most = false } = {}) {
  const reached = most ? value <= least : value >= least
  return `| ${reached ? '✓' : '✗'} | ${text} | ${value.toFixed(2)} | ${most ? 'at most' : 'at least'} ${least} |`
}

/** The text with a head above each run of goals. */
export function withGoals(text) {
  const head = '|  | goal | measured | wanted |\n| --- | --- | --: | --: |\n'
  return text.replaceAll(/(?:^\| [✓✗] \|.*(?:\n|$))+/gm, (goals) => `${head}${goals}`)
}

/** The machine, the date and the versions. */
export function circumstances() {
  const require = createRequire(import.meta.url)
  const versionOf = (name) => {
    const path = require.resolve(name).replace(new RegExp(`(/node_modules/${name})/.*$`), '$1/package.json')
    return `${name} ${JSON.parse(readFileSync(path, 'utf8')).version}`
  }
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
  let commit = ''
  try {
    commit = ` (${execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: import.meta.dirname, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()})`
  } catch {
    // Not in a clone.
  }
  const packages = ['got', '@azure/monitor-query', '@azure/monitor-ingestion', 'splunk-logging'].map(
    versionOf,
  )
  const memory = `${Math.round(totalmem() / 2 ** 30)} GiB`
  return (
    `Measured on ${new Date().toISOString().slice(0, 10)} by \`npm run bench\`: ${cpus().length} cores (${cpus()[0]?.model.trim()}), ` +
    `${memory}, ${process.platform}, Node ${process.versions.node}, cyber-connectors ${version}${commit}, ${packages.join(', ')}.`
  )
}

/** Puts the text between the marks of the bench's README. @returns whether it has them */
export function putIntoReadme(text) {
  const file = new URL('README.md', import.meta.url)
  const readme = readFileSync(file, 'utf8')
  const [from, to] = [readme.indexOf(start), readme.indexOf(end)]
  if (from < 0 || to < from) return false
  writeFileSync(file, `${readme.slice(0, from + start.length)}\n\n${text}\n\n${readme.slice(to)}`)
  return true
}
