import { randomBytes } from 'node:crypto'
import type { RecordedRequest } from '../fault.ts'

/** Who is let in: an authentication token, session keys, and user and password. */
export class Credentials {
  token: string
  readonly username: string
  readonly password: string
  readonly #sessions = new Set<string>()

  constructor(given: {
    token?: string | undefined
    username?: string | undefined
    password?: string | undefined
  }) {
    this.username = given.username ?? 'admin'
    this.password = given.password ?? randomBytes(12).toString('base64url')
    this.token = given.token ?? `ey${randomBytes(96).toString('base64url')}`
  }

  /** A session key, or undefined when user or password are wrong. */
  login(username: string | null, password: string | null): string | undefined {
    if (username !== this.username || password !== this.password) return undefined
    const key = randomBytes(64).toString('base64url')
    this.#sessions.add(key)
    return key
  }

  /** Ends all sessions. */
  expire(): void {
    this.#sessions.clear()
  }

  /** Whether the request may pass. */
  admits({ headers }: RecordedRequest): boolean {
    const [, scheme = '', given = ''] =
      /^\s*(Bearer|Splunk|Basic)\s+(\S+)\s*$/i.exec(headers.authorization ?? '') ?? []
    if (scheme.toLowerCase() === 'basic') {
      return Buffer.from(given, 'base64').toString() === `${this.username}:${this.password}`
    }
    return (
      given !== '' &&
      (given === this.token || (scheme.toLowerCase() === 'splunk' && this.#sessions.has(given)))
    )
  }
}
