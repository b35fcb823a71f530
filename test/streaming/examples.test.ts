import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { DockerfileParser, Keyword } from 'dockerfile-ast'
import t from 'tap'
import { jobOptions, readJobFile } from '../../lib/cli/job.ts'
import { planJob } from '../../lib/cli/plan.ts'
import { scaled } from '../fixtures/scale.ts'
import { findProgram } from '../services/service.ts'

const folder = fileURLToPath(new URL('../examples/', import.meta.url))
const missing =
  !existsSync(`${folder}node_modules`) && 'the clients of the examples are not installed: run .ci/services'

interface Manifest {
  kind: string
  apiVersion: string
  data?: Record<string, string>
}

const skip = missing || scaled<string | false>('in npm run test:soak', false)
t.test('the examples compile', { skip }, async (t) => {
  const tsc = fileURLToPath(new URL('../../node_modules/typescript/bin/tsc', import.meta.url))
  const { stdout } = await promisify(execFile)(process.execPath, [tsc, '-p', folder]).catch((error) => error)
  t.equal(stdout, '')
})

t.test(
  'the files for Kubernetes are what its schemas say, and their jobs are right',
  { skip: missing },
  async (t) => {
    const require = createRequire(`${folder}package.json`)
    const { parseAllDocuments } = require('yaml') as {
      parseAllDocuments(text: string): { toJS(): Manifest }[]
    }
    const kinds: string[] = []
    for (const file of await readdir(`${folder}kubernetes`)) {
      for (const document of parseAllDocuments(await readFile(`${folder}kubernetes/${file}`, 'utf8'))) {
        const manifest = document.toJS()
        const { kind, apiVersion, data } = manifest
        const models = (await import(
          `${folder}node_modules/kubernetes-models/${apiVersion}/index.js`
        )) as Record<string, new (data: Manifest) => { validate(): void }>
        t.doesNotThrow(() => new models[kind]!(manifest).validate(), `${file}: ${kind}`)
        kinds.push(kind)
        if (!data?.['job.json']) continue
        const job = jobOptions.resolve(JSON.parse(data['job.json']))
        t.match(job, { source: { connector: 'azure-monitor' }, sink: { connector: 'splunk' } })
      }
    }
    t.same(kinds.sort(), ['ConfigMap', 'ConfigMap', 'Deployment', 'Deployment', 'Job', 'Secret'])
  },
)

const unattended = `${folder}unattended/`

t.test('the job that runs for good is right', async (t) => {
  t.intercept(process, 'env', {
    value: { AZURE_TENANT_ID: 't', AZURE_CLIENT_ID: 'c', AZURE_CLIENT_SECRET: 's', SPLUNK_TOKEN: 'x' },
  })
  const job = await readJobFile(`${unattended}job.yaml`, process.env)
  t.match(job, { checkpoint: '/data/offsets', trigger: { interval_seconds: 60 } })
  const plan = await planJob(job)
  t.ok(plan.makeStream)
})

const noSystemd = findProgram('systemd-analyze') === undefined && 'systemd-analyze is not here'

t.test('the unit of systemd is what systemd takes', { skip: noSystemd }, async (t) => {
  const unit = await readFile(`${unattended}cyber-connectors.service`, 'utf8')
  // The programs that it names need not be here.
  const path = `${t.testdir({ 'here.service': unit.replace('/usr/bin/node', process.execPath) })}/here.service`
  const { stderr } = await promisify(execFile)('systemd-analyze', ['verify', path])
  t.notMatch(stderr, 'here.service')
  await t.rejects(
    promisify(execFile)('systemd-analyze', [
      'verify',
      `${t.testdir({ 'no.service': '[Service]\n' })}/no.service`,
    ]),
  )
})

t.test('the Dockerfile is one, of a user that is not root, with a health check', async (t) => {
  const instructions = DockerfileParser.parse(
    await readFile(`${unattended}Dockerfile`, 'utf8'),
  ).getInstructions()
  const of = (keyword: string) => instructions.filter((one) => one.getKeyword() === keyword)
  const known = new Set(Object.values(Keyword))
  t.strictSame(
    instructions.map((one) => one.getKeyword()).filter((keyword) => !known.has(keyword as Keyword)),
    [],
  )
  t.equal(of('USER').at(-1)!.getArgumentsContent(), 'node')
  t.match(of('HEALTHCHECK')[0]!.getArgumentsContent(), '/health')
  const start = [of('ENTRYPOINT')[0]!, of('CMD')[0]!].map((one) => JSON.parse(one.getArgumentsContent()!))
  t.strictSame(start.flat().slice(0, 3), ['node_modules/.bin/cyber-connectors', 'run', 'job.yaml'])
})
