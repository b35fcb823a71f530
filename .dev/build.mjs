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
const common = {
  absWorkingDir: root,
  outdir: 'dist/bundle',
  bundle: true,
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  metafile: true,
  logLevel: 'warning',
}
const { metafile } = await build({
  ...common,
  entryPoints: { ...Object.fromEntries(entries), cli: 'lib/cli/main.ts' },
  splitting: true,
  packages: 'external',
  plugins: [{ name: 'built-in', setup: (build) => build.onResolve({ filter: /^selfsigned$/ }, builtIn) }],
  sourcemap: true,
  sourcesContent: false,
})
const outputs = [...Object.keys(metafile.outputs), ...(await buildIn())]
for (const file of readdirSync(`${root}dist/bundle`))
  if (!outputs.includes(`dist/bundle/${file}`)) rmSync(`${root}dist/bundle/${file}`)

const textsFile = `${root}dist/option-texts.json`
if (compiled.changed || !existsSync(textsFile)) {
  writeFileSync(textsFile, JSON.stringify(new OptionTypes(compiled.program).texts()))
  const { jobSchema } = await import('../dist/cli/job-schema.js')
  writeFileSync(`${root}dist/job.schema.json`, `${JSON.stringify(jobSchema(), undefined, 1)}\n`)
}

function builtIn() {
  return { path: './selfsigned.js', external: true }
}

/**
 * What makes the emulators' certificates: 23 packages of 6 MB that no connector needs, so that they are no dependencies
 * but one file, with their licences beside it.
 * @returns the names of the files
 */
async function buildIn() {
  const { metafile } = await build({
    ...common,
    stdin: {
      contents: `export { generate } from 'selfsigned'`,
      resolveDir: root,
      sourcefile: 'selfsigned.js',
    },
    outdir: undefined,
    outfile: 'dist/bundle/selfsigned.js',
    minify: true,
    legalComments: 'none',
    // Its packages are CommonJS, and require what Node brings.
    banner: {
      js: `import { createRequire } from 'node:module'\nconst require = createRequire(import.meta.url)`,
    },
  })
  const folders = Object.keys(metafile.inputs).flatMap(
    (file) => /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0] ?? [],
  )
  const texts = [...new Set(folders)].sort().map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(`${root}${folder}/package.json`, 'utf8'))
    const notices = readdirSync(`${root}${folder}`).filter((file) =>
      /^(licen[cs]e|copyright|notice)/i.test(file),
    )
    const text = notices.map((file) => readFileSync(`${root}${folder}/${file}`, 'utf8').trim()).join('\n\n')
    return `${name} ${version} (${license})\n\n${text}\n`
  })
  const licences = 'dist/bundle/selfsigned.LICENSES.txt'
  writeFileSync(`${root}${licences}`, texts.join(`\n${'-'.repeat(80)}\n\n`))
  return [...Object.keys(metafile.outputs), licences]
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
