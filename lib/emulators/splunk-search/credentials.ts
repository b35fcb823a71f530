import { randomBytes, randomUUID } from 'node:crypto'
import type { RecordedRequest } from '../fault.ts'

/** Who is let in: an authentication token, session keys, and user and password. */
export class Credentials {
  token: string
  username: string
  password: string
  readonly #sessions = new Map<string, number>()
  readonly #sessionSeconds: number
  readonly #now: () => number

  constructor(
    given: {
      token?: string | undefined
      username?: string | undefined
      password?: string | undefined
      sessionSeconds?: number | undefined
    },
    now: () => number,
  ) {
    this.username = given.username ?? 'admin'
    this.password = given.password ?? randomBytes(12).toString('base64url')
    this.token = given.token ?? makeToken(this.username)
    this.#sessionSeconds = given.sessionSeconds ?? 3_600
    this.#now = now
  }

  /** A session key, or undefined when user or password are wrong. */
  login(username: string | null, password: string | null): string | undefined {
    if (username !== this.username || password !== this.password) return undefined
    const key = randomBytes(64).toString('base64url')
    this.#sessions.set(key, this.#now() + this.#sessionSeconds * 1000)
    return key
  }

  /** Ends all sessions. */
  expire(): void {
    this.#sessions.clear()
  }

  /** Whether the request may pass. A session that is used lives on. */
  admits({ headers }: RecordedRequest): boolean {
    const [, scheme = '', given = ''] =
      /^\s*(Bearer|Splunk|Basic)\s+(\S+)\s*$/i.exec(headers.authorization ?? '') ?? []
    if (scheme.toLowerCase() === 'basic') {
      return Buffer.from(given, 'base64').toString() === `${this.username}:${this.password}`
    }
    if (given === '') return false
    if (given === this.token) return true
    const until = scheme.toLowerCase() === 'splunk' ? this.#sessions.get(given) : undefined
    if (until === undefined || until <= this.#now()) return false
    this.#sessions.set(given, this.#now() + this.#sessionSeconds * 1000)
    return true
  }
}

/** In the form of Splunk's own: a signed JWT. */
function makeToken(username: string): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const now = Math.floor(Date.now() / 1000)
  const head = { kid: 'splunk.secret', alg: 'HS512', ver: 'v2', ttyp: 'static' }
  const claims = {
    iss: `${username} from emulator`,
    sub: username,
    aud: 'cyber-connectors',
    idp: 'Splunk',
    jti: randomUUID(),
    iat: now,
    exp: now + 30 * 86_400,
    nbr: now,
  }
  return `${part(head)}.${part(claims)}.${randomBytes(64).toString('base64url')}`
}
