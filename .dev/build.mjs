// Compiles lib into dist, only what has changed since, and takes away what has no source any more. Then bundles what users
// load: to read two hundred small files takes twice as long as to run them.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('..', import.meta.url))
const tsc = `${root}node_modules/typescript/bin/tsc`
const { status } = spawnSync(process.execPath, [tsc, '-p', `${root}tsconfig.build.json`], {
  stdio: 'inherit',
})
if (status !== 0) process.exit(status ?? 1)
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
