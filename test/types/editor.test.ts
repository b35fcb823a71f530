// What an editor shows of the built package: TypeScript's own language service, asked as an editor asks it.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import ts from 'typescript'
import { registered } from '../../lib/registry.ts'

const { OptionTypes } = (await import(new URL('../../.dev/option-texts.mjs', import.meta.url).href)) as {
  OptionTypes: new () => { texts(): Record<string, Record<string, { text: string; default?: string }>> }
}

const root = fileURLToPath(new URL('../..', import.meta.url))
const file = join(root, 'test/types/editor-program.ts')

const options: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2023,
  module: ts.ModuleKind.NodeNext,
  strict: true,
  types: ['node'],
  skipLibCheck: true,
}
let text = ''
let version = 0
const service = ts.createLanguageService({
  getCompilationSettings: () => options,
  getScriptFileNames: () => [file],
  getScriptVersion: (path) => (path === file ? `${version}` : '0'),
  getScriptSnapshot(path) {
    if (path === file) return ts.ScriptSnapshot.fromString(text)
    return ts.sys.fileExists(path) ? ts.ScriptSnapshot.fromString(readFileSync(path, 'utf8')) : undefined
  },
  getCurrentDirectory: () => root,
  getDefaultLibFileName: ts.getDefaultLibFilePath,
  fileExists: (path) => path === file || ts.sys.fileExists(path),
  readFile: ts.sys.readFile,
  directoryExists: ts.sys.directoryExists,
  getDirectories: ts.sys.getDirectories,
})

/** Opens a program. @returns where it has `|`: the cursor */
function open(program: string): number {
  text = program.replace('|', '')
  version++
  return program.indexOf('|')
}

/** The options that an editor proposes, with the text and the default that it shows. */
function proposals(program: string) {
  const cursor = open(program)
  const { entries = [] } = service.getCompletionsAtPosition(file, cursor, {}) ?? {}
  return entries.map(({ name, source, data }) => {
    const details = service.getCompletionEntryDetails(file, cursor, name, {}, source, {}, data)
    const fallback = details?.tags?.find((tag) => tag.name === 'default')
    return {
      name,
      text: ts.displayPartsToString(details?.documentation),
      fallback: fallback && ts.displayPartsToString(fallback.text),
    }
  })
}

t.test('each option is proposed once, in snake_case, with its text', async (t) => {
  const importing = (name: string) => `import { ${name} } from 'cyber-connectors'\n`
  for (const [name, given] of [
    ['SplunkWritable', ''],
    ['SplunkWritable', "url: 'https://splunk:8088', token: 't', "],
    ['RestWritable', ''],
    ['AzureMonitorReadable', ''],
    ['AzureMonitorStreamReadable', ''],
    ['SplunkReadable', ''],
    ['FilesStreamReadable', ''],
    ['KafkaStreamReadable', ''],
  ] as const) {
    const found = proposals(`${importing(name)}new ${name}({ ${given}| })`)
    const names = found.map((each) => each.name)
    t.ok(names.length > 15, `${name}: ${names.length} options`)
    t.same(
      names.filter((each) => each.includes('_') && names.includes(camelCase(each))),
      [],
      name,
    )
    t.same(
      found.filter(({ text }) => text === '').map((each) => each.name),
      [],
      `${name}: options without a text`,
    )
  }
  const hec = proposals(`${importing('SplunkWritable')}new SplunkWritable({ | })`)
  t.same(
    hec.find(({ name }) => name === 'token'),
    { name: 'token', text: 'HEC token.', fallback: undefined },
  )
  t.match(
    hec.find(({ name }) => name === 'batch_size'),
    { text: /^Maximum rows of a request/, fallback: '50' },
  )
})

t.test('a class shows its doc on its constructor', async (t) => {
  const cursor = open(
    `import { SplunkWritable } from 'cyber-connectors'\nnew Splunk|Writable({ url: 'https://h', token: 't' })`,
  )
  const info = service.getQuickInfoAtPosition(file, cursor)
  t.match(
    ts.displayPartsToString(info?.documentation),
    /^A Writable in object mode that sends rows to Splunk/,
  )
  t.match(ts.displayPartsToString(info?.displayParts), /SplunkWritable\(options: SplunkOptions\)/)
})

t.test('defaults and texts are those of the declarations', async (t) => {
  const texts = new OptionTypes().texts()
  for (const [name, connector] of registered()) {
    for (const kind of ['readable', 'streamReadable', 'writable'] as const) {
      const declaration = connector[kind]?.declaration
      if (!declaration) continue
      for (const [option, spec] of Object.entries(declaration.specs)) {
        const found = texts[`${name} ${kind}`]?.[option]
        t.ok(found?.text, `${name} ${kind}: ${option} has a text`)
        if (spec.default !== undefined)
          t.equal(found?.default, JSON.stringify(spec.default), `${name} ${kind}: ${option}`)
        else t.notMatch(found?.default, /^(\d|")/, `${name} ${kind}: ${option} has no default`)
      }
    }
  }
})

function camelCase(name: string): string {
  return name.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase())
}
