import type { RecordedRequest } from './fault.ts'

/** The token that a request comes with, or the code that refuses it for how it comes. */
export function givenToken(request: RecordedRequest, queryStringAuth: boolean): string | number {
  // A token in the query goes before the header.
  const inQuery = request.query.get('token')
  if (inQuery !== null) return queryStringAuth ? inQuery : 16
  const { authorization } = request.headers
  return authorization === undefined ? 2 : (tokenOf(authorization) ?? 3)
}

/** The token of `Splunk <token>`, or of Basic with the token as password. */
export function tokenOf(authorization: string): string | undefined {
  const [, scheme, rest] = /^\s*(Splunk|Basic)\s+(\S+)\s*$/i.exec(authorization) ?? []
  if (rest === undefined) return undefined
  if (scheme?.toLowerCase() === 'splunk') return rest
  const pair = Buffer.from(rest, 'base64').toString()
  return pair.slice(pair.indexOf(':') + 1)
}
