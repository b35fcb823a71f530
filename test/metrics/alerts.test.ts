import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { parse } from 'yaml'
import { serveMetrics } from '../../lib/metrics/index.ts'
import { findProgram } from '../services/service.ts'

const place = (name: string) => fileURLToPath(new URL(`../../lib/metrics/${name}`, import.meta.url))
const rules = readFileSync(place('alerts.yaml'), 'utf8')
const dashboard = readFileSync(place('grafana-dashboard.json'), 'utf8')
const promtool = findProgram('promtool')

t.test('alert rules and dashboard ask for metrics that there are', async (t) => {
  const metrics = await serveMetrics({ listen: 0, job: 'a', source: 'files', sink: 'splunk' })
  const served = await (await fetch(`${metrics.url}/metrics`)).text()
  await metrics.close()
  const expressions = [
    ...parse(rules).groups[0].rules.map(({ expr }: { expr: string }) => expr),
    ...JSON.parse(dashboard).panels.flatMap(({ targets }: { targets: { expr: string }[] }) =>
      targets.map(({ expr }) => expr),
    ),
  ] as string[]
  t.ok(expressions.length >= 11)
  for (const expression of expressions) {
    const [name = ''] = /cyber_connectors_\w+/.exec(expression) ?? []
    t.match(served, new RegExp(`^# TYPE ${name.replace(/_bucket$/, '')} `, 'm'), expression)
  }
})

t.test('Prometheus reads the rules', { skip: !promtool && 'promtool is not installed' }, async (t) => {
  t.match(String(execFileSync(promtool!, ['check', 'rules', place('alerts.yaml')])), /SUCCESS: 5 rules found/)
})
