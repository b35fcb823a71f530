// Compiles lib into dist, only what has changed since, and takes away what has no source any more.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const tsc = `${root}node_modules/typescript/bin/tsc`
const { status } = spawnSync(process.execPath, [tsc, '-p', `${root}tsconfig.build.json`], {
  stdio: 'inherit',
})
if (status !== 0) process.exit(status ?? 1)
for (const file of readdirSync(`${root}dist`, { recursive: true, encoding: 'utf8' })) {
  const [, name] = /^(.*)(?:\.d\.ts|\.js)(?:\.map)?$/.exec(file) ?? []
  if (name !== undefined && !existsSync(`${root}lib/${name}.ts`)) rmSync(`${root}dist/${file}`)
}
