/** Takes secrets out of a text. */
export type Redact = (text: string) => string

export const redacted = '[redacted]'

/**
 * A function that replaces each of these secrets, as they are and as a service may quote them: percent-encoded, form-encoded,
 * with escapes of JSON or HTML, in another case. To be called before a text is cut: a part of a secret is not recognised.
 */
export function redactor(secrets: Iterable<string | undefined>): Redact {
  const given = [...new Set(secrets)].filter((secret) => secret !== undefined && secret !== '') as string[]
  if (given.length === 0) return (text) => text
  // The longest first: one secret may hold another.
  const forms = given.sort((a, b) => b.length - a.length).map((secret) => new RegExp(anyForm(secret), 'giu'))
  return (text) => forms.reduce((cleaned, form) => cleaned.replace(form, redacted), text)
}

const htmlNames: Readonly<Record<string, string>> = {
  '&': 'amp',
  '<': 'lt',
  '>': 'gt',
  '"': 'quot',
  "'": 'apos',
}
const jsonEscapes: Readonly<Record<string, string>> = {
  '\b': 'b',
  '\f': 'f',
  '\n': 'n',
  '\r': 'r',
  '\t': 't',
}

/** A pattern for all forms of a text, character by character. */
function anyForm(secret: string): string {
  return Array.from(secret, (character) => {
    const code = character.codePointAt(0)!
    const hex = code.toString(16)
    const units = Array.from({ length: character.length }, (_, at) => character.charCodeAt(at))
    const forms = [
      character.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&').replaceAll('\\-', '\\x2d'),
      [...Buffer.from(character)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join(''),
      units.map((unit) => `\\\\u${unit.toString(16).padStart(4, '0')}`).join(''),
      `&#0*${code};`,
      `&#x0*${hex};`,
    ]
    if (character === ' ') forms.push('\\+')
    if (htmlNames[character]) forms.push(`&${htmlNames[character]};`)
    const escaped = '"\\/'.includes(character) ? character.replace(/[\\/]/, '\\$&') : jsonEscapes[character]
    if (escaped) forms.push(`\\\\${escaped}`)
    // The longest first: a backslash begins its own escape.
    return `(?:${forms.sort((a, b) => b.length - a.length).join('|')})`
  }).join('')
}

/** A part of a URL shorter than this is no secret by itself, and may be a word that texts are made of. */
const shortestSecret = 8

/** The parts of a URL that may be secret: its user, password, path and query. What is left is the origin. */
export function urlSecrets(url: string): string[] {
  const given = new URL(url)
  const { pathname, search, searchParams, username, password } = given
  const path = pathname.length > 1 ? [pathname] : []
  const parts = [...pathname.split('/'), ...searchParams.values()]
  const long = parts.filter((part) => part.length >= shortestSecret)
  const all = [...path, ...long, search.slice(1), username, password]
  return [...all.flatMap((part) => [part, decoded(part)]), basicCredentials(given)].filter(
    (part) => part !== '',
  )
}

/** A part of a URL as it was meant, without percent signs. */
export function decoded(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}

/** User and password as they are sent in a header. */
function basicCredentials({ username, password }: URL): string {
  if (username === '' && password === '') return ''
  return Buffer.from(`${decoded(username)}:${decoded(password)}`).toString('base64')
}

/**
 * A copy of an error with its name, code, message, stack and causes, cleaned of secrets. The original is let go: the
 * errors of got and the Azure clients carry the whole request, its headers with it.
 */
export function cleanError(error: unknown, redact: Redact, depth = 0): Error {
  if (!(error instanceof Error)) return new Error(redact(String(error)))
  const cause =
    error.cause === undefined || depth > 6 ? undefined : cleanError(error.cause, redact, depth + 1)
  const { code } = error as NodeJS.ErrnoException
  const copy = new Error(redact(messageOf(error)), cause === undefined ? undefined : { cause })
  if (error.stack !== undefined) copy.stack = redact(error.stack)
  Object.defineProperty(copy, 'name', { value: error.name, configurable: true, writable: true })
  if (typeof code === 'string' || typeof code === 'number') {
    Object.defineProperty(copy, 'code', { value: code, enumerable: true, configurable: true })
  }
  return copy
}

/** Node says nothing itself when all addresses of a host failed: each has an error of its own. */
function messageOf(error: Error): string {
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 8; at = at.cause, depth++) {
    if (at.message !== '') return at.message
    if (at instanceof AggregateError) return at.errors.map(({ message }) => message).join('; ')
  }
  return (error as NodeJS.ErrnoException).code ?? error.name
}

/** What must not be seen of a URL that may carry a password, such as a proxy's. */
export function credentialsOf(url: string): string[] {
  if (url === '') return []
  if (!URL.canParse(url)) return [url]
  const given = new URL(url)
  const { password, href } = given
  return password === '' ? [] : [url, href, password, decoded(password), basicCredentials(given)]
}
