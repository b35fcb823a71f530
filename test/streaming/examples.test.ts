import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import { jobOptions } from '../../lib/cli/job.ts'
import { scaled } from '../fixtures/scale.ts'

const folder = fileURLToPath(new URL('../examples/', import.meta.url))
const missing =
  !existsSync(`${folder}node_modules`) &&
  'the clients of the examples are not installed: npm ci --prefix test/examples'

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
