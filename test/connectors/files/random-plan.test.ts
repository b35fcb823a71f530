import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { checkRandomPlans } from '../../fixtures/files-random-plan.ts'

t.test(
  'files written, rotated, packed and removed by a random plan, while the reader runs and is killed',
  async (t) => {
    const folder = t.testdir()
    let plans = 0
    await checkRandomPlans(() => {
      const made = join(folder, String(plans++))
      mkdirSync(join(made, 'logs'), { recursive: true })
      return made
    }, 15)
    t.ok(plans >= 15)
  },
)
