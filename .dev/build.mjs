// Compiles lib into dist, only what has changed since, and removes what has no source any more. Then bundles what users
// load: to read two hundred small files takes twice as long as to run them. The texts of options and the JSON Schema of job
// files come last.
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import ts from 'typescript'
import { OptionTypes } from './option-texts.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const compiled = compile()
for (const file of readdirSync(`${root}dist`, { recursive: true, encoding: 'utf8' })) {
  const [, name] = /^(.*)(?:\.d\.ts|\.js)(?:\.map)?$/.exec(file) ?? []
  if (name !== undefined && !file.startsWith('bundle') && !existsSync(`${root}lib/${name}.ts`))
    rmSync(`${root}dist/${file}`)
}

// All beside each other, as what names a file by its place (package.json) counts on the depth of dist/<folder>.
const { exports } = JSON.parse(readFileSync(`${root}package.json`, 'utf8'))
const entries = Object.values(exports)
  .filter(({ types }) => types)
  .map((entry) => [
    basename(entry.default, '.js'),
    entry.types.replace(/^\.\/dist\//, 'lib/').replace(/\.d\.ts$/, '.ts'),
  ])
const { metafile } = await build({
  absWorkingDir: root,
  entryPoints: { ...Object.fromEntries(entries), cli: 'lib/cli/main.ts' },
  outdir: 'dist/bundle',
  bundle: true,
  splitting: true,
  packages: 'external',
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  sourcemap: true,
  sourcesContent: false,
  metafile: true,
  logLevel: 'warning',
})
for (const file of readdirSync(`${root}dist/bundle`))
  if (!metafile.outputs[`dist/bundle/${file}`]) rmSync(`${root}dist/bundle/${file}`)

const textsFile = `${root}dist/option-texts.json`
if (compiled.changed || !existsSync(textsFile)) {
  writeFileSync(textsFile, JSON.stringify(new OptionTypes(compiled.program).texts()))
  const { jobSchema } = await import('../dist/cli/job-schema.js')
  writeFileSync(`${root}dist/job.schema.json`, `${JSON.stringify(jobSchema(), undefined, 1)}\n`)
}

/** Compiles as `tsc` does. */
function compile() {
  const { config } = ts.readConfigFile(`${root}tsconfig.build.json`, ts.sys.readFile)
  const { fileNames, options, errors } = ts.parseJsonConfigFileContent(config, ts.sys, root)
  const host = ts.createIncrementalCompilerHost(options)
  const incremental = ts.createIncrementalProgram({ rootNames: fileNames, options, host })
  const program = incremental.getProgram()
  // Before it emits: what it found is kept for the next time then.
  const found = [
    ...errors,
    ...incremental.getOptionsDiagnostics(),
    ...incremental.getSyntacticDiagnostics(),
    ...incremental.getSemanticDiagnostics(),
  ]
  let changed = false
  const { diagnostics } = incremental.emit(undefined, (path, ...rest) => {
    changed ||= !path.endsWith('.tsbuildinfo')
    host.writeFile(path, ...rest)
  })
  const problems = [...found, ...diagnostics]
  if (problems.length > 0) {
    const names = {
      getCurrentDirectory: () => root,
      getCanonicalFileName: (name) => name,
      getNewLine: () => '\n',
    }
    process.stderr.write(ts.formatDiagnosticsWithColorAndContext(problems, names))
    process.exit(1)
  }
  return { program, changed }
}
