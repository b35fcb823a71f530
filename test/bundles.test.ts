// A program that a bundler made one file of: it starts without the package beside it, and delivers a row.
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import { rollup } from 'rollup'
import t, { type Test } from 'tap'
import webpack from 'webpack'
import { scaled } from './fixtures/scale.ts'
import { startHec } from './fixtures/splunk-trial.ts'

const skip = scaled<string | false>('in npm run test:soak', false)

const program = `
import { SplunkWritable } from 'cyber-connectors'
const { HEC_URL: url, HEC_TOKEN: token, HEC_CA: ca } = process.env
export async function handler(row) {
  const sink = new SplunkWritable({ url, token, ca })
  sink.end(row)
  await new Promise((resolve, reject) => sink.on('finish', resolve).on('error', reject))
}
handler({ from: 'a bundle' })
`

/** The program's source, in the package's folder so that bundlers find it, and a folder far from it for the bundle. */
function folders(t: Test) {
  const source = join(t.testdir({ 'program.mjs': program }), 'program.mjs')
  const out = mkdtempSync(join(tmpdir(), 'bundle-'))
  t.teardown(() => rmSync(out, { recursive: true }))
  return { source, out }
}

/** Runs a bundle where no package can be found. */
async function delivers(t: Test, bundle: string): Promise<void> {
  const hec = await startHec(t)
  const env = { PATH: process.env['PATH'], HEC_URL: hec.endpoint, HEC_TOKEN: hec.token, HEC_CA: hec.ca }
  const cwd = join(bundle, '..')
  const { stderr } = await promisify(execFile)(process.execPath, [bundle], { env, cwd })
  t.equal(stderr, '')
  t.match(hec.events, [{ event: { from: 'a bundle' } }])
}

for (const [format, name] of [
  ['esm', 'program.mjs'],
  ['cjs', 'program.cjs'],
] as const) {
  t.test(`esbuild, ${format}`, async (t) => {
    const { source, out } = folders(t)
    const outfile = join(out, name)
    // What CommonJS packages ask for in a bundle of ESM: https://github.com/evanw/esbuild/issues/1921
    const banner =
      format === 'esm'
        ? { js: "import { createRequire as r } from 'node:module'; const require = r(import.meta.url);" }
        : {}
    await build({
      entryPoints: [source], outfile, format, banner, bundle: true, platform: 'node', logLevel: 'error',
      logOverride: { 'empty-import-meta': 'silent' },
    }) // biome-ignore format: two lines
    await delivers(t, outfile)
  })
}

t.test('webpack', { skip }, async (t) => {
  const { source, out } = folders(t)
  const compiler = webpack({
    entry: source,
    target: 'node20',
    mode: 'production',
    optimization: { minimize: false },
    output: { path: out, filename: 'program.cjs' },
  })
  const stats = await promisify(compiler.run.bind(compiler))()
  t.same(stats?.toJson({ errors: true }).errors, [])
  await delivers(t, join(out, 'program.cjs'))
})

t.test('rollup', { skip }, async (t) => {
  const { source, out } = folders(t)
  const plugin = async (name: string) =>
    ((await import(`@rollup/plugin-${name}`)) as { default: (options?: object) => never }).default
  const [resolve, commonjs, json] = await Promise.all(['node-resolve', 'commonjs', 'json'].map(plugin))
  const bundle = await rollup({
    input: source,
    plugins: [resolve!({ preferBuiltins: true, exportConditions: ['node'] }), commonjs!(), json!()],
    onwarn: () => {},
  })
  await bundle.write({
    dir: out,
    format: 'es',
    entryFileNames: 'program.mjs',
    chunkFileNames: '[name]-[hash].mjs',
  })
  await delivers(t, join(out, 'program.mjs'))
})
