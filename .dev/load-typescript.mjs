// Lets the tests' processes load .ts on a Node that does not strip types by itself (20), or strips them and does not know
// `using` (22): each file is compiled once, and kept by its content. tap's own loader compiles every file in every process,
// which is most of what a short test costs.
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { createRequire, register } from 'node:module'
import { fileURLToPath } from 'node:url'
import { isMainThread } from 'node:worker_threads'

const require = createRequire(import.meta.url)
const folder = new URL(
  `../node_modules/.cache/esbuild-${require('esbuild/package.json').version}/`,
  import.meta.url,
)

if (isMainThread && !(process.features.typescript && knowsUsing())) {
  mkdirSync(folder, { recursive: true })
  register(import.meta.url)
}

function knowsUsing() {
  try {
    new Function('{ using nothing = null }')
    return true
  } catch {
    return false
  }
}

export async function load(url, context, next) {
  if (!url.startsWith('file:') || !url.endsWith('.ts')) return next(url, context)
  const text = readFileSync(fileURLToPath(url), 'utf8')
  const kept = new URL(`${createHash('sha1').update(url).update(text).digest('hex')}.js`, folder)
  return { format: 'module', shortCircuit: true, source: read(kept) ?? (await compile(text, url, kept)) }
}

function read(file) {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}

async function compile(text, url, kept) {
  const { code } = await require('esbuild').transform(text, {
    loader: 'ts',
    target: 'node20',
    sourcefile: fileURLToPath(url),
    sourcemap: 'inline',
    tsconfigRaw: { compilerOptions: { verbatimModuleSyntax: true } },
  })
  const aside = new URL(`${kept.href}.${process.pid}`)
  writeFileSync(aside, code)
  renameSync(aside, kept)
  return code
}
