// Generated from the option declarations by `npm run generate`. Do not edit.
import type { EitherSpelling } from '../../core/spelling.ts'
import type { StreamOptions } from '../../core/stream-options.ts'
import type { HttpFields } from '../../http/options.types.ts'
import type { SinkFields } from '../../sink/options.types.ts'

/** Options of the REST sink. In one spelling. */
export interface RestFields extends HttpFields, Omit<SinkFields, 'batch_size' | 'max_in_flight'> {
  /**
   * Endpoint, such as a webhook. All of it but scheme, host and port counts as secret. A secret: never
   * shown.
   */
  url: string | URL
  /**
   * Payload: `json` (an object a request; an array when `batch_size` is more than 1), `ndjson` (a line a
   * row), `form-data` (application/x-www-form-urlencoded, one row a request, its columns as fields: null
   * as an empty one, objects as JSON), `multipart` (the same as multipart/form-data). Default: `json`.
   */
  http_format?: 'json' | 'ndjson' | 'form-data' | 'multipart' | undefined
  /**
   * Method. `get` sends no body, so it needs `url_query_params`; a row with another column is refused.
   * Default: `post`.
   */
  http_method?: 'post' | 'put' | 'patch' | 'get' | undefined
  /**
   * Request headers by name. A `content-type` replaces that of the format; with `multipart` it can not.
   * A secret: never shown.
   */
  headers?: Readonly<Record<string, string>> | undefined
  /**
   * Columns sent as query parameters, after those that `url` has, in place of the body; `*` for all. A
   * row that lacks one is refused; null is empty, a Date ISO 8601, an object JSON. Rows whose parameters
   * differ do not share a request.
   */
  url_query_params?: string | readonly string[] | undefined
  /**
   * Name of a header that carries a UUID: the same each time the same rows are sent, another for other
   * rows. Lets the receiver drop what comes twice.
   */
  idempotency_header?: string | undefined
  /**
   * Rows a request. `auto`: found by trial, 50 to 5,000. The stream buffers as many more (its
   * highWaterMark; 50 with `auto`) unless told otherwise. Default: `1`.
   */
  batch_size?: number | string | undefined
  /**
   * Requests under way at once. `auto`: found by trial, 1 to 64. At most this many batches and one more
   * are held in memory. Default: `1`.
   */
  max_in_flight?: number | string | undefined
}

/**
 * Options of the REST sink. Each name may be written in camelCase as well; numbers and booleans may be
 * texts.
 */
export type RestOptions = EitherSpelling<RestFields> &
  StreamOptions & {
    /** Request header of that name. A secret: never shown. */
    [name: `http_header_${string}`]: string | undefined
  }
