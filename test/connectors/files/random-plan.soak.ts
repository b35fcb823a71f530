import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { checkRandomPlans } from '../../fixtures/files-random-plan.ts'

t.test('two hundred random plans', async (t) => {
  const folder = t.testdir()
  let plans = 0
  await checkRandomPlans(() => {
    const made = join(folder, String(plans++))
    mkdirSync(join(made, 'logs'), { recursive: true })
    return made
  }, 200)
  t.ok(plans >= 200)
})
