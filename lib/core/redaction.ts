/** Removes secrets from a string. */
export type Redact = (text: string) => string

export const redacted = '[redacted]'

/**
 * A function that replaces these secrets, as given and as a service may quote them: percent-encoded, form-encoded, with
 * escapes of JSON or HTML, in another case. Call it before cutting: it does not recognise a part of a secret.
 */
export function redactor(secrets: Iterable<string | undefined>): Redact {
  const given = [...new Set(secrets)].filter((secret) => secret !== undefined && secret !== '') as string[]
  if (given.length === 0) return (text) => text
  // The longest first: one secret may contain another.
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

/** A pattern for all forms of a string, character by character. */
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
    // The longest first: a backslash starts its own escape.
    return `(?:${forms.sort((a, b) => b.length - a.length).join('|')})`
  }).join('')
}

/** Shorter parts of a URL are not secrets, and may be common words. */
const shortestSecret = 8

/** The parts of a URL that may be secret: user, password, path and query. */
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

/** A part of a URL, percent-decoded. */
export function decoded(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}

/** User and password as in a Basic header. */
function basicCredentials({ username, password }: URL): string {
  if (username === '' && password === '') return ''
  return Buffer.from(`${decoded(username)}:${decoded(password)}`).toString('base64')
}

/**
 * A copy of an error with its name, code, message, stack and causes, without secrets. A copy, because the errors of got
 * and the Azure clients carry the whole request with its headers.
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

/** Node's error is empty if all addresses of a host failed: each has its own error. */
function messageOf(error: Error): string {
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 8; at = at.cause, depth++) {
    if (at.message !== '') return at.message
    if (at instanceof AggregateError) return at.errors.map(({ message }) => message).join('; ')
  }
  return (error as NodeJS.ErrnoException).code ?? error.name
}

/** The secrets of a URL that may carry a password, such as a proxy's. */
export function credentialsOf(url: string): string[] {
  if (url === '') return []
  if (!URL.canParse(url)) return [url]
  const given = new URL(url)
  const { password, href } = given
  return password === '' ? [] : [url, href, password, decoded(password), basicCredentials(given)]
}
