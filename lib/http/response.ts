import { holdsAll, retryAfter } from '../core/retry.ts'

export interface HttpResponse {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  /** The body as it came. It may quote secrets: whatever of it a message shows goes through `HttpClient.redact`. */
  readonly text: string
}

/** A header of an answer; the first where it came several times. `name` in lower case. */
export function headerOf({ headers }: Pick<HttpResponse, 'headers'>, name: string): string | undefined {
  const value = headers[name]
  return Array.isArray(value) ? value[0] : value
}

/** Retry delay in milliseconds, and whether it holds all requests: those to a throttled or overloaded server wait too. */
export function waitOf(response: Pick<HttpResponse, 'status' | 'headers'>): {
  after: number | undefined
  holdAll: boolean
} {
  const { status } = response
  return { after: retryAfter(headerOf(response, 'retry-after')), holdAll: holdsAll(status) }
}

/** Only this many characters are cleaned: stripping tags is quadratic. */
const longestLook = 10_000

/** A body as an error may quote it: tags of HTML and line ends taken out, at most 200 characters. */
export function plainText(body: string): string {
  if (body.length <= 200 && !/[<\s]/.test(body)) return body
  const text = body
    .slice(0, longestLook)
    .replace(/<(style|title)[^<>]*>.*?<\/\1>|<[^<>]*>/gs, ' ')
    .replace(/\s+/g, ' ')
    .trim()
  return text.slice(0, 200)
}
