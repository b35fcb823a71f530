import type { RecordedRequest } from './fault.ts'

/** Something that knows which bearer tokens are good: the Entra emulator. */
export interface TokenAuthority {
  /** `audience`: the resource that the token must be for, such as `https://monitor.azure.com`. */
  tokenValid(token: string, audience?: string): boolean
}

/** The token of `Authorization: Bearer ...`, or undefined when there is none. */
export function bearerToken(request: RecordedRequest): string | undefined {
  return /^Bearer +(\S+)\s*$/i.exec(request.headers.authorization ?? '')?.[1]
}
