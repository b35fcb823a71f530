import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findProgram, freePort, runService, type Service } from './service.ts'

const program = findProgram('redis-server')

/** Why there is no Redis here, for `skip`; false where there is. */
export const redisMissing =
  program === undefined &&
  'redis-server is not installed: apt-get install --no-install-recommends redis-server'

/**
 * Starts a Redis that keeps its data over a kill and evicts nothing.
 * @param appendfsync `always` for what is written right before a kill: `everysec` may hold a write back
 */
export async function startRedis({ appendfsync = 'everysec' } = {}): Promise<Service> {
  const folder = await mkdtemp(join(tmpdir(), 'redis-'))
  const port = await freePort()
  const settings = {
    port,
    bind: '127.0.0.1',
    dir: folder,
    save: '',
    appendonly: 'yes',
    appendfsync,
    'maxmemory-policy': 'noeviction',
  }
  return runService({
    url: `redis://127.0.0.1:${port}`,
    command: [program!, ...Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)])],
    ready: /Ready to accept connections/,
    clear: () => rm(folder, { recursive: true, force: true }),
  })
}
