import type { HttpResponse } from './http.ts'

/** A header of an answer; the first where it came several times. `name` in lower case. */
export function headerOf({ headers }: Pick<HttpResponse, 'headers'>, name: string): string | undefined {
  const value = headers[name]
  return Array.isArray(value) ? value[0] : value
}

/** A body as an error may quote it: tags of HTML and line ends taken out, at most 200 characters. */
export function plainText(body: string): string {
  if (body.length <= 200 && !/[<\s]/.test(body)) return body
  const text = body
    .replace(/<(style|title)[^>]*>.*?<\/\1>|<[^>]*>/gs, ' ')
    .replace(/\s+/g, ' ')
    .trim()
  return text.slice(0, 200)
}
