import type { HttpResponse } from './http.ts'
import { retryAfter } from './retry.ts'

/** A header of an answer; the first where it came several times. `name` in lower case. */
export function headerOf({ headers }: Pick<HttpResponse, 'headers'>, name: string): string | undefined {
  const value = headers[name]
  return Array.isArray(value) ? value[0] : value
}

/** How long to wait before the request is sent again, and for whom: a throttled or overloaded server is meant by all. */
export function waitOf(response: Pick<HttpResponse, 'status' | 'headers'>): {
  after: number | undefined
  everybody: boolean
} {
  const { status } = response
  return { after: retryAfter(headerOf(response, 'retry-after')), everybody: status === 429 || status === 503 }
}

/** Of a longer body no more is looked at: to take tags out takes the square of the time in the worst case. */
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
