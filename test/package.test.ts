import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { isBuiltin } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import t from 'tap'
import { scaled } from './fixtures/scale.ts'

/** What installs, builds or compiles takes a minute and more: in the soak run only. */
const full = scaled(false, true)
const skip = !full && 'in npm run test:soak'

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
      'dist/bundle/index.js',
      'dist/index.d.ts',
      'lib/index.ts',
    ]) {
      t.ok(paths.includes(path), path)
    }
    const strangers = paths.filter(
      (path) =>
        !/^(dist|lib)\/|^(README|CHANGELOG)\.md$|^LICENSE$|^package\.json$|^(\.github|test\/bench)\/.*\.(md|svg)$/.test(
          path,
        ),
    )
    t.same(strangers, [])
    t.same(
      paths.filter((path) => /test|fixture/.test(path) && !/^test\/bench\/\w+\.md$/.test(path)),
      [],
    )
  })

  t.test('npm has no script of it to run or to warn of at an install', async (t) => {
    const { stdout } = await run('tar', ['-xzOf', tarball, 'package/package.json'])
    const { scripts } = JSON.parse(stdout) as { scripts: Record<string, string> }
    t.same(
      ['preinstall', 'install', 'postinstall', 'preprepare', 'prepare', 'postprepare'].filter(
        (name) => scripts[name],
      ),
      [],
    )
  })

  t.test('what it imports, it brings or depends on', async (t) => {
    const manifest = JSON.parse((await run('tar', ['-xzOf', tarball, 'package/package.json'])).stdout)
    const kinds = ['dependencies', 'optionalDependencies', 'peerDependencies'] as const
    const known = new Set(kinds.flatMap((kind) => Object.keys(manifest[kind])))
    const scripts = paths.filter((path) => /^dist\/bundle\/.*\.js$/.test(path))
    t.ok(scripts.length > 5)
    const { metafile } = await build({
      absWorkingDir: root,
      entryPoints: scripts,
      outdir: folder,
      bundle: true,
      write: false,
      metafile: true,
      format: 'esm',
      platform: 'node',
      packages: 'external',
    })
    const imported = Object.values(metafile.inputs).flatMap(({ imports }) => imports)
    const names = imported.filter(({ external }) => external).map(({ path }) => path)
    const lacking = names.filter((path) => {
      const name = /^(?:@[^/]+\/)?[^/]+/.exec(path)?.[0] ?? path
      return !isBuiltin(path) && !known.has(name)
    })
    t.same(lacking, [])
    t.notOk(known.has('selfsigned'), 'nothing that the emulators alone need is installed')
    t.ok(paths.includes('dist/bundle/selfsigned.LICENSES.txt'), 'what is built in has its licences beside it')
  })

  t.test('publint and are-the-types-wrong find nothing', async (t) => {
    const tool = (name: string) => join(root, 'node_modules/.bin', name)
    const lint = await run(tool('publint'), ['--strict', tarball], { cwd: root })
    t.match(lint.stdout, /All good/)
    if (full) await run(tool('attw'), [tarball, '--profile', 'esm-only'], { cwd: root })
  })

  t.test('installed in an empty folder', async (t) => {
    const project = join(folder, 'project')
    const installed = join(project, 'node_modules/cyber-connectors')
    await mkdir(installed, { recursive: true })
    await writeFile(join(project, 'package.json'), '{"name":"user","private":true}')
    if (full) await npm(['install', '--prefer-offline', '--no-audit', '--no-fund', tarball], project)
    // Unpacked only, it finds what it depends on in the project around it.
    else await run('tar', ['-xzf', tarball, '--strip-components=1', '-C', installed])
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

    t.test('its declarations compile without the DOM library, each checked', { skip }, async (t) => {
      await writeFile(
        join(project, 'a.mts'),
        `import { AzureMonitorReadable, createWritable } from 'cyber-connectors'
         import { startEmulators } from 'cyber-connectors/emulators'
         export const source = new AzureMonitorReadable({ workspace_id: 'w', query: 'T', timespan: 'P1D', azure_default_credential: true })
         export const sink = createWritable('splunk', { url: 'https://x', token: 'x' })
         export { startEmulators }`,
      )
      const compilerOptions = {
        ...{ target: 'es2023', lib: ['es2023', 'esnext.disposable'], module: 'nodenext', strict: true },
        ...{ noEmit: true, skipLibCheck: false, types: ['node'] },
        typeRoots: [join(root, 'node_modules/@types')],
      }
      await writeFile(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['a.mts'] }))
      const tsc = join(root, 'node_modules/typescript/bin/tsc')
      const { stdout } = await run(process.execPath, [tsc, '-p', project]).catch((error) => error)
      t.equal(stdout, '')
    })

    t.test('what only some need says what to install', { skip }, async (t) => {
      // Outside of this project, which has all of it.
      const alone = await mkdtemp(join(tmpdir(), 'package-'))
      t.teardown(() => rm(alone, { recursive: true, force: true }))
      await writeFile(join(alone, 'package.json'), '{"name":"user","private":true}')
      await npm(['install', '--prefer-offline', '--no-audit', '--no-fund', tarball], alone)
      const cli = join(alone, 'node_modules/cyber-connectors/dist/bundle/cli.js')
      const job = {
        source: { connector: 'files', options: { path: 'package.json', format: 'text' } },
        sink: { connector: 'rest', options: { url: 'http://127.0.0.1:1', max_retries: 0 } },
      }
      const demo = await run(process.execPath, [cli, 'demo'], { cwd: alone })
      t.match(demo.stdout + demo.stderr, /Every row arrived/, 'the emulators make their certificates')
      await writeFile(join(alone, 'job.json'), JSON.stringify(job))
      for (const [args, packages] of [
        [['queue', 'status', 'redis://127.0.0.1:1'], /needs the packages bullmq and ioredis .*: npm install bullmq ioredis/],
        [['run', 'job.json', '--log', 'off', '--listen', '0'], /needs the packages prom-client and uplot: npm install prom-client@\^15 uplot@\^1/],
      ] as const) {
        const ended = await run(process.execPath, [cli, ...args], { cwd: alone }).catch((error) => error)
        t.match(ended, { code: 2, stderr: packages }, args.join(' '))
      } // biome-ignore format: a table
      const program = `import { openStore } from 'cyber-connectors'
        for (const url of ['redis://127.0.0.1:1/0?name=a', 'postgres://127.0.0.1:1/a?name=a'])
          await openStore(url).open('').catch((error) => console.log(error.message))`
      await writeFile(join(alone, 'stores.mjs'), program)
      const { stdout } = await run(process.execPath, ['stores.mjs'], { cwd: alone })
      t.match(stdout, /npm install ioredis@.*\n.*npm install pg@/)
    })

    t.test(
      'without the optional packages Splunk works, and Azure says what to install',
      { skip },
      async (t) => {
        const alone = await mkdtemp(join(tmpdir(), 'package-'))
        t.teardown(() => rm(alone, { recursive: true, force: true }))
        await writeFile(join(alone, 'package.json'), '{"name":"user","private":true}')
        const { stdout, stderr } = await npm(
          ['install', '--prefer-offline', '--omit=optional', tarball],
          alone,
        )
        t.notMatch(`${stdout}${stderr}`, /warn/)
        t.notOk((await readdir(join(alone, 'node_modules'))).includes('@azure'))
        const program = `import { once } from 'node:events'
        import { AzureMonitorReadable, SentinelWritable, SplunkWritable } from 'cyber-connectors'
        import { HecEmulator } from 'cyber-connectors/emulators'
        const hec = await new HecEmulator().start()
        const splunk = new SplunkWritable({ url: hec.endpoint, token: hec.token })
        splunk.end({ a: 1 })
        await once(splunk, 'finish')
        await hec.close()
        const credential = { getToken: async () => ({ token: 'x', expiresOnTimestamp: Date.now() + 3_600_000 }) }
        for (const signIn of [{ azure_default_credential: true }, { credential }]) {
          const sentinel = new SentinelWritable({ ...signIn, dce: 'https://x.ingest.monitor.azure.com', dcr_id: 'dcr-${'0'.repeat(32)}', dcs: 'Custom-A' })
          sentinel.end({ a: 1 })
          await once(sentinel, 'finish').catch((error) => console.log(error.message))
          const source = new AzureMonitorReadable({ ...signIn, workspace_id: 'w', query: 'T', timespan: 'P1D' })
          await source.toArray().catch((error) => console.log(error.message))
        }`
        await writeFile(join(alone, 'a.mjs'), program)
        const said = (await run(process.execPath, ['a.mjs'], { cwd: alone })).stdout.trim().split('\n')
        t.match(said, [
          /^ms-sentinel: .*needs the package @azure\/identity, which is not installed: npm install @azure\/identity@\^4$/,
          /^azure-monitor: .*npm install @azure\/identity@\^4$/,
          /^ms-sentinel: .*npm install @azure\/monitor-ingestion@\^1$/,
          /^azure-monitor: .*npm install @azure\/monitor-query@\^1$/,
        ])
      },
    )

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
        loaded.filter((url) => url.includes('/@azure/') || url.includes('/selfsigned')),
        [],
      )
    })
  })
})

/** A clone of what is committed, which has no build. */
async function freshClone(folder: string): Promise<string> {
  const clone = join(folder, 'clone')
  await run('git', ['clone', '--quiet', '--depth=1', `file://${root}`, clone])
  return clone
}

t.test('a fresh clone packs with its build', { skip }, async (t) => {
  const clone = await freshClone(t.testdir({}))
  await symlink(join(root, 'node_modules'), join(clone, 'node_modules'))
  const { stdout } = await npm(['pack', '--json', '--pack-destination', clone], clone)
  // npm before version 11 prints what the build prints too.
  const [packed] = JSON.parse(stdout.slice(stdout.indexOf('[\n'))) as [{ files: { path: string }[] }]
  const paths = packed.files.map(({ path }) => path)
  for (const path of [
    'dist/bundle/index.js',
    'dist/index.d.ts',
    'dist/bundle/cli.js',
    'dist/bundle/emulators.js',
  ]) {
    t.ok(paths.includes(path), path)
  }
})

t.test('installed by git', { skip }, async (t) => {
  const folder = t.testdir({ project: { 'package.json': '{"name":"user","private":true}' } })
  const clone = await freshClone(folder)
  const project = join(folder, 'project')
  await npm(['install', '--prefer-offline', `git+file://${clone}`], project)
  const program = `import { SplunkWritable } from 'cyber-connectors'; console.log(typeof SplunkWritable)`
  await writeFile(join(project, 'a.mjs'), program)
  t.equal((await run(process.execPath, ['a.mjs'], { cwd: project })).stdout.trim(), 'function')
  const bin = join(project, 'node_modules/.bin/cyber-connectors')
  t.match((await run(bin, ['--version'])).stdout, /^\d+\.\d+\.\d+/)
})

t.test('npm warns of nothing at its publication, but that nobody is signed in', async (t) => {
  const nowhere = ['--registry=http://127.0.0.1:9', '--fetch-retries=0']
  const { stderr } = await npm(['publish', '--dry-run', '--ignore-scripts', ...nowhere], root)
  const warnings = stderr.split('\n').filter((line) => /^npm warn/i.test(line))
  t.same(
    warnings.filter((line) => !line.includes('requires you to be logged in')),
    [],
  )
})

t.test('the declared versions of Node', async (t) => {
  const { engines } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
    engines: { node: string }
  }
  t.equal(engines.node, '>=20.19')
})
