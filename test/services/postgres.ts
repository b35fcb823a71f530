import { execFile } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { chown, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { findProgram, freePort, runService, type Service } from './service.ts'

/** Debian keeps the programs of each version in a folder of its own, out of PATH. */
const program = findProgram('initdb', ...debianFolders())

/** Why there is no Postgres here, for `skip`; false where there is. */
export const postgresMissing =
  program === undefined && 'PostgreSQL is not installed: apt-get install --no-install-recommends postgresql'

/** Starts a Postgres with an empty database. */
export async function startPostgres(): Promise<Service> {
  const folder = await mkdtemp(join(tmpdir(), 'postgres-'))
  const port = await freePort()
  const user = await serverUser()
  if (user) await chown(folder, user.uid, user.gid)
  const as = user ? ['setpriv', `--reuid=${user.uid}`, `--regid=${user.gid}`, '--clear-groups'] : []
  const environment = { ...process.env, LC_ALL: 'C' }
  const [file, ...args] = [...as, program!, '-D', folder, '--auth=trust', '--username=postgres', '--no-sync']
  await promisify(execFile)(file!, args, { env: environment, cwd: folder })
  const settings = {
    port,
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    // A killed server loses nothing by it, only a machine that loses its power.
    fsync: 'off',
    max_connections: 60,
  }
  return runService({
    url: `postgres://postgres@127.0.0.1:${port}/postgres`,
    command: [
      ...as,
      join(program!, '../postgres'),
      '-D',
      folder,
      ...Object.entries(settings).map(([name, value]) => `--${name}=${value}`),
    ],
    ready: /ready to accept connections/,
    environment,
    // A fast shutdown: it does not wait for clients.
    stopSignal: 'SIGINT',
    clear: () => rm(folder, { recursive: true, force: true }),
  })
}

function debianFolders(): string[] {
  try {
    const versions = readdirSync('/usr/lib/postgresql')
    return versions
      .sort((a, b) => Number(b) - Number(a))
      .map((version) => `/usr/lib/postgresql/${version}/bin`)
  } catch {
    return []
  }
}

/** Postgres refuses to run as root: there its own user runs it. */
async function serverUser(): Promise<{ uid: number; gid: number } | undefined> {
  if (process.getuid?.() !== 0) return undefined
  const users = await readFile('/etc/passwd', 'utf8')
  const [, uid, gid] = /^postgres:[^:]*:(\d+):(\d+):/m.exec(users) ?? []
  if (uid === undefined) throw new Error('this system has no user "postgres" that could run the server')
  return { uid: Number(uid), gid: Number(gid) }
}
