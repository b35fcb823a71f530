// Every link of every page leads to a file that is there and a heading that it has, in a clone and in the tarball.
import { execFile } from 'node:child_process'
import { readFileSync, statSync } from 'node:fs'
import { dirname, join, posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'

const run = promisify(execFile)
const root = fileURLToPath(new URL('..', import.meta.url))
const read = (file: string) => readFileSync(join(root, file), 'utf8')

/** A page without its blocks of code. */
const prose = (page: string) => page.replaceAll(/^(```|~~~)[\s\S]*?^\1/gm, '')

/** Targets of links, images and definitions of links. */
function linksOf(page: string): string[] {
  const text = prose(page).replaceAll(/`[^`\n]*`/g, '')
  const patterns = [
    /\]\(\s*<?([^)\s>]+)>?(?:\s+"[^"]*")?\s*\)/g,
    /^\[[^\]]+\]:\s*(\S+)/gm,
    /(?:href|src)="([^"]+)"/g,
  ]
  return patterns.flatMap((pattern) => [...text.matchAll(pattern)].map(([, target]) => target!))
}

/** Anchors of headings, as GitHub and npm make them. */
function anchorsOf(page: string): Set<string> {
  const anchors = new Set<string>()
  for (const [, heading] of prose(page).matchAll(/^#{1,6}\s+(.*)$/gm)) {
    const shown = heading!.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
    const slug = shown
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .trim()
      .replaceAll(/\s/g, '-')
    let anchor = slug
    for (let count = 1; anchors.has(anchor); count++) anchor = `${slug}-${count}`
    anchors.add(anchor)
  }
  return anchors
}

/** The dead links of the pages among these files. */
function deadLinks(files: ReadonlySet<string>): string[] {
  const folders = new Set([...files].flatMap((file) => ancestors(file)))
  return [...files]
    .filter((file) => file.endsWith('.md'))
    .flatMap((page) =>
      linksOf(read(page))
        .filter((target) => !/^[a-z]+:/.test(target))
        .filter((target) => {
          const [path = '', anchor] = decodeURIComponent(target).split('#')
          const file = path === '' ? page : posix.normalize(posix.join(posix.dirname(page), path))
          if (!files.has(file) && !folders.has(file.replace(/\/$/, ''))) return true
          return anchor !== undefined && !anchorsOf(read(file)).has(anchor)
        })
        .map((target) => `${page}: ${target}`),
    )
}

function ancestors(file: string): string[] {
  const folder = dirname(file)
  return folder === '.' ? ['.'] : [folder, ...ancestors(folder)]
}

t.test('in a clone', async (t) => {
  const { stdout } = await run('git', ['ls-files', '-co', '--exclude-standard'], { cwd: root })
  const files = stdout.split('\n').filter((file) => file !== '' && statSync(join(root, file)).isFile())
  t.ok(files.includes('README.md'))
  t.same(deadLinks(new Set(files)), [])
})

t.test('in the tarball', async (t) => {
  const { stdout } = await run('npm', ['pack', '--json', '--dry-run', '--ignore-scripts'], { cwd: root })
  const [packed] = JSON.parse(stdout) as [{ files: { path: string }[] }]
  const files = new Set(packed.files.map(({ path }) => path))
  t.ok(files.has('lib/README.md'))
  t.same(deadLinks(files), [])
})

t.test('each promise of the security page names tests that there are', async (t) => {
  const [, section = ''] = /^## Security$([\s\S]*?)^## /m.exec(read('lib/README.md')) ?? []
  const promises = section.split('\n').filter((line) => /^\| (?!---|The package)/.test(line))
  t.ok(promises.length > 20)
  for (const promise of promises) {
    const files = [...promise.matchAll(/`(test\/[^`]+)`/g)].map(([, file]) => file!)
    t.ok(files.length > 0, promise)
    for (const file of files) t.ok(statSync(join(root, file), { throwIfNoEntry: false })?.isFile(), file)
  }
})
