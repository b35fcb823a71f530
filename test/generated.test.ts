import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const root = fileURLToPath(new URL('..', import.meta.url))
const { generated, current } = (await import(new URL('../.dev/generate.mjs', import.meta.url).href)) as {
  generated(): Map<string, string>
  current(file: string): string
}

t.test(
  'what follows from the option declarations has not drifted from them (else: npm run generate)',
  async (t) => {
    for (const [file, text] of generated()) {
      const formatted = file.endsWith('.ts') || file.endsWith('.json') ? format(file, text) : text
      t.equal(current(file), formatted, file)
    }
  },
)

function format(file: string, text: string): string {
  const biome = fileURLToPath(new URL('../node_modules/@biomejs/biome/bin/biome', import.meta.url))
  return execFileSync(process.execPath, [biome, 'format', `--stdin-file-path=${file}`], {
    cwd: root,
    input: text,
    encoding: 'utf8',
    maxBuffer: 1 << 24,
  })
}
