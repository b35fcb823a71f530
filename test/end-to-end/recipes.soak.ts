// README's recipes and that of moving to Sentinel, as printed, on every supported Node: only addresses are replaced.
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import ts from 'typescript'
import { type Column, type Emulators, startEmulators } from '../../lib/emulators/index.ts'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))
const read = (file: string) => readFileSync(join(root, file), 'utf8')
const blocks = (page: string, language: string) =>
  [...page.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)]
    .filter(([, name]) => name === language)
    .map(([, , text]) => text!)

/** This Node, and those that `.ci/services` installs. */
function nodes(): string[] {
  const folder = join(root, '.services/nodes/node_modules')
  const others = existsSync(folder) ? readdirSync(folder).filter((name) => name.startsWith('node')) : []
  return [process.execPath, ...others.map((name) => join(folder, name, 'bin/node'))]
}

/** A type of ARM's as that of KQL. */
const typeOf = (type: string) => (type === 'boolean' ? 'bool' : type.toLowerCase()) as Column['type']

/** What `emulate` prints, in which programs find the emulators. */
const environment = ({ caFile, entra, hec, splunkSearch }: Emulators) => ({
  ...process.env,
  NODE_OPTIONS: '',
  NODE_EXTRA_CA_CERTS: caFile,
  AZURE_AUTHORITY_HOST: entra.url,
  AZURE_TENANT_ID: entra.tenant_id,
  AZURE_CLIENT_ID: entra.client_id,
  AZURE_CLIENT_SECRET: entra.client_secret,
  SPLUNK_TOKEN: hec.token,
  SPLUNK_AUTH_TOKEN: splunkSearch.token,
})

/** A recipe in TypeScript as files that this Node runs: compiled, and as printed where Node understands all of it. */
function programs(t: Test, recipe: string, major: number): string[] {
  const folder = t.testdir({})
  mkdirSync(folder, { recursive: true })
  const options = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext }
  const files = { 'compiled.mjs': ts.transpileModule(recipe, { compilerOptions: options }).outputText }
  const printed = major >= 24 ? { 'printed.mts': recipe } : {}
  return Object.entries({ ...files, ...printed }).map(([name, text]) => {
    writeFileSync(join(folder, name), text)
    return join(folder, name)
  })
}

const readme = blocks(read('README.md'), 'ts')
const recipe = (mark: string) => readme.find((text) => text.includes(mark))!
const moving = read('lib/connectors/sentinel/MOVING.md')

for (const node of nodes()) {
  t.test(node === process.execPath ? process.version : node.split('/').at(-3)!, async (t) => {
    const { stdout } = await run(node, ['--version'])
    const major = Number(/\d+/.exec(stdout)![0])

    await t.test('a stream that runs unattended', async (t) => {
      const emulators = await startEmulators({ hec: { ack: true } })
      t.teardown(() => emulators.close())
      const { logAnalytics, hec } = emulators
      const columns = [
        { name: 'TimeGenerated', type: 'datetime' },
        { name: 'EventID', type: 'int' },
      ] as const
      logAnalytics.addTable('SecurityEvent', columns, [[new Date(Date.now() - 3_600_000), 4625]])
      for (const program of programs(t, recipe("start_time: 'earliest'"), major)) {
        hec.events.length = 0
        const checkpoint = `${program}.offsets`
        const text = readFileSync(program, 'utf8')
          .replace('https://splunk.example:8088', hec.endpoint)
          .replace('/var/lib/my-app/security-events', checkpoint)
          .replace("start_time: 'earliest',", (line) => `${line} endpoint: '${logAnalytics.url}',`)
        writeFileSync(program, text)
        const child = spawn(node, [program], {
          env: environment(emulators),
          stdio: ['ignore', 'pipe', 'pipe'],
        })
        t.teardown(() => child.kill('SIGKILL'))
        let stderr = ''
        child.stderr.on('data', (more) => {
          stderr += more
        })
        const exit = once(child, 'exit').then(([code]) => {
          throw new Error(`it ended with ${code}: ${stderr}`)
        })
        exit.catch(() => {})
        let said = ''
        while (hec.events.length === 0 || said === '') {
          const [more] = (await Promise.race([once(child.stdout, 'data'), exit])) as [Buffer]
          said += more.toString()
        }
        t.match(hec.events, [{ event: { EventID: 4625 } }], program)
        t.match(said, /^20\S+\/20\S+ \d+ \d+/)
        child.kill('SIGKILL')
      }
    })

    await t.test('tests without the services', async (t) => {
      for (const program of programs(t, recipe('startEmulators'), major)) {
        const { stdout, stderr } = await run(node, [program])
        t.equal(stdout, '2 events, of which 1 came twice\n', program)
        t.notMatch(stderr, /Error/)
      }
    })

    await t.test('moving to Sentinel', async (t) => {
      const declared = [
        'TimeGenerated',
        'EventTime',
        'RawData',
        'Host',
        'Source',
        'SourceType',
        'RecordNumber',
      ]
      const rules = { [`dcr-${'0'.repeat(32)}`]: { 'Custom-Splunk_CL': declared } }
      const emulators = await startEmulators({ ingestion: { rules } })
      t.teardown(() => emulators.close())
      const { splunkSearch, logAnalytics, ingestion, entra } = emulators
      const event = (time: number, RecordNumber: number) => ({
        time: time / 1000,
        index: 'main',
        host: 'web-07',
        event: JSON.stringify({ RecordNumber }),
      })
      const january = Array.from({ length: 300 }, (_, n) => event(Date.UTC(2026, 0, 2) + n * 60_000, n))
      const today = Array.from({ length: 50 }, (_, n) => event(Date.now() - 3_600_000 + n * 1000, 1000 + n))
      splunkSearch.addEvents([...january, ...today], () => Date.now() - 3_600_000)
      const folder = t.testdir({ 'shape.mjs': blocks(moving, 'js')[0]! })
      const adapted = (text: string) =>
        text
          .replaceAll('npx cyber-connectors', `'${node}' '${join(root, 'dist/bundle/cli.js')}'`)
          .replaceAll('https://splunk.example:8089', splunkSearch.url)
          .replace(/^export SPLUNK_AUTH_TOKEN=.*$/m, '')
          .replace(/https:\/\/my-dcr\S+/, ingestion.url)
          .replace(
            'start_time: 2026-01-01T00:00:00Z',
            `start_time: ${new Date(Date.now() - 7_200_000).toISOString()}`,
          )
          .replace('    tenant_id:', (line) => `    authority_host: ${entra.url}\n${line}`)
          .replace('{ workspace_id:', (line) => line.replace('{', `{ endpoint: '${logAnalytics.url}',`))
      const sh = (text: string) =>
        run('sh', ['-ec', adapted(text)], { cwd: folder, env: environment(emulators), timeout: 60_000 })
      const shell = (mark: string) => blocks(moving, 'sh').find((text) => text.includes(mark))!

      await sh(shell('sentinel-template'))
      const template = JSON.parse(readFileSync(join(folder, 'sentinel.json'), 'utf8'))
      const table = template.resources.find(({ type }: { type: string }) => type.endsWith('/tables'))
      const columns = table.properties.schema.columns as { name: string; type: string }[]
      logAnalytics.addTable(
        'Splunk_CL',
        columns.map(({ name, type }) => ({ name, type: typeOf(type) })),
      )
      logAnalytics.follow(ingestion)
      writeFileSync(join(folder, 'move.yaml'), adapted(blocks(moving, 'yaml')[0]!))
      await sh(shell('--check'))
      await sh(blocks(moving, 'sh').find((text) => text.trim() === 'npx cyber-connectors run move.yaml')!)
      t.equal(logAnalytics.rowCount('Splunk_CL'), 350)
      const proof = await sh(shell('verify move.yaml'))
      t.match(proof.stdout, /2026-01-02T00:00:00Z\s+300\s+300\s+0\s+ok/)
    })
  })
}
