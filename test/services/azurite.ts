import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createCertificateAuthority } from '../../lib/emulators/certificates.ts'
import { freePort, runService, type Service } from './service.ts'

const program = fileURLToPath(
  new URL('../../.services/azurite/node_modules/azurite/dist/src/blob/main.js', import.meta.url),
)

/** Why there is no Azurite here, for `skip`; false where there is. */
export const azuriteMissing = !existsSync(program) && 'Azurite is not installed: run .ci/services'

/** Azure Blob Storage on this machine. `url` is that of its account. */
export interface Azurite extends Service {
  /** The certificate authority of its https, PEM. */
  readonly ca: string
}

/**
 * Starts Azurite over https, where it takes tokens of Entra ID. `kill` and `start` take away and give back the port in
 * front of it: an Azurite that is started again takes every lease for one that ran out.
 */
export async function startAzurite(): Promise<Azurite> {
  const folder = await mkdtemp(join(tmpdir(), 'azurite-'))
  const port = await freePort()
  const authority = await createCertificateAuthority()
  const { key, cert } = await authority.issue()
  await writeFile(join(folder, 'key.pem'), key)
  await writeFile(join(folder, 'cert.pem'), cert)
  const settings = {
    location: folder,
    blobHost: '127.0.0.1',
    blobPort: port,
    key: join(folder, 'key.pem'),
    cert: join(folder, 'cert.pem'),
    oauth: 'basic',
  }
  const service = await runService({
    url: `https://127.0.0.1:${port}/devstoreaccount1`,
    command: [
      process.execPath,
      program,
      '--silent',
      '--disableTelemetry',
      '--skipApiVersionCheck',
      ...Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]),
    ],
    ready: /successfully listens on/,
    clear: () => rm(folder, { recursive: true, force: true }),
  })
  const front = await freePort()
  let [server, sockets] = await forward(front, port)
  const azurite: Azurite = {
    url: `https://127.0.0.1:${front}/devstoreaccount1`,
    ca: authority.ca,
    get pid() {
      return service.pid
    },
    async start() {
      ;[server, sockets] = await forward(front, port)
    },
    async kill() {
      const closed = once(server, 'close')
      server.close()
      for (const socket of sockets) socket.destroy()
      await closed
    },
    async stop() {
      if (server.listening) await azurite.kill()
      await service.stop()
    },
  }
  return azurite
}

/** Passes bytes between two ports of the loopback. */
async function forward(from: number, to: number): Promise<[Server, Set<Socket>]> {
  const sockets = new Set<Socket>()
  const server = createServer((near) => {
    const far = connect(to, '127.0.0.1')
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(one)
      one.on('error', () => {})
      one.once('close', () => {
        sockets.delete(one)
        other.destroy()
      })
      one.pipe(other)
    }
  }).listen(from, '127.0.0.1')
  await once(server, 'listening')
  return [server, sockets]
}

/** A token as Azurite takes it: it looks at the claims and not at the signature. */
export function azuriteToken(): string {
  const now = Math.floor(Date.now() / 1000)
  const claims = {
    aud: 'https://storage.azure.com',
    iss: 'https://sts.windows.net/00000000-0000-4000-8000-000000000000/',
    iat: now,
    nbf: now - 60,
    exp: now + 3600,
  }
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  return `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}.${Buffer.from('any').toString('base64url')}`
}
