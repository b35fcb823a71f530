import { readFileSync } from 'node:fs'
import t from 'tap'
import { version } from '../../lib/core/version.ts'

t.test('the version is the one of package.json', async (t) => {
  const file = new URL('../../package.json', import.meta.url)
  t.equal(version, JSON.parse(readFileSync(file, 'utf8')).version)
})
