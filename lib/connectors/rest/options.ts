import { validateHeaderName, validateHeaderValue } from 'node:http'
import { isRow } from '../../core/json.ts'
import {
  declareOptions,
  type OptionDeclaration,
  type OptionSpecs,
  type OptionValues,
  option,
  Refusal,
  type Report,
} from '../../core/options.ts'
import type { OptionsOf, StreamOptions } from '../../core/spelling.ts'
import { checkHttpOptions, httpSpecs } from '../../http/options.ts'
import { numberOrAuto, sinkSpecs } from '../../sink/options.ts'

const headerPrefix = 'http_header_'

/** Headers that say how the body goes over the wire: set by the client alone. */
const wireHeaders = new Set([
  'connection',
  'content-encoding',
  'content-length',
  'keep-alive',
  'transfer-encoding',
  'upgrade',
])

function headers(value: unknown): Readonly<Record<string, string>> | undefined {
  if (!isRow(value)) return undefined
  for (const [name, text] of Object.entries(value)) {
    if (headerValue(text) === undefined) throw new Refusal(`expected a string as the value of "${name}"`)
  }
  return value as Record<string, string>
}

function headerValue(value: unknown): string | undefined {
  if (typeof value !== 'string') return undefined
  try {
    validateHeaderValue('x', value)
  } catch {
    throw new Refusal('has a character in it that a header can not carry')
  }
  return value
}

function isHeaderName(name: string): boolean {
  try {
    validateHeaderName(name)
    return true
  } catch {
    return false
  }
}

/**
 * What an answer means, from its status and the first megabyte of its body: `accepted`, `retry` (transient), `refused` (of
 * the rows: bisected until the row at fault is found), or `fatal` (ends the stream); undefined leaves it to the status.
 */
export type AnswerCheck = (status: number, body: string) => AnswerKind | undefined

export type AnswerKind = 'accepted' | 'retry' | 'refused' | 'fatal'

export const answerKinds: ReadonlySet<unknown> = new Set<AnswerKind>([
  'accepted',
  'retry',
  'refused',
  'fatal',
])

function acceptance(value: unknown): readonly number[] | AnswerCheck | undefined {
  if (typeof value === 'function') return value as AnswerCheck
  const list = typeof value === 'string' ? value.split(',').map(Number) : value
  const isStatus = (status: unknown) =>
    Number.isInteger(status) && Number(status) >= 200 && Number(status) <= 599
  return Array.isArray(list) && list.length > 0 && list.every(isStatus) ? list : undefined
}

const requestSpecs = {
  /** Endpoint, such as a webhook. All of it but scheme, host and port is treated as secret. */
  url: option.url({ required: true, secret: true }),
  /**
   * Payload: `json` (an object; an array if `batch_size` is not 1), `ndjson` (a line per row), `form-data`
   * (application/x-www-form-urlencoded: one row a request, its columns as fields, null as an empty one, objects as
   * JSON), or `multipart` (the same as multipart/form-data).
   * @default "json"
   */
  http_format: option.oneOf(['json', 'ndjson', 'form-data', 'multipart'], { default: 'json' }),
  /**
   * HTTP method. `get` sends no body and needs `url_query_params`; a row with another column is refused.
   * @default "post"
   */
  http_method: option.oneOf(['post', 'put', 'patch', 'get'], { default: 'post' }),
  /** Request headers by name. A `content-type` replaces that of the format, except with `multipart`. */
  headers: option.custom<Readonly<Record<string, string>>>(
    {
      form: 'an object of header names and strings',
      schema: { type: 'object', additionalProperties: { type: 'string' } },
      parse: headers,
    },
    { secret: true },
  ),
  /**
   * Columns sent as query parameters in place of the body, after those of `url`; `*` for all. A row that lacks one is
   * refused; null is sent empty, a Date as ISO 8601, an object as JSON. Rows share a request only if their parameters
   * are equal.
   */
  url_query_params: option.columns(),
  /**
   * Name of a header that carries a UUID: the same whenever the same rows are sent, another for other rows. The receiver
   * can drop duplicates by it.
   */
  idempotency_header: option.text(),
  /**
   * Statuses besides 2xx that mean the rows were accepted, such as 302 for Google Apps Script; a redirect is never followed.
   * In programs also a function `(status, body) => 'accepted' | 'retry' | 'refused' | 'fatal' | undefined`, for APIs that
   * report failures inside of a 200; undefined leaves the decision to the status.
   */
  accept: option.custom<readonly number[] | AnswerCheck, readonly number[] | `${number}` | AnswerCheck>({
    form: 'statuses from 200 to 599, as a list or as a string separated by commas, or a function of status and body',
    schema: { anyOf: [{ type: 'string' }, { type: 'array', items: { type: 'integer' } }] },
    parse: acceptance,
  }),
  /**
   * Maximum rows of a request; `auto` finds the best number from 50 to 5,000.
   * @default 1
   */
  batch_size: numberOrAuto(1),
  /**
   * Maximum requests in flight; `auto` finds the best number from 1 to 64.
   * @default 1
   */
  max_in_flight: numberOrAuto(1),
} satisfies OptionSpecs

type RestSpecs = typeof requestSpecs & Omit<typeof sinkSpecs, keyof typeof requestSpecs> & typeof httpSpecs

/** Options of the REST sink. */
export type RestOptions = OptionsOf<RestSpecs> &
  StreamOptions & {
    /** Request header of that name. */
    [name: `http_header_${string}`]: string | undefined
  }

export const restOptions: OptionDeclaration<RestSpecs> = declareOptions(
  'rest',
  { ...sinkSpecs, ...httpSpecs, ...requestSpecs },
  (values, report, given) => {
    checkHttpOptions(values, report, given)
    checkHeaders(values, report, given)
    if (values.http_method === 'get') {
      if (!values.url_query_params?.length && !given.has('url_query_params'))
        report('url_query_params: is required with http_method "get", which sends no body')
      if (values.http_format !== 'json' && values.http_format !== undefined)
        report(
          `http_format: "${values.http_format}" has no place with http_method "get", which sends no body`,
        )
    }
    for (const [name, value] of Object.entries({
      http_method: values.http_method === 'get' ? 'get' : undefined,
      http_format: /^(form-data|multipart)$/.test(values.http_format ?? '') ? values.http_format : undefined,
    })) {
      if (value && (values.batch_size ?? 1) !== 1)
        report(`batch_size: ${name} "${value}" sends one row a request, so it must be 1`)
    }
  },
  {
    /** Request header of that name. */
    [headerPrefix]: {
      ...option.text({ secret: true }),
      form: 'a string',
      parse: headerValue,
    },
  },
)

function checkHeaders(
  values: Partial<OptionValues<RestSpecs>>,
  report: Report,
  given: ReadonlySet<string>,
): void {
  const names = [
    ...Object.keys(values.headers ?? {}).map((name) => ({ name, source: `headers: "${name}"` })),
    ...[...given]
      .filter((key) => key.startsWith(headerPrefix))
      .map((key) => ({ name: key.slice(headerPrefix.length), source: key })),
  ]
  if (values.idempotency_header !== undefined)
    names.push({ name: values.idempotency_header, source: 'idempotency_header' })
  const seen = new Map<string, string>()
  if (values.url !== undefined) {
    const { username, password } = new URL(values.url)
    if (username || password) seen.set('authorization', 'the user and password in url')
  }
  for (const { name, source } of names) {
    const key = name.toLowerCase()
    const before = seen.get(key)
    if (!isHeaderName(name)) report(`${source}: ${JSON.stringify(name)} is not the name of a header`)
    else if (wireHeaders.has(key)) report(`${source}: this header is set by the client alone`)
    else if (key === 'content-type' && values.http_format === 'multipart')
      report(`${source}: with http_format "multipart" the client sets it, with the boundary in it`)
    else if (before !== undefined) report(`${source}: the same header is given by ${before}`)
    seen.set(key, source)
  }
}

export type RestSettings = ReturnType<typeof restOptions.resolve>

/** All headers that the user gave. */
export function givenHeaders({ headers, prefixed }: RestSettings): Record<string, string> {
  return { ...headers, ...prefixed }
}
