import { execFile } from 'node:child_process'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'

const run = promisify(execFile)
const root = fileURLToPath(new URL('..', import.meta.url))
const npm = (args: string[], cwd: string) => run('npm', args, { cwd, maxBuffer: 1 << 26 })

t.test('the tarball', async (t) => {
  const folder = t.testdir({})
  const { stdout } = await npm(['pack', '--json', '--ignore-scripts', '--pack-destination', folder], root)
  const [packed] = JSON.parse(stdout) as [{ filename: string; files: { path: string }[] }]
  const paths = packed.files.map(({ path }) => path)
  const tarball = join(folder, packed.filename)

  t.test('holds the build, its sources and what a reader needs, and nothing else', async (t) => {
    for (const path of [
      'README.md',
      'LICENSE',
      'CHANGELOG.md',
      'dist/index.js',
      'dist/index.d.ts',
      'lib/index.ts',
    ]) {
      t.ok(paths.includes(path), path)
    }
    const strangers = paths.filter(
      (path) => !/^(dist|lib)\/|^(README|CHANGELOG)\.md$|^LICENSE$|^package\.json$/.test(path),
    )
    t.same(strangers, [])
    t.same(
      paths.filter((path) => /test|fixture/.test(path)),
      [],
    )
  })

  t.test('publint and are-the-types-wrong find nothing', async (t) => {
    const tool = (name: string) => join(root, 'node_modules/.bin', name)
    const lint = await run(tool('publint'), ['--strict', tarball], { cwd: root })
    t.match(lint.stdout, /All good/)
    await run(tool('attw'), [tarball, '--profile', 'esm-only'], { cwd: root })
  })

  t.test('installed in an empty folder', async (t) => {
    const project = join(folder, 'project')
    await mkdir(project)
    await writeFile(join(project, 'package.json'), '{"name":"user","private":true}')
    await npm(['install', '--prefer-offline', '--no-audit', '--no-fund', tarball], project)
    const node = async (file: string, source: string) => {
      await writeFile(join(project, file), source)
      return (await run(process.execPath, [file], { cwd: project })).stdout.trim()
    }

    t.test('an ES module imports it, a CommonJS program requires it', async (t) => {
      t.equal(
        await node(
          'a.mjs',
          `import { SplunkWritable } from 'cyber-connectors'; console.log(typeof SplunkWritable)`,
        ),
        'function',
      )
      t.equal(
        await node(
          'a.cjs',
          `const { SplunkWritable } = require('cyber-connectors'); console.log(typeof SplunkWritable)`,
        ),
        'function',
      )
      t.equal(
        await node(
          'b.mjs',
          `import { HecEmulator } from 'cyber-connectors/emulators'; console.log(typeof HecEmulator)`,
        ),
        'function',
      )
    })

    t.test('a Splunk-only program loads no Azure package', async (t) => {
      const scripts = await node(
        'c.mjs',
        `import { once } from 'node:events'
         import { Session } from 'node:inspector'
         import { SplunkWritable } from 'cyber-connectors'
         import { HecEmulator } from 'cyber-connectors/emulators'
         const hec = await new HecEmulator().start()
         const sink = new SplunkWritable({ url: hec.endpoint, token: hec.token })
         sink.end({ a: 1 })
         await once(sink, 'finish')
         await hec.close()
         const session = new Session()
         session.connect()
         session.on('Debugger.scriptParsed', ({ params }) => console.log(params.url))
         session.post('Debugger.enable')`,
      )
      const loaded = scripts.split('\n')
      t.ok(loaded.some((url) => url.includes('/node_modules/got/')))
      t.same(
        loaded.filter((url) => url.includes('/@azure/') || url.includes('/selfsigned/')),
        [],
      )
    })
  })
})

t.test('the declared versions of Node', async (t) => {
  const { engines } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
    engines: { node: string }
  }
  t.equal(engines.node, '>=20.19')
})
