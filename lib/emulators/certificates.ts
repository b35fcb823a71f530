import { isIP } from 'node:net'

/** A private key and its certificate, both PEM. */
export interface KeyAndCertificate {
  key: string
  cert: string
}

/** A certificate authority that lives in memory, as long as the tests that use it. */
export interface CertificateAuthority {
  /** The authority's own certificate, PEM: what a client has to trust. */
  readonly ca: string
  /** Makes a server certificate. `hosts`: DNS names and IP addresses, default localhost, 127.0.0.1 and ::1. */
  issue(hosts?: readonly string[]): Promise<KeyAndCertificate>
}

const DAY_MS = 86_400_000

/** Makes a certificate authority with a new key, good for 30 days. */
export async function createCertificateAuthority(): Promise<CertificateAuthority> {
  // Only here: an emulator over plain http needs none of it.
  const { generate } = await import('selfsigned')
  const validity = () => ({
    // An hour back, for clocks that differ a little.
    notBeforeDate: new Date(Date.now() - 3_600_000),
    notAfterDate: new Date(Date.now() + 30 * DAY_MS),
  })
  const authority = await generate([{ name: 'commonName', value: 'cyber-connectors emulators' }], {
    ...validity(),
    keyType: 'ec',
    algorithm: 'sha256',
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
    ],
  })
  return {
    ca: authority.cert,
    async issue(hosts = ['localhost', '127.0.0.1', '::1']) {
      const issued = await generate([{ name: 'commonName', value: hosts[0] ?? 'localhost' }], {
        ...validity(),
        keyType: 'ec',
        algorithm: 'sha256',
        ca: { key: authority.private, cert: authority.cert },
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
      return { key: issued.private, cert: issued.cert }
    },
  }
}
