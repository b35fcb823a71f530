// Writes what follows from the option declarations: the option types (for editors and TypeDoc). Run by `npm run generate`
// on the built package; a test fails when what is written has drifted.
import { readFileSync, writeFileSync } from 'node:fs'
import { jobSchema } from '../dist/cli/job-schema.js'
import { signinColumns, signinRows } from '../dist/cli/signin-sample.js'
import { serialize } from '../dist/core/json.js'
import { otherSpelling } from '../dist/core/options.js'
import { declarations } from './declarations.mjs'

const header = '// Generated from the option declarations by `npm run generate`. Do not edit.\n'

const root = new URL('../', import.meta.url)

/** What a generated file holds now. */
export function current(file) {
  return readFileSync(new URL(file, root), 'utf8')
}

const comment = (text, indent = '') => {
  const lines = [[]]
  for (const word of text.split(/\s+/)) {
    if ([...lines.at(-1), word].join(' ').length > 100) lines.push([])
    lines.at(-1).push(word)
  }
  if (lines.length === 1) return `${indent}/** ${lines[0].join(' ')} */\n`
  return `${indent}/**\n${lines.map((line) => `${indent} * ${line.join(' ')}\n`).join('')}${indent} */\n`
}

export function defaultOf(spec) {
  if (spec.defaultText !== undefined) return spec.defaultText
  return spec.default === undefined
    ? undefined
    : `\`${typeof spec.default === 'number' ? spec.default : JSON.stringify(spec.default).replaceAll('"', '')}\``
}

const documented = (spec) => {
  const fallback = defaultOf(spec)
  return `${spec.doc}${spec.secret ? ' A secret: never shown.' : ''}${fallback ? ` Default: ${fallback}.` : ''}`
}

/** The TypeScript source of one declaration's option type. */
export function optionTypes({ declaration, name, title }) {
  const required = []
  let body = ''
  for (const [option, spec] of Object.entries(declaration.specs)) {
    const other = otherSpelling(option)
    if (spec.required && other !== option) {
      required.push([option, other, spec])
      continue
    }
    body += `${comment(documented(spec), '  ')}  ${option}${spec.required ? ': ' : '?: '}${spec.type}${spec.required ? '' : ' | undefined'}\n`
    if (other !== option) body += `  /** Same as \`${option}\`. */\n  ${other}?: ${spec.type} | undefined\n`
  }
  for (const [prefix, spec] of Object.entries(declaration.prefixes)) {
    body += `${comment(documented(spec), '  ')}  [name: \`${prefix}\${string}\`]: string | undefined\n`
  }
  const base = required.length > 0 ? `${name}Base` : name
  let text = `import type { StreamOptions } from '../core/stream-options.ts'\n\n`
  text += `${comment(title)}export interface ${base} extends StreamOptions {\n${body}}\n`
  for (const [option, other, spec] of required) {
    const doc = comment(documented(spec), '      ')
    const pascal = other[0].toUpperCase() + other.slice(1)
    text += `\n${comment(`\`${option}\`, in either spelling.`)}export type ${name}${pascal} =\n  | {\n${doc}      ${option}: ${spec.type}\n    }\n  | {\n${doc}      ${other}: ${spec.type}\n    }\n`
  }
  if (required.length > 0) {
    const parts = required.map(([, other]) => `${name}${other[0].toUpperCase()}${other.slice(1)}`)
    text += `\n${comment(title)}export type ${name} = ${[base, ...parts].join(' & ')}\n`
  }
  return text
}

const cell = (text) => text.replaceAll('|', '\\|')

/** The options of one declaration as a table of README. */
export function optionTable({ declaration }, known = {}) {
  const added = Object.entries(declaration.specs).filter(([name, { doc }]) => known[name]?.doc !== doc)
  const rows = added.map(([name, spec]) => {
    const type = cell(spec.type.replace(/import\('[^']+'\)\./g, ''))
    const fallback = spec.required ? '**required**' : (defaultOf(spec) ?? '')
    return `| \`${name}\` | ${type} | ${cell(fallback)} | ${cell(spec.doc)} |`
  })
  for (const [prefix, spec] of Object.entries(declaration.prefixes)) {
    rows.push(`| \`${prefix}<Name>\` | ${cell(spec.type)} | | ${cell(spec.doc)} |`)
  }
  return ['| option | type | default | meaning |', '| --- | --- | --- | --- |', ...rows].join('\n')
}

/** README with its option tables, each between two markers, written anew. A marker may leave out what another table has. */
function withTables(readme) {
  const example = current('test/fixtures/line-sink.ts')
  readme = readme.replace(
    /(<!-- example -->\n)[\s\S]*?(<!-- end of example -->)/,
    (_, start, end) => `${start}\`\`\`ts\n${example}\`\`\`\n${end}`,
  )
  return readme.replace(
    /(<!-- options:(\w+)(?: but those of (\w+))? -->\n)[\s\S]*?(<!-- end of options -->)/g,
    (whole, start, name, other, end) => {
      const find = (wanted) => declarations.find((each) => each.name === wanted)
      const entry = find(name)
      return entry ? `${start}${optionTable(entry, find(other)?.declaration.specs)}\n${end}` : whole
    },
  )
}

/** What each generated file should hold. */
export function generated() {
  const files = new Map()
  for (const entry of declarations) {
    if (!entry.file) continue
    const before = files.get(entry.file)
    const text = optionTypes(entry)
    files.set(
      entry.file,
      before === undefined ? header + text : before + text.slice(text.indexOf('\n\n') + 1),
    )
  }
  files.set('README.md', withTables(current('README.md')))
  files.set('lib/cli/job.schema.json', `${JSON.stringify(jobSchema(), null, 2)}\n`)
  files.set('fixtures/signin-logs.ndjson', signinRecords())
  return files
}

/** The rows of the demo's sample as NDJSON, for tests and recipes that want a file. */
function signinRecords() {
  const names = signinColumns.map(({ name }) => name)
  return signinRows(500, new Date('2026-11-01T00:00:00Z'))
    .map((row) => `${serialize(Object.fromEntries(row.map((value, index) => [names[index], value])))}\n`)
    .join('')
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  for (const [file, text] of generated()) {
    writeFileSync(new URL(file, root), text)
  }
}
