// Generated from the option declarations by `npm run generate`. Do not edit.
import type { StreamOptions } from '../core/stream-options.ts'

/**
 * Options of the REST sink. Each name may be written in camelCase as well; numbers and booleans may be
 * texts.
 */
export interface RestOptions extends StreamOptions {
  /**
   * Endpoint, such as a webhook. All of it but scheme, host and port counts as secret. A secret: never
   * shown.
   */
  url: string | URL
  /**
   * Payload: `json` (an object a request; an array when `batch_size` is more than 1), `ndjson` (a line a
   * row), `form-data` (multipart/form-data, one row a request, its columns as fields: null as an empty
   * one, objects as JSON). Default: `json`.
   */
  http_format?: 'json' | 'ndjson' | 'form-data' | undefined
  /** Same as `http_format`. */
  httpFormat?: 'json' | 'ndjson' | 'form-data' | undefined
  /** Method. `get` sends no body, so it needs `url_query_params`. Default: `post`. */
  http_method?: 'post' | 'put' | 'patch' | 'get' | undefined
  /** Same as `http_method`. */
  httpMethod?: 'post' | 'put' | 'patch' | 'get' | undefined
  /**
   * Request headers by name. A `content-type` replaces that of the format; with `form-data` it can not.
   * A secret: never shown.
   */
  headers?: Readonly<Record<string, string>> | undefined
  /**
   * Columns sent as query parameters too, after those that `url` has; `*` for all. Null is left out, a
   * Date is ISO 8601, an object JSON. The body keeps them. Rows whose parameters differ do not share a
   * request.
   */
  url_query_params?: string | readonly string[] | undefined
  /** Same as `url_query_params`. */
  urlQueryParams?: string | readonly string[] | undefined
  /**
   * Name of a header that carries a UUID: the same each time the same rows are sent, another for other
   * rows. Lets the receiver drop what comes twice.
   */
  idempotency_header?: string | undefined
  /** Same as `idempotency_header`. */
  idempotencyHeader?: string | undefined
  /**
   * Rows a request. The stream buffers as many more (its highWaterMark) unless told otherwise. Default:
   * `1`.
   */
  batch_size?: number | string | undefined
  /** Same as `batch_size`. */
  batchSize?: number | string | undefined
  /**
   * Bytes of JSON that the body of a request does not pass, counted before compression. A larger row
   * goes alone. Default: `1000000`.
   */
  batch_bytes?: number | string | undefined
  /** Same as `batch_bytes`. */
  batchBytes?: number | string | undefined
  /** Milliseconds after its first row when a batch that is not full leaves. Default: `1000`. */
  linger_ms?: number | string | undefined
  /** Same as `linger_ms`. */
  lingerMs?: number | string | undefined
  /** Requests under way at once. At most this many batches and one more are held in memory. Default: `1`. */
  max_in_flight?: number | string | undefined
  /** Same as `max_in_flight`. */
  maxInFlight?: number | string | undefined
  /** Attempts after the first on throttling and passing faults. Default: `5`. */
  max_retries?: number | string | undefined
  /** Same as `max_retries`. */
  maxRetries?: number | string | undefined
  /**
   * Seconds of the first wait; doubled each time, with full jitter. A Retry-After of the server wins.
   * Default: `1`.
   */
  initial_backoff?: number | string | undefined
  /** Same as `initial_backoff`. */
  initialBackoff?: number | string | undefined
  /** Seconds that a wait of ours never passes. Default: `30`. */
  max_backoff?: number | string | undefined
  /** Same as `max_backoff`. */
  maxBackoff?: number | string | undefined
  /** Seconds that one attempt may take. Default: `30`. */
  request_timeout?: number | string | undefined
  /** Same as `request_timeout`. */
  requestTimeout?: number | string | undefined
  /**
   * Takes the rows that are refused for good, as `{ row, connector, reason: { status, code, text }, at
   * }`. Without it such a row ends the stream with an error that carries it.
   */
  dead_letter?: import('node:stream').Writable | undefined
  /** Same as `dead_letter`. */
  deadLetter?: import('node:stream').Writable | undefined
  /** CA certificates to trust in place of the system's: PEM text, or the path of a PEM file. */
  ca?: string | Buffer | undefined
  /**
   * Whether the certificate of the server is checked. `false` lets anybody in between read and change
   * what is sent. Default: `true`.
   */
  verify_ssl?: boolean | string | undefined
  /** Same as `verify_ssl`. */
  verifySsl?: boolean | string | undefined
  /**
   * URL of an HTTP proxy. Without it HTTPS_PROXY, HTTP_PROXY and NO_PROXY count. A secret: never shown.
   * Default: from the environment.
   */
  proxy?: string | URL | undefined
  /** Request header of that name. A secret: never shown. */
  [name: `http_header_${string}`]: string | undefined
}
