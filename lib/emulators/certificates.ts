import { X509Certificate } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import { join } from 'node:path'

/** A private key and its certificate, both PEM. */
export interface KeyAndCertificate {
  key: string
  cert: string
}

/** A certificate authority of tests. */
export interface CertificateAuthority {
  /** The authority's own certificate, PEM: what a client has to trust. */
  readonly ca: string
  /** Makes a server certificate. `hosts`: DNS names and IP addresses, default localhost, 127.0.0.1 and ::1. */
  issue(hosts?: readonly string[]): Promise<KeyAndCertificate>
}

const DAY_MS = 86_400_000

/**
 * Makes a certificate authority with a new key.
 *
 * @param folder keeps key (`ca-key.pem`) and certificate (`ca.pem`) for the next start, for a year. Default: the
 *   authority lives in memory, and its certificates are good for 30 days.
 */
export async function createCertificateAuthority(folder?: string): Promise<CertificateAuthority> {
  const kept = folder === undefined ? undefined : await readAuthority(folder)
  const authority = kept ?? (await makeAuthority(folder === undefined ? 30 : 365))
  if (folder !== undefined && !kept) {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    await writeFile(join(folder, 'ca-key.pem'), authority.key, { mode: 0o600 })
    await writeFile(join(folder, 'ca.pem'), authority.cert)
  }
  return { ca: authority.cert, issue: (hosts) => issue(authority, hosts) }
}

/** The authority of a folder, unless there is none or it ends within a day. */
async function readAuthority(folder: string): Promise<KeyAndCertificate | undefined> {
  try {
    const [key, cert] = await Promise.all(
      ['ca-key.pem', 'ca.pem'].map((name) => readFile(join(folder, name), 'utf8')),
    )
    const until = Date.parse(new X509Certificate(cert!).validTo)
    return until > Date.now() + DAY_MS ? { key: key!, cert: cert! } : undefined
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

async function makeAuthority(days: number): Promise<KeyAndCertificate> {
  // Only here: an emulator over plain http needs none of it.
  const { generate } = await import('selfsigned')
  const made = await generate([{ name: 'commonName', value: 'cyber-connectors emulators' }], {
    ...validity(days),
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
    ],
  })
  return { key: made.private, cert: made.cert }
}

async function issue(
  { key, cert }: KeyAndCertificate,
  hosts: readonly string[] = ['localhost', '127.0.0.1', '::1'],
): Promise<KeyAndCertificate> {
  const { generate } = await import('selfsigned')
  const made = await generate([{ name: 'commonName', value: hosts[0] ?? 'localhost' }], {
    ...validity(30),
    ca: { key, cert },
    extensions: [
      { name: 'basicConstraints', cA: false },
      { name: 'keyUsage', digitalSignature: true, critical: true },
      { name: 'extKeyUsage', serverAuth: true, clientAuth: true },
      {
        name: 'subjectAltName',
        altNames: hosts.map((host) => (isIP(host) ? { type: 7, ip: host } : { type: 2, value: host })),
      },
    ],
  })
  return { key: made.private, cert: made.cert }
}

function validity(days: number) {
  return {
    keyType: 'ec' as const,
    algorithm: 'sha256',
    // An hour back, for clocks that differ a little.
    notBeforeDate: new Date(Date.now() - 3_600_000),
    notAfterDate: new Date(Date.now() + days * DAY_MS),
  }
}
