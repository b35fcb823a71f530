// Writes what follows from the option declarations: the option types (for editors and TypeDoc), README's tables, the job schema. Run by `npm run generate`
// on the built package; a test fails when what is written has drifted.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, relative } from 'node:path/posix'
import { jobSchema } from '../dist/cli/job-schema.js'
import { signinColumns, signinRows } from '../dist/cli/sample-table.js'
import { serialize } from '../dist/core/json.js'
import { otherSpelling } from '../dist/core/options.js'
import { declarations, groups } from './declarations.mjs'
import { windowsRecords, zeekRecords } from './records.mjs'

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

const fieldsOf = ({ name }) => name.replace(/Options$/, 'Fields')

/** Whether two declarations have the same option of this name. */
const shares = (option, spec, { declaration }) => {
  const other = declaration.specs[option]
  return other !== undefined && other.type === spec.type && documented(other) === documented(spec)
}

/**
 * The TypeScript source of a declaration's options in one spelling, as an interface.
 * @param before the declarations written before it: what they have is taken from there
 */
function optionFields(entry, before) {
  const { declaration, title } = entry
  const fields = fieldsOf(entry)
  const options = Object.entries(declaration.specs)
  const taken = new Set()
  const bases = before.flatMap((other) => {
    const names = options
      .filter(([option, spec]) => !taken.has(option) && shares(option, spec, other))
      .map(([each]) => each)
    for (const each of names) taken.add(each)
    const theirs = Object.keys(other.declaration.specs)
    const left = theirs.filter((each) => !names.includes(each))
    if (names.length === 0) return []
    if (left.length === 0) return [fieldsOf(other)]
    const list = (each) => each.map((option) => `'${option}'`).join(' | ')
    return [
      left.length < names.length
        ? `Omit<${fieldsOf(other)}, ${list(left)}>`
        : `Pick<${fieldsOf(other)}, ${list(names)}>`,
    ]
  })
  let body = ''
  for (const [option, spec] of options) {
    if (taken.has(option)) continue
    const must = spec.required && otherSpelling(option) === option
    body += `${comment(documented(spec), '  ')}  ${option}${must ? '' : '?'}: ${spec.type}${must ? '' : ' | undefined'}\n`
  }
  const heritage = bases.length > 0 ? ` extends ${bases.join(', ')}` : ''
  return `${comment(`${title} In one spelling.`)}export interface ${fields}${heritage} {\n${body}}\n`
}

/** The TypeScript source of what a caller may give. */
function optionTypes(entry) {
  const { declaration, name, title, any = [], one = [] } = entry
  const fields = fieldsOf(entry)
  const required = Object.entries(declaration.specs)
    .filter(([option, spec]) => spec.required && otherSpelling(option) !== option)
    .map(([option]) => option)
  const parts = [`EitherSpelling<${fields}>`, 'StreamOptions']
  for (const [prefix, spec] of Object.entries(declaration.prefixes)) {
    parts.push(
      `{\n${comment(documented(spec), '  ')}  [name: \`${prefix}\${string}\`]: string | undefined\n}`,
    )
  }
  for (const group of [...required.map((option) => [[option]]), ...any]) {
    parts.push(
      `AnyOf<${fields}, ${group.map((each) => `[${each.map((option) => `'${option}'`).join(', ')}]`).join(' | ')}>`,
    )
  }
  for (const names of one) parts.push(`OneOf<${fields}, ${names.map((option) => `'${option}'`).join(' | ')}>`)
  return `${comment(`${title} Each name may be written in camelCase as well; numbers and booleans may be texts.`)}export type ${name} = ${parts.join(' & ')}\n`
}

/** The TypeScript source of a file of option types. */
function optionFile(file) {
  const written = groups.filter((entry) => entry.file === file)
  const entries = declarations.filter((entry) => entry.file === file)
  const others = groups.filter((entry) => !written.includes(entry))
  const texts = [
    ...written.map((entry, index) => optionFields(entry, written.slice(0, index))),
    ...entries.flatMap((entry, index) => [
      optionFields(entry, [...entries.slice(0, index), ...others]),
      optionTypes(entry),
    ]),
  ]
  const text = texts.join('\n')
  const imports = new Map()
  const take = (from, type, mark) => {
    if (text.includes(mark)) imports.set(from, [...(imports.get(from) ?? []), type])
  }
  for (const type of ['AnyOf', 'EitherSpelling', 'OneOf']) take('lib/core/spelling.ts', type, `${type}<`)
  take('lib/core/stream-options.ts', 'StreamOptions', ' & StreamOptions')
  for (const entry of others) {
    const used = texts.some((each) => new RegExp(`\\b${fieldsOf(entry)}\\b`).test(each))
    if (used) take(entry.file, fieldsOf(entry), '')
  }
  const pathOf = (from) => {
    const path = relative(dirname(file), from)
    return path.startsWith('.') ? path : `./${path}`
  }
  const heads = [...imports]
    .map(([from, types]) => [pathOf(from), types])
    .sort(([path], [other]) => (path < other ? -1 : 1))
    .map(([path, types]) => `import type { ${types.sort().join(', ')} } from '${path}'\n`)
  // Types in declarations are as a file in a connector's folder imports them.
  const placed = text.replace(
    /import\('\.\.\/\.\.\/([^']+)'\)/g,
    (_, path) => `import('${relative(dirname(file), `lib/${path}`)}')`,
  )
  return `${header}${heads.join('')}\n${placed}`
}

const cell = (text) => text.replaceAll('|', '\\|')

/** The options of one declaration as a table of a guide. */
export function optionTable({ declaration }, known = {}) {
  const added = Object.entries(declaration.specs).filter(
    ([name, spec]) => known[name]?.doc !== spec.doc || defaultOf(known[name]) !== defaultOf(spec),
  )
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

/** A guide with its option tables, each between two markers, written anew. A marker may leave out what another table has. */
function withTables(guide) {
  guide = guide.replace(
    /(<!-- example: (\S+) -->\n)[\s\S]*?(<!-- end of example -->)/g,
    (_, start, file, end) => `${start}\`\`\`${languageOf(file)}\n${current(file)}\`\`\`\n${end}`,
  )
  return guide.replace(
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
  for (const file of new Set([...groups, ...declarations].flatMap(({ file }) => file ?? []))) {
    files.set(file, optionFile(file))
  }
  for (const guide of guides) files.set(guide, withTables(current(guide)))
  files.set('lib/cli/job.schema.json', `${brief(jobSchema())}\n`)
  files.set('fixtures/signin-logs.ndjson', signinRecords())
  files.set('fixtures/windows-like.ndjson', ndjson(windowsRecords()))
  files.set('fixtures/zeek-like.ndjson', ndjson(zeekRecords()))
  return files
}

/** JSON in which an object or array that fits a line has one. */
function brief(value, indent = '', lead = 0) {
  const line = JSON.stringify(value)
    .replace(
      /("(?:[^"\\\\]|\\\\.)*")|([,:{}])/g,
      (_, text, sign) => text ?? { ',': ', ', ':': ': ', '{': '{ ', '}': ' }' }[sign],
    )
    .replaceAll('{  }', '{}')
  if (typeof value !== 'object' || value === null || indent.length + lead + line.length <= 108) return line
  const inner = `${indent}  `
  const [open, close] = Array.isArray(value) ? '[]' : '{}'
  const members = Object.entries(value).map(([key, each]) => {
    const head = Array.isArray(value) ? '' : `${JSON.stringify(key)}: `
    return `${inner}${head}${brief(each, inner, head.length)}`
  })
  return `${open}\n${members.join(',\n')}\n${indent}${close}`
}

/** The rows of the demo's sample as NDJSON, for tests and recipes that want a file. */
function signinRecords() {
  const names = signinColumns.map(({ name }) => name)
  const rows = signinRows(500, new Date('2026-11-01T00:00:00Z'))
  return ndjson(rows.map((row) => Object.fromEntries(row.map((value, index) => [names[index], value]))))
}

const ndjson = (records) => records.map((record) => `${serialize(record)}\n`).join('')

if (process.argv[1] === new URL(import.meta.url).pathname) {
  for (const [file, text] of generated()) {
    writeFileSync(new URL(file, root), text)
  }
}
