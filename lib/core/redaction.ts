/** Takes secrets out of a text. */
export type Redact = (text: string) => string

export const redacted = '[redacted]'

/** A function that replaces each of these secrets, as they are and as they look inside a URL or JSON. */
export function redactor(secrets: Iterable<string | undefined>): Redact {
  const forms = new Set<string>()
  for (const secret of secrets) {
    if (!secret) continue
    for (const form of [secret, encodeURIComponent(secret), JSON.stringify(secret).slice(1, -1)])
      forms.add(form)
  }
  // The longest first: one secret may hold another.
  const ordered = [...forms].sort((a, b) => b.length - a.length)
  return (text) => ordered.reduce((cleaned, secret) => cleaned.replaceAll(secret, redacted), text)
}

/** The parts of a URL that may be secret: its user, password, path and query. What is left is the origin. */
export function urlSecrets(url: string): string[] {
  const { pathname, search, username, password } = new URL(url)
  const path = pathname.length > 1 ? [pathname, ...pathname.split('/').filter((part) => part.length > 7)] : []
  return [...path, search.slice(1), username, password].filter((part) => part !== '')
}

/**
 * A copy of an error with its name, code, message, stack and causes, cleaned of secrets. The original is let go: the
 * errors of got and the Azure clients carry the whole request, its headers with it.
 */
export function cleanError(error: unknown, redact: Redact, depth = 0): Error {
  if (!(error instanceof Error)) return new Error(redact(String(error)))
  const cause =
    error.cause === undefined || depth > 6 ? undefined : cleanError(error.cause, redact, depth + 1)
  const copy = new Error(redact(error.message), cause === undefined ? undefined : { cause })
  const { code } = error as NodeJS.ErrnoException
  if (error.stack !== undefined) copy.stack = redact(error.stack)
  Object.defineProperty(copy, 'name', { value: error.name, configurable: true, writable: true })
  if (typeof code === 'string' || typeof code === 'number') {
    Object.defineProperty(copy, 'code', { value: code, enumerable: true, configurable: true })
  }
  return copy
}
