// Writes what the guides show of the code: the tables of options, from the declarations, and the examples, from the
// tests. Also the sample rows. Run by `npm run generate` on the built package; a test fails if one of them has drifted.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { signinColumns, signinRows } from '../dist/cli/sample-table.js'
import { serialize } from '../dist/core/json.js'
import { OptionTypes } from './option-texts.mjs'
import { windowsRecords, zeekRecords } from './records.mjs'

const root = new URL('../', import.meta.url)

/** The modules of the types that have a table and are not exported from the entry point. */
const modules = {
  SinkOptions: 'sink/options',
  HttpOptions: 'http/options',
  AzureOptions: 'connectors/azure/options',
  PinoTransportOptions: 'pino/options',
}

/** What a generated file holds now. */
export function current(file) {
  return readFileSync(new URL(file, root), 'utf8')
}

const cell = (text) => text.replaceAll('|', '\\|')

/** Options of Node's own streams, which no table repeats. */
const nodeOptions = new Set(['highWaterMark', 'signal', 'emitClose', 'captureRejections'])

/** The options of a type as a table of a guide, less those that another table has with the same text and default. */
function optionTable(options, others = []) {
  const known = new Map(others.map((each) => [each.name, each]))
  const rows = options
    .filter(({ name }) => !nodeOptions.has(name))
    .filter((each) => {
      const other = known.get(each.name)
      return !other || other.text !== each.text || other.default !== each.default
    })
    .map(({ name, family, type, required, text, default: fallback }) => {
      const shown =
        fallback === undefined
          ? ''
          : /^(\d|"|true$|false$)/.test(fallback)
            ? `\`${plain(fallback)}\``
            : fallback
      return `| \`${name}${family ? '<Name>' : ''}\` | ${cell(type)} | ${required ? '**required**' : cell(shown)} | ${cell(text)} |`
    })
  return ['| option | type | default | meaning |', '| --- | --- | --- | --- |', ...rows].join('\n')
}

/** A default as a job file has it. */
const plain = (fallback) =>
  fallback.startsWith('"') && fallback.length > 4 ? JSON.parse(fallback) : fallback

/** Every guide: README, and the one of each folder of lib that has one. */
const guides = [
  'README.md',
  ...readdirSync(new URL('lib/', root), { recursive: true })
    .filter((file) => file.endsWith('README.md'))
    .map((file) => `lib/${file}`)
    .sort(),
]

/** How a block of Markdown names the language of a file. */
function languageOf(file) {
  const ending = file
    .slice(file.lastIndexOf('/') + 1)
    .split('.')
    .at(-1)
  return { service: 'ini', Dockerfile: 'dockerfile' }[ending] ?? ending
}

/** A guide with its examples and option tables, each between two markers, written again. */
function withTables(guide, types) {
  const options = (names) => names.split('+').flatMap((name) => types.options(modules[name] ?? 'index', name))
  return guide
    .replace(
      /(<!-- example: (\S+) -->\n)[\s\S]*?(<!-- end of example -->)/g,
      (_, start, file, end) => `${start}\`\`\`${languageOf(file)}\n${current(file)}\`\`\`\n${end}`,
    )
    .replace(
      /(<!-- options:([\w+]+)(?: but those of ([\w+]+))? -->\n)[\s\S]*?(<!-- end of options -->)/g,
      (_, start, name, other, end) =>
        `${start}${optionTable(options(name), other && options(other))}\n${end}`,
    )
}

/** What each generated file should hold. */
export function generated() {
  const types = new OptionTypes()
  const files = new Map(guides.map((guide) => [guide, withTables(current(guide), types)]))
  files.set('fixtures/signin-logs.ndjson', signinRecords())
  files.set('fixtures/windows-like.ndjson', ndjson(windowsRecords()))
  files.set('fixtures/zeek-like.ndjson', ndjson(zeekRecords()))
  return files
}

/** The rows of the demo's sample as NDJSON, for tests and recipes that want a file. */
function signinRecords() {
  const names = signinColumns.map(({ name }) => name)
  const rows = signinRows(500, new Date('2026-11-01T00:00:00Z'))
  return ndjson(rows.map((row) => Object.fromEntries(row.map((value, index) => [names[index], value]))))
}

const ndjson = (records) => records.map((record) => `${serialize(record)}\n`).join('')

if (process.argv[1] === new URL(import.meta.url).pathname) {
  for (const [file, text] of generated()) writeFileSync(new URL(file, root), text)
}
