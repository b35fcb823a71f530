import { mkdtemp, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { writeDurably } from '../../lib/core/durable-file.ts'
import { fileCalls } from '../fixtures/file-calls.ts'

t.test('a file is flushed before it gets its name, and the name after it', async (t) => {
  const directory = t.testdir({})
  const named = async () => ((await readdir(directory)).includes('state') ? ', named' : '')
  const calls = await fileCalls(t, directory, named)
  await writeDurably(directory, 'state', 'text')
  t.same(calls, ['writeFile file', 'sync file', 'sync directory, named'])
  t.same(await readdir(directory), ['state'])
  t.equal((await stat(join(directory, 'state'))).mode & 0o777, 0o600)
})

t.test('a link in the place of the file is replaced, not followed', async (t) => {
  const directory = await mkdtemp(join(t.testdir({}), 'd-'))
  const target = join(directory, 'target')
  await writeFile(target, 'mine')
  await symlink(target, join(directory, 'state'))
  await t.rejects(writeDurably(directory, 'state', 'text', { exclusive: true }), { code: 'EEXIST' })
  await writeDurably(directory, 'state', 'text')
  t.equal(await readFile(target, 'utf8'), 'mine')
  t.equal(await readFile(join(directory, 'state'), 'utf8'), 'text')
  t.same((await readdir(directory)).sort(), ['state', 'target'])
})
